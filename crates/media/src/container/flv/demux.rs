//! FLV files and streams to packets.

use super::{limits, read::read_body, write::TAG_HEADER_BYTES};
use crate::{Malformed, Packet, Time};
use bytes::{Buf, BytesMut};
use std::collections::VecDeque;
use wire::{Reader, Unwrap32};

/// Bytes of the size of the tag before, which stands in front of each tag.
const PREVIOUS_SIZE_BYTES: usize = 4;

/// Takes an FLV stream apart as it arrives.
///
/// ```
/// # use media::container::flv::Demuxer;
/// # fn packets(mut input: bytes::BytesMut) -> Result<usize, media::Malformed> {
/// let mut demuxer = Demuxer::new();
/// let mut count = 0;
/// while let Some(_packet) = demuxer.push(&mut input)? {
///     count += 1;
/// }
/// # Ok(count)
/// # }
/// # assert_eq!(packets(bytes::BytesMut::new()), Ok(0));
/// ```
#[derive(Debug, Default)]
pub struct Demuxer {
    header_read: bool,
    clock: Unwrap32,
    /// Packets of the newest tag that were not handed out yet. A tag with several tracks gives several.
    ready: VecDeque<Packet>,
    scratch: Vec<Packet>,
}

impl Demuxer {
    /// Expects the file header first.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes whole tags off the front of `input` and returns the next packet, or `None` when more input is needed.
    ///
    /// Payloads are slices of `input`'s memory. Times are those of the tags, counted on past 2^32 ms. Encrypted tags and
    /// tags of unknown types are passed over.
    ///
    /// # Errors
    ///
    /// A header that is not FLV, a tag above [`limits::TAG_BODY_BYTES_MAX`], or a body that [`read_body`] refuses. The
    /// stream cannot be resumed after an error.
    pub fn push(&mut self, input: &mut BytesMut) -> Result<Option<Packet>, Malformed> {
        if !self.header_read {
            if !skip_file_header(input)? {
                return Ok(None);
            }
            self.header_read = true;
        }
        while self.ready.is_empty() {
            if !self.tag(input)? {
                return Ok(None);
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Reads one tag into `ready`; false where it is not complete yet. It does not wait for the size after the tag, which
    /// a live sender may write together with the next one.
    fn tag(&mut self, input: &mut BytesMut) -> Result<bool, Malformed> {
        const ENCRYPTED: u8 = 0x20;
        const KIND: u8 = 0x1f;
        let mut reader = Reader::new(input);
        if reader.remaining() < PREVIOUS_SIZE_BYTES + TAG_HEADER_BYTES {
            return Ok(false);
        }
        // The size of the tag before belongs to seeking backwards, and some writers leave it zero.
        reader.take(PREVIOUS_SIZE_BYTES)?;
        let kind = reader.u8()?;
        let body_size = reader.u24()? as usize;
        let low = reader.u24()?;
        let high = u32::from(reader.u8()?);
        if body_size > limits::TAG_BODY_BYTES_MAX {
            return Err(Malformed("FLV tag above the size limit"));
        }
        if input.len() < PREVIOUS_SIZE_BYTES + TAG_HEADER_BYTES + body_size {
            return Ok(false);
        }
        input.advance(PREVIOUS_SIZE_BYTES + TAG_HEADER_BYTES);
        let body = input.split_to(body_size).freeze();
        let dts = Time::from_millis(self.clock.unwrap(high << 24 | low));
        if kind & ENCRYPTED == 0 {
            read_body(kind & KIND, dts, &body, &mut self.scratch)?;
            self.ready.extend(self.scratch.drain(..));
        }
        Ok(true)
    }
}

/// Removes the file header; false where it is not complete yet.
fn skip_file_header(input: &mut BytesMut) -> Result<bool, Malformed> {
    let mut reader = Reader::new(input);
    if reader.remaining() < 9 {
        return Ok(false);
    }
    if reader.array()? != *b"FLV" {
        return Err(Malformed("no FLV signature"));
    }
    if reader.u8()? != 1 {
        return Err(Malformed("unknown FLV version"));
    }
    reader.u8()?;
    let header_size = reader.u32()? as usize;
    if !(9..=limits::FILE_HEADER_BYTES_MAX).contains(&header_size) {
        return Err(Malformed("FLV header of a wrong size"));
    }
    if input.len() < header_size {
        return Ok(false);
    }
    input.advance(header_size);
    Ok(true)
}
