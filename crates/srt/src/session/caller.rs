//! A caller until its listener has answered (draft section 4.3.1).

use std::time::Instant;

use super::{Agreed, Phase, Reason, Session};
use crate::crypto::{Crypto, KeyLength, KeyRefusal};
use crate::handshake::{self, Extension, Handshake, Hello, Kind};
use crate::packet::Control;
use crate::{Reject, Sequence};

/// Time between requests that stay unanswered.
const REPEAT_US: i64 = 250_000;

pub(super) struct Caller {
    stream_id: String,
    initial: Sequence,
    /// The second request, once the first is answered.
    conclusion: Option<Box<(Handshake, Option<Crypto>)>>,
    pub(super) next_us: i64,
    pub(super) deadline_us: i64,
}

impl Caller {
    pub(super) fn new(stream_id: String, initial: Sequence, deadline_us: i64) -> Self {
        Self { stream_id, initial, conclusion: None, next_us: 0, deadline_us }
    }
}

impl Session {
    /// Sends the request again whose answer is awaited.
    pub(super) fn call(&mut self, now: Instant) {
        let now_us = self.us(now);
        let Phase::Calling(caller) = &mut self.phase else { return };
        if caller.deadline_us <= now_us {
            self.end(Reason::Timeout);
            return;
        }
        if caller.next_us > now_us {
            return;
        }
        caller.next_us = now_us + REPEAT_US;
        let request = match &caller.conclusion {
            Some(conclusion) => conclusion.0.write(),
            None => Handshake {
                version: handshake::VERSION_FIRST,
                encryption: 0,
                field: handshake::INDUCTION_FIELD,
                initial: caller.initial,
                mtu: super::MTU,
                flow_window: self.config.flow_window,
                kind: Kind::Induction,
                socket_id: self.socket_id,
                cookie: 0,
                peer_address: Handshake::address(self.peer.ip()),
                extensions: Vec::new(),
            }
            .write(),
        };
        self.send_control_to(now_us, 0, Control::Handshake(request));
    }

    /// Takes the listener's answer.
    pub(super) fn answered(&mut self, now: Instant, timestamp: u32, answer: &Handshake) {
        let now_us = self.us(now);
        let Phase::Calling(caller) = &mut self.phase else { return };
        match (answer.kind, &mut caller.conclusion) {
            (Kind::Rejection(reject), _) => self.end(Reason::Rejected(reject)),
            (Kind::Induction, None) => {
                if answer.version < handshake::VERSION {
                    self.end(Reason::Rejected(Reject::VERSION));
                } else if answer.field != handshake::MAGIC {
                    self.end(Reason::Rejected(Reject::ROGUE));
                } else {
                    self.conclude(now, answer);
                }
            }
            (Kind::Conclusion, Some(conclusion)) => {
                let Some(hello) = answer.hello_response().filter(|_| answer.socket_id != 0) else {
                    self.stats.malformed_datagrams += 1;
                    return;
                };
                let (request, crypto) = (&conclusion.0, conclusion.1.take());
                let refused = match (request.key_request(), answer.key_response()) {
                    (None, None) => None,
                    (Some(request), Some(response)) if request == response => None,
                    (Some(_), Some(response)) => Some(match KeyRefusal::read(response) {
                        Some(KeyRefusal::BadSecret) => Reject::BAD_SECRET,
                        Some(KeyRefusal::BadCipher) => Reject::CRYPTO,
                        Some(KeyRefusal::NoSecret) | None => Reject::UNSECURE,
                    }),
                    _ => Some(Reject::UNSECURE),
                };
                let agreed = Agreed {
                    ours: caller.initial,
                    theirs: answer.initial,
                    socket_id: answer.socket_id,
                    mtu: answer.mtu,
                    flow_window: answer.flow_window,
                    // The answer has both latencies as they were agreed upon.
                    receive_ms: hello.send_ms.max(Hello::ms(self.config.receive_latency)),
                    send_ms: hello.receive_ms.max(Hello::ms(self.config.send_latency)),
                    version: hello.version,
                    escalation: hello.flags & Hello::ESCALATION != 0,
                    arrived_us: now_us,
                    timestamp,
                };
                if let Some(reject) = refused {
                    // The listener holds it for connected.
                    self.send_control_to(now_us, answer.socket_id, Control::Shutdown);
                    self.end(Reason::Rejected(reject));
                } else {
                    self.open(agreed, crypto);
                }
            }
            _ => {}
        }
    }

    fn conclude(&mut self, now: Instant, answer: &Handshake) {
        let Phase::Calling(caller) = &mut self.phase else { return };
        let mut extensions = vec![Extension::HelloRequest(Hello {
            version: Hello::VERSION,
            flags: Hello::flags(self.config.escalation),
            receive_ms: Hello::ms(self.config.receive_latency),
            send_ms: Hello::ms(self.config.send_latency),
        })];
        let mut encryption = 0;
        let mut crypto = None;
        if let Some(passphrase) = &self.config.passphrase {
            // Who sends should decide, and a listener that advertises a longer key means it.
            let advertised = KeyLength::from_field(answer.encryption).unwrap_or_default();
            let length = if advertised.bytes() > self.config.key_length.bytes() {
                advertised
            } else {
                self.config.key_length
            };
            let made = Crypto::initiate(passphrase.clone(), length, &mut self.secrets, self.config.refresh);
            extensions.push(Extension::KeyRequest(made.request()));
            encryption = length.field();
            crypto = Some(made);
        }
        if !caller.stream_id.is_empty() {
            extensions.push(Extension::StreamId(caller.stream_id.clone()));
        }
        let request = Handshake {
            version: handshake::VERSION,
            encryption,
            field: 0,
            initial: caller.initial,
            mtu: super::MTU,
            flow_window: self.config.flow_window,
            kind: Kind::Conclusion,
            socket_id: self.socket_id,
            cookie: answer.cookie,
            peer_address: Handshake::address(self.peer.ip()),
            extensions,
        };
        caller.conclusion = Some(Box::new((request, crypto)));
        caller.next_us = i64::MIN;
        self.call(now);
    }
}
