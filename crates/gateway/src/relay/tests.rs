//! Nodes on loopback sockets that send streams to each other.

use super::{AddError, RemoveError, limits, supervise};
use crate::config::{Config, PullMode, RelayPull, RelayPush, RelayUrl};
use crate::{Env, rtmp};
use api::RelayState;
use bytes::Bytes;
use hub::{BatchLimits, EndReason, Entry, Next, ReadOptions, Reader};
use link::Reach;
use media::{Codec, Flags, Packet, Role, StreamName, Time, TrackId};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

const DEADLINE: Duration = Duration::from_secs(20);
const KEY: &str = "a-key-for-tests";

/// A node with an RTMP listener. Dropping it is a crash: its sockets close.
struct Node {
    env: Arc<Env>,
    trigger: net::ShutdownTrigger,
    listening: Option<AbortHandle>,
    _tasks: JoinSet<()>,
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

impl Node {
    fn start(listener: TcpListener, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.access.publish_key = Some(KEY.into());
        config.hub.wait_ms = 2000;
        config.relay.retry_max_ms = 200;
        config.relay.idle_stop_ms = 50;
        change(&mut config);
        config.validate().unwrap();
        let policy = config.access.to_policy(None, None);
        let (trigger, shutdown) = net::Shutdown::new();
        let env = Env::new(config, policy, 1, shutdown);
        let mut tasks = JoinSet::new();
        tasks.spawn(supervise(env.clone()));
        tasks.spawn({
            let env = env.clone();
            async move {
                loop {
                    env.origin.handle_timeout(Instant::now());
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
        let listening = tasks.spawn({
            let env = env.clone();
            async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, peer)) = listener.accept().await {
                    let metrics = env.metrics.protocol("rtmp");
                    connections.spawn(rtmp::serve(env.clone(), metrics, stream.into(), peer));
                }
            }
        });
        Self { env, trigger, listening: Some(listening), _tasks: tasks }
    }

    /// Closes the listener and all its connections, without a word to the peers.
    fn cut(&mut self) {
        self.listening.take().unwrap().abort();
    }

    fn push(&self, index: usize) -> api::PushTarget {
        self.env.relays.to_api(&self.env, |_| true).push.swap_remove(index)
    }

    fn pull(&self) -> api::PullStream {
        self.env.relays.to_api(&self.env, |_| true).pull.swap_remove(0)
    }

    fn read(&self, name: &StreamName) -> Reader {
        let options = ReadOptions { pace: None, wait_max: Duration::from_secs(5), ..ReadOptions::default() };
        self.env.origin.read(name, options, Instant::now()).unwrap()
    }
}

fn name(channel: &str) -> StreamName {
    StreamName::parse("live", channel).unwrap()
}

fn push_to(stream: &str, url: String) -> RelayPush {
    RelayPush { stream: stream.to_owned(), url: RelayUrl(url), name: "test".to_owned() }
}

fn pull_from(stream: &str, urls: &[String]) -> RelayPull {
    let mut urls = urls.iter().cloned().map(RelayUrl);
    RelayPull {
        stream: stream.to_owned(),
        url: urls.next().unwrap(),
        backups: urls.collect(),
        ..RelayPull::default()
    }
}

/// Waits until `check` answers.
async fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = check() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("it did not happen that {what}"))
}

fn video(dts: i64, keyframe: bool, source: u8) -> Packet {
    Packet {
        track: TrackId::VIDEO,
        codec: Codec::H264,
        role: Role::Frame,
        flags: Flags { keyframe, disposable: false },
        dts: Time::from_millis(dts),
        pts: Time::from_millis(dts),
        payload: Bytes::copy_from_slice(&[0, 0, 0, 2, source, 0]),
    }
}

fn config(source: u8) -> Packet {
    Packet { role: Role::Config, payload: Bytes::copy_from_slice(&[source; 8]), ..video(0, false, source) }
}

