//! Devices that decode: a worker that behaves as if, and what this machine has.

use crate::clip::Clip;
use crate::devices::machine;
use crate::faults::until;
use crate::{PATIENCE, collect, config, options, packets, shown};
use engine::decode::Backend;
use engine::encode::Codec;
use engine::host::{
    Devices, Inlet, Launch, Options, Outlet, Output, ProbedDecoder, Speed, Transcoder, Usage, decoders_here,
    probe_decoders,
};
use std::time::{Duration, Instant};

/// What a probe would have found: a device that decodes H.264.
fn known(backend: Backend) -> Devices {
    let speed = Ok(Speed { fps: 600.0, cpu_per_picture: Duration::from_micros(300) });
    let cpu_otherwise = Some(Duration::from_millis(3));
    let devices = Devices::default();
    devices.note_probed_decoders(vec![ProbedDecoder { backend, codec: Codec::H264, speed, cpu_otherwise }]);
    devices
}

fn on(launch: Launch, devices: &Devices) -> Options {
    Options { launch, devices: devices.clone(), ..options() }
}

/// Eight seconds, with a keyframe each.
pub(crate) fn clip() -> Clip {
    Clip::new("320x180", 30, 8, &["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"])
}

/// Pushes packets of a clip from `next` up to `end`, joining anew as often as it is asked to. How often that was.
pub(crate) async fn push(inlet: &mut Inlet, clip: &Clip, mut next: usize, end: usize) -> usize {
    let mut interrupted = 0;
    while next < end {
        next = match inlet.push(clip.packets[next].clone()).await {
            Ok(()) => next + 1,
            Err(_) => {
                interrupted += 1;
                inlet.push(clip.packets[0].clone()).await.unwrap();
                clip.joins_at(next)
            }
        };
    }
    interrupted
}

/// Where the frames of a second of the clip begin: the configuration is in front.
pub(crate) fn second(index: usize) -> usize {
    1 + 30 * index
}

#[tokio::test]
async fn a_probe_ranks_decoders_by_what_they_save_and_says_why_others_do_not_work() {
    let launch = machine(&["decode-nvdec=speed:600", "decode-qsv=speed:900", "decode-vaapi=speed:12"]);
    let tried = [Backend::Nvdec, Backend::Qsv, Backend::Vaapi, Backend::V4l2];
    let probed = probe_decoders(&launch, 0, &tried).await.unwrap();
    let of_h264 = || probed.iter().filter(|probed| probed.codec == Codec::H264);
    let order: Vec<_> = of_h264().map(|probed| probed.backend).collect();
    assert_eq!(order, [Backend::Qsv, Backend::Nvdec, Backend::Software, Backend::Vaapi, Backend::V4l2]);
    let better: Vec<_> = of_h264().map(ProbedDecoder::is_better_device).collect();
    assert_eq!(better, [true, true, false, false, false], "12 pictures per second are too few");
    let software: Vec<_> = probed.iter().filter(|probed| probed.backend == Backend::Software).collect();
    assert!(software.iter().all(|probed| probed.speed.is_ok()) && software.len() == 3, "{software:?}");
    assert!(!of_h264().next_back().unwrap().speed.as_ref().unwrap_err().is_empty());
}

#[tokio::test]
async fn the_processor_begins_and_a_device_takes_over_at_a_keyframe_without_a_gap() {
    let clip = clip();
    let devices = known(Backend::Nvdec);
    let (transcoder, mut inlet) = Transcoder::start(on(machine(&["decode-nvdec=speed:600"]), &devices));
    let outlet = tokio::spawn(collect(transcoder.add(config(160, 90))));
    push(&mut inlet, &clip, 0, second(1)).await;
    assert_eq!(transcoder.decoder().decoder, Some(Backend::Software));
    until(|| transcoder.decoder().next_decoder == Some(Backend::Nvdec)).await;
    push(&mut inlet, &clip, second(1), second(4)).await;
    until(|| transcoder.decoder().decoder == Some(Backend::Nvdec)).await;
    push(&mut inlet, &clip, second(4), clip.packets.len()).await;
    assert_eq!(transcoder.decoder().decoder, Some(Backend::Nvdec));
    drop(inlet);
    let outputs = tokio::time::timeout(PATIENCE, outlet).await.expect("it ends").unwrap();
    assert_eq!(shown(packets(&outputs), false), shown(&clip.packets, false));
    assert_eq!(shown(packets(&outputs), true), shown(&clip.packets, true));
    assert_eq!((transcoder.decoder().restarts, transcoder.decoder().error), (0, None));
}

