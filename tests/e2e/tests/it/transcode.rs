//! Rungs: smaller versions of a stream, made while somebody watches them.

use super::rungs::switches;
use e2e::flv::{Reader, Tag};
use e2e::hls::{Playlist, attribute, fetch};
use e2e::program::{self, Repeat};
use e2e::{Process, Server, browser, clip, http, need, until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// A rung ends soon after its last viewer, and a busy machine makes rungs all the same.
const SETTINGS: &[&str] = &["transcode.idle_stop_ms=1000", "transcode.cores_max=16"];

/// A server with a stream of 1280x720 with a keyframe each second, that goes on until the process is dropped.
pub(crate) fn with_a_large_stream(ffmpeg: &Path, settings: &[&str]) -> Result<(Server, Process), String> {
    let large = clip::large(ffmpeg)?;
    let server = Server::with(settings);
    let publisher = program::publish(ffmpeg, &large, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    Ok((server, publisher))
}

/// What `ffprobe` says of the pictures behind a URL: codec and size.
fn pictures(url: &str) -> Result<String, String> {
    let mut command = Command::new(program::find("ffprobe")?);
    command.args([
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-show_entries",
        "stream=codec_name,width,height",
    ]);
    // HLS is a program beside its streams, so that they are told twice.
    let told = e2e::process::run(command.args(["-of", "csv=p=0", url]))?;
    Ok(told.lines().next().unwrap_or_default().to_owned())
}

/// Reads until `keyframes` have come.
fn tags_of(reader: &mut Reader<http::Body>, keyframes: usize) -> Vec<Tag> {
    let mut tags = Vec::new();
    while tags.iter().filter(|tag: &&Tag| tag.is_keyframe()).count() < keyframes {
        tags.push(reader.tag().expect("the stream goes on"));
    }
    tags
}

fn keyframes(tags: &[Tag]) -> Vec<i64> {
    tags.iter().filter(|tag| tag.is_keyframe()).map(Tag::shown_at).collect()
}

/// The packets of sound, by time.
pub(crate) fn sound(tags: &[Tag]) -> BTreeMap<u32, &[u8]> {
    let frames = tags.iter().filter(|tag| tag.kind == 8 && !tag.is_config());
    frames.map(|tag| (tag.timestamp, &tag.body[..])).collect()
}

fn rungs(server: &Server) -> Vec<Value> {
    let transcoding = server.api("transcoding").expect("it is always told");
    transcoding["rungs"].as_array().cloned().unwrap_or_default()
}

/// Whether `part` is all of `whole` between its own first and last.
pub(crate) fn is_run_of<K: Ord + Copy + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    part: &BTreeMap<K, V>,
    whole: &BTreeMap<K, V>,
) -> bool {
    let (Some((first, _)), Some((last, _))) = (part.first_key_value(), whole.last_key_value()) else {
        return false;
    };
    let last = (*last).min(*part.last_key_value().expect("it is not empty").0);
    first <= &last && part.range(first..=&last).eq(whole.range(first..=&last))
}

#[test]
fn a_rung_is_smaller_and_has_the_keyframes_and_the_sound_of_its_stream() {
    let ffmpeg = need!(program::ffmpeg());
    need!(program::find("ffprobe"));
    let (server, _publisher) = need!(with_a_large_stream(&ffmpeg, SETTINGS));
    let mut stream = server.open_flv("cam", "").unwrap();
    let mut rung = server.open_flv("cam~480p", "").unwrap();
    let (of_rung, of_stream) = (tags_of(&mut rung, 4), tags_of(&mut stream, 5));
    let shown = keyframes(&of_rung);
    // It may begin between two keyframes of the stream; from then on both have the same.
    let common: Vec<_> = keyframes(&of_stream).into_iter().filter(|pts| *pts > shown[0]).collect();
    assert!(shown[1..].iter().zip(&common).all(|(a, b)| a == b), "{shown:?} {:?}", keyframes(&of_stream));
    let pictures_of = |tags: &[Tag]| -> BTreeMap<i64, ()> {
        tags.iter().filter(|tag| tag.is_picture()).map(|tag| (tag.shown_at(), ())).collect()
    };
    // Those that come last are not all there yet, where they are shown in another order.
    let whole = pictures_of(&of_stream);
    let part = pictures_of(&of_rung).into_iter().filter(|(pts, ())| *pts <= shown[3]).collect();
    assert!(is_run_of(&part, &whole), "no picture is missing");
    let (sound_of_rung, sound_of_stream) = (sound(&of_rung), sound(&of_stream));
    assert!(sound_of_rung.len() > 50 && is_run_of(&sound_of_rung, &sound_of_stream), "sound is the same");
    let first = of_rung.iter().find(|tag| tag.is_picture()).unwrap();
    assert!(first.is_keyframe());
    let bytes =
        |tags: &[Tag]| tags.iter().filter(|tag| tag.kind == 9).map(|tag| tag.body.len()).sum::<usize>();
    assert!(bytes(&of_rung) < bytes(&of_stream));
    for url in [
        server.rtmp_url("cam~480p"),
        server.flv_url("cam~480p"),
        format!("http://{}/live/cam~480p.m3u8", server.http),
    ] {
        assert_eq!(pictures(&url).unwrap(), "h264,854,480", "{url}");
    }
    let listed = server.api("channels").unwrap();
    let names: Vec<_> =
        listed["channels"].as_array().unwrap().iter().map(|channel| &channel["name"]).collect();
    assert_eq!(names, ["live/cam"], "a rung is no channel of its own");
    let has = listed["channels"][0]["rungs"].as_array().unwrap().len();
    assert_eq!(has, 4, "{listed}");
}

#[test]
fn a_rung_ends_with_its_last_viewer_and_comes_back_with_the_next() {
    let ffmpeg = need!(program::ffmpeg());
    let (server, _publisher) = need!(with_a_large_stream(&ffmpeg, SETTINGS));
    assert!(rungs(&server).is_empty() && server.process.children().is_empty(), "nobody asked");
    for _ in 0..2 {
        let mut first = server.open_flv("cam~240p", "").unwrap();
        let mut second = server.open_flv("cam~360p", "").unwrap();
        tags_of(&mut first, 2);
        tags_of(&mut second, 2);
        let running = rungs(&server);
        assert_eq!(running.len(), 2, "{running:?}");
        assert_eq!(server.process.children().len(), 3, "one decoder for both");
        assert_eq!(server.channel("cam").unwrap()["viewers"], 2, "who watches a rung watches the stream");
        drop(first);
        until("one rung ends", || (rungs(&server).len() == 1).then_some(()));
        tags_of(&mut second, 1);
        drop(second);
        until("both rungs end", || rungs(&server).is_empty().then_some(()));
        until("their processes end", || server.process.children().is_empty().then_some(()));
    }
    assert_eq!(server.channel("cam").unwrap()["viewers"], 0);
}

#[test]
fn workers_that_are_killed_are_replaced_and_the_stream_does_not_notice() {
    let ffmpeg = need!(program::ffmpeg());
    let (server, _publisher) = need!(with_a_large_stream(&ffmpeg, SETTINGS));
    let mut stream = server.open_flv("cam", "").unwrap();
    let mut rung = server.open_flv("cam~240p", "").unwrap();
    let mut of_stream = tags_of(&mut stream, 1);
    let before = tags_of(&mut rung, 2);
    let workers = server.process.children();
    assert_eq!(workers.len(), 2);
    for worker in &workers {
        e2e::process::run(Command::new("kill").args(["-9", &worker.to_string()])).unwrap();
    }
    let after = tags_of(&mut rung, 3);
    let (last, again) = (*keyframes(&before).last().unwrap(), keyframes(&after));
    assert!(again.iter().all(|pts| *pts > last) && again.is_sorted(), "{last} {again:?}");
    let now = server.process.children();
    assert!(now.len() == 2 && now.iter().all(|worker| !workers.contains(worker)), "{workers:?} {now:?}");
    until("the restart is told", || {
        rungs(&server).first().filter(|rung| rung["restarts"].as_u64() >= Some(1)).map(drop)
    });
    of_stream.extend(tags_of(&mut stream, 4));
    let times: Vec<_> = of_stream.iter().filter(|tag| tag.is_picture()).map(|tag| tag.timestamp).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 41), "every picture of the stream came");
}