/// Publishes 100 pictures a second, a keyframe every ten, marked with `source`, until it is aborted. Times begin at
/// `start` milliseconds.
fn publish(env: &Arc<Env>, name: &StreamName, source: u8, start: i64) -> tokio::task::JoinHandle<()> {
    let mut publisher = env.origin.publish(name, Instant::now()).unwrap();
    tokio::spawn(async move {
        publisher.write(config(source), Instant::now()).unwrap();
        for count in 0.. {
            let packet = video(start + count * 10, count % 10 == 0, source);
            if publisher.write(packet, Instant::now()).is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
}

/// The next frames of a reader: an error when the stream ends.
async fn next(reader: &mut Reader) -> Result<Vec<Arc<Entry>>, EndReason> {
    let mut batch = Vec::new();
    loop {
        let picking = poll_fn(|cx| reader.poll_next(Instant::now(), &mut batch, BatchLimits::default(), cx));
        match tokio::time::timeout(DEADLINE, picking).await.expect("something comes") {
            Next::Packets => return Ok(batch),
            Next::Later(at) => tokio::time::sleep_until(at.into()).await,
            Next::Dry => {}
            Next::Ended(reason) => return Err(reason),
        }
    }
}

/// Reads until a frame marked with `source` comes. Checks that time never goes back, and that what follows a change of the
/// source is its configuration and a keyframe.
async fn read_until(reader: &mut Reader, last: &mut Option<(Time, u8)>, source: u8) {
    loop {
        for entry in next(reader).await.unwrap() {
            let packet = &entry.packet;
            if packet.role != Role::Frame {
                continue;
            }
            let from = packet.payload[4];
            if let Some((dts, before)) = *last {
                assert!(packet.dts >= dts, "{:?} after {dts:?}", packet.dts);
                assert!(before == from || packet.flags.keyframe, "source {from} begins with a keyframe");
            }
            *last = Some((packet.dts, from));
        }
        if last.is_some_and(|(_, from)| from == source) {
            return;
        }
    }
}

#[tokio::test]
async fn a_stream_that_has_the_name_of_a_rung_is_pushed_while_somebody_publishes_it() {
    let (listener_b, b) = listener().await;
    let there = Node::start(listener_b, |_| {});
    let (listener_a, _) = listener().await;
    let url = format!("rtmp://{b}/copy/{{channel}}?key={KEY}");
    let here = Node::start(listener_a, |config| config.relay.push.push(push_to("live/*", url)));
    let mut publisher = here.env.origin.publish(&name("cam~480p"), Instant::now()).unwrap();
    publisher.write(config(1), Instant::now()).unwrap();
    publisher.write(video(0, true, 1), Instant::now()).unwrap();
    let copy = StreamName::parse("copy", "cam~480p").unwrap();
    until("the copy is live", || there.env.origin.stream(&copy).filter(|s| s.last_dts.is_some())).await;
    publisher.finish();
    until("the push ends with it", || here.env.relays.table().pushes.is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_stream_reaches_another_node_from_zero_and_is_unpublished_with_its_end() {
    let (listener_b, b) = listener().await;
    let there = Node::start(listener_b, |_| {});
    let (listener_a, _) = listener().await;
    let url = format!("rtmp://{b}/copy/{{channel}}?key={KEY}");
    let here = Node::start(listener_a, |config| config.relay.push.push(push_to("live/*", url)));
    assert_eq!((here.push(0).progress.state, here.push(0).stream.as_str()), (RelayState::Waiting, "live/*"));
    let publisher = publish(&here.env, &name("cam"), 1, 5_000_000);
    let copy = StreamName::parse("copy", "cam").unwrap();
    let status =
        until("the copy is live", || there.env.origin.stream(&copy).filter(|s| s.last_dts.is_some())).await;
    assert!(status.last_dts.unwrap() < Time::from_millis(60_000), "{:?}", status.last_dts);
    let target = until("frames are counted", || Some(here.push(0)).filter(|t| t.progress.frames > 0)).await;
    assert_eq!((target.progress.state, target.progress.connections), (RelayState::Live, 1));
    assert_eq!((target.stream.as_str(), target.url), ("live/cam", format!("rtmp://{b}/copy/cam")));
    publisher.abort();
    // Lost, not finished: the target waits with everybody until the time of grace is over.
    until("it is lost", || here.env.origin.presence(&name("cam")).rank.is_none().then_some(())).await;
    let _again = publish(&here.env, &name("cam"), 2, 0);
    let mut reader = there.read(&copy);
    read_until(&mut reader, &mut None, 2).await;
    here.trigger.trigger();
    while next(&mut reader).await.is_ok() {}
    assert_eq!(next(&mut reader).await.err(), Some(EndReason::Finished), "shutdown unpublishes");
    until("no task is left", || (here.env.relays.active() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_target_that_is_down_is_tried_again_until_it_is_there() {
    let (listener_b, b) = listener().await;
    drop(listener_b);
    let (listener_a, _) = listener().await;
    let url = format!("rtmp://{b}/live/cam?key={KEY}");
    let here = Node::start(listener_a, |config| config.relay.push.push(push_to("live/cam", url)));
    let publisher = publish(&here.env, &name("cam"), 1, 0);
    let why = until("it has failed", || here.push(0).progress.last_failure).await.why;
    assert!(why.contains("refused") && !why.contains(KEY), "{why}");
    let there = Node::start(TcpListener::bind(b).await.unwrap(), |_| {});
    until("it is live", || (here.push(0).progress.state == RelayState::Live).then_some(())).await;
    assert!(here.push(0).progress.last_failure.is_some(), "the last failure stays known");
    until("the stream is there", || there.env.origin.stream(&name("cam"))).await;
    publisher.abort();
}

#[tokio::test]
async fn a_target_that_refuses_says_why_without_its_key_and_ends_with_the_stream() {
    let (listener_b, b) = listener().await;
    let _there = Node::start(listener_b, |_| {});
    let (listener_a, _) = listener().await;
    let url = format!("rtmp://{b}/live/cam?key=the-wrong-key");
    let here = Node::start(listener_a, |config| config.relay.push.push(push_to("live/cam", url)));
    let mut publisher = here.env.origin.publish(&name("cam"), Instant::now()).unwrap();
    publisher.write(video(0, true, 1), Instant::now()).unwrap();
    let target = until("it refuses", || {
        Some(here.push(0)).filter(|target| target.progress.state == RelayState::Refused)
    })
    .await;
    let why = target.progress.last_failure.unwrap().why;
    assert!(why.contains("the key is not valid") && !why.contains("the-wrong-key"), "{why}");
    assert!(target.progress.next_attempt_ms.unwrap() > 1000);
    publisher.finish();
    until("the task has ended", || (here.env.relays.active() == 0).then_some(())).await;
    assert_eq!(here.push(0).progress.state, RelayState::Waiting);
}

#[tokio::test]
async fn a_target_that_never_answers_is_given_up_in_time() {
    let (silent, b) = listener().await;
    let (listener_a, _) = listener().await;
    let here = Node::start(listener_a, |config| {
        config.relay.push.push(push_to("live/cam", format!("rtmp://{b}/live/cam")));
        config.relay.connect_timeout_ms = 50;
    });
    let _publisher = publish(&here.env, &name("cam"), 1, 0);
    let why = until("it has failed", || here.push(0).progress.last_failure).await.why;
    assert!(why.contains("did not answer in time"), "{why}");
    drop(silent);
}

#[tokio::test]
async fn a_target_that_leads_back_is_refused_here() {
    let (listener_a, a) = listener().await;
    let here = Node::start(listener_a, |config| {
        config.relay.push.push(push_to("live/cam", format!("rtmp://{a}/live/cam")));
    });
    let _publisher = publish(&here.env, &name("cam"), 1, 0);
    let why = until("it is refused", || here.push(0).progress.last_failure).await.why;
    assert!(why.contains("circle"), "{why}");
}

#[tokio::test]
async fn copies_of_copies_come_to_an_end() {
    let (listener_a, a) = listener().await;
    let here = Node::start(listener_a, |config| {
        config.relay.push.push(push_to("live/*", format!("rtmp://{a}/live/{{channel}}x")));
    });
    let _publisher = publish(&here.env, &name("a"), 1, 0);
    let last = format!("a{}", "x".repeat(limits::PASSES_MAX - 1));
    until("the last copy is refused", || {
        let targets = here.env.relays.to_api(&here.env, |_| true).push;
        targets
            .into_iter()
            .find(|target| target.stream == format!("live/{last}") && target.progress.last_failure.is_some())
    })
    .await;
    assert!(here.env.origin.stream(&name(&format!("{last}x"))).is_none());
}

#[tokio::test]
async fn a_stream_is_fetched_for_its_first_viewer_and_left_after_the_last() {
    let (listener_b, b) = listener().await;
    let there = Node::start(listener_b, |_| {});
    let (listener_a, _) = listener().await;
    let url = format!("rtmp://{b}/live/{{channel}}");
    let here = Node::start(listener_a, |config| config.relay.pull.push(pull_from("live/*", &[url])));
    let _publisher = publish(&there.env, &name("cam"), 1, 0);
    assert_eq!((here.pull().stream.as_str(), here.env.relays.active()), ("live/*", 0));
    let mut viewer = here.read(&name("cam"));
    read_until(&mut viewer, &mut None, 1).await;
    let pull = until("it is shown as live", || {
        Some(here.pull()).filter(|pull| pull.sources[0].progress.state == RelayState::Live)
    })
    .await;
    assert_eq!((pull.stream.as_str(), pull.active, pull.published_here), ("live/cam", Some(0), false));
    until("there is a player", || (there.env.sessions.len() == 1).then_some(())).await;
    drop(viewer);
    until("the source is left", || (there.env.sessions.is_empty()).then_some(())).await;
    until("no task is left", || (here.env.relays.active() == 0).then_some(())).await;
    assert!(here.env.origin.stream(&name("cam")).is_none());
    let mut viewer = here.read(&name("cam"));
    read_until(&mut viewer, &mut None, 1).await;
}

#[tokio::test]
async fn a_stranger_with_a_long_way_behind_it_keeps_a_stream_from_nobody() {
    let (listener_b, b) = listener().await;
    let there = Node::start(listener_b, |_| {});
    let (listener_a, a) = listener().await;
    let here = Node::start(listener_a, |config| {
        config.relay.pull.push(pull_from("live/*", &[format!("rtmp://{b}/live/{{channel}}")]));
    });
    let _publisher = publish(&there.env, &name("cam"), 1, 0);
    let made_up: Vec<_> = (0..8).map(|tag| format!("{tag:016x}")).collect();
    let options = link::Options {
        note: Some(format!("via {}", made_up.join(","))),
        timeout: DEADLINE,
        ..link::Options::default()
    };
    let url = ::rtmp::url::Url::parse(&format!("rtmp://{a}/live/cam")).unwrap();
    // It is the first to ask, so the stream is fetched in its name; with a note that is believed, the other node would refuse.
    let stranger = link::Link::open(&url, link::Role::Play, &options).await.unwrap();
    read_until(&mut here.read(&name("cam")), &mut None, 1).await;
    assert_eq!(here.pull().sources[0].progress.last_failure, None);
    drop(stranger);
}

#[tokio::test]
async fn a_stream_that_had_to_wait_is_fetched_when_there_is_room_again() {
    let (listener_b, b) = listener().await;
    let there = Node::start(listener_b, |_| {});
    let (listener_a, _) = listener().await;
    let here = Node::start(listener_a, |config| {
        let url = format!("rtmp://{b}/live/{{channel}}");
        let always =
            RelayPull { mode: PullMode::Always, ..pull_from("live/always", std::slice::from_ref(&url)) };
        config.relay.pull = vec![always, pull_from("live/*", &[url])];
    });
    here.env.relays.table().pulls_max = 1;
    let _publishers =
        ["always", "one", "two", "three"].map(|channel| publish(&there.env, &name(channel), 1, 0));
    let mut first = here.read(&name("one"));
    read_until(&mut first, &mut None, 1).await;
    let (mut second, mut third) = (here.read(&name("two")), here.read(&name("three")));
    until("they wait", || (here.env.relays.table().refused.len() == 2).then_some(())).await;
    let mut always = here.read(&name("always"));
    read_until(&mut always, &mut None, 1).await;
    drop(first);
    let (mut of_second, mut of_third) = (None, None);
    let mut last = tokio::select! {
        () = read_until(&mut second, &mut of_second, 1) => {
            drop(second);
            third
        }
        () = read_until(&mut third, &mut of_third, 1) => {
            drop(third);
            second
        }
    };
    read_until(&mut last, &mut None, 1).await;
}

#[tokio::test]
async fn a_backup_goes_on_at_a_keyframe_and_the_first_source_comes_back() {
    for backups_connected in [false, true] {
        let (listener_b, b) = listener().await;
        let mut first = Node::start(listener_b, |_| {});
        let (listener_c, c) = listener().await;
        let second = Node::start(listener_c, |_| {});
        let (listener_a, _) = listener().await;
        let urls = [b, c].map(|address| format!("rtmp://{address}/live/cam"));
        let here = Node::start(listener_a, |config| {
            config.relay.pull.push(RelayPull { backups_connected, ..pull_from("live/cam", &urls) });
            config.relay.stall_ms = 500;
            config.relay.switch_back_ms = 100;
        });
        let _publisher = publish(&first.env, &name("cam"), 1, 0);
        let _other = publish(&second.env, &name("cam"), 2, 777_000);
        let (mut viewer, mut last) = (here.read(&name("cam")), None);
        read_until(&mut viewer, &mut last, 1).await;
        if backups_connected {
            until("the backup stands by", || {
                (here.pull().sources[1].progress.state == RelayState::Ready).then_some(())
            })
            .await;
        }
        first.cut();
        read_until(&mut viewer, &mut last, 2).await;
        assert_eq!(here.pull().active, Some(1));
        let again = Node::start(TcpListener::bind(b).await.unwrap(), |_| {});
        let _publisher = publish(&again.env, &name("cam"), 3, 0);
        read_until(&mut viewer, &mut last, 3).await;
        assert_eq!(here.pull().active, Some(0));
    }
}

#[tokio::test]
async fn a_source_that_falls_silent_is_left_for_the_next() {
    let (listener_b, b) = listener().await;
    let first = Node::start(listener_b, |_| {});
    let (listener_c, c) = listener().await;
    let second = Node::start(listener_c, |_| {});
    let (listener_a, _) = listener().await;
    let urls = [b, c].map(|address| format!("rtmp://{address}/live/cam"));
    let here = Node::start(listener_a, |config| {
        config.relay.pull.push(pull_from("live/cam", &urls));
        config.relay.stall_ms = 100;
    });
    let publisher = publish(&first.env, &name("cam"), 1, 0);
    let _other = publish(&second.env, &name("cam"), 2, 0);
    let (mut viewer, mut last) = (here.read(&name("cam")), None);
    read_until(&mut viewer, &mut last, 1).await;
    publisher.abort();
    read_until(&mut viewer, &mut last, 2).await;
    let why = here.pull().sources[0].progress.last_failure.clone().unwrap().why;
    assert!(why.contains("no media comes"), "{why}");
}

#[tokio::test]
async fn somebody_who_publishes_here_takes_over_and_the_source_follows() {
    let (listener_b, b) = listener().await;
    let there = Node::start(listener_b, |_| {});
    let (listener_a, _) = listener().await;
    let here = Node::start(listener_a, |config| {
        let mode = PullMode::Always;
        config
            .relay
            .pull
            .push(RelayPull { mode, ..pull_from("live/cam", &[format!("rtmp://{b}/live/cam")]) });
    });
    let _publisher = publish(&there.env, &name("cam"), 1, 0);
    until("it is fetched without a viewer", || (here.pull().active == Some(0)).then_some(())).await;
    let (mut viewer, mut last) = (here.read(&name("cam")), None);
    read_until(&mut viewer, &mut last, 1).await;
    let local = publish(&here.env, &name("cam"), 2, 0);
    read_until(&mut viewer, &mut last, 2).await;
    until("the source is left", || (there.env.sessions.is_empty()).then_some(())).await;
    assert!(here.pull().published_here);
    local.abort();
    read_until(&mut viewer, &mut last, 1).await;
    here.trigger.trigger();
    while next(&mut viewer).await.is_ok() {}
    until("no task is left", || (here.env.relays.active() == 0).then_some(())).await;
}

#[tokio::test]
async fn nodes_that_fetch_from_each_other_find_out() {
    let (listener_a, a) = listener().await;
    let (listener_b, b) = listener().await;
    let node = |listener, from: SocketAddr| {
        let url = format!("rtmp://{from}/live/{{channel}}");
        Node::start(listener, move |config| config.relay.pull.push(pull_from("live/*", &[url])))
    };
    let (here, there) = (node(listener_a, b), node(listener_b, a));
    let mut viewer = here.read(&name("cam"));
    let why = until("the other is refused here", || {
        there.pull().sources[0].progress.last_failure.clone().map(|failure| failure.why)
    })
    .await;
    assert!(why.contains("circle"), "{why}");
    while next(&mut viewer).await.is_ok() {}
    drop(viewer);
    until("neither keeps the other busy", || {
        (here.env.relays.active() + there.env.relays.active() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn targets_come_and_go_at_run_time() {
    let (listener_b, b) = listener().await;
    let there = Node::start(listener_b, |_| {});
    let (listener_a, _) = listener().await;
    let here = Node::start(listener_a, |config| {
        config.relay.push.push(push_to("live/other", format!("rtmp://{b}/live/other?key={KEY}")));
    });
    let relays = &here.env.relays;
    let _publisher = publish(&here.env, &name("cam"), 1, 0);
    let url = format!("rtmp://{b}/live/cam?key={KEY}");
    let add = |url: &str, name_of: &str| relays.add(&name("cam"), url, name_of, Reach::Anywhere);
    let target = add(&url, "one").unwrap();
    until("it is live", || there.env.origin.stream(&name("cam")).filter(|stream| stream.live)).await;
    assert_eq!(add(&url, "one").err(), Some(AddError::Exists));
    assert!(matches!(add("http://x/y/z", "two"), Err(AddError::Invalid("url", _))));
    assert!(matches!(add(&url, " "), Err(AddError::Invalid("name", _))));
    relays.remove(target.id).unwrap();
    until("the other node is told so", || there.env.origin.stream(&name("cam")).is_none().then_some(()))
        .await;
    assert_eq!(relays.remove(target.id), Err(RemoveError::Unknown));
    let configured = relays.to_api(&here.env, |_| true).push.swap_remove(0);
    let id = super::TargetId::parse(&configured.id).unwrap();
    assert_eq!((configured.added, relays.remove(id)), (false, Err(RemoveError::Configured)));
    for index in 0..limits::ADDED_PER_STREAM_MAX {
        add(&url, &format!("{index}")).unwrap();
    }
    assert_eq!(add(&url, "one more").err(), Some(AddError::Full));
}

#[tokio::test]
async fn strangers_do_not_reach_our_networks() {
    let (listener_b, b) = listener().await;
    let (listener_a, _) = listener().await;
    let here = Node::start(listener_a, |_| {});
    let _publisher = publish(&here.env, &name("cam"), 1, 0);
    here.env.relays.add(&name("cam"), &format!("rtmp://{b}/live/cam"), "inside", Reach::Public).unwrap();
    let why = until("it has failed", || here.push(0).progress.last_failure).await.why;
    assert!(why.contains("not to be reached"), "{why}");
    let accepted = poll_fn(|cx| std::task::Poll::Ready(listener_b.poll_accept(cx).is_ready())).await;
    assert!(!accepted, "nobody has knocked");
}

#[test]
fn every_mistake_in_the_configuration_names_its_key() {
    let mut config = Config::default();
    config.relay.stall_ms = 0;
    config.relay.queue_bytes_max = 1;
    let good = "rtmp://host/app/secret-1234".to_owned();
    config.relay.push = vec![push_to("live", good.clone()), push_to("live/a", "http://secret-1234".into())];
    config.relay.push.extend([
        push_to("live/a", good.clone()),
        RelayPush { name: String::new(), ..push_to("live/a", good.clone()) },
    ]);
    let always = RelayPull { mode: PullMode::Always, ..pull_from("live/*", std::slice::from_ref(&good)) };
    let many: Vec<_> = (0..4).map(|_| good.clone()).collect();
    config.relay.pull =
        vec![always, pull_from("live/a", &many), pull_from("live/a", &[good.clone(), "x".into()])];
    let problems = config.validate().unwrap_err();
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "relay.stall_ms",
            "relay.queue_bytes_max",
            "relay.push.0.stream",
            "relay.push.1.url",
            "relay.push.2.name",
            "relay.push.3.name",
            "relay.pull.0.mode",
            "relay.pull.1.backups",
            "relay.pull.2.stream",
            "relay.pull.2.backups.0",
        ]
    );
    assert!(problems.iter().all(|problem| !problem.message.contains("secret-1234")), "{problems:?}");
    assert!(!format!("{config:?}").contains("secret-1234"));
}
