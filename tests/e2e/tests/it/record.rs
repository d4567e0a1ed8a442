//! Recordings: what was published is in the file, whatever happens to the publisher, the server and the disk.

use super::containers::without_form;
use e2e::clip::{self, Layout};
use e2e::framehash::{self, Extent, Track};
use e2e::program::{self, Repeat};
use e2e::{Server, http, need, stays, until};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const MP4: &str = r#"record.rule=[{stream="live/*"}]"#;
const TS: &str = r#"record.rule=[{stream="live/*", format="ts"}]"#;
const FLV: &str = r#"record.rule=[{stream="live/*", format="flv"}]"#;

/// The newest recording of a channel of the app `live`.
pub(crate) fn recording(server: &Server, channel: &str) -> Option<Value> {
    let listed = server.api(&format!("recordings?stream=live/{channel}&limit=1"))?;
    listed["recordings"].as_array()?.first().cloned()
}

/// The newest recording of a channel, when it stands like this.
#[track_caller]
pub(crate) fn await_state(server: &Server, channel: &str, state: &str) -> Value {
    until(&format!("the recording of {channel} is {state}"), || {
        recording(server, channel).filter(|found| found["state"] == state)
    })
}

fn folder(server: &Server, recording: &Value) -> PathBuf {
    let text = |key: &str| recording[key].as_str().unwrap().to_owned();
    server.data().join("recordings").join(text("stream")).join(text("id"))
}

pub(crate) fn file(server: &Server, recording: &Value, number: usize) -> PathBuf {
    folder(server, recording).join(recording["files"][number]["name"].as_str().unwrap())
}

/// Whether the description of an MP4 file stands before its media, without fragments.
fn is_fast_start(file: &Path) -> bool {
    let bytes = std::fs::read(file).unwrap();
    let (mut at, mut kinds) = (0, Vec::new());
    while let Some(head) = bytes.get(at..at + 8) {
        let size = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        kinds.push(String::from_utf8_lossy(&head[4..]).into_owned());
        at += if size == 1 {
            u64::from_be_bytes(bytes[at + 8..at + 16].try_into().unwrap()) as usize
        } else {
            size
        };
    }
    kinds == ["ftyp", "moov", "mdat"]
}

/// Publishes `clip` once and compares what was recorded with it.
fn is_recorded(clip: &Path, player: &Path, rule: &str) {
    let server = Server::with(&[rule, "record.merge_s=0"]);
    let _publisher = program::publish(player, clip, Repeat::Once, &server.rtmp_url("cam"));
    let complete = await_state(&server, "cam", "complete");
    assert_eq!(complete["files"].as_array().unwrap().len(), 1, "{complete}");
    assert_eq!(complete["gaps"], serde_json::json!([]), "{complete}");
    let file = file(&server, &complete, 0);
    if rule == MP4 {
        assert!(is_fast_start(&file));
    }
    let recorded = framehash::of_file(player, &file);
    framehash::compare(&framehash::of_file(player, clip), &recorded, Extent::Whole)
        .unwrap_or_else(|why| panic!("{why}\n{complete}"));
    assert_eq!(complete["bytes"], file.metadata().unwrap().len());
    let seconds = complete["durationMs"].as_f64().unwrap() / 1000.0;
    assert!((seconds - f64::from(clip::SECONDS)).abs() < 0.5, "{seconds} s");
}

fn enhanced(layout: Layout, rule: &str) {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clip = need!(clip::enhanced(&ffmpeg, &ffmpeg9, layout));
    is_recorded(&clip, &ffmpeg9, rule);
}

#[test]
fn h264_with_b_frames_and_aac_are_recorded_as_mp4() {
    let ffmpeg = need!(program::ffmpeg());
    is_recorded(&need!(clip::h264_aac(&ffmpeg)), &ffmpeg, MP4);
}

#[test]
fn h264_with_b_frames_and_aac_are_recorded_as_flv() {
    let ffmpeg = need!(program::ffmpeg());
    is_recorded(&need!(clip::h264_aac(&ffmpeg)), &ffmpeg, FLV);
}

