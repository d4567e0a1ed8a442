//! One connection, from either end.

mod caller;
mod clock;
mod event;
mod pace;
mod receiver;
mod rtt;
mod sender;
mod stats;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::config::Config;
use crate::crypto::{Crypto, KeyMaterial, Secrets};
use crate::handshake::{self, Extension, Handshake, Hello, Kind};
use crate::packet::{Content, Control, Data, HEADER_BYTES, Packet};
use crate::{Error, Sequence, limits};

use caller::Caller;
use clock::PeerClock;
use receiver::Receiver;
use rtt::Rtt;
use sender::Sender;

pub use event::{Established, Event, Reason, Received};
pub use stats::Stats;

/// Bytes of the largest IP packet.
const MTU: u32 = 1500;
/// Bytes of the headers of IPv4 and UDP, as both ends count them.
const IP_AND_UDP_BYTES: usize = 28;
/// Silence after which a sign of life is sent (draft section 3.2.3).
const KEEP_ALIVE_US: i64 = 1_000_000;
/// A listener begins this far from its caller's numbers, because both encrypt with the same key.
const APART: u64 = 1 << 30;

/// A connection, or a caller's attempt at one.
///
/// The contract is the one of the `wire` crate. What a driver passes in has to be from the peer's address
/// ([`Session::peer`]); after each call it takes what [`Session::poll_output`] and [`Session::poll_event`] have, until both
/// have nothing, and calls [`Session::handle_timeout`] at the time of [`Session::poll_timeout`]. A datagram that makes no sense
/// is counted and ignored, because anybody could have sent it.
pub struct Session {
    config: Config,
    peer: SocketAddr,
    socket_id: u32,
    peer_socket_id: u32,
    start: Instant,
    secrets: Secrets,
    phase: Phase,
    outputs: VecDeque<Bytes>,
    events: VecDeque<Event>,
    stats: Stats,
    heard_us: i64,
    said_us: i64,
}

enum Phase {
    Calling(Box<Caller>),
    Open(Box<Open>),
    Closed,
}

/// A connection that is there.
struct Open {
    sender: Sender,
    receiver: Receiver,
    rtt: Rtt,
    crypto: Option<Crypto>,
    /// A listener's: what a caller asked and was answered, for when it asks again.
    answer: Option<(Handshake, Handshake)>,
    /// When the next key is announced again, and how often it still is.
    announce_us: i64,
    announcements: u32,
    /// When a key that has to be derived may be announced to us.
    derive_us: i64,
    /// The peer has closed; what it sent before is still delivered.
    closed_by_peer: bool,
}

/// What handshakes settled.
struct Agreed {
    ours: Sequence,
    theirs: Sequence,
    socket_id: u32,
    mtu: u32,
    flow_window: u32,
    receive_ms: u16,
    send_ms: u16,
    version: u32,
    /// Whether the peer has said that it knows of copies.
    escalation: bool,
    arrived_us: i64,
    timestamp: u32,
}

/// What a listener knows about a caller that it accepts.
pub(crate) struct Accepted {
    pub(crate) peer: SocketAddr,
    pub(crate) arrived: Instant,
    pub(crate) timestamp: u32,
    pub(crate) hello: Hello,
    pub(crate) handshake: Handshake,
}

/// A duration of microseconds; of a negative one nothing.
fn duration(us: i64) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or(0))
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let phase = match self.phase {
            Phase::Calling(_) => "calling",
            Phase::Open(_) => "open",
            Phase::Closed => "closed",
        };
        f.debug_struct("Session").field("peer", &self.peer).field("phase", &phase).finish_non_exhaustive()
    }
}

