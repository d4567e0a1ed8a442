//! The end that takes connections. It keeps nothing about a caller before the caller has shown that its address is its own.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::Config;
use crate::crypto::{Crypto, KeyLength, KeyMaterial, KeyRefusal};
use crate::handshake::{self, Extension, Group, Handshake, Hello, Kind};
use crate::packet::{Content, Control, Packet};
use crate::session::{self, Session};
use crate::{Reject, StreamId};

/// A cookie is of the minute in which it is made, and of the one after it.
const COOKIE_PERIOD_SECS: u64 = 60;

/// Answers callers. It is asked about each datagram with destination 0.
pub struct Listener {
    secret: [u8; 32],
    start: Instant,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener(..)")
    }
}

/// What comes of a datagram.
#[derive(Debug)]
pub enum Answer {
    /// To be sent to where the datagram came from. It is never longer than what came.
    Reply(Bytes),
    /// Somebody wants to connect, from an address where it was reached. Datagrams repeat: look for a session with the key
    /// [`Request::key`] first, and give it the datagram.
    Request(Box<Request>),
}

impl Listener {
    /// A listener whose cookies are made with `secret`, which nobody else may know.
    pub fn new(now: Instant, secret: [u8; 32]) -> Self {
        Self { secret, start: now }
    }

    /// Looks at a datagram with destination 0 ([`crate::packet::destination`]). Most deserve no answer.
    pub fn handle_input(&self, now: Instant, from: SocketAddr, datagram: &Bytes) -> Option<Answer> {
        let packet = Packet::read(datagram).ok()?;
        let Content::Control(Control::Handshake(body)) = &packet.content else { return None };
        // Before the cookie is known to be ours, no more than the fixed fields is looked at.
        let fixed = Handshake::read(&body.slice(..handshake::BYTES.min(body.len()))).ok()?;
        let minute = now.saturating_duration_since(self.start).as_secs() / COOKIE_PERIOD_SECS;
        match fixed.kind {
            Kind::Induction => Some(Answer::Reply(self.induction(now, from, &fixed, minute))),
            Kind::Conclusion => {
                let is_ours = [minute, minute.wrapping_sub(1)]
                    .into_iter()
                    .any(|minute| self.cookie(from, fixed.socket_id, minute) == fixed.cookie);
                is_ours.then(|| self.conclusion(now, from, &packet, body, &fixed))
            }
            _ => None,
        }
    }

    fn induction(&self, now: Instant, from: SocketAddr, request: &Handshake, minute: u64) -> Bytes {
        let answer = Handshake {
            version: handshake::VERSION,
            encryption: 0,
            field: handshake::MAGIC,
            cookie: self.cookie(from, request.socket_id, minute),
            peer_address: Handshake::address(from.ip()),
            extensions: Vec::new(),
            ..request.clone()
        };
        datagram(self.timestamp(now), request.socket_id, &answer)
    }

    fn conclusion(
        &self,
        now: Instant,
        from: SocketAddr,
        packet: &Packet,
        body: &Bytes,
        fixed: &Handshake,
    ) -> Answer {
        let refuse = |reject| Answer::Reply(refusal(self.timestamp(now), fixed, reject));
        if fixed.version < handshake::VERSION {
            return refuse(Reject::VERSION);
        }
        let Ok(handshake) = Handshake::read(body) else { return refuse(Reject::ROGUE) };
        let Some(hello) = handshake.hello_request().filter(|_| handshake.socket_id != 0) else {
            return refuse(Reject::ROGUE);
        };
        if hello.flags & Hello::STREAM != 0 {
            return refuse(Reject::MESSAGE_API);
        }
        let mut stream_id = StreamId::default();
        let mut group = None;
        for extension in &handshake.extensions {
            match extension {
                Extension::StreamId(text) => match StreamId::parse(text) {
                    Ok(id) => stream_id = id,
                    Err(_) => return refuse(Reject::BAD_REQUEST),
                },
                Extension::Congestion(name) if name != "live" => return refuse(Reject::CONGESTION),
                Extension::Filter(_) => return refuse(Reject::FILTER),
                Extension::Group(wanted) => group = Some(*wanted),
                _ => {}
            }
        }
        Answer::Request(Box::new(Request {
            peer: from,
            arrived: now,
            timestamp: packet.timestamp,
            handshake,
            hello,
            stream_id,
            group,
            answer_timestamp: self.timestamp(now),
        }))
    }

