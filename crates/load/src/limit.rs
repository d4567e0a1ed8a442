//! The bare limit of the kernel: a process that writes what a server would have to write, and does nothing else.
//!
//! It reads no media from anybody, forms no messages, keeps no queues and waits for no event. What it costs, no server on
//! plain sockets can go below.

use crate::Error;
use broadcaster::Source;
use bytes::BytesMut;
use media::Packet;
use media::container::flv;
use serde_json::json;
use socket2::{Domain, Socket, Type};
use std::io::{self, BufRead, BufReader, IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Bytes of an RTMP chunk header of type 0, which stands before every message.
const CHUNK_HEAD_BYTES: usize = 12;
/// Buffers of one `writev`: what Linux takes at most (`IOV_MAX`).
const BUFFERS_MAX: usize = 1024;
/// Accepted connections that wait for the sender to take them.
const ARRIVALS_MAX: usize = 1024;

/// The server process, seen from the one that measures it.
#[derive(Debug)]
pub(crate) struct LimitServer {
    child: Child,
    /// The server ends when this is closed.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl LimitServer {
    /// Starts this program again with `args`, which must lead to [`serve`].
    pub(crate) fn start(args: &[String]) -> Result<Self, Error> {
        let failed = |error: io::Error| Error::Local(format!("cannot start the limit server: {error}"));
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line).map_err(failed)?;
        let address =
            line.trim().parse().map_err(|_| Error::Local("the limit server did not start".into()))?;
        Ok(Self { child, stdin, stdout, address })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process and returns its own counters.
    pub(crate) fn stop(mut self) -> Option<serde_json::Value> {
        self.stdin = None;
        let mut counters = String::new();
        let read = self.stdout.read_to_string(&mut counters);
        let _ = self.child.wait();
        read.ok().and_then(|_| serde_json::from_str(&counters).ok())
    }
}

impl Drop for LimitServer {
    fn drop(&mut self) {
        // Without its standard input it ends by itself; waiting leaves no zombie.
        self.stdin = None;
        let _ = self.child.wait();
    }
}

/// Runs as the server process: sends `sources` in real time to all who connect, each to the next in turn, until standard
/// input is closed. Prints its address first and its counters last.
pub(crate) fn serve(sources: Vec<Box<dyn Source>>, batch: Duration) -> Result<(), Error> {
    let listener = listen()?;
    let mut out = io::stdout();
    writeln!(out, "{}", listener.local_addr()?)?;
    out.flush()?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        stopped.store(true, Relaxed);
    });
    let streams = sources.len().max(1);
    let (arriving, arrivals) = mpsc::sync_channel(ARRIVALS_MAX);
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let ready = socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true));
            if ready.is_ok() && arriving.send(socket).is_err() {
                return;
            }
        }
    });
    let mut sender = Sender::new(sources)?;
    let mut accepted = 0;
    while !stop.load(Relaxed) {
        let due = sender.next_due() + batch;
        // Also looks for the end, every now and then.
        let wait = due.saturating_duration_since(Instant::now()).min(Duration::from_millis(100));
        match arrivals.recv_timeout(wait) {
            Ok(socket) => {
                for socket in std::iter::once(socket).chain(arrivals.try_iter()) {
                    sender.streams[accepted % streams].sockets.push(socket);
                    accepted += 1;
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
        if due <= Instant::now() {
            sender.send_due(Instant::now())?;
        }
    }
    writeln!(out, "{}", sender.counters.to_json())?;
    Ok(())
}

fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(net::limits::LISTEN_BACKLOG)?;
    Ok(socket.into())
}

struct Sender {
    streams: Vec<Stream>,
    /// Source of all bytes. A server shares payloads between viewers too, so its bytes are as warm in the cache.
    zeros: Vec<u8>,
    counters: Counters,
}

struct Stream {
    source: Box<dyn Source>,
    next: Packet,
    sockets: Vec<TcpStream>,
    start: Instant,
}

#[derive(Debug, Default)]
struct Counters {
    writes: u64,
    bytes: u64,
    /// Messages or parts of them that a socket did not take. They are not sent again.
    bytes_skipped: u64,
}

impl Counters {
    fn to_json(&self) -> serde_json::Value {
        json!({"writes": self.writes, "bytes": self.bytes, "bytesSkipped": self.bytes_skipped})
    }
}

impl Stream {
    fn due(&self) -> Instant {
        self.start + self.next.dts.since(media::Time::ZERO)
    }
}

impl Sender {
    fn new(sources: Vec<Box<dyn Source>>) -> Result<Self, Error> {
        let start = Instant::now();
        let stream = |mut source: Box<dyn Source>| {
            let next = next(&mut source)?;
            Ok(Stream { source, next, sockets: Vec::new(), start })
        };
        let streams = sources.into_iter().map(stream).collect::<Result<_, Error>>()?;
        Ok(Self { streams, zeros: Vec::new(), counters: Counters::default() })
    }

    fn next_due(&self) -> Instant {
        self.streams.iter().map(Stream::due).min().unwrap_or_else(Instant::now)
    }

    /// Writes all messages that are due, those of one stream in one call per socket.
    fn send_due(&mut self, now: Instant) -> Result<(), Error> {
        let mut head = BytesMut::new();
        for stream in &mut self.streams {
            let mut sizes = Vec::new();
            while stream.due() <= now && sizes.len() < BUFFERS_MAX {
                head.clear();
                flv::write_body_head(&stream.next, &mut head);
                sizes.push(CHUNK_HEAD_BYTES + head.len() + stream.next.payload.len());
                stream.next = next(&mut stream.source)?;
            }
            if sizes.is_empty() {
                continue;
            }
            let largest = sizes.iter().copied().max().unwrap_or(0);
            if self.zeros.len() < largest {
                self.zeros.resize(largest, 0);
            }
            let buffers: Vec<_> = sizes.iter().map(|size| IoSlice::new(&self.zeros[..*size])).collect();
            let total: usize = sizes.iter().sum();
            let counters = &mut self.counters;
            stream.sockets.retain_mut(|socket| {
                counters.writes += 1;
                match socket.write_vectored(&buffers) {
                    Ok(written) => {
                        counters.bytes += written as u64;
                        counters.bytes_skipped += (total - written) as u64;
                        true
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        counters.bytes_skipped += total as u64;
                        true
                    }
                    Err(_) => false,
                }
            });
        }
        Ok(())
    }
}

fn next(source: &mut Box<dyn Source>) -> Result<Packet, Error> {
    source.next()?.ok_or_else(|| Error::Argument("the clip has no frames".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Profile, Synthetic};

    #[test]
    fn a_connection_gets_every_message_of_its_stream_in_one_write() {
        let profile = Profile { video_bps: 800_000, fps: 25, gop: 25, audio_bps: 0 };
        let listener = listen().unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut sender = Sender::new(vec![Box::new(Synthetic::new(profile, 0))]).unwrap();
        sender.streams[0].sockets.push(listener.accept().unwrap().0);
        // The configuration and the first five frames.
        let now = sender.next_due() + Duration::from_millis(170);
        sender.send_due(now).unwrap();
        assert_eq!((sender.counters.writes, sender.counters.bytes_skipped), (1, 0));
        drop(sender.streams.remove(0).sockets);
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        assert_eq!(received.len() as u64, sender.counters.bytes);
        let mut source = Synthetic::new(profile, 0);
        let payloads: usize = (0..6).map(|_| source.next().unwrap().unwrap().payload.len()).sum();
        // Five bytes of FLV head each: codec, packet type, composition time.
        assert_eq!(received.len(), payloads + 6 * (CHUNK_HEAD_BYTES + 5));
    }
}
