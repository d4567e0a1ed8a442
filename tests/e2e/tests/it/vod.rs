//! Recordings played: what was published comes out of every address, whole, in part, and while it is recorded.

use e2e::clip::{self, Layout};
use e2e::framehash::{self, Extent, Track};
use e2e::hls::fetch;
use e2e::program::{self, Repeat};
use e2e::{Process, Server, http, need, rules, until};
use serde_json::Value;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub(crate) const MP4: &str = r#"record.rule=[{stream="live/*"}]"#;
pub(crate) const FLV: &str = r#"record.rule=[{stream="live/*", format="flv"}]"#;
pub(crate) const TS: &str = r#"record.rule=[{stream="live/*", format="ts"}]"#;
const PLAY_MAX: Duration = Duration::from_secs(60);

/// Publishes `clip` once, several times as fast as it plays.
fn publish(ffmpeg: &Path, clip: &Path, url: &str) -> Process {
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "warning", "-readrate", "6", "-i"]).arg(clip);
    Process::spawn(command.args(["-map", "0", "-c", "copy", "-f", "flv", url]))
}

/// The newest recording of the channel `cam`, when it stands like this.
#[track_caller]
pub(crate) fn await_state(server: &Server, state: &str) -> Value {
    until(&format!("the recording is {state}"), || {
        let listed = server.api("recordings?stream=live/cam&limit=1")?;
        listed["recordings"].as_array()?.first().filter(|found| found["state"] == state).cloned()
    })
}

pub(crate) fn id(recording: &Value) -> String {
    recording["id"].as_str().unwrap().to_owned()
}

/// A server with a complete recording of `clip`, and its name.
pub(crate) fn recorded(player: &Path, clip: &Path, rule: &str) -> (Server, String) {
    let server = Server::with(&[rule, "record.merge_s=0"]);
    let _publisher = publish(player, clip, &server.rtmp_url("cam"));
    let complete = await_state(&server, "complete");
    (server, id(&complete))
}

pub(crate) fn url(server: &Server, path: &str) -> String {
    format!("http://{}/recordings/{path}", server.http)
}

#[track_caller]
fn text(server: &Server, path: &str) -> String {
    let answer = fetch(server.http, &format!("/recordings/{path}"));
    let text = String::from_utf8(answer.body).unwrap();
    assert_eq!(answer.status, 200, "{path}: {text}");
    text
}

/// The packets of an address, as ffmpeg plays it to its end.
#[track_caller]
fn hashes(ffmpeg: &Path, server: &Server, path: &str) -> Vec<Track> {
    let out = server.scratch().join(format!("{}.hash", path.replace(['/', '?', '&'], "-")));
    let mut player = program::record_hashes(ffmpeg, &url(server, path), &out);
    player.wait(PLAY_MAX);
    let text = std::fs::read_to_string(&out).unwrap_or_default();
    framehash::parse(&text).unwrap_or_else(|why| panic!("{why}\n{}", player.output()))
}

/// Compares what comes out of the addresses of a recording with what was published.
fn plays_everywhere(clip: &Path, ffmpeg: &Path, rule: &str, forms: &[&str]) {
    let (server, id) = recorded(ffmpeg, clip, rule);
    let source = framehash::of_file(ffmpeg, clip);
    for form in forms {
        let played = hashes(ffmpeg, &server, &format!("{id}.{form}"));
        // ffmpeg 5.1 leaves out the last frame of sound of any manifest.
        let extent = if *form == "mpd" { Extent::AtLeast(195) } else { Extent::Whole };
        framehash::compare(&source, &played, extent).unwrap_or_else(|why| panic!("{form} of {rule}: {why}"));
    }
}

const ALL: &[&str] = &["m3u8", "mpd", "mp4", "flv"];

#[test]
fn h264_with_b_frames_and_aac_come_out_of_every_address() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clip = need!(clip::h264_aac(&ffmpeg));
    for rule in [MP4, FLV] {
        plays_everywhere(&clip, &ffmpeg9, rule, ALL);
        plays_everywhere(&clip, &ffmpeg, rule, ALL);
    }
}

/// Addresses whose media are made of segments in MPEG-TS, which play as they are at `.m3u8`.
const OF_TS: &[&str] = &["m3u8?container=mp4", "mpd", "mp4", "flv"];

