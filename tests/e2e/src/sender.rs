//! An encoder that sends the tags of an FLV file with whatever times one likes: ffmpeg keeps 31 bits of a time.

use crate::flv::{Reader, Tag};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes of a chunk: so few that pictures are cut into several.
const CHUNK_BYTES: usize = 4096;
const STREAM: u32 = 1;

/// Publishes `clip` at its pace, its times `offset` milliseconds later, modulo 2^32; pictures with their time in full, sound with
/// the distance to the one before ("RTMP" section 5.3.1.2). Ends when all was sent and the server has closed.
///
/// # Panics
/// The thread does, if the server hangs up before.
pub fn publish(clip: &Path, offset: u32, server: SocketAddr, name: &str) -> JoinHandle<()> {
    let (clip, name) = (clip.to_owned(), name.to_owned());
    std::thread::spawn(move || send(&clip, offset, server, &name).expect("the server takes all of it"))
}

#[allow(clippy::disallowed_methods)] // An encoder keeps the pace of its media.
fn send(clip: &Path, offset: u32, server: SocketAddr, name: &str) -> io::Result<()> {
    let mut reader = Reader::new(BufReader::new(File::open(clip)?))?;
    let mut out = TcpStream::connect(server)?;
    let mut input = out.try_clone()?;
    out.write_all(&[&[3][..], &[0; 1536]].concat())?;
    let mut answer = [0; 1 + 2 * 1536];
    input.read_exact(&mut answer)?;
    out.write_all(&answer[1..=1536])?;
    // What the server says is read and not looked at: it refuses by hanging up.
    let rest = std::thread::spawn(move || io::copy(&mut input, &mut io::sink()).map(drop));
    let mut chunks = Chunks { out: out.try_clone()?, sound: None };
    chunks.write(2, 1, 0, 0, &(CHUNK_BYTES as u32).to_be_bytes())?;
    chunks.write(3, 20, 0, 0, &[text("connect"), number(1.0), object(&[("app", "live")])].concat())?;
    chunks.write(3, 20, 0, 0, &[text("createStream"), number(2.0), vec![5]].concat())?;
    let publish = [text("publish"), number(3.0), vec![5], text(name), text("live")].concat();
    chunks.write(3, 20, STREAM, 0, &publish)?;
    let begun = Instant::now();
    loop {
        let Tag { kind, timestamp, body } = match reader.tag() {
            Ok(tag) => tag,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        };
        std::thread::sleep(Duration::from_millis(timestamp.into()).saturating_sub(begun.elapsed()));
        let time = timestamp.wrapping_add(offset);
        match kind {
            8 => chunks.write_sound(time, &body)?,
            9 => chunks.write(6, 9, STREAM, time, &body)?,
            _ => {}
        }
    }
    chunks.write(3, 20, STREAM, 0, &[text("FCUnpublish"), number(4.0), vec![5], text(name)].concat())?;
    chunks.write(3, 20, 0, 0, &[text("deleteStream"), number(5.0), vec![5], number(1.0)].concat())?;
    out.shutdown(Shutdown::Write)?;
    rest.join().expect("it only reads")
}

struct Chunks {
    out: TcpStream,
    /// The time of the newest sound.
    sound: Option<u32>,
}

impl Chunks {
    /// Writes a message whose head says all.
    fn write(&mut self, channel: u8, kind: u8, stream: u32, time: u32, body: &[u8]) -> io::Result<()> {
        let mut head = vec![channel];
        head.extend(&time.min(0x00ff_ffff).to_be_bytes()[1..]);
        head.extend(&(body.len() as u32).to_be_bytes()[1..]);
        head.push(kind);
        head.extend(stream.to_le_bytes());
        // "RTMP" section 5.3.1.3: in each chunk of the message.
        let extended = if time >= 0x00ff_ffff { time.to_be_bytes().to_vec() } else { Vec::new() };
        self.write_chunks(channel, &head, &extended, body)
    }

    /// Writes sound: the first time in full, and then the distance to the one before.
    fn write_sound(&mut self, time: u32, body: &[u8]) -> io::Result<()> {
        const CHANNEL: u8 = 4;
        let Some(before) = self.sound.replace(time) else {
            return self.write(CHANNEL, 8, STREAM, time, body);
        };
        let mut head = vec![0x40 | CHANNEL];
        head.extend(&time.wrapping_sub(before).to_be_bytes()[1..]);
        head.extend(&(body.len() as u32).to_be_bytes()[1..]);
        head.push(8);
        self.write_chunks(CHANNEL, &head, &[], body)
    }

    fn write_chunks(&mut self, channel: u8, head: &[u8], extended: &[u8], body: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (index, piece) in body.chunks(CHUNK_BYTES).enumerate() {
            if index == 0 {
                bytes.extend(head)
            } else {
                bytes.push(0xc0 | channel)
            }
            bytes.extend(extended);
            bytes.extend(piece);
        }
        self.out.write_all(&bytes)
    }
}

/// Values of AMF0.
fn text(text: &str) -> Vec<u8> {
    [&[2][..], &(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn number(number: f64) -> Vec<u8> {
    [&[0][..], &number.to_be_bytes()].concat()
}

fn object(values: &[(&str, &str)]) -> Vec<u8> {
    let mut out = vec![3];
    for (key, value) in values {
        // A key is a text without the byte that says so.
        out.extend([&text(key)[1..], &text(value)].concat());
    }
    out.extend([0, 0, 9]);
    out
}
