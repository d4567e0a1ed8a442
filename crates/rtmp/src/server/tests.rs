use std::time::Duration;

use bytes::BufMut;

use super::*;
use crate::command::Status;

/// A peer that sends what a test tells it to.
struct Peer {
    session: Session,
    now: Instant,
    decoder: chunk::Decoder,
    transaction: f64,
}

/// What the session said: commands with their stream, and control messages.
#[derive(Debug, PartialEq)]
enum Said {
    Command(u32, Command),
    Control(Control),
    Data(u32, Vec<Value>),
}

impl Peer {
    /// Past the handshake.
    fn greeted(config: Config) -> Self {
        let now = Instant::now();
        let mut session = Session::new(config, [5; 32], now);
        let mut hello = BytesMut::from(&[vec![3], vec![0; 2 * 1536]].concat()[..]);
        session.handle_input(now, &mut hello).unwrap();
        assert_eq!(session.poll_output().unwrap().len(), 1 + 2 * 1536);
        Self { session, now, decoder: chunk::Decoder::new(), transaction: 0.0 }
    }

    /// Past `connect`, and with what the session said about it read away.
    fn connected() -> Self {
        let mut peer = Self::greeted(Config::default());
        peer.send("connect", &[Object::new().with("app", "live").into()]);
        assert!(matches!(peer.event(), Some(Event::Connect(_))));
        peer.session.accept_connect();
        peer.said();
        peer
    }

    /// With stream 1 created.
    fn with_stream() -> Self {
        let mut peer = Self::connected();
        peer.send("createStream", &[Value::Null]);
        let said = peer.said();
        let [Said::Command(0, result)] = &said[..] else { panic!("{said:?}") };
        assert_eq!((result.name.as_str(), result.arg(0)), ("_result", &Value::Number(1.0)));
        peer
    }

    fn publishing() -> Self {
        let mut peer = Self::with_stream();
        peer.send_on(1, "publish", &[Value::Null, "cam".into(), "live".into()]);
        peer.event();
        peer.session.accept_publish(1);
        peer.said();
        peer
    }

    fn playing() -> Self {
        let mut peer = Self::with_stream();
        peer.send_on(1, "play", &[Value::Null, "cam".into()]);
        peer.event();
        peer.session.accept_play(1);
        peer.said();
        peer
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.session.handle_input(self.now, &mut BytesMut::from(bytes))
    }

    fn message(&mut self, stream_id: u32, kind: u8, payload: &[u8]) -> Result<(), Error> {
        let mut out = BytesMut::new();
        chunk::write_message(&mut out, 128, 3, stream_id, kind, 0, &[payload]);
        self.bytes(&out)
    }

    fn control(&mut self, control: Control) -> Result<(), Error> {
        let mut out = BytesMut::new();
        control.write(&mut out, 128);
        self.bytes(&out)
    }

    fn send(&mut self, name: &str, values: &[Value]) {
        self.send_on(0, name, values);
    }

    fn send_on(&mut self, stream_id: u32, name: &str, values: &[Value]) {
        self.transaction += 1.0;
        let body = command::body(false, name, self.transaction, values);
        self.message(stream_id, message::COMMAND, &body).unwrap();
    }

    /// What the session said in short: commands with the code of their status, user control events.
    fn summary(&mut self) -> Vec<String> {
        let one = |said| match said {
            Said::Command(_, command) => format!("{} {}", command.name, Status::read(command.arg(0)).code),
            Said::Control(Control::User(event)) => format!("{event:?}"),
            other => format!("{other:?}"),
        };
        self.said().into_iter().map(one).collect()
    }

    fn event(&mut self) -> Option<Event> {
        self.session.poll_event()
    }

    /// Everything the session wants to send, decoded.
    fn said(&mut self) -> Vec<Said> {
        let mut input = BytesMut::new();
        while let Some(bytes) = self.session.poll_output() {
            input.put_slice(&bytes);
        }
        let mut said = Vec::new();
        while let Some(message) = self.decoder.next_message(&mut input).unwrap() {
            said.push(match Control::read(message.kind, &message.payload).unwrap() {
                Some(control) => {
                    if let Control::SetChunkSize(size) = control {
                        self.decoder.set_chunk_size(size).unwrap();
                    }
                    Said::Control(control)
                }
                None if message.kind == message::DATA => {
                    Said::Data(message.stream_id, crate::amf::amf0::read_all(&message.payload).unwrap())
                }
                None => {
                    Said::Command(message.stream_id, Command::read(message.kind, &message.payload).unwrap())
                }
            });
        }
        said
    }

