//! HLS: what playlists promise holds, and other people's players get every packet.

use e2e::clip::{self, Layout};
use e2e::framehash::{self, Extent};
use e2e::hls::{Follower, Playlist, fetch};
use e2e::program::{self, Repeat};
use e2e::wait::until_within;
use e2e::{Process, Server, http, need, rules, until};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PLAY_MAX: Duration = Duration::from_secs(60);
/// How long a player may take that shows pictures at all.
const JOIN_MAX: Duration = Duration::from_secs(25);

/// A server with the channel `cam`, on which `clip` runs over and over.
fn live(clip: &Path, settings: &[&str]) -> Result<(Server, Process), String> {
    let ffmpeg = program::ffmpeg()?;
    let server = Server::with(settings);
    let publisher = program::publish(&ffmpeg, clip, Repeat::Forever, &server.rtmp_url("cam"));
    until("the channel is live", || server.is_live("cam").then_some(()));
    Ok((server, publisher))
}

fn multivariant(server: &Server, query: &str) -> String {
    let answer = fetch(server.http, &format!("/live/cam.m3u8{query}"));
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let text = String::from_utf8(answer.body).unwrap();
    assert_eq!(rules::of_multivariant(&text), [""; 0], "{text}");
    text
}

#[test]
fn playlists_and_media_keep_the_rules() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let (server, _publisher) = need!(live(&clip, &["hls.window_ms=16000"]));
    let main = multivariant(&server, "");
    assert!(main.contains("RESOLUTION=640x360,FRAME-RATE=25.000,AUDIO="), "{main}");
    let mut video = Follower::new(server.http, "/live/cam/", "video0.m3u8", "");
    let mut audio = Follower::new(server.http, "/live/cam/", "audio0.m3u8", "");
    let first = video.playlist.edge().0;
    video.check_refusals();
    while video.playlist.edge().0 < first + 10 {
        video.next_part();
        video.check_hint();
        let (uri, segment, part) = &video.playlist.reports[0];
        let reported = (uri.as_str(), *segment, *part as usize);
        audio.next_part();
        let now = audio.playlist.edge();
        assert!(
            reported.0 == "audio0.m3u8" && (reported.1, reported.2) <= (now.0, now.1 + 1),
            "{reported:?}, {now:?}"
        );
    }
    assert!(video.check_delta() > 0, "a long playlist has delta updates: {:?}", video.playlist);
    assert!(video.check_media() >= 300 && audio.check_media() >= 500);
    video.check_refusals();
}

#[test]
fn tracks_of_many_kinds_keep_the_rules() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    for (layout, codecs) in [
        (Layout::Av1Opus, "av01.0"),
        (Layout::Vp9Flac, "fLaC"),
        (Layout::H264Ac3, "ac-3"),
        (Layout::FourCodecs, "hvc1."),
    ] {
        let clip = need!(clip::enhanced(&ffmpeg, &ffmpeg9, layout));
        let server = Server::start();
        let _publisher = program::publish(&ffmpeg9, &clip, Repeat::Forever, &server.rtmp_url("cam"));
        server.await_live("cam");
        let main = multivariant(&server, "");
        assert!(main.contains(codecs), "{main}");
        let playlists: BTreeSet<&str> =
            main.split(['"', '\n']).filter_map(|text| text.strip_prefix("cam/")).collect();
        assert_eq!(playlists.len(), if layout == Layout::FourCodecs { 4 } else { 2 }, "{main}");
        for name in playlists {
            let mut follower = Follower::new(server.http, "/live/cam/", name, "");
            (0..12).for_each(|_| follower.next_part());
            assert!(follower.check_media() > 0, "{layout:?} {name}");
        }
    }
}

/// Lets `player` play a clip that is published once and is over when it is; it has joined in time for the first packet.
fn plays_all(clip: &Path, player: impl FnOnce(&Server, &Path) -> Result<Process, String>, extent: Extent) {
    plays_all_with(clip, &[], player, extent);
}

