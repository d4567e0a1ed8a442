//! Bodies of the fuzz targets. Each takes any bytes and panics when a promise of this crate is broken.

use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};

use crate::amf::{amf0, amf3};
use crate::handshake::{self, Ciphers, Form};
use crate::{
    Error, Message, Swf, chunk, client, command, limits, message, server, shared_object, tunnel, url,
};

/// AMF: whatever is read can be written and read again, with the same result.
pub fn amf(data: &[u8]) {
    if let Ok(values) = amf0::read_all(data) {
        let mut out = BytesMut::new();
        values.iter().for_each(|value| amf0::write(&mut out, value));
        // A lossy character takes more bytes than what it replaces, so that the limit may be passed the second time.
        if let Ok(again) = amf0::read_all(&out) {
            assert_eq!(again.len(), values.len());
        }
    }
    if let Ok(value) = amf3::read(data) {
        let mut out = BytesMut::new();
        amf3::write(&mut out, &value);
        let _ = amf3::read(&out);
    }
}

/// Chunks: messages do not depend on how the bytes are split.
pub fn chunk(data: &[u8]) {
    let [size, data @ ..] = data else { return };
    let read = |step: usize| -> (Vec<Message>, Option<Error>) {
        let mut decoder = chunk::Decoder::new();
        decoder.set_chunk_size(u32::from(*size).max(1)).expect("in range");
        let (mut input, mut messages) = (BytesMut::new(), Vec::new());
        for part in data.chunks(step) {
            input.put_slice(part);
            loop {
                match decoder.next_message(&mut input) {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(error) => return (messages, Some(error)),
                }
            }
            assert!(input.len() < 18, "only a header stays in the input");
        }
        (messages, None)
    };
    let whole = read(data.len().max(1));
    assert_eq!(whole, read(1));
    assert_eq!(whole, read(7));
}

/// Handshakes of both ends.
pub fn handshake(data: &[u8]) {
    handshake::fuzz::handshake(data);
}

/// Names of commands, so that a fuzzer need not find them byte by byte.
const COMMANDS: [&str; 24] = [
    "connect",
    "createStream",
    "deleteStream",
    "closeStream",
    "publish",
    "play",
    "play2",
    "pause",
    "pauseRaw",
    "seek",
    "receiveAudio",
    "receiveVideo",
    "FCPublish",
    "FCUnpublish",
    "FCSubscribe",
    "releaseStream",
    "getStreamLength",
    "_checkbw",
    "_result",
    "_error",
    "onStatus",
    "onBWDone",
    "close",
    "unknown",
];

/// Reads steps of the form `kind, stream, length, bytes` and turns them into what a peer sends: plain bytes for
/// kinds over 127, messages of known types otherwise.
fn steps(data: &[u8]) -> impl Iterator<Item = (u8, u8, BytesMut)> {
    let mut reader = wire::Reader::new(data);
    std::iter::from_fn(move || {
        let (kind, stream, length) = (reader.u8().ok()?, reader.u8().ok()?, reader.u8().ok()?);
        let body = reader.take(usize::from(length).min(reader.remaining())).ok()?;
        let mut out = BytesMut::new();
        if kind > 127 {
            out.put_slice(body);
        } else {
            let kind = kind % 32;
            let mut payload = BytesMut::new();
            if matches!(kind, message::COMMAND | message::COMMAND_AMF3) {
                let name = COMMANDS[usize::from(stream) % COMMANDS.len()];
                let transaction = f64::from(stream / 32);
                payload = command::body(kind == message::COMMAND_AMF3, name, transaction, &[]);
            }
            payload.put_slice(body);
            chunk::write_message(&mut out, 128, 3, u32::from(stream % 4), kind, 0, &[&payload]);
        }
        Some((kind, stream, out))
    })
}

/// A server session against a peer that sends anything, and a driver that answers in any way.
pub fn server(data: &[u8]) {
    let now = Instant::now();
    let mut session = server::Session::new(server::Config::default(), [4; 32], now);
    let mut input = BytesMut::from(&[&[3][..], &[0; 2 * 1536]].concat()[..]);
    assert_eq!(session.handle_input(now, &mut input), Ok(()));
    while session.poll_output().is_some() {}
    serve(data, session, now, None);
}

