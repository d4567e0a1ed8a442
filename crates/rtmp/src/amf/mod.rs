//! Action Message Format, versions 0 and 3: the values that commands and metadata are made of.
//!
//! Both decoders are bounded in depth, values and bytes ([`crate::limits`]), and turn what RTMP programs never use
//! (references to whole objects, class names) into something harmless instead of following it.

pub mod amf0;
pub mod amf3;

use crate::{Error, limits};

/// A value of either version.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// `undefined`; also stands for what cannot be represented.
    #[default]
    Undefined,
    /// `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// Every number, integers of AMF3 included.
    Number(f64),
    /// Text. Bytes that are no UTF-8 are replaced by U+FFFD.
    String(String),
    /// Named values in the order they were sent. The class name of a typed object is dropped.
    Object(Object),
    /// An associative array; the usual form of metadata.
    EcmaArray(Object),
    /// Values by position.
    Array(Vec<Value>),
    /// Milliseconds since 1970.
    Date(f64),
    /// An XML document.
    Xml(String),
    /// AMF3 only.
    Bytes(Vec<u8>),
}

impl Value {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number. A truth value counts as 0 or 1, and text that holds a number as that number, because programs
    /// mix them up.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Bool(yes) => Some(f64::from(u8::from(*yes))),
            Self::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The truth value; numbers count as true unless they are 0.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(yes) => Some(*yes),
            Self::Number(number) => Some(*number != 0.0),
            _ => None,
        }
    }

    /// The named values of an object or an associative array.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) | Self::EcmaArray(object) => Some(object),
            _ => None,
        }
    }

    /// The value named `key` of an object or an associative array.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }

    /// About how much memory it takes, in bytes. Values that were read are not deep.
    pub fn memory_bytes(&self) -> usize {
        let inside: usize = match self {
            Self::Undefined | Self::Null | Self::Bool(_) | Self::Number(_) | Self::Date(_) => 0,
            Self::String(text) | Self::Xml(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Array(values) => values.iter().map(Self::memory_bytes).sum(),
            Self::Object(object) | Self::EcmaArray(object) => {
                object.iter().map(|(key, value)| size_of::<String>() + key.len() + value.memory_bytes()).sum()
            }
        };
        size_of::<Self>() + inside
    }

    /// Whether there are [`Value::Bytes`] in it, which AMF0 has no form for. Values that were read are not deep.
    pub(crate) fn holds_bytes(&self) -> bool {
        match self {
            Self::Bytes(_) => true,
            Self::Array(values) => values.iter().any(Self::holds_bytes),
            Self::Object(object) | Self::EcmaArray(object) => {
                object.iter().any(|(_, value)| value.holds_bytes())
            }
            _ => false,
        }
    }

    /// Whether it is `null` or `undefined`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::Undefined)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(f64::from(number))
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

/// Named values in their order. A lookup walks the list: objects are small, and hostile ones are bounded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object {
    entries: Vec<(String, Value)>,
}

impl Object {
    /// An object without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an entry.
    pub fn push(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.entries.push((key.into(), value.into()));
    }

    /// Appends an entry, for building in one expression.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.push(key, value);
        self
    }

    /// The first value named `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// What one message may still make us allocate. Shared by the two decoders, because AMF0 can switch to AMF3.
#[derive(Debug)]
struct Budget {
    values: usize,
    bytes: usize,
}

impl Budget {
    fn new() -> Self {
        Self { values: limits::AMF_VALUES_MAX, bytes: limits::AMF_BYTES_MAX }
    }

    fn value(&mut self) -> Result<(), Error> {
        self.values = self.values.checked_sub(1).ok_or(Error::Violation("too many AMF values"))?;
        Ok(())
    }

    fn text(&mut self, bytes: &[u8]) -> Result<String, Error> {
        self.bytes(bytes.len())?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn bytes(&mut self, count: usize) -> Result<(), Error> {
        self.bytes = self.bytes.checked_sub(count).ok_or(Error::Violation("AMF strings too long"))?;
        Ok(())
    }
}

fn deeper(depth: usize) -> Result<usize, Error> {
    if depth >= limits::AMF_DEPTH_MAX {
        return Err(Error::Violation("AMF values nested too deep"));
    }
    Ok(depth + 1)
}

/// The start of `text`, at most `bytes_max` long, cut between characters.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests;
