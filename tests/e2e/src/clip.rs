//! Short clips, generated once and kept beside the build.

use crate::process::{profile_dir, run};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// How long an ordinary clip lasts, in seconds.
pub const SECONDS: u32 = 8;

const PICTURE: &str = "testsrc2=size=640x360:rate=25";
const LARGE_PICTURE: &str = "testsrc2=size=1280x720:rate=25";
const SMALL_PICTURE: &str = "testsrc2=size=320x180:rate=25";
const HDR_PICTURE: &str = "smptehdbars=size=1280x720:rate=25,format=yuv420p,zscale=pin=bt709:tin=bt709:min=bt709:rin=tv:\
    p=bt2020:t=smpte2084:m=bt2020nc:r=tv:npl=1000";
const SOUND: &str = "sine=frequency=440:sample_rate=44100";
const OTHER_SOUND: &str = "sine=frequency=880:sample_rate=48000";

// Encoder arguments; `@` stands for the track (`v:0`, `a:1`). All pictures have a keyframe each second, H.264 has B-frames.
const H264: &str = "-c:@ libx264 -preset:@ veryfast -g:@ 25 -keyint_min:@ 25 -sc_threshold:@ 0 -bf:@ 2 -pix_fmt:@ yuv420p -b:@ 600k";
const H264_HEAVY: &str = "-c:@ libx264 -preset:@ ultrafast -g:@ 25 -sc_threshold:@ 0 -pix_fmt:@ yuv420p \
    -b:@ 16M -maxrate:@ 16M -bufsize:@ 4M";
const H264_FAST: &str = "-c:@ libx264 -preset:@ ultrafast -g:@ 25 -keyint_min:@ 25 -sc_threshold:@ 0 -bf:@ 2 -pix_fmt:@ yuv420p \
    -b:@ 2M";
const HEVC: &str =
    "-c:@ libx265 -preset:@ ultrafast -x265-params:@ keyint=25:log-level=error -pix_fmt:@ yuv420p";
const HEVC_PQ: &str = "-c:@ libx265 -preset:@ ultrafast -x265-params:@ keyint=25:log-level=error -pix_fmt:@ yuv420p10le \
    -color_primaries:@ bt2020 -color_trc:@ smpte2084 -colorspace:@ bt2020nc";
const AV1: &str = "-c:@ libsvtav1 -preset:@ 12 -g:@ 25 -pix_fmt:@ yuv420p";
const VP9: &str = "-c:@ libvpx-vp9 -deadline:@ realtime -cpu-used:@ 8 -g:@ 25 -b:@ 300k -pix_fmt:@ yuv420p";
const AAC: &str = "-c:@ aac -b:@ 96k";
const OPUS: &str = "-c:@ libopus";
const FLAC: &str = "-c:@ flac";
const AC3: &str = "-c:@ ac3";

/// The clip that most tests use: H.264 (640x360, 25 fps, B-frames, a keyframe each second) and AAC, as FLV.
///
/// # Errors
/// The sentence with which the test is skipped.
pub fn h264_aac(ffmpeg: &Path) -> Result<PathBuf, String> {
    encode(ffmpeg, "h264-aac.flv", &[PICTURE], &[SOUND], &[H264, AAC], SECONDS)
}

/// H.264 at about 16 Mbit/s, to fill buffers with.
///
/// # Errors
/// The sentence with which the test is skipped.
pub fn heavy(ffmpeg: &Path) -> Result<PathBuf, String> {
    let noise = "testsrc2=size=640x360:rate=25,noise=alls=60:allf=t";
    encode(ffmpeg, "heavy.flv", &[noise], &[SOUND], &[H264_HEAVY, AAC], 4)
}

/// A picture and a sound, as ffmpeg calls their sources: H.264 with a keyframe each second, and AAC, as FLV.
///
/// # Errors
/// The sentence with which the test is skipped.
pub fn of(ffmpeg: &Path, name: &str, picture: &str, sound: &str) -> Result<PathBuf, String> {
    encode(ffmpeg, name, &[picture], &[sound], &[H264, AAC], SECONDS)
}

/// Pictures that are large enough for rungs: H.264 (1280x720, 25 fps, B-frames, a keyframe each second) and AAC, as FLV.
///
/// # Errors
/// The sentence with which the test is skipped.
pub fn large(ffmpeg: &Path) -> Result<PathBuf, String> {
    encode(ffmpeg, "large.flv", &[LARGE_PICTURE], &[SOUND], &[H264_FAST, AAC], SECONDS)
}

/// Pictures as in [`large`], and sound that not everything plays: it is encoded by `encoder`, and has eight channels if that can.
///
/// # Errors
/// The sentence with which the test is skipped.
pub fn large_with_sound(ffmpeg: &Path, name: &str, encoder: &str) -> Result<PathBuf, String> {
    encode(ffmpeg, name, &[LARGE_PICTURE], &[SOUND], &[H264_FAST, encoder], SECONDS)
}

/// Pictures of a high dynamic range (PQ, BT.2020, 10 bits) that are large enough for rungs: H.265 (1280x720) and AAC, as FLV.
///
/// # Errors
/// The sentence with which the test is skipped.
pub fn hdr(ffmpeg9: &Path) -> Result<PathBuf, String> {
    encode(ffmpeg9, "hdr.flv", &[HDR_PICTURE], &[SOUND], &[HEVC_PQ, AAC], SECONDS)
}

