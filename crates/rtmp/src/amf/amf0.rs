//! AMF0 ("Action Message Format, AMF 0", 2007). Every value starts with a marker byte:
//!
//! | marker | value | body |
//! |---|---|---|
//! | 00 | number | 8 bytes IEEE 754, big-endian |
//! | 01 | boolean | 1 byte |
//! | 02 / 0c | string / long string | 2 / 4 bytes length, UTF-8 |
//! | 03 | object | key (2 bytes length, UTF-8) and value, repeated; ends with an empty key and marker 09 |
//! | 05, 06, 0d | null, undefined, unsupported | none |
//! | 07 | reference | 2 bytes index |
//! | 08 | ECMA array | 4 bytes count, then like an object |
//! | 0a | strict array | 4 bytes count, values |
//! | 0b | date | 8 bytes number, 2 bytes time zone |
//! | 0f | XML | like a long string |
//! | 10 | typed object | class name like a key, then like an object |
//! | 11 | an AMF3 value follows | |

use bytes::{BufMut, BytesMut};
use wire::Reader;

use super::{Budget, Object, Value, amf3, cut, deeper};
use crate::Error;

pub(super) const NUMBER: u8 = 0x00;
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const STRING: u8 = 0x02;
pub(super) const OBJECT: u8 = 0x03;
pub(super) const NULL: u8 = 0x05;
pub(super) const UNDEFINED: u8 = 0x06;
pub(super) const REFERENCE: u8 = 0x07;
pub(super) const ECMA_ARRAY: u8 = 0x08;
pub(super) const OBJECT_END: u8 = 0x09;
pub(super) const STRICT_ARRAY: u8 = 0x0a;
pub(super) const DATE: u8 = 0x0b;
pub(super) const LONG_STRING: u8 = 0x0c;
pub(super) const UNSUPPORTED: u8 = 0x0d;
pub(super) const XML: u8 = 0x0f;
pub(super) const TYPED_OBJECT: u8 = 0x10;
pub(crate) const AVM_PLUS: u8 = 0x11;

/// Reads the values of one message one after the other.
#[derive(Debug)]
pub struct Decoder<'a> {
    reader: Reader<'a>,
    budget: Budget,
}

impl<'a> Decoder<'a> {
    /// Starts at the first value of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes), budget: Budget::new() }
    }

    /// The next value, or `None` at the end.
    ///
    /// Two departures from the text serve real metadata: the count of an ECMA array is ignored in favour of its
    /// end marker, and an object whose end marker is missing ends with the message.
    ///
    /// # Errors
    /// `Malformed` when the bytes are no AMF0, `Violation` when they go over a limit, `Unsupported` for AMF3
    /// objects that serialise themselves.
    pub fn next_value(&mut self) -> Result<Option<Value>, Error> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        value(&mut self.reader, &mut self.budget, 0).map(Some)
    }

    /// Bytes that the values so far took.
    pub(crate) fn position(&self) -> usize {
        self.reader.position()
    }
}

/// Reads all values of a message.
///
/// # Errors
/// Those of [`Decoder::next_value`].
pub fn read_all(bytes: &[u8]) -> Result<Vec<Value>, Error> {
    let mut decoder = Decoder::new(bytes);
    let mut values = Vec::new();
    while let Some(value) = decoder.next_value()? {
        values.push(value);
    }
    Ok(values)
}

