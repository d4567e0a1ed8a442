//! The media engine: decoding, scaling and encoding.

pub mod cost;
pub mod encode;
pub mod ladder;