#[test]
fn what_a_stream_has_no_rung_for_is_refused_at_once_and_told() {
    let ffmpeg = need!(program::ffmpeg());
    let mut settings = SETTINGS.to_vec();
    settings.extend([
        "access.channel=[{ name = \"live/cam\", play_key = \"only-for-friends\" }]",
        "hub.wait_ms=60000",
    ]);
    let (server, _publisher) = need!(with_a_large_stream(&ffmpeg, &settings));
    let status = |path: &str| fetch(server.http, path).status;
    assert_eq!(status("/live/cam~480p.flv"), 403, "what opens the stream opens its rungs");
    assert!(rungs(&server).is_empty());
    assert_eq!(status("/live/cam~1080p.flv?key=only-for-friends"), 404);
    let refused = server.api("transcoding").unwrap()["refused"].clone();
    assert_eq!(refused[0]["stream"], "live/cam~1080p");
    let why = refused[0]["why"].as_str().unwrap();
    assert!(why.contains("1280x720") && why.contains("480p, 360p, 240p, join"), "{why}");
    assert!(server.open_flv("cam~240p", "?key=only-for-friends").is_ok());
}

#[test]
fn a_full_machine_makes_no_more_rungs() {
    let ffmpeg = need!(program::ffmpeg());
    let (server, _publisher) = need!(with_a_large_stream(&ffmpeg, &["transcode.cores_max=0.01"]));
    let mut one = server.open_flv("cam~360p", "").unwrap();
    tags_of(&mut one, 1);
    assert_eq!(fetch(server.http, "/live/cam~240p.flv").status, 404, "there is room for one");
    let told = server.api("transcoding").unwrap();
    let why = told["refused"][0]["why"].as_str().unwrap();
    assert!(why.contains("transcode.cores_max"), "{why}");
    tags_of(&mut one, 2);
    assert!(server.is_live("cam"));
}

