//! Streams inside HTTP requests.

use crate::peer::{number_of, picture, settings};
use bytes::{Buf, BufMut, BytesMut};
use link::{Event, Link, Options, Role};
use rtmp::chunk;
use rtmp::server::{Config, Session};
use rtmp::tunnel::{Call, SessionId, read_request, write_open_reply, write_reply_head};
use rtmp::url::Url;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PICTURES: u32 = 20;

/// A server that plays one stream through a tunnel.
struct Server {
    listener: TcpListener,
    session: Session,
    input: BytesMut,
    /// Bytes of the session that wait for a reply.
    waiting: BytesMut,
    requests: usize,
}

impl Server {
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let session = Session::new(Config::default(), [7; 32], Instant::now());
        let (input, waiting) = (BytesMut::new(), BytesMut::new());
        (Self { listener, session, input, waiting, requests: 0 }, address)
    }

    /// Serves until the client ends its session; hangs up after so many replies on a connection.
    async fn serve(mut self, replies_max: usize) -> Self {
        loop {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut http = BytesMut::new();
            for _ in 0..replies_max {
                let request = loop {
                    if let Some(request) = read_request(&mut http).unwrap() {
                        break request;
                    }
                    assert!(stream.read_buf(&mut http).await.unwrap() > 0, "the client hung up");
                };
                while http.len() < request.body_bytes {
                    stream.read_buf(&mut http).await.unwrap();
                }
                let body = http.split_to(request.body_bytes);
                let reply = self.reply(request.call, &body);
                stream.write_all(&reply).await.unwrap();
                if matches!(request.call, Call::Close(..)) {
                    return self;
                }
            }
        }
    }

    fn reply(&mut self, call: Call, body: &[u8]) -> BytesMut {
        let mut reply = BytesMut::new();
        match call {
            Call::Open => {
                write_open_reply(&mut reply, SessionId::new([1; 16]), true, true);
                return reply;
            }
            Call::Send(_, number) | Call::Idle(_, number) | Call::Close(_, number) => {
                assert_eq!(number, self.requests as u64);
            }
            Call::Unknown => panic!("no request of a tunnel"),
        }
        self.requests += 1;
        if matches!(call, Call::Send(..)) {
            self.input.extend_from_slice(body);
            self.session.handle_input(Instant::now(), &mut self.input).unwrap();
            self.answer();
        }
        // A little at a time, so that it takes many replies.
        let bytes = self.waiting.split_to(self.waiting.len().min(1000));
        write_reply_head(&mut reply, 1 + bytes.len(), true, false);
        reply.put_u8(1);
        reply.put_slice(&bytes);
        reply
    }

    /// What the session and the stream have to say.
    fn answer(&mut self) {
        let mut playing = None;
        while let Some(event) = self.session.poll_event() {
            match event {
                rtmp::server::Event::Connect(_) => self.session.accept_connect(),
                rtmp::server::Event::Play(play) => {
                    self.session.accept_play(play.stream_id);
                    playing = Some(play.stream_id);
                }
                _ => {}
            }
        }
        while let Some(bytes) = self.session.poll_output() {
            self.waiting.put(bytes);
        }
        let Some(stream_id) = playing else { return };
        let mut media = BytesMut::new();
        for message in settings().into_iter().chain((0..PICTURES).map(|number| picture(number, 0))) {
            let parts = [message.payload.chunk(), &[0; 200]];
            let chunk_size = self.session.out_chunk_size();
            chunk::write_message(
                &mut media,
                chunk_size,
                6,
                stream_id,
                message.kind,
                message.timestamp,
                &parts,
            );
        }
        self.session.seal(&mut media);
        self.waiting.put(media);
    }
}

async fn plays(scheme: &str, replies_max: usize) {
    let (server, address) = Server::start().await;
    let url = Url::parse(&format!("{scheme}://{address}/live/me")).unwrap();
    let player = async {
        let mut link = Link::open(&url, Role::Play, &Options::default()).await.unwrap();
        let mut last = None;
        while last != Some(PICTURES - 1) {
            while let Some(event) = link.poll_event() {
                if let Event::Message(message) = event
                    && let Some((number, _)) = number_of(&message)
                {
                    assert_eq!(number, last.map_or(0, |last| last + 1));
                    last = Some(number);
                }
            }
            if last != Some(PICTURES - 1) {
                assert!(link.step().await.unwrap());
            }
        }
        link.finish().await;
    };
    let (server, ()) = tokio::join!(server.serve(replies_max), player);
    assert_eq!(server.session.is_encrypted(), scheme == "rtmpte");
    assert!(server.requests > 10, "{}", server.requests);
}

#[tokio::test]
async fn a_stream_plays_through_a_tunnel() {
    plays("rtmpt", usize::MAX).await;
}

#[tokio::test]
async fn an_encrypted_stream_plays_through_a_tunnel() {
    plays("rtmpte", usize::MAX).await;
}

#[tokio::test]
async fn a_tunnel_outlives_its_connections() {
    plays("rtmpt", 2).await;
    plays("rtmpte", 1).await;
}
