use bytes::BufMut;

use super::*;
use crate::amf::Object;
use crate::message::Control;
use crate::url::Url;

/// A server that says what a test tells it to.
struct Script {
    session: Session,
    now: Instant,
    decoder: chunk::Decoder,
}

impl Script {
    /// Past the handshake.
    fn new(role: Role, pipelined: bool) -> Self {
        let url = Url::parse("rtmp://host/live/cam?key=1").unwrap();
        let config = if role == Role::Play { Config::play(&url) } else { Config::publish(&url) };
        Self::with_config(Config { pipelined, ..config })
    }

    fn with_config(config: Config) -> Self {
        let now = Instant::now();
        let mut session = Session::new(config, [1; 32], now);
        assert_eq!(session.poll_output().unwrap().len(), 1 + 1536);
        let mut answer = BytesMut::from(&[vec![3], vec![0; 2 * 1536]].concat()[..]);
        session.handle_input(now, &mut answer).unwrap();
        let mut script = Self { session, now, decoder: chunk::Decoder::new() };
        let c2 = script.session.link.out.split_to(1536);
        assert_eq!(c2, [0; 1536][..]);
        script
    }

    /// Names of the commands the client sent, with their stream and transaction.
    fn heard(&mut self) -> Vec<(String, u32, f64)> {
        self.commands().into_iter().map(|(id, command)| (command.name, id, command.transaction)).collect()
    }

    /// The object of `connect`.
    fn connect_object(&mut self) -> Value {
        self.commands().swap_remove(0).1.object
    }

    /// The commands the client sent, with their stream.
    fn commands(&mut self) -> Vec<(u32, Command)> {
        let mut input = BytesMut::new();
        while let Some(bytes) = self.session.poll_output() {
            input.put_slice(&bytes);
        }
        let mut heard = Vec::new();
        while let Some(message) = self.decoder.next_message(&mut input).unwrap() {
            match Control::read(message.kind, &message.payload).unwrap() {
                Some(Control::SetChunkSize(size)) => self.decoder.set_chunk_size(size).unwrap(),
                Some(_) => {}
                None => {
                    let command = Command::read(message.kind, &message.payload).unwrap();
                    heard.push((message.stream_id, command));
                }
            }
        }
        heard
    }

    fn names(&mut self) -> Vec<String> {
        self.heard().into_iter().map(|(name, _, _)| name).collect()
    }

    fn message(&mut self, kind: u8, payload: &[u8]) {
        let mut out = BytesMut::new();
        chunk::write_message(&mut out, 128, 3, 1, kind, 0, &[payload]);
        self.session.handle_input(self.now, &mut out).unwrap();
    }

    fn say(&mut self, name: &str, transaction: f64, value: impl Into<Value>) {
        let body = command::body(false, name, transaction, &[Value::Null, value.into()]);
        self.message(message::COMMAND, &body);
    }

    fn status(&mut self, level: &str, code: &str) {
        self.say("onStatus", 0.0, command::info(level, code, "because"));
    }

    fn connected(&mut self) {
        self.say("_result", 1.0, command::info("status", "NetConnection.Connect.Success", ""));
        assert_eq!(self.event(), Some(Event::Connected));
    }

    fn event(&mut self) -> Option<Event> {
        self.session.poll_event()
    }

    /// Past the start of a stream.
    fn running(role: Role) -> Self {
        let mut script = Self::new(role, true);
        script.connected();
        script.say("_result", if role == Role::Play { 2.0 } else { 4.0 }, 1.0);
        script.status(
            "status",
            if role == Role::Play { "NetStream.Play.Start" } else { "NetStream.Publish.Start" },
        );
        assert_eq!(script.event(), Some(if role == Role::Play { Event::Playing } else { Event::Publishing }));
        script.heard();
        script
    }
}

#[test]
fn scheme_decides_on_encryption() {
    for (url, form) in [
        ("rtmp://h/live/cam", Form::Plain),
        ("rtmps://h/live/cam", Form::Plain),
        ("rtmpe://h/live/cam", Form::Encrypted),
        ("rtmpte://h/live/cam", Form::Encrypted),
    ] {
        assert_eq!(Config::play(&Url::parse(url).unwrap()).handshake, form);
    }
}

