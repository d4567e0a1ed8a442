use crate::clip::Clip;
use crate::{config, packets, shown, transcode};
use engine::encode::{Codec, Config, Preset};
use media::Role;
use std::time::Duration;

#[tokio::test]
async fn rungs_have_the_times_and_the_keyframes_of_the_source() {
    let clip = Clip::usual();
    let join = Config { b_frames: 0, gop: Some(Duration::from_millis(500)), ..config(160, 90) };
    let all = transcode(&clip, vec![config(480, 270), config(320, 180), join]).await;
    let expected = (shown(&clip.packets, false), shown(&clip.packets, true));
    assert_eq!((expected.0.len(), expected.1.len()), (90, 3));
    for outputs in &all[..2] {
        let packets = packets(outputs);
        assert_eq!((shown(packets.clone(), false), shown(packets.clone(), true)), expected);
        assert_eq!(packets[0].role, Role::Config);
        assert!(packets.windows(2).all(|pair| pair[0].dts <= pair[1].dts));
        assert!(packets.iter().all(|packet| packet.dts <= packet.pts));
    }
    let join = packets(&all[2]);
    assert_eq!(shown(join.clone(), false), expected.0);
    assert_eq!(shown(join, true).len(), 6);
}

#[tokio::test]
async fn configurations_say_the_size_that_was_asked_for() {
    let clip = Clip::usual();
    for (codec, b_frames) in [(Codec::H264, 2), (Codec::H265, 0), (Codec::Av1, 2)] {
        let all = transcode(&clip, vec![Config { codec, b_frames, ..config(320, 180) }]).await;
        let packets = packets(&all[0]);
        let summary = media::codec::summary(packets[0].codec, &packets[0].payload).unwrap();
        assert_eq!(
            (packets[0].role, summary.width, summary.height),
            (Role::Config, Some(320), Some(180)),
            "{codec:?}"
        );
        assert_eq!(shown(packets.clone(), false), shown(&clip.packets, false), "{codec:?}");
        assert_eq!(shown(packets, true), shown(&clip.packets, true), "{codec:?}");
    }
}

#[tokio::test]
async fn keyframes_out_of_turn_are_those_of_rungs_of_every_codec() {
    // One a second, and some where scenes change, two of them in a row.
    let irregular =
        ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-force_key_frames", "0.5,1.7,1.734,2.9"];
    let clip = Clip::new("320x180", 30, 4, &irregular);
    let expected = (shown(&clip.packets, false), shown(&clip.packets, true));
    assert!(expected.1.len() >= 6, "{:?}", expected.1);
    for codec in [Codec::H264, Codec::H265, Codec::Av1] {
        for quality in [None, Some(30.0)] {
            let asked = Config { codec, quality, preset: Preset::Superfast, ..config(160, 90) };
            let all = transcode(&clip, vec![asked]).await;
            let packets = packets(&all[0]);
            let found = (shown(packets.clone(), false), shown(packets.clone(), true));
            assert_eq!(found, expected, "{codec:?} {quality:?}");
            assert!(packets.windows(2).all(|pair| pair[0].dts <= pair[1].dts), "{codec:?} {quality:?}");
            assert!(packets.iter().all(|packet| packet.dts <= packet.pts), "{codec:?} {quality:?}");
        }
    }
}

#[tokio::test]
async fn a_rung_of_half_the_rate_has_every_second_picture() {
    let clip = Clip::new("320x180", 60, 2, &["-c:v", "libx264", "-preset", "ultrafast"]);
    let all = transcode(&clip, vec![Config { fps_max: Some(30.0), ..config(160, 90) }]).await;
    let times = shown(packets(&all[0]), false);
    assert_eq!(times.len(), 60);
    assert!(times.windows(2).all(|pair| (33_000_000..=34_000_000).contains(&(pair[1] - pair[0]))));
}

#[tokio::test]
async fn unusual_sources_are_taken() {
    let sources: [(&str, &[&str]); 5] = [
        ("322x182", &["-c:v", "libx264", "-pix_fmt", "yuv422p", "-preset", "ultrafast"]),
        ("320x180", &["-c:v", "libx264", "-pix_fmt", "yuv444p", "-preset", "ultrafast"]),
        ("320x180", &["-c:v", "libx264", "-pix_fmt", "yuv420p10le", "-preset", "ultrafast"]),
        ("180x320", &["-c:v", "libx264", "-pix_fmt", "yuvj420p", "-preset", "ultrafast"]),
        ("16x16", &["-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast"]),
    ];
    for (size, encoder) in sources {
        let clip = Clip::new(size, 25, 1, encoder);
        let all = transcode(&clip, vec![config(160, 90)]).await;
        assert_eq!(shown(packets(&all[0]), false), shown(&clip.packets, false), "{size} {encoder:?}");
    }
}

#[tokio::test]
async fn pictures_keep_their_shape() {
    // 720 x 576 as 16:9, and half of it: pixels stay 64:45.
    let encoder = ["-vf", "setsar=64/45", "-c:v", "libx264", "-preset", "ultrafast"];
    let clip = Clip::new("720x576", 25, 1, &encoder);
    for (width, height, expected) in [(360, 288, (64, 45)), (512, 288, (1, 1))] {
        let all = transcode(&clip, vec![config(width, height)]).await;
        let packets = packets(&all[0]);
        let summary = media::codec::summary(packets[0].codec, &packets[0].payload).unwrap();
        assert_eq!(summary.pixel_aspect.unwrap_or((1, 1)), expected, "{width}x{height}");
    }
}