#[tokio::test]
async fn a_device_that_does_not_open_or_never_answers_costs_nobody_a_picture() {
    let clip = clip();
    for behaviour in ["refuse", "asleep"] {
        let launch = machine(&[&format!("decode-nvdec={behaviour}")]);
        let devices = known(Backend::Nvdec);
        let (transcoder, mut inlet) = Transcoder::start(on(launch, &devices));
        let outlet = tokio::spawn(collect(transcoder.add(config(160, 90))));
        push(&mut inlet, &clip, 0, second(1)).await;
        if behaviour == "refuse" {
            until(|| transcoder.decoder().error.is_some()).await;
        }
        let interrupted = push(&mut inlet, &clip, second(1), clip.packets.len()).await;
        let decoder = transcoder.decoder();
        assert_eq!((decoder.decoder, decoder.next_decoder), (Some(Backend::Software), None), "{behaviour}");
        drop(inlet);
        let outputs = tokio::time::timeout(PATIENCE, outlet).await.expect("it ends").unwrap();
        assert_eq!(shown(packets(&outputs), false), shown(&clip.packets, false), "{behaviour}");
        assert_eq!((interrupted, transcoder.decoder().restarts), (0, 0), "{behaviour}");
        assert!(!devices.rests_decoding(Backend::Nvdec, media::Codec::H264, Instant::now()), "{behaviour}");
    }
}

/// All times of the clip that did not come out.
pub(crate) fn missing(clip: &Clip, outputs: &[Output]) -> Vec<i64> {
    let came = shown(packets(outputs), false);
    assert!(came.windows(2).all(|pair| pair[0] < pair[1]), "none comes twice");
    shown(&clip.packets, false).into_iter().filter(|pts| !came.contains(pts)).collect()
}

#[tokio::test]
async fn the_processor_takes_over_from_a_device_that_fails_and_no_picture_is_lost_or_comes_twice() {
    let clip = clip();
    // The device begins with the second second. Up to where frames come before it is lost, and whether other streams leave it alone then.
    let cases = [
        ("lost:40", "the device is lost", second(3), true),
        ("garbage", "a picture that cannot be", second(2), true),
        ("unfit:40", "does not decode this stream", second(3), false),
    ];
    for (behaviour, reason, end, rests) in cases {
        let launch = machine(&[&format!("decode-nvdec={behaviour}")]);
        let devices = known(Backend::Nvdec);
        let (transcoder, mut inlet) = Transcoder::start(on(launch, &devices));
        let outlet = tokio::spawn(collect(transcoder.add(config(160, 90))));
        push(&mut inlet, &clip, 0, second(1)).await;
        until(|| transcoder.decoder().next_decoder == Some(Backend::Nvdec)).await;
        let mut interrupted = push(&mut inlet, &clip, second(1), end).await;
        until(|| transcoder.decoder().restarts > 0).await;
        interrupted += push(&mut inlet, &clip, end, clip.packets.len()).await;
        let decoder = transcoder.decoder();
        assert_eq!((decoder.decoder, interrupted), (Some(Backend::Software), 1), "{behaviour}: {decoder:?}");
        assert!(decoder.error.unwrap().contains(reason), "{behaviour}");
        drop(inlet);
        let outputs = tokio::time::timeout(PATIENCE, outlet).await.expect("it ends").unwrap();
        assert!(outputs.iter().all(|output| matches!(output, Output::Packet(_))), "rungs go on: {behaviour}");
        assert_eq!(missing(&clip, &outputs), [], "{behaviour}");
        let now = Instant::now();
        assert_eq!(devices.rests_decoding(Backend::Nvdec, media::Codec::H264, now), rests, "{behaviour}");
    }
}

#[tokio::test]
async fn a_device_that_hangs_costs_a_moment_of_pictures() {
    let clip = clip();
    let devices = known(Backend::Nvdec);
    let (transcoder, mut inlet) = Transcoder::start(on(machine(&["decode-nvdec=hang:10"]), &devices));
    let outlet = tokio::spawn(collect(transcoder.add(config(160, 90))));
    push(&mut inlet, &clip, 0, second(1)).await;
    until(|| transcoder.decoder().next_decoder == Some(Backend::Nvdec)).await;
    push(&mut inlet, &clip, second(1), second(1) + 20).await;
    until(|| transcoder.decoder().pictures >= 30 + 10).await;
    // More than any decoder holds back.
    push(&mut inlet, &clip, second(1) + 20, second(3) + 10).await;
    until(|| transcoder.decoder().restarts > 0).await;
    push(&mut inlet, &clip, second(3) + 10, clip.packets.len()).await;
    assert_eq!(transcoder.decoder().error.as_deref(), Some("it hangs"));
    drop(inlet);
    let outputs = tokio::time::timeout(PATIENCE, outlet).await.expect("it ends").unwrap();
    // From where it hung to the keyframe that was the newest when that was noticed.
    let missing = missing(&clip, &outputs);
    assert!(missing.len() <= 2 * 30, "{missing:?}");
    assert!(devices.rests_decoding(Backend::Nvdec, media::Codec::H264, Instant::now()));
}

