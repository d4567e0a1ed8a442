//! Commands and what they carry (`RTMP` section 7.2).

use bytes::{BufMut, Bytes, BytesMut};

use crate::amf::{Object, Value, amf0};
use crate::{Error, limits, message};

/// A command message: name, transaction, command object, arguments.
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

impl Command {
    /// Reads the body of a message of type 17 or 20. What is missing behind the name reads as 0 and null.
    ///
    /// # Errors
    /// `Malformed` if it is no AMF or does not start with a name, `Violation` if it is over a limit.
    pub fn read(kind: u8, payload: &[u8]) -> Result<Self, Error> {
        if payload.len() > limits::COMMAND_BYTES_MAX {
            return Err(Error::Violation("command too large"));
        }
        let mut values = amf0::read_all(without_format_byte(kind, payload))?.into_iter();
        let Some(Value::String(name)) = values.next() else {
            return Err(Error::Malformed("command without a name"));
        };
        let transaction = values.next().and_then(|value| value.as_number()).unwrap_or(0.0);
        let object = values.next().unwrap_or(Value::Null);
        Ok(Self { name, transaction, object, args: values.collect() })
    }

    /// The argument at `index`, counted without the command object.
    pub fn arg(&self, index: usize) -> &Value {
        self.args.get(index).unwrap_or(&Value::Undefined)
    }
}

/// The values of a type 15 or 17 message start after one format byte, 0 (Errata 7.2). Some senders leave it out;
/// then the marker of the first value, a string, stands there.
fn without_format_byte(kind: u8, payload: &[u8]) -> &[u8] {
    match payload {
        [0, rest @ ..] if matches!(kind, message::COMMAND_AMF3 | message::DATA_AMF3) => rest,
        whole => whole,
    }
}

/// The body of a command message of type 20, or of type 17 with `amf3`. The values stay AMF0 in either.
pub(crate) fn body(amf3: bool, name: &str, transaction: f64, values: &[Value]) -> BytesMut {
    let mut out = BytesMut::with_capacity(128);
    if amf3 {
        out.put_u8(0);
    }
    amf0::write_str(&mut out, name);
    amf0::write_number(&mut out, transaction);
    for value in values {
        amf0::write(&mut out, value);
    }
    out
}

/// The body of a data message in AMF0.
pub(crate) fn data_body(values: &[Value]) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    for value in values {
        amf0::write(&mut out, value);
    }
    out.freeze()
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

impl Status {
    /// Reads an information object; what is missing stays empty.
    pub fn read(info: &Value) -> Self {
        let text = |key| info.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { level: text("level"), code: text("code"), description: text("description") }
    }
}

pub(crate) fn info(level: &str, code: &str, description: &str) -> Object {
    Object::new().with("level", level).with("code", code).with("description", description)
}

/// `capsEx` bit: understands a reconnect request.
pub const CAPS_RECONNECT: u8 = 1;
/// `capsEx` bit: understands several tracks in one message.
pub const CAPS_MULTITRACK: u8 = 2;
/// `capsEx` bit: understands ModEx.
pub const CAPS_MOD_EX: u8 = 4;
/// `capsEx` bit: understands the nanosecond offset of ModEx.
pub const CAPS_NANO_OFFSET: u8 = 8;

/// FourCC map bit: passes the codec on without decoding it.
pub const FOUR_CC_FORWARD: u8 = 4;

/// What a peer announces of Enhanced RTMP (E-RTMP v2 "Enhancing NetConnection connect Command").
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
    /// `videoFunction`: 1 client-side seek, 2 HDR, 4 metadata per packet, 8 tiles. Players of all ages send bit 1.
    pub video_function: u8,
}

impl Capabilities {
    /// Reads the object of a `connect` or of its answer. A peer may send the list, the maps, or both.
    pub fn read(object: &Value) -> Self {
        let map = |key| -> Vec<(String, u8)> {
            let entries = object.get(key).and_then(Value::as_object);
            let entries = entries.into_iter().flat_map(Object::iter);
            entries.map(|(four_cc, bits)| (four_cc.to_owned(), bits_of(Some(bits)))).collect()
        };
        let four_cc_list = match object.get("fourCcList") {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            // AMF0 libraries write arrays as associative ones, too; and one codec may come without an array.
            Some(Value::EcmaArray(list) | Value::Object(list)) => {
                list.iter().filter_map(|(_, value)| value.as_str()).map(str::to_owned).collect()
            }
            Some(Value::String(any)) => vec![any.clone()],
            _ => Vec::new(),
        };
        Self {
            four_cc_list,
            video_four_cc: map("videoFourCcInfoMap"),
            audio_four_cc: map("audioFourCcInfoMap"),
            caps_ex: bits_of(object.get("capsEx")),
            video_function: bits_of(object.get("videoFunction")),
        }
    }

