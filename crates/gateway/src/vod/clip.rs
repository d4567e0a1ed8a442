//! Clips: a time of a recording, or the last of a live stream, as a recording of its own.

use super::answer::{Refusal, no_movie, no_time};
use super::movie::{self, Show};
use super::plan::PlanReader;
use super::timeline::Timeline;
use crate::Env;
use crate::feed::feed;
use crate::record::{Clip, ClipError, Content, Entry};
use api::{ClipSource, RecordedTrack, Recording};
use http::StatusCode;
use hub::{BatchLimits, Next, ReadOptions, Start};
use media::{Packet, StreamName, Time};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

/// One pick.
const BATCH: BatchLimits = BatchLimits { packets_max: 256, bytes_max: 4 << 20 };
/// Longer than any log holds.
const LONG: Duration = Duration::from_secs(24 * 3600);

impl From<ClipError> for Refusal {
    fn from(error: ClipError) -> Self {
        match error {
            ClipError::TooLarge(bytes) => Self(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("The clip would have {bytes} bytes: take a shorter time."),
            ),
            ClipError::Source => Self(
                StatusCode::SERVICE_UNAVAILABLE,
                "The recording cannot be read to its end now; ask again.".to_owned(),
            ),
            ClipError::Io(error) => {
                Self(StatusCode::INSUFFICIENT_STORAGE, format!("The clip cannot be written: {error}."))
            }
        }
    }
}

/// Cuts the time that `window` says out of a recording; `exact` to the frame, else from keyframe to keyframe.
pub(crate) async fn clip_of_recording(
    env: Arc<Env>,
    entry: Arc<Entry>,
    window: impl Fn(&Recording) -> Range<Time>,
    exact: bool,
    title: Option<String>,
) -> Result<Arc<Entry>, Refusal> {
    let (timeline, window) = Timeline::load(&env.vod.indexes, &entry, window).await?;
    if window.is_empty() {
        return Err(Refusal(StatusCode::BAD_REQUEST, "A clip ends behind its beginning.".to_owned()));
    }
    let window = window.start..window.end.min(timeline.end());
    let window = if exact { window } else { movie::to_keyframes(&timeline, &window) };
    if window.is_empty() {
        return Err(no_time());
    }
    let first = timeline.parts.iter().rev().find(|part| part.start() <= window.start).ok_or_else(no_time)?;
    let started_at = first.date.map(|date| date + first.local(&window).start.since(Time::ZERO));
    let tracks = first.span.tracks.iter().map(|track| RecordedTrack {
        id: track.media.id.to_string(),
        codec: crate::http::codec_name(track.media.codec),
        mime: Some(track.written.summary().mime.clone()),
        left_out: None,
    });
    let tracks = tracks.collect();
    let (planning, opening) = (window.clone(), timeline.opening);
    let planned = tokio::task::spawn_blocking(move || {
        movie::movie(&timeline, Some(&planning), if exact { Show::Exact } else { Show::All })
    });
    let planned = planned.await.map_err(io::Error::other)?;
    let plan = Arc::new(planned.map_err(|why| no_movie(&entry, why))?);
    let bytes = plan.bytes();
    let reader = PlanReader::new(plan, entry.clone());
    let pieces = feed(reader, 0..bytes, LONG, env.shutdown.clone());
    let millis = |time: Time| u64::try_from(time.since(Time::ZERO).as_millis()).unwrap_or(u64::MAX);
    let clip = Clip {
        name: entry.name.clone(),
        source: ClipSource {
            recording: Some(entry.id.to_string()),
            from_ms: millis(window.start - opening),
            to_ms: millis(window.end - opening),
        },
        title,
        started_at: started_at.unwrap_or_else(SystemTime::now),
    };
    let duration = window.end.since(window.start);
    Ok(clip.make(env, Content::File { pieces, bytes, duration, tracks }).await?)
}

/// Cuts the last of a stream, from the keyframe before that on: out of its recording, if it has one that is being made, else out of
/// what the stream holds.
pub(crate) async fn clip_of_stream(
    env: Arc<Env>,
    name: StreamName,
    last: Duration,
    exact: bool,
    title: Option<String>,
) -> Result<Arc<Entry>, Refusal> {
    if let Some(entry) = env.recordings.running(&name) {
        let window = |description: &Recording| {
            let end = Time::ZERO + Duration::from_millis(description.duration_ms);
            (end - last).max(Time::ZERO)..end
        };
        return clip_of_recording(env, entry, window, exact, title).await;
    }
    let packets = read_log(&env, &name, last);
    let begun =
        packets.iter().filter(|packet| packet.role == media::Role::Frame).map(|packet| packet.dts).min();
    let (Some(begun), Some(end)) = (begun, packets.iter().map(|packet| packet.dts).max()) else {
        return Err(Refusal(StatusCode::NOT_FOUND, "Nobody publishes this stream.".to_owned()));
    };
    let length = end.since(begun);
    let source = ClipSource {
        recording: None,
        from_ms: 0,
        to_ms: u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
    };
    let clip = Clip { name, source, title, started_at: SystemTime::now() - length };
    Ok(clip.make(env, Content::Packets(packets)).await?)
}

/// What a stream holds of its last time, from what a decoder must know on.
fn read_log(env: &Env, name: &StreamName, last: Duration) -> Vec<Packet> {
    let mut packets = Vec::new();
    if env.origin.presence(name).rank.is_none() {
        return packets;
    }
    let options = ReadOptions {
        start: Start::Behind(last),
        pace: None,
        lag_max: Some(LONG),
        passive: true,
        wait_max: Duration::ZERO,
        ..ReadOptions::default()
    };
    let now = Instant::now();
    let Ok(mut reader) = env.origin.read(name, options, now) else { return packets };
    let mut cx = Context::from_waker(Waker::noop());
    let mut batch = Vec::new();
    while let Poll::Ready(Next::Packets) = reader.poll_next(now, &mut batch, BATCH, &mut cx) {
        packets.extend(batch.drain(..).map(|entry| entry.packet.clone()));
    }
    packets
}
