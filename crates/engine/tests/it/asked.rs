//! What an encoder is asked for besides size and rate.

use super::{Clip, collect, config, options, packets, publish, shown, transcode};
use engine::encode::{Codec, Config, Profile, Tune};
use engine::host::{Output, Transcoder};
use media::Role;

/// AVCProfileIndication of the configuration (ISO/IEC 14496-15 section 5.3.3.1).
fn profile_of(outputs: &[Output]) -> u8 {
    let packets = packets(outputs);
    let record = packets.iter().find(|packet| packet.role == Role::Config).expect("it says what it is");
    record.payload[1]
}

#[tokio::test]
async fn a_rung_has_the_profile_that_is_asked_for() {
    let clip = Clip::new("320x240", 30, 1, &["-c:v", "libx264", "-preset", "ultrafast"]);
    for (profile, number) in [(Profile::Baseline, 66), (Profile::Main, 77), (Profile::High, 100)] {
        let preset = engine::encode::Preset::Veryfast;
        let asked = Config { profile: Some(profile), preset, quality: Some(24.0), ..config(320, 240) };
        let made = &transcode(&clip, vec![asked]).await[0];
        assert_eq!(profile_of(made), number, "{profile:?}");
        assert_eq!(shown(packets(made), false).len(), 30);
    }
}

#[tokio::test]
async fn x264_takes_every_tune_with_and_without_delay() {
    let clip = Clip::new("320x240", 30, 1, &["-c:v", "libx264", "-preset", "ultrafast"]);
    for tune in Tune::ALL {
        for b_frames in [0, 2] {
            let asked = Config { tune: Some(tune), b_frames, quality: Some(24.0), ..config(320, 240) };
            let made = &transcode(&clip, vec![asked]).await[0];
            assert_eq!(shown(packets(made), false).len(), 30, "{tune:?}");
        }
    }
}

#[tokio::test]
async fn x265_takes_the_tunes_that_it_has_with_and_without_delay() {
    let clip = Clip::new("320x240", 30, 1, &["-c:v", "libx264", "-preset", "ultrafast"]);
    for tune in Tune::ALL.into_iter().filter(|tune| tune.suits(Codec::H265)) {
        for b_frames in [0, 2] {
            let codec = Codec::H265;
            let asked = Config { codec, tune: Some(tune), b_frames, quality: Some(28.0), ..config(320, 240) };
            let made = &transcode(&clip, vec![asked]).await[0];
            assert_eq!(shown(packets(made), false).len(), 30, "{tune:?}");
        }
    }
}

#[tokio::test]
async fn another_frame_rate_takes_effect_while_it_runs() {
    let clip = Clip::new("320x240", 60, 4, &["-c:v", "libx264", "-preset", "ultrafast"]);
    let (transcoder, inlet) = Transcoder::start(options());
    let mut outlet = transcoder.add(Config { b_frames: 0, ..config(320, 240) });
    let publishing = tokio::spawn(async move { publish(inlet, &clip).await });
    let mut before = Vec::new();
    while before.len() < 30 {
        match outlet.next().await {
            Some(Output::Packet(packet)) if packet.role == Role::Frame => before.push(packet),
            Some(_) => {}
            None => panic!("it ended: {:?}", outlet.usage()),
        }
    }
    outlet.set_fps_max(Some(15.0));
    let after = collect(outlet).await;
    publishing.await.unwrap();
    let times = shown(packets(&after), false);
    // What was under way keeps its rate.
    let steps: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).rev().take(20).collect();
    assert!(steps.len() == 20 && steps.iter().all(|step| (60..=72).contains(step)), "{steps:?}");
}
