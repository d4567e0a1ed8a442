//! Reading chunks.

use bytes::{Buf, Bytes, BytesMut};
use wire::Reader;

use super::{CHUNK_SIZE_INITIAL, CHUNK_SIZE_MAX, EXTENDED};
use crate::{Error, Message, limits};

/// Puts messages together from chunks.
///
/// It takes everything out of its input except a header that is not whole yet, so the input never grows beyond
/// what one read brought. A payload that lies in the input as one piece becomes a slice of it; every other one is
/// copied once into a buffer of its own.
///
/// Where senders differ from the text it is lenient: fmt 1 to 3 on a fresh chunk stream start from zeros, a chunk
/// stream may carry any types, and fmt 3 may leave out the extended timestamp.
#[derive(Debug)]
pub struct Decoder {
    chunk_size: u32,
    message_bytes_max: u32,
    /// In order of first use. Programs use five or so, thus a walk is faster than a map.
    streams: Vec<ChunkStream>,
    /// The chunk whose payload has not arrived completely.
    open: Option<Open>,
    /// Memory reserved for all unfinished messages.
    partial_bytes: usize,
}

#[derive(Debug)]
struct Open {
    stream: usize,
    bytes_left: usize,
}

#[derive(Debug, Default)]
struct ChunkStream {
    csid: u32,
    timestamp: u32,
    /// What fmt 3 adds when it starts a message.
    delta: u32,
    /// The 32-bit field of the last header that had one; in force until the next header of fmt 0 to 2.
    extended: Option<u32>,
    length: u32,
    stream_id: u32,
    kind: u8,
    /// The payload so far of a message that is not complete.
    partial: Option<Vec<u8>>,
}

/// A chunk header before it takes effect.
struct Header {
    fmt: u8,
    csid: u32,
    stream: Option<usize>,
    /// Absolute for fmt 0, otherwise a delta.
    time: u32,
    extended: Option<u32>,
    length: u32,
    kind: u8,
    stream_id: u32,
    bytes: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Starts with the chunk size of the specification and without a limit below the protocol's on messages.
    pub fn new() -> Self {
        Self {
            chunk_size: CHUNK_SIZE_INITIAL,
            message_bytes_max: limits::MESSAGE_BYTES_MAX,
            streams: Vec::new(),
            open: None,
            partial_bytes: 0,
        }
    }

