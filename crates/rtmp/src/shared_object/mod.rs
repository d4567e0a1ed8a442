//! Shared objects (`RTMP` section 7.1.4): messages of type 19, and of type 16 from clients that use AMF3.
//!
//! A shared object is a set of named values that the server holds and that all clients who use it see change. The text
//! numbers the events; how they look is known from the programs that speak them. Strings without a marker have a length of 2
//! bytes, like the keys of AMF0 objects.
//!
//! ```text
//! message  [0]  name version:u32 persistence:u32 0:u32 event*        the first byte in type 16 only
//! event    type:u8 size:u32 data
//! ```
//!
//! | type | event | from | data |
//! |---|---|---|---|
//! | 1 | use | client | none |
//! | 2 | release | client | none |
//! | 3 | request change | client | name, AMF value |
//! | 4 | change | server | name, AMF value; may be repeated |
//! | 5 | success | server | name |
//! | 6 | send message | both | AMF string, AMF values |
//! | 7 | status | server | code, level |
//! | 8 | clear | server | none |
//! | 9 | remove | server | name |
//! | 10 | request remove | client | name |
//! | 11 | use success | server | none |
//!
//! AMF values are in AMF0, also in type 16, where the marker `11` may switch a value to AMF3.

use bytes::{BufMut, BytesMut};
use wire::Reader;

use crate::amf::{Value, amf0, amf3, cut};
use crate::{Error, limits, message};

const PERSISTENT: u32 = 2;

/// What one message says of one object.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message {
    /// The object.
    pub name: String,
    /// How often it was changed: as the server counts, or as far as the client knows.
    pub version: u32,
    /// Whether it is to outlive the program. The party that asks for an object says so each time.
    pub persistent: bool,
    /// What happens, in order.
    pub events: Vec<Event>,
}

/// Something that a client wants to happen to an object, or that has happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The client wants to see the object.
    Use,
    /// The client no longer wants to.
    Release,
    /// The client sets a value.
    RequestChange {
        /// Its name.
        name: String,
        /// What it becomes.
        value: Value,
    },
    /// A value was set.
    Change {
        /// Its name.
        name: String,
        /// What it is now.
        value: Value,
    },
    /// The value that this client has set is accepted.
    Success {
        /// Its name; some servers leave it out.
        name: String,
    },
    /// Calls a function in all clients that use the object.
    Send {
        /// The name of the function, then its arguments.
        values: Vec<Value>,
    },
    /// Something is not possible.
    Status {
        /// For example `SharedObject.NoWriteAccess`.
        code: String,
        /// `error`, for all codes that are known.
        level: String,
    },
    /// All values are gone.
    Clear,
    /// A value is gone.
    Remove {
        /// Its name.
        name: String,
    },
    /// The client removes a value.
    RequestRemove {
        /// Its name.
        name: String,
    },
    /// The client sees the object from now on.
    UseSuccess,
    /// Any other type.
    Other(u8),
}

impl Message {
    /// A message about the temporary object `name`.
    pub fn new(name: &str, version: u32, events: Vec<Event>) -> Self {
        Self { name: name.to_owned(), version, persistent: false, events }
    }

    /// Reads the body of a message of type 16 or 19.
    ///
    /// # Errors
    /// `Malformed` if it ends early or its values are no AMF, `Violation` if it is over a limit.
    pub fn read(kind: u8, payload: &[u8]) -> Result<Self, Error> {
        if payload.len() > limits::SHARED_OBJECT_BYTES_MAX {
            return Err(Error::Violation("shared object message too large"));
        }
        let mut reader = Reader::new(payload);
        if kind == message::SHARED_OBJECT_AMF3 {
            reader.u8()?;
        }
        let name = text(&mut reader)?;
        let version = reader.u32()?;
        let persistent = reader.u32()? & PERSISTENT != 0;
        reader.u32()?;
        let mut events = Vec::new();
        while !reader.is_empty() {
            let kind = reader.u8()?;
            let size = reader.u32()?;
            Event::read(kind, reader.take(size as usize)?, &mut events)?;
            if events.len() > limits::SHARED_OBJECT_EVENTS_MAX {
                return Err(Error::Violation("too many events of a shared object"));
            }
        }
        Ok(Self { name, version, persistent, events })
    }