/// A tenth of a second of white on black and of sound in silence, at each second: H.264 (1280x720) and AAC, as FLV.
///
/// # Errors
/// The sentence with which the test is skipped.
pub fn beep_and_flash(ffmpeg: &Path) -> Result<PathBuf, String> {
    let picture =
        "color=black:size=1280x720:rate=25,drawbox=color=white:t=fill:enable='between(mod(t,1),0.48,0.59)'";
    let sound = "aevalsrc='if(between(mod(t,1),0.48,0.6),0.7*sin(2*PI*1000*t),0)':s=44100";
    encode(ffmpeg, "beep-and-flash.flv", &[picture], &[sound], &[H264_FAST, AAC], SECONDS)
}

/// The layouts of Enhanced RTMP that ffmpeg 9 writes. Encoded by `ffmpeg`, put into FLV by `ffmpeg9`.
///
/// # Errors
/// The sentence with which the test is skipped.
pub fn enhanced(ffmpeg: &Path, ffmpeg9: &Path, layout: Layout) -> Result<PathBuf, String> {
    let (name, pictures, sounds, coders): (_, &[&str], &[&str], &[&str]) = match layout {
        Layout::HevcAac => ("hevc-aac", &[SMALL_PICTURE], &[SOUND], &[HEVC, AAC]),
        Layout::Av1Opus => ("av1-opus", &[SMALL_PICTURE], &[OTHER_SOUND], &[AV1, OPUS]),
        Layout::Vp9Flac => ("vp9-flac", &[SMALL_PICTURE], &[SOUND], &[VP9, FLAC]),
        Layout::H264Ac3 => ("h264-ac3", &[SMALL_PICTURE], &[OTHER_SOUND], &[H264, AC3]),
        Layout::TwoOfEach => {
            ("two-of-each", &[PICTURE, SMALL_PICTURE], &[SOUND, OTHER_SOUND], &[H264, H264, AAC, AAC])
        }
        Layout::FourCodecs => {
            ("four-codecs", &[PICTURE, SMALL_PICTURE], &[SOUND, OTHER_SOUND], &[H264, HEVC, AAC, OPUS])
        }
    };
    let encoded = encode(ffmpeg, &format!("{name}.mkv"), pictures, sounds, coders, SECONDS)?;
    cached(&format!("{name}.flv"), &format!("{} {layout:?}", encoded.display()), |out| {
        run(Command::new(ffmpeg9)
            .args(["-v", "error", "-y", "-i"])
            .arg(&encoded)
            .args(["-map", "0", "-c", "copy", "-f", "flv"])
            .arg(out))
    })
}

/// Which codecs and tracks a clip has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// HEVC and AAC.
    HevcAac,
    /// AV1 and Opus.
    Av1Opus,
    /// VP9 and FLAC.
    Vp9Flac,
    /// H.264 and AC-3.
    H264Ac3,
    /// Two H.264 tracks of different size and two AAC tracks.
    TwoOfEach,
    /// H.264 and HEVC, AAC and Opus.
    FourCodecs,
}

fn encode(
    ffmpeg: &Path,
    name: &str,
    pictures: &[&str],
    sounds: &[&str],
    coders: &[&str],
    seconds: u32,
) -> Result<PathBuf, String> {
    let mut arguments: Vec<String> = ["-v", "error", "-y"].map(str::to_owned).to_vec();
    for source in pictures.iter().chain(sounds) {
        arguments.extend(["-f", "lavfi", "-t", &seconds.to_string(), "-i", source].map(str::to_owned));
    }
    for (index, coder) in coders.iter().enumerate() {
        let track = match index.checked_sub(pictures.len()) {
            None => format!("v:{index}"),
            Some(sound) => format!("a:{sound}"),
        };
        arguments.extend(["-map".into(), index.to_string()]);
        arguments.extend(coder.replace('@', &track).split_whitespace().map(str::to_owned));
    }
    cached(name, &arguments.join(" "), |out| run(Command::new(ffmpeg).args(&arguments).arg(out)))
}

/// The file `make` writes, made once per recipe. Tests in other processes wait for the one that makes it.
pub(crate) fn cached(
    name: &str,
    recipe: &str,
    make: impl FnOnce(&Path) -> Result<String, String>,
) -> Result<PathBuf, String> {
    let mut hasher = DefaultHasher::new();
    recipe.hash(&mut hasher);
    let folder = profile_dir().join("../tmp/e2e-clips");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let folder = folder.canonicalize().map_err(|error| error.to_string())?;
    let path = folder.join(format!("{:016x}-{name}", hasher.finish()));
    let lock = File::create(path.with_extension("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    if !path.exists() {
        let unfinished = folder.join(format!("unfinished-{:016x}-{name}", hasher.finish()));
        make(&unfinished).map_err(|error| format!("the clip {name} cannot be made: {error}"))?;
        fs::rename(&unfinished, &path).map_err(|error| error.to_string())?;
    }
    Ok(path)
}
