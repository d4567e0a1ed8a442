//! Aggregate messages (`RTMP` section 7.1.6).
//!
//! ```text
//! one part:  type(1) size(3) timestamp(3) timestamp's high byte(1) stream id(3) body(size) back pointer(4)
//! ```

use wire::Reader;

use super::{AUDIO, DATA, DATA_AMF3, Message, VIDEO};
use crate::Error;

/// Takes the audio, video and data messages out of an aggregate. Their timestamps are moved so that the first one
/// gets the timestamp of the aggregate, and its stream id replaces theirs.
pub fn parts_of_aggregate(aggregate: Message) -> Parts {
    Parts { aggregate, position: 0, shift: None }
}

/// The messages of an aggregate; their payloads are slices of it. Parts of other types, aggregates included, are
/// passed over.
#[derive(Debug)]
pub struct Parts {
    aggregate: Message,
    position: usize,
    shift: Option<u32>,
}

impl Iterator for Parts {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.position >= self.aggregate.payload.len() {
                return None;
            }
            match self.part() {
                Ok(part) if matches!(part.kind, AUDIO | VIDEO | DATA | DATA_AMF3) => return Some(Ok(part)),
                Ok(_) => {}
                Err(error) => {
                    self.position = self.aggregate.payload.len();
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Parts {
    fn part(&mut self) -> Result<Message, Error> {
        let payload = &self.aggregate.payload;
        let mut reader = Reader::new(&payload[self.position..]);
        let kind = reader.u8()?;
        let size = reader.u24()?;
        let low = reader.u24()?;
        let timestamp = low | u32::from(reader.u8()?) << 24;
        reader.u24()?;
        let start = self.position + reader.position();
        reader.take(size as usize)?;
        let end = self.position + reader.position();
        // The last back pointer may be missing; nothing reads it.
        self.position = end + reader.remaining().min(4);
        let shift = *self.shift.get_or_insert(self.aggregate.timestamp.wrapping_sub(timestamp));
        Ok(Message {
            stream_id: self.aggregate.stream_id,
            kind,
            timestamp: timestamp.wrapping_add(shift),
            payload: payload.slice(start..end),
        })
    }
}
