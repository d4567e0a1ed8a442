//! Client and server sessions against each other, over pipes that split the bytes anywhere.

use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use crate::client::{self, Form};
use crate::url::Url;
use crate::{Message, chunk, server, shared_object};

mod swf;

struct Pair {
    now: Instant,
    client: client::Session,
    server: server::Session,
    /// Sent and not yet delivered.
    to_server: BytesMut,
    to_client: BytesMut,
    /// Delivered and not yet taken.
    server_input: BytesMut,
    client_input: BytesMut,
    client_events: Vec<client::Event>,
    server_events: Vec<server::Event>,
    /// Where the server sends everybody.
    redirect: Option<&'static str>,
}

impl Pair {
    fn new(config: client::Config) -> Self {
        Self::with_server(config, server::Config::default())
    }

    fn with_server(config: client::Config, config_of_server: server::Config) -> Self {
        let now = Instant::now();
        let mut pair = Self {
            now,
            client: client::Session::new(config, [1; 32], now),
            server: server::Session::new(config_of_server, [2; 32], now),
            to_server: BytesMut::new(),
            to_client: BytesMut::new(),
            server_input: BytesMut::new(),
            client_input: BytesMut::new(),
            client_events: Vec::new(),
            server_events: Vec::new(),
            redirect: None,
        };
        pair.collect();
        pair
    }

    /// Takes outputs and events; the server agrees to everything.
    fn collect(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match &event {
                server::Event::Connect(_) => match self.redirect {
                    Some(url) => self.server.redirect_connect(url),
                    None => self.server.accept_connect(),
                },
                server::Event::Publish(publish) => self.server.accept_publish(publish.stream_id),
                server::Event::Play(play) => self.server.accept_play(play.stream_id),
                _ => {}
            }
            self.server_events.push(event);
        }
        while let Some(event) = self.client.poll_event() {
            self.client_events.push(event);
        }
        while let Some(bytes) = self.client.poll_output() {
            self.to_server.put_slice(&bytes);
        }
        while let Some(bytes) = self.server.poll_output() {
            self.to_client.put_slice(&bytes);
        }
    }

    fn deliver_to_server(&mut self, count: usize) {
        let count = count.min(self.to_server.len());
        self.server_input.put_slice(&self.to_server.split_to(count));
        self.server.handle_input(self.now, &mut self.server_input).unwrap();
        self.collect();
    }

    fn deliver_to_client(&mut self, count: usize) {
        let count = count.min(self.to_client.len());
        self.client_input.put_slice(&self.to_client.split_to(count));
        self.client.handle_input(self.now, &mut self.client_input).unwrap();
        self.collect();
    }

    /// Delivers everything, in pieces.
    fn settle(&mut self, splits: &[usize]) {
        for split in splits.iter().cycle() {
            if self.to_server.is_empty() && self.to_client.is_empty() {
                return;
            }
            self.deliver_to_server(*split);
            self.deliver_to_client(*split);
        }
    }

    fn started(&self) -> bool {
        self.client_events
            .iter()
            .any(|event| matches!(event, client::Event::Playing | client::Event::Publishing))
    }
}

fn config(role: client::Role) -> client::Config {
    let url = Url::parse("rtmp://host/live/cam").unwrap();
    if role == client::Role::Play { client::Config::play(&url) } else { client::Config::publish(&url) }
}

/// Round trips from the first byte of the client to the start of the stream.
fn round_trips(config: client::Config) -> usize {
    let mut pair = Pair::new(config);
    for round in 1..20 {
        pair.deliver_to_server(usize::MAX);
        pair.deliver_to_client(usize::MAX);
        if pair.started() {
            return round;
        }
    }
    panic!("{:?}", pair.client_events);
}

#[test]
fn pipelined_start_takes_two_round_trips_after_tcp_and_the_other_four() {
    for role in [client::Role::Play, client::Role::Publish] {
        assert_eq!(round_trips(config(role)), 2);
        assert_eq!(round_trips(client::Config { pipelined: false, ..config(role) }), 4);
    }
}

#[test]
fn encrypted_sessions_say_so_and_nothing_readable() {
    for (handshake, encrypted) in [(Form::Plain, false), (Form::Digest, false), (Form::Encrypted, true)] {
        let mut pair = Pair::new(client::Config { handshake, ..config(client::Role::Play) });
        pair.deliver_to_server(usize::MAX);
        assert!(!pair.client.is_encrypted() && !pair.server.is_encrypted());
        pair.deliver_to_client(usize::MAX);
        let readable = pair.to_server.windows(7).any(|bytes| bytes == b"connect");
        assert_eq!(readable, !encrypted, "{handshake:?}");
        pair.settle(&[usize::MAX]);
        assert!(pair.started());
        assert_eq!((pair.client.is_encrypted(), pair.server.is_encrypted()), (encrypted, encrypted));
    }
}

