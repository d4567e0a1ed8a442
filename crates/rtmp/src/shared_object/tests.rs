use proptest::prelude::*;

use super::*;
use crate::amf::Object;
use crate::message::{SHARED_OBJECT, SHARED_OBJECT_AMF3};

fn written(message: &Message, for_amf3: bool) -> BytesMut {
    let mut out = BytesMut::new();
    message.write(for_amf3, &mut out);
    out
}

fn name(name: &str) -> String {
    name.to_owned()
}

/// Events and their bytes.
fn table() -> Vec<(&'static [u8], Event)> {
    vec![
        (b"\x01\0\0\0\0", Event::Use),
        (b"\x02\0\0\0\0", Event::Release),
        (
            b"\x03\0\0\0\x0b\0\x03foo\x02\0\x03bar",
            Event::RequestChange { name: name("foo"), value: "bar".into() },
        ),
        (b"\x04\0\0\0\x0b\0\x03foo\x02\0\x03bar", Event::Change { name: name("foo"), value: "bar".into() }),
        (b"\x05\0\0\0\x05\0\x03foo", Event::Success { name: name("foo") }),
        (b"\x05\0\0\0\0", Event::Success { name: String::new() }),
        (b"\x06\0\0\0\x07\x02\0\x02hi\x01\x01", Event::Send { values: vec!["hi".into(), true.into()] }),
        (
            b"\x07\0\0\0\x22\0\x19SharedObject.NoReadAccess\0\x05error",
            Event::Status { code: name("SharedObject.NoReadAccess"), level: name("error") },
        ),
        (b"\x08\0\0\0\0", Event::Clear),
        (b"\x09\0\0\0\x05\0\x03foo", Event::Remove { name: name("foo") }),
        (b"\x0a\0\0\0\x05\0\x03foo", Event::RequestRemove { name: name("foo") }),
        (b"\x0b\0\0\0\0", Event::UseSuccess),
        (b"\x0e\0\0\0\0", Event::Other(14)),
    ]
}

#[test]
fn events_match_their_bytes_both_ways() {
    for (bytes, event) in table() {
        let head = b"\0\x04chat\0\0\0\x07\0\0\0\0\0\0\0\0";
        let whole = [&head[..], bytes].concat();
        let message = Message::new("chat", 7, vec![event]);
        assert_eq!(Message::read(SHARED_OBJECT, &whole), Ok(message.clone()));
        assert_eq!(written(&message, false)[..], whole);
        let amf3 = [&[0], &whole[..]].concat();
        assert_eq!(Message::read(SHARED_OBJECT_AMF3, &amf3), Ok(message.clone()));
        assert_eq!(written(&message, true)[..], amf3);
        for end in 0..whole.len() {
            let cut = Message::read(SHARED_OBJECT, &whole[..end]);
            assert!(cut.is_err() || end == head.len(), "{message:?} {end}");
            crate::fuzz::shared_object(&amf3[..end]);
        }
        crate::fuzz::shared_object(&amf3);
    }
}

#[test]
fn message_holds_any_number_of_events() {
    let events: Vec<_> = table().into_iter().map(|(_, event)| event).collect();
    let message = Message { persistent: true, ..Message::new("all", 1, events) };
    assert_eq!(Message::read(SHARED_OBJECT, &written(&message, false)), Ok(message));
}

#[test]
fn one_change_may_name_several_values() {
    let bytes = b"\0\x01x\0\0\0\0\0\0\0\0\0\0\0\0\x04\0\0\0\x08\0\x01a\x05\0\x01b\x06";
    let events = Message::read(SHARED_OBJECT, bytes).unwrap().events;
    let change = |name: &str, value| Event::Change { name: name.to_owned(), value };
    assert_eq!(events, [change("a", Value::Null), change("b", Value::Undefined)]);
}

#[test]
fn function_without_a_marker_is_read_like_one_with_it() {
    let read = |data: &[u8]| {
        let size = [6, 0, 0, 0, data.len() as u8];
        Message::read(SHARED_OBJECT, &[b"\0\x01x\0\0\0\0\0\0\0\0\0\0\0\0", &size[..], data].concat())
    };
    assert_eq!(read(b"\0\x02hi\x05"), read(b"\x02\0\x02hi\x05"));
    assert_eq!(read(b"").unwrap().events, [Event::Send { values: vec![] }]);
}

#[test]
fn value_that_amf0_cannot_say_goes_as_amf3_to_those_who_know_it() {
    let value = Value::Array(vec![Value::Bytes(vec![1, 2, 3])]);
    let message = Message::new("x", 0, vec![Event::Change { name: name("a"), value }]);
    assert_eq!(Message::read(SHARED_OBJECT_AMF3, &written(&message, true)), Ok(message.clone()));
    let lossy = Message::read(SHARED_OBJECT, &written(&message, false)).unwrap();
    let expected = Event::Change { name: name("a"), value: Value::Array(vec![Value::Undefined]) };
    assert_eq!(lossy.events, [expected]);
}

#[test]
fn too_much_is_refused() {
    let large = vec![0; limits::SHARED_OBJECT_BYTES_MAX + 1];
    assert!(matches!(Message::read(SHARED_OBJECT, &large), Err(Error::Violation(_))));
    let many = Message::new("x", 0, vec![Event::Use; limits::SHARED_OBJECT_EVENTS_MAX + 1]);
    assert!(matches!(Message::read(SHARED_OBJECT, &written(&many, false)), Err(Error::Violation(_))));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(|number| Value::Number(number.into())),
        ".{0,9}".prop_map(Value::String),
        prop::collection::vec(any::<u8>(), 0..5).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            (inner, ".{1,9}").prop_map(|(value, key)| Object::new().with(key, value).into()),
        ]
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        prop::sample::select(table()).prop_map(|(_, event)| event),
        (".{0,9}", any_value()).prop_map(|(name, value)| Event::RequestChange { name, value }),
        (".{0,9}", any_value()).prop_map(|(name, value)| Event::Change { name, value }),
        ("[a-z]{1,9}", any_value())
            .prop_map(|(name, value)| Event::Send { values: vec![name.into(), value] }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        name in ".{0,20}",
        version in any::<u32>(),
        persistent in any::<bool>(),
        events in prop::collection::vec(any_event(), 0..8),
    ) {
        let message = Message { name, version, persistent, events };
        prop_assert_eq!(Message::read(SHARED_OBJECT_AMF3, &written(&message, true)), Ok(message));
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        crate::fuzz::shared_object(&bytes);
    }
}
