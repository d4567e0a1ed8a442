//! DASH: the manifest names the segments that HLS has, and other people's players get every packet.

use e2e::framehash::{self, Extent};
use e2e::hls::fetch;
use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, http, need, until};
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
