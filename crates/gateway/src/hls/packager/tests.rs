use super::*;
use crate::config::{Config, parse_channel};
use crate::hls::joined::joined;
use crate::hls::name::Directives;
use crate::hls::viewers::ViewerKey;
use crate::hls::window::Span;
use bytes::Bytes;
use http_body_util::BodyExt;
use media::{Codec, Flags};
use std::net::Ipv4Addr;
use std::task::{Context, Poll, Waker};

/// A stream of sound, and what packages it.
struct Stream {
    publisher: hub::Publisher,
    packager: Packager,
    _trigger: net::ShutdownTrigger,
}

impl Stream {
    fn new() -> Self {
        let config = Config::default();
        let policy = config.access.to_policy(None, None);
        let (_trigger, shutdown) = net::Shutdown::new();
        let env = Env::new(config, policy, 1, shutdown);
        let now = Instant::now();
        let name = parse_channel("live/cam").unwrap();
        let mut publisher = env.origin.publish(&name, now).unwrap();
        publisher.write(sound(0, Role::Config, &[0x12, 0x10]), now).unwrap();
        let keep = Keep { listed: Duration::from_secs(60), bytes_max: usize::MAX };
        let channel = Arc::new(Channel::new(name.clone(), String::new(), keep, now));
        let options =
            ReadOptions { start: Start::Behind(Duration::from_secs(3600)), ..env.read_options(Start::Live) };
        let reader = env.origin.read(&name, options, now).unwrap();
        Self { publisher, packager: Packager::new(env, channel, reader), _trigger }
    }

    /// Publishes frames of 20 ms from `start` to `end`, in milliseconds, and packages each as it comes.
    fn send(&mut self, start: i64, end: i64) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut batch = Vec::new();
        for millis in (start..end).step_by(20) {
            let now = Instant::now();
            self.publisher.write(sound(millis, Role::Frame, b"frame"), now).unwrap();
            while let Poll::Ready(next) = self.packager.reader.poll_next(now, &mut batch, BATCH, &mut cx) {
                assert!(self.packager.take(next, &mut batch).is_continue());
            }
        }
    }

    fn playlist(&self) -> String {
        let written =
            self.packager.channel.playlist(TrackId::AUDIO, Directives::default(), Span::Live).unwrap();
        String::from_utf8(written.to_vec()).unwrap()
    }
}

fn sound(millis: i64, role: Role, payload: &'static [u8]) -> Packet {
    let time = Time::from_millis(millis);
    let flags = Flags { keyframe: false, disposable: false };
    let payload = Bytes::from_static(payload);
    Packet { track: TrackId::AUDIO, codec: Codec::Aac, role, flags, dts: time, pts: time, payload }
}

#[test]
fn a_stream_that_nobody_asks_for_any_more_has_not_ended() {
    let mut stream = Stream::new();
    stream.send(0, 6_000);
    let channel = stream.packager.channel.clone();
    drop(stream);
    assert_eq!(*channel.phase.borrow(), Phase::Stopped);
    let written = channel.playlist(TrackId::AUDIO, Directives::default(), Span::Live).unwrap();
    assert!(!String::from_utf8_lossy(&written).contains("#EXT-X-ENDLIST"));
}

#[test]
fn a_stream_that_has_ended_leaves_after_a_while_though_it_is_asked_for() {
    let mut stream = Stream::new();
    stream.send(0, 6_000);
    stream.packager.end(EndReason::Finished);
    let channel = stream.packager.channel.clone();
    let (now, stay) = (Instant::now(), channel.listed_min());
    assert!(!stream.packager.is_idle(now));
    channel.note_asked(now + stay);
    assert!(stream.packager.is_idle(now + stay));
}

#[test]
fn a_stream_that_has_ended_stays_so() {
    let mut stream = Stream::new();
    stream.send(0, 6_000);
    stream.packager.end(EndReason::Finished);
    let channel = stream.packager.channel.clone();
    drop(stream);
    assert_eq!(*channel.phase.borrow(), Phase::Ready);
    let written = channel.playlist(TrackId::AUDIO, Directives::default(), Span::Live).unwrap();
    assert!(String::from_utf8_lossy(&written).contains("#EXT-X-ENDLIST"));
}

#[tokio::test]
async fn a_stream_that_is_read_as_one_file_is_asked_for_all_the_time() {
    let mut stream = Stream::new();
    stream.send(0, 6_000);
    let Packager { env, channel, .. } = &stream.packager;
    let viewer = ViewerKey::of(Ipv4Addr::LOCALHOST.into(), "", &http::HeaderMap::new());
    let later = Instant::now() + Duration::from_secs(60);
    let idle = channel.idle(later);
    let body = joined(env.clone(), env.metrics.protocol("hls"), channel.clone(), viewer);
    assert!(body.unwrap().frame().await.is_some());
    assert!(channel.idle(later) < idle);
}

#[test]
fn a_jump_of_the_clock_is_an_interruption_and_makes_no_long_part() {
    let mut stream = Stream::new();
    stream.send(0, 6_000);
    stream.send(3_600_000, 3_606_000);
    assert_eq!(stream.packager.channel.target(), Duration::from_secs(2));
    let playlist = stream.playlist();
    assert_eq!(playlist.matches("#EXT-X-DISCONTINUITY\n").count(), 1);
    let longest = |tag: &str| {
        let durations =
            playlist.lines().filter_map(|line| line.strip_prefix(tag)?.split(',').next()?.parse().ok());
        durations.fold(0.0, f64::max)
    };
    assert!(longest("#EXTINF:") < 2.4 && longest("#EXT-X-PART:DURATION=") < 0.4, "{playlist}");
}
