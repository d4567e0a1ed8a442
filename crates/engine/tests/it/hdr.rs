//! Sources of a high dynamic range: their rungs have the colours of ordinary screens.

use crate::clip::{self, Clip};
use crate::{config, options, packets, transcode};
use bytes::BytesMut;
use engine::encode::{Codec, Config};
use engine::host::{Keyframe, still};
use media::Packet;
use media::container::flv;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const SIZE: (usize, usize) = (640, 360);
const SIZE_TEXT: &str = "640x360";

/// Bars of an ordinary picture whose white is 1000 cd/m², so that there is something above reference white, with the colours of BT.2020.
fn bars(ffmpeg: &Path, transfer: &str, encoder: &[&str]) -> Clip {
    let filter = format!(
        "format=yuv420p,zscale=pin=bt709:tin=bt709:min=bt709:rin=tv:p=bt2020:t={transfer}:m=bt2020nc:r=tv:npl=1000:agamma=0,format=yuv420p10le"
    );
    let source = format!("smptehdbars=size={SIZE_TEXT}:rate=25:duration=1");
    let colours = ["-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc"];
    let arguments = [&["-vf", &filter], encoder, &colours].concat();
    Clip::made_by(ffmpeg, &source, 25, &arguments)
}

const HEVC: &[&str] =
    &["-c:v", "libx265", "-preset", "ultrafast", "-crf", "14", "-x265-params", "log-level=none"];
const AV1: &[&str] = &["-c:v", "libsvtav1", "-preset", "12", "-b:v", "0", "-crf", "14"];

/// The first picture of `packets` through a filter of ffmpeg, as I420.
fn decoded<'a>(ffmpeg: &Path, packets: impl IntoIterator<Item = &'a Packet>, filter: &str) -> Vec<u8> {
    let mut file = BytesMut::new();
    flv::write_file_header(false, true, &mut file);
    packets.into_iter().for_each(|packet| flv::write_tag(packet, &mut file));
    let mut child = Command::new(ffmpeg)
        .args(["-v", "error", "-f", "flv", "-i", "pipe:0", "-frames:v", "1", "-vf", filter])
        .args(["-pix_fmt", "yuv420p", "-f", "rawvideo", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || drop(input.write_all(&file)));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success() && output.stdout.len() == SIZE.0 * SIZE.1 * 3 / 2, "{output:?}");
    output.stdout
}

/// Means of fields of 20 by 20 pixels of luma, and of what belongs to them of both chromas.
fn fields(picture: &[u8]) -> Vec<[f64; 3]> {
    const FIELD: usize = 20;
    let (width, height) = SIZE;
    let (luma, chroma) = picture.split_at(width * height);
    let (blue, red) = chroma.split_at(width * height / 4);
    let mean = |plane: &[u8], width: usize, column: usize, row: usize, side: usize| {
        let rows = (row * side..(row + 1) * side).map(|y| &plane[y * width + column * side..][..side]);
        let sum: u64 = rows.flatten().map(|sample| u64::from(*sample)).sum();
        sum as f64 / (side * side) as f64
    };
    let places = (0..height / FIELD).flat_map(|row| (0..width / FIELD).map(move |column| (column, row)));
    places
        .map(|(column, row)| {
            let half = |plane| mean(plane, width / 2, column, row, FIELD / 2);
            [mean(luma, width, column, row, FIELD), half(blue), half(red)]
        })
        .collect()
}

/// How far two pictures are apart in codes of luma and chroma: in the mean, and in the field in which they are farthest.
fn distance(a: &[u8], b: &[u8]) -> [(f64, f64); 3] {
    let (a, b) = (fields(a), fields(b));
    std::array::from_fn(|component| {
        let apart = a.iter().zip(&b).map(|(a, b)| (a[component] - b[component]).abs());
        (apart.clone().sum::<f64>() / a.len() as f64, apart.fold(0.0, f64::max))
    })
}

/// What ffmpeg makes of such a picture: the same light as white, and a curve that is straight below a third of it and not quite ours above.
const REFERENCE: &str = "zscale=t=linear:npl=203:agamma=0,format=gbrpf32le,zscale=p=bt709,\
    tonemap=mobius:peak=4.926:desat=0,zscale=t=bt709:m=bt709:r=tv,format=yuv420p";
