//! Recordings in an object storage, which may be away for a while.

use super::record::{await_state, file, operator, recording, stop};
use e2e::framehash::{self, Extent};
use e2e::process::run;
use e2e::program::{self, Repeat};
use e2e::s3::{Line, S3};
use e2e::{Server, clip, http, need, until};
use serde_json::Value;
use std::io::Read;
use std::net::SocketAddr;
use std::process::Command;

const RULE: &str = r#"record.rule=[{stream="live/*"}]"#;

fn with_storage(address: SocketAddr, settings: &[&str]) -> Server {
    let storage = S3::settings(address);
    let all: Vec<_> =
        storage.iter().map(String::as_str).chain([RULE]).chain(settings.iter().copied()).collect();
    Server::with(&all)
}

/// The newest recording of `live/cam`, when its upload stands like this.
#[track_caller]
fn await_upload(server: &Server, is_there: impl Fn(&Value) -> bool) -> Value {
    until("the upload stands like this", || {
        recording(server, "cam").filter(|found| is_there(&found["upload"]))
    })
}

fn is_done(upload: &Value) -> bool {
    upload["state"] == "done"
}

/// What the server answers for a file of a recording.
fn play(server: &Server, recording: &Value, headers: &[(&str, &str)]) -> (http::Response, Vec<u8>) {
    let path = format!("/recordings/{}/0001.mp4", recording["id"].as_str().unwrap());
    let mut all = vec![("Connection", "close")];
    all.extend_from_slice(headers);
    let mut response = http::request(server.http, "GET", &path, &all, b"").unwrap();
    let mut body = Vec::new();
    response.body.read_to_end(&mut body).unwrap();
    (response, body)
}

#[test]
fn a_recording_waits_for_the_storage_goes_there_and_plays_from_there() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let mut s3 = need!(S3::new());
    let mut server = with_storage(s3.address, &["record.merge_s=0", "record.spool_keep_minutes=0"]);
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Once, &server.rtmp_url("cam"));
    let complete = await_state(&server, "cam", "complete");
    let waiting = await_upload(&server, |upload| upload["problem"].is_string());
    let problem = waiting["problem"].as_str().unwrap();
    assert!(problem.starts_with("upload: waiting (connection refused), next try in "), "{problem}");
    assert!(server.metric("rushlight_record_upload_errors_total", &[]) > 0.0);
    let bytes = std::fs::read(file(&server, &complete, 0)).unwrap();
    let id = complete["id"].as_str().unwrap().to_owned();
    assert_eq!(operator(&server, "DELETE", "recordings/20260101T000000Z-00000000", ""), 404);

    s3.start();
    let done = await_upload(&server, |upload| is_done(upload) && upload["local"] == false);
    assert_eq!(done["problem"], Value::Null, "{done}");
    let folder = format!("some/prefix/live/cam/{id}");
    assert_eq!(s3.objects("some"), [format!("{folder}/0001.mp4"), format!("{folder}/recording.json")]);
    assert!(s3.object(&format!("{folder}/0001.mp4")).unwrap() == bytes, "every byte is there");
    let local = file(&server, &complete, 0);
    assert!(!local.exists());

    // Once as it is, and once by a node that has nothing but the storage.
    for anew in [false, true] {
        if anew {
            server.process.kill();
            std::fs::remove_dir_all(server.data().join("recordings")).unwrap();
            server.restart();
            await_upload(&server, is_done);
        }
        let (whole, body) = play(&server, &complete, &[]);
        assert_eq!((whole.status, whole.header("content-type")), (200, Some("video/mp4")));
        assert!(body == bytes, "the whole file");
        let (part, body) = play(&server, &complete, &[("Range", "bytes=1000-300000")]);
        assert!(part.status == 206 && body == bytes[1000..=300_000]);
        let (end, body) = play(&server, &complete, &[("Range", "bytes=-50")]);
        assert!(end.status == 206 && body == bytes[bytes.len() - 50..]);
        assert_eq!(play(&server, &complete, &[("Range", "bytes=99999999-")]).0.status, 416);
        let playlist = http::get(server.http, &format!("/recordings/{id}.m3u8")).unwrap();
        assert!(playlist.status == 200 && playlist.text().unwrap().contains("#EXT-X-STREAM-INF"));
        if let Ok(rtmpdump) = program::find("rtmpdump") {
            let (url, out) =
                (format!("rtmp://{}/recordings/{id}", server.rtmp), server.scratch().join("flv"));
            run(Command::new(rtmpdump).args(["-r", &url, "-o"]).arg(&out)).unwrap();
            let dumped = framehash::of_file(&ffmpeg, &out);
            framehash::compare(&framehash::of_file(&ffmpeg, &clip), &dumped, Extent::Whole).unwrap();
        }
    }
    let found = recording(&server, "cam").unwrap();
    for key in ["stream", "state", "startedAt", "endedAt", "durationMs", "bytes", "tracks", "files"] {
        assert_eq!(found[key], done[key], "{key}");
    }

    // To be kept is said there as well.
    assert_eq!(operator(&server, "PATCH", &format!("recordings/{id}"), r#"{"keep":true}"#), 200);
    until("the storage knows it", || {
        let text = s3.object(&format!("{folder}/recording.json"))?;
        let described: Value = serde_json::from_slice(&text).ok()?;
        (described["keep"] == true).then_some(())
    });

    // While it is away nothing is deleted, so that nothing is left there for ever.
    s3.kill();
    assert_eq!(operator(&server, "DELETE", &format!("recordings/{id}"), ""), 502);
    assert!(recording(&server, "cam").is_some());
    s3.start();
    assert_eq!(operator(&server, "DELETE", &format!("recordings/{id}"), ""), 204);
    assert_eq!((s3.objects("some"), recording(&server, "cam")), (Vec::new(), None));
}

#[test]
fn an_upload_that_breaks_off_goes_on_where_it_was() {
    let ffmpeg = need!(program::ffmpeg());
    let heavy = need!(clip::heavy(&ffmpeg));
    let mut s3 = need!(S3::new());
    s3.start();
    // In the second of three parts of 8 MiB.
    let line = Line::new(s3.address, 12 << 20);
    let server = with_storage(line.address, &[]);
    let publisher = program::publish(&ffmpeg, &heavy, Repeat::Forever, &server.rtmp_url("cam"));
    until("there is enough", || (recording(&server, "cam")?["bytes"].as_u64()? > 18 << 20).then_some(()));
    stop(&server, "cam");
    drop(publisher);
    let broken = await_upload(&server, |upload| upload["problem"].is_string());
    let whole = broken["bytes"].as_u64().unwrap();
    assert_eq!(broken["upload"]["bytes"], 8 << 20, "{broken}");
    let before = line.carried();
    line.mend();
    let done = await_upload(&server, is_done);
    assert_eq!(done["upload"]["bytes"], whole);
    let after = line.carried() - before;
    assert!(after < whole - (7 << 20), "{after} bytes more for {whole}: the first part went once");
    let object = format!("some/prefix/live/cam/{}/0001.mp4", done["id"].as_str().unwrap());
    let (local, there) = (std::fs::read(file(&server, &done, 0)).unwrap(), s3.object(&object).unwrap());
    assert!(local.len() as u64 == whole && local == there, "every byte is there");
}
