//! Players that are asked to go elsewhere.

use crate::peer::{Server, number_of, picture, settings};
use link::{Event, Link, Options, Role};
use rtmp::Message;

/// Numbers and times of the next `count` pictures.
async fn pictures(link: &mut Link, count: usize) -> Vec<(u32, u32)> {
    let mut found = Vec::new();
    while found.len() < count {
        while let Some(event) = link.poll_event() {
            if let Event::Message(message) = event {
                found.extend(number_of(&message));
            }
        }
        if found.len() < count {
            assert!(link.step().await.unwrap(), "the stream ended after {found:?}");
        }
    }
    found
}

fn whole(numbers: std::ops::Range<u32>) -> Vec<(u32, u32)> {
    numbers.map(|number| (number, number * 40)).collect()
}

fn stream(numbers: std::ops::Range<u32>, zero: u32) -> Vec<Message> {
    settings().into_iter().chain(numbers.map(|number| picture(number, zero))).collect()
}

#[tokio::test]
async fn a_player_goes_over_to_the_other_server_without_a_gap() {
    let (first, second) = (Server::start().await, Server::start().await);
    let other = second.url().tc_url();
    let servers = async {
        let mut old = first.accept().await;
        old.play().await;
        old.send(&stream(0..17, 0)).await;
        assert!(old.session.request_reconnect(Some(&other), "elsewhere"));
        old.flush().await;
        // The old server goes on until it has been left.
        let mut new = second.accept().await;
        old.send(&stream(17..19, 0)[2..]).await;
        new.play().await;
        new.send(&stream(10..30, 100_000)).await;
        old.closed().await;
        new
    };
    let player = async {
        let mut link = Link::open(&first.url(), Role::Play, &Options::default()).await.unwrap();
        assert_eq!(pictures(&mut link, 30).await, whole(0..30));
        assert_eq!(link.url(), &second.url());
        link
    };
    tokio::join!(servers, player);
}

#[tokio::test]
async fn a_player_goes_over_even_if_the_old_server_does_not_wait() {
    let (first, second) = (Server::start().await, Server::start().await);
    let other = second.url().tc_url();
    let servers = async {
        let mut old = first.accept().await;
        old.play().await;
        old.send(&stream(0..5, 0)).await;
        old.session.request_reconnect(Some(&other), "elsewhere");
        old.flush().await;
        old.hang_up().await;
        let mut new = second.accept().await;
        new.play().await;
        // The keyframe that both would know is long gone.
        new.send(&stream(20..23, 7_000)).await;
        new
    };
    let player = async {
        let mut link = Link::open(&first.url(), Role::Play, &Options::default()).await.unwrap();
        let found = pictures(&mut link, 8).await;
        assert_eq!(found[..5], whole(0..5));
        assert_eq!(found[5..].iter().map(|(number, _)| *number).collect::<Vec<_>>(), [20, 21, 22]);
        assert!(found[5].1 > found[4].1 && found[6].1 == found[5].1 + 40, "time goes on: {found:?}");
    };
    tokio::join!(servers, player);
}

#[tokio::test]
async fn a_player_stays_where_it_is_if_the_other_server_refuses() {
    let (first, second) = (Server::start().await, Server::start().await);
    let other = second.url().tc_url();
    let servers = async {
        let mut old = first.accept().await;
        old.play().await;
        old.send(&stream(0..5, 0)).await;
        old.session.request_reconnect(Some(&other), "elsewhere");
        old.flush().await;
        let mut new = second.accept().await;
        let event = new.event().await;
        assert!(matches!(event, Some(rtmp::server::Event::Connect(_))), "{event:?}");
        new.session.reject_connect("NetConnection.Connect.Rejected", "not here");
        new.flush().await;
        new.closed().await;
        old.send(&stream(5..8, 0)[2..]).await;
        old
    };
    let player = async {
        let mut link = Link::open(&first.url(), Role::Play, &Options::default()).await.unwrap();
        assert_eq!(pictures(&mut link, 8).await, whole(0..8));
        assert_eq!(link.url(), &first.url());
        link
    };
    tokio::join!(servers, player);
}
