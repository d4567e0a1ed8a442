//! A path with two ends, and a clock that jumps to what happens next.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use testkit::link::{Config as LinkConfig, Link};

use crate::session::{Event, Received, Session};
use crate::{Answer, Config, Established, Listener, Reason, Reject, Request, packet};

pub(super) const SOCKET_ID: u32 = 77;

/// What a listener's program does with a request.
pub(super) type Decide = fn(Box<Request>, Instant, Config) -> Result<Session, Bytes>;

pub(super) fn accept(request: Box<Request>, now: Instant, config: Config) -> Result<Session, Bytes> {
    request.accept(now, SOCKET_ID, config, [2; 32]).map_err(|refused| refused.datagram)
}

/// One end: its session if it has one, and what happened there.
pub(super) struct End {
    pub(super) session: Option<Session>,
    pub(super) received: Vec<(Instant, Received)>,
    pub(super) established: Vec<Established>,
    pub(super) closed: Option<Reason>,
}

impl End {
    fn new(session: Option<Session>) -> Self {
        Self { session, received: Vec::new(), established: Vec::new(), closed: None }
    }

    pub(super) fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("a session")
    }

    /// Numbers that [`Path::stream`] sent.
    pub(super) fn numbers(&self) -> Vec<u64> {
        let number = |received: &Received| u64::from_be_bytes(received.payload[..8].try_into().unwrap());
        self.received.iter().map(|(_, received)| number(received)).collect()
    }
}

pub(super) struct Path {
    pub(super) now: Instant,
    pub(super) start: Instant,
    pub(super) caller: End,
    pub(super) listening: End,
    listener: Listener,
    listener_config: Config,
    decide: Decide,
    there: Link,
    back: Link,
    /// Every datagram, with whether the caller sent it.
    pub(super) log: Vec<(bool, Bytes)>,
    duplicate_every: Option<usize>,
    tampering: Option<fn(bool, Bytes) -> Option<Bytes>>,
    queue: VecDeque<Bytes>,
}

pub(super) fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 9000))
}

impl Path {
    pub(super) fn new(caller: Config, listener: Config, link: LinkConfig) -> Self {
        Self::with(caller, listener, link, "#!::r=live/cam,m=publish", accept)
    }

    pub(super) fn with(
        caller: Config,
        listener_config: Config,
        link: LinkConfig,
        stream_id: &str,
        decide: Decide,
    ) -> Self {
        let now = Instant::now();
        let session = Session::connect(now, address(2), 55, stream_id, caller, [1; 32]).unwrap();
        let back = LinkConfig { seed: link.seed ^ 0xb4cc, ..link.clone() };
        Self {
            now,
            start: now,
            caller: End::new(Some(session)),
            listening: End::new(None),
            listener: Listener::new(now, [3; 32]),
            listener_config,
            decide,
            there: Link::new(link, now),
            back: Link::new(back, now),
            log: Vec::new(),
            duplicate_every: None,
            tampering: None,
            queue: VecDeque::new(),
        }
    }

    /// Sends every datagram with a number divisible by `count` twice.
    pub(super) fn duplicating(mut self, count: usize) -> Self {
        self.duplicate_every = Some(count);
        self
    }

    /// Changes or removes datagrams; the first argument is whether the caller sent it.
    pub(super) fn tampering(mut self, with: fn(bool, Bytes) -> Option<Bytes>) -> Self {
        self.tampering = Some(with);
        self
    }

    fn settle(&mut self) {
        for (end, from_caller) in [(&mut self.caller, true), (&mut self.listening, false)] {
            let Some(session) = &mut end.session else { continue };
            while let Some(event) = session.poll_event() {
                assert_eq!(end.closed, None, "{event:?} after the end");
                match event {
                    Event::Established(established) => end.established.push(established),
                    Event::Data(received) => end.received.push((self.now, received)),
                    Event::Closed(reason) => end.closed = Some(reason),
                }
            }
            while let Some(datagram) = session.poll_output() {
                assert!(datagram.len() <= crate::limits::DATAGRAM_BYTES_MAX);
                self.log.push((from_caller, datagram.clone()));
                let twice = self.duplicate_every.is_some_and(|every| self.log.len().is_multiple_of(every));
                let Some(datagram) =
                    self.tampering.map_or(Some(datagram.clone()), |with| with(from_caller, datagram))
                else {
                    continue;
                };
                let link = if from_caller { &mut self.there } else { &mut self.back };
                if twice {
                    link.enqueue(self.now, datagram.clone());
                }
                link.enqueue(self.now, datagram);
            }
        }
        while let Some(reply) = self.queue.pop_front() {
            self.log.push((false, reply.clone()));
            self.back.enqueue(self.now, reply);
        }
    }

    fn listen(&mut self, datagram: Bytes) {
        if packet::destination(&datagram) != Some(0) {
            if let Some(session) = &mut self.listening.session {
                session.handle_input(self.now, &datagram);
            }
            return;
        }
        match self.listener.handle_input(self.now, address(1), &datagram) {
            None => {}
            Some(Answer::Reply(reply)) => {
                assert!(reply.len() <= datagram.len(), "an answer is longer than what came");
                self.queue.push_back(reply);
            }
            Some(Answer::Request(request)) => match &mut self.listening.session {
                Some(session) if session.key() == request.key() => session.handle_input(self.now, &datagram),
                _ => match (self.decide)(request, self.now, self.listener_config.clone()) {
                    Ok(session) => self.listening.session = Some(session),
                    Err(refusal) => self.queue.push_back(refusal),
                },
            },
        }
    }

    /// Lets time pass until `until`.
    pub(super) fn run_until(&mut self, until: Instant) {
        let mut steps_without_time = 0;
        loop {
            self.settle();
            let sessions = [&self.caller.session, &self.listening.session];
            let timers = sessions.into_iter().flatten().filter_map(Session::poll_timeout);
            let next = timers.chain(self.there.poll_timeout()).chain(self.back.poll_timeout()).min();
            let Some(next) = next.map(|next| next.max(self.now)).filter(|next| *next <= until) else { break };
            steps_without_time = if next == self.now { steps_without_time + 1 } else { 0 };
            assert!(steps_without_time < 100_000, "time stands still");
            self.now = next;
            while let Some(datagram) = self.there.poll(self.now) {
                self.listen(datagram);
            }
            while let Some(datagram) = self.back.poll(self.now) {
                if let Some(session) = &mut self.caller.session {
                    session.handle_input(self.now, &datagram);
                }
            }
            for end in [&mut self.caller, &mut self.listening] {
                if let Some(session) =
                    end.session.as_mut().filter(|session| session.poll_timeout() <= Some(next))
                {
                    session.handle_timeout(self.now);
                }
            }
        }
        self.now = until;
    }

    pub(super) fn run(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Sends numbered payloads of 1316 bytes, one every `interval`, from the caller or to it.
    pub(super) fn stream(&mut self, from_caller: bool, count: u64, interval: Duration) {
        for number in 0..count {
            let mut payload = vec![number as u8; 1316];
            payload[..8].copy_from_slice(&number.to_be_bytes());
            let end = if from_caller { &mut self.caller } else { &mut self.listening };
            end.session().send(self.now, payload.into()).unwrap();
            self.run(interval);
        }
    }

    pub(super) fn rejected(&self) -> Option<Reject> {
        match self.caller.closed {
            Some(Reason::Rejected(reject)) => Some(reject),
            _ => None,
        }
    }
}

pub(super) fn delay(ms: u64) -> LinkConfig {
    LinkConfig { delay: Duration::from_millis(ms), ..LinkConfig::default() }
}
