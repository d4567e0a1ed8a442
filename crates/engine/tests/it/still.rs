//! One keyframe as a picture.

use crate::clip::Clip;
use crate::options;
use bytes::Bytes;
use engine::host::{Keyframe, Launch, NoStill, preview, still};
use media::{Codec, Packet, Role};

/// Width and height that a JPEG file says in its frame header (ITU-T T.81 section B.2.2).
pub(crate) fn size(jpeg: &[u8]) -> (u32, u32) {
    let mut rest = &jpeg[2..];
    loop {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        if (0xc0..=0xc2).contains(&rest[1]) {
            let side = |at: usize| u32::from(u16::from_be_bytes([rest[at], rest[at + 1]]));
            return (side(7), side(5));
        }
        rest = &rest[2 + length..];
    }
}

fn keyframe(clip: &Clip) -> Keyframe {
    let first = clip.packets.iter().find(|packet| packet.flags.keyframe).unwrap();
    let (record, payload) = (clip.packets[0].payload.clone(), first.payload.clone());
    Keyframe { codec: first.codec, record, payload }
}

#[tokio::test]
async fn a_keyframe_becomes_a_jpeg_with_square_pixels() {
    let clip = Clip::usual();
    let made = still(&options().launch, 0, &keyframe(&clip), 1280).await.unwrap();
    assert_eq!(size(&made), (640, 360));
    // 720 x 576 as 16:9, with ten bits.
    let encoder =
        ["-vf", "setsar=64/45", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"];
    let clip = Clip::new("720x576", 25, 1, &encoder);
    let made = still(&options().launch, 0, &keyframe(&clip), 512).await.unwrap();
    assert_eq!(size(&made), (512, 288));
}

#[tokio::test]
async fn what_is_no_keyframe_has_a_reason_and_no_picture() {
    let keyframe = keyframe(&Clip::usual());
    let torn = Keyframe { payload: Bytes::from_static(&[0, 0, 0, 4, 0x65, 1, 2, 3]), ..keyframe.clone() };
    let no_still = still(&options().launch, 0, &torn, 640).await.unwrap_err();
    assert!(matches!(no_still, NoStill::Broken(_)), "{no_still:?}");
    let launch = Launch { program: "true".into(), arguments: Vec::new() };
    let no_still = still(&launch, 0, &keyframe, 640).await.unwrap_err();
    assert!(matches!(no_still, NoStill::NotMade(_)), "{no_still:?}");
    let other = Keyframe { codec: Codec::FlvVideo(2), ..keyframe };
    assert!(!other.is_decodable());
    let no_still = still(&options().launch, 0, &other, 640).await.unwrap_err();
    assert!(matches!(no_still, NoStill::NoDecoder(_)), "{no_still:?}");
}

/// Width and height of an animated WebP file, and how long each of its pictures is shown in milliseconds (RFC 9649 sections 2.5 and 2.7.1).
fn animation(webp: &[u8]) -> ((u32, u32), Vec<u32>) {
    assert_eq!((&webp[..4], &webp[8..12]), (&b"RIFF"[..], &b"WEBP"[..]));
    let number = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
    let (mut rest, mut size, mut shown) = (&webp[12..], (0, 0), Vec::new());
    while rest.len() >= 8 {
        let length = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        let body = &rest[8..8 + length];
        match &rest[..4] {
            b"VP8X" => size = (number(&body[4..]) + 1, number(&body[7..]) + 1),
            b"ANMF" => shown.push(number(&body[12..])),
            _ => {}
        }
        rest = &rest[8 + length.next_multiple_of(2)..];
    }
    (size, shown)
}

#[tokio::test]
async fn frames_of_a_stream_become_a_small_animation() {
    let launch = options().launch;
    let clip = Clip::usual();
    let record = clip.packets[0].payload.clone();
    let frames: Vec<Packet> =
        clip.packets.iter().filter(|packet| packet.role == Role::Frame).cloned().collect();
    let made = preview(&launch, 0, record.clone(), &frames).await.unwrap();
    let (size, shown) = animation(&made);
    assert_eq!(size, (320, 180));
    assert!((5..=7).contains(&shown.len()), "60 pictures of 30 a second, 300 ms apart: {shown:?}");
    assert!(shown[..shown.len() - 1].iter().all(|millis| *millis == 500), "{shown:?}");
    assert!(made.len() < 200_000, "{}", made.len());
    // Keyframes alone, of which there is one a second.
    let keyframes: Vec<Packet> = frames.iter().filter(|frame| frame.flags.keyframe).cloned().collect();
    let (size, shown) = animation(&preview(&launch, 0, record.clone(), &keyframes).await.unwrap());
    assert_eq!((size, shown.len()), ((320, 180), 3));
    let torn = Packet { payload: Bytes::from_static(&[0, 0, 0, 4, 0x65, 1, 2, 3]), ..keyframes[0].clone() };
    let no_preview = preview(&launch, 0, record, &[torn]).await.unwrap_err();
    assert!(matches!(no_preview, NoStill::Broken(_)), "{no_preview:?}");
}
