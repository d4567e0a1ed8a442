//! AMF3 ("Action Message Format, AMF 3", 2013), as it stands inside AMF0 messages after marker 0x11.
//!
//! | marker | value | body |
//! |---|---|---|
//! | 00, 01 | undefined, null | none |
//! | 02, 03 | false, true | none |
//! | 04 | integer | 29 bits, signed |
//! | 05 | double | 8 bytes, big-endian |
//! | 06 | string | length and UTF-8, or a reference |
//! | 07, 0b | XML | length and UTF-8 |
//! | 08 | date | 8 bytes number |
//! | 09 | array | named values up to an empty name, then values by position |
//! | 0a | object | traits (class, names), values, then named values if dynamic |
//! | 0c | bytes | length and bytes |
//! | 0d, 0e, 0f, 10 | vector of int, uint, double, object | length, fixed flag, items |
//!
//! Lengths and references share a variable-length 29-bit integer (U29): 7 bits per byte with the high bit for
//! "more", and all 8 bits in the fourth byte. Its lowest bit says whether it is a length (1) or a reference (0).

use bytes::{BufMut, BytesMut};
use wire::Reader;

use super::{Budget, Object, Value, deeper};
use crate::Error;

const UNDEFINED: u8 = 0x00;
const NULL: u8 = 0x01;
const FALSE: u8 = 0x02;
const TRUE: u8 = 0x03;
const INTEGER: u8 = 0x04;
const DOUBLE: u8 = 0x05;
const STRING: u8 = 0x06;
const XML_DOCUMENT: u8 = 0x07;
const DATE: u8 = 0x08;
const ARRAY: u8 = 0x09;
const OBJECT: u8 = 0x0a;
const XML: u8 = 0x0b;
const BYTES: u8 = 0x0c;
const VECTOR_INT: u8 = 0x0d;
const VECTOR_UINT: u8 = 0x0e;
const VECTOR_DOUBLE: u8 = 0x0f;
const VECTOR_OBJECT: u8 = 0x10;

/// Integers outside of these bounds are sent as doubles.
const INTEGER_RANGE: std::ops::RangeInclusive<f64> = -268_435_456.0..=268_435_455.0;

/// Reads one AMF3 value that fills `bytes`.
///
/// # Errors
/// `Malformed`, or `Violation` for a limit, or `Unsupported` for objects that serialise themselves.
pub fn read(bytes: &[u8]) -> Result<Value, Error> {
    let mut reader = Reader::new(bytes);
    value_inside_amf0(&mut reader, &mut Budget::new(), 0)
}

/// The value after marker 0x11. Reference tables start empty for each of them.
pub(super) fn value_inside_amf0(
    reader: &mut Reader<'_>,
    budget: &mut Budget,
    depth: usize,
) -> Result<Value, Error> {
    Decoder { reader, budget, strings: Vec::new(), traits: Vec::new() }.value(depth)
}

struct Decoder<'d, 'a> {
    reader: &'d mut Reader<'a>,
    budget: &'d mut Budget,
    /// Positions in the message instead of copies, so that a reference costs budget only where it is used.
    strings: Vec<&'a [u8]>,
    traits: Vec<Traits<'a>>,
}

#[derive(Clone)]
struct Traits<'a> {
    dynamic: bool,
    names: Vec<&'a [u8]>,
}

/// A U29 that starts a string, an object or an array.
enum Head {
    Reference(usize),
    Inline(u32),
}

