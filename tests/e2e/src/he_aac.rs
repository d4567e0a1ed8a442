//! Clips with HE-AAC, which no ffmpeg here encodes: half of the sample rate is coded, and the upper half of the spectrum (and with
//! version 2 the second channel) is made from a few bits that go with it.
//!
//! The sound is in two files, six seconds of 1 kHz each: ISO/IEC 14496-3 with SBR, 44.1 kHz, two channels, 32 kbit/s, and with PS, too,
//! 16 kbit/s. They were made with the encoder of libfdk-aac 2.0 (the crate `fdk-aac` 0.8; `AudioObjectType::Mpeg4HeAac` and `Mpeg4HeAacV2`,
//! `Transport::Adts`), which is too much C++ to be built for twelve seconds of a tone.

use crate::clip;
use crate::flv::Reader;
use crate::process::{Scratch, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the tone is, in Hz.
pub const TONE_HZ: f64 = 1000.0;

/// With which bits HE-AAC says what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Not at all: the configuration is that of AAC LC at half the rate, and only who decodes finds more.
    Implicit,
    /// Behind the configuration of AAC LC, where old decoders do not look.
    Behind,
    /// In front, instead of AAC LC.
    InFront,
}

/// One kind of HE-AAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// 1, or 2 for parametric stereo.
    pub version: u8,
    /// How it is signalled.
    pub signal: Signal,
}

impl Kind {
    /// All that there are.
    pub fn all() -> impl Iterator<Item = Self> {
        let signals = [Signal::Implicit, Signal::Behind, Signal::InFront];
        [1, 2].into_iter().flat_map(move |version| signals.map(|signal| Self { version, signal }))
    }

    /// For names of channels and files.
    pub fn name(self) -> String {
        format!("he-aac-v{}-{:?}", self.version, self.signal).to_lowercase()
    }

    /// What ffprobe calls it.
    pub fn profile(self) -> &'static str {
        if self.version == 1 { "HE-AAC" } else { "HE-AACv2" }
    }

    /// The AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1): a core of 22.05 kHz, played at 44.1 kHz.
    pub fn config(self) -> &'static [u8] {
        match (self.version, self.signal) {
            (1, Signal::Implicit) => &[0x13, 0x90],
            (1, Signal::Behind) => &[0x13, 0x90, 0x56, 0xe5, 0xa0],
            (1, Signal::InFront) => &[0x2b, 0x92, 0x08, 0x00],
            (_, Signal::Implicit) => &[0x13, 0x88],
            (_, Signal::Behind) => &[0x13, 0x88, 0x56, 0xe5, 0xa5, 0x48, 0x80],
            (_, Signal::InFront) => &[0xeb, 0x8a, 0x08, 0x00],
        }
    }
}

/// Six seconds of H.264 (640x360, a keyframe each second) and the tone, as FLV.
///
/// # Errors
/// The sentence with which the test is skipped.
pub fn clip(ffmpeg: &Path, kind: Kind) -> Result<PathBuf, String> {
    let picture = clip::h264_aac(ffmpeg)?;
    let sound = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("sounds/he-aac-v{}.aac", kind.version));
    let recipe = format!("{} {kind:?} {:02x?}", picture.display(), kind.config());
    clip::cached(&format!("{}.flv", kind.name()), &recipe, |out| {
        let scratch = Scratch::new();
        let joined = scratch.file("joined.flv");
        let mut command = Command::new(ffmpeg);
        command.args(["-v", "error", "-i"]).arg(&picture).arg("-i").arg(&sound);
        command.args(["-map", "0:v", "-map", "1:a", "-c", "copy", "-t", "6", "-f", "flv"]).arg(&joined);
        let told = run(&mut command)?;
        let bytes = fs::read(&joined).map_err(|error| error.to_string())?;
        fs::write(out, with_config(&bytes, kind.config())?).map_err(|error| error.to_string())?;
        Ok(told)
    })
}

/// An FLV file with another AudioSpecificConfig.
fn with_config(flv: &[u8], config: &[u8]) -> Result<Vec<u8>, String> {
    const FILE_HEADER_BYTES: usize = 13;
    let mut out = flv[..FILE_HEADER_BYTES].to_vec();
    let mut reader = Reader::new(flv).map_err(|error| error.to_string())?;
    while let Ok(mut tag) = reader.tag() {
        if tag.kind == 8 && tag.is_config() {
            tag.body.splice(2.., config.iter().copied());
        }
        let size = u32::try_from(tag.body.len()).map_err(|error| error.to_string())?;
        out.push(tag.kind);
        out.extend(&size.to_be_bytes()[1..]);
        let [high, a, b, c] = tag.timestamp.to_be_bytes();
        out.extend([a, b, c, high, 0, 0, 0]);
        out.extend(tag.body);
        out.extend((size + 11).to_be_bytes());
    }
    Ok(out)
}

/// What was heard behind a URL or in a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    /// The pitch of the tone, in Hz.
    pub hz: f64,
    /// How long it lasted, by samples, in a span of media time that was asked for, as a part of that.
    pub speed: f64,
}

/// Decodes the first sound of `input` for `seconds` of media time.
///
/// # Errors
/// What ffmpeg says if it cannot.
pub fn listen(ffmpeg: &Path, input: &str, seconds: u32) -> Result<Heard, String> {
    const RATE: u32 = 48_000;
    let scratch = Scratch::new();
    let file = scratch.file("samples");
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error", "-t", &seconds.to_string(), "-i", input, "-map", "0:a:0", "-ac", "1"]);
    command.args(["-ar", &RATE.to_string(), "-f", "s16le"]).arg(&file);
    run(&mut command)?;
    let bytes = fs::read(&file).map_err(|error| error.to_string())?;
    let samples: Vec<_> =
        bytes.chunks_exact(2).map(|pair| i32::from(i16::from_le_bytes([pair[0], pair[1]]))).collect();
    // Where it begins and ends decoders fade.
    let edge = samples.len() / 8;
    let middle = samples.get(edge..samples.len() - edge).unwrap_or_default();
    // A wave begins where it rises from well below zero to well above it.
    let (mut waves, mut was_low) = (Vec::new(), false);
    for (at, sample) in middle.iter().enumerate() {
        match sample {
            ..-2000 => was_low = true,
            2000.. if std::mem::take(&mut was_low) => waves.push(at),
            _ => {}
        }
    }
    let mut lengths: Vec<_> = waves.windows(2).map(|pair| pair[1] - pair[0]).collect();
    lengths.sort_unstable();
    let median = lengths.get(lengths.len() / 2).copied().unwrap_or_default();
    // Where a clip that is looped begins again there is no whole wave.
    lengths.retain(|length| length.abs_diff(median) * 4 <= median);
    let hz = (lengths.len() * RATE as usize) as f64 / lengths.iter().sum::<usize>().max(1) as f64;
    Ok(Heard { hz, speed: samples.len() as f64 / f64::from(RATE * seconds) })
}