fn plays_all_with(
    clip: &Path,
    settings: &[&str],
    player: impl FnOnce(&Server, &Path) -> Result<Process, String>,
    extent: Extent,
) {
    let ffmpeg = need!(program::ffmpeg());
    let server = Server::with(&[&["hub.grace_ms=500", "hls.window_ms=30000"], settings].concat());
    let out = server.scratch().join("out");
    let publisher = program::publish(&ffmpeg, clip, Repeat::Once, &server.rtmp_url("cam"));
    until("the channel is live", || server.is_live("cam").then_some(()));
    // The window holds the stream from its beginning.
    multivariant(&server, "");
    let mut player = need!(player(&server, &out));
    player.wait(PLAY_MAX);
    drop(publisher);
    let played = framehash::parse(&std::fs::read_to_string(&out).unwrap_or_default()).unwrap();
    framehash::compare(&framehash::of_file(&ffmpeg, clip), &played, extent)
        .unwrap_or_else(|why| panic!("{why}\n{}", player.output()));
}

/// ffmpeg from the first segment in the playlist or manifest on.
fn ffmpeg_hashes(ffmpeg: &Path, url: &str, out: &Path) -> Process {
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "warning", "-y"]);
    if !url.ends_with(".mpd") {
        command.args(["-live_start_index", "0"]);
    }
    command.args(["-copyts", "-i", url, "-map", "0", "-c", "copy", "-copyinkf"]);
    Process::spawn(command.args(["-flush_packets", "1", "-f", "framehash", "-hash", "md5"]).arg(out))
}

fn url(server: &Server) -> String {
    format!("http://{}/live/cam.m3u8", server.http)
}

#[test]
fn debian_ffmpeg_plays_every_packet() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    plays_all(&clip, |server, out| Ok(ffmpeg_hashes(&ffmpeg, &url(server), out)), Extent::Whole);
}

#[test]
fn ffmpeg_9_plays_every_packet() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clip = need!(clip::h264_aac(&ffmpeg));
    plays_all(&clip, |server, out| Ok(ffmpeg_hashes(&ffmpeg9, &url(server), out)), Extent::Whole);
}

#[test]
fn ffmpeg_9_plays_every_packet_of_each_kind_of_track_over_hls_and_dash() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let scratch = e2e::process::Scratch::new();
    let both = need!(clip::h264_aac(&ffmpeg));
    let enhanced = |layout| clip::enhanced(&ffmpeg, &ffmpeg9, layout);
    let rows = [
        ("hevc-aac", need!(enhanced(Layout::HevcAac))),
        ("av1-opus", need!(enhanced(Layout::Av1Opus))),
        ("vp9-flac", need!(enhanced(Layout::Vp9Flac))),
        ("h264-ac3", need!(enhanced(Layout::H264Ac3))),
        ("pictures", need!(only(&ffmpeg, &both, "-an", scratch.file("pictures.flv")))),
        ("sound", need!(only(&ffmpeg, &both, "-vn", scratch.file("sound.flv")))),
    ];
    let server = Server::with(&["hub.grace_ms=500", "hls.window_ms=30000", "hls.always=[\"live/*\"]"]);
    let publishers = rows
        .each_ref()
        .map(|(name, clip)| program::publish(&ffmpeg9, clip, Repeat::Once, &server.rtmp_url(name)));
    let play = |name: &str, form: &str| {
        let out = server.scratch().join(format!("{name}.{form}"));
        (ffmpeg_hashes(&ffmpeg9, &format!("http://{}/live/{name}.{form}", server.http), &out), out)
    };
    let check = |clip: &Path, (mut player, out): (Process, PathBuf), extent: Extent| {
        player.wait(PLAY_MAX);
        let played = framehash::parse(&std::fs::read_to_string(&out).unwrap_or_default()).unwrap();
        framehash::compare(&framehash::of_file(&ffmpeg9, clip), &played, extent)
            .unwrap_or_else(|why| panic!("{}: {why}\n{}", out.display(), player.output()));
    };
    let live = rows.each_ref().map(|(name, _)| {
        until(&format!("{name} is live"), || server.is_live(name).then_some(()));
        (play(name, "m3u8"), play(name, "mpd"))
    });
    for ((name, clip), (hls, dash)) in rows.iter().zip(live) {
        check(clip, hls, Extent::Whole);
        // ffmpeg finds its place again by whole seconds, and plays a first segment twice that is shorter than one.
        if *name == "sound" {
            continue;
        }
        // Of a manifest that grew, ffmpeg asks for more when the stream is over, and keeps the last frame or two for itself.
        let sent: usize = framehash::of_file(&ffmpeg9, clip).iter().map(|track| track.frames.len()).sum();
        until_within(PLAY_MAX, "all of the stream is played", || {
            let written = std::fs::read_to_string(&dash.1).unwrap_or_default();
            (written.lines().filter(|line| !line.starts_with('#')).count() + 4 >= sent).then_some(())
        });
        dash.0.signal("INT");
        check(clip, dash, Extent::AtLeast(70));
    }
    drop(publishers);
    let ended = rows.each_ref().map(|(name, _)| {
        until(&format!("{name} has ended"), || {
            let manifest = fetch(server.http, &format!("/live/{name}.mpd")).body;
            String::from_utf8_lossy(&manifest).contains("type=\"static\"").then_some(())
        });
        play(name, "mpd")
    });
    rows.iter().zip(ended).for_each(|((_, clip), player)| check(clip, player, Extent::Whole));
}