#[test]
fn a_rung_outlives_its_publisher_and_ends_when_the_pictures_become_too_small_for_it() {
    let ffmpeg = need!(program::ffmpeg());
    let small = need!(clip::h264_aac(&ffmpeg));
    let (server, mut publisher) = need!(with_a_large_stream(&ffmpeg, SETTINGS));
    let mut rung = server.open_flv("cam~480p", "").unwrap();
    let before = tags_of(&mut rung, 2);
    publisher.kill();
    until("the publisher is missed", || (!server.is_live("cam")).then_some(()));
    let mut again =
        program::publish(&ffmpeg, &need!(clip::large(&ffmpeg)), Repeat::Forever, &server.rtmp_url("cam"));
    let after = keyframes(&tags_of(&mut rung, 3));
    let last = *keyframes(&before).last().unwrap();
    assert!(after.iter().all(|pts| *pts > last) && after.is_sorted(), "{last} {after:?}");
    again.kill();
    until("the publisher is missed again", || (!server.is_live("cam")).then_some(()));
    let _smaller = program::publish(&ffmpeg, &small, Repeat::Forever, &server.rtmp_url("cam"));
    while rung.tag().is_ok() {}
    until("the rung is gone", || rungs(&server).is_empty().then_some(()));
    assert_eq!(fetch(server.http, "/live/cam~480p.flv").status, 404);
    assert!(server.is_live("cam"), "the stream goes on");
}

#[test]
fn hls_js_changes_between_a_stream_and_its_rungs_without_a_gap() {
    let ffmpeg = need!(program::ffmpeg());
    // Every keyframe begins a segment: one within a part is offered to begin with, and what is before it in the part is lost.
    let settings = [SETTINGS, &["hls.segment_ms=1000"]].concat();
    let (server, _publisher) = need!(with_a_large_stream(&ffmpeg, &settings));
    let base = format!("http://{}", server.http);
    let heights = ["720", "480", "720", "240"].into_iter().cycle().take(switches(4));
    let arguments: Vec<_> = [&base, "/live/cam.m3u8"].into_iter().chain(heights).collect();
    let seen = need!(browser::run("levels.mjs", &arguments));
    assert_eq!(seen["errors"], serde_json::json!([]), "{seen}");
    assert_eq!(seen["backwards"], 0, "nothing is shown again: {seen}");
    assert_eq!(seen["driftMs"], 0.0, "sound and picture keep the times that they have: {seen}");
    for result in seen["results"].as_array().unwrap() {
        assert_eq!(result["shown"], result["height"], "{seen}");
        // On a busy machine it may wait, and that is no hole.
        assert_eq!(result["holes"], serde_json::json!([]), "{seen}");
    }
}

/// The addresses of variants in a multivariant playlist, with their sizes.
fn variants(text: &str) -> Vec<(String, String)> {
    let lines: Vec<_> = text.lines().collect();
    let variant = |pair: &[&str]| {
        let attributes = pair[0].strip_prefix("#EXT-X-STREAM-INF:")?;
        Some((attribute(attributes, "RESOLUTION")?, pair[1].to_owned()))
    };
    lines.windows(2).filter_map(variant).collect()
}