/// The segments that a playlist lists.
fn segments(playlist: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(playlist).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// Publishes `clip` and compares what is in the segments with it.
fn is_recorded_in_segments(ffmpeg: &Path, clip: &Path, codec: &str) {
    let server = Server::with(&[TS, "record.merge_s=0"]);
    let _publisher = program::publish(ffmpeg, clip, Repeat::Once, &server.rtmp_url("cam"));
    // The playlist grows while it is written, so that any web server may serve it.
    let growing = until("a segment has ended", || {
        let found = recording(&server, "cam")?;
        let playlist = folder(&server, &found).join("index.m3u8");
        std::fs::read_to_string(playlist).ok().filter(|text| text.contains("000001.ts"))
    });
    assert!(growing.contains("#EXT-X-PLAYLIST-TYPE:EVENT") && !growing.contains("ENDLIST"), "{growing}");
    let complete = await_state(&server, "cam", "complete");
    assert_eq!(complete["gaps"], serde_json::json!([]), "{complete}");
    let playlist = file(&server, &complete, 0);
    assert!(playlist.ends_with("index.m3u8") && complete["files"].as_array().unwrap().len() == 1);
    assert!(std::fs::read_to_string(&playlist).unwrap().ends_with("#EXT-X-ENDLIST\n"));
    let found = segments(&playlist);
    assert_eq!(found, ["000001.ts", "000002.ts"]);
    let bytes: u64 = found.iter().map(|name| playlist.with_file_name(name).metadata().unwrap().len()).sum();
    assert_eq!(complete["bytes"], bytes);
    let seconds = complete["durationMs"].as_f64().unwrap() / 1000.0;
    assert!((seconds - f64::from(clip::SECONDS)).abs() < 0.5, "{seconds} s");
    let (sent, recorded) = (without_form(ffmpeg, clip, codec), without_form(ffmpeg, &playlist, codec));
    framehash::compare(&sent, &recorded, Extent::Whole).unwrap_or_else(|why| panic!("{why}\n{complete}"));
    // It plays from here as well.
    let id = complete["id"].as_str().unwrap();
    for (name, media) in [("index.m3u8", "application/vnd.apple.mpegurl"), ("000002.ts", "video/mp2t")] {
        let answer = http::get(server.http, &format!("/recordings/{id}/{name}")).unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(media)));
    }
    assert_eq!(http::get(server.http, &format!("/recordings/{id}/000003.ts")).unwrap().status, 404);
    let whole = http::get(server.http, &format!("/recordings/{id}.m3u8")).unwrap().text().unwrap();
    assert!(whole.contains(&format!("\n/recordings/{id}/000002.ts\n#EXT-X-ENDLIST")), "{whole}");
}

#[test]
fn h264_with_b_frames_and_aac_are_recorded_in_segments() {
    let ffmpeg = need!(program::ffmpeg());
    is_recorded_in_segments(&ffmpeg, &need!(clip::h264_aac(&ffmpeg)), "h264");
}

#[test]
fn hevc_and_aac_are_recorded_in_segments() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    is_recorded_in_segments(&ffmpeg9, &need!(clip::enhanced(&ffmpeg, &ffmpeg9, Layout::HevcAac)), "hevc");
}

#[test]
fn hevc_and_aac_are_recorded_as_mp4() {
    enhanced(Layout::HevcAac, MP4);
}

#[test]
fn av1_and_opus_are_recorded_as_mp4() {
    enhanced(Layout::Av1Opus, MP4);
}

#[test]
fn metadata_of_an_flv_file_leads_to_its_keyframes() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&[FLV, "record.merge_s=0"]);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Once, &server.rtmp_url("cam"));
    let complete = await_state(&server, "cam", "complete");
    let file = file(&server, &complete, 0);
    let mut probe = Command::new(need!(program::find("ffprobe")));
    probe.args(["-v", "error", "-show_entries", "format=duration:format_tags", "-of", "json"]).arg(&file);
    let seen: Value = serde_json::from_str(&e2e::process::run(&mut probe).unwrap()).unwrap();
    let seconds: f64 = seen["format"]["duration"].as_str().unwrap().parse().unwrap();
    assert!((seconds - f64::from(clip::SECONDS)).abs() < 0.5, "{seen}");
    assert_eq!(seen["format"]["tags"]["hasKeyframes"], "true", "{seen}");
    // It seeks with the index: ffmpeg reads it, and begins at the keyframe before.
    let mut seek = Command::new(&ffmpeg);
    seek.args(["-v", "error", "-ss", "5.5", "-noaccurate_seek", "-copyts", "-i"]).arg(&file);
    seek.args(["-map", "0:v", "-c", "copy", "-f", "framehash", "-"]);
    let frames = framehash::parse(&e2e::process::run(&mut seek).unwrap()).unwrap();
    assert_eq!(frames[0].frames[0].dts / 1000, 5, "{:?}", frames[0].frames[0]);
}

