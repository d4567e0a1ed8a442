//! DASH: the manifest names the segments that HLS has, and other people's players get every packet.

use e2e::framehash::{self, Extent};
use e2e::hls::fetch;
use e2e::program::{self, Repeat};
use e2e::{Process, Server, browser, clip, http, mp4, need, until};
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn live() -> Result<(Server, Process), String> {
    let ffmpeg = program::ffmpeg()?;
    let clip = clip::h264_aac(&ffmpeg)?;
    let server = Server::with(&["hls.window_ms=30000"]);
    let publisher = program::publish(&ffmpeg, &clip, Repeat::Once, &server.rtmp_url("cam"));
    until("the channel is live", || server.is_live("cam").then_some(()));
    Ok((server, publisher))
}

fn manifest(server: &Server) -> String {
    let answer = fetch(server.http, "/live/cam.mpd");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    String::from_utf8(answer.body).unwrap()
}

/// The values of an attribute, in order.
fn values(manifest: &str, name: &str) -> Vec<String> {
    let key = format!(" {name}=\"");
    manifest.split(&key).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

fn plays(ffmpeg: &Path, extension: &str) {
    let source = need!(program::ffmpeg().and_then(|ffmpeg| clip::h264_aac(&ffmpeg)));
    let (server, _publisher) = need!(live());
    let out = server.scratch().join("out");
    let mut command = Command::new(ffmpeg);
    command.args([
        "-v",
        "warning",
        "-y",
        "-copyts",
        "-i",
        &format!("http://{}/live/cam.{extension}", server.http),
    ]);
    command.args([
        "-map",
        "0",
        "-c",
        "copy",
        "-copyinkf",
        "-frames:v",
        "75",
        "-f",
        "framehash",
        "-hash",
        "md5",
    ]);
    let mut player = Process::spawn(command.arg(&out));
    player.wait(Duration::from_secs(60));
    let played = framehash::parse(&std::fs::read_to_string(&out).unwrap_or_default()).unwrap();
    framehash::compare(&framehash::of_file(ffmpeg, &source), &played, Extent::AtLeast(75))
        .unwrap_or_else(|why| panic!("{why}\n{}", player.output()));
}

#[test]
fn ffmpeg_9_plays_dash() {
    plays(&need!(program::ffmpeg9()), "mpd");
}

#[test]
fn ffmpeg_plays_all_tracks_in_one_answer() {
    plays(&need!(program::ffmpeg()), "cmaf");
    plays(&need!(program::ffmpeg9()), "cmaf");
}

#[test]
fn the_manifest_lists_segments_without_gaps_and_ends_with_the_stream() {
    let (server, publisher) = need!(live());
    let first = until("three segments are listed", || {
        let written = manifest(&server);
        let tracks: Vec<_> = written.split("<AdaptationSet").skip(1).map(str::to_owned).collect();
        tracks.iter().all(|track| track.matches("<S ").count() >= 3).then_some(written)
    });
    assert!(
        first.contains("type=\"dynamic\"") && first.contains("availabilityTimeComplete=\"false\""),
        "{first}"
    );
    for track in first.split("<AdaptationSet").skip(1) {
        let number = |name| -> Vec<u64> { values(track, name).iter().map(|n| n.parse().unwrap()).collect() };
        let (starts, lengths) = (number("t"), number("d"));
        assert!((1..starts.len()).all(|at| starts[at] == starts[at - 1] + lengths[at - 1]), "{track}");
        let init = &values(track, "initialization")[0];
        assert_eq!(fetch(server.http, &format!("/live/{init}")).status, 200, "{init}");
        for segment in number("startNumber")[0]..number("startNumber")[0] + starts.len() as u64 - 1 {
            let media = values(track, "media")[0].replace("$Number$", &segment.to_string());
            assert_eq!(fetch(server.http, &format!("/live/{media}")).status, 200, "{media}");
        }
    }
    let sessions = server.api("sessions");
    assert!(sessions.is_none_or(|sessions| sessions.to_string().contains("\"dash\"")));
    publisher.signal("INT");
    until("the manifest is that of an ended stream", || {
        let written = manifest(&server);
        (written.contains("type=\"static\"") && !written.contains("UTCTiming")).then_some(())
    });
}

#[test]
fn a_segment_is_sent_while_it_grows() {
    let (server, _publisher) = need!(live());
    let written = manifest(&server);
    let video = written.split("<AdaptationSet").nth(1).unwrap();
    let next = values(video, "startNumber")[0].parse::<u64>().unwrap() + video.matches("<S ").count() as u64;
    let path = format!("/live/{}", values(video, "media")[0].replace("$Number$", &next.to_string()));
    let path = path.replace(&next.to_string(), &(next - 1).to_string());
    let mut response = http::get(server.http, &path).unwrap();
    assert_eq!(response.status, 200, "{path}");
    let is_growing = response.header("content-length").is_none();
    let mut bytes = Vec::new();
    response.body.read_to_end(&mut bytes).unwrap();
    let whole = fetch(server.http, &path).body;
    assert!(bytes == whole, "{path}: {} of {} bytes, growing: {is_growing}", bytes.len(), whole.len());
    let next = path.replace(&(next - 1).to_string(), &next.to_string());
    let mut response = http::get(server.http, &next).unwrap();
    assert_eq!((response.status, response.header("content-length")), (200, None), "{next} has only begun");
    response.body.read_to_end(&mut bytes).unwrap();
    assert!(bytes[whole.len()..] == fetch(server.http, &next).body);
}

/// Rungs of 640x360 that take next to nothing, so that they keep up on a busy machine.
const RUNGS: &[&str] = &[
    "transcode.cores_max=16",
    r#"transcode.template=[{name="240p", height=240, bitrate_bps=300000, vmaf=0.0}, {name="tiny", height=120, bitrate_bps=100000, vmaf=0.0}]"#,
    r#"transcode.rule=[{stream="live/*", ladder=["240p", "tiny"]}]"#,
];

#[test]
fn rungs_are_representations_of_the_pictures_that_players_change_between() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(RUNGS);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let written = manifest(&server);
    let heights = values(&written, "height");
    assert_eq!(heights, ["360", "240", "120"], "{written}");
    let sets: Vec<_> = written.split("<AdaptationSet").skip(1).collect();
    assert_eq!((sets.len(), sets[0].matches("<Representation ").count()), (2, 3), "{written}");
    // Nothing was made for the list alone.
    assert_eq!(server.api("transcoding").unwrap()["rungs"], serde_json::json!([]));
    let base = format!("http://{}", server.http);
    let seen = need!(browser::run("dash.mjs", &[&base, "/live/cam.mpd", "120", "360", "240"]));
    assert_eq!(
        (&seen["errors"], &seen["failures"]),
        (&serde_json::json!([]), &serde_json::json!([])),
        "{seen}"
    );
    let listed: Vec<_> =
        seen["tracks"].as_array().unwrap().iter().map(|track| track["height"].clone()).collect();
    assert_eq!(listed.len(), 3, "{seen}");
    let played: Vec<_> =
        seen["played"].as_array().unwrap().iter().map(|seen| seen["height"].clone()).collect();
    assert_eq!(played, [120, 360, 240], "{seen}");
    let moves = |seen: &serde_json::Value| seen["changedPixels"].as_f64().is_some_and(|share| share > 0.01);
    assert!(seen["played"].as_array().unwrap().iter().all(moves), "{seen}");
}

