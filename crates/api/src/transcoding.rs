//! Rungs: smaller versions of channels, made while somebody watches them.

use serde::{Deserialize, Serialize};

/// A rung that a channel has, whether or not it is made at this moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rung {
    /// What it is called: `480p`.
    pub name: String,
    /// The stream to play: `live/cam~480p`.
    pub stream: String,
    /// `h264`, `h265` or `av1`.
    pub codec: String,
    /// The codec as in a MIME type (RFC 6381).
    pub mime: String,
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Frames per second; absent while those of the channel are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// Of its pictures at most, in bits per second.
    pub bitrate_bps: u64,
    /// `aac` or `opus`, where sound is encoded for it; absent where it is that of the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<String>,
}

/// All rungs that are made now, and what they take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transcoding {
    /// Processor cores that they take, with decoding.
    pub cores: f64,
    /// Processor cores that they may take.
    pub cores_max: f64,
    /// Graphics cards that were looked for at the start, those that rungs prefer first. Empty where `transcode.backends` names others, or
    /// the machine has none.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// The same to decode with, and the processor beside them. Empty where `transcode.decoders` names others, or the machine has none.
    #[serde(default)]
    pub decoders: Vec<DecodingDevice>,
    /// Those that run, by stream.
    pub rungs: Vec<RunningRung>,
    /// Those that somebody asked for lately and that could not be made.
    pub refused: Vec<RefusedRung>,
}

/// What a test of a graphics card has shown, for one codec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// `nvenc`, `vaapi`, ...
    pub backend: String,
    /// `h264`, `h265` or `av1`.
    pub codec: String,
    /// Whether rungs are encoded by it: it works, and is fast enough.
    pub used: bool,
    /// Whether it has failed lately, and is left alone for a while.
    pub resting: bool,
    /// Pictures of 1280x720 that it encodes in a second; absent where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames_per_second: Option<f64>,
    /// Why it does not encode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a test of a decoder has shown, for one codec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecodingDevice {
    /// `nvdec`, `vaapi`, ..., or `software`: the processor.
    pub backend: String,
    /// `h264`, `h265` or `av1`.
    pub codec: String,
    /// Whether it is a device that decodes streams: it gives the pictures that the processor gives, is fast enough, and takes less of the
    /// processor.
    pub used: bool,
    /// Whether it has failed lately, and is left alone for a while.
    pub resting: bool,
    /// Pictures of 1272x714 that it decodes in a second; absent where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames_per_second: Option<f64>,
    /// Time of the processor that a picture takes, in milliseconds; absent where it does not decode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor_ms_per_picture: Option<f64>,
    /// Why it does not decode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A rung that is made now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningRung {
    /// What it is, and where it is played.
    #[serde(flatten)]
    pub rung: Rung,
    /// Whether there are pictures of it already.
    pub live: bool,
    /// How long ago somebody asked for it.
    pub uptime_ms: u64,
    /// Players attached now.
    pub viewers: u64,
    /// Who encodes: `x264`, ...; absent until that is known.
    pub backend: Option<String>,
    /// Who decodes its stream: `software`, `nvdec`, ...; absent while nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<String>,
    /// Frames per second that come out, measured.
    pub frames_per_second: f64,
    /// Processor cores that it takes: estimated, then measured.
    pub cores: f64,
    /// Frames that came out.
    pub frames: u64,
    /// Frames that were left out because its encoder does not keep up.
    pub dropped_frames: u64,
    /// How often its encoder failed and was replaced.
    pub restarts: u64,
    /// What VMAF would say of its pictures, about, 0 to 100; absent until they were looked at, and of rungs that have no such goal.
    pub vmaf: Option<f64>,
    /// The constant quality that it has come to for that, as a number of the codec.
    pub quality: Option<f64>,
    /// What was wrong with it last.
    pub error: Option<String>,
}

/// A rung that could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedRung {
    /// The stream that was asked for.
    pub stream: String,
    /// Why there is none, for people.
    pub why: String,
}

/// A channel in all its sizes, as players of LAS read it (Live Adaptive Streaming, "media presentation description"): one FLV
/// stream for each, of which `startPts` names the keyframe to begin with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LasManifest {
    /// Of the description: `1.0.0`.
    pub version: String,
    /// One.
    pub adaptation_set: Vec<LasAdaptationSet>,
}

/// Streams that a player may change between.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LasAdaptationSet {
    /// Its number.
    pub id: u32,
    /// Time between keyframes in milliseconds.
    pub duration: u64,
    /// The streams, largest first.
    pub representation: Vec<LasRepresentation>,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LasRepresentation {
    /// Its number.
    pub id: u32,
    /// Codecs as in a MIME type.
    pub codec: String,
    /// Where it is, as a path of this server with what admits the asker.
    pub url: String,
    /// None.
    pub backup_url: Vec<String>,
    /// In kilobits per second.
    pub max_bitrate: u64,
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Frames per second, rounded.
    pub frame_rate: u32,
    /// What it is called: `480p`, or `source`.
    pub quality_type: String,
    /// The same for people.
    pub quality_type_name: String,
    /// Whether players leave it out of their list.
    pub hidden: bool,
    /// Whether players begin with it.
    pub default_select: bool,
}
