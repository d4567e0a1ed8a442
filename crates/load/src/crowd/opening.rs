//! What a counting viewer says and hears until the media begins.

use crate::http;
use crate::limits::ACK_BYTES;
use crate::play::{check_answer, request};
use crate::target::Target;
use bytes::BytesMut;
use rtmp::client::{Config, Event, Session};
use std::time::Instant;

/// How much of a body is searched for the beginning of FLV: the framing of WebSocket or chunks comes first.
const SIGNATURE_WITHIN: usize = 64;

/// The conversation before the media. Boxed by its owner and dropped when the media begins.
pub(super) struct Opening {
    state: State,
    input: BytesMut,
    output: BytesMut,
}

enum State {
    Rtmp(Box<Session>),
    /// The key if WebSocket was asked for.
    Head(Option<[u8; 16]>),
    Body,
    Raw,
}

/// How far the conversation is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More must arrive.
    Waiting,
    /// Media has begun.
    Started,
    /// The server refused or broke the protocol.
    Failed,
}

impl Opening {
    /// `random` seeds the handshake or is the WebSocket key.
    pub(super) fn new(target: &Target, random: [u8; 32], now: Instant) -> Self {
        let mut output = BytesMut::new();
        let state = match target {
            Target::Rtmp(url) => State::Rtmp(Box::new(Session::new(Config::play(url), random, now))),
            Target::HttpFlv(_) | Target::WsFlv(_) => {
                let mut key = [0; 16];
                key.copy_from_slice(&random[..16]);
                let (text, key) = request(target, &key);
                output.extend_from_slice(text.as_bytes());
                State::Head(key)
            }
            // HLS has viewers of its own, that never come here.
            Target::Raw(_) | Target::Hls(_) => State::Raw,
        };
        let mut opening = Self { state, input: BytesMut::new(), output };
        opening.collect_output();
        opening
    }

    /// What acknowledgements are sealed with after an encrypted handshake; nothing else is left to be said.
    pub(super) fn into_cipher(self) -> Option<Box<Session>> {
        match self.state {
            State::Rtmp(session) if session.is_encrypted() => Some(session),
            _ => None,
        }
    }

    /// Bytes to send. The caller removes what the socket took.
    pub(super) fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Takes in what arrived.
    pub(super) fn handle(&mut self, now: Instant, bytes: &[u8]) -> Progress {
        if matches!(self.state, State::Raw) {
            return Progress::Started;
        }
        self.input.extend_from_slice(bytes);
        let progress = match &mut self.state {
            State::Rtmp(session) => rtmp(session, now, &mut self.input),
            State::Head(key) => {
                match http::read_head(&mut self.input) {
                    Ok(None) => return Progress::Waiting,
                    Ok(Some(head)) if check_answer(&head, key.as_ref()).is_ok() => {}
                    _ => return Progress::Failed,
                }
                self.state = State::Body;
                body(&self.input)
            }
            State::Body => body(&self.input),
            State::Raw => Progress::Started,
        };
        self.collect_output();
        progress
    }

    fn collect_output(&mut self) {
        if let State::Rtmp(session) = &mut self.state {
            while let Some(bytes) = session.poll_output() {
                self.output.extend_from_slice(&bytes);
            }
        }
    }
}

fn rtmp(session: &mut Session, now: Instant, input: &mut BytesMut) -> Progress {
    if session.handle_input(now, input).is_err() {
        return Progress::Failed;
    }
    let mut progress = Progress::Waiting;
    while let Some(event) = session.poll_event() {
        match event {
            Event::Message(message) if matches!(message.kind, 8 | 9) => progress = Progress::Started,
            Event::Rejected(_) | Event::Ended(_) | Event::Reconnect { .. } => return Progress::Failed,
            _ => {}
        }
    }
    progress
}

fn body(input: &[u8]) -> Progress {
    let searched = &input[..input.len().min(SIGNATURE_WITHIN)];
    if searched.windows(4).any(|four| four == b"FLV\x01") {
        Progress::Started
    } else if searched.len() == SIGNATURE_WITHIN {
        Progress::Failed
    } else {
        Progress::Waiting
    }
}

/// Whether an RTMP viewer has received enough since its last acknowledgement to send the next.
pub(super) fn acknowledges(received: u64, acknowledged: u64) -> bool {
    received - acknowledged >= ACK_BYTES
}

/// An Acknowledgement message on chunk stream 2 (`RTMP` sections 5.3.1.2 and 5.4.3): a full header, then the number of bytes
/// received so far, modulo 2^32.
pub(super) fn acknowledgement(received: u64) -> [u8; 16] {
    let mut message = [0x02, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0, 0, 0];
    message[12..].copy_from_slice(&(received as u32).to_be_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str) -> Opening {
        Opening::new(&Target::parse(url).unwrap(), [5; 32], Instant::now())
    }

    #[test]
    fn a_web_viewer_waits_for_the_signature_behind_head_and_framing() {
        let mut opening = open("http://h/live/a.flv");
        assert!(opening.output().starts_with(b"GET /live/a.flv HTTP/1.1\r\nHost: h\r\n"));
        let now = Instant::now();
        assert_eq!(
            opening.handle(now, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"),
            Progress::Waiting
        );
        assert_eq!(opening.handle(now, b"\r\nd\r\nFLV"), Progress::Waiting);
        assert_eq!(opening.handle(now, b"\x01"), Progress::Started);
    }

    #[test]
    fn answers_without_a_stream_fail() {
        let now = Instant::now();
        assert_eq!(open("http://h/a").handle(now, b"HTTP/1.1 404 No\r\n\r\n"), Progress::Failed);
        assert_eq!(open("ws://h/a").handle(now, b"HTTP/1.1 200 OK\r\n\r\nFLV\x01"), Progress::Failed);
        let mut page = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        page.extend_from_slice(&[b'<'; SIGNATURE_WITHIN]);
        assert_eq!(open("http://h/a").handle(now, &page), Progress::Failed);
    }

    #[test]
    fn an_rtmp_viewer_begins_with_the_handshake() {
        let mut opening = open("rtmp://h/live/a");
        assert_eq!((opening.output().len(), opening.output()[0]), (1537, 3));
    }

    #[test]
    fn the_acknowledgement_is_one_whole_message() {
        let mut decoder = rtmp::chunk::Decoder::new();
        let mut input = BytesMut::from(&acknowledgement(0x1_2345_6789)[..]);
        let message = decoder.next_message(&mut input).unwrap().unwrap();
        assert_eq!((message.kind, &message.payload[..]), (3, &[0x23, 0x45, 0x67, 0x89][..]));
        assert!(input.is_empty());
    }
}
