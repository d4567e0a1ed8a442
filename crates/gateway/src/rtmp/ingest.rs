//! RTMP messages into the hub: demux, publish.

use crate::metrics::ProtocolMetrics;
use hub::{Publisher, WriteError};
use media::container::flv;
use media::{Malformed, Packet, Time};
use rtmp::Message;
use std::time::Instant;
use tracing::debug;
use wire::Unwrap32;

/// Messages into packets.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    clock: Unwrap32,
}

impl Demux {
    /// Appends the packets of one audio, video or data message to `packets`. Its payload is shared with them, not copied.
    pub(crate) fn read(&mut self, message: &Message, packets: &mut Vec<Packet>) -> Result<(), Malformed> {
        // RTMP timestamps wrap every 49.7 days and may step back a little between audio and video.
        let dts = Time::from_millis(self.clock.unwrap(message.timestamp));
        match message.data_as_amf0() {
            Some(data) => flv::read_body(flv::SCRIPT, dts, &data, packets),
            None => flv::read_body(message.kind, dts, &message.payload, packets),
        }
    }
}

/// One published stream of a connection.
pub(super) struct Ingest {
    pub(super) publisher: Publisher,
    metrics: ProtocolMetrics,
    demux: Demux,
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
        Self { publisher, metrics, demux: Demux::default(), packets: Vec::new() }
    }

    /// Takes one audio, video or data message.
    pub(super) fn message(&mut self, message: &Message, now: Instant) -> Result<(), IngestError> {
        self.packets.clear();
        self.demux.read(message, &mut self.packets).map_err(IngestError::Malformed)?;
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