#[test]
fn pipelined_play_is_one_flight() {
    let mut script = Script::new(Role::Play, true);
    let heard = script.heard();
    let expected = [("connect", 0, 1.0), ("createStream", 0, 2.0), ("play", 1, 3.0)];
    assert_eq!(heard, expected.map(|(name, stream, transaction)| (name.to_owned(), stream, transaction)));
    script.connected();
    script.say("_result", 2.0, 1.0);
    assert_eq!(script.heard(), [], "the guess was right");
    script.status("status", "NetStream.Play.Reset");
    assert!(matches!(script.event(), Some(Event::Status(_))));
    script.status("status", "NetStream.Play.Start");
    assert_eq!(script.event(), Some(Event::Playing));
    assert_eq!(script.session.poll_timeout(), None);
}

#[test]
fn pipelined_publish_is_one_flight() {
    let mut script = Script::new(Role::Publish, true);
    assert_eq!(script.names(), ["connect", "releaseStream", "FCPublish", "createStream", "publish"]);
    assert!(script.session.send_message(9, 0, &[b"early"]).is_err());
}

#[test]
fn one_step_at_a_time_waits_for_every_answer() {
    let mut script = Script::new(Role::Publish, false);
    assert_eq!(script.names(), ["connect"]);
    script.connected();
    assert_eq!(script.names(), ["releaseStream", "FCPublish", "createStream"]);
    script.say("_error", 2.0, command::info("error", "NetConnection.Call.Failed", "what is that"));
    script.say("_result", 4.0, 7.0);
    assert_eq!(script.heard(), [("publish".to_owned(), 7, 5.0)]);
    script.status("status", "NetStream.Publish.Start");
    assert_eq!(script.event(), Some(Event::Publishing));
    assert_eq!(script.session.stream_id(), 7);
}

#[test]
fn other_stream_number_is_asked_for_again() {
    let mut script = Script::new(Role::Play, true);
    script.heard();
    script.connected();
    script.status("error", "NetStream.Play.Failed");
    script.say("_result", 2.0, 5.0);
    assert_eq!(script.event(), None, "the failure was that of the guess");
    assert_eq!(script.heard(), [("play".to_owned(), 5, 4.0)]);
    script.status("error", "NetStream.Play.StreamNotFound");
    assert!(
        matches!(script.event(), Some(Event::Rejected(status)) if status.code == "NetStream.Play.StreamNotFound")
    );
}

#[test]
fn play_that_came_too_early_is_asked_for_again() {
    let mut script = Script::new(Role::Play, true);
    script.heard();
    script.say("_error", 3.0, command::info("error", "NetConnection.Call.Failed", "not connected"));
    script.connected();
    script.say("_result", 2.0, 1.0);
    assert_eq!(script.heard(), [("play".to_owned(), 1, 4.0)]);
}

#[test]
fn create_that_came_too_early_is_sent_again_once() {
    let mut script = Script::new(Role::Play, true);
    script.heard();
    script.say("_error", 2.0, command::info("error", "NetConnection.Call.Failed", "not connected"));
    assert_eq!(script.heard(), [("createStream".to_owned(), 0, 4.0)]);
    script.connected();
    script.say("_error", 4.0, command::info("error", "NetConnection.Call.Failed", "never"));
    assert!(matches!(script.event(), Some(Event::Rejected(_))));
}

#[test]
fn create_without_an_answer_is_sent_again() {
    let mut script = Script::new(Role::Play, true);
    script.heard();
    script.connected();
    let due = script.session.poll_timeout().unwrap();
    assert_eq!(due, script.now + limits::PIPELINE_TIMEOUT);
    script.session.handle_timeout(due).unwrap();
    assert_eq!(script.heard(), [("createStream".to_owned(), 0, 4.0)]);
    script.say("_result", 4.0, 1.0);
    assert_eq!(script.heard(), [("play".to_owned(), 1, 5.0)]);
    script.say("_result", 2.0, 9.0);
    assert_eq!(script.heard(), [], "the first one comes late and does not matter");
}

