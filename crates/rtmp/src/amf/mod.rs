//! Action Message Format, versions 0 and 3.

/// An AMF value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
}
