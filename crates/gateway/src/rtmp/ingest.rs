//! RTMP messages into the hub: demux, publish.

use crate::metrics::ProtocolMetrics;
use hub::{Publisher, WriteError};
use media::container::flv;
use media::{Malformed, Packet, Time};
use rtmp::Message;
use std::time::Instant;
use tracing::debug;
use wire::Unwrap32;

/// One published stream of a connection.
pub(super) struct Ingest {
    pub(super) publisher: Publisher,
    metrics: ProtocolMetrics,
    clock: Unwrap32,
    packets: Vec<Packet>,
}

/// Why a publisher cannot go on.
#[derive(Debug)]
pub(super) enum IngestError {
    /// The bytes of a message make no sense.
    Malformed(Malformed),
    /// Another publisher has the stream now.
    TakenOver,
}

impl std::fmt::Display for IngestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            IngestError::Malformed(error) => error.fmt(f),
            IngestError::TakenOver => WriteError::TakenOver.fmt(f),
        }
    }
}

impl Ingest {
    pub(super) fn new(publisher: Publisher, metrics: ProtocolMetrics) -> Self {
        Self { publisher, metrics, clock: Unwrap32::default(), packets: Vec::new() }
    }

    /// Takes one audio, video or data message. Its payload is shared with the packets, not copied.
    pub(super) fn message(&mut self, message: &Message, now: Instant) -> Result<(), IngestError> {
        // RTMP timestamps wrap every 49.7 days and may step back a little between audio and video.
        let dts = Time::from_millis(self.clock.unwrap(message.timestamp));
        self.packets.clear();
        let read = match message.data_as_amf0() {
            Some(data) => flv::read_body(flv::SCRIPT, dts, &data, &mut self.packets),
            None => flv::read_body(message.kind, dts, &message.payload, &mut self.packets),
        };
        read.map_err(IngestError::Malformed)?;
        self.metrics.packets_in.inc_by(self.packets.len() as u64);
        for packet in self.packets.drain(..) {
            match self.publisher.write(packet, now) {
                Ok(()) => {}
                Err(WriteError::TakenOver) => return Err(IngestError::TakenOver),
                // The rest of the stream is as good as before.
                Err(error) => debug!(%error, "packet left out"),
            }
        }
        Ok(())
    }
}