#[test]
fn h264_with_b_frames_and_aac_in_segments_come_out_of_every_address() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clip = need!(clip::h264_aac(&ffmpeg));
    plays_everywhere(&clip, &ffmpeg9, TS, OF_TS);
    plays_everywhere(&clip, &ffmpeg, TS, OF_TS);
}

#[test]
fn hevc_aac_and_ac3_in_segments_come_out_of_every_address() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    for layout in [Layout::HevcAac, Layout::H264Ac3] {
        plays_everywhere(&need!(clip::enhanced(&ffmpeg, &ffmpeg9, layout)), &ffmpeg9, TS, OF_TS);
    }
}

fn enhanced(layout: Layout) {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clip = need!(clip::enhanced(&ffmpeg, &ffmpeg9, layout));
    for rule in [MP4, FLV] {
        plays_everywhere(&clip, &ffmpeg9, rule, ALL);
    }
}

#[test]
fn hevc_and_aac_come_out_of_every_address() {
    enhanced(Layout::HevcAac);
}

#[test]
fn ac3_which_has_no_configuration_comes_out_of_every_address() {
    enhanced(Layout::H264Ac3);
}

#[test]
fn av1_and_opus_come_out_of_every_address() {
    enhanced(Layout::Av1Opus);
}

#[test]
fn sound_alone_comes_out_of_every_address() {
    let ffmpeg = need!(program::ffmpeg());
    let both = need!(clip::h264_aac(&ffmpeg));
    let scratch = e2e::process::Scratch::new();
    let clip = scratch.file("sound.flv");
    let mut command = Command::new(&ffmpeg);
    command.args(["-v", "error", "-y", "-i"]).arg(&both).args(["-map", "0:a", "-c", "copy"]).arg(&clip);
    need!(e2e::process::run(&mut command));
    for rule in [MP4, FLV] {
        plays_everywhere(&clip, &ffmpeg, rule, ALL);
    }
}

#[test]
fn addresses_of_nothing_are_404_and_times_that_are_none_are_400() {
    let ffmpeg = need!(program::ffmpeg());
    let (server, id) = recorded(&ffmpeg, &need!(clip::h264_aac(&ffmpeg)), MP4);
    let main = text(&server, &format!("{id}.m3u8"));
    assert!(main.contains("RESOLUTION=640x360,FRAME-RATE=25.000,AUDIO="), "{main}");
    let other = id.replace("2026", "2025");
    for path in [
        "..m3u8",
        "%2e%2e.m3u8",
        "x.m3u8",
        &format!("{other}.m3u8"),
        &format!("{id}.json"),
        &format!("{id}/recording.json"),
        &format!("{id}/..%2frecording.json"),
        &format!("{id}/video1.m3u8"),
        &format!("{id}/video0-1.1-init.mp4"),
        &format!("{id}/video0-2.0-init.mp4"),
        &format!("{id}/video0-1.0-0-90000.m4s"),
        &format!("{id}/video0-1.0-0-2305843009213693951.m4s"),
        &format!("{id}.mp4?from=1000"),
    ] {
        assert_eq!(fetch(server.http, &format!("/recordings/{path}")).status, 404, "{path}");
    }
    for query in ["from=x", "to=-1", "from=2&to=1", "from=2026-13-01T00:00:00Z"] {
        assert_eq!(fetch(server.http, &format!("/recordings/{id}.m3u8?{query}")).status, 400, "{query}");
    }
}

/// The hashes of the pictures that a player shows, in order, of what ffmpeg reads with these arguments.
#[track_caller]
fn pictures(ffmpeg: &Path, input: &str) -> Vec<String> {
    let mut command = Command::new(ffmpeg);
    command.args([
        "-v",
        "error",
        "-i",
        input,
        "-an",
        "-fps_mode",
        "passthrough",
        "-f",
        "framehash",
        "-hash",
        "md5",
        "-",
    ]);
    let text = e2e::process::run(&mut command).unwrap();
    framehash::parse(&text).unwrap().remove(0).frames.into_iter().map(|frame| frame.hash).collect()
}

/// Asks the operator's API to do something.
fn ask(server: &Server, method: &str, path: &str, body: &str) -> (u16, Value) {
    let bearer = format!("Bearer {}", server.operator_token());
    let headers = [("Authorization", bearer.as_str()), ("Connection", "close")];
    let path = format!("/api/v1/{path}");
    let response = http::request(server.http, method, &path, &headers, body.as_bytes()).unwrap();
    let status = response.status;
    (status, serde_json::from_str(&response.text().unwrap()).unwrap_or_default())
}

