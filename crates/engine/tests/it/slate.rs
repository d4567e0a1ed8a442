//! What stands in for a stream, as a player sees it.

use crate::options;
use bytes::{Bytes, BytesMut};
use engine::host::slate;
use engine::mark::{Align, Drawing, File, Mark, Marks, Place};
use engine::slate::{Config, Slate};
use media::container::flv;
use media::{Codec, Flags, Packet, Role, Time, TrackId};
use std::io::Write;
use std::process::{Command, Stdio};

const SIZE: (u32, u32) = (320, 180);
const FRAMES: u32 = 5;

/// An image file of one colour, twice as high as it is wide.
fn image(encoder: &[&str]) -> Bytes {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "color=0xe00000:size=90x180", "-frames:v", "1"])
        .args(encoder)
        .args(["-f", "image2pipe", "-"])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is there: see tools/install.sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.into()
}

fn config(file: Bytes, (width, height): (u32, u32)) -> Config {
    let place = Place { across: Align::Middle, down: Align::Middle };
    // Higher than any picture: as large as it can be.
    let mark = Mark { drawing: Drawing::Image(File(file)), place, margin: 0.0, height: 100.0, opacity: 1.0 };
    Config { width, height, fps: 10, frames: FRAMES, marks: Marks::new(vec![mark]) }
}

/// The pictures as ffmpeg decodes them, where the slate is played twice: I420.
fn decode(slate: &Slate, (width, height): (u32, u32)) -> Vec<Vec<u8>> {
    let mut file = BytesMut::new();
    flv::write_file_header(false, true, &mut file);
    let packet = |role, keyframe, millis, payload: &Bytes| Packet {
        track: TrackId::VIDEO,
        codec: Codec::H264,
        role,
        flags: Flags { keyframe, disposable: false },
        dts: Time::from_millis(millis),
        pts: Time::from_millis(millis),
        payload: payload.clone(),
    };
    flv::write_tag(&packet(Role::Config, false, 0, &slate.record), &mut file);
    for (index, frame) in slate.frames.iter().chain(&slate.frames).enumerate() {
        let is_keyframe = index.is_multiple_of(FRAMES as usize);
        flv::write_tag(&packet(Role::Frame, is_keyframe, 100 * index as i64, frame), &mut file);
    }
    let mut ffmpeg = Command::new("ffmpeg")
        .args([
            "-v", "error", "-xerror", "-f", "flv", "-i", "-", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = ffmpeg.stdin.take().unwrap();
    let file = file.freeze();
    let writer = std::thread::spawn(move || stdin.write_all(&file).unwrap());
    let output = ffmpeg.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    output.stdout.chunks_exact((width * height * 3 / 2) as usize).map(<[u8]>::to_vec).collect()
}

/// Luma and chroma of the pixel in a column and a row.
fn pixel(picture: &[u8], (width, height): (u32, u32), x: u32, y: u32) -> [u8; 3] {
    let luma = (width * height) as usize;
    let chroma = ((y / 2) * (width / 2) + x / 2) as usize;
    [picture[(y * width + x) as usize], picture[luma + chroma], picture[luma + luma / 4 + chroma]]
}

fn is_near(sample: [u8; 3], expected: [u8; 3]) -> bool {
    sample.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 6)
}

/// 0xe00000 in BT.709.
const RED: [u8; 3] = [57, 105, 226];
const GRAY: [u8; 3] = [32, 128, 128];

#[tokio::test]
async fn an_image_of_each_kind_is_shown_whole_and_in_the_middle() {
    let files = [["-c:v", "png"], ["-c:v", "mjpeg"], ["-c:v", "libwebp"]];
    for (file, size) in files.iter().zip([SIZE, SIZE, (180, 320)]) {
        let made = slate(&options().launch, 0, &config(image(file), size)).await.unwrap();
        let pictures = decode(&made, size);
        assert_eq!(pictures.len(), 2 * FRAMES as usize, "{file:?}");
        let (middle, (x, y)) = ((size.0 / 2, size.1 / 2), (size.0 - 1, size.1 - 1));
        for picture in &pictures {
            let [centre, border] = [middle, (x, y / 2)].map(|(x, y)| pixel(picture, size, x, y));
            assert!(is_near(centre, RED), "{file:?}: {centre:?}");
            // A tall image fills the height of both.
            let top = pixel(picture, size, middle.0, 1);
            assert!(is_near(top, RED), "{file:?}: {top:?}");
            assert!(is_near(border, GRAY), "{file:?}: {border:?}");
        }
        let bytes: usize = made.frames[1..].iter().map(Bytes::len).sum();
        assert!(bytes < 4_000, "frames with nothing new have {bytes} bytes");
    }
}

#[tokio::test]
async fn what_is_no_slate_has_a_reason() {
    let launch = options().launch;
    let png = image(&["-c:v", "png"]);
    let whole = config(png.clone(), SIZE);
    for wrong in [
        Config { width: 321, ..whole.clone() },
        Config { height: 0, ..whole.clone() },
        Config { frames: 0, ..whole.clone() },
        Config { frames: 10_000, ..whole.clone() },
    ] {
        assert!(slate(&launch, 0, &wrong).await.is_err(), "{wrong:?}");
    }
    let torn = slate(&launch, 0, &config(png.slice(..40), SIZE)).await.unwrap_err();
    assert!(torn.contains("not decoded"), "{torn}");
}
