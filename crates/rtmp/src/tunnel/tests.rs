//! Requests and replies as bytes, the order of requests, and the two halves wired to each other.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::{Error, limits};

const ID: &str = "0123456789abcdef0123456789abcdef";

fn id() -> SessionId {
    SessionId::parse(ID).unwrap()
}

fn read(text: &str) -> Result<Option<Request>, Refusal> {
    read_request(&mut BytesMut::from(text))
}

/// Requests as programs send them, and what they ask for: call, body, whether the connection stays open.
fn requests() -> [(String, Call, usize, bool); 7] {
    [
        // ffmpeg
        (
            "POST /open/1 HTTP/1.1\r\nAccept: */*\r\nConnection: keep-alive\r\nHost: h:8080\r\nCache-Control: no-cache\r\n\
             Content-type: application/x-fcs\r\nUser-Agent: Shockwave Flash\r\nContent-Length: 1\r\n\r\n"
                .to_owned(),
            Call::Open,
            1,
            true,
        ),
        // librtmp
        (
            format!(
                "POST /send/{ID}/7 HTTP/1.1\r\nHost: h:80\r\nAccept: */*\r\nUser-Agent: Shockwave Flash\r\nConnection: \
                 Keep-Alive\r\nCache-Control: no-cache\r\nContent-type: application/x-fcs\r\nContent-length: 1537\r\n\r\n"
            ),
            Call::Send(id(), 7),
            1537,
            true,
        ),
        // A proxy that speaks HTTP/1.0.
        (
            format!("POST /idle/{ID}/0 HTTP/1.0\r\nContent-Length: 1\r\n\r\n"),
            Call::Idle(id(), 0),
            1,
            false,
        ),
        (
            format!("POST /idle/{ID}/18446744073709551615 HTTP/1.0\r\nConnection: x, keep-alive\r\nContent-Length: 1\r\n\r\n"),
            Call::Idle(id(), u64::MAX),
            1,
            true,
        ),
        // An URL instead of a path, an empty line before, no carriage returns.
        (
            format!("\r\nPOST http://h/close/{ID}/3?x HTTP/1.1\nContent-Length: 0\nConnection: Close\n\n"),
            Call::Close(id(), 3),
            0,
            false,
        ),
        // Flash asks for this first.
        ("POST /fcs/ident2 HTTP/1.1\r\nContent-Length: 1\r\n\r\n".to_owned(), Call::Unknown, 1, true),
        ("POST /send/guess/1 HTTP/1.1\r\nContent-Length: 9\r\n\r\n".to_owned(), Call::Unknown, 9, true),
    ]
}

#[test]
fn requests_are_read_as_programs_send_them_and_not_before_they_are_whole() {
    for (text, call, body_bytes, keep_alive) in requests() {
        let http_1_0 = text.contains("HTTP/1.0");
        let expected = Request { call, body_bytes, keep_alive, http_1_0, expects_continue: false };
        let mut input = BytesMut::from(&[text.as_bytes(), b"body"].concat()[..]);
        assert_eq!(read_request(&mut input), Ok(Some(expected)), "{text}");
        assert_eq!(&input[..], b"body");
        for end in 0..text.len() {
            assert_eq!(read(&text[..end]), Ok(None), "{end} bytes of {text}");
        }
    }
}