#[test]
fn a_time_is_exact_as_mp4_and_begins_at_a_keyframe_elsewhere() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    for rule in [MP4, FLV, TS] {
        let (server, id) = recorded(&ffmpeg, &clip, rule);
        let shown = pictures(&ffmpeg, &url(&server, &format!("{id}.mp4")));
        assert_eq!(shown.len(), 200);
        let sound = 2; // The sound begins so many hundredths earlier than the pictures.
        let first_picture = {
            let tracks = hashes(&ffmpeg, &server, &format!("{id}.mp4"));
            let start = |is_video| {
                let of_kind = tracks.iter().filter(|track| track.is_video == is_video);
                of_kind.flat_map(|track| &track.frames).map(|frame| frame.pts).min().unwrap()
            };
            start(true) - start(true).min(start(false))
        };
        assert!(first_picture <= sound * 50, "{first_picture}");
        // The 60th picture and those up to the 120th.
        let at = |picture: i64| (first_picture + picture * 40) as f64 / 1000.0;
        let time = format!("from={:.3}&to={:.3}", at(60), at(120));
        let exact = pictures(&ffmpeg, &url(&server, &format!("{id}.mp4?{time}")));
        assert_eq!(exact, shown[60..120], "{time}");
        // From the keyframe before to the one behind.
        for form in ["m3u8", "mpd"] {
            let played = pictures(&ffmpeg, &url(&server, &format!("{id}.{form}?{time}")));
            assert_eq!(played, shown[50..125], "{form}?{time}");
        }
        let flv = pictures(&ffmpeg, &url(&server, &format!("{id}.flv?{time}")));
        assert_eq!(flv, shown[50..125]);
    }
}

#[test]
fn a_time_of_a_recording_in_segments_begins_and_ends_at_keyframes() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let server = Server::with(&[TS, "record.merge_s=0", "access.play_key=let-me-see"]);
    let publisher = publish(&ffmpeg, &need!(clip::h264_aac(&ffmpeg)), &server.rtmp_url("cam"));
    let id = id(&await_state(&server, "complete"));
    drop(publisher);
    let list = |query: &str| text(&server, &format!("{id}.m3u8?key=let-me-see{query}"));
    let at = |query: &str| url(&server, &format!("{id}.m3u8?key=let-me-see{query}"));
    for player in [&ffmpeg, &ffmpeg9] {
        let shown = pictures(player, &at(""));
        assert_eq!(shown.len(), 200);
        // Segments begin after 0 and 6 seconds, keyframes are a second apart.
        for (query, frames) in [
            ("&from=2.6&to=4.5", 50..125),
            ("&from=3.4&to=7.2", 75..200),
            ("&from=6&to=7", 150..175),
            ("&to=3", 0..75),
            ("&to=6", 0..150),
            ("&from=6.5", 150..200),
            ("&from=7.99", 175..200),
            ("&from=0&to=100", 0..200),
        ] {
            let list = list(query);
            assert_eq!(rules::of_media(&list), [""; 0], "{list}");
            assert_eq!(pictures(player, &at(query)), shown[frames], "{query}: {list}");
        }
    }
    let whole = list("");
    assert!(whole.contains("#EXTINF:6.000,"), "up to where the next segment begins: {whole}");
    let cut = list("&from=2.6&to=4.5");
    assert!(cut.contains("TIME-OFFSET=0.600,") && cut.contains("#EXTINF:3.000,"), "{cut}");
    let name = cut.lines().find(|line| !line.starts_with('#')).unwrap();
    let answer = fetch(server.http, name);
    assert_eq!((answer.status, answer.cache.as_str()), (200, "public, max-age=3600, immutable"));
    assert_eq!(fetch(server.http, name.split('?').next().unwrap()).status, 404, "without the key");
    let other = format!("/recordings/{id}/000001-376-376-9999992.ts?key=let-me-see");
    assert_eq!(fetch(server.http, &other).status, 404);
    for (query, status) in [("from=8.5", 404), ("from=2&to=1", 400), ("to=x", 400)] {
        let path = format!("/recordings/{id}.m3u8?key=let-me-see&{query}");
        assert_eq!(fetch(server.http, &path).status, status, "{query}");
    }
    // Its beginning, as a time of day.
    let begun = await_state(&server, "complete")["startedAt"].as_str().unwrap().to_owned();
    assert_eq!(pictures(&ffmpeg, &at(&format!("&from={begun}&to=3"))).len(), 75);
}

