use super::*;
use crate::config::{Config, parse_channel};
use crate::hls::name::Directives;
use bytes::Bytes;
use media::{Codec, Flags};
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
        let written = self.packager.channel.playlist(TrackId::AUDIO, Directives::default()).unwrap();
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
    assert!(longest("#EXTINF:") < 2.1 && longest("#EXT-X-PART:DURATION=") < 0.4, "{playlist}");
}