#[test]
fn segments_of_a_rung_begin_where_those_of_its_stream_do() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let settings = [RUNGS, &["hls.window_ms=2000"]].concat();
    let server = Server::with(&settings);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let written = manifest(&server);
    let representations: Vec<_> = written.split("<Representation ").skip(1).collect();
    let (source, rung) =
        (representations[0], *representations.iter().find(|one| one.contains("\"240\"")).unwrap());
    let init = |of: &str| fetch(server.http, &format!("/live/{}", values(of, "initialization")[0]));
    let (own, other) = (init(source), init(rung));
    assert_eq!((own.status, other.status), (200, 200), "{}", String::from_utf8_lossy(&other.body));
    assert!(own.body != other.body);
    // The growing one, and the one after it, which has not begun.
    let next =
        values(source, "startNumber")[0].parse::<u64>().unwrap() + source.matches("<S ").count() as u64;
    for number in [next - 1, next] {
        let media = |of: &str| {
            let name = values(of, "media")[0].replace("$Number$", &number.to_string());
            let answer = fetch(server.http, &format!("/live/{name}"));
            assert_eq!(answer.status, 200, "{name}: {}", String::from_utf8_lossy(&answer.body));
            mp4::fragments(&answer.body)
        };
        let (own, other) = (media(source), media(rung));
        let frames =
            |fragments: &[mp4::Fragment]| fragments.iter().map(|fragment| fragment.samples).sum::<u32>();
        let ticks =
            |fragments: &[mp4::Fragment]| fragments.iter().map(|fragment| fragment.duration).sum::<u64>();
        assert!(other[0].starts_with_sync, "segment {number}");
        assert_eq!((frames(&own), ticks(&own)), (frames(&other), ticks(&other)), "segment {number}");
    }
    // Its initialization outlives the segment that it is called after.
    let first = values(source, "initialization")[0].clone();
    let number = first.rsplit(['-', '.']).nth(1).unwrap();
    until("the first segment has left", || {
        (fetch(server.http, &format!("/live/cam/video0-{number}.m4s")).status == 404).then_some(())
    });
    assert!(init(rung).body == other.body);
    // What is not a rung has no such names, and what is none of its stream's segments is not there.
    assert_eq!(fetch(server.http, &format!("/live/cam/video0-of-{next}.m4s")).status, 404);
    assert_eq!(fetch(server.http, "/live/cam~240p/video0-of-1.m4s").status, 404);
}