#[test]
fn av1_and_opus_are_recorded_as_flv() {
    enhanced(Layout::Av1Opus, FLV);
}

#[test]
fn two_tracks_of_each_are_recorded_as_mp4() {
    enhanced(Layout::TwoOfEach, MP4);
}

#[test]
fn sound_alone_is_recorded() {
    let ffmpeg = need!(program::ffmpeg());
    let both = need!(clip::h264_aac(&ffmpeg));
    let scratch = e2e::process::Scratch::new();
    let clip = scratch.file("sound.flv");
    let mut command = Command::new(&ffmpeg);
    command.args(["-v", "error", "-y", "-i"]).arg(&both).args(["-map", "0:a", "-c", "copy"]).arg(&clip);
    need!(e2e::process::run(&mut command));
    for rule in [MP4, FLV] {
        is_recorded(&clip, &ffmpeg, rule);
    }
}

#[test]
fn times_that_outgrow_three_bytes_are_recorded() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    // They cross 2^24 ms (4 h 39 min) after two seconds.
    let scratch = e2e::process::Scratch::new();
    let late = scratch.file("late.flv");
    let mut command = Command::new(&ffmpeg);
    command
        .args(["-v", "error", "-i"])
        .arg(&clip)
        .args(["-c", "copy", "-output_ts_offset", "16775"])
        .arg(&late);
    need!(e2e::process::run(&mut command));
    for rule in [MP4, FLV] {
        let server = Server::with(&[rule, "record.merge_s=0"]);
        let mut publisher = Command::new(&ffmpeg);
        publisher.args(["-v", "error", "-re", "-copyts", "-i"]).arg(&late).args(["-c", "copy", "-f", "flv"]);
        let _publisher = e2e::Process::spawn(publisher.arg(server.rtmp_url("cam")));
        let complete = await_state(&server, "cam", "complete");
        let recorded = framehash::of_file(&ffmpeg, &file(&server, &complete, 0));
        framehash::compare(&framehash::of_file(&ffmpeg, &clip), &recorded, Extent::Whole)
            .unwrap_or_else(|why| panic!("{rule}: {why}\n{complete}"));
    }
}

#[test]
fn a_stream_that_changes_its_codec_goes_on_in_the_next_mp4_file() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clips = [need!(clip::h264_aac(&ffmpeg)), need!(clip::enhanced(&ffmpeg, &ffmpeg9, Layout::HevcAac))];
    let server = Server::with(&[MP4, "hub.grace_ms=20000"]);
    for clip in &clips {
        let mut publisher = program::publish(&ffmpeg9, clip, Repeat::Once, &server.rtmp_url("cam"));
        publisher.wait(Duration::from_secs(30));
        await_state(&server, "cam", "waiting");
    }
    stop(&server, "cam");
    let complete = await_state(&server, "cam", "complete");
    assert_eq!(complete["files"].as_array().unwrap().len(), clips.len(), "{complete}");
    for (number, clip) in clips.iter().enumerate() {
        let recorded = framehash::of_file(&ffmpeg9, &file(&server, &complete, number));
        framehash::compare(&framehash::of_file(&ffmpeg9, clip), &recorded, Extent::Whole)
            .unwrap_or_else(|why| panic!("file {number}: {why}\n{complete}"));
    }
}

/// The tracks of a file that ffmpeg reads without a complaint.
fn read_without_repair(ffmpeg: &Path, file: &Path) -> Vec<Track> {
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error", "-xerror", "-i"]).arg(file).args(["-f", "null", "-"]);
    e2e::process::run(&mut command).unwrap();
    framehash::of_file(ffmpeg, file)
}