    /// Names and status codes of the commands the session sent, and nothing else of them.
    fn codes(&mut self) -> Vec<String> {
        let said = self.said();
        let commands = said.iter().filter_map(|said| match said {
            Said::Command(_, command) => Some(command),
            _ => None,
        });
        commands.map(|command| format!("{} {}", command.name, Status::read(command.arg(0)).code)).collect()
    }
}

#[test]
fn connect_is_answered_with_windows_chunk_size_and_result() {
    let mut peer = Peer::greeted(Config::default());
    let properties = Object::new()
        .with("app", "live/room?x=1")
        .with("flashVer", "FMLE/3.0")
        .with("tcUrl", "rtmp://h/live")
        .with("objectEncoding", 3.0)
        .with("supportsGoAway", true);
    peer.send("connect", &[properties.into()]);
    let Some(Event::Connect(connect)) = peer.event() else { panic!() };
    assert_eq!((connect.app.as_str(), connect.tc_url.as_str()), ("live/room?x=1", "rtmp://h/live"));
    assert_eq!(connect.object_encoding, 3);
    assert_eq!(peer.said(), []);
    peer.session.accept_connect();
    let said = peer.said();
    assert_eq!(
        said[..3],
        [
            Said::Control(Control::WindowAckSize(2_500_000)),
            Said::Control(Control::SetPeerBandwidth(2_500_000, message::Bandwidth::Dynamic)),
            Said::Control(Control::SetChunkSize(65_536)),
        ]
    );
    let Said::Command(0, result) = &said[3] else { panic!("{said:?}") };
    assert_eq!((result.name.as_str(), result.transaction), ("_result", 1.0));
    assert!(result.object.get("fmsVer").is_some() && result.object.get("capabilities").is_some());
    assert_eq!(result.arg(0).get("code"), Some(&"NetConnection.Connect.Success".into()));
    assert_eq!(result.arg(0).get("objectEncoding"), Some(&Value::Number(3.0)));
    assert_eq!(result.arg(0).get("capsEx"), None, "only for peers that know Enhanced RTMP");
    assert!(matches!(&said[4], Said::Command(0, command) if command.name == "onBWDone"));
    assert_eq!(peer.session.out_chunk_size(), 65_536);
}

#[test]
fn enhanced_capabilities_are_echoed_and_stated() {
    let mut peer = Peer::greeted(Config::default());
    let list = Value::Array(vec!["hvc1".into(), "av01".into()]);
    peer.send("connect", &[Object::new().with("app", "live").with("fourCcList", list.clone()).into()]);
    peer.event();
    peer.session.accept_connect();
    let said = peer.said();
    let Said::Command(_, result) = &said[3] else { panic!() };
    let theirs = Capabilities::read(result.arg(0));
    assert_eq!(theirs.four_cc_list, ["hvc1", "av01"]);
    assert_eq!(theirs.video_four_cc, [("*".to_owned(), 4)]);
    assert_eq!(theirs.audio_four_cc, [("*".to_owned(), 4)]);
    assert_eq!(theirs.caps_ex, 15);
    assert!(!peer.session.request_reconnect(None, "moving"), "not announced");
}

#[test]
fn commands_behind_connect_wait_for_its_answer() {
    let mut peer = Peer::greeted(Config::default());
    peer.send("connect", &[Object::new().with("app", "live").into()]);
    peer.send("createStream", &[Value::Null]);
    peer.send_on(1, "play", &[Value::Null, "cam".into()]);
    assert!(matches!(peer.event(), Some(Event::Connect(_))));
    assert_eq!(peer.event(), None);
    assert_eq!(peer.said(), []);
    peer.session.accept_connect();
    assert!(matches!(peer.event(), Some(Event::Play(play)) if play.stream_id == 1 && play.name == "cam"));
    let codes = peer.codes();
    assert_eq!(codes, ["_result NetConnection.Connect.Success", "onBWDone ", "_result "]);
}

#[test]
fn refused_connect_ends_in_an_error_and_silence() {
    let mut peer = Peer::greeted(Config::default());
    peer.send("connect", &[Object::new().with("app", "nope").into()]);
    peer.event();
    peer.session.reject_connect("NetConnection.Connect.InvalidApp", "No such application.");
    assert_eq!(peer.codes(), ["_error NetConnection.Connect.InvalidApp"]);
    peer.send("createStream", &[Value::Null]);
    assert_eq!((peer.event(), peer.said()), (None, vec![]));
    peer.session.accept_connect();
    assert_eq!(peer.said(), []);
}