/// A key for every segment, so that it changes often.
const ENCRYPTED: [&str; 2] = ["hls.encrypt=\"aes-128\"", "hls.key_segments=1"];

#[test]
fn both_ffmpegs_play_every_packet_of_an_encrypted_stream() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clip = need!(clip::h264_aac(&ffmpeg));
    for player in [&ffmpeg, &ffmpeg9] {
        let play = |server: &Server, out: &Path| Ok(ffmpeg_hashes(player, &url(server), out));
        plays_all_with(&clip, &ENCRYPTED, play, Extent::Whole);
    }
}

#[test]
fn an_encrypted_stream_has_no_clear_segment_and_no_key_for_strangers() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let settings = [&ENCRYPTED[..], &["access.play_key=let-me-see"]].concat();
    let (server, _publisher) = need!(live(&clip, &settings));
    multivariant(&server, "?key=let-me-see");
    let media = |name: &str| fetch(server.http, &format!("/live/cam/{name}"));
    for playlist in ["video0.m3u8", "ts.m3u8"] {
        let text = String::from_utf8(media(&format!("{playlist}?key=let-me-see")).body).unwrap();
        let key = text.split("METHOD=AES-128,URI=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let iv = text.split("IV=0x").nth(1).map(|rest| &rest[..32]).unwrap();
        let answer = media(key);
        assert_eq!((answer.status, answer.body.len(), answer.cache.as_str()), (200, 16, "no-store"), "{key}");
        assert_eq!(media(key.split('?').next().unwrap()).status, 403, "{key}");
        let name = text.lines().find(|line| !line.starts_with('#')).unwrap();
        let segment = media(name).body;
        assert!(segment.len().is_multiple_of(16), "{name}: {} bytes", segment.len());
        // One byte of what is encrypted may be any.
        let is_transport_stream = (0..3).all(|packet| segment[packet * 188] == 0x47);
        assert!(&segment[4..8] != b"prft" && !is_transport_stream, "{name}");
        // OpenSSL understands it.
        let file = server.scratch().join("segment");
        std::fs::write(&file, &segment).unwrap();
        let hex: String = answer.body.iter().map(|byte| format!("{byte:02x}")).collect();
        let openssl = need!(program::find("openssl"));
        let mut command = Command::new(openssl);
        let clear = server.scratch().join("clear");
        command
            .args(["enc", "-d", "-aes-128-cbc", "-K", &hex, "-iv", iv, "-in"])
            .arg(&file)
            .arg("-out")
            .arg(&clear);
        e2e::process::run(&mut command).unwrap();
        let clear = std::fs::read(clear).unwrap();
        assert!(if playlist == "ts.m3u8" { clear[0] == 0x47 } else { &clear[4..8] == b"prft" }, "{name}");
    }
    assert_eq!(media("key-99999999999.bin?key=let-me-see").status, 404);
    assert_eq!(fetch(server.http, "/live/cam.mpd?key=let-me-see").status, 404);
}

