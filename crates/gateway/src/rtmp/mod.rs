//! RTMP: publish and play on TCP.

mod connection;
mod egress;
mod ingest;

pub(crate) use connection::serve;
