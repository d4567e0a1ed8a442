//! One viewer of HLS: its connections, its tracks, and its buffer.

use super::Style;
use super::buffer::Buffer;
use super::connection::{Answer, Connection, Scratch};
use super::playlist::{read_media, read_multivariant};
use super::track::{Arrival, Received, Reload, Track, resolve};
use crate::crowd::Seat;
use crate::http;
use crate::limits::BLOCKED_ANSWER_TIMEOUT;
use crate::target::Target;
use mio::net::TcpStream;
use std::io;
use std::time::{Duration, Instant, SystemTime};

/// Connections of a viewer: those of track N are 2 N for playlists and 2 N + 1 for media. Files have one each.
pub(crate) const CONNECTIONS: usize = 4;

/// What an event did to a viewer, beside what it noted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// It cannot go on.
    Failed(String),
}

/// What happened since it was asked last.
#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) bytes: u64,
    pub(super) answers: u64,
    pub(super) refused: u64,
    pub(super) received: Vec<Received>,
    /// The first keyframe is complete, so long after the join.
    pub(super) started: Option<Duration>,
}

pub(super) struct Viewer {
    pub(super) seat: Seat,
    style: Style,
    state: State,
    authority: String,
    connections: [Connection; CONNECTIONS],
    tracks: Vec<Track>,
    buffer: Buffer,
    noted: Noted,
    counted: u64,
    joined_at: Instant,
    /// When something was complete for the last time.
    answered_at: Instant,
    /// Reloads that are due, by track.
    reloads: [Option<(Instant, String)>; CONNECTIONS / 2],
    timer: Option<Instant>,
    /// The paths that it asks for again and again.
    files: Vec<String>,
    /// When it does so next.
    files_due: Instant,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// Waiting for the multivariant playlist.
    Choosing,
    /// Waiting for the first part.
    Starting,
    Watching,
    Gone,
}

impl Viewer {
    pub(super) fn new(seat: Seat, style: Style) -> Self {
        let now = Instant::now();
        Self {
            seat,
            style,
            state: State::Idle,
            authority: String::new(),
            connections: std::array::from_fn(|_| Connection::new()),
            tracks: Vec::new(),
            buffer: Buffer::new(0),
            noted: Noted::default(),
            counted: 0,
            joined_at: now,
            answered_at: now,
            reloads: std::array::from_fn(|_| None),
            timer: None,
            files: Vec::new(),
            files_due: now,
        }
    }

    /// Whether it has not joined yet.
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    pub(super) fn is_watching(&self) -> bool {
        self.state == State::Watching
    }

    /// Bytes received on all connections.
    pub(super) fn bytes(&self) -> u64 {
        self.connections.iter().map(|connection| connection.bytes).sum()
    }

    /// How often it ran out of media, and for how long.
    pub(super) fn stalls(&mut self, now: Instant) -> (u64, Duration) {
        if self.is_watching() {
            self.buffer.advance(now);
        }
        (self.buffer.stalls, self.buffer.stalled)
    }

    /// Begins with the multivariant playlist.
    pub(super) fn join(&mut self, target: &Target, now: Instant) -> Change {
        let Target::Hls(web) = target else { return Change::Failed("no playlist to begin with".into()) };
        self.state = State::Choosing;
        self.authority = web.authority();
        (self.joined_at, self.answered_at) = (now, now);
        // Its path is that of a track until the tracks are known.
        self.tracks = vec![Track::new(web.path.clone(), self.style == Style::Parts)];
        let path = web.path.clone();
        self.ask(0, &path, true)
    }