/// A part of the clip: `-an` or `-vn`.
fn only(ffmpeg: &Path, clip: &Path, without: &str, out: PathBuf) -> Result<PathBuf, String> {
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error", "-y", "-i"]).arg(clip).args([without, "-c", "copy"]).arg(&out);
    e2e::process::run(&mut command).map(|_| out)
}

#[test]
fn ffmpeg_plays_pictures_alone_and_sound_alone() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let scratch = e2e::process::Scratch::new();
    let pictures = need!(only(&ffmpeg, &clip, "-an", scratch.file("pictures.flv")));
    plays_all(&pictures, |server, out| Ok(ffmpeg_hashes(&ffmpeg, &url(server), out)), Extent::Whole);
    let sound = need!(only(&ffmpeg, &clip, "-vn", scratch.file("sound.flv")));
    plays_all(&sound, |server, out| Ok(ffmpeg_hashes(&ffmpeg, &url(server), out)), Extent::Whole);
}

#[test]
fn gstreamer_plays() {
    gstreamer_plays_from("/live/cam.m3u8");
}

#[test]
fn gstreamer_plays_transport_streams() {
    gstreamer_plays_from("/live/cam/ts.m3u8");
}

fn gstreamer_plays_from(path: &str) {
    let gst =
        need!(program::gst("hlsdemux").and(program::gst("souphttpsrc")).and(program::gst("avdec_h264")));
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let (server, _publisher) = need!(live(&clip, &[]));
    let out = server.scratch().join("out.gray");
    let picture = format!(
        "video-sink=videoconvert ! videoscale ! video/x-raw,format=GRAY8,width=64,height=36 ! filesink location={}",
        out.display()
    );
    let mut command = Command::new(gst);
    command.args([
        "playbin",
        &format!("uri=http://{}{path}", server.http),
        &picture,
        "audio-sink=fakesink sync=true",
    ]);
    command.env("GST_PLUGIN_FEATURE_RANK", "hlsdemux2:NONE");
    let mut player = Process::spawn(&mut command);
    // It begins when it has buffered for some seconds.
    until_within(PLAY_MAX, "a second of pictures is shown", || {
        assert!(player.is_running(), "{}", player.output());
        std::fs::metadata(&out).is_ok_and(|file| file.len() >= 28 * 64 * 36).then_some(())
    });
}