#[test]
fn encrypted_publishers_are_told_no_chunk_size_and_players_are() {
    for (handshake, role, told) in [
        (Form::Plain, client::Role::Publish, true),
        (Form::Encrypted, client::Role::Publish, false),
        (Form::Encrypted, client::Role::Play, true),
    ] {
        let mut pair = Pair::new(client::Config { handshake, ..config(role) });
        pair.settle(&[usize::MAX]);
        assert!(pair.started());
        assert_eq!(pair.server.out_chunk_size() != chunk::CHUNK_SIZE_INITIAL, told, "{handshake:?} {role:?}");
    }
}

#[test]
fn payload_of_an_encrypted_connection_is_a_slice_of_the_input() {
    let mut pair = Pair::new(client::Config { handshake: Form::Encrypted, ..config(client::Role::Publish) });
    pair.settle(&[usize::MAX]);
    pair.client.send_message(9, 0, &[&[7; 10_000]]).unwrap();
    pair.collect();
    let mut input = std::mem::take(&mut pair.to_server);
    let range = input.as_ptr_range();
    pair.server.handle_input(pair.now, &mut input).unwrap();
    let Some(server::Event::Message(message)) = pair.server.poll_event() else { panic!("no message") };
    assert!(range.contains(&message.payload.as_ptr()), "it was not copied");
    assert_eq!(message.payload, vec![7; 10_000]);
}

#[test]
fn server_sends_a_client_elsewhere() {
    let mut pair = Pair::new(config(client::Role::Play));
    pair.redirect = Some("rtmp://other/live");
    pair.settle(&[usize::MAX]);
    assert_eq!(pair.client_events, [client::Event::Redirect { tc_url: "rtmp://other/live".into() }]);
}

fn any_media() -> impl Strategy<Value = Message> {
    let kind = prop_oneof![Just(8_u8), Just(9), Just(18)];
    let timestamp = prop_oneof![0_u32..1000, 0xff_fff0_u32..0x100_0010, 0xffff_ff00_u32..=u32::MAX];
    let length = prop_oneof![0_usize..20, 400_usize..700, 60_000_usize..140_000];
    (kind, timestamp, length, any::<u8>()).prop_map(|(kind, timestamp, length, seed)| Message {
        stream_id: 1,
        kind,
        timestamp,
        payload: Bytes::from(vec![seed; length]),
    })
}

