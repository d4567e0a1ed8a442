//! Publishing to a server made of the RTMP session of the other side.

use broadcaster::source::{Replay, Timeline};
use broadcaster::{Error, Feed, Options, Source, Stats, push};
use bytes::{Bytes, BytesMut};
use media::container::flv;
use media::{Codec, Flags, Packet, Role, Time, TrackId};
use rtmp::server::{Config, Event, Session};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What a connection brought.
#[derive(Debug, Default, Clone)]
struct Received {
    packets: Vec<Packet>,
    unpublished: bool,
}

#[derive(Default)]
struct Server {
    connections: Mutex<Vec<Received>>,
    /// Told after every packet.
    progress: Notify,
    /// Closes the first connection after so many packets.
    first_closes_after: Option<usize>,
    refuses: bool,
    /// Asks the first connection to come again after its first packets, and then lets the source go on.
    first_moves: Option<SyncSender<()>>,
}

impl Server {
    async fn start(self) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("rtmp://{}/live/me", listener.local_addr().unwrap());
        let server = Arc::new(self);
        let serving = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = {
                    let mut connections = serving.connections.lock().unwrap();
                    connections.push(Received::default());
                    connections.len() - 1
                };
                serving.serve(stream, number).await;
            }
        });
        (server, url)
    }

    async fn serve(&self, mut stream: TcpStream, number: usize) {
        let mut session = Session::new(Config::default(), [7; 32], Instant::now());
        let mut input = BytesMut::new();
        let mut asked = None;
        while stream.read_buf(&mut input).await.is_ok_and(|count| count > 0) {
            if session.handle_input(Instant::now(), &mut input).is_err() {
                return;
            }
            while let Some(event) = session.poll_event() {
                match event {
                    Event::Connect(_) => session.accept_connect(),
                    Event::Publish(publish) if self.refuses => {
                        session.reject_publish(publish.stream_id, "NetStream.Publish.Denied", "wrong key");
                    }
                    Event::Publish(publish) => session.accept_publish(publish.stream_id),
                    Event::Message(message) => {
                        let mut packets = Vec::new();
                        let dts = Time::from_millis(message.timestamp.into());
                        flv::read_body(message.kind, dts, &message.payload, &mut packets).unwrap();
                        let mut connections = self.connections.lock().unwrap();
                        connections[number].packets.extend(packets);
                        self.progress.notify_one();
                        let count = connections[number].packets.len();
                        if let (Some(ask), 0, AT_FIRST) = (&self.first_moves, number, count) {
                            assert!(session.request_reconnect(Some("/live"), "moving"));
                            asked = Some(ask);
                        }
                        if number == 0 && self.first_closes_after.is_some_and(|limit| count >= limit) {
                            return;
                        }
                    }
                    Event::Unpublish { .. } => self.connections.lock().unwrap()[number].unpublished = true,
                    _ => {}
                }
            }
            while let Some(bytes) = session.poll_output() {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            if let Some(asked) = asked.take() {
                asked.send(()).unwrap();
            }
        }
    }

    fn received(&self) -> Vec<Received> {
        self.connections.lock().unwrap().clone()
    }

    async fn until(&self, done: impl Fn(&[Received]) -> bool) {
        let waiting = async {
            while !done(&self.received()) {
                self.progress.notified().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("the server never got there");
    }
}

/// Four groups of ten pictures, ten to a second.
fn clip() -> Vec<Packet> {
    let packet = |role, index: i64, payload: Bytes| Packet {
        track: TrackId::VIDEO,
        codec: Codec::H264,
        role,
        flags: Flags { keyframe: role == Role::Frame && index % 10 == 0, disposable: false },
        dts: Time::from_millis(index * 100),
        pts: Time::from_millis(index * 100 + 200),
        payload,
    };
    let avcc = Bytes::from_static(&[1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, 1, 0x67, 1, 0, 1, 0x68]);
    let mut config = packet(Role::Config, 0, avcc);
    config.pts = config.dts;
    let frame = |index: i64| {
        let kind = if index % 10 == 0 { 0x65 } else { 0x41 };
        let mut payload = vec![0, 0, 4, 0, kind];
        payload.resize(4 + 1024, index as u8 | 1);
        packet(Role::Frame, index, payload.into())
    };
    std::iter::once(config).chain((0..40).map(frame)).collect()
}

fn at_once() -> Options {
    Options { speed: 0.0, ..Options::default() }
}

/// Packets that a source gives before it waits for the server to ask for the move.
const AT_FIRST: usize = 5;

/// A clip that goes on when the server has asked.
struct Held {
    clip: Replay,
    given: usize,
    asked: Receiver<()>,
}

impl Source for Held {
    fn next(&mut self) -> Result<Option<Packet>, Error> {
        if self.given == AT_FIRST {
            self.asked.recv().unwrap();
        }
        self.given += 1;
        self.clip.next()
    }

    fn rewind(&mut self) -> Result<(), Error> {
        self.clip.rewind()
    }
}

#[tokio::test]
async fn a_source_arrives_whole_and_is_unpublished_at_its_end() {
    let (server, url) = Server::default().start().await;
    let stats = Stats::default();
    let feed = Feed::threaded(Replay::new(clip())).unwrap();
    push(feed, &url, at_once(), &stats, std::future::pending()).await.unwrap();
    let received = server.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].packets, clip());
    assert!(received[0].unpublished);
    assert_eq!(stats.snapshot().video_frames, 40);
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_begins_with_configuration_and_a_keyframe() {
    let (server, url) = Server { first_closes_after: Some(15), ..Server::default() }.start().await;
    let stats = Stats::default();
    let feed = Feed::inline(Timeline::new(Replay::new(clip()), true));
    let enough =
        server.until(|connections| connections.get(1).is_some_and(|second| second.packets.len() > 12));
    push(feed, &url, at_once(), &stats, enough).await.unwrap();
    let second = &server.received()[1];
    assert_eq!(second.packets[0].role, Role::Config);
    assert!(second.packets[1].is_video_keyframe());
    assert!(second.unpublished);
    let first_end = server.received()[0].packets.last().map(|packet| packet.dts);
    assert!(second.packets.is_sorted_by_key(|packet| packet.dts));
    assert!(Some(second.packets[0].dts) >= first_end, "time does not go back");
    assert!(stats.snapshot().dropped > 0 && stats.snapshot().connections == 2);
}

#[tokio::test]
async fn a_refusal_is_final_and_carries_what_the_server_said() {
    let (server, url) = Server { refuses: true, ..Server::default() }.start().await;
    let options = Options { retries_at_start: 5, ..at_once() };
    let feed = Feed::inline(Replay::new(clip()));
    let error = push(feed, &url, options, &Stats::default(), std::future::pending()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Link(link::Error::Refused { code, .. }) if code == "NetStream.Publish.Denied"),
        "{error}"
    );
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn nobody_there_is_an_error_at_once_unless_retries_are_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtmp://{}/live/me", listener.local_addr().unwrap());
    drop(listener);
    let feed = Feed::inline(Replay::new(clip()));
    let error = push(feed, &url, at_once(), &Stats::default(), std::future::pending()).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_publisher_that_is_asked_to_move_goes_at_a_keyframe_and_loses_nothing() {
    let (ask, asked) = sync_channel(1);
    let (server, url) = Server { first_moves: Some(ask), ..Server::default() }.start().await;
    let stats = Stats::default();
    let feed = Feed::threaded(Held { clip: Replay::new(clip()), given: 0, asked }).unwrap();
    let options = Options { speed: 20.0, ..Options::default() };
    push(feed, &url, options, &stats, std::future::pending()).await.unwrap();
    let received = server.received();
    assert_eq!(received.len(), 2);
    assert!(received.iter().all(|connection| connection.unpublished));
    assert_eq!(received[1].packets[0].role, Role::Config);
    assert!(received[1].packets[1].is_video_keyframe());
    let both: Vec<_> = received.into_iter().flat_map(|connection| connection.packets).collect();
    let frames =
        |packets: Vec<Packet>| packets.into_iter().filter(|p| p.role == Role::Frame).collect::<Vec<_>>();
    assert_eq!(frames(both), frames(clip()));
    assert_eq!((stats.snapshot().dropped, stats.snapshot().connections), (0, 2));
}