    /// Appends the body of a message of type 19, or of type 16 with `for_amf3`, in which values that AMF0 has no form for are
    /// in AMF3. Names beyond 65,535 bytes are cut.
    pub fn write(&self, for_amf3: bool, out: &mut BytesMut) {
        if for_amf3 {
            out.put_u8(0);
        }
        put_text(out, &self.name);
        out.put_u32(self.version);
        out.put_u32(if self.persistent { PERSISTENT } else { 0 });
        out.put_u32(0);
        for event in &self.events {
            out.put_u8(event.kind());
            let start = out.len();
            out.put_u32(0);
            event.write_data(for_amf3, out);
            let size = (out.len() - start - 4) as u32;
            out[start..start + 4].copy_from_slice(&size.to_be_bytes());
        }
    }
}

impl Event {
    fn kind(&self) -> u8 {
        match self {
            Self::Use => 1,
            Self::Release => 2,
            Self::RequestChange { .. } => 3,
            Self::Change { .. } => 4,
            Self::Success { .. } => 5,
            Self::Send { .. } => 6,
            Self::Status { .. } => 7,
            Self::Clear => 8,
            Self::Remove { .. } => 9,
            Self::RequestRemove { .. } => 10,
            Self::UseSuccess => 11,
            Self::Other(kind) => *kind,
        }
    }

    /// Reads the data of one event; a change may name several values, and becomes one event for each.
    fn read(kind: u8, data: &[u8], events: &mut Vec<Self>) -> Result<(), Error> {
        let mut reader = Reader::new(data);
        let event = match kind {
            1 => Self::Use,
            2 => Self::Release,
            3 | 4 => {
                while !reader.is_empty() {
                    let name = text(&mut reader)?;
                    let mut values = amf0::Decoder::new(reader.rest());
                    let value = values.next_value()?.ok_or(Error::Malformed("change without a value"))?;
                    reader.take(values.position())?;
                    events.push(match kind {
                        3 => Self::RequestChange { name, value },
                        _ => Self::Change { name, value },
                    });
                }
                return Ok(());
            }
            5 if data.is_empty() => Self::Success { name: String::new() },
            5 => Self::Success { name: text(&mut reader)? },
            6 => Self::Send { values: sent_values(data)? },
            7 => Self::Status { code: text(&mut reader)?, level: text(&mut reader)? },
            8 => Self::Clear,
            9 => Self::Remove { name: text(&mut reader)? },
            10 => Self::RequestRemove { name: text(&mut reader)? },
            11 => Self::UseSuccess,
            other => Self::Other(other),
        };
        events.push(event);
        Ok(())
    }

    fn write_data(&self, for_amf3: bool, out: &mut BytesMut) {
        match self {
            Self::Use | Self::Release | Self::Clear | Self::UseSuccess | Self::Other(_) => {}
            Self::RequestChange { name, value } | Self::Change { name, value } => {
                put_text(out, name);
                put_value(out, value, for_amf3);
            }
            Self::Success { name } if name.is_empty() => {}
            Self::Success { name } | Self::Remove { name } | Self::RequestRemove { name } => {
                put_text(out, name)
            }
            Self::Send { values } => values.iter().for_each(|value| put_value(out, value, for_amf3)),
            Self::Status { code, level } => {
                put_text(out, code);
                put_text(out, level);
            }
        }
    }
}

/// The function and its arguments. Flash and Red5 write the name of the function as an AMF string; others write it like the
/// other names, which begins with zero unless it has 256 bytes or more.
fn sent_values(data: &[u8]) -> Result<Vec<Value>, Error> {
    let mut reader = Reader::new(data);
    let mut values = Vec::new();
    if reader.peek() == Some(0) {
        values.push(Value::String(text(&mut reader)?));
    }
    values.extend(amf0::read_all(reader.rest())?);
    Ok(values)
}

fn text(reader: &mut Reader<'_>) -> Result<String, Error> {
    let length = reader.u16()?;
    Ok(String::from_utf8_lossy(reader.take(length.into())?).into_owned())
}

fn put_text(out: &mut BytesMut, text: &str) {
    let text = cut(text, u16::MAX.into());
    out.put_u16(text.len() as u16);
    out.put_slice(text.as_bytes());
}

fn put_value(out: &mut BytesMut, value: &Value, for_amf3: bool) {
    if for_amf3 && value.holds_bytes() {
        out.put_u8(amf0::AVM_PLUS);
        amf3::write(out, value);
    } else {
        amf0::write(out, value);
    }
}

#[cfg(test)]
mod tests;
