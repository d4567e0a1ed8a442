use std::time::Duration;

use bytes::Bytes;
use testkit::link::{Config as LinkConfig, Loss};

use super::path::{self, Path, delay};
use crate::packet::{self, Content, Control, Packet};
use crate::stream_id::Mode;
use crate::{Config, Reason, Reject};

#[test]
fn a_caller_is_connected_after_two_round_trips_with_the_larger_of_both_latencies() {
    let latency = |receive, send| Config {
        receive_latency: Duration::from_millis(receive),
        send_latency: Duration::from_millis(send),
        ..Config::default()
    };
    let mut path = Path::new(latency(200, 300), latency(400, 80), delay(30));
    path.run(Duration::from_millis(119));
    assert!(path.caller.established.is_empty());
    path.run(Duration::from_millis(2));
    let ([caller], [listener]) = (&path.caller.established[..], &path.listening.established[..]) else {
        panic!()
    };
    assert_eq!((caller.receive_latency.as_millis(), caller.send_latency.as_millis()), (200, 400));
    assert_eq!((listener.receive_latency.as_millis(), listener.send_latency.as_millis()), (400, 200));
    assert_eq!((caller.encrypted, caller.payload_bytes_max, caller.peer_version), (false, 1456, 0x10504));
}

#[test]
fn a_handshake_survives_the_loss_of_any_of_its_datagrams() {
    for seed in 0..40 {
        let link = LinkConfig { loss: Loss::Random { probability: 0.4 }, seed, ..delay(10) };
        let config = Config { connect_timeout: Duration::from_secs(20), ..Config::default() };
        let mut path = Path::new(config.clone(), config, link);
        path.run(Duration::from_secs(20));
        assert_eq!((path.caller.established.len(), path.listening.established.len()), (1, 1), "seed {seed}");
    }
}

#[test]
fn a_program_decides_by_stream_id_and_the_caller_learns_why() {
    let decide: path::Decide = |request, now, config| {
        assert_eq!(request.stream_id().mode(), Some(Mode::Publish));
        assert_eq!(
            (request.peer(), request.version(), request.is_encrypted()),
            (path::address(1), 0x10504, false)
        );
        match request.stream_id().resource() {
            Some("live/cam") => path::accept(request, now, config),
            _ => Err(request.reject(Reject::NOT_FOUND)),
        }
    };
    let connect = |stream_id: &str| {
        let mut path = Path::with(Config::default(), Config::default(), delay(5), stream_id, decide);
        path.run(Duration::from_secs(1));
        path
    };
    assert_eq!(connect("#!::m=publish,r=live/cam").rejected(), None);
    assert_eq!(connect("#!::m=publish,r=live/other").rejected(), Some(Reject::NOT_FOUND));
    assert_eq!(connect("#!::m").rejected(), Some(Reject::BAD_REQUEST));
    assert_eq!(Reject::NOT_FOUND.code(), 1404);
}

#[test]
fn a_listener_that_is_not_there_ends_the_attempt_in_time() {
    let mut path = Path::new(Config::default(), Config::default(), delay(5)).tampering(|_, _| None);
    path.run(Duration::from_secs(10));
    assert_eq!(path.caller.closed, Some(Reason::Timeout));
    assert_eq!(path.caller.session().poll_timeout(), None);
    let requests = path.log.len();
    assert!((12..=13).contains(&requests), "{requests} requests in three seconds");
}

#[test]
fn both_ends_learn_when_one_closes_or_is_gone() {
    let mut path = Path::new(Config::default(), Config::default(), delay(20));
    path.run(Duration::from_secs(1));
    path.stream(true, 10, Duration::from_millis(10));
    let now = path.now;
    path.caller.session().close(now);
    path.run(Duration::from_secs(1));
    assert_eq!((path.caller.closed, path.listening.closed), (Some(Reason::Local), Some(Reason::Peer)));
    assert_eq!(path.listening.numbers(), (0..10).collect::<Vec<_>>(), "what was sent before is delivered");

    let mut path = Path::new(Config::default(), Config::default(), delay(20));
    path.run(Duration::from_secs(30));
    assert_eq!((path.caller.closed, path.listening.closed), (None, None), "signs of life keep it up");
    path.caller.session = None;
    path.run(Duration::from_secs(4));
    assert_eq!(path.listening.closed, None);
    path.run(Duration::from_secs(2));
    assert_eq!(path.listening.closed, Some(Reason::Timeout));
}

#[test]
fn what_is_not_offered_is_refused_by_its_name() {
    use crate::handshake::{Extension, Group, GroupKind, Handshake, Hello, Kind};
    // What a conclusion is changed to, and what comes of it.
    type Change = fn(&mut Handshake);
    let cases: [(Change, Reject); 7] = [
        (|handshake| handshake.version = 4, Reject::VERSION),
        (|handshake| handshake.extensions.clear(), Reject::ROGUE),
        (|handshake| handshake.extensions.push(Extension::Congestion("file".into())), Reject::CONGESTION),
        (|handshake| handshake.extensions.push(Extension::Filter("fec,cols:5".into())), Reject::FILTER),
        (
            |handshake| {
                let hello = Hello { version: 0x10504, flags: 0xff, receive_ms: 0, send_ms: 0 };
                handshake.extensions[0] = Extension::HelloRequest(hello);
            },
            Reject::MESSAGE_API,
        ),
        (
            |handshake| {
                let group = Group { id: 1 << 30 | 5, kind: GroupKind::Other(3), flags: 0, weight: 0 };
                handshake.extensions.push(Extension::Group(group));
            },
            Reject::GROUP,
        ),
        (
            |handshake| handshake.extensions.push(Extension::KeyRequest(Bytes::from_static(&[0; 64]))),
            Reject::UNSECURE,
        ),
    ];
    thread_local!(static CHANGE: std::cell::Cell<Option<Change>> = const { std::cell::Cell::new(None) });
    for (change, reject) in cases {
        CHANGE.set(Some(change));
        let mut path =
            Path::new(Config::default(), Config::default(), delay(5)).tampering(|from_caller, datagram| {
                let mut packet = Packet::read(&datagram).unwrap();
                if let Content::Control(Control::Handshake(body)) = &mut packet.content
                    && from_caller
                {
                    let mut handshake = Handshake::read(body).unwrap();
                    if handshake.kind == Kind::Conclusion {
                        handshake.field = 0;
                        CHANGE.get().unwrap()(&mut handshake);
                        *body = handshake.write();
                    }
                }
                Some(packet.write())
            });
        path.run(Duration::from_secs(1));
        assert_eq!(path.rejected(), Some(reject));
        assert!(path.listening.session.is_none());
        assert!(packet::destination(&path.log.last().unwrap().1) == Some(55));
    }
}