#[test]
fn nothing_works_before_connect_and_connect_works_once() {
    let mut peer = Peer::greeted(Config::default());
    peer.send("createStream", &[Value::Null]);
    assert_eq!(peer.codes(), ["_error NetConnection.Call.Failed"]);
    let mut peer = Peer::connected();
    peer.send("connect", &[Object::new().into()]);
    assert_eq!(peer.codes(), ["_error NetConnection.Call.Failed"]);
}

#[test]
fn publish_is_asked_for_and_carries_media() {
    let mut peer = Peer::with_stream();
    peer.send("releaseStream", &[Value::Null, "cam".into()]);
    peer.send("FCPublish", &[Value::Null, "cam".into()]);
    assert_eq!(peer.codes(), ["_result ", "_result ", "onFCPublish NetStream.Publish.Start"]);
    peer.send_on(1, "publish", &[Value::Null, "cam?key=1".into(), "record".into()]);
    let expected =
        Publish { stream_id: 1, app: "live".into(), name: "cam?key=1".into(), kind: PublishKind::Record };
    assert_eq!(peer.event(), Some(Event::Publish(expected)));
    assert_eq!(peer.said(), [], "never Publish.Start before the driver agrees");
    peer.session.accept_publish(1);
    let said = peer.said();
    assert_eq!(said[0], Said::Control(Control::User(UserControl::StreamBegin(1))));
    assert!(matches!(&said[1], Said::Command(1, status) if status.name == "onStatus"));
    for kind in [8, 9, 15, 18] {
        peer.message(1, kind, b"media").unwrap();
        assert!(matches!(peer.event(), Some(Event::Message(message)) if message.kind == kind));
    }
    peer.message(7, 9, b"media").unwrap();
    assert!(
        matches!(peer.event(), Some(Event::Message(message)) if message.stream_id == 1),
        "no doubt what is meant"
    );
    assert!(!peer.session.has_announced_end());
    peer.send("FCUnpublish", &[Value::Null, "cam".into()]);
    assert!(peer.session.has_announced_end());
    assert_eq!(peer.codes(), ["_result ", "onFCUnpublish NetStream.Unpublish.Success"]);
    peer.send("deleteStream", &[Value::Null, 1.0.into()]);
    assert_eq!(peer.event(), Some(Event::Unpublish { stream_id: 1 }));
    assert_eq!(peer.codes(), ["onStatus NetStream.Unpublish.Success"]);
    peer.message(1, 9, b"late").unwrap();
    assert_eq!(peer.event(), None);
}

#[test]
fn refused_publish_gets_an_error_and_no_start() {
    let mut peer = Peer::with_stream();
    peer.send_on(1, "publish", &[Value::Null, "cam".into()]);
    peer.event();
    peer.session.reject_publish(1, "NetStream.Publish.BadName", "In use.");
    assert_eq!(peer.codes(), ["onStatus NetStream.Publish.BadName"]);
    peer.session.accept_publish(1);
    assert_eq!(peer.said(), []);
}

#[test]
fn publish_on_a_missing_or_busy_stream_is_refused() {
    let mut peer = Peer::publishing();
    peer.send_on(9, "publish", &[Value::Null, "cam".into()]);
    peer.send_on(1, "publish", &[Value::Null, "cam".into()]);
    peer.send_on(1, "play", &[Value::Null, "cam".into()]);
    assert_eq!(
        peer.codes(),
        [
            "onStatus NetStream.Publish.BadName",
            "onStatus NetStream.Publish.BadName",
            "onStatus NetStream.Play.Failed"
        ]
    );
    assert_eq!(peer.event(), None);
}

