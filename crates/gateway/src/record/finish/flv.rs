//! An FLV file in its final form: its metadata says how long it is, how many bytes it has, and where its keyframes are, so that
//! players seek. What a crash has left of a last tag is cut off.
//!
//! The index has the form that flvmeta and others have given it: `keyframes: { times: [seconds], filepositions: [bytes] }`.

use bytes::{BufMut, BytesMut};
use rtmp::amf::{Object, Value, amf0};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::time::Duration;

/// The header of the file and the size that follows it.
const FILE_HEADER_BYTES: u64 = 13;
const TAG_HEADER_BYTES: u64 = 11;
/// The size that follows a tag.
const TAG_END_BYTES: u64 = 4;
const SCRIPT: u8 = 18;
const VIDEO: u8 = 9;
/// Keyframes in the index: with their times and positions as many values as readers of metadata take, ours among them. Of more,
/// every second one is enough, and so on: in four hours, one each eight seconds.
const KEYFRAMES_MAX: usize = 1_800;
/// The metadata is among the first tags of a file, with the configurations.
const METADATA_TAGS_MAX: usize = 16;
/// Bytes of metadata that are understood.
const METADATA_BYTES_MAX: u64 = 1 << 20;
/// What we say ourselves.
const OURS: [&str; 7] = [
    "duration",
    "filesize",
    "lasttimestamp",
    "lastkeyframetimestamp",
    "hasKeyframes",
    "canSeekToEnd",
    "keyframes",
];

/// What is in a file.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The bytes of the header and of whole tags.
    pub(super) bytes: u64,
    /// The time of the last tag.
    last_ms: u32,
    keyframes: Vec<Keyframe>,
    /// How many keyframes one in the index stands for.
    step: usize,
    seen: usize,
    /// What the metadata says, and where its tag is.
    metadata: Option<(Object, std::ops::Range<u64>)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Keyframe {
    ms: u32,
    position: u64,
}

impl Contents {
    /// The media time of the file.
    pub(super) fn duration(&self) -> Duration {
        Duration::from_millis(self.last_ms.into())
    }

    /// Whether there is anything in it.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes <= FILE_HEADER_BYTES
    }

    /// Whether the metadata describes this very file: its turn ended before its description was written.
    pub(super) fn is_finished(&self) -> bool {
        let says = |key| self.metadata.as_ref().and_then(|(said, _)| said.get(key)?.as_number());
        says("filesize") == Some(self.bytes as f64) && says("duration").is_some()
    }

    fn add_keyframe(&mut self, ms: u32, position: u64) {
        if self.seen.is_multiple_of(self.step) {
            self.keyframes.push(Keyframe { ms, position });
        }
        self.seen += 1;
        if self.keyframes.len() > KEYFRAMES_MAX {
            let mut number = 0;
            self.keyframes.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.step *= 2;
        }
    }

    /// The tag of metadata of the finished file, in which keyframes lie `shift` bytes further on.
    fn metadata_tag(&self, bytes: u64, shift: i64) -> BytesMut {
        let mut said = Object::new();
        for (key, value) in self.metadata.iter().flat_map(|(said, _)| said.iter()) {
            if !OURS.contains(&key) {
                said.push(key, value.clone());
            }
        }
        let seconds = |ms: u32| f64::from(ms) / 1000.0;
        said.push("duration", Value::Number(seconds(self.last_ms)));
        said.push("filesize", Value::Number(bytes as f64));
        said.push("lasttimestamp", Value::Number(seconds(self.last_ms)));
        if let Some(last) = self.keyframes.last() {
            let position = |keyframe: &Keyframe| keyframe.position.saturating_add_signed(shift) as f64;
            let times = self.keyframes.iter().map(|keyframe| Value::Number(seconds(keyframe.ms))).collect();
            let positions = self.keyframes.iter().map(|keyframe| Value::Number(position(keyframe))).collect();
            said.push("lastkeyframetimestamp", Value::Number(seconds(last.ms)));
            said.push("hasKeyframes", Value::Bool(true));
            said.push("canSeekToEnd", Value::Bool(true));
            let index = Object::new().with("times", Value::Array(times));
            said.push("keyframes", Value::Object(index.with("filepositions", Value::Array(positions))));
        }
        let mut body = BytesMut::new();
        amf0::write_str(&mut body, "onMetaData");
        amf0::write(&mut body, &Value::EcmaArray(said));
        let mut tag = BytesMut::with_capacity(body.len() + (TAG_HEADER_BYTES + TAG_END_BYTES) as usize);
        tag.put_u8(SCRIPT);
        tag.put_uint(body.len() as u64, 3);
        tag.put_bytes(0, 7);
        tag.put_slice(&body);
        tag.put_u32(TAG_HEADER_BYTES as u32 + body.len() as u32);
        tag
    }

    /// Writes the finished file, and returns its bytes. `copy` appends a range of what there was.
    ///
    /// # Errors
    ///
    /// Those of `out` and `copy`.
    pub(super) fn write<W: Write>(
        &self,
        out: &mut W,
        mut copy: impl FnMut(std::ops::Range<u64>, &mut W) -> io::Result<()>,
    ) -> io::Result<u64> {
        let old =
            self.metadata.as_ref().map_or(FILE_HEADER_BYTES..FILE_HEADER_BYTES, |(_, range)| range.clone());
        // Numbers take the same room whatever they are.
        let room = self.metadata_tag(0, 0).len() as u64;
        let bytes = self.bytes - (old.end - old.start) + room;
        let tag = self.metadata_tag(bytes, room as i64 - (old.end - old.start) as i64);
        copy(0..FILE_HEADER_BYTES, out)?;
        out.write_all(&tag)?;
        copy(FILE_HEADER_BYTES..old.start, out)?;
        copy(old.end..self.bytes, out)?;
        Ok(bytes)
    }
}

