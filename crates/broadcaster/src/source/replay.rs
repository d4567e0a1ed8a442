//! Packets in memory, shared by any number of publishers.

use super::Source;
use crate::Error;
use media::Packet;
use std::sync::Arc;

/// Plays packets that are already in memory. Clones share them.
#[derive(Debug, Clone)]
pub struct Replay {
    packets: Arc<[Packet]>,
    next: usize,
}

impl Replay {
    /// Starts at the first of `packets`, which are in decode order.
    pub fn new(packets: impl Into<Arc<[Packet]>>) -> Self {
        Self { packets: packets.into(), next: 0 }
    }

    /// Reads a whole source into memory. `bytes_max` bounds it.
    pub fn read(source: &mut dyn Source, bytes_max: usize) -> Result<Self, Error> {
        let mut packets = Vec::new();
        let mut bytes = 0_usize;
        while let Some(packet) = source.next()? {
            bytes = bytes.saturating_add(packet.payload.len());
            if bytes > bytes_max {
                return Err(Error::Source(format!("the clip is larger than {bytes_max} bytes")));
            }
            packets.push(packet);
        }
        Ok(Self::new(packets))
    }

    /// All packets.
    pub fn packets(&self) -> &[Packet] {
        &self.packets
    }
}

impl Source for Replay {
    fn next(&mut self) -> Result<Option<Packet>, Error> {
        let packet = self.packets.get(self.next).cloned();
        self.next += usize::from(packet.is_some());
        Ok(packet)
    }

    fn rewind(&mut self) -> Result<(), Error> {
        self.next = 0;
        Ok(())
    }
}