impl Session {
    /// Calls a listener at `peer`. `socket_id` is what the session listens to: not 0, below 2^30, and of no other session of the
    /// same socket. `seed` has to come from the system's generator, anew for each session.
    ///
    /// # Errors
    ///
    /// `Misuse` if the socket id is out of range or the stream id too long.
    pub fn connect(
        now: Instant,
        peer: SocketAddr,
        socket_id: u32,
        stream_id: &str,
        config: Config,
        seed: [u8; 32],
    ) -> Result<Self, Error> {
        if !(1..1 << 30).contains(&socket_id) {
            return Err(Error::Misuse("a socket id is not 0 and below 2^30"));
        }
        if stream_id.len() > limits::STREAM_ID_BYTES_MAX {
            return Err(Error::Misuse("the stream id is too long"));
        }
        let mut secrets = Secrets::new(seed);
        let initial = Sequence::new(secrets.bits());
        let deadline_us = config.connect_timeout.as_micros() as i64;
        let caller = Caller::new(stream_id.to_owned(), initial, deadline_us);
        let mut session = Self::new(
            now,
            peer,
            socket_id,
            config.within_limits(),
            secrets,
            Phase::Calling(Box::new(caller)),
        );
        session.call(now);
        Ok(session)
    }

    pub(crate) fn accepted(
        now: Instant,
        socket_id: u32,
        config: Config,
        seed: [u8; 32],
        accepted: Accepted,
        crypto: Option<Crypto>,
    ) -> Self {
        let Accepted { peer, arrived, timestamp, hello, handshake: request } = accepted;
        let mut session = Self::new(now, peer, socket_id, config, Secrets::new(seed), Phase::Closed);
        let ours = request.initial.plus(APART);
        let agreed = Agreed {
            ours,
            theirs: request.initial,
            socket_id: request.socket_id,
            mtu: request.mtu,
            flow_window: request.flow_window,
            receive_ms: hello.send_ms.max(Hello::ms(session.config.receive_latency)),
            send_ms: hello.receive_ms.max(Hello::ms(session.config.send_latency)),
            version: hello.version,
            escalation: hello.flags & Hello::ESCALATION != 0,
            arrived_us: -(now.saturating_duration_since(arrived).as_micros() as i64),
            timestamp,
        };
        let mut extensions = vec![Extension::HelloResponse(Hello {
            version: Hello::VERSION,
            flags: Hello::flags(agreed.escalation && session.config.escalation),
            receive_ms: agreed.receive_ms,
            send_ms: agreed.send_ms,
        })];
        extensions.extend(request.key_request().cloned().map(Extension::KeyResponse));
        let answer = Handshake {
            version: handshake::VERSION,
            encryption: crypto.as_ref().map_or(0, |crypto| crypto.key_length().field()),
            field: 0,
            initial: ours,
            mtu: request.mtu.min(MTU),
            flow_window: session.config.flow_window,
            kind: Kind::Conclusion,
            socket_id,
            cookie: request.cookie,
            peer_address: Handshake::address(peer.ip()),
            extensions,
        };
        session.open(agreed, crypto);
        session.send_control(0, Control::Handshake(answer.write()));
        if let Phase::Open(open) = &mut session.phase {
            open.answer = Some((request, answer));
        }
        session
    }

    fn new(
        now: Instant,
        peer: SocketAddr,
        socket_id: u32,
        config: Config,
        secrets: Secrets,
        phase: Phase,
    ) -> Self {
        Self {
            config,
            peer,
            socket_id,
            peer_socket_id: 0,
            start: now,
            secrets,
            phase,
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            stats: Stats::default(),
            heard_us: 0,
            said_us: 0,
        }
    }

    /// The peer's address. Datagrams of others are not for this session.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// What the session listens to: the destination of datagrams that are for it.
    pub fn socket_id(&self) -> u32 {
        self.socket_id
    }

    /// What a request of the same caller has as its key. The socket id is 0 before a listener has answered.
    pub fn key(&self) -> (SocketAddr, u32) {
        (self.peer, self.peer_socket_id)
    }

    /// Takes a datagram from the peer. Payloads that are not encrypted stay slices of it, so it should not be part of a larger
    /// buffer.
    pub fn handle_input(&mut self, now: Instant, datagram: &Bytes) {
        let taken = Packet::read(datagram).and_then(|packet| self.take(now, packet));
        self.stats.malformed_datagrams += u64::from(taken.is_err());
        self.drive(now);
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.drive(now);
    }

    /// Gives a payload to be sent: at most [`Established::payload_bytes_max`] bytes, which arrive together or not at all.
    ///
    /// # Errors
    ///
    /// `Misuse` if the connection is not there, if the payload is empty or too long, and if too many wait already, which is when
    /// [`Config::bandwidth`] or the path is too slow for them.
    pub fn send(&mut self, now: Instant, payload: Bytes) -> Result<(), Error> {
        let now_us = self.us(now);
        match &mut self.phase {
            Phase::Open(open) if !open.closed_by_peer => open.sender.give(now_us, payload)?,
            _ => return Err(Error::Misuse("the connection is not there")),
        }
        self.drive(now);
        Ok(())
    }