fn milliseconds(tracks: &[Track]) -> i64 {
    let video = tracks.iter().find(|track| track.is_video).unwrap();
    video.frames.last().unwrap().dts - video.frames[0].dts
}

/// Kills the server while it records, and starts it again.
fn survives_a_crash(rule: &str) {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let mut server = Server::with(&[rule]);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let mut viewer = server.open_flv("cam", "").unwrap();
    let first = viewer.find(|tag| tag.is_keyframe()).unwrap().timestamp;
    let mut last = first;
    while last < first + 5_000 {
        last = viewer.find(|tag| tag.is_picture()).unwrap().timestamp;
    }
    server.process.kill();
    // What a viewer had by then is what there was.
    while let Ok(tag) = viewer.find(|tag| tag.is_picture()) {
        last = tag.timestamp;
    }
    let found = newest_file(&server.data().join("recordings/live/cam"));
    let before = read_without_repair(&ffmpeg, &found);
    let lost = i64::from(last - first) - milliseconds(&before);
    eprintln!("{lost} ms are lost of {} ms", last - first);
    assert!(lost <= 1_000, "{lost} ms are lost");

    server.restart();
    let complete = await_state(&server, "cam", "complete");
    let file = file(&server, &complete, 0);
    assert_eq!(file, found);
    let after = read_without_repair(&ffmpeg, &file);
    let frames = |tracks: &[Track]| tracks.iter().map(|track| track.frames.len()).collect::<Vec<_>>();
    assert_eq!(frames(&before), frames(&after), "finishing loses nothing");
    if rule == MP4 {
        assert!(is_fast_start(&file));
    }
    assert!(
        complete["endedAt"].is_string() && complete["durationMs"].as_u64().unwrap() > 3_000,
        "{complete}"
    );
}

/// The same for segments: what is lost is what is missing from the newest of them.
#[test]
fn a_killed_server_leaves_segments_that_play_and_lists_all_of_them_at_its_next_start() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let mut server = Server::with(&[TS]);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let mut viewer = server.open_flv("cam", "").unwrap();
    let first = viewer.find(|tag| tag.is_keyframe()).unwrap().timestamp;
    let mut last = first;
    // In the second segment.
    while last < first + 7_500 {
        last = viewer.find(|tag| tag.is_picture()).unwrap().timestamp;
    }
    server.process.kill();
    while let Ok(tag) = viewer.find(|tag| tag.is_picture()) {
        last = tag.timestamp;
    }
    server.restart();
    let complete = await_state(&server, "cam", "complete");
    let playlist = file(&server, &complete, 0);
    assert_eq!(segments(&playlist), ["000001.ts", "000002.ts"]);
    let recorded = read_without_repair(&ffmpeg, &playlist);
    let lost = i64::from(last - first) - milliseconds(&recorded);
    eprintln!("{lost} ms are lost of {} ms", last - first);
    assert!(lost <= 1_000, "{lost} ms are lost");
    let said = complete["durationMs"].as_i64().unwrap();
    assert!((said - milliseconds(&recorded)).abs() < 200, "{complete}");
}

/// The only media file below a folder.
fn newest_file(folder: &Path) -> PathBuf {
    let recording = std::fs::read_dir(folder).unwrap().flatten().next().unwrap().path();
    let mut files = std::fs::read_dir(recording).unwrap().flatten().map(|entry| entry.path());
    files.find(|path| path.extension().is_some_and(|end| end == "mp4" || end == "flv")).unwrap()
}

#[test]
fn a_killed_server_leaves_an_mp4_that_plays_and_finishes_it_at_its_next_start() {
    survives_a_crash(MP4);
}

#[test]
fn a_killed_server_leaves_an_flv_that_plays_and_finishes_it_at_its_next_start() {
    survives_a_crash(FLV);
}

