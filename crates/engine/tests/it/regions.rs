//! Parts of pictures that people look at, kept sharper than the rest.

use crate::clip::{self, Clip};
use crate::{config, transcode};
use bytes::BytesMut;
use engine::encode::{Backend, Codec, Config, Preset};
use engine::host::Output;
use engine::rate::{Point, bd_rate};
use media::Role;
use media::container::flv;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const WIDTH: usize = 480;
const HEIGHT: usize = 270;

/// A photograph of a face that sways before a pattern that moves.
fn portrait() -> Clip {
    let photo = "../vision/tests/astronaut-160x160.i420";
    let source = format!(
        "mandelbrot=size={WIDTH}x{HEIGHT}:rate=25,noise=alls=24:allf=t[pattern];\
         movie=filename={photo}:format_name=rawvideo:format_opts=video_size=160x160\\\\:pixel_format=yuv420p,\
         loop=-1:1,setpts=N/25/TB,scale=240:240:flags=lanczos[photo];\
         [pattern][photo]overlay=x='120+8*sin(t*3)':y='15+4*sin(t*2)',trim=duration=4"
    );
    let encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "8", "-pix_fmt", "yuv420p"];
    Clip::made_by(Path::new("ffmpeg"), &source, 25, &encoder)
}

fn bytes(outputs: &[Output]) -> usize {
    let frames = crate::packets(outputs).into_iter().filter(|packet| packet.role == Role::Frame);
    frames.map(|packet| packet.payload.len()).sum()
}

/// The luma of all pictures, as ffmpeg decodes them.
fn lumas<'a>(ffmpeg: &Path, packets: impl IntoIterator<Item = &'a media::Packet>) -> Vec<Vec<u8>> {
    let mut file = BytesMut::new();
    flv::write_file_header(false, true, &mut file);
    packets.into_iter().for_each(|packet| flv::write_tag(packet, &mut file));
    let mut ffmpeg = Command::new(ffmpeg)
        .args(["-v", "error", "-f", "flv", "-i", "-"])
        .args(["-pix_fmt", "gray", "-color_range", "tv", "-f", "rawvideo", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = ffmpeg.stdin.take().unwrap();
    let writing = std::thread::spawn(move || stdin.write_all(&file).unwrap());
    let samples = ffmpeg.wait_with_output().unwrap().stdout;
    writing.join().unwrap();
    samples.chunks_exact(WIDTH * HEIGHT).map(<[u8]>::to_vec).collect()
}

/// Signal to noise in dB of the part of pictures where the face is all the time.
fn of_face(reference: &[Vec<u8>], made: &[Vec<u8>]) -> f64 {
    assert_eq!(reference.len(), made.len());
    // Left, right, top, bottom.
    const FACE: [usize; 4] = [214, 266, 73, 134];
    let rows = |luma: &[u8]| -> Vec<u8> {
        luma.chunks(WIDTH)
            .take(FACE[3])
            .skip(FACE[2])
            .flat_map(|row| row[FACE[0]..FACE[1]].to_vec())
            .collect()
    };
    let (mut squares, mut samples) = (0.0, 0.0);
    for (reference, made) in reference.iter().zip(made) {
        for (a, b) in rows(reference).into_iter().zip(rows(made)) {
            squares += f64::from(a.abs_diff(b)).powi(2);
            samples += 1.0;
        }
    }
    10.0 * (255.0_f64.powi(2) / (squares / samples)).log10()
}

fn fine(quality: f32, regions: bool) -> Config {
    Config {
        quality: Some(quality),
        bitrate_bps: 20_000_000,
        preset: Preset::Superfast,
        b_frames: 0,
        regions,
        ..config(WIDTH as u32, HEIGHT as u32)
    }
}

#[tokio::test]
async fn a_face_that_is_as_sharp_takes_fewer_bits() {
    let clip = portrait();
    let reference = lumas(Path::new("ffmpeg"), &clip.packets);
    let newer = clip::newer_ffmpeg().map(|ffmpeg| (Codec::H265, ffmpeg));
    for (codec, ffmpeg) in std::iter::once((Codec::H264, "ffmpeg".into())).chain(newer) {
        let qualities = [26.0, 30.0, 34.0];
        let configs = [false, true]
            .into_iter()
            .flat_map(|regions| qualities.map(|quality| Config { codec, ..fine(quality, regions) }));
        let made = transcode(&clip, configs.collect()).await;
        let points: Vec<_> = made
            .iter()
            .map(|outputs| {
                let quality = of_face(&reference, &lumas(&ffmpeg, crate::packets(outputs)));
                Point { bps: bytes(outputs) as f64, quality }
            })
            .collect();
        println!("{codec:?}: {points:.2?}");
        let (without, with) = points.split_at(qualities.len());
        let rate = bd_rate(without, with).unwrap();
        assert!(rate < -0.1, "{codec:?}: {rate:+.3} of the bits");
    }
}

#[tokio::test]
async fn encoders_that_cannot_and_pictures_without_faces_are_as_before() {
    let encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];
    let plain = Clip::made_by(Path::new("ffmpeg"), "gradients=size=480x270:rate=25:duration=3", 25, &encoder);
    let svt = Config { codec: Codec::Av1, backend: Some(Backend::SvtAv1), ..fine(40.0, true) };
    let portrait = portrait();
    for (clip, config) in [(&plain, fine(30.0, true)), (&portrait, svt)] {
        let without = Config { regions: false, ..config.clone() };
        let made = transcode(clip, vec![config, without]).await;
        assert!(bytes(&made[0]) > 0);
        assert_eq!(bytes(&made[0]), bytes(&made[1]));
    }
}
