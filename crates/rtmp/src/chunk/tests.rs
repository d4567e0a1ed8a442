use std::collections::{HashMap, VecDeque};

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::encoder::{put_u24, write_basic_header};
use super::*;
use crate::{Error, Message, limits};

fn message(stream_id: u32, kind: u8, timestamp: u32, payload: impl Into<Vec<u8>>) -> Message {
    Message { stream_id, kind, timestamp, payload: Bytes::from(payload.into()) }
}

fn decode_with(decoder: &mut Decoder, bytes: &[u8]) -> Result<Vec<Message>, Error> {
    let mut input = BytesMut::from(bytes);
    let mut messages = Vec::new();
    while let Some(message) = decoder.next_message(&mut input)? {
        messages.push(message);
    }
    Ok(messages)
}

fn decode(bytes: &[u8]) -> Result<Vec<Message>, Error> {
    decode_with(&mut Decoder::new(), bytes)
}

/// Feeds one byte at a time.
fn decode_slowly(bytes: &[u8]) -> Result<Vec<Message>, Error> {
    let mut decoder = Decoder::new();
    let mut input = BytesMut::new();
    let mut messages = Vec::new();
    for byte in bytes {
        input.put_u8(*byte);
        while let Some(message) = decoder.next_message(&mut input)? {
            messages.push(message);
        }
    }
    Ok(messages)
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// Annotated headers. Each row: what it shows, the bytes, the messages.
fn table() -> Vec<(&'static str, Vec<u8>, Vec<Message>)> {
    vec![
        (
            "fmt 0: timestamp 1000, length 2, audio, stream 1 little-endian",
            join(&[b"\x04", b"\0\x03\xe8", b"\0\0\x02", b"\x08", b"\x01\0\0\0", b"ab"]),
            vec![message(1, 8, 1000, *b"ab")],
        ),
        (
            "fmt 1: delta 23, new length and type, same stream",
            join(&[
                b"\x04\0\0\x0a\0\0\x01\x08\x01\0\0\0a",
                b"\x44",
                b"\0\0\x17",
                b"\0\0\x02",
                b"\x09",
                b"bc",
            ]),
            vec![message(1, 8, 10, *b"a"), message(1, 9, 33, *b"bc")],
        ),
        (
            "fmt 2: delta only; fmt 3 repeats it",
            join(&[b"\x04\0\0\x0a\0\0\x01\x08\x01\0\0\0a", b"\x84\0\0\x14b", b"\xc4c"]),
            vec![message(1, 8, 10, *b"a"), message(1, 8, 30, *b"b"), message(1, 8, 50, *b"c")],
        ),
        (
            "fmt 3 right after fmt 0 takes its timestamp as the delta",
            join(&[b"\x04\0\0\x0a\0\0\x01\x08\x01\0\0\0a", b"\xc4b"]),
            vec![message(1, 8, 10, *b"a"), message(1, 8, 20, *b"b")],
        ),
        (
            "chunk stream id in two bytes: 64 + 6",
            join(&[b"\0\x06", b"\0\0\0\0\0\x01\x12\x01\0\0\0a", b"\xc0\x06b"]),
            vec![message(1, 18, 0, *b"a"), message(1, 18, 0, *b"b")],
        ),
        (
            "chunk stream id in three bytes, low byte first: 64 + 6 + 256",
            join(&[b"\x01\x06\x01", b"\0\0\0\0\0\x01\x12\x01\0\0\0a", b"\xc1\x06\x01b"]),
            vec![message(1, 18, 0, *b"a"), message(1, 18, 0, *b"b")],
        ),
        (
            "the same chunk stream id in either form is the same stream",
            join(&[b"\0\x06", b"\0\0\0\0\0\x01\x12\x01\0\0\0a", b"\xc1\x06\0b"]),
            vec![message(1, 18, 0, *b"a"), message(1, 18, 0, *b"b")],
        ),
        (
            "extended timestamp is absolute in fmt 0 and a delta in fmt 1",
            join(&[
                b"\x04\xff\xff\xff\0\0\x01\x08\x01\0\0\0\x01\0\0\0a",
                b"\x44\xff\xff\xff\0\0\x01\x08\x01\x02\x03\x04b",
            ]),
            vec![message(1, 8, 0x0100_0000, *b"a"), message(1, 8, 0x0202_0304, *b"b")],
        ),
        (
            "fmt 3 that starts a message repeats the extended delta",
            join(&[b"\x04\xff\xff\xff\0\0\x01\x08\x01\0\0\0\x01\0\0\0a", b"\xc4\x01\0\0\0b"]),
            vec![message(1, 8, 0x0100_0000, *b"a"), message(1, 8, 0x0200_0000, *b"b")],
        ),
        (
            "fmt 3 that starts a message leaves the extended delta out",
            join(&[b"\x04\xff\xff\xff\0\0\x01\x08\x01\0\0\0\x01\0\0\0a", b"\xc4b"]),
            vec![message(1, 8, 0x0100_0000, *b"a"), message(1, 8, 0x0200_0000, *b"b")],
        ),
        (
            "fmt 1 to 3 on fresh chunk streams start from zeros",
            join(&[b"\x44\0\0\x05\0\0\x01\x08a", b"\x85\0\0\x07", b"\xc6"]),
            vec![message(0, 8, 5, *b"a"), message(0, 0, 7, *b""), message(0, 0, 0, *b"")],
        ),
        (
            "a message of zero length needs no payload",
            join(&[b"\x04\0\0\x01\0\0\0\x08\x01\0\0\0", b"\x04\0\0\x02\0\0\x01\x08\x01\0\0\0a"]),
            vec![message(1, 8, 1, *b""), message(1, 8, 2, *b"a")],
        ),
        (
            "timestamps wrap",
            join(&[b"\x04\xff\xff\xff\0\0\x01\x08\x01\0\0\0\xff\xff\xff\xffa", b"\x84\0\0\x02b"]),
            vec![message(1, 8, u32::MAX, *b"a"), message(1, 8, 1, *b"b")],
        ),
    ]
}

#[test]
fn headers_mean_what_the_specification_says() {
    for (what, bytes, messages) in table() {
        assert_eq!(decode(&bytes).as_ref(), Ok(&messages), "{what}");
        assert_eq!(decode_slowly(&bytes).as_ref(), Ok(&messages), "{what}, byte by byte");
    }
}

#[test]
fn writer_sends_a_full_header_and_continues_with_fmt_3() {
    let mut out = BytesMut::new();
    write_message(&mut out, 2, 6, 1, 9, 7, &[b"a", b"bcd"]);
    assert_eq!(&out[..], b"\x06\0\0\x07\0\0\x04\x09\x01\0\0\0ab\xc6cd");
}

#[test]
fn writer_repeats_the_extended_timestamp_in_every_chunk() {
    let mut out = BytesMut::new();
    write_message(&mut out, 1, 6, 1, 9, 0x0100_0000, &[b"ab"]);
    assert_eq!(&out[..], b"\x06\xff\xff\xff\0\0\x02\x09\x01\0\0\0\x01\0\0\0a\xc6\x01\0\0\0b");
}

#[test]
fn writer_uses_every_form_of_chunk_stream_id() {
    for (csid, start) in
        [(3, &b"\x03\0"[..]), (63, b"\x3f\0"), (64, b"\0\0\0"), (319, b"\0\xff\0"), (320, b"\x01\0\x01")]
    {
        let mut out = BytesMut::new();
        write_message(&mut out, 128, csid, 1, 8, 0, &[b"x"]);
        assert!(out.starts_with(start), "{csid}: {out:x?}");
        assert_eq!(decode(&out), Ok(vec![message(1, 8, 0, *b"x")]));
    }
}

#[test]
fn writer_refuses_what_the_length_field_cannot_hold() {
    let payload = vec![0; limits::MESSAGE_BYTES_MAX as usize + 1];
    let mut out = BytesMut::new();
    write_message(&mut out, 65_536, 6, 1, 9, 0, &[&payload]);
    assert!(out.is_empty());
    write_message(&mut out, 65_536, 6, 1, 9, 0, &[&payload[1..]]);
    assert!(!out.is_empty());
}

#[test]
fn extended_timestamp_may_be_missing_from_continuation_chunks() {
    // 0x01000000 ms: past the 4 h 39 min at which old senders and receivers part.
    let payload: Vec<u8> = (0..400).map(|index| index as u8).collect();
    let start = b"\x04\xff\xff\xff\0\x01\x90\x09\x01\0\0\0\x01\0\0\0";
    let with = join(&[
        start,
        &payload[..128],
        b"\xc4\x01\0\0\0",
        &payload[128..256],
        b"\xc4\x01\0\0\0",
        &payload[256..384],
        b"\xc4\x01\0\0\0",
        &payload[384..],
    ]);
    let without = join(&[
        start,
        &payload[..128],
        b"\xc4",
        &payload[128..256],
        b"\xc4",
        &payload[256..384],
        b"\xc4",
        &payload[384..],
    ]);
    let expected = vec![message(1, 9, 0x0100_0000, payload)];
    for bytes in [with, without] {
        assert_eq!(decode(&bytes).as_ref(), Ok(&expected));
        assert_eq!(decode_slowly(&bytes).as_ref(), Ok(&expected));
    }
}

#[test]
fn last_short_chunk_without_extended_timestamp_is_not_held_back() {
    let payload = [7; 130];
    let bytes = join(&[
        b"\x04\xff\xff\xff\0\0\x82\x09\x01\0\0\0\x01\0\0\0",
        &payload[..128],
        b"\xc4",
        &payload[128..],
    ]);
    assert_eq!(decode(&bytes).unwrap().len(), 1);
}

#[test]
fn messages_interleave_across_chunk_streams() {
    let (video, audio) = (vec![1; 300], vec![2; 200]);
    let bytes = join(&[
        b"\x06\0\0\x01\0\x01\x2c\x09\x01\0\0\0",
        &video[..128],
        b"\x04\0\0\x02\0\0\xc8\x08\x01\0\0\0",
        &audio[..128],
        b"\xc6",
        &video[128..256],
        b"\xc4",
        &audio[128..],
        b"\xc6",
        &video[256..],
    ]);
    let expected = vec![message(1, 8, 2, audio), message(1, 9, 1, video)];
    assert_eq!(decode(&bytes).as_ref(), Ok(&expected));
    assert_eq!(decode_slowly(&bytes).as_ref(), Ok(&expected));
}

#[test]
fn header_inside_an_unfinished_message_starts_over() {
    // The class of CVE-2016-10191: the length changes between the fragments of a message.
    for second in [&b"\x04\0\0\x02\0\0\x02\x09\x01\0\0\0"[..], b"\x44\0\0\x01\0\0\x02\x09"] {
        let bytes = join(&[b"\x04\0\0\x01\0\x10\0\x09\x01\0\0\0", &[0; 128], second, b"ab", b"\xc4cd"]);
        let messages = decode(&bytes).unwrap();
        assert_eq!(messages[0], message(1, 9, 2, *b"ab"));
        assert_eq!(messages.len(), 2, "and fmt 3 starts the next one");
    }
    let larger =
        join(&[b"\x04\0\0\x01\0\0\x81\x09\x01\0\0\0", &[0; 128], b"\x44\0\0\0\xff\xff\xff\x09", &[0; 128]]);
    assert_eq!(decode(&larger), Ok(vec![]));
}

#[test]
fn aborted_message_leaves_its_timestamp_behind() {
    let mut decoder = Decoder::new();
    let start = join(&[b"\x04\0\0\x64\0\x01\0\x09\x01\0\0\0", &[0; 128]]);
    assert_eq!(decode_with(&mut decoder, &start), Ok(vec![]));
    decoder.abort(4);
    decoder.abort(99);
    let next = decode_with(&mut decoder, b"\x44\0\0\x05\0\0\x01\x09x");
    assert_eq!(next, Ok(vec![message(1, 9, 105, *b"x")]));
}

#[test]
fn chunk_size_changes_between_chunks_of_a_message() {
    let mut decoder = Decoder::new();
    decode_with(&mut decoder, &join(&[b"\x04\0\0\0\0\x01\x90\x09\x01\0\0\0", &[1; 128]])).unwrap();
    decoder.set_chunk_size(1000).unwrap();
    let messages = decode_with(&mut decoder, &join(&[b"\xc4", &[1; 272]])).unwrap();
    assert_eq!(messages, [message(1, 9, 0, vec![1; 400])]);
    assert!(decoder.set_chunk_size(0).is_err());
    assert!(decoder.set_chunk_size(0x8000_0000).is_err());
    assert!(decoder.set_chunk_size(CHUNK_SIZE_MAX).is_ok());
}

#[test]
fn whole_payload_is_a_slice_of_the_input_and_a_small_one_a_copy() {
    let mut bytes = BytesMut::new();
    write_message(&mut bytes, 65_536, 6, 1, 9, 0, &[&[1; 4000]]);
    write_message(&mut bytes, 65_536, 4, 1, 8, 0, &[&[2; 100]]);
    let range = bytes.as_ptr_range();
    let mut decoder = Decoder::new();
    decoder.set_chunk_size(65_536).unwrap();
    let large = decoder.next_message(&mut bytes).unwrap().unwrap();
    assert!(range.contains(&large.payload.as_ptr()));
    let small = decoder.next_message(&mut bytes).unwrap().unwrap();
    assert!(!range.contains(&small.payload.as_ptr()));
}

#[test]
fn input_is_taken_as_it_arrives() {
    let mut decoder = Decoder::new();
    decoder.set_chunk_size(CHUNK_SIZE_MAX).unwrap();
    let mut input = BytesMut::from(&b"\x04\0\0\0\xff\xff\xff\x09\x01\0\0\0"[..]);
    let mut sent = 0;
    while sent < limits::MESSAGE_BYTES_MAX as usize {
        assert_eq!(decoder.next_message(&mut input), Ok(None));
        assert!(input.is_empty());
        let count = 60_000.min(limits::MESSAGE_BYTES_MAX as usize - sent);
        input.put_bytes(7, count);
        sent += count;
    }
    let message = decoder.next_message(&mut input).unwrap().unwrap();
    assert_eq!(message.payload.len(), limits::MESSAGE_BYTES_MAX as usize);
}

#[test]
fn claimed_length_reserves_little_memory() {
    let mut decoder = Decoder::new();
    let mut input = BytesMut::from(&b"\x04\0\0\0\xff\xff\xff\x09\x01\0\0\0x"[..]);
    assert_eq!(decoder.next_message(&mut input), Ok(None));
    assert_eq!(decoder.reserved_bytes(), limits::ASSEMBLY_BYTES_FIRST);
}

#[test]
fn limits_on_size_streams_and_unfinished_messages_hold() {
    let mut decoder = Decoder::new();
    decoder.set_message_bytes_max(1000);
    assert_eq!(
        decode_with(&mut decoder, b"\x04\0\0\0\0\x03\xe9\x09\x01\0\0\0"),
        Err(Error::Violation("message too large"))
    );

    let mut streams = BytesMut::new();
    for csid in 2..3 + limits::CHUNK_STREAMS_MAX as u32 {
        write_message(&mut streams, 128, csid, 1, 8, 0, &[b"x"]);
    }
    assert_eq!(decode(&streams), Err(Error::Violation("too many chunk streams")));

    let mut decoder = Decoder::new();
    decoder.set_message_bytes_max(100_000);
    let mut partial = BytesMut::new();
    for csid in 3..60 {
        write_basic_header(&mut partial, 0, csid);
        partial.put_slice(b"\0\0\0\x01\0\0\x09\x01\0\0\0");
        partial.put_bytes(0, 128);
    }
    assert_eq!(decode_with(&mut decoder, &partial), Err(Error::Violation("too many unfinished messages")));
}

#[test]
fn abandoned_messages_give_their_memory_back() {
    let mut decoder = Decoder::new();
    let start = join(&[b"\x04\0\0\0\x01\0\0\x09\x01\0\0\0", &[0; 128]]);
    for _ in 0..10_000 {
        decode_with(&mut decoder, &start).unwrap();
    }
    decoder.abort(4);
    assert_eq!(decoder.reserved_bytes(), 0);
}

/// Writes messages like a sender that compresses headers wherever it may.
#[derive(Default)]
struct Compressor {
    last: HashMap<u32, (Message, u32)>,
    omit_repeated: bool,
}

impl Compressor {
    /// The chunks of one message.
    fn chunks(&mut self, csid: u32, chunk_size: usize, message: &Message) -> Vec<BytesMut> {
        let mut out = BytesMut::new();
        let last = self.last.get(&csid).filter(|(last, _)| last.stream_id == message.stream_id);
        let (fmt, time) = match last {
            None => (0, message.timestamp),
            Some((last, last_delta)) => {
                let delta = message.timestamp.wrapping_sub(last.timestamp);
                let same = last.kind == message.kind && last.payload.len() == message.payload.len();
                (
                    if !same {
                        1
                    } else if delta != *last_delta {
                        2
                    } else {
                        3
                    },
                    delta,
                )
            }
        };
        let extended = time >= EXTENDED;
        write_basic_header(&mut out, fmt << 6, csid);
        if fmt <= 2 {
            put_u24(&mut out, time.min(EXTENDED));
        }
        if fmt <= 1 {
            put_u24(&mut out, message.payload.len() as u32);
            out.put_u8(message.kind);
        }
        if fmt == 0 {
            out.put_u32_le(message.stream_id);
        }
        if extended && (fmt <= 2 || !self.omit_repeated) {
            out.put_u32(time);
        }
        let mut chunks = Vec::new();
        let mut parts = message.payload.chunks(chunk_size);
        out.put_slice(parts.next().unwrap_or_default());
        chunks.push(out);
        for part in parts {
            let mut out = BytesMut::new();
            write_basic_header(&mut out, 0xc0, csid);
            if extended && !self.omit_repeated {
                out.put_u32(time);
            }
            out.put_slice(part);
            chunks.push(out);
        }
        self.last.insert(csid, (message.clone(), time));
        chunks
    }
}

fn any_message() -> impl Strategy<Value = (u32, Message)> {
    let csid = prop_oneof![3_u32..8, 60_u32..68, 318_u32..322, Just(65_599)];
    let timestamp = prop_oneof![
        0_u32..200,
        0xff_fff0_u32..0x100_0010,
        0x7fff_fff0_u32..0x8000_0010,
        0xffff_fff0_u32..=u32::MAX
    ];
    let length = prop_oneof![Just(0_usize), 1_usize..10, 100_usize..2000];
    (csid, 0_u32..3, prop_oneof![Just(8_u8), Just(9), Just(18)], timestamp, length, any::<u8>()).prop_map(
        |(csid, stream_id, kind, timestamp, length, seed)| {
            // Payload bytes never look like an extended timestamp (or a difference of two) that was left out.
            let payload: Vec<u8> =
                (0..length).map(|index| 0x45 ^ (seed & 0x0f) ^ (index as u8 & 0x20)).collect();
            (csid, message(stream_id, kind, timestamp, payload))
        },
    )
}

/// A chunk, and the message that it completes.
type Piece = (BytesMut, Option<Message>);

/// Interleaves the chunks of different chunk streams; returns the bytes and the messages in order of completion.
fn interleave(
    messages: &[(u32, Message)],
    chunk_size: usize,
    omit_repeated: bool,
    order: &[usize],
) -> (BytesMut, Vec<Message>) {
    let mut compressor = Compressor { omit_repeated, ..Compressor::default() };
    let mut queues: Vec<(u32, VecDeque<Piece>)> = Vec::new();
    for (csid, message) in messages {
        let chunks = compressor.chunks(*csid, chunk_size, message);
        let last = chunks.len() - 1;
        let chunks = chunks
            .into_iter()
            .enumerate()
            .map(|(index, chunk)| (chunk, (index == last).then(|| message.clone())));
        match queues.iter_mut().find(|(id, _)| id == csid) {
            Some((_, queue)) => queue.extend(chunks),
            None => queues.push((*csid, chunks.collect())),
        }
    }
    let (mut bytes, mut expected) = (BytesMut::new(), Vec::new());
    let mut turns = order.iter().cycle();
    while !queues.is_empty() {
        let index = turns.next().copied().unwrap_or(0) % queues.len();
        let (chunk, done) = queues[index].1.pop_front().unwrap();
        bytes.put_slice(&chunk);
        expected.extend(done);
        queues.retain(|(_, queue)| !queue.is_empty());
    }
    (bytes, expected)
}

proptest! {
    #[test]
    fn interleaved_messages_arrive_whole_however_they_are_split(
        messages in prop::collection::vec(any_message(), 1..12),
        chunk_size in prop_oneof![1_usize..5, 100_usize..300, Just(65_536)],
        omit_repeated in any::<bool>(),
        order in prop::collection::vec(any::<usize>(), 1..40),
        splits in prop::collection::vec(1_usize..400, 1..40),
    ) {
        let (bytes, expected) = interleave(&messages, chunk_size, omit_repeated, &order);
        let mut decoder = Decoder::new();
        decoder.set_chunk_size(chunk_size as u32).unwrap();
        let (mut input, mut got, mut rest) = (BytesMut::new(), Vec::new(), &bytes[..]);
        for split in splits.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*split));
            input.put_slice(now);
            while let Some(message) = decoder.next_message(&mut input).unwrap() {
                got.push(message);
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(got, expected);
        prop_assert!(input.is_empty());
        prop_assert_eq!(decoder.reserved_bytes(), 0);
    }

    #[test]
    fn written_messages_are_read_back(
        messages in prop::collection::vec(any_message(), 1..8),
        chunk_size in prop_oneof![Just(1_u32), 100_u32..300, Just(65_536)],
        cut in any::<usize>(),
    ) {
        let mut out = BytesMut::new();
        for (csid, message) in &messages {
            let cut = cut % (message.payload.len() + 1);
            let parts = [&message.payload[..cut], &message.payload[cut..]];
            write_message(&mut out, chunk_size, *csid, message.stream_id, message.kind, message.timestamp, &parts);
        }
        let mut decoder = Decoder::new();
        decoder.set_chunk_size(chunk_size).unwrap();
        let expected: Vec<_> = messages.into_iter().map(|(_, message)| message).collect();
        prop_assert_eq!(decode_with(&mut decoder, &out).unwrap(), expected);
    }

    #[test]
    fn any_bytes_end_in_messages_or_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        chunk_size in 1_u32..300,
        split in 1_usize..100,
    ) {
        let mut decoder = Decoder::new();
        decoder.set_chunk_size(chunk_size).unwrap();
        let mut input = BytesMut::new();
        'all: for part in bytes.chunks(split) {
            input.put_slice(part);
            loop {
                match decoder.next_message(&mut input) {
                    Ok(Some(message)) => decoder.abort(message.timestamp % 64),
                    Ok(None) => break,
                    Err(_) => break 'all,
                }
            }
            prop_assert!(input.len() < 18, "only a header is left in the input");
        }
    }
}