/// The same after an encrypted handshake, with players asked for their SWF. What the session then sends is still a chunk stream for its peer.
pub fn encrypted(data: &[u8]) {
    let now = Instant::now();
    let swf = Swf { hash: [0; 32], size: 0 };
    let config = server::Config { swf: [swf].into(), ..server::Config::default() };
    let mut session = server::Session::new(config, [4; 32], now);
    let mut hello = BytesMut::new();
    let mut peer = handshake::Client::new(Form::Encrypted, [6; 32], &mut hello);
    assert_eq!(session.handle_input(now, &mut hello), Ok(()));
    let mut answer = BytesMut::from(&session.poll_output().expect("an answer")[..]);
    let finished = peer.handle_input(&mut answer, &mut hello).expect("our own answer").expect("all of it");
    assert_eq!(session.handle_input(now, &mut hello), Ok(()));
    assert!(session.is_encrypted());
    serve(data, session, now, finished.ciphers);
}

fn serve(data: &[u8], mut session: server::Session, mut now: Instant, mut ciphers: Option<Box<Ciphers>>) {
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let mut decoder = chunk::Decoder::new();
    for (kind, stream, mut bytes) in steps(data) {
        if let Some(ciphers) = &mut ciphers {
            ciphers.seal(&mut bytes);
        }
        input.put_slice(&bytes);
        if session.handle_input(now, &mut input).is_err() {
            return;
        }
        while let Some(event) = session.poll_event() {
            match event {
                server::Event::Connect(_) if kind == 0 => session.reject_connect("code", "description"),
                server::Event::Connect(_) => session.accept_connect(),
                server::Event::Publish(publish) if stream & 1 == 0 => {
                    session.accept_publish(publish.stream_id)
                }
                server::Event::Publish(publish) => session.reject_publish(publish.stream_id, "code", ""),
                server::Event::StreamLength(asked) => session.answer_stream_length(&asked, 1.0),
                server::Event::Play(play) if !play.reset && stream & 2 == 0 => {
                    session.switch_play(play.stream_id, &play.name);
                    session.complete_play(play.stream_id, 1.0, 1);
                }
                server::Event::Play(play) if !play.reset => session.replace_play(play.stream_id, &play.name),
                server::Event::Play(play) if stream & 3 == 0 => session.accept_recorded_play(play.stream_id),
                server::Event::Play(play) if stream & 1 == 0 => session.accept_play(play.stream_id),
                server::Event::Play(play) => session.reject_play(play.stream_id, "code", ""),
                server::Event::Seek { stream_id, ms } => match stream % 3 {
                    0 => session.accept_seek(stream_id, ms),
                    1 => session.accept_seek_nearby(stream_id, ms, ""),
                    _ => session.reject_seek(stream_id, ""),
                },
                _ => {}
            }
        }
        if kind == 255 {
            session.end_play(u32::from(stream), "code");
            session.end_publish(u32::from(stream), "code", "");
            session.request_reconnect(None, "");
        }
        now += Duration::from_millis(u64::from(stream) * 100);
        if session.handle_timeout(now).is_err() {
            return;
        }
        while let Some(bytes) = session.poll_output() {
            let start = output.len();
            output.put_slice(&bytes);
            if let Some(ciphers) = &mut ciphers {
                ciphers.open(&mut output[start..]);
            }
        }
        while let Some(message) = decoder.next_message(&mut output).expect("we send chunks") {
            if let Ok(Some(message::Control::SetChunkSize(size))) =
                message::Control::read(message.kind, &message.payload)
            {
                decoder.set_chunk_size(size).expect("a legal one");
            }
        }
        assert!(session.poll_timeout().is_none_or(|at| at > now), "a timeout that was handled is over");
    }
}

/// A client session against a server that sends anything.
pub fn client(data: &[u8]) {
    let [options, data @ ..] = data else { return };
    let text = if options & 4 == 0 { "rtmp://host/app/name" } else { "rtmp://me:secret@host/app/name" };
    let Ok(url) = url::Url::parse(text) else { return };
    let config = if options & 1 == 0 { client::Config::play(&url) } else { client::Config::publish(&url) };
    let mut now = Instant::now();
    let config = client::Config { pipelined: options & 2 == 0, ..config };
    let mut session = client::Session::new(config, [5; 32], now);
    let mut input = BytesMut::from(&[&[3][..], &[0; 2 * 1536]].concat()[..]);
    assert_eq!(session.handle_input(now, &mut input), Ok(()));
    for (_, stream, bytes) in steps(data) {
        input.put_slice(&bytes);
        if session.handle_input(now, &mut input).is_err() {
            return;
        }
        while let Some(event) = session.poll_event() {
            match event {
                client::Event::Publishing => {
                    assert_eq!(session.send_message(message::VIDEO, 0, &[b"head", b"body"]), Ok(()));
                }
                client::Event::Authenticate(auth) => {
                    let config = client::Config { auth: Some(auth), ..client::Config::publish(&url) };
                    let again = client::Session::new(config, [6; 32], now);
                    assert!(again.poll_timeout().is_some_and(|at| at > now));
                }
                _ => {}
            }
        }
        now += Duration::from_millis(u64::from(stream));
        if session.handle_timeout(now).is_err() {
            return;
        }
        while session.poll_output().is_some() {}
        assert!(session.poll_timeout().is_none_or(|at| at > now), "a timeout that was handled is over");
    }
    session.close();
}