/// Reads what is in a file of `length` bytes, up to a tag that is not whole.
///
/// # Errors
///
/// The file cannot be read.
pub(super) fn read(file: &mut File, length: u64) -> io::Result<Contents> {
    let mut contents = Contents { bytes: FILE_HEADER_BYTES.min(length), step: 1, ..Contents::default() };
    file.seek(SeekFrom::Start(FILE_HEADER_BYTES))?;
    let mut input = BufReader::with_capacity(256 << 10, file);
    let mut number = 0;
    while contents.bytes + TAG_HEADER_BYTES + TAG_END_BYTES <= length {
        let mut head = [0; TAG_HEADER_BYTES as usize];
        input.read_exact(&mut head)?;
        let [kind, a, b, c, t1, t2, t3, t0, ..] = head;
        let (body, ms) = (u64::from(u32::from_be_bytes([0, a, b, c])), u32::from_be_bytes([t0, t1, t2, t3]));
        let start = contents.bytes;
        let end = start + TAG_HEADER_BYTES + body + TAG_END_BYTES;
        if end > length {
            break;
        }
        let mut rest = body + TAG_END_BYTES;
        if kind == VIDEO && body >= 2 {
            let mut first = [0; 2];
            input.read_exact(&mut first)?;
            rest -= 2;
            if is_keyframe(first) {
                contents.add_keyframe(ms, start);
            }
        } else if kind == SCRIPT
            && contents.metadata.is_none()
            && number < METADATA_TAGS_MAX
            && body <= METADATA_BYTES_MAX
        {
            let mut text = vec![0; body as usize];
            input.read_exact(&mut text)?;
            rest -= body;
            contents.metadata = read_metadata(&text).map(|said| (said, start..end));
        }
        input.seek_relative(rest as i64)?;
        contents.bytes = end;
        contents.last_ms = contents.last_ms.max(ms);
        number += 1;
    }
    Ok(contents)
}

/// Whether a body of video that begins like this is a keyframe, and no configuration (FLV section E.4.3.1; Enhanced RTMP v2,
/// "ExVideoTagHeader").
fn is_keyframe([first, second]: [u8; 2]) -> bool {
    const ENHANCED: u8 = 0x80;
    const KEYFRAME: u8 = 1;
    const LEGACY_AVC: [u8; 2] = [7, 12];
    const FRAMES: u8 = 1;
    const FRAMES_X: u8 = 3;
    const MULTITRACK: u8 = 6;
    let low = first & 0x0f;
    if first >> 4 & 7 != KEYFRAME {
        return false;
    }
    match first & ENHANCED {
        // Of several tracks, the next byte says what they carry.
        0 if LEGACY_AVC.contains(&low) => second == FRAMES,
        0 => true,
        _ if low == MULTITRACK => matches!(second & 0x0f, FRAMES | FRAMES_X),
        _ => matches!(low, FRAMES | FRAMES_X),
    }
}