#[test]
fn a_publisher_that_returns_in_time_goes_on_in_the_same_recording() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    // Once while the stream is held for it, once when the stream has ended meanwhile.
    for (grace, files) in [("hub.grace_ms=20000", 1), ("hub.grace_ms=100", 2)] {
        let server = Server::with(&[MP4, grace, "record.merge_s=20"]);
        let url = server.rtmp_url("cam");
        let mut first = program::publish(&ffmpeg, &clip, Repeat::Forever, &url);
        until("something is recorded", || {
            (recording(&server, "cam")?["durationMs"].as_u64()? > 2_000).then_some(())
        });
        first.kill();
        let waiting = await_state(&server, "cam", "waiting");
        let before = waiting["durationMs"].as_u64().unwrap();
        if files > 1 {
            until("the stream has ended", || server.channel("cam").is_none().then_some(()));
        }
        let second = program::publish(&ffmpeg, &clip, Repeat::Forever, &url);
        until("the recording goes on", || {
            (recording(&server, "cam")?["durationMs"].as_u64()? > before + 2_000).then_some(())
        });
        stop(&server, "cam");
        let complete = await_state(&server, "cam", "complete");
        assert_eq!(complete["id"], waiting["id"]);
        assert_eq!(complete["files"].as_array().unwrap().len(), files, "{complete}");
        assert_eq!(complete["gaps"][0]["why"], "publisher-away", "{complete}");
        for number in 0..files {
            read_without_repair(&ffmpeg, &file(&server, &complete, number));
        }
        drop(second);
    }
}

pub(crate) fn operator(server: &Server, method: &str, path: &str, body: &str) -> u16 {
    let bearer = format!("Bearer {}", server.operator_token());
    let headers = [("Authorization", bearer.as_str()), ("Connection", "close")];
    http::request(server.http, method, &format!("/api/v1/{path}"), &headers, body.as_bytes()).unwrap().status
}

pub(crate) fn stop(server: &Server, channel: &str) {
    let id = recording(server, channel).unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(operator(server, "POST", &format!("recordings/{id}/stop"), ""), 202);
}

