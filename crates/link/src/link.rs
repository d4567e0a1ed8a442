//! A stream that a server plays to us or takes from us.

use crate::connection::Connection;
use crate::moving::{Move, MoveCount};
use crate::open::{Opened, moved, open};
use crate::splice::{Overlap, Played};
use crate::{Error, Reach, Tls, limits};
use rtmp::client::{Event, Role};
use rtmp::command::Capabilities;
use rtmp::url::Url;
use rtmp::{Message, Swf};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How to connect.
#[derive(Debug, Clone)]
pub struct Options {
    /// Local address to connect from.
    pub local: Option<IpAddr>,
    /// Which TLS servers are trusted.
    pub tls: Tls,
    /// How long it may take until the server has agreed.
    pub timeout: Duration,
    /// Sends all commands in one flight; see [`rtmp::client::Config::pipelined`].
    pub pipelined: bool,
    /// Added in brackets to the program's name that the server is told (`flashVer`).
    pub note: Option<String>,
    /// The SWF file to be, for servers that verify it.
    pub swf: Option<Swf>,
    /// Whether a player wants sound; see [`rtmp::client::Config::audio`].
    pub audio: bool,
    /// Whether a player wants pictures; see [`rtmp::client::Config::video`].
    pub video: bool,
    /// Most bytes that the system holds for the socket beyond those on their way; see [`net::tcp::limit_unsent`].
    pub unsent_bytes_max: Option<u32>,
    /// Which addresses may be connected to.
    pub reach: Reach,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            local: None,
            tls: Tls::default(),
            timeout: limits::OPEN_TIMEOUT,
            pipelined: true,
            note: None,
            swf: None,
            audio: true,
            video: true,
            unsent_bytes_max: None,
            reach: Reach::Anywhere,
        }
    }
}

/// When the steps of opening were done.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The TCP connection stood.
    pub connected: Instant,
    /// All commands are sent. That is when the handshake is done, if they go in one flight.
    pub requested: Instant,
    /// The server agreed.
    pub accepted: Instant,
}

/// A stream being played or published.
///
/// A player follows the server's requests to reconnect by itself (E-RTMP v2 "Reconnect Request"): it opens the new
/// connection while the old one still plays, and goes over at a place that came on both, so that nothing is missing or
/// repeated and times go on. A publisher is told by [`Event::Reconnect`]: only its owner knows when a keyframe comes. See
/// [`moved`].
#[derive(Debug)]
pub struct Link {
    pub(crate) connection: Connection,
    url: Url,
    role: Role,
    options: Options,
    times: Times,
    ready: VecDeque<Event>,
    played: Played,
    moving: Option<Move>,
    move_count: MoveCount,
    /// What to add to the times of this connection, so that they continue those of the one before.
    shift: u32,
    overlap: Option<Overlap>,
    /// Bytes read from connections that were left.
    bytes_in_before: u64,
}

impl Link {
    /// Connects to `url` and waits until the server plays or takes the stream. On the way it goes where servers redirect it
    /// to, and answers those that ask who it is with the credentials of the URL. The next event is what came after that.
    ///
    /// # Errors
    /// Whatever stands in the way: a URL without a stream, no connection, a refusal, no answer in time.
    pub async fn open(url: &Url, role: Role, options: &Options) -> Result<Self, Error> {
        let Opened { connection, url, times } = open(url, role, options).await?;
        Ok(Self {
            connection,
            url,
            role,
            options: options.clone(),
            times,
            ready: VecDeque::new(),
            played: Played::default(),
            moving: None,
            move_count: MoveCount::default(),
            shift: 0,
            overlap: None,
            bytes_in_before: 0,
        })
    }

