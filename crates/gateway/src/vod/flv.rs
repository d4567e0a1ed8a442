//! A recording, or a time of it, as one FLV file. Pure.

use super::movie::to_keyframes;
use super::plan::Plan;
use super::span::Span;
use super::timeline::Timeline;
use super::walk::{Frame, Walk, to_millis};
use ::rtmp::amf::{Object, Value, amf0};
use bytes::{BufMut, BytesMut};
use media::container::flv;
use media::{Flags, Kind, Packet, Role, Time, TrackId};
use std::ops::Range;

/// Bytes of a tag before its body.
const TAG_HEADER_BYTES: usize = 11;

/// The file that has `window`, from the keyframe at its beginning or before to that at its end or behind; its times begin with zero.
/// `None` if there is nothing in that time.
pub(super) fn file(timeline: &Timeline, window: &Range<Time>) -> Option<Plan> {
    let window = &to_keyframes(timeline, window);
    let parts = timeline.parts.iter().filter(|part| part.end() > window.start && part.start() < window.end);
    let parts: Vec<_> = parts.collect();
    let first = parts.first()?;
    let zero = first.start() + first.span.entry(first.local(window).start).since(Time::ZERO);
    let zero = if window.start <= Time::ZERO { first.start() } else { zero };
    let mut plan = Plan::of(parts.iter().map(|part| part.file.clone()).collect());
    let has = |kind| parts.iter().flat_map(|part| &part.span.tracks).any(|track| track.media.id.kind == kind);
    let end = parts.iter().map(|part| part.end()).max()?.min(window.end);
    let metadata = metadata(&first.span, end.since(zero).as_secs_f64());
    plan.make(|out| {
        flv::write_file_header(has(Kind::Audio), has(Kind::Video), out);
        flv::write_tag(&metadata, out);
    });
    for (file, part) in parts.iter().enumerate() {
        let shift = part.start() - zero;
        let mut walk = Walk::of(&part.span, &part.local(window));
        let begins = walk.peek(&part.span).map(|frame| frame.decoded).unwrap_or_default();
        let begins = to_millis(begins, shift);
        for track in &part.span.tracks {
            if let Some(config) = track.media.config_packet(begins) {
                plan.make(|out| flv::write_tag(&config, out));
            }
        }
        while let Some(frame) = walk.peek(&part.span) {
            write_frame(&mut plan, file, &frame, shift);
            walk.advance(frame.track.media.id);
        }
    }
    Some(plan)
}

fn write_frame(plan: &mut Plan, file: usize, frame: &Frame<'_>, shift: i64) {
    let (packet, sample) = (frame.packet(shift), frame.sample);
    let mut head = BytesMut::new();
    flv::write_body_head(&packet, &mut head);
    let body_bytes = head.len() as u32 + sample.size;
    let millis = packet.dts.millis() as u32;
    plan.make(|out| {
        out.put_u8(flv::kind_of(&packet));
        out.put_uint(body_bytes.into(), 3);
        out.put_uint(u64::from(millis & 0x00ff_ffff), 3);
        out.put_u8((millis >> 24) as u8);
        out.put_slice(&[0; 3]);
        out.put_slice(&head);
    });
    plan.copy(file, sample.position, sample.size.into());
    plan.make(|out| out.put_u32(body_bytes + TAG_HEADER_BYTES as u32));
}

/// What players show before they have read everything.
pub(super) fn metadata(span: &Span, seconds: f64) -> Packet {
    let mut values = Object::new().with("duration", seconds);
    for track in &span.tracks {
        let summary = track.written.summary();
        if track.media.id == TrackId::VIDEO {
            values = values
                .with("width", f64::from(summary.width.unwrap_or(0)))
                .with("height", f64::from(summary.height.unwrap_or(0)));
        }
    }
    let mut payload = BytesMut::new();
    amf0::write(&mut payload, &Value::String("onMetaData".to_owned()));
    amf0::write(&mut payload, &Value::EcmaArray(values));
    Packet {
        track: TrackId::DATA,
        codec: media::Codec::Amf,
        role: Role::StreamMetadata,
        flags: Flags::default(),
        dts: Time::ZERO,
        pts: Time::ZERO,
        payload: payload.freeze(),
    }
}
