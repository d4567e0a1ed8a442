//! RTMP messages into the hub: demux, publish.

use crate::metrics::ProtocolMetrics;
use hub::{Publisher, WriteError};
use media::container::flv;
use media::{Malformed, Packet, Time};
use rtmp::Message;
use std::time::Instant;
use tracing::debug;
use wire::Unwrap32;

/// Messages that make no sense, one after the other, before it is the stream that makes none. Encoders send one now and then,
/// where they have nothing to say or have just changed their settings.
const MALFORMED_IN_A_ROW_MAX: u32 = 32;

/// Messages into packets.
#[derive(Debug)]
pub(crate) struct Demux {
    metrics: ProtocolMetrics,
    clock: Unwrap32,
    /// Messages that made no sense since the last one that did.
    malformed: u32,
}

impl Demux {
    pub(crate) fn new(metrics: ProtocolMetrics) -> Self {
        Self { metrics, clock: Unwrap32::default(), malformed: 0 }
    }

    /// Appends the packets of one audio, video or data message to `packets`. Its payload is shared with them, not copied. A
    /// message that makes no sense is left out, and counted.
    ///
    /// # Errors
    /// More than [`MALFORMED_IN_A_ROW_MAX`] messages have been left out in a row.
    pub(crate) fn read(&mut self, message: &Message, packets: &mut Vec<Packet>) -> Result<(), Malformed> {
        // RTMP timestamps wrap every 49.7 days and may step back a little between audio and video.
        let dts = Time::from_millis(self.clock.unwrap(message.timestamp));
        let before = packets.len();
        let read = match message.data_as_amf0() {
            Some(data) => flv::read_body(flv::SCRIPT, dts, &data, packets),
            None => flv::read_body(message.kind, dts, &message.payload, packets),
        };
        let Err(error) = read else {
            self.malformed = 0;
            return Ok(());
        };
        packets.truncate(before);
        self.metrics.malformed_messages.inc();
        self.malformed += 1;
        if self.malformed > MALFORMED_IN_A_ROW_MAX {
            return Err(error);
        }
        debug!(%error, "message left out");
        Ok(())
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
    /// The bytes of many messages in a row make no sense; of the newest, why.
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
        Self { publisher, demux: Demux::new(metrics.clone()), metrics, packets: Vec::new() }
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
