use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

fn amf0_bytes(value: &Value) -> BytesMut {
    let mut out = BytesMut::new();
    amf0::write(&mut out, value);
    out
}

/// Bytes of the specification's markers, and what they mean; read and written from the same table.
fn amf0_table() -> Vec<(&'static [u8], Value)> {
    vec![
        (b"\x00\x3f\xf0\0\0\0\0\0\0", Value::Number(1.0)),
        (b"\x01\x01", Value::Bool(true)),
        (b"\x02\0\x04live", Value::from("live")),
        (b"\x03\0\x03app\x02\0\x01x\0\0\x09", Value::Object(Object::new().with("app", "x"))),
        (b"\x05", Value::Null),
        (b"\x06", Value::Undefined),
        (b"\x08\0\0\0\x01\0\x01w\x01\0\0\0\x09", Value::EcmaArray(Object::new().with("w", false))),
        (b"\x0a\0\0\0\x02\x05\x06", Value::Array(vec![Value::Null, Value::Undefined])),
        (b"\x0b\x3f\xf0\0\0\0\0\0\0\0\0", Value::Date(1.0)),
        (b"\x0f\0\0\0\x01x", Value::Xml("x".into())),
    ]
}

fn amf3_table() -> Vec<(&'static [u8], Value)> {
    vec![
        (b"\x00", Value::Undefined),
        (b"\x01", Value::Null),
        (b"\x02", Value::Bool(false)),
        (b"\x03", Value::Bool(true)),
        (b"\x04\x7f", Value::Number(127.0)),
        (b"\x04\x81\x00", Value::Number(128.0)),
        (b"\x04\x80\xc0\x80\x00", Value::Number(2_097_152.0)),
        (b"\x04\xff\xff\xff\xff", Value::Number(-1.0)),
        (b"\x05\x3f\xe0\0\0\0\0\0\0", Value::Number(0.5)),
        (b"\x06\x09live", Value::from("live")),
        (b"\x08\x01\x3f\xf0\0\0\0\0\0\0", Value::Date(1.0)),
        (b"\x09\x05\x01\x01\x02", Value::Array(vec![Value::Null, Value::Bool(false)])),
        (b"\x09\x01\x03w\x03\x01", Value::EcmaArray(Object::new().with("w", true))),
        (b"\x0a\x0b\x01\x03w\x03\x01", Value::Object(Object::new().with("w", true))),
        (b"\x0b\x03x", Value::Xml("x".into())),
        (b"\x0c\x05\x01\x02", Value::Bytes(vec![1, 2])),
    ]
}

#[test]
fn amf0_values_match_their_bytes_both_ways() {
    for (bytes, value) in amf0_table() {
        assert_eq!(amf0::read_all(bytes), Ok(vec![value.clone()]), "{bytes:x?}");
        assert_eq!(amf0_bytes(&value), bytes);
    }
}

#[test]
fn amf3_values_match_their_bytes_both_ways() {
    for (bytes, value) in amf3_table() {
        assert_eq!(amf3::read(bytes).as_ref(), Ok(&value), "{bytes:x?}");
        let mut out = BytesMut::new();
        amf3::write(&mut out, &value);
        assert_eq!(out, bytes);
    }
}

#[test]
fn amf0_switches_to_amf3_for_one_value_only() {
    let values = amf0::read_all(b"\x11\x06\x03x\x02\0\x01y").unwrap();
    assert_eq!(values, [Value::from("x"), Value::from("y")]);
}

#[test]
fn amf3_strings_and_traits_are_referred_to() {
    // An array of two objects of one class with the sealed name "k"; both hold the string "k".
    let bytes = b"\x09\x05\x01\x0a\x13\x03C\x03k\x06\x02\x0a\x01\x06\x02";
    let object = Value::Object(Object::new().with("k", "k"));
    assert_eq!(amf3::read(bytes), Ok(Value::Array(vec![object.clone(), object])));
    assert!(amf3::read(b"\x06\x04").is_err(), "a reference to nothing");
}

#[test]
fn amf3_vectors_become_arrays() {
    let numbers = |list: &[f64]| Value::Array(list.iter().copied().map(Value::Number).collect());
    assert_eq!(amf3::read(b"\x0d\x05\0\xff\xff\xff\xff\0\0\0\x02"), Ok(numbers(&[-1.0, 2.0])));
    assert_eq!(amf3::read(b"\x0e\x03\0\xff\xff\xff\xff"), Ok(numbers(&[4_294_967_295.0])));
    assert_eq!(amf3::read(b"\x0f\x03\0\x3f\xf0\0\0\0\0\0\0"), Ok(numbers(&[1.0])));
    assert_eq!(amf3::read(b"\x10\x03\0\x01\x04\x05"), Ok(numbers(&[5.0])));
}