#[test]
fn a_part_of_an_mp4_file_that_is_made_is_a_part_of_the_whole() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    for rule in [MP4, TS] {
        let (server, id) = recorded(&ffmpeg, &clip, rule);
        for path in [format!("/recordings/{id}.mp4"), format!("/recordings/{id}.flv?from=3")] {
            parts_are_of_the_whole(&server, &path);
        }
    }
}

fn parts_are_of_the_whole(server: &Server, path: &str) {
    let whole = fetch(server.http, path).body;
    let part = |method, range: &str| {
        let headers = [("Connection", "close"), ("Range", range)];
        http::request(server.http, method, path, &headers, b"").unwrap()
    };
    let length = whole.len();
    for (first, last) in [(0, 99), (20, 70_000), (length / 2, length - 1), (length - 1, length + 10)] {
        let mut response = part("GET", &format!("bytes={first}-{last}"));
        let last = last.min(length - 1);
        assert_eq!(response.status, 206);
        assert_eq!(response.header("content-range"), Some(&*format!("bytes {first}-{last}/{length}")));
        let mut body = Vec::new();
        response.body.read_to_end(&mut body).unwrap();
        assert!(body == whole[first..=last], "{path}, from {first} to {last}");
    }
    let head = http::request(server.http, "HEAD", path, &[("Connection", "close")], b"").unwrap();
    assert_eq!(head.header("content-length"), Some(&*length.to_string()));
    let etag = head.header("etag").unwrap().to_owned();
    let headers = [("Connection", "close"), ("If-None-Match", etag.as_str())];
    assert_eq!(http::request(server.http, "GET", path, &headers, b"").unwrap().status, 304);
    assert_eq!(part("GET", &format!("bytes={length}-")).status, 416);
}

#[test]
fn a_recording_that_still_runs_plays_and_its_playlist_grows() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    for rule in [MP4, TS] {
        plays_while_it_grows(&ffmpeg, &clip, rule);
    }
}

fn plays_while_it_grows(ffmpeg: &Path, clip: &Path, rule: &str) {
    let server = Server::with(&[rule, "record.merge_s=0"]);
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "warning", "-readrate", "4", "-stream_loop", "-1", "-i"]).arg(clip);
    let publisher = Process::spawn(command.args(["-c", "copy", "-f", "flv", &server.rtmp_url("cam")]));
    let id = id(&await_state(&server, "recording"));
    let list = || fetch(server.http, &format!("/recordings/{id}/video0.m3u8"));
    let segments =
        |text: &str| text.lines().filter(|line| line.ends_with(".m4s")).map(str::to_owned).collect();
    let first: Vec<String> = until("two segments are listed", || {
        let answer = list();
        let found: Vec<String> = segments(&String::from_utf8(answer.body).unwrap());
        (answer.status == 200 && found.len() >= 2).then_some(found)
    });
    let more: Vec<String> = until("another one is listed", || {
        let text = String::from_utf8(list().body).unwrap();
        assert!(text.contains("PLAYLIST-TYPE:EVENT") && !text.contains("ENDLIST"), "{text}");
        let found: Vec<String> = segments(&text);
        (found.len() > first.len()).then_some(found)
    });
    assert_eq!(more[..first.len()], first);
    let media = fetch(server.http, &format!("/recordings/{id}/{}", first[0]));
    assert_eq!((media.status, media.cache.as_str()), (200, "public, max-age=3600, immutable"));
    let so_far = pictures(ffmpeg, &url(&server, &format!("{id}.mp4")));
    assert!(so_far.len() > 300, "{}", so_far.len());
    publisher.signal("INT");
    await_state(&server, "complete");
    let text = String::from_utf8(list().body).unwrap();
    assert!(text.contains("PLAYLIST-TYPE:VOD") && text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    let complete: Vec<String> = segments(&text);
    assert_eq!(complete[..more.len()], more, "names stay what they are");
    let again = fetch(server.http, &format!("/recordings/{id}/{}", first[0]));
    assert!(again.body == media.body, "a segment is the same in the final form of the file");
}