/// Requests of a tunnel: they do not depend on how the bytes are split, and every number is served once and in order.
pub fn tunnel_server(data: &[u8]) {
    let read = |step: usize| {
        let (mut input, mut requests, mut left) = (BytesMut::new(), Vec::new(), 0_usize);
        for part in data.chunks(step) {
            input.put_slice(part);
            loop {
                let body = left.min(input.len());
                let _ = input.split_to(body);
                left -= body;
                if left > 0 {
                    break;
                }
                match tunnel::read_request(&mut input) {
                    Ok(Some(request)) => {
                        assert!(request.body_bytes <= limits::TUNNEL_BODY_BYTES_MAX);
                        left = request.body_bytes;
                        requests.push(request);
                    }
                    Ok(None) => break,
                    Err(refusal) => {
                        assert!(refusal.to_response(false).starts_with(b"HTTP/1.1 "));
                        return (requests, Some(refusal));
                    }
                }
            }
            assert!(input.len() <= limits::TUNNEL_HEAD_BYTES_MAX + step);
        }
        (requests, None)
    };
    let _ = tunnel::sniff(data);
    let (whole, refusal) = read(data.len().max(1));
    for step in [1, 7] {
        let (requests, again) = read(step);
        assert_eq!((&whole, refusal.is_some()), (&requests, again.is_some()));
    }
    let (mut turns, mut served) = (tunnel::Turns::new(), 0);
    for request in whole {
        let (tunnel::Call::Send(_, number) | tunnel::Call::Idle(_, number)) = request.call else { continue };
        match turns.ask(number) {
            tunnel::Turn::Now => {
                assert_eq!(number, served);
                assert!(turns.begin(number));
                served += 1;
                turns.end(number);
            }
            tunnel::Turn::Repeated(reply) => assert_eq!((reply, number + 1), (number, served)),
            tunnel::Turn::Wait | tunnel::Turn::Refused(_) => assert!(!turns.begin(number)),
        }
    }
}

/// A client of a tunnel against a server that sends anything. The first byte picks how the bytes are split.
pub fn tunnel_client(data: &[u8]) {
    let [step, data @ ..] = data else { return };
    let mut now = Instant::now();
    let mut client = tunnel::Client::new("host", now);
    let (mut http, mut plain, mut sent) = (BytesMut::new(), BytesMut::new(), 0_usize);
    for part in data.chunks(1 + 5 * usize::from(*step)) {
        client.send(bytes::Bytes::copy_from_slice(part));
        sent += part.len();
        while client.poll_output().is_some() {}
        assert!(client.queued() <= sent);
        http.put_slice(part);
        if client.handle_input(now, &mut http, &mut plain).is_err() {
            return;
        }
        assert!(plain.len() <= data.len());
        now += Duration::from_millis(u64::from(part[0]));
        if client.handle_timeout(now).is_err() {
            return;
        }
        while client.poll_output().is_some() {}
        assert!(client.poll_timeout().is_none_or(|at| at > now), "a timeout that was handled is over");
        if part[0] == 0xff {
            let _ = client.reconnected(now);
        }
    }
    client.close();
    while client.poll_output().is_some() {}
}

/// URLs: what parses prints as an URL that means the same.
pub fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(url) = url::Url::parse(text) {
        let printed = url::Url::parse(&url.to_string());
        assert_eq!(printed, Ok(url::Url { user: String::new(), password: String::new(), ..url }));
    }
}

/// Shared objects: whatever is read can be written and read again, with the same result.
pub fn shared_object(data: &[u8]) {
    let _ = shared_object::Message::read(message::SHARED_OBJECT, data);
    let Ok(read) = shared_object::Message::read(message::SHARED_OBJECT_AMF3, data) else { return };
    let mut out = BytesMut::new();
    read.write(true, &mut out);
    // A lossy character takes more bytes than what it replaces, so that a limit may be passed the second time.
    if let Ok(again) = shared_object::Message::read(message::SHARED_OBJECT_AMF3, &out) {
        assert_eq!(again.events.len(), read.events.len());
    }
}