#[test]
fn ffmpeg_reads_a_rung_from_the_manifest() {
    let ffmpeg = need!(program::ffmpeg9());
    let clip = need!(program::ffmpeg().and_then(|ffmpeg| clip::h264_aac(&ffmpeg)));
    let server = Server::with(RUNGS);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let out = server.scratch().join("out");
    let mut command = Command::new(&ffmpeg);
    command.args(["-v", "warning", "-i", &format!("http://{}/live/cam.mpd", server.http), "-map", "0:v"]);
    command.args(["-c", "copy", "-t", "4", "-f", "framehash"]);
    let mut player = Process::spawn(command.arg(&out));
    player.wait(Duration::from_secs(120));
    let text = std::fs::read_to_string(&out).unwrap_or_default();
    let sizes: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("#dimensions ")).collect();
    let heights: Vec<_> =
        sizes.iter().filter_map(|size| size.split_once('x')).map(|(_, height)| height).collect();
    assert_eq!(heights, ["360", "240", "120"], "{text}{}", player.output());
    let frames = |track: usize| text.lines().filter(|line| line.starts_with(&format!("{track},"))).count();
    assert!((0..3).all(|track| frames(track) >= 50), "{text}");
}

#[test]
fn a_library_finds_in_the_manifest_what_it_says() {
    let (ffmpeg, python) = (need!(program::ffmpeg()), need!(program::python("mpegdash")));
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::with(RUNGS);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    manifest(&server);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/describe-manifest.py");
    let url = format!("http://{}/live/cam.mpd", server.http);
    let printed = e2e::process::run(Command::new(python).args([script, &url])).unwrap();
    let found: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        (&found["type"], found["periods"].as_array().unwrap().len()),
        (&"dynamic".into(), 1),
        "{found}"
    );
    let [pictures, sound] = [0, 1].map(|set| &found["periods"][0][set]);
    assert_eq!(
        (&pictures["contentType"], &sound["contentType"]),
        (&"video".into(), &"audio".into()),
        "{found}"
    );
    let all = pictures["representations"].as_array().unwrap();
    let of = |key: &str| all.iter().map(|one| one[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("id"), ["video0", "240p", "tiny"]);
    assert_eq!(
        (of("width"), of("height")),
        (vec![640.into(), 426.into(), 214.into()], vec![360.into(), 240.into(), 120.into()])
    );
    assert_eq!(of("bandwidth")[1..], [300_000, 100_000]);
    for key in ["timeline", "startNumber", "timescale"] {
        assert!(of(key).iter().all(|value| !value.is_null() && *value == all[0][key]), "{key}: {found}");
    }
    assert_eq!(all[2]["media"], "cam~tiny/video0-of-$Number$.m4s");
    let mut addresses = of("initialization");
    addresses.dedup();
    assert_eq!(addresses.len(), 3, "{found}");
}
