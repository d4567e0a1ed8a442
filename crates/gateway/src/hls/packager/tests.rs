use super::*;
use crate::config::{Config, HlsConfig, TimeshiftConfig, parse_channel};
use crate::hls::channel::Written;
use crate::hls::joined::joined;
use crate::hls::name::Directives;
use crate::hls::window::{Line, Span};
use bytes::Bytes;
use http_body_util::BodyExt;
use media::{Codec, Flags};
use std::net::Ipv4Addr;
use std::task::{Context, Poll, Waker};

/// A stream of sound, and what packages it.
struct Stream {
    publisher: Option<hub::Publisher>,
    packager: Packager,
    _trigger: net::ShutdownTrigger,
}

impl Stream {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let policy = config.access.to_policy(None, None);
        let (_trigger, shutdown) = net::Shutdown::new();
        let env = Env::new(config, policy, 1, shutdown);
        let now = Instant::now();
        let name = parse_channel("live/cam").unwrap();
        let mut publisher = env.origin.publish(&name, now).unwrap();
        publisher.write(sound(0, Role::Config, &[0x12, 0x10]), now).unwrap();
        let keep = Keep { listed: Duration::from_secs(60), bytes_max: usize::MAX };
        let channel = Channel::new(name.clone(), keep, now);
        let channel = Arc::new(match env.config.timeshift.is_for(&name) {
            true => channel.with_timeshift(env.timeshift.clone()),
            false => channel,
        });
        let reader = env.origin.read(&name, read_options(&env), now).unwrap();
        Self { publisher: Some(publisher), packager: Packager::new(env, channel, reader, None), _trigger }
    }

    /// Publishes frames of 20 ms from `start` to `end`, in milliseconds, and packages each as it comes.
    fn send(&mut self, start: i64, end: i64) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut batch = Vec::new();
        for millis in (start..end).step_by(20) {
            let now = Instant::now();
            let publisher = self.publisher.as_mut().unwrap();
            publisher.write(sound(millis, Role::Frame, b"frame"), now).unwrap();
            while let Poll::Ready(next) = self.packager.reader.poll_next(now, &mut batch, BATCH, &mut cx) {
                assert!(self.packager.take(next, &mut batch).is_continue());
            }
        }
    }

    fn playlist(&self) -> String {
        let written = self.packager.channel.playlist(TrackId::AUDIO, Directives::default()).unwrap();
        String::from_utf8(written.with_query("").to_vec()).unwrap()
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
    let written = channel.playlist(TrackId::AUDIO, Directives::default()).unwrap();
    assert!(!String::from_utf8_lossy(&written.with_query("")).contains("#EXT-X-ENDLIST"));
}