#[test]
fn server_that_never_starts_the_stream_is_given_up() {
    let script = Script::new(Role::Play, true);
    let mut session = script.session;
    let due = session.poll_timeout().unwrap();
    assert_eq!(due, script.now + limits::START_TIMEOUT);
    assert!(matches!(session.handle_timeout(due), Err(Error::Violation(_))));
}

#[test]
fn refusals_end_in_rejected() {
    let rejected = |script: &mut Script| matches!(script.event(), Some(Event::Rejected(_)));
    let mut script = Script::new(Role::Play, true);
    script.say("_error", 1.0, command::info("error", "NetConnection.Connect.Rejected", "no"));
    assert!(rejected(&mut script));
    script.say("_result", 2.0, 1.0);
    script.message(message::VIDEO, b"video");
    assert_eq!(script.event(), None);
    let mut script = Script::new(Role::Play, false);
    script.status("error", "NetConnection.Connect.AppShutdown");
    assert!(rejected(&mut script));
    let mut script = Script::new(Role::Publish, true);
    script.connected();
    script.say("_result", 4.0, 1.0);
    script.status("error", "NetStream.Publish.BadName");
    assert!(rejected(&mut script));
    assert!(script.session.send_message(9, 0, &[b"late"]).is_err());
}

#[test]
fn refusal_that_asks_for_a_password_is_answered_on_another_connection() {
    let url = Url::parse("rtmp://me:secret@host/live/cam").unwrap();
    let mut config = Config::publish(&url);
    let mut sent = Vec::new();
    for description in [
        "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ",
        "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=me&salt=S&challenge=C&opaque=O",
        "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed&opaque=O",
    ] {
        let mut script = Script::with_config(config.clone());
        sent.push(script.connect_object().get("app").and_then(Value::as_str).unwrap().to_owned());
        script.say("_error", 1.0, command::info("error", "NetConnection.Connect.Rejected", description));
        match script.event() {
            Some(Event::Authenticate(auth)) => config.auth = Some(auth),
            event => assert!(matches!(event, Some(Event::Rejected(_))), "{event:?}"),
        }
        script.say("_error", 1.0, command::info("error", "NetConnection.Connect.Rejected", description));
        assert_eq!(script.event(), None, "it is over");
    }
    assert_eq!(sent[..2], ["live", "live?authmod=adobe&user=me"]);
    assert!(sent[2].starts_with("live?authmod=adobe&user=me&challenge=") && sent[2].ends_with("&opaque=O"));
    assert_eq!(sent.len(), 3);
}

#[test]
fn refusal_that_names_another_place_is_a_redirect() {
    for code in [Value::Number(302.0), "302".into()] {
        let mut script = Script::new(Role::Play, true);
        let ex = Object::new().with("code", code).with("redirect", "rtmp://other/live");
        let info = command::info("error", "NetConnection.Connect.Rejected", "moved").with("ex", ex);
        script.say("_error", 1.0, info);
        assert_eq!(script.event(), Some(Event::Redirect { tc_url: "rtmp://other/live".into() }));
    }
    let mut script = Script::new(Role::Play, true);
    let ex = Object::new().with("code", 301.0).with("redirect", "rtmp://other/live");
    script.say("_error", 1.0, command::info("error", "NetConnection.Connect.Rejected", "").with("ex", ex));
    assert!(matches!(script.event(), Some(Event::Rejected(_))));
}

#[test]
fn media_without_a_status_starts_the_playback() {
    let mut script = Script::new(Role::Play, true);
    script.connected();
    script.message(message::VIDEO, b"video");
    assert_eq!(script.event(), Some(Event::Playing));
    assert!(matches!(script.event(), Some(Event::Message(message)) if message.kind == message::VIDEO));
}