impl<'a> Decoder<'_, 'a> {
    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        self.budget.value()?;
        let marker = self.reader.u8()?;
        Ok(match marker {
            UNDEFINED => Value::Undefined,
            NULL => Value::Null,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            INTEGER => {
                let unsigned = self.u29()?;
                Value::Number(f64::from(((unsigned << 3) as i32) >> 3))
            }
            DOUBLE => Value::Number(self.reader.f64()?),
            STRING => {
                let text = self.string()?;
                Value::String(self.budget.text(text)?)
            }
            // References to whole objects (also dates, XML, bytes, arrays) are read and not followed: they are
            // rare, may be circular, and multiply data.
            XML_DOCUMENT | XML => match self.head()? {
                Head::Reference(_) => Value::Undefined,
                Head::Inline(length) => {
                    let text = self.reader.take(length as usize)?;
                    Value::Xml(self.budget.text(text)?)
                }
            },
            BYTES => match self.head()? {
                Head::Reference(_) => Value::Undefined,
                Head::Inline(length) => {
                    let bytes = self.reader.take(length as usize)?;
                    self.budget.bytes(bytes.len())?;
                    Value::Bytes(bytes.to_vec())
                }
            },
            DATE => match self.head()? {
                Head::Reference(_) => Value::Undefined,
                Head::Inline(_) => Value::Date(self.reader.f64()?),
            },
            ARRAY => match self.head()? {
                Head::Reference(_) => Value::Undefined,
                Head::Inline(count) => self.array(count, deeper(depth)?)?,
            },
            OBJECT => match self.head()? {
                Head::Reference(_) => Value::Undefined,
                Head::Inline(flags) => Value::Object(self.object(flags, deeper(depth)?)?),
            },
            VECTOR_INT | VECTOR_UINT | VECTOR_DOUBLE | VECTOR_OBJECT => match self.head()? {
                Head::Reference(_) => Value::Undefined,
                Head::Inline(count) => self.vector(marker, count, deeper(depth)?)?,
            },
            _ => return Err(Error::Malformed("AMF3 marker")),
        })
    }

    fn u29(&mut self) -> Result<u32, Error> {
        let mut number = 0;
        for _ in 0..3 {
            let byte = self.reader.u8()?;
            number = number << 7 | u32::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Ok(number << 8 | u32::from(self.reader.u8()?))
    }

    fn head(&mut self) -> Result<Head, Error> {
        let number = self.u29()?;
        Ok(if number & 1 == 0 { Head::Reference((number >> 1) as usize) } else { Head::Inline(number >> 1) })
    }

    fn string(&mut self) -> Result<&'a [u8], Error> {
        match self.head()? {
            Head::Reference(index) => {
                self.strings.get(index).copied().ok_or(Error::Malformed("AMF3 string reference"))
            }
            Head::Inline(length) => {
                let text = self.reader.take(length as usize)?;
                // The empty string is never put in the table (section 1.3.2).
                if !text.is_empty() {
                    self.strings.push(text);
                }
                Ok(text)
            }
        }
    }

    fn named_values(&mut self, object: &mut Object, depth: usize) -> Result<(), Error> {
        loop {
            let name = self.string()?;
            if name.is_empty() {
                return Ok(());
            }
            let name = self.budget.text(name)?;
            let value = self.value(depth)?;
            object.push(name, value);
        }
    }

    fn array(&mut self, count: u32, depth: usize) -> Result<Value, Error> {
        let mut named = Object::new();
        self.named_values(&mut named, depth)?;
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(self.value(depth)?);
        }
        if named.is_empty() {
            return Ok(Value::Array(values));
        }
        for (index, value) in values.into_iter().enumerate() {
            named.push(index.to_string(), value);
        }
        Ok(Value::EcmaArray(named))
    }

    fn object(&mut self, flags: u32, depth: usize) -> Result<Object, Error> {
        let traits = if flags & 1 == 0 {
            let index = (flags >> 1) as usize;
            self.traits.get(index).cloned().ok_or(Error::Malformed("AMF3 traits reference"))?
        } else if flags & 2 != 0 {
            return Err(Error::Unsupported("AMF3 object that serialises itself"));
        } else {
            self.string()?;
            let mut names = Vec::new();
            for _ in 0..flags >> 3 {
                self.budget.value()?;
                names.push(self.string()?);
            }
            let traits = Traits { dynamic: flags & 4 != 0, names };
            self.traits.push(traits.clone());
            traits
        };
        let mut object = Object::new();
        for name in traits.names {
            let name = self.budget.text(name)?;
            let value = self.value(depth)?;
            object.push(name, value);
        }
        if traits.dynamic {
            self.named_values(&mut object, depth)?;
        }
        Ok(object)
    }

    fn vector(&mut self, marker: u8, count: u32, depth: usize) -> Result<Value, Error> {
        self.reader.u8()?;
        if marker == VECTOR_OBJECT {
            self.string()?;
        }
        let mut values = Vec::new();
        for _ in 0..count {
            if marker == VECTOR_OBJECT {
                values.push(self.value(depth)?);
                continue;
            }
            self.budget.value()?;
            values.push(Value::Number(match marker {
                VECTOR_INT => f64::from(self.reader.u32()? as i32),
                VECTOR_UINT => f64::from(self.reader.u32()?),
                _ => self.reader.f64()?,
            }));
        }
        Ok(Value::Array(values))
    }
}