#[test]
fn a_stream_that_is_kept_is_packaged_however_long_nobody_asks() {
    let always = HlsConfig { always: vec!["live/*".to_owned()], ..HlsConfig::default() };
    for (hls, is_kept) in [(always, true), (HlsConfig::default(), false)] {
        let mut stream = Stream::with(Config { hls, ..Config::default() });
        stream.send(0, 6_000);
        assert_eq!(stream.packager.is_idle(Instant::now() + Duration::from_secs(600)), !is_kept);
    }
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
    let written = channel.playlist(TrackId::AUDIO, Directives::default()).unwrap();
    assert!(String::from_utf8_lossy(&written.with_query("")).contains("#EXT-X-ENDLIST"));
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

/// What is published beside the sound: pictures with a keyframe each second.
fn picture(millis: i64) -> Packet {
    let flags = Flags { keyframe: millis % 1000 == 0, disposable: false };
    let payload = Bytes::from_static(b"\0\0\0\x02\x65\x01");
    Packet { track: TrackId::VIDEO, codec: Codec::H264, flags, payload, ..sound(millis, Role::Frame, b"") }
}

const AVCC: &[u8] = &[
    0x01, 0x64, 0x00, 0x28, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02,
    0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x0f, 0xa4, 0x00, 0x03, 0xa9, 0x80, 0x3c, 0x60, 0xc6, 0x58, 0x01,
    0x00, 0x04, 0x68, 0xef, 0x8f, 0xcb, 0xfd, 0xf8, 0xf8, 0x00,
];

impl Stream {
    /// Another publisher comes, who has the track of `packet`.
    fn publish_anew(&mut self, packet: Packet) {
        self.publisher = None;
        let now = Instant::now();
        let mut publisher = self.packager.env.origin.publish(&self.packager.channel.name, now).unwrap();
        publisher.write(packet, now).unwrap();
        self.publisher = Some(publisher);
    }

    /// Packages `packets` as if they came from the hub just now.
    fn push(&mut self, packets: impl IntoIterator<Item = Packet>) {
        let mut cuts = Vec::new();
        for packet in packets {
            self.packager.push(packet, Instant::now(), &mut cuts);
        }
        self.packager.pack(cuts);
    }
}

fn both(from: i64, to: i64) -> Vec<Packet> {
    let pictures = (from..to).step_by(40).map(picture);
    let sounds = (from..to).step_by(20).map(|at| sound(at, Role::Frame, b"frame"));
    let mut packets: Vec<Packet> = pictures.chain(sounds).collect();
    packets.sort_by_key(|packet| packet.dts);
    packets
}

fn configs() -> [Packet; 2] {
    let video = Packet { role: Role::Config, payload: Bytes::from_static(AVCC), ..picture(1) };
    [video, sound(0, Role::Config, &[0x12, 0x10])]
}

#[test]
fn a_jump_that_tracks_make_one_after_the_other_is_one_interruption() {
    let mut stream = Stream::new();
    stream.push(configs());
    stream.push(both(0, 6_000));
    // The pictures go on an hour later, and the sound of before is still on its way.
    stream.push((3_600_000..3_600_200).step_by(40).map(picture));
    stream.push((6_000..6_200).step_by(20).map(|at| sound(at, Role::Frame, b"frame")));
    stream.push(both(3_600_200, 3_606_000));
    for track in [TrackId::VIDEO, TrackId::AUDIO] {
        let written = stream.packager.channel.playlist(track, Directives::default()).unwrap().with_query("");
        let written = String::from_utf8_lossy(&written).into_owned();
        assert_eq!(written.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{written}");
    }
}

#[test]
fn one_wrong_time_does_not_silence_a_stream() {
    let mut stream = Stream::new();
    stream.push(configs());
    stream.push(both(0, 3_000));
    stream.push([sound(3_600_000, Role::Frame, b"frame")]);
    stream.push(both(3_000, 20_000));
    let newest = stream.packager.channel.view(|renditions, _, _| {
        renditions.iter().map(|rendition| rendition.segments.back().unwrap().discontinuities).max()
    });
    assert!(stream.packager.channel.duration() > Duration::from_secs(10), "{newest:?}");
}

#[test]
fn a_track_that_does_not_come_back_is_no_longer_offered() {
    let mut stream = Stream::new();
    stream.push(configs());
    stream.push(both(0, 6_000));
    let mut cuts = Vec::new();
    stream.packager.interrupt(&mut cuts);
    let channel = stream.packager.channel.clone();
    assert_eq!(channel.tracks(), [TrackId::VIDEO, TrackId::AUDIO]);
    stream.publish_anew(configs()[0].clone());
    stream.push((10_000..15_000).step_by(40).map(picture));
    assert_eq!(channel.tracks(), [TrackId::VIDEO]);
    let main = channel.multivariant("cam/", Span::Live, &[]).with_query("");
    assert!(!String::from_utf8_lossy(&main).contains("audio0"));
    let of_sound = channel.playlist(TrackId::AUDIO, Directives::default()).unwrap().with_query("");
    assert!(
        String::from_utf8_lossy(&of_sound).ends_with("#EXT-X-ENDLIST\n"),
        "who is in it comes to its end"
    );
    // It comes back, and goes on in numbers.
    let before = channel.follow(TrackId::AUDIO).unwrap().borrow().segment;
    stream.push(both(15_000, 20_000));
    assert_eq!(channel.tracks(), [TrackId::VIDEO, TrackId::AUDIO]);
    let now = *channel.follow(TrackId::AUDIO).unwrap().borrow();
    assert!(now.segment > before && !now.ended);
    assert_can_be_played(&channel, TrackId::AUDIO);
}

/// Whether a player that comes now has all it needs of a track.
fn assert_can_be_played(channel: &Channel, track: TrackId) {
    let init = channel.look(track, |rendition, _| rendition.segments.back().unwrap().init).unwrap();
    assert!(channel.init(track, init).is_some(), "what its list names is there");
    let main = channel.multivariant("cam/", Span::Live, &[]).with_query("");
    let main = String::from_utf8_lossy(&main).into_owned();
    assert!(main.contains(&format!("cam/{track}.m3u8")), "{main}");
    let (_, places) = channel.join().unwrap();
    assert!(places.iter().any(|place| place.track == track));
}

#[test]
fn a_track_that_comes_back_when_all_of_it_has_left_can_be_played() {
    let mut stream = Stream::new();
    stream.push(configs());
    stream.push(both(0, 6_000));
    stream.packager.interrupt(&mut Vec::new());
    stream.publish_anew(configs()[0].clone());
    stream.push((10_000..300_000).step_by(40).map(picture));
    let channel = stream.packager.channel.clone();
    assert!(channel.follow(TrackId::AUDIO).is_none());
    stream.push(both(300_000, 310_000));
    assert_can_be_played(&channel, TrackId::AUDIO);
}

#[test]
fn a_track_that_waits_for_its_keyframe_is_offered_meanwhile() {
    let mut stream = Stream::new();
    stream.push(configs());
    stream.push(both(0, 6_000));
    stream.packager.interrupt(&mut Vec::new());
    stream.publish_anew(configs()[0].clone());
    // The publisher has pictures, and the next keyframe is far away.
    stream.push((10_000..20_000).step_by(20).map(|at| sound(at, Role::Frame, b"frame")));
    let channel = stream.packager.channel.clone();
    assert!(channel.offers(TrackId::VIDEO));
    // No GOP is as long as this.
    stream.push((20_000..60_000).step_by(20).map(|at| sound(at, Role::Frame, b"frame")));
    assert!(!channel.offers(TrackId::VIDEO));
}

/// A stream that viewers can go back in further than memory reaches.
fn rewindable() -> Stream {
    let timeshift =
        TimeshiftConfig { minutes: 60, streams: vec!["live/*".to_owned()], ..TimeshiftConfig::default() };
    let mut stream = Stream::with(Config { timeshift, ..Config::default() });
    stream.push(configs());
    stream.push(both(0, 300_000));
    stream
}

#[tokio::test]
async fn the_list_of_all_there_is_reaches_back_further_than_memory() {
    let stream = rewindable();
    let channel = &stream.packager.channel;
    let whole = channel.rewind_playlist(TrackId::AUDIO, Directives::default()).await.unwrap().with_query("");
    let whole = String::from_utf8_lossy(&whole).into_owned();
    let listed = |text: &str| text.matches("#EXTINF:").count();
    assert!(listed(&whole) > 2 * listed(&stream.playlist()));
    let (closed, all) = channel
        .look(TrackId::AUDIO, |rendition, _| {
            let closed = rendition.lines(Span::Rewind).filter(|line| line.closed).count();
            (closed, rendition.lines(Span::Rewind).map(|line| line.duration).sum::<Duration>())
        })
        .unwrap();
    assert_eq!(listed(&whole), closed);
    // What is at the edge is the same in both, to the part.
    let edge = |text: &str| text.rsplit_once("#EXTINF:").map(|(_, edge)| edge.replace("-rewind", ""));
    assert_eq!(edge(&whole), edge(&stream.playlist()));
    assert!(channel.rewind().unwrap() <= all && channel.rewind().unwrap() > Duration::from_secs(290));
}

#[tokio::test]
async fn a_list_of_all_there_is_is_written_once_for_all_who_wait_and_media_goes_on() {
    let mut stream = rewindable();
    let channel = stream.packager.channel.clone();
    let ask = || channel.rewind_playlist(TrackId::AUDIO, Directives::default());
    let turn = channel.writing.lock().await;
    let (mut first, mut second) = (std::pin::pin!(ask()), std::pin::pin!(ask()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut cx).is_pending() && second.as_mut().poll(&mut cx).is_pending());
    stream.push(both(300_000, 310_000));
    drop(turn);
    let (first, second) = tokio::join!(first, second);
    let text = |written: &Option<Written>| written.as_ref().unwrap().with_query("");
    assert_eq!(text(&first).as_ptr(), text(&second).as_ptr());
    assert_eq!(text(&ask().await).as_ptr(), text(&first).as_ptr(), "nothing was added");
    stream.push(both(310_000, 320_000));
    assert_ne!(text(&ask().await), text(&first));
}

#[tokio::test]
async fn a_manifest_that_was_written_before_tells_the_time_of_its_answer() {
    let stream = rewindable();
    let manifest = stream.packager.channel.rewind_manifest("").await.unwrap();
    for seconds in [1_790_000_000, 1_790_000_009] {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let text = String::from_utf8(manifest.at("", now).to_vec()).unwrap();
        let (_, clock) = text.split_once("urn:mpeg:dash:utc:direct:2014\" value=\"").unwrap();
        assert!(clock.starts_with(&format!("{}\"", crate::http::date_time(now))), "{clock}");
    }
}

#[test]
fn who_watches_the_end_of_a_stream_watches_its_next_beginning() {
    let mut stream = Stream::new();
    stream.send(0, 6_000);
    let Packager { env, channel, .. } = &stream.packager;
    let (env, before) = (env.clone(), channel.clone());
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 5000));
    let viewer = ViewerKey::of(peer.ip(), "", &http::HeaderMap::new());
    before.viewers.enter(&env, viewer, &before.name, peer, None, &env.metrics.protocol("hls")).unwrap();
    stream.packager.end(EndReason::Finished);
    let now = Instant::now();
    assert!(env.sessions.is_empty() && before.viewers.is_watching(viewer, now));
    let keep = Keep { listed: Duration::from_secs(60), bytes_max: usize::MAX };
    let anew = Channel::new(before.name.clone(), keep, now);
    anew.continue_after(&before);
    assert!(anew.viewers.is_watching(viewer, now));
}