#[test]
fn the_operator_records_on_demand_plays_in_parts_and_deletes() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(&[
        r#"record.rule=[{stream="live/*", policy="on-demand"}]"#,
        "access.play_key=a-key-for-playing",
    ]);
    let new = r#"{"stream":"live/cam"}"#;
    assert_eq!(operator(&server, "POST", "recordings", new), 409, "it is not live");
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    stays(Duration::from_millis(500), "nothing is recorded unasked", || recording(&server, "cam").is_none());
    assert_eq!(operator(&server, "POST", "recordings", r#"{"stream":"other/cam"}"#), 409, "no rule");
    assert_eq!(operator(&server, "POST", "recordings", new), 202);
    until("something is recorded", || {
        (recording(&server, "cam")?["durationMs"].as_u64()? > 1_500).then_some(())
    });
    let running = recording(&server, "cam").unwrap();
    let id = running["id"].as_str().unwrap();
    assert_eq!(operator(&server, "DELETE", &format!("recordings/{id}"), ""), 409, "it is being made");
    let address = format!("/recordings/{id}/0001.mp4?key=a-key-for-playing");
    // What there is so far plays.
    assert!(http::get(server.http, &address).unwrap().header("content-length").is_some());
    stop(&server, "cam");
    let complete = await_state(&server, "cam", "complete");
    stays(Duration::from_millis(500), "no other recording begins", || {
        recording(&server, "cam").is_some_and(|found| found["id"] == id)
    });

    let bytes = std::fs::read(file(&server, &complete, 0)).unwrap();
    let get = |headers: &[(&str, &str)]| {
        let mut all = vec![("Connection", "close"), ("Origin", "https://example.org")];
        all.extend_from_slice(headers);
        let mut response = http::request(server.http, "GET", &address, &all, b"").unwrap();
        let mut body = Vec::new();
        std::io::Read::read_to_end(&mut response.body, &mut body).unwrap();
        (response, body)
    };
    let (whole, body) = get(&[]);
    assert_eq!((whole.status, whole.header("content-type")), (200, Some("video/mp4")));
    assert_eq!(whole.header("access-control-allow-origin"), Some("*"));
    assert!(body == bytes, "the whole file");
    let (part, body) = get(&[("Range", "bytes=100-199")]);
    let range = format!("bytes 100-199/{}", bytes.len());
    assert_eq!((part.status, part.header("content-range")), (206, Some(range.as_str())));
    assert!(body == bytes[100..200]);
    let (end, body) = get(&[("Range", "bytes=-50")]);
    assert!(end.status == 206 && body == bytes[bytes.len() - 50..]);
    assert_eq!(get(&[("Range", "bytes=99999999-")]).0.status, 416);
    let etag = whole.header("etag").unwrap();
    assert_eq!(get(&[("If-None-Match", etag)]).0.status, 304);
    assert_eq!(get(&[("Range", "bytes=0-1"), ("If-Range", "\"another\"")]).0.status, 200);
    assert_eq!(get(&[("Range", "bytes=0-1"), ("If-Range", etag)]).0.status, 206);

    // What a token alone opens is for no cache between here and there: the same address has nothing for others.
    let bearer = format!("Bearer {}", server.operator_token());
    for name in ["0001.mp4", "poster.mp4"] {
        let (path, sent) = (format!("/recordings/{id}/{name}"), [("Authorization", bearer.as_str())]);
        let answer = http::request(server.http, "GET", &path, &sent, b"").unwrap();
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (200, Some("private, no-store")),
            "{path}"
        );
        let answer =
            http::request(server.http, "GET", &format!("{path}?key=a-key-for-playing"), &sent, b"").unwrap();
        assert!(
            answer.status == 200 && answer.header("cache-control") != Some("private, no-store"),
            "{path}"
        );
    }

    // Who may not play the stream learns nothing, and no path leads elsewhere.
    for path in [
        format!("/recordings/{id}/0001.mp4"),
        format!("/recordings/{id}/0002.mp4?key=a-key-for-playing"),
        format!("/recordings/{id}/recording.json?key=a-key-for-playing"),
        format!("/recordings/{id}/..%2frecording.json?key=a-key-for-playing"),
        "/recordings/..%2f..%2fpublish.key/0001.mp4?key=a-key-for-playing".to_owned(),
        "/recordings/live/cam?key=a-key-for-playing".to_owned(),
        format!("/recordings/{id}/..%5c..%5cpublish.key?key=a-key-for-playing"),
        format!("/recordings/{id}/0001.mp4%00?key=a-key-for-playing"),
        format!("/recordings/{id}/0001.mp4%2f..%2f..%2frecording.json?key=a-key-for-playing"),
        format!("/recordings/{id}/./../{id}/recording.json?key=a-key-for-playing"),
        format!("/recordings/{id}/{}?key=a-key-for-playing", "A".repeat(4000)),
        "/recordings/%2e%2e/operator.token?key=a-key-for-playing".to_owned(),
        "/recordings//etc/passwd?key=a-key-for-playing".to_owned(),
    ] {
        assert_eq!(http::get(server.http, &path).unwrap().status, 404, "{path}");
    }
    // Who may not play it does not find it in the list, and who may is not told where it lies.
    let list =
        |query: &str| http::get(server.http, &format!("/api/v1/recordings{query}")).unwrap().text().unwrap();
    assert!(!list("").contains(id));
    let listed = list("?key=a-key-for-playing");
    assert!(listed.contains(id) && !listed.contains("0001.mp4"), "{listed}");
    let folder = folder(&server, &complete);
    assert_eq!(operator(&server, "DELETE", &format!("recordings/{id}"), ""), 204);
    assert!(!folder.exists() && recording(&server, "cam").is_none());
}

#[test]
fn a_file_that_is_long_enough_is_followed_by_another_at_a_keyframe() {
    let ffmpeg = need!(program::ffmpeg());
    let heavy = need!(clip::heavy(&ffmpeg));
    let server = Server::with(&[MP4, "record.segment_bytes_max=1048576", "record.merge_s=0"]);
    let _publisher = program::publish(&ffmpeg, &heavy, Repeat::Once, &server.rtmp_url("cam"));
    let complete = await_state(&server, "cam", "complete");
    let files = complete["files"].as_array().unwrap().len();
    assert!(files >= 3, "{complete}");
    assert_eq!(complete["gaps"], serde_json::json!([]));
    let counted = |tracks: &[Track], is_video: bool| -> usize {
        tracks.iter().filter(|track| track.is_video == is_video).map(|track| track.frames.len()).sum()
    };
    let sent = framehash::of_file(&ffmpeg, &heavy);
    let parts: Vec<_> =
        (0..files).map(|number| read_without_repair(&ffmpeg, &file(&server, &complete, number))).collect();
    let pictures: usize = parts.iter().map(|tracks| counted(tracks, true)).sum();
    assert_eq!(pictures, counted(&sent, true));
}

