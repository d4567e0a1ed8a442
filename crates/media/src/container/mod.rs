//! Containers: packets to bytes and back.

pub mod flv;
