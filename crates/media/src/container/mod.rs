//! Containers: packets to bytes and back.

mod error;
pub mod flv;
pub mod fmp4;
pub mod ts;

pub use error::Error;