#[test]
fn play_is_asked_for_and_started() {
    let mut peer = Peer::with_stream();
    peer.send("FCSubscribe", &[Value::Null, "cam".into()]);
    peer.send("getStreamLength", &[Value::Null, "cam".into()]);
    assert_eq!(peer.codes(), ["_result ", "onFCSubscribe NetStream.Play.Start"]);
    let Some(Event::StreamLength(asked)) = peer.event() else { panic!() };
    assert_eq!((asked.app.as_str(), asked.name.as_str()), ("live", "cam"));
    peer.session.answer_stream_length(&asked, 12.5);
    let said = peer.said();
    let [Said::Command(0, answer)] = &said[..] else { panic!("{said:?}") };
    assert_eq!((answer.transaction, answer.arg(0)), (4.0, &Value::Number(12.5)));
    peer.send_on(1, "play", &[Value::Null, "cam".into(), (-2000.0).into()]);
    let Some(Event::Play(play)) = peer.event() else { panic!() };
    assert_eq!((play.name.as_str(), play.start, play.duration, play.reset), ("cam", -2.0, -1.0, true));
    peer.control(Control::User(UserControl::SetBufferLength { stream_id: 1, ms: 3000 })).unwrap();
    assert_eq!(peer.event(), Some(Event::BufferLength { stream_id: 1, ms: 3000 }));
    peer.session.accept_play(1);
    let said = peer.said();
    assert_eq!(said[0], Said::Control(Control::User(UserControl::StreamBegin(1))));
    let code = |said: &Said| match said {
        Said::Command(1, command) => Status::read(command.arg(0)).code,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (code(&said[1]), code(&said[2])),
        ("NetStream.Play.Reset".into(), "NetStream.Play.Start".into())
    );
    assert_eq!(said[3], Said::Data(1, vec!["|RtmpSampleAccess".into(), true.into(), true.into()]));
}

#[test]
fn player_switches_by_playing_again() {
    let mut peer = Peer::playing();
    peer.send_on(1, "play", &[Value::Null, "other".into(), 0.0.into(), (-1.0).into(), false.into()]);
    assert!(matches!(peer.event(), Some(Event::Play(play)) if play.name == "other" && !play.reset));
    peer.session.replace_play(1, "other");
    peer.session.accept_play(1);
    assert_eq!(peer.codes(), ["onStatus NetStream.Play.Start"], "no reset");
    let parameters = Object::new().with("streamName", "rung").with("oldStreamName", "other");
    peer.send_on(1, "play2", &[Value::Null, parameters.into()]);
    assert_eq!(peer.event(), Some(Event::StopPlay { stream_id: 1 }));
    assert!(matches!(peer.event(), Some(Event::Play(play)) if play.name == "rung"));
}