    /// Ends the connection, or the attempt at one. What was not sent yet is not sent any more, and libsrt does not deliver what it
    /// still holds either: a program that wants its last words heard waits until [`Stats::send_buffer_packets`] is 0, and then
    /// for [`Established::send_latency`].
    pub fn close(&mut self, now: Instant) {
        let now_us = self.us(now);
        self.shut(now_us);
        self.end(Reason::Local);
    }

    /// The next datagram to be sent to the peer.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        self.outputs.pop_front()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Session::handle_timeout`]; `None` once the session is over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let at_us = match &self.phase {
            Phase::Closed => return None,
            Phase::Calling(caller) => caller.next_us.min(caller.deadline_us),
            // Timestamps are read by the clock of when something last happened, which is near enough.
            Phase::Open(open) if open.closed_by_peer => {
                open.receiver.delivery_us(self.heard_us).unwrap_or(self.heard_us)
            }
            Phase::Open(open) => {
                let receiving = open.receiver.poll_timeout(self.heard_us.max(self.said_us), &open.rtt);
                let idle_us = self.heard_us + self.config.idle_timeout.as_micros() as i64;
                let alive_us = self.said_us + KEEP_ALIVE_US;
                let sending = open.sender.poll_timeout(&open.rtt);
                let announcing = (open.announcements > 0).then_some(open.announce_us);
                [receiving, sending, announcing, Some(idle_us), Some(alive_us)]
                    .into_iter()
                    .flatten()
                    .min()
                    .unwrap_or(idle_us)
            }
        };
        Some(self.start + duration(at_us))
    }

    /// Counters, and how things stand.
    pub fn stats(&self, now: Instant) -> Stats {
        self.stats_at(self.us(now))
    }

    fn stats_at(&self, now_us: i64) -> Stats {
        let mut stats = self.stats;
        if let Phase::Open(open) = &self.phase {
            open.sender.fill(now_us, &mut stats);
            open.receiver.fill(now_us, &mut stats);
            stats.rtt = duration(open.rtt.mean_us);
            stats.rtt_variance = duration(open.rtt.variance_us);
        }
        stats
    }

    /// Microseconds since the start.
    fn us(&self, now: Instant) -> i64 {
        now.saturating_duration_since(self.start).as_micros() as i64
    }

    fn take(&mut self, now: Instant, packet: Packet) -> Result<(), Error> {
        let now_us = self.us(now);
        let Packet { timestamp, destination, content } = packet;
        if let Content::Control(Control::Handshake(body)) = content {
            let handshake = Handshake::read(&body)?;
            if destination == 0 {
                self.repeat(now_us, &handshake);
            } else if destination == self.socket_id {
                self.answered(now, timestamp, &handshake);
            }
            return Ok(());
        }
        let Phase::Open(open) = &mut self.phase else { return Ok(()) };
        if destination != self.socket_id {
            return Err(Error::Violation("a datagram is for another socket"));
        }
        self.heard_us = now_us;
        if open.closed_by_peer {
            return Ok(());
        }
        match content {
            Content::Data(data) => {
                let crypto = open.crypto.as_ref();
                let plain = |data: &Data| plain(crypto, data);
                open.receiver.handle_data(now_us, timestamp, data, &open.rtt, &mut self.stats, plain);
            }
            Content::Control(control) => {
                let answer = open.take_control(now_us, timestamp, control, &mut self.stats)?;
                if let Some(answer) = answer {
                    self.send_control(now_us, answer);
                }
            }
        }
        Ok(())
    }

    /// A caller asks again, because it did not get the answer.
    fn repeat(&mut self, now_us: i64, handshake: &Handshake) {
        let Phase::Open(open) = &self.phase else { return };
        let Some((request, answer)) = &open.answer else { return };
        // The cookie is another one if the caller began again with the same socket id.
        if handshake.kind == Kind::Conclusion && handshake.extensions == request.extensions {
            let answer = Handshake { cookie: handshake.cookie, ..answer.clone() };
            self.send_control(now_us, Control::Handshake(answer.write()));
        }
    }

    fn open(&mut self, agreed: Agreed, crypto: Option<Crypto>) {
        let latency_us = |ms: u16| i64::from(ms) * 1_000;
        let mtu = (agreed.mtu.min(MTU) as usize).max(IP_AND_UDP_BYTES + HEADER_BYTES + 1);
        let payload_bytes_max = mtu - IP_AND_UDP_BYTES - HEADER_BYTES;
        let clock = PeerClock::new(agreed.arrived_us, agreed.timestamp, latency_us(agreed.receive_ms));
        self.peer_socket_id = agreed.socket_id;
        self.heard_us = self.heard_us.max(agreed.arrived_us);
        self.events.push_back(Event::Established(Established {
            receive_latency: Duration::from_millis(agreed.receive_ms.into()),
            send_latency: Duration::from_millis(agreed.send_ms.into()),
            peer_version: agreed.version,
            encrypted: crypto.is_some(),
            payload_bytes_max,
        }));
        self.phase = Phase::Open(Box::new(Open {
            sender: Sender::new(
                agreed.ours,
                latency_us(agreed.send_ms),
                agreed.flow_window,
                payload_bytes_max,
                self.config.bandwidth,
                agreed.escalation && self.config.escalation,
            ),
            receiver: Receiver::new(agreed.theirs, clock, self.config.flow_window),
            rtt: Rtt::new(),
            crypto,
            answer: None,
            announce_us: 0,
            announcements: 0,
            derive_us: 0,
            closed_by_peer: false,
        }));
    }

    /// Does all that is due, and queues what it makes.
    fn drive(&mut self, now: Instant) {
        self.call(now);
        let now_us = self.us(now);
        let Phase::Open(open) = &mut self.phase else { return };
        while self.events.len() < limits::EVENTS_MAX
            && let Some(delivered) = open.receiver.poll_delivery(now_us, &mut self.stats)
        {
            let sent_us = open.receiver.sent_us(now_us, delivered.timestamp);
            self.events.push_back(Event::Data(Received {
                payload: delivered.payload,
                sent_at: self.start + duration(sent_us),
                missing_before: delivered.missing_before,
            }));
        }
        if open.closed_by_peer {
            if open.receiver.is_empty() {
                self.end(Reason::Peer);
            }
            return;
        }
        if now_us - self.heard_us >= self.config.idle_timeout.as_micros() as i64 {
            self.end(Reason::Timeout);
            return;
        }
        let mut controls = Vec::new();
        while let Some(control) = open.receiver.poll_control(now_us, &open.rtt) {
            controls.push(control);
        }
        open.sender.handle_timeout(now_us, &open.rtt, &mut self.stats);
        let mut packets = Vec::new();
        while self.outputs.len() + packets.len() < limits::OUTPUTS_MAX
            && let Some(packet) = open.sender.poll(now_us, open.crypto.as_mut(), &mut self.stats)
        {
            packets.push(packet);
        }
        controls.extend(open.announce(now_us, &mut self.secrets));
        for control in controls {
            self.send_control(now_us, control);
        }
        for (given_us, data) in packets {
            self.send_packet(now_us, given_us, self.peer_socket_id, Content::Data(data));
        }
        if now_us - self.said_us >= KEEP_ALIVE_US {
            self.send_control(now_us, Control::KeepAlive);
        }
    }

    fn send_control(&mut self, now_us: i64, control: Control) {
        self.send_control_to(now_us, self.peer_socket_id, control);
    }

    fn send_control_to(&mut self, now_us: i64, destination: u32, control: Control) {
        if self.outputs.len() < 2 * limits::OUTPUTS_MAX {
            self.send_packet(now_us, now_us, destination, Content::Control(control));
        }
    }

    fn send_packet(&mut self, now_us: i64, time_us: i64, destination: u32, content: Content) {
        self.said_us = now_us;
        self.outputs.push_back(Packet { timestamp: time_us as u32, destination, content }.write());
    }

    /// Tells the peer that it is over, if there is a connection.
    fn shut(&mut self, now_us: i64) {
        if matches!(&self.phase, Phase::Open(open) if !open.closed_by_peer) {
            self.send_control(now_us, Control::Shutdown);
        }
    }

    fn end(&mut self, reason: Reason) {
        if !matches!(self.phase, Phase::Closed) {
            // How things stood is of interest most when they have ended.
            self.stats = self.stats_at(self.heard_us.max(self.said_us));
            self.phase = Phase::Closed;
            self.events.push_back(Event::Closed(reason));
        }
    }
}