#[tokio::test]
async fn a_rung_that_comes_while_a_device_decodes_begins_at_a_keyframe_of_the_source() {
    let clip = clip();
    let devices = known(Backend::Nvdec);
    let launch = machine(&["decode-nvdec=speed:600"]);
    let (transcoder, mut inlet) = Transcoder::start(Options { is_live: true, ..on(launch, &devices) });
    let first = tokio::spawn(collect_with_usage(transcoder.add(config(160, 90))));
    push(&mut inlet, &clip, 0, second(1)).await;
    until(|| transcoder.decoder().next_decoder == Some(Backend::Nvdec)).await;
    push(&mut inlet, &clip, second(1), second(5) + 15).await;
    // What it has not shown before the newest keyframe is lost to those who are there.
    until(|| transcoder.decoder().pictures > 5 * 30).await;
    assert_eq!(transcoder.decoder().decoder, Some(Backend::Nvdec));
    let pid = transcoder.decoder().pid;
    let other = transcoder.add(config(320, 180));
    until(|| other.usage().pid.is_some()).await;
    let other = tokio::spawn(collect_with_usage(other));
    let interrupted = push(&mut inlet, &clip, second(5) + 15, clip.packets.len()).await;
    assert_eq!((interrupted, transcoder.decoder().pid), (1, pid), "the device stays open");
    drop(inlet);
    // A machine that is busy may leave out pictures of live rungs, and says so.
    let (outputs, usage) = tokio::time::timeout(PATIENCE, first).await.expect("it ends").unwrap();
    assert_eq!(missing(&clip, &outputs).len() as u64, usage.dropped, "{:?}", missing(&clip, &outputs));
    let (outputs, usage) = tokio::time::timeout(PATIENCE, other).await.expect("it ends").unwrap();
    let frames = shown(packets(&outputs), false);
    assert!(shown(&clip.packets, true).contains(&frames[0]), "{} is no keyframe", frames[0]);
    let missing = missing(&clip, &outputs);
    assert_eq!(missing.iter().filter(|pts| **pts > frames[0]).count() as u64, usage.dropped);
}

async fn collect_with_usage(mut outlet: Outlet) -> (Vec<Output>, Usage) {
    let mut outputs = Vec::new();
    while let Some(output) = outlet.next().await {
        outputs.push(output);
    }
    (outputs, outlet.usage())
}

/// The real libav, without its drivers: each of these fails in its own way.
#[tokio::test]
async fn a_machine_without_drivers_decodes_on_the_processor_whatever_is_asked_for() {
    let clip = clip();
    let asked: Vec<_> = Backend::ALL.into_iter().filter(|by| !decoders_here().contains(by)).collect();
    let decoders = asked.iter().copied().filter(|by| by.is_hardware()).collect();
    let (transcoder, mut inlet) = Transcoder::start(Options { decoders, ..options() });
    let outlet = tokio::spawn(collect(transcoder.add(config(160, 90))));
    push(&mut inlet, &clip, 0, second(1)).await;
    until(|| transcoder.decoder().error.is_some()).await;
    assert!(transcoder.decoder().error.unwrap().contains("does not open"));
    push(&mut inlet, &clip, second(1), clip.packets.len()).await;
    assert_eq!(transcoder.decoder().decoder, Some(Backend::Software));
    drop(inlet);
    let outputs = tokio::time::timeout(PATIENCE, outlet).await.expect("it ends").unwrap();
    assert_eq!(shown(packets(&outputs), false), shown(&clip.packets, false));
    assert_eq!(transcoder.decoder().restarts, 0);
}

/// Where this machine has a device: that it gives the pictures that the processor gives, and what it saves.
#[tokio::test]
async fn devices_of_this_machine_decode_as_the_processor_does() {
    let here = decoders_here();
    if here.is_empty() {
        eprintln!("SKIPPED: this machine has no device that decodes (no file of a driver in /dev)");
        return;
    }
    let probed = probe_decoders(&options().launch, 0, &here).await.unwrap();
    probed.iter().for_each(|probed| println!("{probed:?}"));
    let better: Vec<_> = probed.iter().filter(|probed| probed.is_better_device()).collect();
    let other = probed.iter().filter_map(|probed| probed.speed.as_ref().err());
    assert!(other.clone().all(|why| !why.contains("other pictures")), "{:?}", other.collect::<Vec<_>>());
    assert!(!better.is_empty(), "none of {here:?} is better than the processor");
    // And in a stream.
    let Some(by) = better.iter().find(|probed| probed.codec == Codec::H264).map(|probed| probed.backend)
    else {
        return;
    };
    let clip = clip();
    let (transcoder, mut inlet) = Transcoder::start(Options { decoders: vec![by], ..options() });
    let outlet = tokio::spawn(collect(transcoder.add(config(160, 90))));
    push(&mut inlet, &clip, 0, second(1)).await;
    until(|| transcoder.decoder().next_decoder == Some(by)).await;
    push(&mut inlet, &clip, second(1), clip.packets.len()).await;
    assert_eq!(transcoder.decoder().decoder, Some(by));
    drop(inlet);
    let outputs = tokio::time::timeout(PATIENCE, outlet).await.expect("it ends").unwrap();
    assert_eq!(shown(packets(&outputs), false), shown(&clip.packets, false));
}
