//! Sources that say that they are to be turned before they are shown.

use crate::clip::{self, Clip};
use crate::{config, options, packets, shown, transcode};
use bytes::BytesMut;
use engine::host::{Keyframe, still};
use media::Packet;
use media::container::flv;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A wide picture whose quarters are red, green, blue and gray, row by row.
const QUARTERS: &str = "color=red:size=640x360:rate=25:duration=1,drawbox=x=320:y=0:w=320:h=180:color=lime:t=fill,\
    drawbox=x=0:y=180:w=320:h=180:color=blue:t=fill,drawbox=x=320:y=180:w=320:h=180:color=gray:t=fill";

/// How a clip says that it is to be turned by ffmpeg's filter of H.264.
const QUARTER: &str = "h264_metadata=display_orientation=insert:rotate=90";

fn turned(ffmpeg: &Path, filter: &str) -> Clip {
    let encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bsf:v", filter];
    Clip::made_by(ffmpeg, QUARTERS, 25, &encoder)
}

/// The same as H.265, which ffmpeg has no such filter for: the message is put before the slices of each keyframe.
fn turned_hevc(ffmpeg: &Path) -> Clip {
    // H.265 sections 7.3.1.1, 7.3.5 and D.2.17: a prefix SEI of type 47 with 3 bytes, a quarter anticlockwise, until the next one.
    const MESSAGE: [u8; 12] = [0, 0, 0, 8, 0x4e, 0x01, 47, 3, 0x08, 0x00, 0x18, 0x80];
    let encoder =
        ["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x265-params", "log-level=none"];
    let mut clip = Clip::made_by(ffmpeg, QUARTERS, 25, &encoder);
    for packet in clip.packets.iter_mut().filter(|packet| packet.flags.keyframe) {
        packet.payload = [&MESSAGE, &packet.payload[..]].concat().into();
    }
    clip
}

/// Codes of luma and both chromas in the middle of each quarter of the first picture, as it is coded or as ffmpeg turns it.
fn quarters(
    ffmpeg: &Path,
    packets: &[&Packet],
    (width, height): (usize, usize),
    turns: bool,
) -> [[u8; 3]; 4] {
    let mut file = BytesMut::new();
    flv::write_file_header(false, true, &mut file);
    packets.iter().for_each(|packet| flv::write_tag(packet, &mut file));
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error"]);
    if !turns {
        command.arg("-noautorotate");
    }
    let scale = format!("scale={width}:{height}");
    let mut child = command
        .args(["-f", "flv", "-i", "pipe:0", "-frames:v", "1", "-vf", &scale])
        .args(["-pix_fmt", "yuv444p", "-f", "rawvideo", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || drop(input.write_all(&file)));
    let picture = child.wait_with_output().unwrap().stdout;
    writing.join().unwrap();
    assert_eq!(picture.len(), width * height * 3);
    [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| {
        let at = (y * height / 4) * width + x * width / 4;
        std::array::from_fn(|plane| picture[plane * width * height + at])
    })
}

fn is_near(a: [[u8; 3]; 4], b: [[u8; 3]; 4]) -> bool {
    a.iter().flatten().zip(b.iter().flatten()).all(|(a, b)| a.abs_diff(*b) <= 6)
}

#[tokio::test]
async fn rungs_come_upright_with_their_sides_swapped() {
    let Some(ffmpeg) = clip::newer_ffmpeg() else { return };
    let h264 =
        |turn: &str| turned(&ffmpeg, &format!("h264_metadata=display_orientation=insert:rotate={turn}"));
    for (filter, clip, size) in [
        ("a quarter", h264("90"), (180, 320)),
        ("three quarters", h264("270"), (180, 320)),
        ("a half", h264("180"), (320, 180)),
        ("a quarter and mirrored", h264("90:flip=horizontal"), (180, 320)),
        ("H.265", turned_hevc(&ffmpeg), (180, 320)),
    ] {
        let all = transcode(&clip, vec![config(320, 180)]).await;
        let rung = packets(&all[0]);
        let said = media::codec::summary(rung[0].codec, &rung[0].payload).unwrap();
        assert_eq!((said.width, said.height), (Some(size.0 as u32), Some(size.1 as u32)), "{filter}");
        assert_eq!(shown(rung.clone(), false), shown(&clip.packets, false), "{filter}");
        let configurations = rung.iter().filter(|packet| packet.role == media::Role::Config).count();
        assert_eq!(configurations, 1, "{filter}: what is said at a keyframe counts until the next");
        let ours = quarters(&ffmpeg, &rung, size, false);
        let source: Vec<_> = clip.packets.iter().collect();
        let theirs = quarters(&ffmpeg, &source, size, true);
        assert!(is_near(ours, theirs), "{filter}: {ours:?} {theirs:?}");
        assert!(!is_near(theirs, quarters(&ffmpeg, &source, size, false)), "{filter}: it turns");
    }
}

#[tokio::test]
async fn stills_come_upright() {
    let Some(ffmpeg) = clip::newer_ffmpeg() else { return };
    let clip = turned(&ffmpeg, QUARTER);
    let first = clip.packets.iter().find(|packet| packet.flags.keyframe).unwrap();
    let (record, payload) = (clip.packets[0].payload.clone(), first.payload.clone());
    let made =
        still(&options().launch, 0, &Keyframe { codec: first.codec, record, payload }, 1280).await.unwrap();
    assert_eq!(crate::still::size(&made), (360, 640));
}

#[tokio::test]
async fn a_phone_that_is_turned_while_it_streams_changes_the_size_of_a_rung_at_its_next_picture() {
    let Some(ffmpeg) = clip::newer_ffmpeg() else { return };
    let straight = turned(&ffmpeg, "null");
    let sideways = turned(&ffmpeg, QUARTER);
    let mut clip = Clip { packets: straight.packets.clone() };
    let shift = media::Time::from_nanos(1_000_000_000);
    clip.packets.extend(sideways.packets[1..].iter().map(|packet| {
        let later = |time: media::Time| media::Time::from_nanos(time.nanos() + shift.nanos());
        Packet { dts: later(packet.dts), pts: later(packet.pts), ..packet.clone() }
    }));
    let all = transcode(&clip, vec![config(320, 180)]).await;
    let rung = packets(&all[0]);
    let sizes: Vec<_> = rung
        .iter()
        .filter(|packet| packet.role == media::Role::Config)
        .filter_map(|packet| media::codec::summary(packet.codec, &packet.payload))
        .map(|said| (said.width.unwrap(), said.height.unwrap()))
        .collect();
    assert_eq!(sizes, [(320, 180), (180, 320)]);
    assert_eq!(shown(rung, false), shown(&clip.packets, false));
}