#[test]
fn notices_for_the_player_program_are_no_metadata() {
    let mut script = Script::running(Role::Play);
    script.message(message::DATA, b"\x02\0\x11|RtmpSampleAccess\x01\0\x01\0");
    script.message(message::DATA, b"\x02\0\x08onStatus\x05");
    assert_eq!(script.event(), None);
    script.message(message::DATA, b"\x02\0\x0aonMetaData\x05");
    assert!(matches!(script.event(), Some(Event::Message(_))));
}

#[test]
fn stream_ends_once() {
    let mut script = Script::running(Role::Play);
    script.status("status", "NetStream.Play.UnpublishNotify");
    assert!(matches!(script.event(), Some(Event::Ended(status)) if status.description == "because"));
    script.message(message::USER_CONTROL, b"\0\x01\0\0\0\x01");
    script.say("close", 0.0, Value::Null);
    assert_eq!(script.event(), None);
    let mut script = Script::running(Role::Publish);
    script.status("error", "NetStream.Publish.BadName");
    assert!(matches!(script.event(), Some(Event::Ended(_))), "another publisher took over");
}

#[test]
fn reconnect_request_becomes_an_event() {
    let mut script = Script::running(Role::Publish);
    let info = command::info("status", "NetConnection.Connect.ReconnectRequest", "maintenance");
    script.say("onStatus", 0.0, info.with("tcUrl", "rtmp://other/live"));
    let expected =
        Event::Reconnect { tc_url: Some("rtmp://other/live".into()), description: "maintenance".into() };
    assert_eq!(script.event(), Some(expected));
    assert_eq!(script.session.send_message(9, 0, &[b"still", b"here"]), Ok(()));
}

#[test]
fn server_capabilities_are_found_in_either_object() {
    for in_info in [true, false] {
        let mut script = Script::new(Role::Play, true);
        let (with, without) = (Object::new().with("capsEx", 3.0), Object::new());
        let (properties, info) = if in_info { (without, with) } else { (with, without) };
        let body = command::body(false, "_result", 1.0, &[properties.into(), info.into()]);
        script.message(message::COMMAND, &body);
        assert_eq!(script.session.server_capabilities().caps_ex, 3);
    }
}

#[test]
fn goodbye_names_the_stream() {
    let mut script = Script::running(Role::Publish);
    script.session.close();
    assert_eq!(script.names(), ["FCUnpublish", "deleteStream"]);
    script.session.close();
    assert!(script.heard().is_empty());
    let mut script = Script::running(Role::Play);
    script.session.close();
    assert_eq!(script.names(), ["deleteStream"]);
}

#[test]
fn only_media_of_legal_size_is_sent() {
    let mut script = Script::running(Role::Publish);
    assert!(script.session.send_message(message::COMMAND, 0, &[b"x"]).is_err());
    let large = vec![0; limits::MESSAGE_BYTES_MAX as usize];
    assert!(script.session.send_message(message::VIDEO, 0, &[b"x", &large]).is_err());
    assert!(script.session.send_message(message::VIDEO, 0, &[&large]).is_ok());
}

#[test]
fn a_server_that_provokes_answers_without_end_has_gone_too_far() {
    let pings = |count: usize| {
        let mut out = BytesMut::new();
        (0..count).for_each(|_| Control::User(UserControl::PingRequest(1)).write(&mut out, 128));
        out
    };
    let mut one = BytesMut::new();
    Control::User(UserControl::PingResponse(1)).write(&mut one, 128);
    let few = limits::OUTPUT_BYTES_MAX / one.len();
    let mut script = Script::running(Role::Publish);
    script.session.send_message(message::VIDEO, 0, &[&vec![0; 2 * limits::OUTPUT_BYTES_MAX]]).unwrap();
    assert_eq!(script.session.handle_input(script.now, &mut pings(few)), Ok(()), "media is not an answer");
    while script.session.poll_output().is_some() {}
    let provoked = script.session.handle_input(script.now, &mut pings(few + 1));
    assert_eq!(provoked, Err(Error::Violation("too many requests at once")));
}