/// Appends a value, without references. Objects are dynamic and have no class.
pub fn write(out: &mut BytesMut, value: &Value) {
    match value {
        Value::Undefined => out.put_u8(UNDEFINED),
        Value::Null => out.put_u8(NULL),
        Value::Bool(yes) => out.put_u8(if *yes { TRUE } else { FALSE }),
        Value::Number(number) if number.fract() == 0.0 && INTEGER_RANGE.contains(number) => {
            out.put_u8(INTEGER);
            write_u29(out, (*number as i32 as u32) & 0x1fff_ffff);
        }
        Value::Number(number) => {
            out.put_u8(DOUBLE);
            out.put_f64(*number);
        }
        Value::String(text) => {
            out.put_u8(STRING);
            write_counted(out, text.as_bytes());
        }
        Value::Xml(text) => {
            out.put_u8(XML);
            write_counted(out, text.as_bytes());
        }
        Value::Bytes(bytes) => {
            out.put_u8(BYTES);
            write_counted(out, bytes);
        }
        Value::Date(ms) => {
            out.put_slice(&[DATE, 1]);
            out.put_f64(*ms);
        }
        Value::Array(values) => {
            out.put_u8(ARRAY);
            write_u29(out, (values.len() as u32) << 1 | 1);
            out.put_u8(1);
            for value in values {
                write(out, value);
            }
        }
        Value::EcmaArray(object) => {
            out.put_slice(&[ARRAY, 1]);
            write_named(out, object);
        }
        Value::Object(object) => {
            // Inline traits, dynamic, no sealed names; then the empty class name.
            out.put_slice(&[OBJECT, 0x0b, 1]);
            write_named(out, object);
        }
    }
}

fn write_named(out: &mut BytesMut, object: &Object) {
    // An empty name would end the list.
    for (name, value) in object.iter().filter(|(name, _)| !name.is_empty()) {
        write_counted(out, name.as_bytes());
        write(out, value);
    }
    out.put_u8(1);
}

fn write_counted(out: &mut BytesMut, bytes: &[u8]) {
    write_u29(out, (bytes.len() as u32) << 1 | 1);
    out.put_slice(bytes);
}

fn write_u29(out: &mut BytesMut, number: u32) {
    if number >= 1 << 21 {
        out.put_u8((number >> 22) as u8 | 0x80);
        out.put_u8((number >> 15) as u8 | 0x80);
        out.put_u8((number >> 8) as u8 | 0x80);
        out.put_u8(number as u8);
        return;
    }
    if number >= 1 << 14 {
        out.put_u8((number >> 14) as u8 | 0x80);
    }
    if number >= 1 << 7 {
        out.put_u8((number >> 7) as u8 | 0x80);
    }
    out.put_u8(number as u8 & 0x7f);
}
