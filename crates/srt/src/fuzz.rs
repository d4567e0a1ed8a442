//! Bodies of the fuzz targets. Each takes any bytes and panics when a promise of this crate is broken.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::crypto::KeyMaterial;
use crate::packet::Packet;
use crate::{Answer, Config, Event, Handshake, Listener, Passphrase, Session, StreamId, limits, packet};

/// Datagrams: what is read of them is written and read again as the same.
pub fn packets(data: &[u8]) {
    let datagram = Bytes::copy_from_slice(data);
    assert_eq!(packet::destination(data).is_some(), data.len() >= packet::HEADER_BYTES);
    if let Ok(packet) = Packet::read(&datagram) {
        assert_eq!(Packet::read(&packet.write()), Ok(packet));
    }
}

/// Handshakes and messages of keys.
pub fn handshakes(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    if let Ok(handshake) = Handshake::read(&body) {
        // Flags say what follows; those that say it wrongly are right after the first writing.
        let written = handshake.write();
        assert_eq!(Handshake::read(&written).map(|again| again.write()), Ok(written));
    }
    if let Ok(material) = KeyMaterial::read(&body) {
        assert_eq!(KeyMaterial::read(&material.write()), Ok(material));
    }
}

/// Stream ids: what is read is as short as what was given.
pub fn stream_id(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(id) = StreamId::parse(text) {
        assert!(id.as_str().len() <= text.len() && text.len() <= limits::STREAM_ID_BYTES_MAX);
        assert!(id.pairs().count() <= limits::STREAM_ID_KEYS_MAX);
        let _ = (id.mode(), id.resource());
    }
}

const FROM: ([u8; 4], u16) = ([192, 0, 2, 1], 9000);
const SOCKET_ID: u32 = 77;

/// A listener: no answer to a stranger is longer than what it sent.
pub fn listener(data: &[u8]) {
    let now = Instant::now();
    let datagram = Bytes::copy_from_slice(data);
    if let Some(Answer::Reply(reply)) = Listener::new(now, [0; 32]).handle_input(now, FROM.into(), &datagram)
    {
        assert!(reply.len() <= data.len());
    }
}

/// A session of a listener and then the one of its caller: each step is what happens, how much time passes, a length, and a
/// datagram behind the fields that every datagram has.
pub fn session(data: &[u8]) {
    for passphrase in [None, Passphrase::new("correct horse").ok()] {
        let (now, caller, listening) = connected(passphrase);
        steps(now, caller, 55, data);
        steps(now, listening, SOCKET_ID, data);
    }
}

fn connected(passphrase: Option<Passphrase>) -> (Instant, Session, Session) {
    let now = Instant::now();
    let peer = SocketAddr::from(FROM);
    let config = Config { passphrase, ..Config::default() };
    let mut caller = Session::connect(now, peer, 55, "cam", config.clone(), [1; 32]).expect("in range");
    let listener = Listener::new(now, [0; 32]);
    let mut listening: Option<Session> = None;
    for _ in 0..2 {
        let datagram = caller.poll_output().expect("a request");
        match listener.handle_input(now, peer, &datagram) {
            Some(Answer::Reply(reply)) => caller.handle_input(now, &reply),
            Some(Answer::Request(request)) => {
                let session =
                    request.accept(now, SOCKET_ID, config.clone(), [2; 32]).expect("the same passphrase");
                caller.handle_input(now, &listening.insert(session).poll_output().expect("an answer"));
            }
            None => panic!("a caller gets an answer"),
        }
    }
    assert!(matches!(caller.poll_event(), Some(Event::Established(_))));
    (now, caller, listening.expect("a session"))
}

fn steps(mut now: Instant, mut session: Session, socket_id: u32, mut data: &[u8]) {
    let mut over = false;
    while let [kind, wait, length, rest @ ..] = data {
        let (body, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        data = rest;
        now += Duration::from_millis(u64::from(*wait));
        match kind {
            0xfe => drop(session.send(now, Bytes::copy_from_slice(body))),
            0xff => session.close(now),
            _ => {
                // The first two words, and the socket id where it belongs.
                let mut datagram = body.get(..8).unwrap_or(&[0; 8]).to_vec();
                if kind & 0x40 != 0 {
                    (datagram[0], datagram[1]) = (0x80 | (kind & 0x20) << 2, kind & 0x1f);
                }
                datagram.extend_from_slice(body.get(8..12).unwrap_or(&[0; 4]));
                datagram.extend_from_slice(&if kind & 0x80 != 0 { 0 } else { socket_id }.to_be_bytes());
                datagram.extend_from_slice(body.get(12..).unwrap_or_default());
                session.handle_input(now, &datagram.into());
            }
        }
        session.handle_timeout(now);
        while let Some(event) = session.poll_event() {
            assert!(!over, "nothing follows the end");
            over = matches!(event, Event::Closed(_));
        }
        while let Some(datagram) = session.poll_output() {
            assert!(datagram.len() <= limits::DATAGRAM_BYTES_MAX);
        }
        assert_eq!(over, session.poll_timeout().is_none());
        let _ = session.stats(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TARGETS: [fn(&[u8]); 4] = [packets, handshakes, stream_id, listener];

    fn seeds() -> Vec<Bytes> {
        let mut seeds = packet::tests::seeds();
        seeds.push(crate::handshake::tests::seed());
        seeds.push(crate::crypto::tests::seed());
        seeds.push(Bytes::from_static(b"#!::r=live/cam,m=publish"));
        let mut caller =
            Session::connect(Instant::now(), FROM.into(), 55, "cam", Config::default(), [1; 32]).unwrap();
        seeds.push(caller.poll_output().unwrap());
        seeds
    }

    #[test]
    fn seeds_break_no_promise_at_any_length_and_with_any_byte_changed() {
        for seed in seeds() {
            for at in 0..seed.len() {
                TARGETS.iter().for_each(|target| target(&seed[..at]));
                for byte in [0, 1, 0x7f, 0x80, 0xff, seed[at] ^ 1] {
                    let mut changed = seed.to_vec();
                    changed[at] = byte;
                    TARGETS.iter().for_each(|target| target(&changed));
                }
            }
        }
    }

    #[test]
    fn steps_of_a_session_break_no_promise() {
        // Data, a gap, a loss report for it, an acknowledgement, keys, the end; then silence.
        session(b"\xfe\x01\x04abcd\0\x02\x10\0\0\0\x05\xc0\0\0\x01\0\0\0\0data\x43\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01");
        session(b"\x45\0\0\0\xff\0\0\xff\0\0\xff\0\0\xff\0\0\xff\0\0\xff\0\0\xff\0\0\xff\0\0\xff\0\0\xff\0\0\xff\0\0\xff\0");
        session(b"\xff\0\0\xfe\0\x01a");
    }

    proptest! {
        #[test]
        fn any_bytes_break_no_promise(data in prop::collection::vec(any::<u8>(), 0..400)) {
            TARGETS.iter().for_each(|target| target(&data));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_steps_break_no_promise(data in prop::collection::vec(any::<u8>(), 0..400)) {
            session(&data);
        }
    }
}