/// The payload of a data packet, decrypted where it has to be. A stream that should be encrypted takes nothing that is not.
fn plain(crypto: Option<&Crypto>, data: &Data) -> Option<Bytes> {
    match (crypto, data.key) {
        (None, None) => Some(data.payload.clone()),
        (Some(crypto), Some(parity)) => {
            let mut payload = BytesMut::from(&data.payload[..]);
            crypto.open(parity, data.sequence, &mut payload).then(|| payload.freeze())
        }
        _ => None,
    }
}

impl Open {
    /// Takes a control packet, and says what it is answered with at once.
    fn take_control(
        &mut self,
        now_us: i64,
        timestamp: u32,
        control: Control,
        stats: &mut Stats,
    ) -> Result<Option<Control>, Error> {
        match control {
            Control::Acknowledgement(acknowledgement) => {
                self.sender.handle_acknowledgement(now_us, &acknowledgement)?;
                if let Some(measured) = acknowledgement.measured.filter(|measured| measured.rtt_us > 0) {
                    self.rtt.add(i64::from(measured.rtt_us));
                }
                if acknowledgement.number != 0 {
                    return Ok(Some(Control::Answer(acknowledgement.number)));
                }
            }
            Control::Answer(number) => self.receiver.handle_answer(now_us, number, timestamp, &mut self.rtt),
            Control::LossReport(report) => {
                return self.sender.handle_loss_report(now_us, &report, &self.rtt, stats);
            }
            Control::Drop { first, last, .. } => self.receiver.handle_drop(first, last)?,
            Control::Shutdown => self.closed_by_peer = true,
            Control::KeyRequest(body) => return self.take_keys(now_us, body),
            Control::KeyResponse(body) => {
                let crypto = self.crypto.as_mut().filter(|_| self.announcements > 0);
                crypto
                    .ok_or(Error::Violation("keys are answered that were not announced"))?
                    .take_answer(&body);
            }
            // Of no meaning for live streams, or for versions to come.
            Control::Handshake(_)
            | Control::KeepAlive
            | Control::Congestion
            | Control::PeerError(_)
            | Control::Unknown { .. } => {}
        }
        Ok(None)
    }

