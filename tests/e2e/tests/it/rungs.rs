//! The watch page plays the rungs of a stream: by choice, and as the network allows.

use super::transcode::{is_run_of, sound, with_a_large_stream};
use e2e::flv::{Reader, Tag};
use e2e::program::{self, Repeat};
use e2e::{Server, browser, clip, need};
use std::collections::BTreeMap;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A busy machine makes rungs all the same.
const SETTINGS: &[&str] = &["transcode.cores_max=16"];

/// How often players change: `least` times, or as often as `RUSHLIGHT_SWITCHES` says.
pub(crate) fn switches(least: usize) -> usize {
    std::env::var("RUSHLIGHT_SWITCHES").ok().and_then(|times| times.parse().ok()).unwrap_or(least)
}

#[test]
fn the_watch_page_changes_between_rungs_without_a_gap() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::large(&ffmpeg));
    let server = Server::with(SETTINGS);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let url = format!("http://{}/watch/cam", server.http);
    let times = switches(21);
    let seen =
        need!(browser::run("rungs.mjs", &[&url, &times.to_string(), "360p=360", "source=720", "240p=240"]));
    assert_eq!(seen["errors"], serde_json::json!([]), "{seen}");
    assert_eq!((&seen["switches"], &seen["stalls"]), (&times.into(), &0.into()), "{seen}");
    assert_eq!((&seen["buffers"], &seen["ranges"]), (&2.into(), &1.into()), "nothing is missing: {seen}");
    assert_eq!(seen["backwards"], 0, "nothing is shown again: {seen}");
    assert!(seen["skewMs"].as_f64().is_some_and(|ms| ms < 400.0), "sound and picture go together: {seen}");
    assert!(seen["changedPixels"].as_f64().is_some_and(|share| share > 0.01), "the picture moves: {seen}");
    assert!(seen["audioBytes"].as_u64().is_some_and(|bytes| bytes > 1_000), "sound is decoded: {seen}");
}

/// A player over RTMP whose packets are read as FLV.
struct RtmpPlayer {
    program: Child,
    packets: Reader<ChildStdout>,
}

impl RtmpPlayer {
    fn join(url: &str) -> Self {
        let mut command = Command::new(program::rushlight());
        command
            .args(["play", "--output", "-", url])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut program = command.spawn().expect("it is there");
        let packets = Reader::new(program.stdout.take().expect("it is a pipe")).expect("it plays");
        Self { program, packets }
    }

    /// Plays up to the packet that is not to be played any more, and drops that.
    fn take_until(&mut self, played: &mut Played, ends: impl Fn(&Tag) -> bool) {
        loop {
            let tag = self.packets.tag().expect("the rung goes on");
            if ends(&tag) {
                return;
            }
            played.take(tag);
        }
    }
}

/// What a player has shown and sounded, of whatever rung.
#[derive(Default)]
struct Played {
    pictures: BTreeMap<i64, ()>,
    heard: Vec<Tag>,
    /// The newest picture.
    to: i64,
}

impl Played {
    fn take(&mut self, tag: Tag) {
        if tag.is_picture() {
            self.to = self.to.max(tag.shown_at());
            assert_eq!(self.pictures.insert(tag.shown_at(), ()), None, "no picture comes twice");
        } else if tag.kind == 8
            && !tag.is_config()
            && self.heard.last().is_none_or(|last| tag.timestamp > last.timestamp)
        {
            self.heard.push(tag);
        }
    }
}

impl Drop for RtmpPlayer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[test]
fn a_player_over_rtmp_goes_from_rung_to_rung_without_a_gap() {
    const RUNGS: [&str; 3] = ["cam~360p", "cam", "cam~240p"];
    let ffmpeg = need!(program::ffmpeg());
    let (server, _publisher) = need!(with_a_large_stream(&ffmpeg, SETTINGS));
    let until = Arc::new(AtomicI64::new(i64::MAX));
    let mut stream = server.open_flv("cam", "").unwrap();
    let of_stream = std::thread::spawn({
        let until = Arc::clone(&until);
        move || {
            let mut tags = Vec::new();
            while tags.last().is_none_or(|tag: &Tag| i64::from(tag.timestamp) < until.load(Ordering::Relaxed))
            {
                tags.push(stream.tag().expect("the stream goes on"));
            }
            tags
        }
    });
    let mut played = Played::default();
    let mut player = RtmpPlayer::join(&server.rtmp_url(RUNGS[0]));
    while played.pictures.is_empty() {
        played.take(player.packets.tag().expect("the rung goes on"));
    }
    for change in 1..=switches(6) {
        // As far as was played already, so that it has what is to come; one that is only just made begins later.
        let place = format!("{}?startPts={}", server.rtmp_url(RUNGS[change % RUNGS.len()]), played.to);
        let mut next = RtmpPlayer::join(&place);
        let (mut waiting, to) = (Vec::new(), played.to);
        let seam = loop {
            let tag = next.packets.tag().expect("the rung goes on");
            let seam = (tag.is_keyframe() && tag.shown_at() > to).then(|| tag.shown_at());
            waiting.push(tag);
            if let Some(seam) = seam {
                break seam;
            }
        };
        player.take_until(&mut played, |tag| tag.is_keyframe() && tag.shown_at() == seam);
        assert!(played.to < seam, "both have the keyframe at {seam}");
        waiting.retain(|tag| !tag.is_picture() || tag.shown_at() == seam);
        waiting.into_iter().for_each(|tag| played.take(tag));
        player = next;
    }
    let Played { pictures, heard, to } = played;
    until.store(to + 1_000, Ordering::Relaxed);
    let of_stream = of_stream.join().expect("it was read");
    let shown = of_stream.iter().filter(|tag| tag.is_picture()).map(|tag| (tag.shown_at(), ())).collect();
    assert!(is_run_of(&pictures, &shown), "no picture is missing");
    assert!(is_run_of(&sound(&heard), &sound(&of_stream)), "no sound is missing, and none is another");
}
