//! Devices that this machine does not have: a worker that behaves as if.

use crate::clip::Clip;
use crate::{PATIENCE, collect, config, options, packets, publish, shown};
use engine::encode::{Backend, Codec, Config};
use engine::host::{Devices, Launch, Options, Output, Transcoder, Usage, probe_devices, ranked};
use media::{Packet, Role};
use std::sync::Arc;
use tokio::sync::Notify;

/// A machine whose devices behave as `behaviours` say: see `tests/device/worker.rs`.
pub(crate) fn machine(behaviours: &[&str]) -> Launch {
    let arguments = std::iter::once(env!("CARGO_BIN_EXE_engine-worker")).chain(behaviours.iter().copied());
    Launch {
        program: env!("CARGO_BIN_EXE_engine-device").into(),
        arguments: arguments.map(Into::into).collect(),
    }
}

/// Who encodes: a device if it was found to, and else the processor.
fn on(launch: Launch, devices: &Devices) -> Options {
    Options { launch, backends: Backend::PROCESSOR.to_vec(), devices: devices.clone(), ..options() }
}

/// What `devices` know after a probe.
async fn found(launch: &Launch) -> Devices {
    let devices = Devices::default();
    devices.note_probed(probe_devices(launch, 0, &[Backend::Nvenc, Backend::V4l2]).await.unwrap());
    devices
}

/// A clip through one encoder. If that is to be lost, it is before the second half comes: at the end of a source nobody takes over.
async fn run(options: Options, clip: &Clip, wanted: Config, is_lost: bool) -> (Vec<Output>, Usage) {
    let (transcoder, mut inlet) = Transcoder::start(options);
    let mut outlet = transcoder.add(wanted);
    let lost = Arc::new(Notify::new());
    let collecting = tokio::spawn({
        let lost = lost.clone();
        async move {
            let mut outputs = Vec::new();
            while let Some(output) = outlet.next().await {
                if matches!(output, Output::Replaced { .. }) {
                    lost.notify_one();
                }
                outputs.push(output);
            }
            (outputs, outlet.usage())
        }
    });
    for (index, packet) in clip.packets.iter().enumerate() {
        if is_lost && index == clip.packets.len() / 2 {
            tokio::time::timeout(PATIENCE, lost.notified()).await.expect("it is lost");
        }
        inlet.push(packet.clone()).await.unwrap();
    }
    drop(inlet);
    tokio::time::timeout(PATIENCE, collecting).await.expect("it ends").unwrap()
}

#[tokio::test]
async fn a_probe_ranks_devices_by_their_speed_and_says_why_others_do_not_work() {
    let launch = machine(&["nvenc=speed:600", "v4l2=speed:900", "qsv=refuse", "vaapi=speed:12"]);
    let tried = [Backend::Nvenc, Backend::Qsv, Backend::Vaapi, Backend::V4l2, Backend::X264];
    let mut probed = probe_devices(&launch, 0, &tried).await.unwrap();
    probed.retain(|probed| probed.codec == Codec::H264);
    let order: Vec<_> = probed.iter().map(|probed| probed.backend).collect();
    assert_eq!(order, [Backend::V4l2, Backend::Nvenc, Backend::X264, Backend::Vaapi, Backend::Qsv]);
    assert_eq!(ranked(&probed), order[..4]);
    assert_eq!(probed[1].speed.as_ref().unwrap().fps.round(), 600.0);
    assert!(probed[4].speed.as_ref().unwrap_err().contains("no such device"), "{:?}", probed[4]);
}

#[tokio::test]
async fn a_device_that_was_found_encodes_before_the_processor() {
    let launch = machine(&["nvenc=speed:600", "v4l2=speed:900"]);
    let devices = found(&launch).await;
    let clip = Clip::usual();
    let (outputs, usage) = run(on(launch, &devices), &clip, config(320, 180), false).await;
    assert_eq!((usage.backend, usage.restarts), (Some(Backend::V4l2), 0));
    assert_eq!(shown(packets(&outputs), false), shown(&clip.packets, false));
}

/// Frames in the order in which they came.
fn frames<'a>(packets: &[&'a Packet]) -> Vec<&'a Packet> {
    packets.iter().copied().filter(|packet| packet.role == Role::Frame).collect()
}

