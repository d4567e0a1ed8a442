//! FLV over HTTP or WebSocket on a socket.

use crate::http::{self, Body, Head};
use crate::target::{Target, Web};
use crate::{Error, ws};
use bytes::{Buf, BytesMut};
use media::Packet;
use media::container::flv::Demuxer;
use net::Stream;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};
use std::time::Instant;

const READ_BYTES: usize = 64 << 10;

/// Sends the request, then takes head, framing and container off what arrives.
#[derive(Debug)]
pub(super) struct FlvLink {
    stream: Stream,
    input: BytesMut,
    flv: BytesMut,
    output: BytesMut,
    state: State,
    demuxer: Demuxer,
    pub(super) arrived: Instant,
    pub(super) bytes_in: u64,
    pub(super) requested: Option<Instant>,
    /// When the answer was read.
    pub(super) accepted: Option<Instant>,
    pub(super) first_media: Option<Instant>,
}

#[derive(Debug)]
enum State {
    /// Waiting for the head; the key if WebSocket was asked for.
    Head(Option<[u8; 16]>),
    Http(Body),
    WebSocket(ws::Decoder, [u8; 4]),
}

impl FlvLink {
    pub(super) fn new(stream: Stream, target: &Target) -> Result<Self, Error> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| Error::Local(format!("no random numbers: {error}")))?;
        let (request, key) = request(target, &key);
        let now = Instant::now();
        Ok(Self {
            stream,
            input: BytesMut::new(),
            flv: BytesMut::new(),
            output: BytesMut::from(request.as_str()),
            state: State::Head(key),
            demuxer: Demuxer::new(),
            arrived: now,
            bytes_in: 0,
            requested: None,
            accepted: None,
            first_media: None,
        })
    }

    /// The next packet that has arrived already.
    pub(super) fn packet(&mut self) -> Result<Option<Packet>, Error> {
        Ok(self.demuxer.push(&mut self.flv)?)
    }

    /// Waits until the connection did something. Returns false at the end of the stream. Nothing is lost when the future is
    /// dropped.
    pub(super) async fn step(&mut self) -> Result<bool, Error> {
        poll_fn(|cx| self.poll_step(cx)).await
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        if let Poll::Ready(Err(error)) = self.poll_write(cx) {
            return Poll::Ready(Err(error.into()));
        }
        self.input.reserve(READ_BYTES);
        match self.stream.poll_read_buf(cx, &mut self.input) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(false)),
            Poll::Ready(Ok(count)) => {
                self.arrived = Instant::now();
                self.bytes_in += count as u64;
                let open = self.decode()?;
                // The answer to a ping or a close.
                match self.poll_write(cx) {
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
                    _ => Poll::Ready(Ok(open)),
                }
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn decode(&mut self) -> Result<bool, Error> {
        if let State::Head(key) = &self.state {
            let Some(head) = http::read_head(&mut self.input)? else { return Ok(true) };
            self.state = answered(&head, key.as_ref())?;
            self.accepted = Some(self.arrived);
        }
        let open = match &mut self.state {
            State::Head(_) => true,
            State::Http(body) => {
                body.decode(&mut self.input, &mut self.flv)?;
                !body.is_ended()
            }
            State::WebSocket(decoder, mask) => {
                decoder.decode(&mut self.input, &mut self.flv, &mut self.output, *mask)?;
                !decoder.is_closed()
            }
        };
        if !self.flv.is_empty() {
            self.first_media.get_or_insert(self.arrived);
        }
        Ok(open)
    }

    /// Writes until everything has left the stream.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write_vectored(&[IoSlice::new(&self.output)]) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => self.output.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        ready!(self.stream.poll_flush(cx))?;
        self.requested.get_or_insert_with(Instant::now);
        Poll::Ready(Ok(()))
    }
}

/// The request for a stream, and the key if it asks for WebSocket.
pub(crate) fn request(target: &Target, key: &[u8; 16]) -> (String, Option<[u8; 16]>) {
    let of = |web: &Web, extra: &str| http::request(&web.authority(), &web.path, extra);
    match target {
        Target::WsFlv(web) => (of(web, &ws::upgrade(key)), Some(*key)),
        Target::HttpFlv(web) => (of(web, ""), None),
        Target::Rtmp(_) | Target::Hls(_) | Target::Raw(_) => (String::new(), None),
    }
}

/// Checks that the answer is the stream that was asked for.
pub(crate) fn check_answer(head: &Head, key: Option<&[u8; 16]>) -> Result<(), Error> {
    let Head { status, reason, location, .. } = head;
    match (status, key) {
        (101, Some(key)) => match &head.websocket_accept {
            Some(accept) if *accept == ws::accept(key) => Ok(()),
            _ => Err(Error::Protocol("the WebSocket answer does not fit the request".into())),
        },
        (200, None) => Ok(()),
        (300..=399, _) if location.is_some() => {
            let location = location.as_deref().unwrap_or_default();
            Err(Error::Refused(format!("{status} {reason}: the stream is at {location}")))
        }
        _ => Err(Error::Refused(format!("{status} {reason}"))),
    }
}

fn answered(head: &Head, key: Option<&[u8; 16]>) -> Result<State, Error> {
    check_answer(head, key)?;
    Ok(match key {
        // The key is random, so its first bytes will do as the mask. A proxy that could be fooled by a fixed mask sees
        // nothing from us but pongs.
        Some([a, b, c, d, ..]) => State::WebSocket(ws::Decoder::default(), [*a, *b, *c, *d]),
        None => State::Http(Body::new(head.framing)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Framing;

    fn head(status: u16) -> Head {
        let reason = "Because".into();
        Head { status, reason, framing: Framing::UntilClose, location: None, websocket_accept: None }
    }

    #[test]
    fn answers_that_are_not_the_stream_are_errors_that_say_so() {
        assert!(check_answer(&head(200), None).is_ok());
        assert_eq!(
            check_answer(&head(404), None).unwrap_err().to_string(),
            "the server refused: 404 Because"
        );
        let moved = Head { location: Some("http://b/".into()), ..head(302) };
        assert!(check_answer(&moved, None).unwrap_err().to_string().ends_with("the stream is at http://b/"));
        let key = [9; 16];
        assert!(check_answer(&head(200), Some(&key)).is_err(), "no change to WebSocket");
        assert!(check_answer(&head(101), Some(&key)).is_err(), "no proof");
        let right = Head { websocket_accept: Some(ws::accept(&key)), ..head(101) };
        assert!(check_answer(&right, Some(&key)).is_ok());
        assert!(check_answer(&right, Some(&[8; 16])).is_err(), "the proof of another key");
    }
}
