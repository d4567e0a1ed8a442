//! Rewinding live streams: what has left the memory is played from the disk, and the disk disturbs nobody.

use crate::record::with_a_small_disk;
use e2e::framehash::{self, Extent};
use e2e::hls::{Follower, Playlist, fetch};
use e2e::process::Scratch;
use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, http, need, until};
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PLAY_MAX: Duration = Duration::from_secs(60);

/// A minute to go back, segments of one group of pictures, and in memory no more than two of them.
const SETTINGS: &[&str] = &[
    "timeshift.minutes=1",
    "timeshift.free_bytes_min=0",
    "hls.segment_ms=500",
    "hls.part_ms=200",
    "hls.window_ms=0",
    "hls.bytes_max=1048576",
    "hub.grace_ms=2000",
];

fn playlist(server: &Server, name: &str) -> Option<Playlist> {
    let answer = fetch(server.http, &format!("/live/cam/{name}"));
    (answer.status == 200).then(|| Playlist::parse(std::str::from_utf8(&answer.body).unwrap()))
}

/// The files of segments in a folder.
fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// Plays `url` from its oldest segment on to its end.
fn hashes(ffmpeg: &Path, options: &[&str], url: &str, out: &Path) -> Vec<framehash::Track> {
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "warning", "-y"]).args(options).args(["-copyts", "-i", url]);
    command.args(["-map", "0", "-c", "copy", "-copyinkf", "-f", "framehash", "-hash", "md5"]);
    let mut player = Process::spawn(command.arg(out));
    player.wait(PLAY_MAX);
    let hashes = std::fs::read_to_string(out).unwrap_or_default();
    framehash::parse(&hashes).unwrap_or_else(|why| panic!("{why}\n{}", player.output()))
}

#[test]
fn a_window_longer_than_memory_plays_every_packet_from_the_disk() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let heavy = need!(clip::heavy(&ffmpeg));
    let server = Server::with(SETTINGS);
    // Nobody asks for it before it is over.
    let publisher = program::publish(&ffmpeg, &heavy, Repeat::Once, &server.rtmp_url("cam"));
    server.await_live("cam");
    let ended = until("the stream is over", || {
        playlist(&server, "video0-rewind.m3u8").filter(|playlist| playlist.ended)
    });
    drop(publisher);
    let ordinary = playlist(&server, "video0.m3u8").unwrap();
    assert!(ended.segments.len() >= 4, "{ended:?}");
    assert!(ended.segments[0].number + 1 < ordinary.segments[0].number, "memory holds less: {ordinary:?}");
    until("all is written", || (files(&server.data().join("timeshift")) >= 8).then_some(()));
    let published = framehash::of_file(&ffmpeg, &heavy);
    for (player, options, name) in [
        (&ffmpeg, &["-live_start_index", "0"][..], "cam/rewind.m3u8"),
        (&ffmpeg9, &["-live_start_index", "0"], "cam/rewind.m3u8"),
        (&ffmpeg9, &[], "cam/rewind.mpd"),
        (&ffmpeg9, &[], "cam.mpd?rewind=1"),
    ] {
        let url = format!("http://{}/live/{name}", server.http);
        let played = hashes(player, options, &url, &server.scratch().join("out"));
        framehash::compare(&published, &played, Extent::Whole).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}

