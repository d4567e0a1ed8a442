//! Servers that do not agree at once.

use crate::peer::{Peer, Server};
use link::{Error, Link, Options, Role};
use rtmp::server::Event;
use rtmp::url::Url;
use tokio::net::TcpListener;

async fn open(url: &Url) -> Result<Link, Error> {
    Link::open(url, Role::Play, &Options::default()).await
}

/// Reads up to `connect`; the application that it names.
async fn connect(peer: &mut Peer) -> String {
    match peer.event().await {
        Some(Event::Connect(connect)) => connect.app,
        other => panic!("{other:?}"),
    }
}

async fn redirect(server: &Server, to: &str) {
    let mut peer = server.accept().await;
    connect(&mut peer).await;
    peer.session.redirect_connect(to);
    peer.flush().await;
    peer.closed().await;
}

async fn refuse(server: &Server, description: &str) -> String {
    let mut peer = server.accept().await;
    let app = connect(&mut peer).await;
    peer.session.reject_connect("NetConnection.Connect.Rejected", description);
    peer.flush().await;
    peer.closed().await;
    app
}

#[tokio::test]
async fn redirects_are_followed_to_where_the_stream_is() {
    let (first, second, third) = (Server::start().await, Server::start().await, Server::start().await);
    let servers = async {
        redirect(&first, &second.url().tc_url()).await;
        redirect(&second, &format!("{}/me", third.url().tc_url())).await;
        let mut peer = third.accept().await;
        peer.play().await;
        peer
    };
    let from = first.url();
    let (_peer, link) = tokio::join!(servers, open(&from));
    assert_eq!(link.unwrap().url(), &third.url());
}

#[tokio::test]
async fn redirects_in_a_circle_and_without_end_are_not_followed() {
    let (first, second) = (Server::start().await, Server::start().await);
    let circle = async {
        redirect(&first, &second.url().tc_url()).await;
        redirect(&second, &first.url().tc_url()).await;
    };
    let from = first.url();
    let ((), error) = tokio::join!(circle, open(&from));
    let error = error.unwrap_err();
    assert!(matches!(&error, Error::Redirects(what) if what.contains("in a circle")), "{error}");

    let endless = async {
        for number in 0..=link::limits::REDIRECTS_MAX {
            redirect(&first, &format!("{}/{number}", first.url().tc_url())).await;
        }
    };
    let ((), error) = tokio::join!(endless, open(&from));
    let error = error.unwrap_err();
    assert!(matches!(&error, Error::Redirects(what) if what.contains("more than")), "{error}");
    assert!(!error.is_transient());
}

const ASKS: &str = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";

#[tokio::test]
async fn a_server_that_asks_is_told_the_name_and_then_the_password() {
    let server = Server::start().await;
    let url = Url::parse(&server.url().to_string().replace("://", "://user:secret@")).unwrap();
    let asking = async {
        assert_eq!(refuse(&server, ASKS).await, "live");
        let challenge = "[ AccessManager.Reject ] : [ authmod=adobe ] : \
            ?reason=needauth&user=user&salt=aa&challenge=bb&opaque=cc";
        assert_eq!(refuse(&server, challenge).await, "live?authmod=adobe&user=user");
        let mut peer = server.accept().await;
        peer.play().await;
        peer
    };
    let (_peer, link) = tokio::join!(asking, open(&url));
    let link = link.unwrap();
    assert!(!link.url().to_string().contains("secret") && !format!("{link:?}").contains("secret"));
}

#[tokio::test]
async fn credentials_that_are_missing_or_wrong_are_told_apart() {
    let server = Server::start().await;
    let from = server.url();
    let (_, error) = tokio::join!(refuse(&server, ASKS), open(&from));
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Credentials { given: false }), "{error}");

    let url = Url::parse(&from.to_string().replace("://", "://user:wrong@")).unwrap();
    let wrong = async {
        refuse(&server, ASKS).await;
        refuse(&server, "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=nosuchuser").await;
    };
    let ((), error) = tokio::join!(wrong, open(&url));
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Credentials { given: true }) && !error.is_transient(), "{error}");
}

#[tokio::test]
async fn what_stands_in_the_way_is_one_line() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = open(&Url::parse(&format!("rtmp://{gone}/live/me")).unwrap()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the connection failed: cannot connect to {gone}: Connection refused (os error 111)")
    );
    assert!(error.is_transient());

    let server = Server::start().await;
    let from = server.url();
    let (_, error) = tokio::join!(refuse(&server, "not you"), open(&from));
    assert_eq!(
        error.unwrap_err().to_string(),
        "the server refused: not you (NetConnection.Connect.Rejected)"
    );

    let hangs_up = async {
        let mut peer = server.accept().await;
        peer.hang_up().await;
        peer.ignore().await;
    };
    let ((), error) = tokio::join!(hangs_up, open(&from));
    assert_eq!(
        error.unwrap_err().to_string(),
        "the server closed the connection before it accepted the stream"
    );
}

#[tokio::test]
async fn a_server_that_asks_and_does_not_read_is_left() {
    let server = Server::start().await;
    let from = server.url();
    let flood = async {
        let mut peer = server.accept().await;
        peer.play().await;
        peer.ping_until_closed().await;
    };
    let player = async {
        let mut link = open(&from).await.unwrap();
        // Far more than sockets hold.
        while link.bytes_in() < 64 << 20 {
            match link.step().await {
                Ok(open) => assert!(open),
                Err(error) => return Some(error),
            }
        }
        None
    };
    let ((), error) = tokio::join!(flood, player);
    assert!(matches!(error, Some(Error::Protocol(rtmp::Error::Violation(_)))), "{error:?}");
}
