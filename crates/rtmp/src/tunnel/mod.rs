//! RTMPT: the bytes of an RTMP connection inside HTTP requests, for networks that let nothing else through.
//!
//! There is no public text of Adobe's; this follows what its programs and those of others do on the wire. All requests
//! are POST, one at a time and numbered from 0, so that they may come on several TCP connections and through proxies:
//!
//! ```text
//! POST /open/1                ──▶             a session begins
//!                             ◀── ID \n       its name; no interval byte here
//! POST /send/ID/0  bytes      ──▶             bytes for the server
//!                             ◀── I bytes     what waits for the client, behind the interval byte
//! POST /idle/ID/1  one byte   ──▶             nothing to say; what is there for me?
//!                             ◀── I bytes
//! POST /close/ID/2 one byte   ──▶             the end
//!                             ◀── 0
//! ```
//!
//! The interval byte tells the client how eagerly to poll; it is no part of the RTMP bytes, also not where those are
//! encrypted. [`read_request`], [`Turns`] and [`Pace`] are the server's half, [`Client`] is the other. The two are wired
//! to bytes of RTMP by their driver: what comes out of the tunnel is the input of a session as it would come from a
//! socket.

mod client;
mod pace;
mod reply;
mod request;
mod turns;

pub use client::Client;
pub use pace::Pace;
pub use reply::{Refusal, write_open_reply, write_reply_head};
pub use request::{Call, Request, read_request, sniff};
pub use turns::{Turn, Turns};

use std::fmt;

/// The content type of requests and replies.
pub const CONTENT_TYPE: &str = "application/x-fcs";

/// How a reply to `/open` tells that requests may follow each other without waiting for replies, and how many at most.
/// Other servers lose requests that come too early, so that a client waits unless it reads this. Ours.
pub const PIPELINE_HEADER: &str = "X-RTMPT-Pipeline";

/// The interval byte, and the whole body, of the reply to `/close` and to a request of a session that has ended.
pub const INTERVAL_CLOSED: u8 = 0;

/// The name of a session: 128 random bits, because whoever knows it can speak for the client.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(u128);

impl SessionId {
    /// A name made of bytes that nobody can guess.
    pub fn new(random: [u8; 16]) -> Self {
        Self(u128::from_ne_bytes(random))
    }

    /// Reads the form that [`fmt::Display`] writes; `None` for everything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        digits.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    /// Not the whole name: it is a secret, and debug output ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06x}…", self.0 >> 104)
    }
}

#[cfg(test)]
mod tests;