#[test]
fn segments_of_rungs_begin_when_those_of_the_stream_do() {
    let ffmpeg = need!(program::ffmpeg());
    let (server, _publisher) = need!(with_a_large_stream(&ffmpeg, SETTINGS));
    let read = |path: &str| -> String {
        let answer = fetch(server.http, path);
        assert_eq!(answer.status, 200, "{path}");
        String::from_utf8(answer.body).unwrap()
    };
    let offered = variants(&read("/live/cam.m3u8"));
    let sizes: Vec<_> = offered.iter().map(|(size, _)| size.as_str()).collect();
    assert_eq!(sizes, ["1280x720", "854x480", "640x360", "426x240"]);
    assert!(rungs(&server).is_empty(), "to be listed costs nothing");
    let lines = |uri: &str| -> (Playlist, BTreeMap<i64, i64>) {
        let playlist = Playlist::parse(&read(&format!("/live/{uri}")));
        let closed = playlist.segments.iter().filter(|segment| segment.uri.is_some());
        let lines =
            closed.map(|segment| (segment.date_ms.unwrap(), (segment.duration * 1000.0).round() as i64));
        (playlist.clone(), lines.collect())
    };
    let (stream, rung) = until("both have three segments in common", || {
        let (rung, of_rung) = lines(&offered[2].1);
        let (stream, of_stream) = lines(&offered[0].1);
        // The first one of a rung may have begun within one of the stream.
        let first = of_rung.keys().nth(1)?;
        let common: BTreeMap<_, _> = of_rung.range(first..).map(|(at, long)| (*at, *long)).collect();
        (common.len() >= 3).then(|| {
            assert!(is_run_of(&common, &of_stream), "{common:?} of {of_stream:?}");
            (stream, rung)
        })
    });
    for tag in ["TARGETDURATION", "DISCONTINUITY-SEQUENCE"] {
        assert_eq!(stream.number(tag), rung.number(tag), "{tag}");
    }
    let off = Server::with(&["transcode.listed=false"]);
    let _publisher =
        program::publish(&ffmpeg, &need!(clip::large(&ffmpeg)), Repeat::Forever, &off.rtmp_url("cam"));
    off.await_live("cam");
    let alone = String::from_utf8(fetch(off.http, "/live/cam.m3u8").body).unwrap();
    assert_eq!(variants(&alone).len(), 1, "{alone}");
}

/// What `ffprobe` says of the colours behind a URL: range, matrix, transfer and primaries.
fn colours(ffprobe: &Path, url: &str) -> String {
    let entries = "stream=color_range,color_space,color_transfer,color_primaries";
    let told = e2e::process::run(Command::new(ffprobe).args([
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-show_entries",
        entries,
        "-of",
        "csv=p=0",
        url,
    ]));
    told.unwrap().lines().next().unwrap_or_default().to_owned()
}

#[test]
fn rungs_of_a_high_dynamic_range_say_that_they_are_for_ordinary_screens() {
    let ffprobe = need!(program::find("ffprobe"));
    let ffmpeg9 = need!(program::ffmpeg9());
    let clip = need!(clip::hdr(&ffmpeg9));
    let server = Server::with(SETTINGS);
    let _publisher = program::publish(&ffmpeg9, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    for url in [server.flv_url("cam~480p"), format!("http://{}/live/cam~480p.m3u8", server.http)] {
        assert_eq!(colours(&ffprobe, &url), "tv,bt709,bt709,bt709", "{url}");
    }
    assert_eq!(
        pictures(&server.flv_url("cam~720p")).unwrap(),
        "h264,1280,720",
        "H.265 has a rung of its size"
    );
}

#[test]
fn rungs_of_a_phone_that_is_held_upright_are_tall_and_say_so() {
    need!(program::find("ffprobe"));
    let ffmpeg = need!(program::ffmpeg());
    let ffmpeg9 = need!(program::ffmpeg9());
    let clip = need!(clip::large(&ffmpeg));
    let server = Server::with(SETTINGS);
    let mut publisher = Command::new(&ffmpeg9);
    // Of ffmpeg's filter only the first keyframe says it, so that there is one.
    publisher.args(["-v", "warning", "-re", "-stream_loop", "-1", "-i"]).arg(&clip).args(["-c:a", "copy"]);
    publisher.args([
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-bf",
        "0",
        "-g",
        "9999",
        "-sc_threshold",
        "0",
    ]);
    publisher.args(["-bsf:v", "h264_metadata=display_orientation=insert:rotate=90", "-f", "flv"]);
    let _publisher = Process::spawn(publisher.arg(server.rtmp_url("cam")));
    server.await_live("cam");
    let mut rung = server.open_flv("cam~480p", "").unwrap();
    tags_of(&mut rung, 1);
    assert_eq!(pictures(&server.flv_url("cam~480p")).unwrap(), "h264,480,854");
    // Once a decoder has seen it, everybody is told, of those rungs too that are not made yet.
    let size = |rung: &Value| (rung["width"].as_u64(), rung["height"].as_u64());
    assert_eq!(size(&rungs(&server)[0]), (Some(480), Some(854)));
    let channel = server.channel("cam").unwrap();
    let listed: Vec<_> = channel["rungs"].as_array().unwrap().iter().map(size).collect();
    assert!(listed.contains(&(Some(360), Some(640))), "{listed:?}");
}