/// `hlsdemux2` and `dashdemux2`, by name. They want a bin that knows of streams around them, which `decodebin3` is. Without
/// `max-buffering-time`, `dashdemux2` plays when it has buffered for 30 seconds.
#[test]
fn the_newer_demuxers_of_gstreamer_play_hls_and_dash() {
    let gst = need!(
        program::gst("hlsdemux2")
            .and(program::gst("dashdemux2"))
            .and(program::gst("souphttpsrc"))
            .and(program::gst("avdec_h264"))
    );
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let (server, _publisher) = need!(live(&clip, &[]));
    multivariant(&server, "");
    let mut video = Follower::new(server.http, "/live/cam/", "video0.m3u8", "");
    while video.playlist.segments.len() < 4 {
        video.next_part();
    }
    let play = |element: &str, form: &str| {
        let pipeline = format!(
            "decodebin3.( souphttpsrc location=http://{}/live/cam.{form} ! {element} name=d \
             max-buffering-time=1000000000 d.video_00 ! queue ! avdec_h264 ! fpsdisplaysink text-overlay=false \
             signal-fps-measurements=false video-sink=fakesink d.audio_00 ! queue ! fakesink sync=true )",
            server.http
        );
        Process::spawn(Command::new(&gst).arg("-v").args(pipeline.split_whitespace()))
    };
    let elements = [("hlsdemux2", "m3u8"), ("dashdemux2", "mpd")];
    let players = elements.map(|(element, form)| (play(element, form), element, form));
    for (mut player, element, form) in players {
        let (begun, mut has_begun_anew) = (Instant::now(), false);
        until_within(PLAY_MAX, "three seconds of pictures are shown", || {
            // The dashdemux2 of GStreamer 1.22 stands now and then before its first picture, for ever. A person plays again.
            if element == "dashdemux2" && !has_begun_anew && begun.elapsed() > JOIN_MAX {
                println!("{element} stood for {JOIN_MAX:?} and is started again");
                (player, has_begun_anew) = (play(element, form), true);
            }
            assert!(player.is_running(), "{}", player.output());
            let output = player.output();
            let counts = output.split("rendered: ").skip(1).filter_map(|rest| rest.split(',').next());
            counts.filter_map(|count| count.parse::<u32>().ok()).any(|count| count >= 75).then_some(())
        });
    }
}

#[test]
fn a_publisher_that_returns_continues_after_a_discontinuity() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let (server, mut publisher) = need!(live(&clip, &["hls.window_ms=30000"]));
    multivariant(&server, "");
    let mut video = Follower::new(server.http, "/live/cam/", "video0.m3u8", "");
    (0..4).for_each(|_| video.next_part());
    publisher.kill();
    until("the publisher is missed", || (!server.is_live("cam")).then_some(()));
    let _again = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    until("the stream goes on", || {
        video.next_part();
        let from = video.playlist.segments.iter().position(|segment| segment.discontinuity);
        from.filter(|from| *from + 2 < video.playlist.segments.len())
    });
    video.check_media();
    let audio = Follower::new(server.http, "/live/cam/", "audio0.m3u8", "");
    assert!(audio.playlist.segments.iter().filter(|segment| segment.discontinuity).count() == 1);
}

#[test]
fn a_publisher_that_returns_with_another_codec_has_a_map_of_its_own_behind_a_discontinuity() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clips = [need!(clip::h264_aac(&ffmpeg)), need!(clip::enhanced(&ffmpeg, &ffmpeg9, Layout::HevcAac))];
    let server = Server::with(&["hls.window_ms=30000"]);
    let mut publisher = program::publish(&ffmpeg, &clips[0], Repeat::Once, &server.rtmp_url("cam"));
    server.await_live("cam");
    multivariant(&server, "");
    let mut follower = Follower::new(server.http, "/live/cam/", "video0.m3u8", "");
    let complete = |playlist: &Playlist| playlist.segments.iter().filter(|s| s.uri.is_some()).count();
    while complete(&follower.playlist) < 2 {
        follower.next_part();
    }
    publisher.kill();
    until("the publisher is missed", || (!server.is_live("cam")).then_some(()));
    let _again = program::publish(&ffmpeg9, &clips[1], Repeat::Once, &server.rtmp_url("cam"));
    until("the stream goes on", || {
        follower.next_part();
        let segments = &follower.playlist.segments;
        let from = segments.iter().position(|segment| segment.discontinuity)?;
        (segments[from..].iter().filter(|s| s.uri.is_some()).count() >= 2).then_some(())
    });
    assert!(multivariant(&server, "").contains("hvc1."), "the multivariant playlist tells of the new codec");
    assert!(follower.check_media() > 0);
    let segments = &follower.playlist.segments;
    let from = segments.iter().position(|segment| segment.discontinuity).unwrap();
    assert_ne!(segments[from - 1].map, segments[from].map);
    for (clip, side) in clips.iter().zip([&segments[..from], &segments[from..]]) {
        let names = side[0].map.iter().chain(side.iter().filter_map(|segment| segment.uri.as_ref()));
        let bytes: Vec<u8> =
            names.flat_map(|name| fetch(server.http, &format!("/live/cam/{name}")).body).collect();
        let file = server.scratch().join("side.mp4");
        std::fs::write(&file, bytes).unwrap();
        let mut sent = framehash::of_file(&ffmpeg9, clip);
        sent.retain(|track| track.is_video);
        framehash::compare(&sent, &framehash::of_file(&ffmpeg9, &file), Extent::AtLeast(50))
            .unwrap_or_else(|why| panic!("{}: {why}", clip.display()));
    }
}