#[test]
fn player_of_a_recording_is_told_that_it_is_one_and_when_it_is_over() {
    let mut peer = Peer::with_stream();
    peer.send_on(1, "play", &[Value::Null, "film".into(), 2000.0.into(), (-1000.0).into()]);
    assert!(matches!(peer.event(), Some(Event::Play(play)) if (play.start, play.duration) == (2000.0, -1.0)));
    peer.session.accept_recorded_play(1);
    let said = peer.summary();
    assert_eq!(said[..2], ["StreamIsRecorded(1)", "StreamBegin(1)"]);
    peer.session.accept_seek(1, 0);
    assert_eq!(peer.summary()[..3], ["StreamEof(1)", "StreamIsRecorded(1)", "StreamBegin(1)"]);
    peer.send_on(1, "play", &[Value::Null, "more".into(), 0.0.into(), (-1.0).into(), 0.0.into()]);
    assert!(matches!(peer.event(), Some(Event::Play(play)) if play.name == "more" && !play.reset));
    peer.session.reject_queued(1, "NetStream.Play.StreamNotFound", "");
    assert_eq!(peer.codes(), ["onStatus NetStream.Play.StreamNotFound"]);
    peer.session.switch_play(1, "more");
    let said = peer.said();
    let [Said::Data(1, switch), _, _, Said::Command(1, start)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(Status::read(&switch[1]).code, "NetStream.Play.Switch");
    assert_eq!(Status::read(start.arg(0)).description, "Started playing more.");
    peer.session.complete_play(1, 12.5, 1000);
    let said = peer.said();
    let [Said::Data(1, complete), Said::Command(1, stop), Said::Control(end)] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(
        (complete[0].as_str(), complete[1].get("duration")),
        (Some("onPlayStatus"), Some(&Value::Number(12.5)))
    );
    assert_eq!(Status::read(&complete[1]).code, "NetStream.Play.Complete");
    assert_eq!(Status::read(stop.arg(0)).code, "NetStream.Play.Stop");
    assert_eq!(*end, Control::User(UserControl::StreamEof(1)));
    peer.send_on(1, "seek", &[Value::Null, 0.0.into()]);
    assert_eq!(peer.event(), Some(Event::Seek { stream_id: 1, ms: 0 }), "it can be seen again");
    peer.session.fail_play(1, "NetStream.Play.Failed", "");
    assert_eq!(peer.summary(), ["onStatus NetStream.Play.Failed", "StreamEof(1)"]);
}

#[test]
fn player_controls_become_events() {
    let mut peer = Peer::playing();
    peer.send_on(1, "pause", &[Value::Null, true.into(), 1500.0.into()]);
    peer.send_on(1, "pauseRaw", &[Value::Null, false.into(), (-1.0).into()]);
    peer.send_on(1, "seek", &[Value::Null, 2000.5.into()]);
    peer.send_on(1, "receiveAudio", &[Value::Null, false.into()]);
    peer.send_on(1, "receiveVideo", &[Value::Null, true.into()]);
    let events: Vec<_> = std::iter::from_fn(|| peer.event()).collect();
    assert_eq!(
        events,
        [
            Event::Pause { stream_id: 1, paused: true, ms: 1500 },
            Event::Pause { stream_id: 1, paused: false, ms: 0 },
            Event::Seek { stream_id: 1, ms: 2000 },
            Event::ReceiveAudio { stream_id: 1, on: false },
            Event::ReceiveVideo { stream_id: 1, on: true },
        ]
    );
    peer.said();
    peer.send_on(1, "closeStream", &[Value::Null]);
    assert_eq!(peer.event(), Some(Event::StopPlay { stream_id: 1 }));
}

#[test]
fn pause_and_resume_are_answered_with_a_status_and_an_end_or_a_begin() {
    let mut peer = Peer::playing();
    peer.send_on(1, "pause", &[Value::Null, true.into(), 0.0.into()]);
    assert_eq!(peer.summary(), ["onStatus NetStream.Pause.Notify", "StreamEof(1)"]);
    peer.send_on(1, "pause", &[Value::Null, false.into(), 0.0.into()]);
    assert_eq!(peer.summary(), ["onStatus NetStream.Unpause.Notify", "StreamBegin(1)"]);
}

#[test]
fn seek_is_answered_once_the_driver_has_decided() {
    let mut peer = Peer::playing();
    peer.send_on(1, "seek", &[Value::Null, 2000.0.into()]);
    assert_eq!(peer.said(), []);
    peer.session.accept_seek(1, 2000);
    assert_eq!(
        peer.summary(),
        ["StreamEof(1)", "StreamBegin(1)", "onStatus NetStream.Seek.Notify", "onStatus NetStream.Play.Start"]
    );
    peer.session.accept_seek_nearby(1, 2500, "too far");
    let said = peer.said();
    let [Said::Command(1, status), _, _, Said::Command(1, notify), _] = &said[..] else { panic!("{said:?}") };
    assert_eq!(Status::read(notify.arg(0)).code, "NetStream.Seek.Notify");
    assert_eq!(Status::read(status.arg(0)).code, "NetStream.Seek.InvalidTime");
    assert_eq!(Status::read(status.arg(0)).level, "error");
    assert_eq!(status.arg(0).get("details"), Some(&Value::Number(2.5)));
    peer.session.reject_seek(1, "nothing there");
    assert_eq!(peer.codes(), ["onStatus NetStream.Seek.Failed"]);
}

#[test]
fn wish_for_sound_or_pictures_is_answered_and_the_contrary_is_not() {
    let mut peer = Peer::playing();
    for command in ["receiveAudio", "receiveVideo"] {
        peer.send_on(1, command, &[Value::Null, false.into()]);
        assert_eq!(peer.said(), []);
        peer.send_on(1, command, &[Value::Null, true.into()]);
        assert_eq!(peer.codes(), ["onStatus NetStream.Seek.Notify", "onStatus NetStream.Play.Start"]);
    }
}

#[test]
fn player_of_nothing_gets_no_answers_to_its_controls() {
    let mut peer = Peer::with_stream();
    for command in ["pause", "pauseRaw", "seek", "receiveAudio", "receiveVideo"] {
        peer.send_on(1, command, &[Value::Null, true.into(), 0.0.into()]);
        peer.send_on(9, command, &[Value::Null, true.into(), 0.0.into()]);
    }
    peer.session.accept_seek(1, 0);
    peer.session.accept_seek_nearby(1, 0, "");
    peer.session.reject_seek(1, "");
    peer.session.stream_dry(1);
    assert_eq!(peer.said(), []);
}

#[test]
fn dry_stream_is_announced() {
    let mut peer = Peer::playing();
    peer.session.stream_dry(1);
    peer.session.stream_begin(1);
    assert_eq!(peer.summary(), ["StreamDry(1)", "StreamBegin(1)"]);
}

#[test]
fn playback_ends_with_a_status_and_end_of_stream() {
    let mut peer = Peer::playing();
    peer.session.end_play(1, "NetStream.Play.UnpublishNotify");
    let said = peer.said();
    assert!(matches!(&said[0], Said::Command(1, _)));
    assert_eq!(said[1], Said::Control(Control::User(UserControl::StreamEof(1))));
    peer.send("deleteStream", &[Value::Null, 1.0.into()]);
    assert_eq!(peer.event(), None, "it was over");
}

#[test]
fn client_that_speaks_of_shared_objects_in_amf3_is_answered_so() {
    let mut peer = Peer::greeted(Config { shared_objects: true, ..Config::default() });
    peer.send("connect", &[Object::new().with("app", "live").into()]);
    peer.event();
    peer.session.accept_connect();
    peer.said();
    let object = shared_object::Message::new("chat", 0, vec![shared_object::Event::Use]);
    for kind in [message::SHARED_OBJECT, message::SHARED_OBJECT_AMF3] {
        let mut body = BytesMut::new();
        object.write(kind == message::SHARED_OBJECT_AMF3, &mut body);
        peer.message(0, kind, &body).unwrap();
        assert_eq!(peer.event(), Some(Event::SharedObject(Box::new(object.clone()))));
        peer.session.send_shared_object(&object);
        let mut output = peer.session.poll_output().map(BytesMut::from).unwrap();
        let answer = peer.decoder.next_message(&mut output).unwrap().unwrap();
        assert_eq!((answer.kind, answer.stream_id, &answer.payload[..]), (kind, 0, &body[..]));
    }
    assert!(peer.message(0, message::SHARED_OBJECT, b"\0").is_err());
}

#[test]
fn unknown_commands_are_refused_and_reported() {
    let mut peer = Peer::connected();
    peer.send("nonsense", &[Value::Null, "x".into()]);
    assert!(
        matches!(peer.event(), Some(Event::Command { stream_id: 0, command }) if command.name == "nonsense")
    );
    assert_eq!(peer.codes(), ["_error NetConnection.Call.Failed"]);
    let quiet = command::body(false, "nonsense", 0.0, &[]);
    peer.message(0, message::COMMAND, &quiet).unwrap();
    assert_eq!(peer.said(), [], "no transaction, no answer");
}

#[test]
fn commands_in_amf3_are_answered_in_amf3() {
    let mut peer = Peer::connected();
    let body = command::body(true, "createStream", 2.0, &[Value::Null]);
    peer.message(0, message::COMMAND_AMF3, &body).unwrap();
    let mut out = BytesMut::from(&peer.session.poll_output().unwrap()[..]);
    let answer = peer.decoder.next_message(&mut out).unwrap().unwrap();
    assert_eq!((answer.kind, answer.payload[0]), (message::COMMAND_AMF3, 0));
}

#[test]
fn large_messages_are_for_publishers_while_they_publish() {
    let large = vec![0; 2 * limits::MESSAGE_BYTES_MAX_BEFORE_PUBLISH as usize];
    let too_large = Err(Error::Violation("message too large"));
    assert_eq!(Peer::with_stream().message(1, message::VIDEO, &large), too_large);
    let mut peer = Peer::publishing();
    assert_eq!(peer.message(1, message::VIDEO, &large), Ok(()));
    peer.send("FCUnpublish", &[Value::Null, "cam".into()]);
    assert_eq!(peer.message(1, message::VIDEO, &large), Ok(()), "it still publishes");
    peer.send("deleteStream", &[Value::Null, 1.0.into()]);
    assert_eq!(peer.message(1, message::VIDEO, &large), too_large);

    let mut peer = Peer::publishing();
    peer.session.end_publish(1, "NetStream.Publish.BadName", "Taken over.");
    assert_eq!(peer.message(1, message::VIDEO, &large), Ok(()), "it was on its way");
    peer.send("createStream", &[Value::Null]);
    assert_eq!(peer.message(1, message::VIDEO, &large), too_large);
}

#[test]
fn streams_are_counted_and_limited() {
    let mut peer = Peer::connected();
    for _ in 0..limits::STREAMS_MAX + 1 {
        peer.send("createStream", &[Value::Null]);
    }
    let codes = peer.codes();
    assert_eq!(codes.iter().filter(|code| code.starts_with("_result")).count(), limits::STREAMS_MAX);
    assert_eq!(codes.last().unwrap(), "_error NetConnection.Call.Failed");
    peer.send("deleteStream", &[Value::Null, 3.0.into()]);
    peer.send("createStream", &[Value::Null]);
    let said = peer.said();
    assert!(
        matches!(&said[..], [Said::Command(0, result)] if result.arg(0) == &Value::Number(3.0)),
        "{said:?}"
    );
}

#[test]
fn numbers_of_streams_are_used_again() {
    let mut peer = Peer::connected();
    for _ in 0..100 {
        peer.send("createStream", &[Value::Null]);
        peer.send("deleteStream", &[Value::Null, 1.0.into()]);
    }
    peer.said();
    peer.send("createStream", &[Value::Null]);
    let said = peer.said();
    assert!(
        matches!(&said[..], [Said::Command(0, result)] if result.arg(0) == &Value::Number(1.0)),
        "{said:?}"
    );
}

#[test]
fn playbacks_that_wait_for_verification_are_as_few_as_streams() {
    let mut peer = Peer::connected();
    peer.session.verification = Some(Box::new(Verification::new(Some([0; 32]))));
    for _ in 0..4 * limits::STREAMS_MAX {
        for id in 1..=limits::STREAMS_MAX as u32 {
            peer.send("createStream", &[Value::Null]);
            for name in ["a", "b"] {
                peer.send_on(id, "play", &[Value::Null, name.into()]);
            }
        }
        for id in 1..=limits::STREAMS_MAX as u32 {
            peer.send("deleteStream", &[Value::Null, id.into()]);
        }
        let held = &peer.session.verification.as_ref().unwrap().plays;
        assert!(held.len() <= limits::STREAMS_MAX, "{held:?}");
    }
    peer.session.conclude(true);
    while let Some(event) = peer.event() {
        assert!(!matches!(event, Event::Play(_)), "its stream is gone");
    }
}

#[test]
fn received_bytes_are_acknowledged_modulo_2_to_the_32() {
    let mut peer = Peer::publishing();
    peer.control(Control::WindowAckSize(10_000)).unwrap();
    let payload = vec![0; 4000];
    for _ in 0..2 {
        peer.message(1, 9, &payload).unwrap();
        assert!(peer.said().iter().all(|said| !matches!(said, Said::Control(Control::Acknowledgement(_)))));
    }
    peer.message(1, 9, &payload).unwrap();
    let received = peer.session.bytes_received();
    assert_eq!(peer.said(), [Said::Control(Control::Acknowledgement(received as u32))]);
}

#[test]
fn odd_acknowledgements_and_windows_are_taken() {
    let mut peer = Peer::connected();
    peer.control(Control::Acknowledgement(u32::MAX)).unwrap();
    peer.control(Control::WindowAckSize(0)).unwrap();
    peer.control(Control::SetPeerBandwidth(1000, message::Bandwidth::Hard)).unwrap();
    assert_eq!(peer.said(), [Said::Control(Control::WindowAckSize(1000))]);
    peer.message(0, message::USER_CONTROL, b"\0\x03\0").unwrap();
    peer.message(0, 19, b"shared object").unwrap();
    assert_eq!(peer.said(), []);
}

#[test]
fn pings_are_answered_and_silent_peers_pinged() {
    let mut peer = Peer::playing();
    peer.control(Control::User(UserControl::PingRequest(77))).unwrap();
    assert_eq!(peer.said(), [Said::Control(Control::User(UserControl::PingResponse(77)))]);
    let start = peer.now;
    for round in 1..3 {
        let due = peer.session.poll_timeout().unwrap();
        assert_eq!(due, start + limits::PING_INTERVAL * round);
        peer.session.handle_timeout(due).unwrap();
        let ms = (due - start).as_millis() as u32;
        assert_eq!(peer.said(), [Said::Control(Control::User(UserControl::PingRequest(ms)))]);
    }
    assert_eq!(peer.session.last_heard(), start);
    peer.now = start + Duration::from_secs(70);
    peer.control(Control::User(UserControl::PingResponse(60_000))).unwrap();
    assert_eq!(peer.session.poll_timeout(), Some(peer.now + limits::PING_INTERVAL));
}

#[test]
fn slow_handshake_and_missing_connect_end_the_session() {
    let now = Instant::now();
    let mut session = Session::new(Config::default(), [0; 32], now);
    let due = session.poll_timeout().unwrap();
    assert_eq!(due, now + limits::HANDSHAKE_TIMEOUT);
    session.handle_input(due, &mut BytesMut::from(&b"\x03slow"[..])).unwrap();
    assert_eq!(session.handle_timeout(now), Ok(()));
    assert!(matches!(session.handle_timeout(due), Err(Error::Violation(_))));
    let mut peer = Peer::greeted(Config::default());
    let due = peer.session.poll_timeout().unwrap();
    assert!(matches!(peer.session.handle_timeout(due), Err(Error::Violation(_))));
}

#[test]
fn aggregate_is_taken_apart() {
    let mut peer = Peer::publishing();
    peer.message(
        1,
        message::AGGREGATE,
        b"\x08\0\0\x01\0\0\0\0\0\0\0a\0\0\0\x0c\x09\0\0\x01\0\0\x05\0\0\0\0b\0\0\0\x0c",
    )
    .unwrap();
    assert!(matches!(peer.event(), Some(Event::Message(message)) if message.kind == 8));
    assert!(
        matches!(peer.event(), Some(Event::Message(message)) if message.kind == 9 && message.timestamp == 5)
    );
}

#[test]
fn large_messages_need_an_accepted_publication() {
    let header = |length: u32| {
        let mut out = BytesMut::from(&b"\x06\0\0\0"[..]);
        out.put_slice(&length.to_be_bytes()[1..]);
        out.put_slice(b"\x09\x01\0\0\0");
        out
    };
    let mut peer = Peer::with_stream();
    let error = peer.bytes(&header(limits::MESSAGE_BYTES_MAX_BEFORE_PUBLISH + 1)).unwrap_err();
    assert_eq!(error, Error::Violation("message too large"));
    let mut peer = Peer::publishing();
    peer.bytes(&header(limits::MESSAGE_BYTES_MAX)).unwrap();
}

#[test]
fn floods_end_the_session_and_not_the_memory() {
    // Messages behind an undecided connect.
    let mut peer = Peer::greeted(Config::default());
    peer.send("connect", &[Object::new().into()]);
    let body = command::body(false, "createStream", 2.0, &[Value::Null]);
    let flood = (0..1000).find_map(|_| peer.message(0, message::COMMAND, &body).err());
    assert!(matches!(flood, Some(Error::Violation(_))));
    // Empty audio messages, one byte each.
    let mut peer = Peer::publishing();
    peer.message(1, 8, b"").unwrap();
    let flood = vec![0xc3; 2 * limits::EVENTS_MAX];
    assert!(matches!(peer.bytes(&flood), Err(Error::Violation(_))));
    // Events that the driver leaves.
    let mut peer = Peer::publishing();
    peer.message(1, 8, b"").unwrap();
    peer.bytes(&vec![0xc3; limits::EVENTS_MAX - 1]).unwrap();
    assert!(matches!(peer.bytes(b"\xc3"), Err(Error::Misuse(_))));
    // Questions without reading the answers.
    let mut peer = Peer::connected();
    let body = command::body(false, "x", 2.0, &[]);
    let flood = (0..20_000).find_map(|_| {
        while peer.event().is_some() {}
        peer.message(0, message::COMMAND, &body).err()
    });
    assert!(matches!(flood, Some(Error::Violation(_))));
}

#[test]
fn reconnect_is_asked_of_peers_that_know_it() {
    let mut peer = Peer::greeted(Config::default());
    peer.send("connect", &[Object::new().with("app", "live").with("capsEx", 1.0).into()]);
    peer.event();
    assert!(!peer.session.request_reconnect(None, "moving"), "too early");
    peer.session.accept_connect();
    peer.said();
    assert!(peer.session.request_reconnect(Some("rtmp://other/live"), "moving"));
    let said = peer.said();
    let [Said::Command(0, status)] = &said[..] else { panic!("{said:?}") };
    assert_eq!((status.name.as_str(), status.transaction), ("onStatus", 0.0));
    assert_eq!(status.arg(0).get("code"), Some(&"NetConnection.Connect.ReconnectRequest".into()));
    assert_eq!(status.arg(0).get("tcUrl"), Some(&"rtmp://other/live".into()));
}

#[test]
fn idle_player_takes_little_memory() {
    let peer = Peer::playing();
    let session = &peer.session;
    let heap = session.events.capacity() * size_of::<Event>()
        + session.streams.capacity() * size_of::<Stream>()
        + session.deferred.capacity() * size_of::<Message>()
        + session.link.out.capacity()
        + session.link.decoder.idle_bytes();
    assert!(size_of::<Session>() + heap <= 1024, "{} + {heap}", size_of::<Session>());
    assert!(size_of::<Event>() <= 96);
}
