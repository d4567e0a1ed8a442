use super::*;
use crate::config::RecordFormat;
use crate::testing::Node;
use bytes::Bytes;
use media::{Codec, Flags, Role, Time, TrackId};

fn begin(node: &Node) -> Recording {
    let rule = RecordRule { format: RecordFormat::Flv, ..RecordRule::default() };
    Recording::begin(node.env.clone(), &StreamName::parse("live", "cam").unwrap(), &rule, Instant::now())
}

fn keyframe(ms: i64, bytes: usize) -> Packet {
    let mut payload = vec![0; bytes];
    payload[4] = 0x65;
    Packet {
        track: TrackId::VIDEO,
        codec: Codec::H264,
        role: Role::Frame,
        flags: Flags { keyframe: true, disposable: false },
        dts: Time::from_millis(ms),
        pts: Time::from_millis(ms),
        payload: Bytes::from(payload),
    }
}

#[tokio::test]
async fn what_a_slow_disk_does_not_take_is_left_out_and_told() {
    let node = Node::new("recording-slow", |config| config.record.queue_bytes_max = 1 << 20);
    let mut recording = begin(&node);
    let (entry, now) = (recording.entry.clone(), Instant::now());
    // The disk has taken nothing yet.
    for number in 0..8 {
        recording.push(now, &keyframe(number * 1000, 300_000));
        recording.flush(now);
    }
    assert!(recording.queued_bytes <= 1 << 20);
    recording.end(None).await;
    let description = entry.describe();
    assert_eq!((description.gaps[0].why, description.gaps[0].packets), (GapReason::DiskSlow, 5));
    assert_eq!((description.files.len(), description.files[0].bytes > 900_000), (1, true));
    let written = std::fs::metadata(node.folder.join("live/cam").join(&description.id).join("0001.flv"));
    assert_eq!(written.unwrap().len(), description.files[0].bytes);
}

#[tokio::test]
async fn a_disk_that_fails_pauses_the_recording_until_it_works_again() {
    let node = Node::new("recording-failing", |_| {});
    // Where the folder would be there is a file.
    std::fs::write(&node.folder, b"").unwrap();
    let mut recording = begin(&node);
    let (entry, now) = (recording.entry.clone(), Instant::now());
    recording.push(now, &keyframe(0, 1000));
    recording.step(now, false);
    recording.written().await;
    recording.step(now, false);
    let paused = entry.describe();
    assert_eq!(paused.state, RecordingState::Paused);
    assert!(paused.problem.unwrap().contains("recording of live/cam paused since"));
    recording.push(now, &keyframe(1000, 1000));
    recording.step(now, false);
    assert!(recording.turn.is_none(), "it waits before it tries again");

    std::fs::remove_file(&node.folder).unwrap();
    let later = now + 2 * RETRY;
    recording.step(later, false);
    recording.push(later, &keyframe(2000, 1000));
    recording.step(later, false);
    recording.written().await;
    recording.step(later, false);
    let going_on = entry.describe();
    assert_eq!((going_on.state, going_on.problem), (RecordingState::Recording, None));
    recording.end(None).await;
    let ended = entry.describe();
    assert_eq!((ended.gaps[0].why, ended.gaps[0].packets), (GapReason::DiskFailed, 2));
    assert_eq!(ended.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["0002.flv"]);
}

#[tokio::test]
async fn a_disk_that_shall_not_become_full_pauses_the_recording_before_it_is() {
    let node = Node::new("recording-low", |config| config.record.free_bytes_min = u64::MAX);
    let mut recording = begin(&node);
    let (entry, now) = (recording.entry.clone(), Instant::now());
    recording.push(now, &keyframe(0, 1000));
    recording.step(now, false);
    recording.written().await;
    recording.step(now, false);
    let paused = entry.describe();
    assert_eq!(paused.state, RecordingState::Paused);
    let problem = paused.problem.unwrap();
    assert!(problem.starts_with("disk nearly full ("), "{problem}");
    assert!(problem.contains("see record.free_bytes_min: recording of live/cam paused since "), "{problem}");
    assert!(!node.folder.exists(), "nothing is written");
}

#[tokio::test]
async fn a_stream_without_a_frame_leaves_nothing() {
    let node = Node::new("recording-empty", |_| {});
    let recording = begin(&node);
    let id = recording.id().clone();
    recording.end(None).await;
    assert!(node.env.recordings.get(&id).is_none() && !node.folder.exists());
}
