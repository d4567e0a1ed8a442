//! Commands and what they carry.

use crate::amf::Value;

/// A command message (`RTMP` section 7.2): name, transaction, command object, arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// For example `connect`, `_result`, `onStatus`.
    pub name: String,
    /// Matches an answer with its question; 0 asks for none.
    pub transaction: f64,
    /// The command object; null for most commands.
    pub object: Value,
    /// What follows the command object.
    pub args: Vec<Value>,
}

/// The information object of `onStatus`, `_result` and `_error`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// `status`, `warning` or `error`.
    pub level: String,
    /// For example `NetStream.Play.Start`.
    pub code: String,
    /// For people.
    pub description: String,
}

/// What a peer announced of Enhanced RTMP in its `connect` (E-RTMP v2 "Enhancing NetConnection connect Command").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// `fourCcList`: codecs it takes; `*` is any.
    pub four_cc_list: Vec<String>,
    /// `videoFourCcInfoMap`: FourCC and bits (1 decodes, 2 encodes, 4 forwards).
    pub video_four_cc: Vec<(String, u8)>,
    /// `audioFourCcInfoMap`: FourCC and bits.
    pub audio_four_cc: Vec<(String, u8)>,
    /// `capsEx`: 1 reconnect, 2 multitrack, 4 ModEx, 8 nanosecond offset.
    pub caps_ex: u8,
    /// `videoFunction`: 1 client-side seek, 2 HDR, 4 metadata per packet, 8 tiles.
    pub video_function: u8,
}