    /// Where the stream is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Address of the server, where the stream has a socket of its own.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.connection.carrier().peer()
    }

    /// When the steps of opening were done.
    pub fn times(&self) -> &Times {
        &self.times
    }

    /// What the server announced of Enhanced RTMP.
    pub fn server_capabilities(&self) -> &Capabilities {
        self.connection.session().server_capabilities()
    }

    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.role == Role::Publish {
            return self.connection.poll_event();
        }
        // What came along with the answer.
        self.take_events();
        self.ready.pop_front()
    }

    /// When the newest bytes were read.
    pub fn arrived(&self) -> Instant {
        self.connection.arrived
    }

    /// Bytes read so far.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in_before + self.connection.carrier().bytes_in
    }

    /// Bytes written so far.
    pub fn bytes_out(&self) -> u64 {
        self.connection.carrier().bytes_out
    }

    /// Bytes that wait to be written.
    pub fn queued(&self) -> usize {
        self.connection.carrier().queued()
    }

    /// Sends one message of the published stream, at once if the connection takes it. The parts are joined.
    ///
    /// # Errors
    /// A broken connection, or `Misuse` as of [`rtmp::client::Session::send_message`].
    pub fn send(&mut self, kind: u8, timestamp: u32, payload: &[&[u8]]) -> Result<(), Error> {
        self.connection.send(kind, timestamp, payload)
    }

    /// Waits until the connection did something. Returns false when the server has closed it. Nothing is lost when the
    /// future is dropped.
    ///
    /// # Errors
    /// A broken connection, or a server that breaks the protocol.
    pub async fn step(&mut self) -> Result<bool, Error> {
        let Some(moving) = &mut self.moving else {
            return self.connection.step().await;
        };
        let stepped = tokio::select! {
            biased;
            old = self.connection.step(), if !moving.left_alone => Stepped::Old(old),
            new = moving.step() => Stepped::New(new),
        };
        match stepped {
            Stepped::Old(Ok(true)) => {}
            // It did not wait until we had gone.
            Stepped::Old(_) => moving.left_alone = true,
            Stepped::New(Ok(())) => {}
            Stepped::New(Err(error)) if moving.left_alone => return Err(error),
            // It is not there, so we stay.
            Stepped::New(Err(_)) => self.moving = None,
        }
        self.take_events();
        self.go_over();
        Ok(true)
    }

    /// Takes what the connection that plays brought.
    fn take_events(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Message(message) => self.deliver(message),
                Event::Reconnect { tc_url, .. } => self.start_moving(tc_url.as_deref()),
                Event::Ended(_) | Event::Rejected(_) if self.moving.is_some() => {
                    if let Some(moving) = &mut self.moving {
                        moving.left_alone = true;
                    }
                }
                other => self.ready.push_back(other),
            }
        }
    }

    fn deliver(&mut self, mut message: Message) {
        message.timestamp = message.timestamp.wrapping_add(self.shift);
        if let Some(overlap) = &mut self.overlap {
            if !overlap.is_new(&message, &self.played) {
                return;
            }
            if overlap.is_over() {
                self.overlap = None;
            }
        }
        self.played.note(&message, self.connection.arrived);
        self.ready.push_back(Event::Message(message));
    }

    fn start_moving(&mut self, tc_url: Option<&str>) {
        // A request that nobody can follow is none: the connection lasts as long as it lasts.
        if self.moving.is_none()
            && let Ok(to) = moved(&self.url, tc_url)
            && self.move_count.admit(Instant::now())
        {
            self.moving = Some(Move::new(to, self.options.clone()));
        }
    }

    /// Leaves the old connection for the new one, if that can be done now.
    fn go_over(&mut self) {
        let now = Instant::now();
        let Some(shift) = self.moving.as_ref().and_then(|moving| moving.find_shift(&self.played, now)) else {
            return;
        };
        let Some((link, messages)) = self.moving.take().and_then(Move::arrive) else { return };
        self.bytes_in_before += self.connection.carrier().bytes_in;
        self.connection.leave();
        self.connection = link.connection;
        self.url = link.url;
        self.times = link.times;
        self.shift = shift;
        self.overlap = Some(Overlap::new(&self.played));
        for message in messages {
            self.deliver(message);
        }
    }

    /// Ends the stream properly: says goodbye and waits a little for the server to close, so that no reset overtakes the
    /// last messages. What goes wrong here no longer matters.
    pub async fn finish(mut self) {
        let _ = tokio::time::timeout(limits::LINGER, self.connection.finish()).await;
    }
}

enum Stepped {
    Old(Result<bool, Error>),
    New(Result<(), Error>),
}