    /// Whether the peer announced anything that only Enhanced RTMP knows.
    pub fn is_enhanced(&self) -> bool {
        !self.four_cc_list.is_empty()
            || !self.video_four_cc.is_empty()
            || !self.audio_four_cc.is_empty()
            || self.caps_ex != 0
    }

    /// Appends the properties that are set.
    pub(crate) fn put(&self, object: &mut Object) {
        if !self.four_cc_list.is_empty() {
            let list = self.four_cc_list.iter().map(|four_cc| Value::from(four_cc.as_str()));
            object.push("fourCcList", Value::Array(list.collect()));
        }
        for (key, map) in
            [("videoFourCcInfoMap", &self.video_four_cc), ("audioFourCcInfoMap", &self.audio_four_cc)]
        {
            if !map.is_empty() {
                let map = map
                    .iter()
                    .fold(Object::new(), |map, (four_cc, bits)| map.with(four_cc, u32::from(*bits)));
                object.push(key, map);
            }
        }
        if self.caps_ex != 0 {
            object.push("capsEx", u32::from(self.caps_ex));
        }
        if self.video_function != 0 {
            object.push("videoFunction", u32::from(self.video_function));
        }
    }
}

fn bits_of(value: Option<&Value>) -> u8 {
    // Out of range and not-a-number saturate, so a strange value cannot wrap into a capability.
    value.and_then(Value::as_number).map_or(0, |number| number as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_in_both_types() {
        let body = body(false, "play", 4.0, &[Value::Null, Value::from("cam"), Value::from(-2.0)]);
        let command = Command::read(message::COMMAND, &body).unwrap();
        assert_eq!((command.name.as_str(), command.transaction), ("play", 4.0));
        assert_eq!(command.args, [Value::from("cam"), Value::from(-2.0)]);
        let amf3 = super::body(true, "play", 4.0, &[Value::Null, Value::from("cam"), Value::from(-2.0)]);
        assert_eq!(Command::read(message::COMMAND_AMF3, &amf3), Ok(command.clone()));
        assert_eq!(
            Command::read(message::COMMAND_AMF3, &body),
            Ok(command),
            "the format byte may be missing"
        );
    }

    #[test]
    fn short_commands_are_filled_with_nothing() {
        let command = Command::read(message::COMMAND, b"\x02\0\x04ping").unwrap();
        assert_eq!(
            (command.transaction, &command.object, command.arg(0)),
            (0.0, &Value::Null, &Value::Undefined)
        );
        assert!(Command::read(message::COMMAND, b"").is_err());
        assert!(Command::read(message::COMMAND, b"\x05").is_err());
        assert!(Command::read(message::COMMAND, &vec![5; limits::COMMAND_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn capabilities_survive_the_wire() {
        let capabilities = Capabilities {
            four_cc_list: vec!["*".into()],
            video_four_cc: vec![("av01".into(), 4), ("hvc1".into(), 7)],
            audio_four_cc: vec![("*".into(), 4)],
            caps_ex: 15,
            video_function: 1,
        };
        let mut object = Object::new();
        capabilities.put(&mut object);
        assert_eq!(Capabilities::read(&Value::Object(object)), capabilities);
    }

    #[test]
    fn capabilities_take_strange_values() {
        let object =
            Object::new().with("capsEx", 1e9).with("fourCcList", "*").with("videoFunction", f64::NAN);
        let capabilities = Capabilities::read(&Value::Object(object));
        assert_eq!((capabilities.caps_ex, capabilities.video_function), (255, 0));
        assert_eq!(capabilities.four_cc_list, ["*"]);
        assert!(!Capabilities::read(&Value::Null).is_enhanced());
    }
}
