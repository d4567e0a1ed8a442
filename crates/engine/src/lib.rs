//! The media engine: decoding, scaling and encoding.

pub mod encode;