#[test]
fn a_live_list_goes_back_grows_by_delta_updates_and_survives_its_publisher() {
    let ffmpeg = need!(program::ffmpeg());
    let heavy = need!(clip::heavy(&ffmpeg));
    let server = Server::with(SETTINGS);
    let mut publisher = program::publish(&ffmpeg, &heavy, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    assert_eq!(fetch(server.http, "/live/cam/rewind.m3u8").status, 200);
    let mut video = Follower::new(server.http, "/live/cam/", "video0-rewind.m3u8", "");
    let first = video.playlist.segments[0].number;
    while video.playlist.edge().0 < first + 9 {
        video.next_part();
    }
    assert_eq!(video.playlist.segments[0].number, first);
    assert_eq!(video.playlist.reports[0].0, "audio0-rewind.m3u8");
    assert!(video.check_delta() > 0, "{:?}", video.playlist);
    let reach = server.channel("cam").unwrap()["rewindS"].as_u64().unwrap();
    assert!((7..=30).contains(&reach), "{reach}");
    assert!(video.playlist.segments.len() > playlist(&server, "video0.m3u8").unwrap().segments.len() + 3);

    let path = format!("/live/cam/{}", video.playlist.segments[0].uri.clone().unwrap());
    let whole = fetch(server.http, &path);
    assert_eq!(whole.cache, "public, max-age=3600, immutable");
    for (method, range, status, expected) in [
        ("GET", "bytes=100-1099", 206, &whole.body[100..1100]),
        ("GET", "bytes=-1", 206, &whole.body[whole.body.len() - 1..]),
        ("HEAD", "", 200, &[]),
    ] {
        let headers: Vec<_> = [("Connection", "close")]
            .into_iter()
            .chain((!range.is_empty()).then_some(("Range", range)))
            .collect();
        let mut answer = http::request(server.http, method, &path, &headers, b"").unwrap();
        let mut bytes = Vec::new();
        if method == "GET" {
            answer.body.read_to_end(&mut bytes).unwrap();
        } else {
            assert_eq!(answer.header("content-length"), Some(whole.body.len().to_string().as_str()));
        }
        assert!((answer.status, &bytes[..]) == (status, expected), "{method} {range}: {}", answer.status);
    }
    assert_eq!(
        http::request(
            server.http,
            "GET",
            &path,
            &[("Range", "bytes=99999999-"), ("Connection", "close")],
            b""
        )
        .unwrap()
        .status,
        416
    );

    publisher.kill();
    until("the publisher is missed", || (!server.is_live("cam")).then_some(()));
    let _again = program::publish(&ffmpeg, &heavy, Repeat::Forever, &server.rtmp_url("cam"));
    until("the stream goes on", || {
        video.next_part();
        let from = video.playlist.segments.iter().position(|segment| segment.discontinuity);
        from.filter(|from| *from + 4 < video.playlist.segments.len())
    });
    assert_eq!(video.playlist.segments[0].number, first);
    assert!(video.check_media() > 200);
}

#[test]
fn an_encrypted_stream_is_so_in_the_past_and_plays() {
    let ffmpeg = need!(program::ffmpeg());
    let heavy = need!(clip::heavy(&ffmpeg));
    let settings: Vec<&str> = SETTINGS.iter().copied().chain(["hls.encrypt=\"aes-128\""]).collect();
    let server = Server::with(&settings);
    let publisher = program::publish(&ffmpeg, &heavy, Repeat::Once, &server.rtmp_url("cam"));
    server.await_live("cam");
    let answer = until("the stream is over", || {
        let answer = fetch(server.http, "/live/cam/video0-rewind.m3u8");
        let text = String::from_utf8(answer.body).unwrap();
        text.contains("#EXT-X-ENDLIST").then_some(text)
    });
    drop(publisher);
    assert!(answer.contains("#EXT-X-KEY:METHOD=AES-128"), "{answer}");
    let url = format!("http://{}/live/cam/rewind.m3u8", server.http);
    let played = hashes(&ffmpeg, &["-live_start_index", "0"], &url, &server.scratch().join("out"));
    framehash::compare(&framehash::of_file(&ffmpeg, &heavy), &played, Extent::Whole).unwrap();
}

#[test]
fn a_stream_that_begins_anew_keeps_its_past() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let heavy = need!(clip::heavy(&ffmpeg));
    let server = Server::with(SETTINGS);
    let mut first = None;
    for _ in 0..2 {
        let publisher = program::publish(&ffmpeg, &heavy, Repeat::Once, &server.rtmp_url("cam"));
        server.await_live("cam");
        let ended = until("the stream is over", || {
            let ended = playlist(&server, "video0-rewind.m3u8").filter(|playlist| playlist.ended)?;
            let is_all = ended.segments.iter().filter(|segment| segment.discontinuity).count();
            (is_all == usize::from(first.is_some())).then_some(ended)
        });
        drop(publisher);
        assert_eq!(*first.get_or_insert(ended.segments[0].number), ended.segments[0].number);
    }
    let video = Follower::new(server.http, "/live/cam/", "video0-rewind.m3u8", "");
    assert_eq!(video.check_media(), 200);
    let manifest = fetch(server.http, "/live/cam/rewind.mpd");
    assert_eq!(String::from_utf8_lossy(&manifest.body).matches("<Period ").count(), 2);
    // FLV has one clock.
    let mut viewer = server.open_flv("cam", "?start=-60").unwrap();
    let (mut pictures, mut last) = (0, 0);
    while let Ok(tag) = viewer.find(|tag| tag.is_picture()) {
        assert!(tag.timestamp >= last && tag.timestamp - last < 1_000, "{} after {last}", tag.timestamp);
        (pictures, last) = (pictures + 1, tag.timestamp);
    }
    assert_eq!(pictures, 200);
    let url = format!("http://{}/live/cam/rewind.m3u8", server.http);
    let played = hashes(&ffmpeg9, &["-live_start_index", "0"], &url, &server.scratch().join("out"));
    let counts: Vec<_> =
        played.iter().filter(|track| track.is_video).map(|track| track.frames.len()).collect();
    assert_eq!(counts, [200]);
}