#[tokio::test]
async fn a_rung_whose_device_is_lost_goes_on_with_the_next_at_a_keyframe() {
    let clip = Clip::new("320x180", 30, 8, &["-c:v", "libx264", "-preset", "ultrafast"]);
    for (behaviour, reason) in [("lost:20", "the device is lost"), ("hang:20", "it hangs")] {
        let launch = machine(&[&format!("nvenc={behaviour}")]);
        let devices = found(&launch).await;
        let wanted = Config { backend: Some(Backend::Nvenc), b_frames: 0, ..config(160, 90) };
        let (outputs, usage) = run(on(launch.clone(), &devices), &clip, wanted.clone(), true).await;
        assert_eq!((usage.backend, usage.restarts), (Some(Backend::X264), 1), "{behaviour}: {usage:?}");
        let lost_at = outputs.iter().position(|output| matches!(output, Output::Replaced { .. })).unwrap();
        assert!(matches!(&outputs[lost_at], Output::Replaced { why } if why.contains(reason)), "{behaviour}");
        let (before, after) = outputs.split_at(lost_at);
        let (before, after) = (packets(before), packets(after));
        assert_eq!((frames(&before).len(), after[0].role), (20, Role::Config), "{behaviour}");
        assert!(after[1].flags.keyframe, "{behaviour}");
        let all = packets(&outputs);
        let all = frames(&all);
        assert!(all.windows(2).all(|pair| pair[0].dts < pair[1].dts && pair[0].pts < pair[1].pts));
        let missing = after[1].pts.nanos() - frames(&before)[19].pts.nanos();
        assert!(missing < 2_000_000_000, "{behaviour}: {missing} ns without a picture");
        assert_eq!(all.last().unwrap().pts, clip.packets.last().unwrap().pts, "{behaviour}");
        // The next rung does not try it again at once.
        let (outputs, usage) = run(on(launch, &devices), &Clip::usual(), wanted, false).await;
        assert_eq!((usage.backend, usage.restarts, usage.error), (Some(Backend::X264), 0, None));
        assert!(outputs.iter().all(|output| matches!(output, Output::Packet(_))), "{behaviour}");
    }
}

#[tokio::test]
async fn a_device_that_gives_garbage_is_passed_over() {
    let launch = machine(&["nvenc=garbage"]);
    let devices = Devices::default();
    let clip = Clip::usual();
    let wanted = Config { backend: Some(Backend::Nvenc), ..config(320, 180) };
    let (outputs, usage) = run(on(launch, &devices), &clip, wanted, true).await;
    assert_eq!((usage.backend, usage.restarts), (Some(Backend::X264), 1), "{usage:?}");
    assert!(matches!(&outputs[0], Output::Replaced { why } if why.contains("what its frames are")));
    assert!(packets(&outputs)[1].flags.keyframe);
}

#[tokio::test]
async fn an_encoder_that_a_device_has_no_room_for_runs_on_the_processor() {
    let folder = std::env::temp_dir().join(format!("rushlight-sessions-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let launch = machine(&[&format!("nvenc=sessions:1:{}", folder.display())]);
    let clip = Clip::usual();
    let (transcoder, mut inlet) = Transcoder::start(on(launch, &Devices::default()));
    let wanted = Config { backend: Some(Backend::Nvenc), ..config(320, 180) };
    let mut first = transcoder.add(wanted.clone());
    let (head, rest) = clip.packets.split_at(clip.packets.len() / 2);
    for packet in head {
        inlet.push(packet.clone()).await.unwrap();
    }
    tokio::time::timeout(PATIENCE, first.next()).await.unwrap().unwrap();
    let (mut second, mut third) = (transcoder.add(wanted.clone()), transcoder.add(wanted));
    for refused in [&mut second, &mut third] {
        let first = tokio::time::timeout(PATIENCE, refused.next()).await.unwrap();
        assert!(matches!(&first, Some(Output::Replaced { why }) if why.contains("sessions")), "{first:?}");
    }
    let outlets = [first, second, third];
    let collecting = outlets.map(|mut outlet| {
        tokio::spawn(async move {
            while outlet.next().await.is_some() {}
            outlet.usage()
        })
    });
    for packet in rest {
        inlet.push(packet.clone()).await.unwrap();
    }
    drop(inlet);
    let mut used = Vec::new();
    for task in collecting {
        let usage = tokio::time::timeout(PATIENCE, task).await.expect("it ends").unwrap();
        used.push((usage.backend, usage.restarts.min(1)));
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(used[0], (Some(Backend::Nvenc), 0), "the one that had it keeps it");
    assert!(used[1..].iter().all(|(backend, _)| *backend == Some(Backend::X264)), "{used:?}");
    assert_eq!(used.iter().map(|(_, restarts)| restarts).sum::<u64>(), 2, "both began at once: {used:?}");
}

#[tokio::test]
async fn the_other_rung_of_a_stream_does_not_notice_that_a_device_is_lost() {
    let launch = machine(&["nvenc=lost:20"]);
    let clip = Clip::usual();
    let (transcoder, inlet) = Transcoder::start(on(launch, &Devices::default()));
    let wanted = Config { backend: Some(Backend::Nvenc), ..config(320, 180) };
    let lost = tokio::spawn(collect(transcoder.add(wanted)));
    let spared = tokio::spawn(collect(transcoder.add(config(160, 90))));
    publish(inlet, &clip).await;
    let spared = tokio::time::timeout(PATIENCE, spared).await.unwrap().unwrap();
    assert_eq!(shown(packets(&spared), false), shown(&clip.packets, false));
    let lost = tokio::time::timeout(PATIENCE, lost).await.unwrap().unwrap();
    assert!(packets(&lost).len() >= 20);
}