#[test]
fn the_first_viewer_of_a_stream_that_is_always_packaged_can_go_back_as_far_as_others() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&["hls.always=[\"live/always\"]", "hub.retain_ms=0"]);
    let urls = ["always", "asked"].map(|name| server.rtmp_url(name));
    let _publishers = urls.map(|url| program::publish(&ffmpeg, &clip, Repeat::Forever, &url));
    for name in ["always", "asked"] {
        until(&format!("{name} is live"), || server.is_live(name).then_some(()));
        let mut reader = server.open_flv(name, "").unwrap();
        reader.find(|tag| tag.is_keyframe() && tag.timestamp >= 7_000).unwrap();
    }
    let listed = |name: &str| {
        let answer = fetch(server.http, &format!("/live/{name}/video0.m3u8"));
        let playlist = Playlist::parse(std::str::from_utf8(&answer.body).unwrap());
        playlist.segments.iter().map(|segment| segment.duration).sum::<f64>()
    };
    let [always, asked] = ["always", "asked"].map(listed);
    assert!(always >= 5.0 && asked < always, "{always} s, and {asked} s where nobody had asked");
}

#[test]
fn a_stream_that_ends_ends_its_playlists_and_the_next_one_begins_new_ones() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let (server, publisher) = need!(live(&clip, &[]));
    multivariant(&server, "");
    let mut video = Follower::new(server.http, "/live/cam/", "video0.m3u8", "");
    (0..4).for_each(|_| video.next_part());
    publisher.signal("INT");
    until("the playlist ends", || {
        video.next_part();
        video.playlist.ended.then_some(())
    });
    let last = video.playlist.edge().0;
    let _again = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    until("the channel is live again", || server.is_live("cam").then_some(()));
    multivariant(&server, "");
    let again = Follower::new(server.http, "/live/cam/", "video0.m3u8", "");
    assert!(!again.playlist.ended && again.playlist.edge().0 > last, "names of segments do not come back");
}

#[test]
fn keys_are_asked_for_and_carried_on() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let (server, _publisher) = need!(live(&clip, &["access.play_key=let-me-see"]));
    for path in ["/live/cam.m3u8", "/live/cam/video0.m3u8", "/live/cam/video0-1.m4s", "/live/cam.m3u8?key=x"]
    {
        assert_eq!(fetch(server.http, path).status, 403, "{path}");
    }
    let main = multivariant(&server, "?key=let-me-see");
    assert!(main.contains("cam/video0.m3u8?key=let-me-see\n"), "{main}");
    let mut video = Follower::new(server.http, "/live/cam/", "video0.m3u8", "key=let-me-see");
    video.next_part();
    let without = video.playlist.segments[0].uri.clone().unwrap().replace("?key=let-me-see", "");
    assert_eq!(fetch(server.http, &format!("/live/cam/{without}")).status, 403);
    video.check_media();
}

#[test]
fn a_viewer_is_one_session_however_often_it_asks() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let (server, _publisher) = need!(live(&clip, &[]));
    let mut video = Follower::new(server.http, "/live/cam/", "video0.m3u8", "");
    (0..3).for_each(|_| video.next_part());
    video.check_media();
    assert_eq!(server.sessions("play"), 1);
    let sessions = server.api("sessions").unwrap();
    let session = sessions["sessions"].as_array().unwrap().iter().find(|s| s["role"] == "play").unwrap();
    assert_eq!(session["protocol"], "hls");
    assert!(session["bytesOut"].as_u64().unwrap() > 10_000, "{session}");
    assert_eq!(server.channel("cam").unwrap()["viewers"], 1);
    until("a viewer that asks for nothing is forgotten", || (server.sessions("play") == 0).then_some(()));
    assert_eq!(server.channel("cam").unwrap()["viewers"], 0);
}