    /// Begins to ask for files, at whole multiples of `every` after `start`.
    pub(super) fn join_files<'a>(
        &mut self,
        targets: impl Iterator<Item = &'a Target>,
        start: Instant,
        every: Duration,
        now: Instant,
    ) -> Change {
        for target in targets.take(CONNECTIONS) {
            if let Target::Hls(web) | Target::HttpFlv(web) = target {
                self.authority = web.authority();
                self.files.push(web.path.clone());
            }
        }
        self.state = State::Starting;
        (self.joined_at, self.answered_at) = (now, now);
        let periods = now.saturating_duration_since(start).as_nanos() / every.as_nanos().max(1) + 1;
        self.files_due = start + every * periods as u32;
        self.timer = Some(self.files_due);
        self.ask_files()
    }

    /// A connection that still waits for an answer is left out.
    fn ask_files(&mut self) -> Change {
        for (number, path) in self.files.clone().iter().enumerate() {
            if self.connections[number].is_idle() {
                let change = self.ask(number, path, false);
                if change != Change::None {
                    return change;
                }
            }
        }
        Change::None
    }

    /// Whether something is asked for where there is no connection yet.
    pub(super) fn wants_connection(&self, number: usize) -> bool {
        let connection = &self.connections[number];
        connection.stream.is_none() && !connection.is_idle()
    }

    /// Goes on with a socket that is connecting.
    pub(super) fn connected(&mut self, number: usize, stream: TcpStream) -> io::Result<()> {
        self.connections[number].stream = Some(stream);
        self.connections[number].flush()
    }

    /// Closes all connections, for good.
    pub(super) fn close(&mut self) {
        self.connections = std::array::from_fn(|_| Connection::new());
        self.reloads = std::array::from_fn(|_| None);
        self.state = State::Gone;
    }

    /// What was noted since the last call.
    pub(super) fn take_noted(&mut self) -> Noted {
        let bytes = self.bytes();
        let before = std::mem::replace(&mut self.counted, bytes);
        Noted { bytes: bytes.saturating_sub(before), ..std::mem::take(&mut self.noted) }
    }

    /// When to call [`Viewer::handle_timeout`], if that has changed.
    pub(super) fn take_timer(&mut self) -> Option<Instant> {
        self.timer.take()
    }

    /// Reloads what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Change {
        if let Style::Files(every) = self.style {
            self.files_due += every;
            self.timer = Some(self.files_due);
            return self.ask_files();
        }
        for track in 0..self.reloads.len() {
            if let Some((_, path)) = self.reloads[track].take_if(|(at, _)| *at <= now) {
                let change = self.ask(2 * track, &path, true);
                if change != Change::None {
                    return change;
                }
            }
        }
        Change::None
    }

    /// Looks at the time limits.
    pub(super) fn check(&mut self, now: Instant, join_timeout: Duration) -> Change {
        let since = |at: Instant| now.saturating_duration_since(at);
        match self.state {
            State::Choosing | State::Starting if since(self.joined_at) > join_timeout => {
                Change::Failed("no media within the time allowed for a join".into())
            }
            State::Watching if since(self.answered_at) > BLOCKED_ANSWER_TIMEOUT => {
                Change::Failed("no answer within the time allowed".into())
            }
            _ => Change::None,
        }
    }

    /// A socket is ready.
    pub(super) fn handle_event(
        &mut self,
        number: usize,
        event: &mio::event::Event,
        scratch: &mut Scratch,
    ) -> Change {
        let connection = &mut self.connections[number];
        if event.is_writable()
            && let Err(error) = connection.flush()
        {
            return Change::Failed(error.to_string());
        }
        if !event.is_readable() {
            return Change::None;
        }
        match connection.read(scratch) {
            Ok(Some(answer)) => self.handle_answer(number, answer),
            Ok(None) => Change::None,
            // Between requests a server may close; the next one opens another.
            Err(_) if connection.is_idle() => {
                connection.stream = None;
                Change::None
            }
            Err(why) => Change::Failed(why),
        }
    }

    fn handle_answer(&mut self, number: usize, answer: Answer) -> Change {
        let arrival = Arrival { at: Instant::now(), of_day: SystemTime::now() };
        self.answered_at = arrival.at;
        self.noted.answers += 1;
        let is_there = answer.status == 200;
        self.noted.refused += u64::from(!is_there);
        if let Style::Files(_) = self.style {
            if !is_there {
                return Change::Failed(format!("the server refused: status {}", answer.status));
            }
            if self.state == State::Starting {
                self.state = State::Watching;
                self.noted.started = Some(arrival.at.saturating_duration_since(self.joined_at));
            }
            return Change::None;
        }
        let track = number / 2;
        if number % 2 == 1 {
            if let Some(received) = self.tracks[track].handle_answer(is_there, arrival) {
                self.note(track, received, arrival.at);
            }
            return self.ask_media(track);
        }
        let done = match (is_there, &self.state) {
            (true, State::Choosing) => self.choose(&answer.text),
            (true, _) => self.take_playlist(track, &answer.text, arrival.at),
            (false, State::Choosing | State::Starting) => {
                Err(format!("the server refused: status {}", answer.status))
            }
            // The state that was waited for did not come.
            (false, _) => {
                let path = self.tracks[track].path().to_owned();
                self.reload_after(track, Duration::from_secs(1), path, arrival.at);
                Ok(Change::None)
            }
        };
        done.unwrap_or_else(Change::Failed)
    }

    /// Takes the multivariant playlist, and asks for those of the tracks.
    fn choose(&mut self, text: &[u8]) -> Result<Change, String> {
        let text = String::from_utf8_lossy(text);
        let found = read_multivariant(&text).map_err(|error| error.to_string())?;
        let base = self.tracks[0].path().to_owned();
        let paths = [Some(found.variant), found.audio];
        let paths: Option<Vec<String>> =
            paths.into_iter().flatten().map(|uri| resolve(&base, &uri)).collect();
        let paths = paths.ok_or("a media playlist that has no address")?;
        self.buffer = Buffer::new(paths.len());
        self.tracks = paths.iter().map(|path| Track::new(path.clone(), self.style == Style::Parts)).collect();
        self.state = State::Starting;
        for (track, path) in paths.iter().enumerate() {
            let change = self.ask(2 * track, path, true);
            if change != Change::None {
                return Ok(change);
            }
        }
        Ok(Change::None)
    }

    fn take_playlist(&mut self, track: usize, text: &[u8], now: Instant) -> Result<Change, String> {
        let text = String::from_utf8_lossy(text);
        let media = read_media(&text).map_err(|error| error.to_string())?;
        let (reload, received, lead_in) = self.tracks[track].handle_playlist(media);
        if let Some(lead_in) = lead_in {
            self.buffer.lead_in(track, lead_in);
        }
        for received in received {
            self.note(track, received, now);
        }
        let change = match reload {
            Reload::Blocking(path) => self.ask(2 * track, &path, true),
            Reload::After(wait, path) => {
                self.reload_after(track, wait, path, now);
                Change::None
            }
            Reload::Never => Change::None,
        };
        Ok(if change == Change::None { self.ask_media(track) } else { change })
    }

    fn reload_after(&mut self, track: usize, wait: Duration, path: String, now: Instant) {
        let at = now + wait;
        self.reloads[track] = Some((at, path));
        self.timer = Some(self.timer.map_or(at, |timer| timer.min(at)));
    }

    fn note(&mut self, track: usize, received: Received, now: Instant) {
        self.buffer.receive(track, received.duration, now);
        if self.state == State::Starting && track == 0 {
            self.state = State::Watching;
            self.noted.started = Some(now.saturating_duration_since(self.joined_at));
        }
        // What was there before it joined is late on purpose.
        let is_live =
            received.latency.is_some_and(|latency| latency < now.saturating_duration_since(self.joined_at));
        self.noted.received.push(Received { latency: received.latency.filter(|_| is_live), ..received });
    }

    fn ask_media(&mut self, track: usize) -> Change {
        if !self.connections[2 * track + 1].is_idle() {
            return Change::None;
        }
        match self.tracks[track].ask() {
            Some(path) => self.ask(2 * track + 1, &path, false),
            None => Change::None,
        }
    }

    fn ask(&mut self, number: usize, path: &str, keep: bool) -> Change {
        let session = format!("X-Playback-Session-Id: rushlight-{}\r\n", self.seat.number);
        let request = http::request(&self.authority, path, &session);
        match self.connections[number].ask(&request, keep) {
            Ok(()) => Change::None,
            Err(error) => Change::Failed(error.to_string()),
        }
    }
}