#[test]
fn what_is_no_request_of_a_tunnel_gets_a_clear_answer() {
    let long = format!("POST /{} HTTP/1.1\r\n", "a".repeat(limits::TUNNEL_HEAD_BYTES_MAX));
    let lines = format!("POST / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(limits::TUNNEL_HEADERS_MAX + 1));
    let body = |length: &str| format!("POST /open/1 HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
    for (text, refusal) in [
        ("\x16\x03\x01\x02".to_owned(), Refusal::Malformed("this is no HTTP request")),
        ("GET /open/1 HTTP/1.1\r\n\r\n".to_owned(), Refusal::Method),
        ("POST /open/1 HTTP/2.0\r\n\r\n".to_owned(), Refusal::Version),
        ("POST /open/1 HTTP/1.1\r\n\r\n".to_owned(), Refusal::LengthRequired),
        (body("-1"), Refusal::Malformed("Content-Length is no number")),
        (body("+1"), Refusal::Malformed("Content-Length is no number")),
        (body(""), Refusal::Malformed("Content-Length is no number")),
        (body("1\r\nContent-Length: 2"), Refusal::Malformed("two lengths of one body")),
        (body("8388609"), Refusal::BodyTooLarge),
        (body("99999999999999999999999"), Refusal::BodyTooLarge),
        ("POST /open/1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), Refusal::TransferCoding),
        (long, Refusal::HeadTooLarge),
        (lines, Refusal::HeadTooLarge),
    ] {
        assert_eq!(read(&text), Err(refusal), "{text:.60}");
        let (status, phrase) = refusal.status();
        let response = refusal.to_response(false);
        assert!(response.starts_with(format!("HTTP/1.1 {status} {phrase}\r\n").as_bytes()));
        assert!(response.windows(19).any(|part| part == b"Connection: close\r\n"));
    }
}

#[test]
fn a_client_may_wait_before_it_sends_the_body() {
    let request = read("POST /open/1 HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
    assert!(request.unwrap().unwrap().expects_continue);
}

#[test]
fn only_paths_of_a_tunnel_are_taken_from_other_posts() {
    for path in ["", "/", "/api/v1/beacon", "/live/send/x.flv", "/opening/1", "/open", "/send"] {
        assert_eq!(Call::parse(path), None, "{path}");
        let request = format!("POST {path} HTTP/1.1\r\n");
        assert_eq!(sniff(request.as_bytes()), Some(false), "{path}");
    }
    for path in ["/send/x", "/send/", "/fcs/ident2", "/idle/0/0", "/open/1/2", "/close//"] {
        assert_eq!(Call::parse(path), Some(Call::Unknown), "{path}");
        assert_eq!(sniff(format!("POST {path} HTTP/1.1\r\n").as_bytes()), Some(true), "{path}");
    }
    let upper = ID.to_uppercase();
    for number in ["-1", "+1", "", "1a", "18446744073709551616", "1/2"] {
        assert_eq!(Call::parse(&format!("/send/{ID}/{number}")), Some(Call::Unknown), "{number}");
    }
    assert_eq!(Call::parse(&format!("/send/{upper}/1")), Some(Call::Unknown), "a name has one spelling");
    for end in 0.."POST /send/".len() {
        assert_eq!(sniff(&b"POST /send/"[..end]), None, "{end}");
    }
}

#[test]
fn replies_are_what_librtmp_looks_for() {
    let mut reply = BytesMut::new();
    write_reply_head(&mut reply, 5, true, false);
    let text = std::str::from_utf8(&reply).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 "));
    assert!(text.contains("\r\nContent-Length: 5\r\n") && text.ends_with("\r\n\r\n"));
    assert!(!text.contains("Transfer-Encoding") && !text.contains("Connection"));
    reply.clear();
    write_open_reply(&mut reply, id(), true, true);
    assert!(reply.ends_with(format!("\r\n\r\n{ID}\n").as_bytes()), "no interval byte");
    assert!(reply.windows(24).any(|part| part == b"Connection: Keep-Alive\r\n"));
}

#[test]
fn a_session_name_is_read_back_and_not_shown_in_logs() {
    let id = SessionId::new(*b"0123456789abcdef");
    assert_eq!(SessionId::parse(&id.to_string()), Some(id));
    assert!(!format!("{id:?}").contains(&id.to_string()[8..]));
}

#[test]
fn requests_are_served_in_order_and_the_last_one_again() {
    let mut turns = Turns::new();
    assert_eq!(turns.ask(1), Turn::Wait);
    assert_eq!(turns.ask(0), Turn::Now);
    assert!(!turns.begin(1));
    assert!(turns.begin(0));
    assert_eq!((turns.ask(0), turns.ask(1)), (Turn::Wait, Turn::Wait), "the first one is at work");
    assert!(!turns.begin(0) && !turns.begin(1));
    turns.end("reply");
    assert_eq!(turns.ask(0), Turn::Repeated("reply"));
    assert_eq!(turns.ask(1), Turn::Now);
    assert!(turns.begin(1));
    assert_eq!(turns.ask(0), Turn::Refused(Refusal::Stale));
    turns.end("other");
    assert_eq!(turns.ask(0), Turn::Refused(Refusal::Stale));
    assert_eq!(turns.ask(1 + limits::TUNNEL_WINDOW), Turn::Wait);
    assert_eq!(turns.ask(2 + limits::TUNNEL_WINDOW), Turn::Refused(Refusal::Ahead));
    assert_eq!(turns.ask(u64::MAX), Turn::Refused(Refusal::Ahead));
}

#[test]
fn polling_slows_down_in_silence_and_speeds_up_with_data() {
    let mut pace = Pace::default();
    let bytes: Vec<u8> = (0..70).map(|_| pace.reply(false)).collect();
    assert_eq!((bytes[0], bytes[8], bytes[9], bytes[19]), (0x01, 0x01, 0x03, 0x05));
    assert_eq!((bytes[29], bytes[39], bytes[49], bytes[69]), (0x09, 0x11, 0x21, 0x21));
    assert_eq!(pace.hold(), Duration::from_millis(250));
    assert_eq!(pace.reply(true), 0x01);
    assert_eq!(pace.hold(), Duration::from_millis(40));
}

/// A server of one session, as simple as other servers are: every request gets its reply at once, or is held.
struct Server {
    input: BytesMut,
    request: Option<Request>,
    turns: Turns<Bytes>,
    pipeline: bool,
    received: BytesMut,
    to_send: VecDeque<Bytes>,
    /// Replies that wait for the network.
    output: BytesMut,
    paths: Vec<Call>,
}

impl Server {
    fn new(pipeline: bool) -> Self {
        Self {
            input: BytesMut::new(),
            request: None,
            turns: Turns::new(),
            pipeline,
            received: BytesMut::new(),
            to_send: VecDeque::new(),
            output: BytesMut::new(),
            paths: Vec::new(),
        }
    }

    /// Serves one request, if one is there.
    fn serve(&mut self) -> bool {
        if self.request.is_none() {
            self.request = read_request(&mut self.input).unwrap();
        }
        let Some(request) = self.request.take_if(|request| self.input.len() >= request.body_bytes) else {
            return false;
        };
        let body = self.input.split_to(request.body_bytes);
        self.paths.push(request.call);
        let (number, ends) = match request.call {
            Call::Open => {
                write_open_reply(&mut self.output, id(), true, !self.pipeline);
                return true;
            }
            Call::Send(at, number) => {
                assert_eq!(at, id());
                (number, false)
            }
            Call::Idle(_, number) => (number, false),
            Call::Close(_, number) => (number, true),
            Call::Unknown => panic!("the client knows what it does"),
        };
        match self.turns.ask(number) {
            Turn::Now => {
                assert!(self.turns.begin(number));
                let mut reply = BytesMut::from(&[if ends { INTERVAL_CLOSED } else { 1 }][..]);
                if let Call::Send(..) = request.call {
                    self.received.put_slice(&body);
                }
                if !ends {
                    reply.put_slice(&self.to_send.pop_front().unwrap_or_default());
                }
                self.turns.end(reply.freeze());
            }
            Turn::Repeated(_) => {}
            turn => panic!("{turn:?}"),
        }
        let Turn::Repeated(reply) = self.turns.ask(number) else { panic!("not answered") };
        write_reply_head(&mut self.output, reply.len(), true, false);
        self.output.put_slice(&reply);
        true
    }
}

/// Moves all that the client wants to say to the server.
fn pump(client: &mut Client, server: &mut Server) {
    while let Some(bytes) = client.poll_output() {
        server.input.put_slice(&bytes);
    }
}

/// Gives the client what the server has replied.
fn deliver(client: &mut Client, server: &mut Server, now: Instant, plain: &mut BytesMut) {
    client.handle_input(now, &mut server.output, plain).unwrap();
    assert!(server.output.is_empty());
}

#[test]
fn a_client_asks_at_once_while_data_flows_and_waits_for_every_reply() {
    let mut now = Instant::now();
    let (mut client, mut server, mut plain) = (Client::new("h:80", now), Server::new(false), BytesMut::new());
    client.send(Bytes::from_static(b"hello"));
    pump(&mut client, &mut server);
    assert!(server.serve() && !server.serve(), "the session is opened before anything is sent");
    deliver(&mut client, &mut server, now, &mut plain);
    pump(&mut client, &mut server);
    client.send(Bytes::from_static(b"more"));
    pump(&mut client, &mut server);
    server.to_send.push_back(Bytes::from_static(b"data"));
    assert!(server.serve() && !server.serve(), "one request at a time");
    deliver(&mut client, &mut server, now, &mut plain);
    assert_eq!((&plain[..], &server.received[..]), (&b"data"[..], &b"hello"[..]));
    pump(&mut client, &mut server);
    assert!(server.serve(), "what was queued meanwhile");
    deliver(&mut client, &mut server, now, &mut plain);
    pump(&mut client, &mut server);
    assert!(!server.serve(), "an empty reply that came at once: no haste");
    now = client.poll_timeout().unwrap();
    client.handle_timeout(now).unwrap();
    pump(&mut client, &mut server);
    now += Duration::from_millis(40);
    assert!(server.serve());
    deliver(&mut client, &mut server, now, &mut plain);
    pump(&mut client, &mut server);
    assert!(server.serve(), "an empty reply that was held is followed by the next poll");
    deliver(&mut client, &mut server, now, &mut plain);
    client.close();
    pump(&mut client, &mut server);
    assert!(server.serve() && !server.serve());
    assert!(!client.is_closed());
    deliver(&mut client, &mut server, now, &mut plain);
    assert!(client.is_closed() && client.poll_output().is_none() && client.poll_timeout().is_none());
    let numbers: Vec<_> = server.paths.iter().skip(1).collect();
    let expected = [
        Call::Send(id(), 0),
        Call::Send(id(), 1),
        Call::Idle(id(), 2),
        Call::Idle(id(), 3),
        Call::Close(id(), 4),
    ];
    assert_eq!(numbers, expected.iter().collect::<Vec<_>>());
}

#[test]
fn a_client_sends_behind_a_poll_where_the_server_allows_it() {
    let now = Instant::now();
    let (mut client, mut server, mut plain) = (Client::new("h", now), Server::new(true), BytesMut::new());
    pump(&mut client, &mut server);
    assert!(server.serve());
    deliver(&mut client, &mut server, now, &mut plain);
    pump(&mut client, &mut server);
    client.send(Bytes::from_static(b"a"));
    pump(&mut client, &mut server);
    client.send(Bytes::from_static(b"b"));
    pump(&mut client, &mut server);
    assert!(server.serve() && server.serve() && server.serve() && !server.serve());
    assert_eq!(&server.received[..], b"ab");
    deliver(&mut client, &mut server, now, &mut plain);
}

#[test]
fn a_client_goes_on_with_a_new_connection() {
    let now = Instant::now();
    let (mut client, mut server, mut plain) = (Client::new("h", now), Server::new(false), BytesMut::new());
    pump(&mut client, &mut server);
    server.serve();
    deliver(&mut client, &mut server, now, &mut plain);
    client.send(Bytes::from_static(b"once"));
    pump(&mut client, &mut server);
    server.to_send.push_back(Bytes::from_static(b"reply"));
    assert!(server.serve());
    // The reply is lost with the connection.
    server.output.clear();
    assert_eq!(client.reconnected(now), Ok(()));
    pump(&mut client, &mut server);
    assert!(server.serve());
    deliver(&mut client, &mut server, now, &mut plain);
    assert_eq!((&plain[..], &server.received[..]), (&b"reply"[..], &b"once"[..]));

    // A proxy announces that it closes.
    pump(&mut client, &mut server);
    assert!(server.serve());
    let reply = String::from_utf8_lossy(&server.output).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    server.output = BytesMut::from(reply.as_bytes());
    deliver(&mut client, &mut server, now, &mut plain);
    client.send(Bytes::from_static(b" more"));
    assert!(client.needs_connection() && client.poll_output().is_none());
    client.reconnected(now).unwrap();
    pump(&mut client, &mut server);
    assert!(server.serve());
    assert_eq!(&server.received[..], b"once more");
}

#[test]
fn a_session_that_the_server_has_ended_is_over() {
    let now = Instant::now();
    let (mut client, mut plain) = (Client::new("h", now), BytesMut::new());
    while client.poll_output().is_some() {}
    let reply = |body: &str| {
        BytesMut::from(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
    };
    client.handle_input(now, &mut reply("x1\n"), &mut plain).unwrap();
    while client.poll_output().is_some() {}
    client.handle_input(now, &mut reply("\x01last"), &mut plain).unwrap();
    while client.poll_output().is_some() {}
    client.handle_input(now, &mut reply("\0"), &mut plain).unwrap();
    assert!(client.is_closed());
    assert_eq!(&plain[..], b"last");
}

#[test]
fn replies_that_make_no_sense_end_the_session() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx\n";
    let violation = |what| Error::Violation(what);
    for (replies, error) in [
        ("SSH-2.0-x\r\n".to_owned(), Error::Malformed("this is no HTTP response")),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            violation("there is no tunnel at this address"),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            Error::Unsupported("a transfer coding in a tunnel"),
        ),
        ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), Error::Unsupported("an HTTP response without Content-Length")),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n".to_owned(),
            violation("an HTTP response is too large"),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_owned(),
            Error::Malformed("name of the session is too long"),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na/b\n".to_owned(),
            Error::Malformed("name of the session"),
        ),
        (
            format!("HTTP/1.1 100 Continue\r\n\r\n{ok}{ok}"),
            violation("an HTTP response that nobody asked for"),
        ),
    ] {
        let now = Instant::now();
        let mut client = Client::new("h", now);
        while client.poll_output().is_some() {}
        let mut http = BytesMut::from(replies.as_bytes());
        assert_eq!(client.handle_input(now, &mut http, &mut BytesMut::new()), Err(error), "{replies}");
    }
}