    /// The sender's new chunk size; it holds from the next chunk on.
    ///
    /// # Errors
    /// `Violation` outside of 1 ..= 0x7fff_ffff.
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), Error> {
        if !(1..=CHUNK_SIZE_MAX).contains(&size) {
            return Err(Error::Violation("chunk size"));
        }
        self.chunk_size = size;
        Ok(())
    }

    /// The largest message accepted from now on, in bytes. All unfinished messages together may take twice that.
    pub fn set_message_bytes_max(&mut self, bytes: u32) {
        self.message_bytes_max = bytes.min(limits::MESSAGE_BYTES_MAX);
    }

    /// Drops the unfinished message of a chunk stream (`RTMP` section 5.4.2). Its timestamp still counts as the
    /// base of the next delta (Errata 6).
    pub fn abort(&mut self, csid: u32) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.csid == csid) {
            self.partial_bytes -= stream.partial.take().map_or(0, |partial| partial.capacity());
        }
    }

    /// Memory reserved for unfinished messages, in bytes.
    pub fn reserved_bytes(&self) -> usize {
        self.partial_bytes
    }

    /// Memory of the chunk streams themselves.
    #[cfg(test)]
    pub(crate) fn idle_bytes(&self) -> usize {
        self.streams.capacity() * size_of::<ChunkStream>()
    }

    /// The next complete message of any type, or `None` when more input is needed.
    ///
    /// # Errors
    /// `Violation` when the peer goes over a limit; there is no way to find the next chunk after that.
    pub fn next_message(&mut self, input: &mut BytesMut) -> Result<Option<Message>, Error> {
        loop {
            if let Some(Open { stream, bytes_left }) = self.open.take() {
                let count = bytes_left.min(input.len());
                self.assemble(stream, &input[..count])?;
                input.advance(count);
                if count < bytes_left {
                    self.open = Some(Open { stream, bytes_left: bytes_left - count });
                    return Ok(None);
                }
                if let Some(payload) = self.finished(stream) {
                    return Ok(Some(self.message(stream, payload)));
                }
            }
            // Fails only for want of input, and has changed nothing then.
            let Ok(header) = self.header(input) else { return Ok(None) };
            input.advance(header.bytes);
            let stream = self.apply(header)?;
            let started = self.streams[stream].partial.as_ref().map_or(0, Vec::len);
            let message_left = self.streams[stream].length as usize - started;
            let chunk_left = message_left.min(self.chunk_size as usize);
            if started == 0 && chunk_left == message_left && input.len() >= chunk_left {
                let payload = if chunk_left <= limits::COPY_BYTES_MAX {
                    let payload = Bytes::copy_from_slice(&input[..chunk_left]);
                    input.advance(chunk_left);
                    payload
                } else {
                    input.split_to(chunk_left).freeze()
                };
                return Ok(Some(self.message(stream, payload)));
            }
            self.open = Some(Open { stream, bytes_left: chunk_left });
        }
    }

    fn header(&self, input: &[u8]) -> Result<Header, wire::Truncated> {
        let mut reader = Reader::new(input);
        let first = reader.u8()?;
        let fmt = first >> 6;
        let csid = match first & 0x3f {
            0 => u32::from(reader.u8()?) + 64,
            1 => u32::from(u16::from_le_bytes(reader.array()?)) + 64,
            csid => u32::from(csid),
        };
        let known = self.streams.iter().position(|stream| stream.csid == csid);
        let fresh = ChunkStream::default();
        let last = known.map_or(&fresh, |index| &self.streams[index]);
        let mut time = last.delta;
        let mut extended = last.extended;
        let (mut length, mut kind, mut stream_id) = (last.length, last.kind, last.stream_id);
        if fmt <= 2 {
            time = reader.u24()?;
        }
        if fmt <= 1 {
            length = reader.u24()?;
            kind = reader.u8()?;
        }
        if fmt == 0 {
            stream_id = reader.u32_le()?;
        }
        if fmt <= 2 {
            extended = None;
            if time == EXTENDED {
                time = reader.u32()?;
                extended = Some(time);
            }
        } else if let Some(value) = extended {
            skip_repeated(&mut reader, [value, last.timestamp])?;
        }
        Ok(Header {
            fmt,
            csid,
            stream: known,
            time,
            extended,
            length,
            kind,
            stream_id,
            bytes: reader.position(),
        })
    }

    /// Makes a header the state of its chunk stream and returns the stream's index.
    fn apply(&mut self, header: Header) -> Result<usize, Error> {
        let index = match header.stream {
            Some(index) => index,
            None if self.streams.len() >= limits::CHUNK_STREAMS_MAX => {
                return Err(Error::Violation("too many chunk streams"));
            }
            None => {
                self.streams.push(ChunkStream { csid: header.csid, ..ChunkStream::default() });
                self.streams.len() - 1
            }
        };
        if header.fmt == 3 && self.streams[index].partial.is_some() {
            return Ok(index);
        }
        // A header of fmt 0 to 2 starts a message. If another one was unfinished it is dropped, never continued:
        // a length that changes between the fragments of a message is how receivers came to write out of bounds.
        self.abandon(index);
        if header.length > self.message_bytes_max {
            return Err(Error::Violation("message too large"));
        }
        let stream = &mut self.streams[index];
        stream.timestamp =
            if header.fmt == 0 { header.time } else { stream.timestamp.wrapping_add(header.time) };
        // After fmt 0 the delta equals its timestamp (`RTMP` section 5.3.1.2.4).
        stream.delta = header.time;
        stream.extended = header.extended;
        stream.length = header.length;
        stream.kind = header.kind;
        stream.stream_id = header.stream_id;
        Ok(index)
    }

    /// Appends payload to the unfinished message of a stream.
    fn assemble(&mut self, index: usize, payload: &[u8]) -> Result<(), Error> {
        let stream = &mut self.streams[index];
        let length = stream.length as usize;
        let partial = stream.partial.get_or_insert_default();
        let needed = partial.len() + payload.len();
        if needed > partial.capacity() {
            // Doubling up to the length keeps the copying linear, and the last step makes an exact fit.
            let before = partial.capacity();
            let wanted = needed.max(2 * before).max(limits::ASSEMBLY_BYTES_FIRST).min(length);
            partial.reserve_exact(wanted - partial.len());
            self.partial_bytes += partial.capacity() - before;
            if self.partial_bytes > 2 * self.message_bytes_max as usize {
                return Err(Error::Violation("too many unfinished messages"));
            }
        }
        partial.extend_from_slice(payload);
        Ok(())
    }

    /// The payload of a stream whose last byte has arrived.
    fn finished(&mut self, index: usize) -> Option<Bytes> {
        let stream = &mut self.streams[index];
        let whole = stream.partial.as_ref().is_some_and(|partial| partial.len() >= stream.length as usize);
        let payload = if whole { stream.partial.take() } else { None }?;
        self.partial_bytes -= payload.capacity();
        Some(Bytes::from(payload))
    }

    fn abandon(&mut self, index: usize) {
        self.partial_bytes -= self.streams[index].partial.take().map_or(0, |partial| partial.capacity());
    }

    fn message(&self, index: usize, payload: Bytes) -> Message {
        let ChunkStream { stream_id, kind, timestamp, .. } = self.streams[index];
        Message { stream_id, kind, timestamp, payload }
    }
}

/// Passes over the extended timestamp of a fmt 3 chunk, if it is there. Old librtmp and others leave it out, so
/// the four bytes count as one only if they repeat what was sent before: the field itself, or the timestamp that
/// came of it. Payload that does so by chance is one in 2^31.
fn skip_repeated(reader: &mut Reader<'_>, expected: [u32; 2]) -> Result<(), wire::Truncated> {
    let ahead = reader.rest();
    let ahead = &ahead[..ahead.len().min(4)];
    // With less than four bytes at hand the answer may be clear already; waiting then would hold back the end of
    // a message until the next one comes.
    if expected.iter().any(|value| value.to_be_bytes().starts_with(ahead)) {
        reader.u32()?;
    }
    Ok(())
}
