//! Quality that follows what pictures look like.

use super::{Clip, PATIENCE, config, options, packets, publish, shown};
use engine::encode::{Codec, Config};
use engine::host::{Output, Transcoder, Usage};
use media::Role;

/// Runs `clip` through one encoder: what came, and how it did.
async fn followed(clip: &Clip, config: Config) -> (Vec<Output>, Usage) {
    let (transcoder, inlet) = Transcoder::start(options());
    let mut outlet = transcoder.add(config);
    let reading = tokio::spawn(async move {
        let mut outputs = Vec::new();
        while let Some(output) = outlet.next().await {
            outputs.push(output);
        }
        (outputs, outlet.usage())
    });
    publish(inlet, clip).await;
    tokio::time::timeout(PATIENCE, reading).await.expect("it ends").unwrap()
}

fn bytes(outputs: &[Output]) -> usize {
    let frames = packets(outputs).into_iter().filter(|packet| packet.role == Role::Frame);
    frames.map(|packet| packet.payload.len()).sum()
}

#[tokio::test]
async fn pictures_that_look_better_than_is_asked_for_take_fewer_bits_and_none_is_lost() {
    let clip = Clip::new("640x360", 30, 8, &["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "4M"]);
    for (codec, quality) in [(Codec::H264, 14.0), (Codec::Av1, 20.0)] {
        let fixed = Config {
            codec,
            quality: Some(quality),
            bitrate_bps: 20_000_000,
            b_frames: 0,
            ..config(640, 360)
        };
        let (plain, before) = followed(&clip, fixed.clone()).await;
        assert_eq!((before.vmaf, before.quality), (None, None), "nobody asked for it");
        let (saving, usage) = followed(&clip, Config { vmaf: Some(85.0), ..fixed }).await;
        let found = usage.quality.expect("it was looked at");
        assert!(found > quality, "{codec:?} {found}");
        assert!(usage.vmaf.is_some_and(|vmaf| (50.0..=100.0).contains(&vmaf)), "{usage:?}");
        assert!(bytes(&saving) < bytes(&plain), "{codec:?}: {} and {}", bytes(&saving), bytes(&plain));
        for keyframes in [false, true] {
            let of = |outputs| shown(packets(outputs), keyframes);
            assert_eq!(of(&saving), of(&plain), "{codec:?}: the same pictures at the same times");
        }
        assert_eq!(usage.restarts, 0);
    }
}

#[tokio::test]
async fn where_the_rate_is_used_up_pictures_that_look_worse_take_no_more() {
    let clip = Clip::new("640x360", 30, 6, &["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "4M"]);
    let narrow = Config {
        quality: Some(30.0),
        vmaf: Some(99.0),
        bitrate_bps: 150_000,
        b_frames: 0,
        ..config(640, 360)
    };
    let (outputs, usage) = followed(&clip, narrow).await;
    assert!(usage.vmaf.is_some_and(|vmaf| vmaf < 99.0), "{usage:?}");
    assert!(bytes(&outputs) * 8 / 6 < 250_000, "{} bytes", bytes(&outputs));
}

#[tokio::test]
async fn noise_of_a_camera_is_taken_out_for_fewer_bits_and_pictures_without_it_stay_the_same() {
    let made_with = |filter: &str| {
        let noisy = ["-vf", filter, "-c:v", "libx264", "-preset", "ultrafast", "-qp", "4"];
        Clip::new("640x360", 30, 8, &noisy)
    };
    // A room in which nothing moves.
    let room = "format=yuv420p,trim=end_frame=1,loop=-1:1,setpts=N/30/TB,trim=duration=8";
    for (filter, is_noisy) in [(format!("{room},noise=alls=12:allf=t"), true), (room.to_owned(), false)] {
        let clip = made_with(&filter);
        let plain = Config { quality: Some(24.0), bitrate_bps: 20_000_000, b_frames: 0, ..config(640, 360) };
        let denoised = Config { denoise: true, ..plain.clone() };
        let made = super::transcode(&clip, vec![plain, denoised]).await;
        let (plain, denoised) = (bytes(&made[0]), bytes(&made[1]));
        if is_noisy {
            assert!(denoised * 4 < plain * 3, "{denoised} of {plain} bytes");
        } else {
            assert_eq!(denoised, plain);
        }
    }
}