#[test]
fn a_recording_of_two_files_is_one_presentation_and_no_mp4_if_they_differ() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clips = [
        need!(clip::h264_aac(&ffmpeg)),
        need!(clip::enhanced(&ffmpeg, &ffmpeg9, Layout::HevcAac)),
        need!(clip::h264_aac(&ffmpeg)),
    ];
    for (clips, joins) in [(&clips[..2], false), (&[clips[0].clone(), clips[2].clone()][..], true)] {
        let server = Server::with(&[MP4, "record.merge_s=3", "hub.grace_ms=0"]);
        for clip in clips {
            publish(&ffmpeg9, clip, &server.rtmp_url("cam")).wait(PLAY_MAX);
            until("the publisher is gone", || (!server.is_live("cam")).then_some(()));
        }
        let complete = await_state(&server, "complete");
        assert_eq!(complete["files"].as_array().unwrap().len(), 2, "{complete}");
        let id = id(&complete);
        let list = text(&server, &format!("{id}/video0.m3u8"));
        assert_eq!(list.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{list}");
        assert_eq!(text(&server, &format!("{id}.mpd")).matches("<Period ").count(), 2);
        let whole = fetch(server.http, &format!("/recordings/{id}.mp4"));
        if joins {
            assert_eq!(pictures(&ffmpeg9, &url(&server, &format!("{id}.mp4"))).len(), 400);
            assert_eq!(pictures(&ffmpeg9, &url(&server, &format!("{id}.m3u8"))).len(), 400);
        } else {
            let words = String::from_utf8(whole.body).unwrap();
            assert!(whole.status == 409 && words.contains(&format!("/recordings/{id}/0002.mp4")), "{words}");
            assert_eq!(pictures(&ffmpeg9, &url(&server, &format!("{id}.mp4?from=9&to=12"))).len(), 75);
        }
    }
}

#[test]
fn clips_are_recordings_of_their_own() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    for rule in [MP4, TS] {
        clips_are_cut_out(&ffmpeg, &clip, rule);
    }
}

