//! Packets as messages of a published stream.

use crate::{Error, Link};
use bytes::BytesMut;
use media::container::flv;
use media::{Packet, Role, Time};

/// AMF0 string that asks a server to keep the metadata for players that come later.
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";

impl Link {
    /// Sends one packet of the published stream, with `dts` in place of its own time.
    ///
    /// # Errors
    /// As [`Link::send`].
    pub fn send_packet(&mut self, packet: &Packet, dts: Time) -> Result<(), Error> {
        let mut head = BytesMut::with_capacity(32);
        flv::write_body_head(packet, &mut head);
        let prefix = if packet.role == Role::StreamMetadata { SET_DATA_FRAME } else { &[] };
        // The timestamp is a millisecond counter that wraps after 49 days (`RTMP` section 3).
        let timestamp = dts.millis() as u32;
        self.send(flv::kind_of(packet), timestamp, &[prefix, &head, &packet.payload])
    }
}