#[test]
fn where_viewers_cannot_go_back_the_addresses_say_so() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&["timeshift.minutes=1", "timeshift.streams=[\"other/*\"]"]);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    for name in ["cam/rewind.m3u8", "cam/rewind.mpd", "cam.mpd?rewind=1", "cam/video0-rewind.m3u8"] {
        let answer = fetch(server.http, &format!("/live/{name}"));
        assert_eq!(answer.status, 404, "{name}");
        assert!(String::from_utf8_lossy(&answer.body).contains("timeshift.minutes"), "{name}");
    }
    assert!(server.channel("cam").unwrap().get("rewindS").is_none());
}

#[test]
fn a_full_disk_shortens_the_window_and_disturbs_nobody() {
    let ffmpeg = need!(program::ffmpeg());
    let heavy = need!(clip::heavy(&ffmpeg));
    let scratch = Scratch::new();
    let small = scratch.file("small");
    let folder = format!("timeshift.folder={}", small.display());
    let settings: Vec<&str> = SETTINGS.iter().copied().chain([folder.as_str()]).collect();
    let server = need!(Server::wrapped(&settings, |command| with_a_small_disk(&command, &small)));
    let mut publisher = program::publish(&ffmpeg, &heavy, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let mut viewer = server.open_flv("cam", "").unwrap();
    let start = viewer.find(|tag| tag.is_keyframe()).unwrap().timestamp;
    let mut last = start;
    // 16 Mbit/s fill 6 MB within three seconds.
    while last < start + 8_000 {
        let tag = viewer.find(|tag| tag.is_picture()).unwrap();
        assert!(tag.timestamp - last < 500, "pictures are missing after {last} ms");
        last = tag.timestamp;
    }
    let problem = until("it is said", || Some(server.channel("cam")?["rewindProblem"].as_str()?.to_owned()));
    assert!(problem.starts_with("disk full: rewinding is shortened since "), "{problem}");
    assert!(server.metric("rushlight_timeshift_evicted_segments_total", &[]) > 0.0);
    let listed = playlist(&server, "video0-rewind.m3u8").unwrap();
    let ordinary = playlist(&server, "video0.m3u8").unwrap();
    assert!(listed.segments[0].number < ordinary.segments[0].number, "what there is room for is there");
    assert!(publisher.is_running() && server.is_live("cam"));
}

#[test]
fn a_start_after_a_crash_leaves_nothing_of_the_run_before() {
    let ffmpeg = need!(program::ffmpeg());
    let heavy = need!(clip::heavy(&ffmpeg));
    let mut server = Server::with(SETTINGS);
    let folder = server.data().join("timeshift");
    let publisher = program::publish(&ffmpeg, &heavy, Repeat::Forever, &server.rtmp_url("cam"));
    until("segments are written", || (files(&folder) >= 4).then_some(()));
    drop(publisher);
    server.process.kill();
    assert!(files(&folder) >= 4);
    server.restart();
    until("the folder is clean", || (files(&folder) == 0).then_some(()));

    // An orderly end leaves none, either.
    let publisher = program::publish(&ffmpeg, &heavy, Repeat::Forever, &server.rtmp_url("cam"));
    until("segments are written", || (files(&folder) >= 4).then_some(()));
    drop(publisher);
    server.process.signal("TERM");
    server.process.wait(PLAY_MAX);
    assert_eq!(files(&folder), 0);
}

#[test]
fn flv_from_the_past_has_every_packet_over_http_and_websocket() {
    let ffmpeg = need!(program::ffmpeg());
    let heavy = need!(clip::heavy(&ffmpeg));
    let server = Server::with(SETTINGS);
    let publisher = program::publish(&ffmpeg, &heavy, Repeat::Once, &server.rtmp_url("cam"));
    server.await_live("cam");
    until("the stream is over", || playlist(&server, "video0-rewind.m3u8")?.ended.then_some(()));
    drop(publisher);
    let urls = [server.flv_url("cam"), server.websocket_url("cam")].map(|url| format!("{url}?start=-40"));
    let file = |at: usize| server.scratch().join(format!("{at}.flv"));
    let viewers = [0, 1].map(|at| {
        let mut command = Command::new(program::rushlight());
        command.args(["play", "--timeout", "20", "--output"]).arg(file(at)).arg(&urls[at]);
        Process::spawn(&mut command)
    });
    server.await_players(2);
    let published = framehash::of_file(&ffmpeg, &heavy);
    for (at, viewer) in viewers.into_iter().enumerate() {
        let report = viewer.finish(PLAY_MAX);
        framehash::compare(&published, &framehash::of_file(&ffmpeg, &file(at)), Extent::Whole)
            .unwrap_or_else(|why| panic!("{}: {why}\n{report}", urls[at]));
    }
}

#[test]
fn flv_begins_at_the_keyframe_that_far_behind_and_goes_on_at_the_rate_of_media() {
    let ffmpeg = need!(program::ffmpeg());
    let heavy = need!(clip::heavy(&ffmpeg));
    let server = Server::with(SETTINGS);
    let _publisher = program::publish(&ffmpeg, &heavy, Repeat::Forever, &server.rtmp_url("cam"));
    until("there is enough to go back to", || {
        server.channel("cam")?["rewindS"].as_u64().filter(|reach| *reach >= 9)
    });
    let keyframe = |query: &str| {
        let mut viewer = server.open_flv("cam", query).unwrap();
        let first = viewer.find(|tag| tag.is_picture()).unwrap();
        assert!(first.is_keyframe(), "{query}");
        (i64::from(first.timestamp), viewer)
    };
    let (before, _) = keyframe("");
    let (begun, mut viewer) = keyframe("?start=-8");
    let (after, mut live) = keyframe("");
    // A keyframe comes each second.
    assert!((before - 9_100..=after - 6_900).contains(&begun), "{before} {begun} {after}");
    // Three seconds later it is as far behind: neither is ahead by more than what is sent at once.
    let last = [(&mut viewer, begun), (&mut live, after)].map(|(viewer, begun)| {
        let tag = viewer.find(|tag| tag.is_picture() && i64::from(tag.timestamp) >= begun + 3_000);
        i64::from(tag.unwrap().timestamp)
    });
    assert!((5_000..=10_000).contains(&(last[1] - last[0])), "{last:?}");

    // What the log has comes from there; what nobody understands is refused.
    let (near, _) = keyframe("?start=-1");
    assert!(near > begun + 5_000, "{near}");
    for (query, status) in [("?start=8", 400), ("?from=then", 400), ("?from=2026-01-01T00:00:00Z", 200)] {
        assert_eq!(
            http::get(server.http, &format!("/live/cam.flv{query}")).unwrap().status,
            status,
            "{query}"
        );
    }
}

/// A stream that is over, of the second segment of which the pictures are lost, and how many pictures the others have.
fn lossy(ffmpeg: &Path) -> Result<(Server, usize), String> {
    let heavy = clip::heavy(ffmpeg)?;
    let server = Server::with(SETTINGS);
    let folder = server.data().join("timeshift");
    let publisher = program::publish(ffmpeg, &heavy, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    assert_eq!(fetch(server.http, "/live/cam/rewind.m3u8").status, 200);
    let mut video = Follower::new(server.http, "/live/cam/", "video0-rewind.m3u8", "");
    while video.playlist.segments.len() < 8 {
        video.next_part();
    }
    let lost = video.playlist.segments[1].clone();
    let path = format!("/live/cam/{}", lost.uri.unwrap());
    let bytes = fetch(server.http, &path).body;
    let file = until("it is on the disk", || {
        let mut files = std::fs::read_dir(&folder).ok()?.flatten().map(|file| file.path());
        files.find(|file| std::fs::read(file).is_ok_and(|found| found == bytes))
    });
    std::fs::remove_file(file).unwrap();
    // Players that do not know of gaps get a segment without a frame.
    for _ in 0..2 {
        let answer = fetch(server.http, &path);
        assert!(
            answer.status == 200 && answer.body[4..8] == *b"styp" && answer.body.len() < 150,
            "{answer:?}"
        );
    }
    until("it is a gap", || {
        video.next_part();
        video.playlist.segments.iter().any(|segment| segment.gap).then_some(())
    });
    let of_gaps = |playlist: &Playlist| -> Vec<u64> {
        playlist.segments.iter().filter(|segment| segment.gap).map(|segment| segment.number).collect()
    };
    assert_eq!(
        (of_gaps(&video.playlist), lost.number),
        (vec![video.playlist.segments[1].number], video.playlist.segments[1].number)
    );
    assert!(video.check_delta() < 2, "who knows the list from before is told: {:?}", video.playlist);
    let problem = server.channel("cam").unwrap()["rewindProblem"].to_string();
    assert!(problem.contains("a segment is missing in its folder"), "{problem}");
    // A manifest has no form for it.
    let manifest = String::from_utf8(fetch(server.http, "/live/cam/rewind.mpd").body).unwrap();
    assert!(manifest.contains(&format!(" startNumber=\"{}\"", lost.number + 1)), "{manifest}");
    publisher.signal("INT");
    until("the stream is over", || {
        video.next_part();
        video.playlist.ended.then_some(())
    });
    let pictures = video.check_media();
    Ok((server, pictures as usize))
}

#[test]
fn players_go_on_behind_a_segment_that_was_lost() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let (server, expected) = need!(lossy(&ffmpeg));
    let url = format!("http://{}/live/cam/rewind.m3u8", server.http);
    for player in [&ffmpeg, &ffmpeg9] {
        let played = hashes(player, &["-live_start_index", "0"], &url, &server.scratch().join("out"));
        let video = played.iter().find(|track| track.is_video).unwrap();
        assert_eq!(video.frames.len(), expected);
        let holes = video.frames.windows(2).filter(|pair| pair[1].dts - pair[0].dts > 500).count();
        assert_eq!(holes, 1);
    }
    need!(crate::players::play(&server, &["hls.js=/live/cam/rewind.m3u8", "shaka=/live/cam/rewind.m3u8"]));
    // These do not know of gaps.
    let gst = need!(program::gst("hlsdemux2").and(program::gst("avdec_h264")));
    let vlc = crate::vlc::Vlc::start(&need!(program::find("vlc")), &url, None);
    let (player, [pictures, _]) = crate::vod_players::gstreamer(&gst, &server, &url, "gap");
    let printed = player.finish(PLAY_MAX);
    let shown = std::fs::metadata(pictures).map_or(0, |file| file.len()) / (64 * 36);
    assert_eq!(shown as usize, expected, "{printed}");
    let seen = vlc.finish(&ffmpeg);
    assert!(seen.count("h264") + 5 >= expected, "{expected}: {seen}");
}