fn clips_are_cut_out(ffmpeg: &Path, clip: &Path, rule: &str) {
    let (server, id) = recorded(ffmpeg, clip, rule);
    let shown = pictures(ffmpeg, &url(&server, &format!("{id}.mp4")));
    let cut = |exact: bool| {
        let body =
            format!(r#"{{"recording":"{id}","from_s":2.6,"to_s":4.5,"exact":{exact},"title":"The goal"}}"#);
        let (status, made) = ask(&server, "POST", "clips", &body);
        assert_eq!(status, 201, "{made}");
        assert_eq!(
            (&made["kind"], &made["state"], &made["title"]),
            (&"clip".into(), &"complete".into(), &"The goal".into())
        );
        assert_eq!(made["source"]["recording"], id.as_str());
        made["id"].as_str().unwrap().to_owned()
    };
    let (copy, exact) = (cut(false), cut(true));
    for form in ["mp4", "m3u8"] {
        assert_eq!(pictures(ffmpeg, &url(&server, &format!("{copy}.{form}"))), shown[50..125], "{form}");
    }
    let exact = pictures(ffmpeg, &url(&server, &format!("{exact}/0001.mp4")));
    let first = shown.iter().position(|picture| *picture == exact[0]).unwrap();
    assert!((63..=65).contains(&first) && exact == shown[first..first + exact.len()], "{first}");
    assert!((46..=49).contains(&exact.len()), "{}", exact.len());
    for body in ["{}", r#"{"stream":"live/cam"}"#, r#"{"stream":"live/cam","last_s":-1}"#, "x"] {
        assert_eq!(ask(&server, "POST", "clips", body).0, 400, "{body}");
    }
    assert_eq!(ask(&server, "POST", "clips", r#"{"stream":"live/none","last_s":5}"#).0, 404);
}

#[test]
fn the_last_seconds_of_a_live_stream_become_a_clip_recorded_or_not() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    for settings in [&[MP4][..], &[TS], &[]] {
        let server = Server::with(settings);
        let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
        server.await_live("cam");
        let (status, made) = until("there are three seconds", || {
            let (status, made) = ask(&server, "POST", "clips", r#"{"stream":"live/cam","last_s":3}"#);
            (made["durationMs"].as_u64()? >= 2_000).then_some((status, made))
        });
        assert!(status == 201 || status == 202, "{status}: {made}");
        let id = id(&made);
        until("the clip is complete", || {
            (server.api(&format!("recordings/{id}"))?["state"] == "complete").then_some(())
        });
        assert!(pictures(&ffmpeg, &url(&server, &format!("{id}.mp4"))).len() >= 50);
        let still = text_of(&server, "/live/cam/snapshot.mp4", &ffmpeg);
        assert_eq!(still, 1);
        let jpeg = fetch(server.http, "/live/cam/snapshot.jpg");
        assert!(jpeg.status == 200 && jpeg.body.starts_with(&[0xff, 0xd8]), "{}", jpeg.status);
        let again = fetch(server.http, "/live/cam/snapshot.jpg");
        assert!(again.body == jpeg.body, "within some seconds it is the same");
        let shown = pictures(&ffmpeg, &format!("http://{}/live/cam/snapshot.jpg", server.http));
        assert_eq!(shown.len(), 1, "ffmpeg reads it");
    }
}

/// How many pictures an address shows.
fn text_of(server: &Server, path: &str, ffmpeg: &Path) -> usize {
    pictures(ffmpeg, &format!("http://{}{path}", server.http)).len()
}

#[test]
fn posters_show_one_keyframe() {
    let ffmpeg = need!(program::ffmpeg());
    for rule in [MP4, TS] {
        shows_one_keyframe(&ffmpeg, rule);
    }
    let server = Server::with(&[MP4, "record.merge_s=0", "record.ffmpeg="]);
    let _publisher = publish(&ffmpeg, &need!(clip::h264_aac(&ffmpeg)), &server.rtmp_url("cam"));
    let id = id(&await_state(&server, "complete"));
    let jpeg = fetch(server.http, &format!("/recordings/{id}/poster.jpg"));
    assert_eq!(jpeg.status, 200, "the engine needs no program: {}", String::from_utf8_lossy(&jpeg.body));
}

fn shows_one_keyframe(ffmpeg: &Path, rule: &str) {
    let (server, id) = recorded(ffmpeg, &need!(clip::h264_aac(ffmpeg)), rule);
    let shown = pictures(ffmpeg, &url(&server, &format!("{id}.mp4")));
    for (query, picture) in [("", 0), ("?at=3.5", 75), ("?at=1000", 175)] {
        assert_eq!(pictures(ffmpeg, &url(&server, &format!("{id}/poster.mp4{query}"))), [&*shown[picture]]);
    }
    let jpeg = fetch(server.http, &format!("/recordings/{id}/poster.jpg?at=3.5"));
    assert!(jpeg.status == 200 && jpeg.body.starts_with(&[0xff, 0xd8]), "{}", jpeg.status);
}

#[test]
fn the_list_shows_what_one_may_play() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&[MP4, "record.merge_s=0", "access.play_key=let-me-see"]);
    let _publisher = publish(&ffmpeg, &clip, &server.rtmp_url("cam"));
    let id = id(&await_state(&server, "complete"));
    let (status, titled) =
        ask(&server, "PATCH", &format!("recordings/{id}"), r#"{"title":"Derby, the final"}"#);
    assert_eq!((status, &titled["title"]), (200, &"Derby, the final".into()));
    let listed = |query: &str| {
        let answer = fetch(server.http, &format!("/api/v1/recordings?{query}"));
        assert_eq!(answer.status, 200, "{query}");
        serde_json::from_slice::<Value>(&answer.body).unwrap()["recordings"].as_array().unwrap().clone()
    };
    assert!(listed("").is_empty(), "who has no key sees nothing");
    let seen = listed("key=let-me-see&q=DERBY&since=2026-01-01T00:00:00Z");
    assert_eq!(
        (seen.len(), &seen[0]["id"], &seen[0]["files"]),
        (1, &id.as_str().into(), &serde_json::json!([]))
    );
    assert!(
        listed("key=let-me-see&q=cup").is_empty()
            && listed("key=let-me-see&until=2026-01-01T00:00:00Z").is_empty()
    );
    assert_eq!(fetch(server.http, &format!("/recordings/{id}.m3u8")).status, 404);
    assert_eq!(fetch(server.http, &format!("/api/v1/recordings/{id}")).status, 404);
    assert_eq!(fetch(server.http, &format!("/api/v1/recordings/{id}?key=let-me-see")).status, 200);
    let main = text(&server, &format!("{id}.m3u8?key=let-me-see&from=2.1"));
    assert!(main.contains("/video0.m3u8?from=2.100&key=let-me-see"), "{main}");
    assert_eq!(pictures(&ffmpeg, &url(&server, &format!("{id}.m3u8?key=let-me-see&from=2.1"))).len(), 150);
    assert_eq!(pictures(&ffmpeg, &url(&server, &format!("{id}.mpd?key=let-me-see&from=2.1"))).len(), 150);
}