fn value(reader: &mut Reader<'_>, budget: &mut Budget, depth: usize) -> Result<Value, Error> {
    budget.value()?;
    Ok(match reader.u8()? {
        NUMBER => Value::Number(reader.f64()?),
        BOOLEAN => Value::Bool(reader.u8()? != 0),
        STRING => Value::String(short_text(reader, budget)?),
        LONG_STRING => Value::String(long_text(reader, budget)?),
        OBJECT => Value::Object(entries(reader, budget, deeper(depth)?)?),
        TYPED_OBJECT => {
            short_text(reader, budget)?;
            Value::Object(entries(reader, budget, deeper(depth)?)?)
        }
        ECMA_ARRAY => {
            reader.u32()?;
            Value::EcmaArray(entries(reader, budget, deeper(depth)?)?)
        }
        STRICT_ARRAY => {
            let depth = deeper(depth)?;
            let count = reader.u32()?;
            // Each value takes a byte at least, so a longer array cannot be whole; and nothing is reserved for a
            // count that is only claimed.
            let mut values = Vec::new();
            for _ in 0..count {
                values.push(value(reader, budget, depth)?);
            }
            Value::Array(values)
        }
        DATE => {
            let ms = reader.f64()?;
            reader.u16()?;
            Value::Date(ms)
        }
        XML => Value::Xml(long_text(reader, budget)?),
        NULL => Value::Null,
        UNDEFINED | UNSUPPORTED => Value::Undefined,
        // No RTMP program sends references; following them would let a small message grow large.
        REFERENCE => {
            reader.u16()?;
            Value::Undefined
        }
        AVM_PLUS => amf3::value_inside_amf0(reader, budget, depth)?,
        _ => return Err(Error::Malformed("AMF0 marker")),
    })
}

fn entries(reader: &mut Reader<'_>, budget: &mut Budget, depth: usize) -> Result<Object, Error> {
    let mut object = Object::new();
    while !reader.is_empty() {
        let key = short_text(reader, budget)?;
        if key.is_empty() && matches!(reader.peek(), None | Some(OBJECT_END)) {
            // `None` is a message that was cut inside the end marker.
            let _ = reader.u8();
            break;
        }
        object.push(key, value(reader, budget, depth)?);
    }
    Ok(object)
}

fn short_text(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<String, Error> {
    let length = reader.u16()?;
    budget.text(reader.take(usize::from(length))?)
}

fn long_text(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<String, Error> {
    let length = reader.u32()?;
    budget.text(reader.take(length as usize)?)
}

/// Appends a value. Text over 65,535 bytes becomes a long string; byte arrays, which AMF0 lacks, become undefined.
pub fn write(out: &mut BytesMut, value: &Value) {
    match value {
        Value::Undefined | Value::Bytes(_) => out.put_u8(UNDEFINED),
        Value::Null => out.put_u8(NULL),
        Value::Bool(yes) => out.put_slice(&[BOOLEAN, u8::from(*yes)]),
        Value::Number(number) => write_number(out, *number),
        Value::String(text) => write_str(out, text),
        Value::Object(object) => {
            out.put_u8(OBJECT);
            write_entries(out, object);
        }
        Value::EcmaArray(object) => {
            out.put_u8(ECMA_ARRAY);
            out.put_u32(object.len() as u32);
            write_entries(out, object);
        }
        Value::Array(values) => {
            out.put_u8(STRICT_ARRAY);
            out.put_u32(values.len() as u32);
            for value in values {
                write(out, value);
            }
        }
        Value::Date(ms) => {
            out.put_u8(DATE);
            out.put_f64(*ms);
            out.put_u16(0);
        }
        Value::Xml(text) => {
            out.put_u8(XML);
            out.put_u32(text.len() as u32);
            out.put_slice(text.as_bytes());
        }
    }
}

/// Appends a number.
pub fn write_number(out: &mut BytesMut, number: f64) {
    out.put_u8(NUMBER);
    out.put_f64(number);
}

/// Appends a string.
pub fn write_str(out: &mut BytesMut, text: &str) {
    match u16::try_from(text.len()) {
        Ok(length) => {
            out.put_u8(STRING);
            out.put_u16(length);
        }
        Err(_) => {
            out.put_u8(LONG_STRING);
            out.put_u32(text.len() as u32);
        }
    }
    out.put_slice(text.as_bytes());
}

fn write_entries(out: &mut BytesMut, object: &Object) {
    for (key, value) in object.iter() {
        // A key has 16 bits of length; a longer one is cut at a character.
        let key = cut(key, usize::from(u16::MAX));
        out.put_u16(key.len() as u16);
        out.put_slice(key.as_bytes());
        write(out, value);
    }
    out.put_slice(&[0, 0, OBJECT_END]);
}