#[test]
fn segments_have_ranges_heads_and_headers_for_caches_and_pages() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let (server, _publisher) = need!(live(&clip, &[]));
    let mut video = Follower::new(server.http, "/live/cam/", "video0.m3u8", "");
    while video.playlist.segments[0].uri.is_none() {
        video.next_part();
    }
    let path = format!("/live/cam/{}", video.playlist.segments[0].uri.clone().unwrap());
    let whole = fetch(server.http, &path).body;
    let ask = |method: &str, range: &str| {
        let mut headers = vec![("Connection", "close"), ("Origin", "https://example.org")];
        headers.extend((!range.is_empty()).then_some(("Range", range)));
        http::request(server.http, method, &path, &headers, b"").unwrap()
    };
    let head = ask("HEAD", "");
    assert_eq!((head.status, head.header("content-length")), (200, Some(whole.len().to_string().as_str())));
    assert_eq!(head.header("access-control-allow-origin"), Some("*"));
    let mut part = ask("GET", "bytes=100-1099");
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut part.body, &mut bytes).unwrap();
    assert_eq!((part.status, &bytes[..]), (206, &whole[100..1100]));
    assert_eq!(part.header("content-range"), Some(format!("bytes 100-1099/{}", whole.len()).as_str()));
    assert_eq!(ask("GET", &format!("bytes={}-", whole.len())).status, 416);
    for path in
        ["/live/cam/video1.m3u8", "/live/cam/video0-1.m4s", "/live/cam/x", "/live/cam/video0-init-1.mp4"]
    {
        let answer = fetch(server.http, path);
        assert_eq!((answer.status, answer.cache.as_str()), (404, "public, max-age=1"), "{path}");
    }
}

#[test]
fn http_2_carries_blocked_requests_side_by_side() {
    let curl = need!(program::find("curl"));
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let (server, _publisher) = need!(live(&clip, &[]));
    let video = Follower::new(server.http, "/live/cam/", "video0.m3u8", "");
    let audio = Follower::new(server.http, "/live/cam/", "audio0.m3u8", "");
    let asked = |follower: &Follower, name: &str| {
        format!("https://{}/live/cam/{name}?_HLS_msn={}", server.https, follower.playlist.edge().0 + 1)
    };
    let mut command = Command::new(curl);
    command.args([
        "--silent",
        "--http2",
        "--insecure",
        "--parallel",
        "--write-out",
        "%{http_version} %{http_code}\\n",
    ]);
    for (follower, name) in [(&video, "video0.m3u8"), (&audio, "audio0.m3u8")] {
        command.arg("--output").arg(server.scratch().join(name)).arg(asked(follower, name));
    }
    let printed = Process::spawn(&mut command).finish(e2e::wait::DEADLINE);
    assert_eq!(printed.matches("2 200").count(), 2, "{printed}");
    let written = Playlist::parse(&std::fs::read_to_string(server.scratch().join("video0.m3u8")).unwrap());
    assert!(written.segments.iter().any(|s| s.number > video.playlist.edge().0 && s.uri.is_some()));
}

#[test]
fn a_stream_that_nobody_publishes_is_not_found_after_a_wait() {
    let server = Server::with(&["hub.wait_ms=300"]);
    for path in ["/live/nobody.m3u8", "/live/nobody/video0.m3u8", "/live/nobody/video0-1.m4s"] {
        assert_eq!(fetch(server.http, path).status, 404, "{path}");
    }
    until("nothing is left of it", || (server.sessions("play") == 0).then_some(()));
}
