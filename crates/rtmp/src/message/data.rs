//! Data messages in AMF3 as data messages in AMF0.

use bytes::{Bytes, BytesMut};

use super::{DATA_AMF3, Message};
use crate::amf::{self, amf0};

impl Message {
    /// The body that a message of type 15 has as one of type 18; `None` for messages of other types.
    ///
    /// The values of such a message start as AMF0 and are in AMF3 only behind a marker (Errata 7.2). Players other than Flash
    /// do not know that marker, so its values are written anew. What AMF0 has no form for, or what is malformed, stays as it
    /// is.
    pub fn data_as_amf0(&self) -> Option<Bytes> {
        if self.kind != DATA_AMF3 {
            return None;
        }
        // The format byte, which some senders leave out; then the marker of a string stands there.
        let values = self.payload.slice(usize::from(self.payload.first() == Some(&0))..);
        if !values.contains(&amf0::AVM_PLUS) {
            return Some(values);
        }
        let Ok(read) = amf0::read_all(&values) else { return Some(values) };
        if read.iter().any(amf::Value::holds_bytes) {
            return Some(values);
        }
        let mut out = BytesMut::with_capacity(values.len());
        read.iter().for_each(|value| amf0::write(&mut out, value));
        Some(out.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amf::{Object, Value, amf3};

    fn message(values: &[u8]) -> Message {
        Message { stream_id: 1, kind: DATA_AMF3, timestamp: 0, payload: Bytes::copy_from_slice(values) }
    }

    /// The body of `onText` with a value in AMF3.
    fn on_text(value: &Value) -> Vec<u8> {
        let mut body = BytesMut::from(&[0][..]);
        amf0::write_str(&mut body, "onText");
        body.extend_from_slice(&[amf0::AVM_PLUS]);
        amf3::write(&mut body, value);
        body.to_vec()
    }

    #[test]
    fn amf3_values_become_amf0_values() {
        let object = Object::new().with("text", "hello").with("count", 3.0);
        let data = message(&on_text(&object.clone().into())).data_as_amf0().unwrap();
        assert_eq!(amf0::read_all(&data).unwrap(), ["onText".into(), object.into()]);
        assert!(!data.contains(&amf0::AVM_PLUS));
    }

    #[test]
    fn values_that_are_amf0_already_are_not_copied() {
        let body = message(b"\0\x02\0\x02ab\x05");
        let data = body.data_as_amf0().unwrap();
        assert_eq!(data.as_ptr(), body.payload[1..].as_ptr());
        assert_eq!(message(b"\x02\0\x02ab\x05").data_as_amf0().unwrap()[..], *b"\x02\0\x02ab\x05");
        assert_eq!(Message { kind: super::super::DATA, ..body }.data_as_amf0(), None);
    }

    #[test]
    fn what_amf0_cannot_say_and_what_is_malformed_stays() {
        let bytes = on_text(&Value::Array(vec![Value::Bytes(vec![1, 2])]));
        assert_eq!(message(&bytes).data_as_amf0().unwrap(), bytes[1..]);
        assert_eq!(message(b"\0\x02\0\x02ab\x11\xff").data_as_amf0().unwrap()[..], *b"\x02\0\x02ab\x11\xff");
        assert_eq!(message(b"").data_as_amf0().unwrap(), "");
    }
}