/// Control messages, commands and aggregates.
pub fn message(data: &[u8]) {
    let [kind, body @ ..] = data else { return };
    let _ = message::Control::read(*kind, body);
    let _ = command::Command::read(*kind, body);
    let payload = bytes::Bytes::copy_from_slice(body);
    let aggregate = Message { stream_id: 1, kind: message::AGGREGATE, timestamp: 0, payload };
    assert!(message::parts_of_aggregate(aggregate).count() <= body.len());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TARGETS: [fn(&[u8]); 11] = [
        amf,
        chunk,
        handshake,
        server,
        encrypted,
        client,
        url,
        message,
        shared_object,
        tunnel_server,
        tunnel_client,
    ];

    /// Inputs that reach deep, and those that once broke something.
    const SEEDS: [&[u8]; 9] = [
        b"",
        b"\x03\0\x03app\x02\0\x04live\0\0\x09",
        b"\x80\x04\xff\xff\xff\0\0\x82\x09\x01\0\0\0\x01\0\0\0aaaaaaaaaa\xc4\x01\0\0\0b",
        // connect, createStream, publish, video, closeStream.
        b"\x14\0\x0d\x03\0\x03app\x02\0\x01a\0\0\x09\x14\x21\0\x14\x04\x0a\x05\x02\0\x03cam\x05\x05\x05\x09\x01\x02ab\x14\x03\0",
        b"\0\x14\x32\x0b\x05\x03\0\0\x09\x14\x32\0\x09\x01\x05abcde",
        // A publisher with a password, whose connect is refused until it proves that it knows it.
        b"\x05\x14\x2b\x78\x05\x03\0\x0bdescription\x02\0\x63[ AccessManager.Reject ] : [ authmod=adobe ] : \
          ?reason=needauth&user=me&salt=S&challenge=C&opaque=O\0\0\x09",
        b"rtmp://[::1]:1935/live/a/b?c=d",
        b"POST /send/0123456789abcdef0123456789abcdef/0 HTTP/1.1\r\nContent-Length: 2\r\n\r\nab\
          POST /idle/0123456789abcdef0123456789abcdef/1 HTTP/1.1\nExpect: 100-continue\nContent-Length: 0\n\n",
        b"\x03HTTP/1.1 200 OK\r\nX-RTMPT-Pipeline: 4\r\nContent-Length: 2\r\n\r\nx\n\
          HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n\x21ab",
    ];

    #[test]
    fn seeds_break_no_promise() {
        for seed in SEEDS {
            TARGETS.iter().for_each(|target| target(seed));
        }
    }

    #[test]
    fn seeds_with_one_byte_changed_break_no_promise() {
        for seed in SEEDS {
            for at in 0..seed.len() {
                for byte in [0, 1, 0x7f, 0x80, 0xff, seed[at] ^ 1] {
                    let mut changed = seed.to_vec();
                    changed[at] = byte;
                    TARGETS.iter().for_each(|target| target(&changed));
                }
            }
        }
    }

    /// Steps as [`steps`] reads them, mostly commands with arguments that parse.
    fn any_steps() -> impl Strategy<Value = Vec<u8>> {
        let args = prop_oneof![
            Just(&b"\x05"[..]),
            Just(&b"\x05\x02\0\x03cam"[..]),
            Just(&b"\x03\0\x03app\x02\0\x01a\0\x06capsEx\0\x3f\xf0\0\0\0\0\0\0\0\0\x09"[..]),
            Just(&b"\x05\0\x3f\xf0\0\0\0\0\0\0"[..]),
            Just(&b"\x05\x01\0"[..]),
            Just(
                &b"\x05\x03\0\x04code\x02\0\x17NetStream.Publish.Start\0\x05level\x02\0\x05error\0\0\x09"[..]
            ),
        ]
        .prop_map(<[u8]>::to_vec);
        let body = prop_oneof![args, prop::collection::vec(any::<u8>(), 0..40)];
        let kind = prop_oneof![Just(20_u8), Just(20), Just(17), 0_u8..32, any::<u8>()];
        let step = (kind, any::<u8>(), body)
            .prop_map(|(kind, stream, body)| [&[kind, stream, body.len() as u8], &body[..]].concat());
        prop::collection::vec(step, 0..20).prop_map(|steps| steps.concat())
    }

    proptest! {
        #[test]
        fn any_bytes_break_no_promise(data in prop::collection::vec(any::<u8>(), 0..400)) {
            TARGETS.iter().for_each(|target| target(&data));
        }

        #[test]
        fn any_peer_breaks_no_promise(options in any::<u8>(), steps in any_steps()) {
            server(&[&b"\x14\0\x0d\x03\0\x03app\x02\0\x01a\0\0\x09"[..], &steps].concat());
            server(&steps);
            encrypted(&steps);
            client(&[&[options], &steps[..]].concat());
        }
    }
}
