//! Whole connections, over pipes inside the process and with our own client session at the other end.

mod data;
mod playback;
mod recorded;
mod refusals;
mod shared;
mod unread;

use super::*;
use crate::config::Config;
use ::rtmp::client::{self, Event as Told};
use ::rtmp::url::Url;
use bytes::BytesMut;
use media::{Codec, Flags, Packet, Role as PacketRole, StreamName, Time, TrackId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long a test waits before it fails.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A node without sockets.
pub(super) struct Node {
    pub(super) env: Arc<Env>,
    metrics: ProtocolMetrics,
    _trigger: net::ShutdownTrigger,
}

impl Node {
    pub(super) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let policy = config.access.to_policy(Some("0123456789abcdef".into()), None);
        let (trigger, shutdown) = net::Shutdown::new();
        let env = Env::new(config, policy, 1, shutdown);
        let metrics = env.metrics.protocol("rtmp");
        Self { env, metrics, _trigger: trigger }
    }

    /// A client that has begun to connect.
    pub(super) fn connect(&self, config: client::Config) -> Client {
        let (ours, theirs) = net::pipe(1 << 20);
        let peer = SocketAddr::from(([192, 0, 2, 1], 40_000));
        tokio::spawn(serve(self.env.clone(), self.metrics.clone(), Stream::Pipe(theirs), peer));
        let session = client::Session::new(config, [7; 32], Instant::now());
        Client { session, stream: Stream::Pipe(ours), input: BytesMut::new() }
    }

    /// A client whose stream has started.
    pub(super) async fn open(&self, config: client::Config) -> Client {
        let mut client = self.connect(config);
        client.until(|told| matches!(told, Told::Playing | Told::Publishing)).await;
        client
    }

    pub(super) async fn play(&self, channel: &str) -> Client {
        self.open(client::Config::play(&url(channel))).await
    }

    pub(super) async fn publish(&self, channel: &str) -> Client {
        self.open(client::Config::publish(&url(&format!("{channel}?key=0123456789abcdef")))).await
    }

    /// A publisher that writes packets straight to the hub.
    pub(super) fn source(&self, channel: &str) -> hub::Publisher {
        let name = StreamName::parse("live", channel).unwrap();
        self.env.origin.publish(&name, Instant::now()).unwrap()
    }
}

fn url(channel: &str) -> Url {
    Url::parse(&format!("rtmp://host/live/{channel}")).unwrap()
}

/// The other end of a connection.
pub(super) struct Client {
    pub(super) session: client::Session,
    stream: Stream,
    input: BytesMut,
}

impl Client {
    /// The next thing the server said; `None` when it has closed.
    pub(super) async fn next(&mut self) -> Option<Told> {
        tokio::time::timeout(ANSWER_MAX, self.read()).await.expect("the server says something")
    }

    /// Sends what the session wants to send, and lets the server take it.
    pub(super) async fn flush(&mut self) {
        while let Some(bytes) = self.session.poll_output() {
            // The server may have closed.
            let _ = self.stream.write_all(&bytes).await;
        }
        // Both are tasks of one thread, so that the server runs whenever the test does not.
        tokio::task::yield_now().await;
    }

    async fn read(&mut self) -> Option<Told> {
        loop {
            self.flush().await;
            if let Some(told) = self.session.poll_event() {
                return Some(told);
            }
            if self.stream.read_buf(&mut self.input).await.unwrap() == 0 {
                return None;
            }
            self.session.handle_input(Instant::now(), &mut self.input).unwrap();
        }
    }

    /// What the server said until something that fits, with that at the end.
    pub(super) async fn until(&mut self, fits: impl Fn(&Told) -> bool) -> Vec<Told> {
        let mut all = Vec::new();
        loop {
            let Some(told) = self.next().await else { panic!("closed after {all:?}") };
            let done = fits(&told);
            all.push(told);
            if done {
                return all;
            }
        }
    }

    /// As [`Client::until`] a status of this code, in short.
    pub(super) async fn until_status(&mut self, code: &str) -> Vec<String> {
        let fits = |told: &Told| matches!(told, Told::Status(status) if status.code == code);
        short(&self.until(fits).await)
    }

    /// As [`Client::until`] a message of this time and kind, in short.
    pub(super) async fn until_message(&mut self, wanted: &str) -> Vec<String> {
        short(&self.until(|told| short(std::slice::from_ref(told)) == [wanted]).await)
    }
}

/// Messages as their kind and time, with their first bytes where they are not frames; other things as their code.
pub(super) fn short(told: &[Told]) -> Vec<String> {
    let one = |told: &Told| match told {
        Told::Message(message) => {
            let kind = match (message.kind, &message.payload[..]) {
                (9, [0x17, 1, ..]) => "K",
                (9, [0x17, 0, ..]) => "config",
                (9, _) => "V",
                (8, _) => "A",
                _ => "data",
            };
            format!("{kind}{}", message.timestamp)
        }
        Told::Status(status) | Told::Ended(status) | Told::Rejected(status) => status.code.clone(),
        other => format!("{other:?}"),
    };
    told.iter().map(one).collect()
}

/// A packet of a time in milliseconds.
pub(super) fn packet(track: TrackId, dts: i64, keyframe: bool) -> Packet {
    let dts = Time::from_millis(dts);
    let is_audio = track == TrackId::AUDIO;
    Packet {
        track,
        codec: if is_audio { Codec::Aac } else { Codec::H264 },
        role: PacketRole::Frame,
        flags: Flags { keyframe, disposable: false },
        dts,
        pts: dts,
        payload: vec![0; if is_audio { 100 } else { 1000 }].into(),
    }
}

/// Seconds `from..until` of ten pictures with sound each, the first picture of each a keyframe.
pub(super) fn write(source: &mut hub::Publisher, seconds: std::ops::Range<i64>) {
    for ms in (seconds.start * 10..seconds.end * 10).map(|tenth| tenth * 100) {
        for packet in [packet(TrackId::VIDEO, ms, ms % 1000 == 0), packet(TrackId::AUDIO, ms, false)] {
            source.write(packet, Instant::now()).unwrap();
        }
    }
}

#[tokio::test]
async fn client_of_an_application_that_has_moved_is_told_where() {
    let node = Node::new(|config| {
        let moved = crate::config::RtmpRedirect { app: "live".to_owned(), to: "rtmp://other/new".to_owned() };
        config.rtmp.redirect.push(moved);
    });
    let mut client = node.connect(client::Config::play(&url("cam?key=x")));
    assert_eq!(client.next().await, Some(Told::Redirect { tc_url: "rtmp://other/new".to_owned() }));
    assert_eq!(client.next().await, None, "and that is all");
}