/// A file system of a few megabytes, which only `command` sees.
pub(crate) fn with_a_small_disk(command: &Command, folder: &Path) -> Result<Command, String> {
    let unshare = program::find("unshare")?;
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let mount = format!("mount -t tmpfs -o size=6m none {}", folder.display());
    e2e::process::run(Command::new(&unshare).args(["-m", "sh", "-c", &mount]))
        .map_err(|_| "mounting in a namespace is not permitted here".to_owned())?;
    let mut wrapped = Command::new(unshare);
    wrapped.args(["-m", "sh", "-c", &format!("{mount} && exec \"$@\""), "sh"]);
    wrapped.arg(command.get_program()).args(command.get_args());
    Ok(wrapped)
}

#[test]
fn a_full_disk_pauses_the_recording_and_disturbs_nobody() {
    let ffmpeg = need!(program::ffmpeg());
    let heavy = need!(clip::heavy(&ffmpeg));
    let scratch = e2e::process::Scratch::new();
    let small = scratch.file("small");
    let server = need!(Server::wrapped(
        &[FLV, &format!("record.folder={}", small.display()), "record.free_bytes_min=0"],
        |command| { with_a_small_disk(&command, &small) }
    ));
    let mut publisher = program::publish(&ffmpeg, &heavy, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let mut viewer = server.open_flv("cam", "").unwrap();
    let start = viewer.find(|tag| tag.is_keyframe()).unwrap().timestamp;
    let mut last = start;
    // 16 Mbit/s fill it within three seconds.
    while last < start + 8_000 {
        let tag = viewer.find(|tag| tag.is_picture()).unwrap();
        assert!(tag.timestamp - last < 500, "pictures are missing after {last} ms");
        last = tag.timestamp;
    }
    let paused = await_state(&server, "cam", "paused");
    let problem = paused["problem"].as_str().unwrap();
    assert!(problem.starts_with("disk full: recording of live/cam paused since "), "{problem}");
    assert_eq!(server.metric("rushlight_record_paused", &[]), 1.0);
    assert!(server.metric("rushlight_record_lost_packets_total", &["disk-failed"]) > 0.0);
    assert!(publisher.is_running());

    // There is room again.
    let inside = format!("/proc/{}/root{}", server.process.id(), small.display());
    let id = paused["id"].as_str().unwrap();
    std::fs::write(format!("{inside}/live/cam/{id}/0001.flv"), b"").unwrap();
    until("the recording goes on", || {
        let found = recording(&server, "cam")?;
        (found["files"].as_array()?.len() >= 2 && found["gaps"][0]["why"] == "disk-failed").then_some(())
    });
    stays(Duration::from_millis(500), "the stream is live", || server.is_live("cam"));
}

#[test]
fn a_disk_keeps_the_space_that_shall_stay_free() {
    let ffmpeg = need!(program::ffmpeg());
    let heavy = need!(clip::heavy(&ffmpeg));
    let scratch = e2e::process::Scratch::new();
    let small = scratch.file("small");
    let settings = [FLV, &format!("record.folder={}", small.display()), "record.free_bytes_min=3145728"];
    let server = need!(Server::wrapped(&settings, |command| with_a_small_disk(&command, &small)));
    let _publisher = program::publish(&ffmpeg, &heavy, Repeat::Forever, &server.rtmp_url("cam"));
    let paused = await_state(&server, "cam", "paused");
    let problem = paused["problem"].as_str().unwrap();
    assert!(problem.starts_with("disk nearly full (") && problem.contains("paused since "), "{problem}");
    // One turn of 16 Mbit/s may have been on its way.
    assert!(paused["bytes"].as_u64().unwrap() < 5 << 20, "{paused}");

    let inside = format!("/proc/{}/root{}", server.process.id(), small.display());
    let id = paused["id"].as_str().unwrap();
    std::fs::write(format!("{inside}/live/cam/{id}/0001.flv"), b"").unwrap();
    until("the recording goes on", || {
        (recording(&server, "cam")?["files"].as_array()?.len() >= 2).then_some(())
    });
}