fn read_metadata(body: &[u8]) -> Option<Object> {
    let values = amf0::read_all(body).ok()?;
    let is_metadata = values.first()?.as_str() == Some("onMetaData");
    values.get(1).filter(|_| is_metadata)?.as_object().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use media::container::flv;
    use media::{Codec, Flags, Kind, Packet, Role, Time, TrackId};

    fn packet(kind: Kind, ms: i64, keyframe: bool, role: Role) -> Packet {
        let (track, codec) = match kind {
            Kind::Video => (TrackId::VIDEO, Codec::H264),
            _ => (TrackId::AUDIO, Codec::Aac),
        };
        Packet {
            track,
            codec,
            role,
            flags: Flags { keyframe, disposable: false },
            dts: Time::from_millis(ms),
            pts: Time::from_millis(ms),
            payload: Bytes::from_static(&[0, 0, 0, 1, 0x65]),
        }
    }

    /// A file of a picture each 40 ms and a keyframe each second from `start`, with `metadata` in front.
    fn file(name: &str, start: i64, pictures: i64, metadata: Option<Object>) -> File {
        let mut out = BytesMut::new();
        flv::write_file_header(true, true, &mut out);
        if let Some(said) = metadata {
            let contents = Contents { metadata: Some((said, 0..0)), step: 1, ..Contents::default() };
            out.put_slice(&contents.metadata_tag(0, 0));
        }
        flv::write_tag(&packet(Kind::Video, start, true, Role::Config), &mut out);
        for number in 0..pictures {
            let ms = start + number * 40;
            flv::write_tag(&packet(Kind::Video, ms, number % 25 == 0, Role::Frame), &mut out);
            flv::write_tag(&packet(Kind::Audio, ms, true, Role::Frame), &mut out);
        }
        let path = std::env::temp_dir().join(format!("rushlight-flv-{name}-{}", std::process::id()));
        std::fs::write(&path, &out).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }

    fn finish(input: &mut File, length: u64) -> (Contents, Vec<u8>) {
        let contents = read(input, length).unwrap();
        let mut out = Vec::new();
        let bytes = contents
            .write(&mut out, |range, out| {
                input.seek(SeekFrom::Start(range.start))?;
                io::copy(&mut input.take(range.end - range.start), out).map(drop)
            })
            .unwrap();
        assert_eq!(bytes, out.len() as u64);
        (contents, out)
    }

    fn packets(bytes: &[u8]) -> Vec<Packet> {
        let (mut demuxer, mut input) = (flv::Demuxer::new(), BytesMut::from(bytes));
        std::iter::from_fn(|| demuxer.push(&mut input).unwrap()).collect()
    }

    #[test]
    fn the_metadata_leads_to_every_keyframe_and_keeps_what_it_said() {
        // Below and beyond 2^24 ms, where the time needs its fourth byte.
        for start in [0, (1 << 24) - 2_000] {
            let said = Object::new()
                .with("title", Value::String("a".to_owned()))
                .with("duration", Value::Number(0.0));
            let mut input = file(&format!("index-{start}"), start, 100, Some(said));
            let length = input.metadata().unwrap().len();
            let (contents, out) = finish(&mut input, length);
            let last = start as u32 + 99 * 40;
            assert_eq!(contents.duration(), Duration::from_millis(last.into()));
            let said = read_metadata(&packets(&out)[0].payload).unwrap();
            assert_eq!(said.get("title").unwrap().as_str(), Some("a"));
            assert_eq!(said.get("duration").unwrap().as_number(), Some(f64::from(last) / 1000.0));
            assert_eq!(said.get("filesize").unwrap().as_number(), Some(out.len() as f64));
            let index = said.get("keyframes").unwrap().as_object().unwrap();
            let numbers = |key: &str| match index.get(key) {
                Some(Value::Array(values)) => {
                    values.iter().map(|value| value.as_number().unwrap()).collect::<Vec<_>>()
                }
                other => panic!("{key}: {other:?}"),
            };
            let (times, positions) = (numbers("times"), numbers("filepositions"));
            assert_eq!((times.len(), positions.len()), (4, 4));
            for (time, position) in times.iter().zip(positions) {
                let at = &out[position as usize..];
                let ms = u32::from_be_bytes([at[7], at[4], at[5], at[6]]);
                assert_eq!(
                    (at[0], at[11], at[12], f64::from(ms) / 1000.0),
                    (VIDEO, 0x17, FRAMES_OF_AVC, *time)
                );
            }
            // Nothing else has changed.
            input.seek(SeekFrom::Start(0)).unwrap();
            let mut before = Vec::new();
            input.read_to_end(&mut before).unwrap();
            assert_eq!(packets(&before)[1..], packets(&out)[1..]);
        }
    }

    const FRAMES_OF_AVC: u8 = 1;

    #[test]
    fn a_file_without_metadata_gets_some_and_a_cut_tag_goes() {
        let mut input = file("cut", 0, 30, None);
        let length = input.metadata().unwrap().len();
        let whole = finish(&mut input, length).1;
        let (contents, cut) = finish(&mut input, length - 3);
        assert_eq!(packets(&whole).len(), 1 + 1 + 60);
        assert_eq!(packets(&cut), [&packets(&cut)[..1], &packets(&whole)[1..61]].concat());
        assert!(!contents.is_finished() && !contents.is_empty());
        // Of a finished file there is nothing more to do.
        let path = std::env::temp_dir().join(format!("rushlight-flv-again-{}", std::process::id()));
        std::fs::write(&path, &cut).unwrap();
        let again = read(&mut File::open(&path).unwrap(), cut.len() as u64).unwrap();
        std::fs::remove_file(path).unwrap();
        assert!(again.is_finished());
    }

    #[test]
    fn of_very_many_keyframes_some_are_in_the_index() {
        let mut contents = Contents { step: 1, ..Contents::default() };
        for number in 0..5 * KEYFRAMES_MAX as u32 / 2 {
            contents.add_keyframe(number, number.into());
        }
        assert!((KEYFRAMES_MAX / 2..=KEYFRAMES_MAX).contains(&contents.keyframes.len()));
        assert_eq!(contents.keyframes[1].ms, 4);
    }
}
