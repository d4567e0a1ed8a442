//! Packets as FLV tags, bare or inside WebSocket frames.

use super::websocket::write_binary_head;
use crate::egress::{Form, container, tag_time};
use bytes::{Bytes, BytesMut};
use hub::{Entry, FormKey};
use media::container::flv;
use media::{Kind, Packet};
use std::sync::Arc;

/// Room for a tag's headers beside its payload: tag header, body head, previous tag size.
const TAG_OVERHEAD: usize = 48;

/// An FLV tag.
#[derive(Debug, Clone, Copy)]
pub(super) enum FlvForm {
    Plain,
    WebSocket,
}

impl Form for FlvForm {
    fn key(&self) -> FormKey {
        FormKey::of(match self {
            FlvForm::Plain => container::FLV,
            FlvForm::WebSocket => container::FLV_WEBSOCKET,
        })
    }

    fn build(&self, packet: &Packet) -> Bytes {
        let mut tag = BytesMut::with_capacity(packet.payload.len() + TAG_OVERHEAD);
        match tag_time(packet) {
            time if time == packet.dts => flv::write_tag(packet, &mut tag),
            time => flv::write_tag(&Packet { dts: time, pts: time, ..packet.clone() }, &mut tag),
        }
        self.wrap(tag)
    }
}

impl FlvForm {
    /// The FLV header: it announces the kinds of tracks that the first batch shows.
    pub(super) fn file_header(self, batch: &[Arc<Entry>]) -> Bytes {
        let has = |kind| batch.iter().any(|entry| entry.packet.track.kind == kind);
        self.head_for(has(Kind::Audio), has(Kind::Video))
    }

    /// The FLV header for a stream that has sound, pictures, or both.
    pub(super) fn head_for(self, has_audio: bool, has_video: bool) -> Bytes {
        let mut header = BytesMut::new();
        flv::write_file_header(has_audio, has_video, &mut header);
        self.wrap(header)
    }

    fn wrap(self, bytes: BytesMut) -> Bytes {
        match self {
            FlvForm::Plain => bytes.freeze(),
            FlvForm::WebSocket => {
                let mut frame = BytesMut::with_capacity(bytes.len() + 10);
                write_binary_head(bytes.len(), &mut frame);
                frame.extend_from_slice(&bytes);
                frame.freeze()
            }
        }
    }
}
