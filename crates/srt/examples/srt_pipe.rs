//! Carries a stream between standard input or output and an SRT connection: the smallest driver that does something useful.
//!
//! ```sh
//! srt_pipe listen 0.0.0.0:9000 > out.ts
//! srt_pipe call 192.0.2.1:9000 '#!::r=live/cam,m=publish' < in.ts
//! ```
//!
//! `listen` writes what its first caller sends and ends with it; `call` sends standard input in payloads of 1316 bytes, as fast
//! as `SRT_BYTES_PER_SECOND` says, and `fetch` calls to receive. A passphrase is taken from `SRT_PASSPHRASE`.

use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bytes::Bytes;
use srt::{Answer, Bandwidth, Config, Event, Listener, Passphrase, Refresh, Session, packet};

const SOCKET_ID: u32 = 7;
const PAYLOAD_BYTES: usize = 1316;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(what), Some(address)) = (args.next(), args.next()) else {
        return Err("usage: srt_pipe listen|call|fetch ADDRESS [STREAM_ID]".into());
    };
    let address: SocketAddr = address.parse()?;
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let passphrase = std::env::var("SRT_PASSPHRASE").ok().map(Passphrase::new).transpose()?;
    let refresh = number("SRT_REFRESH_PACKETS")
        .map_or(Refresh::default(), |packets| Refresh { packets, announced_before: packets / 4 });
    let latency = Duration::from_millis(number("SRT_LATENCY_MS").unwrap_or(120));
    let config = Config {
        passphrase,
        refresh,
        receive_latency: latency,
        bandwidth: Bandwidth::default(),
        ..Config::default()
    };
    let now = Instant::now();
    let mut driver = match what.as_str() {
        "listen" => {
            let socket = UdpSocket::bind(address)?;
            Driver { socket, listener: Some((Listener::new(now, random()?), config)), session: None }
        }
        "call" | "fetch" => {
            let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
            let stream_id = args.next().unwrap_or_default();
            let session = Session::connect(now, address, SOCKET_ID, &stream_id, config, random()?)?;
            Driver { socket, listener: None, session: Some(session) }
        }
        _ => return Err("listen, call or fetch".into()),
    };
    driver.run((what == "call").then(|| number("SRT_BYTES_PER_SECOND").unwrap_or(250_000)))
}

struct Driver {
    socket: UdpSocket,
    listener: Option<(Listener, Config)>,
    session: Option<Session>,
}

impl Driver {
    /// Until the connection is over. Sends what standard input has at `bytes_per_second`, if that is asked for.
    fn run(&mut self, bytes_per_second: Option<u64>) -> Result<(), Box<dyn std::error::Error>> {
        let mut output = std::io::stdout().lock();
        let mut input = std::io::stdin().lock();
        let mut next_payload: Option<Instant> = None;
        let mut datagram = vec![0; 2048];
        let mut latency = Duration::ZERO;
        let mut drained = false;
        loop {
            let now = Instant::now();
            if let (Some(session), Some(rate), Some(at)) = (&mut self.session, bytes_per_second, next_payload)
                && at <= now
            {
                let mut payload = vec![0; PAYLOAD_BYTES];
                let read = read_whole(&mut input, &mut payload)?;
                payload.truncate(read);
                if read > 0 {
                    session.send(now, payload.into())?;
                    next_payload = Some(at + Duration::from_secs_f64(read as f64 / rate as f64));
                } else if session.stats(now).send_buffer_packets > 0 {
                    next_payload = Some(now + Duration::from_millis(10));
                } else if !std::mem::replace(&mut drained, true) {
                    // The peer has everything and holds it for its latency.
                    next_payload = Some(now + latency);
                } else {
                    session.close(now);
                    next_payload = None;
                }
            }
            let mut over = false;
            let mut timeout = None;
            if let Some(session) = &mut self.session {
                if session.poll_timeout().is_some_and(|at| at <= now) {
                    session.handle_timeout(now);
                }
                while let Some(datagram) = session.poll_output() {
                    self.socket.send_to(&datagram, session.peer())?;
                }
                while let Some(event) = session.poll_event() {
                    match event {
                        Event::Established(established) => {
                            eprintln!("{established:?}");
                            latency = established.send_latency + Duration::from_millis(50);
                            next_payload = bytes_per_second.map(|_| now);
                        }
                        Event::Data(data) => {
                            if data.missing_before > 0 {
                                eprintln!("{} packets are missing", data.missing_before);
                            }
                            output.write_all(&data.payload)?;
                        }
                        Event::Closed(reason) => {
                            eprintln!("{reason}\n{:?}", session.stats(now));
                            over = true;
                        }
                    }
                }
                timeout = session.poll_timeout();
            }
            if over {
                output.flush()?;
                return Ok(());
            }
            let wake = [timeout, next_payload].into_iter().flatten().min();
            let wait = wake.map_or(Duration::from_secs(1), |at| at.saturating_duration_since(Instant::now()));
            self.socket.set_read_timeout(Some(wait.max(Duration::from_micros(500))))?;
            match self.socket.recv_from(&mut datagram) {
                Ok((length, from)) => self.datagram(from, Bytes::copy_from_slice(&datagram[..length]))?,
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn datagram(&mut self, from: SocketAddr, datagram: Bytes) -> Result<(), Box<dyn std::error::Error>> {
        let now = Instant::now();
        match (packet::destination(&datagram), &self.listener) {
            (Some(0), Some((listener, config))) => match listener.handle_input(now, from, &datagram) {
                Some(Answer::Reply(reply)) => drop(self.socket.send_to(&reply, from)?),
                Some(Answer::Request(request)) => match &mut self.session {
                    Some(session) if session.key() == request.key() => session.handle_input(now, &datagram),
                    Some(_) => drop(self.socket.send_to(&request.reject(srt::Reject::CONFLICT), from)?),
                    None => {
                        eprintln!("{:?} of version {:#x}", request.stream_id().as_str(), request.version());
                        match request.accept(now, SOCKET_ID, config.clone(), random()?) {
                            Ok(session) => self.session = Some(session),
                            Err(refused) => {
                                eprintln!("refused: {}", refused.reject);
                                self.socket.send_to(&refused.datagram, from)?;
                            }
                        }
                    }
                },
                None => {}
            },
            (Some(SOCKET_ID), _) => {
                if let Some(session) = self.session.as_mut().filter(|session| session.peer() == from) {
                    session.handle_input(now, &datagram);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn random() -> std::io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Fills `buffer`, or as much of it as there is before the end.
fn read_whole(input: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