#[test]
fn segments_of_a_rung_are_those_of_its_stream() {
    let (mut base, mut rung) = (Stream::new(), Stream::new());
    rung.packager.guide = Some(Guide::new(base.packager.channel.clone()));
    let pictures = |from: i64, to: i64| (from..to).step_by(40).map(picture);
    let lines = |stream: &Stream| -> Vec<_> {
        let channel = &stream.packager.channel;
        let line = |line: Line| (line.start, line.date, line.duration, line.discontinuities, line.closed);
        channel
            .look(TrackId::VIDEO, |rendition, _| rendition.lines(Span::Rewind).map(line).collect())
            .unwrap()
    };
    base.push([configs()[0].clone()]);
    base.push(pictures(0, 11_000));
    // The rung begins later, in the middle of a segment.
    rung.push([configs()[0].clone()]);
    rung.push(pictures(4_000, 11_000));
    let (of_base, of_rung) = (lines(&base), lines(&rung));
    let first = of_rung[0];
    assert_eq!(first.0, Time::from_millis(4_000));
    let around = of_base.iter().rev().find(|line| line.0 <= first.0).unwrap();
    assert!(around.0 < first.0, "{of_base:?}");
    assert_eq!(first.1, around.1 + first.0.since(around.0), "the time of day goes on within a segment");
    let shared: Vec<_> = of_base.iter().filter(|line| line.0 > first.0 && line.4).collect();
    assert!(shared.len() >= 2 && shared.iter().all(|line| of_rung.contains(line)), "{of_base:?} {of_rung:?}");
    // An interruption of the stream is one of its rung, in which nothing is missing.
    let mut cuts = Vec::new();
    base.packager.interrupt(&mut cuts);
    base.push(pictures(11_000, 16_000));
    rung.push(pictures(11_000, 16_000));
    let (of_base, of_rung) = (lines(&base), lines(&rung));
    let after: Vec<_> = of_base.iter().filter(|line| line.3 == 1 && line.4).collect();
    assert!(!after.is_empty() && after.iter().all(|line| of_rung.contains(line)), "{of_base:?} {of_rung:?}");
}