    /// New keys are taken only where the handshake has agreed upon encryption, so that nobody can have any without the
    /// passphrase, and rarely where they cost a derivation.
    fn take_keys(&mut self, now_us: i64, body: Bytes) -> Result<Option<Control>, Error> {
        let crypto =
            self.crypto.as_mut().ok_or(Error::Violation("keys for a stream that is not encrypted"))?;
        let material = KeyMaterial::read(&body)?;
        if crypto.derives(&material) {
            if now_us < self.derive_us {
                return Err(Error::Violation("keys with other salts come too often"));
            }
            self.derive_us = now_us + limits::KEY_DERIVATION_INTERVAL.as_micros() as i64;
        }
        Ok(Some(match crypto.take_announcement(&material) {
            Ok(()) => Control::KeyResponse(body),
            Err(refusal) => Control::KeyResponse(refusal.write()),
        }))
    }

    /// Announces the next key when it is time for it, again and again until it is answered.
    fn announce(&mut self, now_us: i64, secrets: &mut Secrets) -> Option<Control> {
        let Some(announcement) = self.crypto.as_mut()?.announcement(secrets) else {
            self.announcements = 0;
            return None;
        };
        if self.announcements > 0 && now_us < self.announce_us {
            return None;
        }
        // As libsrt does: one and a half round trips.
        let interval_us = self.rtt.mean_us * 3 / 2;
        self.announcements += 1;
        self.announce_us =
            now_us + interval_us * i64::from(1 + self.announcements / limits::KEY_ANNOUNCEMENTS_MAX);
        Some(Control::KeyRequest(announcement))
    }
}