fn any_config(role: client::Role) -> impl Strategy<Value = client::Config> {
    let form = prop_oneof![Just(Form::Plain), Just(Form::Digest), Just(Form::Encrypted)];
    (any::<bool>(), form, any::<bool>(), prop_oneof![1_u32..300, Just(65_536)]).prop_map(
        move |(pipelined, handshake, enhanced, out_chunk_size)| client::Config {
            pipelined,
            handshake,
            enhanced,
            out_chunk_size,
            ..config(role)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn published_messages_arrive_as_they_were_sent(
        config in any_config(client::Role::Publish),
        messages in prop::collection::vec(any_media(), 0..6),
        splits in prop::collection::vec(1_usize..5000, 1..10),
    ) {
        let mut pair = Pair::new(config);
        pair.settle(&splits);
        prop_assert!(pair.started(), "{:?}", pair.client_events);
        for message in &messages {
            let (head, body) = message.payload.split_at(message.payload.len() / 3);
            pair.client.send_message(message.kind, message.timestamp, &[head, body]).unwrap();
        }
        pair.client.close();
        pair.collect();
        pair.settle(&splits);
        let mut got: Vec<_> = pair.server_events.into_iter().skip(2).collect();
        prop_assert_eq!(got.pop(), Some(server::Event::Unpublish { stream_id: 1 }));
        let expected: Vec<_> = messages.into_iter().map(server::Event::Message).collect();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn played_messages_arrive_as_they_were_sent(
        config in any_config(client::Role::Play),
        messages in prop::collection::vec(any_media(), 1..6),
        splits in prop::collection::vec(1_usize..5000, 1..10),
    ) {
        let mut pair = Pair::new(config);
        pair.settle(&splits);
        prop_assert!(pair.started(), "{:?}", pair.client_events);
        for message in &messages {
            let csid = u32::from(message.kind % 3) + 4;
            let Message { kind, timestamp, payload, .. } = message;
            let chunk_size = pair.server.out_chunk_size();
            let mut chunks = BytesMut::new();
            chunk::write_message(&mut chunks, chunk_size, csid, 1, *kind, *timestamp, &[payload]);
            pair.server.seal(&mut chunks);
            pair.to_client.put_slice(&chunks);
        }
        pair.settle(&splits);
        pair.server.end_play(1, "NetStream.Play.UnpublishNotify");
        pair.collect();
        pair.settle(&splits);
        let got: Vec<_> = pair.client_events.into_iter().filter_map(|event| match event {
            client::Event::Message(message) => Some(message),
            client::Event::Ended(_) | client::Event::Connected | client::Event::Playing => None,
            client::Event::Status(status) => { assert_eq!(status.code, "NetStream.Play.Reset"); None }
            other => panic!("{other:?}"),
        }).collect();
        prop_assert_eq!(got, messages);
    }
}

/// What a player was told since the last call.
fn told(pair: &mut Pair) -> Vec<String> {
    pair.settle(&[1000]);
    let code = |event| match event {
        client::Event::Status(status) => status.code,
        other => format!("{other:?}"),
    };
    pair.client_events.drain(..).map(code).collect()
}

#[test]
fn player_controls_reach_the_server_and_their_answers_the_player() {
    let mut pair = Pair::new(client::Config { audio: false, ..config(client::Role::Play) });
    told(&mut pair);
    assert_eq!(
        pair.server_events.drain(..).next_back(),
        Some(server::Event::ReceiveAudio { stream_id: 1, on: false })
    );
    let chunk_size = pair.server.out_chunk_size();
    chunk::write_message(&mut pair.to_client, chunk_size, 4, 1, 8, 1234, &[b"sound"]);
    assert_eq!(told(&mut pair).len(), 1);

    pair.client.pause(true).unwrap();
    pair.collect();
    assert_eq!(told(&mut pair), ["NetStream.Pause.Notify"], "the end of stream behind it is none");
    pair.client.pause(false).unwrap();
    pair.collect();
    assert_eq!(told(&mut pair), ["NetStream.Unpause.Notify"]);
    pair.client.seek(77).unwrap();
    pair.client.receive_video(true).unwrap();
    pair.collect();
    assert_eq!(told(&mut pair), ["NetStream.Seek.Notify"], "of the wish for pictures");
    assert_eq!(
        pair.server_events.drain(..).collect::<Vec<_>>(),
        [
            server::Event::Pause { stream_id: 1, paused: true, ms: 1234 },
            server::Event::Pause { stream_id: 1, paused: false, ms: 1234 },
            server::Event::Seek { stream_id: 1, ms: 77 },
            server::Event::ReceiveVideo { stream_id: 1, on: true },
        ]
    );
    pair.server.accept_seek(1, 78);
    pair.collect();
    assert_eq!(told(&mut pair), ["NetStream.Seek.Notify"]);
    pair.client.seek(79).unwrap();
    pair.server.accept_seek_nearby(1, 0, "too far");
    pair.server.reject_seek(1, "");
    pair.collect();
    assert_eq!(
        told(&mut pair),
        ["NetStream.Seek.InvalidTime", "NetStream.Seek.Notify", "NetStream.Seek.Failed"],
        "the stream goes on"
    );
    pair.server.end_play(1, "NetStream.Play.Stop");
    pair.collect();
    assert!(told(&mut pair)[0].starts_with("Ended"));
}

#[test]
fn only_a_player_that_plays_can_ask_for_another_position() {
    let mut pair = Pair::new(config(client::Role::Play));
    assert!(pair.client.seek(0).is_err() && pair.client.pause(true).is_err(), "not yet");
    let mut pair = Pair::new(config(client::Role::Publish));
    told(&mut pair);
    assert!(pair.client.receive_audio(true).is_err() && pair.client.receive_video(true).is_err());
}

#[test]
fn shared_objects_pass_in_both_directions_where_the_server_wants_them() {
    use shared_object::Event;
    for shared_objects in [true, false] {
        let config_of_server = server::Config { shared_objects, ..server::Config::default() };
        let mut pair = Pair::with_server(config(client::Role::Play), config_of_server);
        let wish = shared_object::Message::new("chat", 0, vec![Event::Use]);
        assert!(pair.client.send_shared_object(&wish).is_err(), "not connected yet");
        told(&mut pair);
        pair.server_events.clear();
        pair.client.send_shared_object(&wish).unwrap();
        pair.collect();
        pair.settle(&[1000]);
        if !shared_objects {
            assert_eq!(pair.server_events, []);
            continue;
        }
        assert_eq!(pair.server_events, [server::Event::SharedObject(Box::new(wish))]);
        let answer = shared_object::Message::new("chat", 3, vec![Event::UseSuccess, Event::Clear]);
        pair.server.send_shared_object(&answer);
        pair.collect();
        pair.settle(&[1000]);
        assert_eq!(pair.client_events, [client::Event::SharedObject(Box::new(answer))]);
    }
}