/// How far two curves may be apart, in codes of 8 bits: in the mean, and where they differ most, which is near white.
const MEAN_MAX: f64 = 5.0;
const MOST_MAX: f64 = 20.0;

#[tokio::test]
async fn rungs_of_a_high_dynamic_range_have_the_colours_of_bt709() {
    let Some(ffmpeg) = clip::newer_ffmpeg() else { return };
    for (transfer, encoder) in [("smpte2084", HEVC), ("arib-std-b67", HEVC), ("smpte2084", AV1)] {
        let clip = bars(&ffmpeg, transfer, encoder);
        let record = &clip.packets[0];
        let said = media::codec::summary(record.codec, &record.payload).unwrap();
        assert_eq!(said.color.map(|color| (color.primaries, color.matrix)), Some((9, 9)));
        let (width, height) = (SIZE.0 as u32, SIZE.1 as u32);
        let rung = Config { bitrate_bps: 6_000_000, ..config(width, height) };
        let all = transcode(&clip, vec![rung]).await;
        let rung = packets(&all[0]);
        let said = media::codec::summary(rung[0].codec, &rung[0].payload).unwrap();
        let color = said.color.unwrap();
        assert_eq!((color.primaries, color.transfer, color.matrix), (1, 1, 1), "{transfer}");
        let ours = decoded(&ffmpeg, rung, "null");
        let theirs = decoded(&ffmpeg, &clip.packets, REFERENCE);
        let apart = distance(&ours, &theirs);
        println!("{transfer} {}: {apart:.2?}", encoder[1]);
        for (mean, most) in apart {
            assert!(mean < MEAN_MAX && most < MOST_MAX, "{transfer}: {apart:?}");
        }
        let untouched = decoded(&ffmpeg, &clip.packets, "null");
        assert!(distance(&ours, &untouched)[0].0 > 2.0 * MEAN_MAX, "{transfer}: it is far from what it was");
    }
}

#[tokio::test]
async fn rungs_of_other_codecs_are_ordinary_too() {
    let Some(ffmpeg) = clip::newer_ffmpeg() else { return };
    let clip = bars(&ffmpeg, "smpte2084", HEVC);
    for codec in [Codec::H265, Codec::Av1] {
        let all = transcode(&clip, vec![Config { codec, ..config(320, 180) }]).await;
        let rung = packets(&all[0]);
        let said = media::codec::summary(rung[0].codec, &rung[0].payload).unwrap();
        let color = said.color.unwrap();
        assert_eq!((color.primaries, color.transfer, color.matrix), (1, 1, 1), "{codec:?}");
    }
}

#[tokio::test]
async fn stills_of_a_high_dynamic_range_are_ordinary() {
    let Some(ffmpeg) = clip::newer_ffmpeg() else { return };
    let clip = bars(&ffmpeg, "smpte2084", HEVC);
    let first = clip.packets.iter().find(|packet| packet.flags.keyframe).unwrap();
    let keyframe = Keyframe {
        codec: first.codec,
        record: clip.packets[0].payload.clone(),
        payload: first.payload.clone(),
    };
    let made = still(&options().launch, 0, &keyframe, SIZE.0 as u32).await.unwrap();
    let file = tempfile_of(&made);
    let output = Command::new(&ffmpeg)
        .args(["-v", "error", "-f", "mjpeg", "-i"])
        .arg(&file)
        .args([
            "-vf",
            "scale=in_color_matrix=bt601:out_color_matrix=bt709:in_range=pc:out_range=tv",
            "-pix_fmt",
            "yuv420p",
        ])
        .args(["-f", "rawvideo", "pipe:1"])
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    let apart = distance(&output.stdout, &decoded(&ffmpeg, &clip.packets, REFERENCE));
    assert!(apart.iter().all(|(mean, most)| *mean < MEAN_MAX && *most < MOST_MAX), "{apart:?}");
}

fn tempfile_of(bytes: &[u8]) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("rushlight-still-{}.jpg", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    path
}