#[test]
fn ecma_array_count_is_not_believed() {
    for count in [0_u32, 7, u32::MAX] {
        let mut bytes = vec![0x08];
        bytes.extend(count.to_be_bytes());
        bytes.extend(b"\0\x01w\x01\x01\0\x01h\x01\x01\0\0\x09\x05");
        let values = amf0::read_all(&bytes).unwrap();
        assert_eq!(values[0].as_object().unwrap().len(), 2);
        assert_eq!(values[1], Value::Null);
    }
}

#[test]
fn object_without_end_marker_ends_with_the_message() {
    for end in [&b""[..], b"\0\0"] {
        let bytes = [b"\x03\0\x01w\x01\x01", end].concat();
        assert_eq!(amf0::read_all(&bytes), Ok(vec![Value::Object(Object::new().with("w", true))]));
    }
}

#[test]
fn long_text_needs_a_long_string() {
    let text = Value::String("x".repeat(70_000));
    let bytes = amf0_bytes(&text);
    assert_eq!(bytes[..5], [0x0c, 0, 1, 0x11, 0x70]);
    assert_eq!(amf0::read_all(&bytes), Ok(vec![text]));
}

#[test]
fn nesting_has_a_limit_in_both_versions() {
    let arrays = b"\x0a\0\0\0\x01".repeat(100_000);
    assert_eq!(amf0::read_all(&arrays), Err(Error::Violation("AMF values nested too deep")));
    let objects = b"\x03\0\x01a".repeat(100_000);
    assert_eq!(amf0::read_all(&objects), Err(Error::Violation("AMF values nested too deep")));
    let amf3 = [&b"\x11"[..], &b"\x09\x03\x01".repeat(100_000)].concat();
    assert_eq!(amf0::read_all(&amf3), Err(Error::Violation("AMF values nested too deep")));
}

#[test]
fn claimed_counts_allocate_nothing() {
    assert!(amf0::read_all(b"\x0a\xff\xff\xff\xff\x05").is_err());
    assert!(amf0::read_all(b"\x0c\xff\xff\xff\xffx").is_err());
    assert!(amf3::read(b"\x09\xff\xff\xff\xff\x01").is_err());
    assert!(amf3::read(b"\x0d\xff\xff\xff\xff\0").is_err());
    assert!(amf3::read(b"\x0a\xff\xff\xff\xf3\x01").is_err());
}

#[test]
fn many_values_and_repeated_references_run_out_of_budget() {
    assert_eq!(amf0::read_all(&[0x05; 5000]), Err(Error::Violation("too many AMF values")));
    // A string of 10,000 bytes and 4,000 references to it would be 40 MB.
    let mut bytes = vec![0x09, 0xbe, 0x03, 0x01, 0x06, 0x81, 0x9c, 0x21];
    bytes.extend([b'x'; 10_000]);
    bytes.extend(b"\x06\0".repeat(4000));
    assert_eq!(amf3::read(&bytes), Err(Error::Violation("AMF strings too long")));
}

#[test]
fn truncated_values_are_malformed() {
    for (bytes, _) in amf0_table() {
        // Objects are lenient about their end, everything else is not.
        if !matches!(bytes[0], 0x03 | 0x08) {
            for end in 1..bytes.len() {
                assert!(amf0::read_all(&bytes[..end]).is_err(), "{:x?}", &bytes[..end]);
            }
        }
    }
    for (bytes, _) in amf3_table() {
        for end in 1..bytes.len() {
            assert!(amf3::read(&bytes[..end]).is_err(), "{:x?}", &bytes[..end]);
        }
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Undefined),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(|number| Value::Number(f64::from(number))),
        (-1e12..1e12).prop_map(Value::Number),
        "\\PC{0,12}".prop_map(Value::String),
        "\\PC{0,12}".prop_map(Value::Xml),
        (-1e15..1e15).prop_map(Value::Date),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let object = prop::collection::vec(("[a-z]{1,6}", inner.clone()), 0..6)
            .prop_map(|entries| entries.into_iter().fold(Object::new(), |object, (k, v)| object.with(k, v)));
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::Array),
            object.clone().prop_map(Value::Object),
            // An empty associative array and an empty array are the same bytes in AMF3.
            object.prop_filter("not empty", |object| !object.is_empty()).prop_map(Value::EcmaArray),
        ]
    })
}

proptest! {
    #[test]
    fn values_survive_amf0(values in prop::collection::vec(any_value(), 0..5)) {
        let mut out = BytesMut::new();
        for value in &values {
            amf0::write(&mut out, value);
        }
        prop_assert_eq!(amf0::read_all(&out).unwrap(), values);
    }

    #[test]
    fn values_survive_amf3(value in any_value()) {
        let mut out = BytesMut::new();
        amf3::write(&mut out, &value);
        prop_assert_eq!(amf3::read(&out).unwrap(), value);
    }

    #[test]
    fn any_bytes_end_in_values_or_an_error(bytes in prop::collection::vec(prop_oneof![0_u8..0x12, any::<u8>()], 0..300)) {
        let _ = amf0::read_all(&bytes);
        let _ = amf3::read(&bytes);
    }
}
