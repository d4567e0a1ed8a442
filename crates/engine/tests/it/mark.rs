//! Marks over the pictures of a rung.

use crate::clip::Clip;
use crate::{collect, config, options, packets, publish, transcode};
use bytes::{Bytes, BytesMut};
use engine::encode::Config;
use engine::host::{Output, Transcoder};
use engine::mark::{Align, Drawing, File, Mark, Marks, Place};
use media::container::flv;
use std::io::Write;
use std::process::{Command, Stdio};

const WIDTH: usize = 320;
const HEIGHT: usize = 180;

/// A PNG file: red on the left, nothing on the right.
fn logo() -> Bytes {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "color=red:size=80x40"])
        .args(["-vf", "format=rgba,geq=r=255:g=0:b=0:a='if(lt(X,40),255,0)'", "-frames:v", "1"])
        .args(["-c:v", "png", "-f", "image2pipe", "-"])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is there: see tools/install.sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.into()
}

fn image(file: Bytes) -> Mark {
    let place = Place { across: Align::End, down: Align::Start };
    Mark { drawing: Drawing::Image(File(file)), place, margin: 0.1, height: 0.2, opacity: 1.0 }
}

/// As near to the pictures as can be, so that marks are what differs.
fn fine(marks: Vec<Mark>) -> Config {
    let config = config(WIDTH as u32, HEIGHT as u32);
    Config { quality: Some(6.0), bitrate_bps: 20_000_000, marks: Marks::new(marks), ..config }
}

/// The pictures of a rung as ffmpeg decodes them: I420.
fn decode(outputs: &[Output]) -> Vec<Vec<u8>> {
    let mut file = BytesMut::new();
    flv::write_file_header(false, true, &mut file);
    packets(outputs).iter().for_each(|packet| flv::write_tag(packet, &mut file));
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "flv", "-i", "-", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = ffmpeg.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&file).unwrap());
    let samples = ffmpeg.wait_with_output().unwrap().stdout;
    writer.join().unwrap();
    samples.chunks_exact(WIDTH * HEIGHT * 3 / 2).map(<[u8]>::to_vec).collect()
}

fn near(sample: u8, expected: u8) -> bool {
    sample.abs_diff(expected) <= 6
}

#[tokio::test]
async fn a_logo_is_in_its_place_and_nothing_else_is_changed() {
    let clip = Clip::new("640x360", 25, 1, &["-c:v", "libx264", "-preset", "ultrafast"]);
    let all = transcode(&clip, vec![fine(Vec::new()), fine(vec![image(logo())])]).await;
    let (plain, marked) = (decode(&all[0]), decode(&all[1]));
    assert_eq!((plain.len(), marked.len()), (25, 25));
    // A fifth of the height, twice as wide, a tenth from the corner: 72x36 at 230,18, of which the left half is to be seen.
    let (left, right, top, bottom) = (230, 266, 18, 54);
    for (plain, marked) in plain.iter().zip(&marked) {
        for (x, y) in [(left + 4, top + 4), (right - 6, bottom - 6), ((left + right) / 2, (top + bottom) / 2)]
        {
            let chroma = WIDTH * HEIGHT + y / 2 * (WIDTH / 2) + x / 2;
            let red = (marked[y * WIDTH + x], marked[chroma], marked[chroma + WIDTH * HEIGHT / 4]);
            assert!(near(red.0, 81) && near(red.1, 90) && near(red.2, 240), "{red:?} at {x},{y}");
        }
        let outside = (0..WIDTH * HEIGHT).filter(|at| {
            let (x, y) = (at % WIDTH, at / WIDTH);
            !((left - 8..right + 8).contains(&x) && (top - 8..bottom + 8).contains(&y))
        });
        let (mut squares, mut count) = (0.0, 0.0);
        for at in outside {
            squares += f64::from(plain[at].abs_diff(marked[at])).powi(2);
            count += 1.0;
        }
        let psnr = 10.0 * (255.0 * 255.0 / (squares / count + 1e-9)).log10();
        assert!(psnr > 42.0, "{psnr:.1} dB");
    }
}

#[tokio::test]
async fn a_rung_whose_mark_is_broken_is_not_made_without_it() {
    let clip = Clip::new("320x180", 25, 1, &["-c:v", "libx264", "-preset", "ultrafast"]);
    let mut broken = logo().to_vec();
    broken.truncate(60);
    let (transcoder, inlet) = Transcoder::start(options());
    let mut outlet = transcoder.add(fine(vec![image(broken.into())]));
    let other = transcoder.add(fine(Vec::new()));
    let publisher = tokio::spawn(async move { publish(inlet, &clip).await });
    let other = tokio::spawn(collect(other));
    while let Some(output) = outlet.next().await {
        assert!(matches!(output, Output::Replaced { .. }), "{output:?}");
    }
    let why = outlet.usage().error.unwrap();
    assert!(why.contains("watermark"), "{why}");
    publisher.await.unwrap();
    assert_eq!(packets(&other.await.unwrap()).len(), 26, "others go on");
}