    /// Stateless: of the caller's address and socket id, of time, and of what only we know.
    fn cookie(&self, from: SocketAddr, socket_id: u32, minute: u64) -> u32 {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("keys of any length");
        mac.update(&Handshake::address(from.ip()));
        mac.update(&from.port().to_be_bytes());
        mac.update(&socket_id.to_be_bytes());
        mac.update(&minute.to_be_bytes());
        let [a, b, c, d, ..] = <[u8; 32]>::from(mac.finalize().into_bytes());
        u32::from_be_bytes([a, b, c, d])
    }

    fn timestamp(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.start).as_micros() as u32
    }
}

/// Somebody who wants to connect.
#[derive(Debug)]
pub struct Request {
    peer: SocketAddr,
    arrived: Instant,
    timestamp: u32,
    handshake: Handshake,
    hello: Hello,
    stream_id: StreamId,
    group: Option<Group>,
    answer_timestamp: u32,
}

/// A request that was refused, with what tells the caller.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub reject: Reject,
    /// To be sent to the caller.
    pub datagram: Bytes,
}

impl Request {
    /// Where the caller is.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// What tells this caller from others. The same as [`Session::key`] of the session that is made of the request.
    pub fn key(&self) -> (SocketAddr, u32) {
        (self.peer, self.handshake.socket_id)
    }

    /// What the caller wants; empty if it says nothing.
    pub fn stream_id(&self) -> &StreamId {
        &self.stream_id
    }

    /// Whether the stream is encrypted, so that a passphrase is needed to accept it.
    pub fn is_encrypted(&self) -> bool {
        self.handshake.key_request().is_some()
    }

    /// The length of its key, if it is encrypted in a way that is understood here.
    pub fn key_length(&self) -> Option<KeyLength> {
        KeyMaterial::read(self.handshake.key_request()?).ok().map(|material| material.key_length)
    }

    /// The version of the caller: `0x010504` is 1.5.4.
    pub fn version(&self) -> u32 {
        self.hello.version
    }

    /// The group of connections that it would be part of.
    pub fn group(&self) -> Option<Group> {
        self.group
    }

    /// Refuses the caller. What comes back is to be sent to it.
    pub fn reject(self, reject: Reject) -> Bytes {
        refusal(self.answer_timestamp, &self.handshake, reject)
    }

    /// Accepts the caller. `socket_id` is what the session listens to: not 0, below 2^30, and of no other session of this
    /// socket. `seed` has to come from the system's generator, anew for each session.
    ///
    /// # Errors
    ///
    /// Where one end has a passphrase and the other none, or another one; and where the caller's connection is one of a group,
    /// whose parts are not joined here. The caller is told by the datagram.
    pub fn accept(
        self,
        now: Instant,
        socket_id: u32,
        config: Config,
        seed: [u8; 32],
    ) -> Result<Session, Box<Refused>> {
        let config = config.within_limits();
        let crypto = match (&config.passphrase, self.handshake.key_request()) {
            (None, None) => Ok(None),
            (Some(passphrase), Some(request)) => {
                Crypto::respond(passphrase.clone(), request, config.refresh).map(Some)
            }
            _ => Err(KeyRefusal::NoSecret),
        };
        let reject = match crypto {
            Ok(crypto) if self.group.is_none() => {
                let accepted = session::Accepted {
                    peer: self.peer,
                    arrived: self.arrived,
                    timestamp: self.timestamp,
                    hello: self.hello,
                    handshake: self.handshake,
                };
                return Ok(Session::accepted(now, socket_id, config, seed, accepted, crypto));
            }
            Ok(_) => Reject::GROUP,
            Err(KeyRefusal::NoSecret) => Reject::UNSECURE,
            Err(KeyRefusal::BadSecret) => Reject::BAD_SECRET,
            Err(KeyRefusal::BadCipher) => Reject::CRYPTO,
        };
        Err(Box::new(Refused { reject, datagram: self.reject(reject) }))
    }
}

fn refusal(timestamp: u32, request: &Handshake, reject: Reject) -> Bytes {
    let answer = Handshake {
        version: handshake::VERSION,
        encryption: 0,
        field: 0,
        kind: Kind::Rejection(reject),
        extensions: Vec::new(),
        ..request.clone()
    };
    datagram(timestamp, request.socket_id, &answer)
}

fn datagram(timestamp: u32, destination: u32, handshake: &Handshake) -> Bytes {
    let content = Content::Control(Control::Handshake(handshake.write()));
    Packet { timestamp, destination, content }.write()
}