#[test]
fn a_server_that_does_not_reply_ends_the_session() {
    let now = Instant::now();
    let mut client = Client::new("h", now);
    while client.poll_output().is_some() {}
    let deadline = client.poll_timeout().unwrap();
    assert_eq!(deadline, now + limits::TUNNEL_REPLY_TIMEOUT);
    assert_eq!(client.handle_timeout(deadline - Duration::from_millis(1)), Ok(()));
    assert!(client.handle_timeout(deadline).is_err());
}

proptest! {
    /// Whatever is sent comes out at the other end, in whatever pieces the network delivers it.
    #[test]
    fn bytes_pass_both_ways_whole_and_in_order(
        pipeline in any::<bool>(),
        up in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 0..12),
        down in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 0..12),
        steps in prop::collection::vec((40_usize..2000, 40_usize..2000, any::<bool>()), 1..60),
        lost_at in prop::option::of(0_usize..40),
    ) {
        let mut now = Instant::now();
        let (mut client, mut server) = (Client::new("h", now), Server::new(pipeline));
        server.to_send.extend(down.iter().cloned().map(Bytes::from));
        let (mut plain, mut up_wire, mut http) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
        let mut to_send: VecDeque<_> = up.iter().cloned().map(Bytes::from).collect();
        let all = down.concat();
        for round in 0..20_000 {
            let (forth, back, send) = steps[round % steps.len()];
            if (send || round > 100) && let Some(bytes) = to_send.pop_front() {
                client.send(bytes);
            }
            while let Some(bytes) = client.poll_output() {
                up_wire.put_slice(&bytes);
            }
            let part = up_wire.split_to(forth.min(up_wire.len()));
            server.input.put_slice(&part);
            while server.serve() {}
            // A connection that breaks takes what is under way with it, but no reply that was begun.
            if lost_at == Some(round) && http.is_empty() && server.output.is_empty()
                && client.reconnected(now).is_ok()
            {
                up_wire.clear();
                server.input.clear();
                server.request = None;
            }
            let part = server.output.split_to(back.min(server.output.len()));
            http.put_slice(&part);
            client.handle_input(now, &mut http, &mut plain).unwrap();
            now += Duration::from_millis(5);
            client.handle_timeout(now).unwrap();
            if to_send.is_empty() && client.queued() == 0 && plain.len() == all.len() {
                client.close();
            }
            if client.is_closed() {
                break;
            }
        }
        prop_assert!(client.is_closed());
        prop_assert!(server.received[..] == up.concat()[..]);
        prop_assert!(plain[..] == all[..]);
    }

    /// Every number is begun once, in order, however often it is asked for.
    #[test]
    fn no_request_is_served_twice(asked in prop::collection::vec((0_u64..20, any::<bool>()), 0..200)) {
        let (mut turns, mut served) = (Turns::new(), 0);
        for (number, end) in asked {
            match turns.ask(number) {
                Turn::Now => {
                    prop_assert_eq!(number, served);
                    prop_assert!(turns.begin(number));
                    served += 1;
                }
                turn => {
                    prop_assert!(!turns.begin(number));
                    prop_assert!(!matches!(turn, Turn::Repeated(reply) if reply != number));
                }
            }
            if end && served > 0 {
                turns.end(served - 1);
            }
        }
    }
}
