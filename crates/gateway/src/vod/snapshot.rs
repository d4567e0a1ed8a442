//! The newest keyframe of a live stream as a file with one picture.

use super::answer::{Refusal, jpeg, makers};
use super::picture::Source;
use crate::Env;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use engine::host::Keyframe;
use http::{HeaderValue, StatusCode, header};
use hub::{BatchLimits, Next, ReadOptions, Start};
use media::container::fmp4::{self, Sample};
use media::{Packet, Role, StreamName, Time, TrackId};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Enough for what a decoder must know and the keyframe behind it.
const BATCH: BatchLimits = BatchLimits { packets_max: 64, bytes_max: 16 << 20 };
/// How long a keyframe is waited for: a stream that has one gives it at once.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a picture is: something to show has some length.
const LENGTH: Time = Time::from_millis(100);
/// A list of streams is looked at by many at once.
const CACHE: &str = "public, max-age=2";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Mp4,
    Jpeg,
}

/// Answers with the newest keyframe of a stream that the asker may play.
pub(crate) async fn snapshot(env: Arc<Env>, name: StreamName, form: Form) -> Response {
    let answer = match form {
        Form::Jpeg => of_jpeg(&env, &name).await.map(|picture| jpeg(picture, CACHE)),
        Form::Mp4 => newest(&env, &name).await.and_then(|(config, frame)| {
            let file = write(&config, &frame).ok_or_else(nothing)?;
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("video/mp4")),
                (header::CACHE_CONTROL, HeaderValue::from_static(CACHE)),
            ];
            Ok((headers, file).into_response())
        }),
    };
    answer.unwrap_or_else(Response::from)
}

/// The newest keyframe as JPEG. Whoever asks within some seconds gets the same.
async fn of_jpeg(env: &Env, name: &StreamName) -> Result<Bytes, Refusal> {
    let is_live = env.origin.presence(name).rank.is_some();
    if let Some(picture) = env.vod.pictures.fresh(name, Instant::now()).filter(|_| is_live) {
        return Ok(picture);
    }
    let (record, frame) = newest(env, name).await?;
    let keyframe = Keyframe { codec: frame.codec, record, payload: frame.payload.clone() };
    let (pictures, makers) = (&env.vod.pictures, makers(env));
    let record = keyframe.record.clone();
    let file = async || write(&record, &frame).ok_or_else(nothing);
    let made = match makers.takes(&keyframe) {
        true => pictures.get_of_either(makers, keyframe, file).await?,
        false => pictures.get(makers, Source::File(file().await?)).await?,
    };
    pictures.keep_fresh(name.clone(), made.clone(), Instant::now());
    Ok(made)
}

async fn newest(env: &Env, name: &StreamName) -> Result<(Bytes, Packet), Refusal> {
    let found = tokio::time::timeout(WAIT_MAX, keyframe(env, name)).await;
    found.ok().flatten().ok_or_else(nothing)
}

fn nothing() -> Refusal {
    Refusal(StatusCode::NOT_FOUND, "Nobody publishes pictures there.".to_owned())
}

/// The newest keyframe, and its configuration.
async fn keyframe(env: &Env, name: &StreamName) -> Option<(Bytes, Packet)> {
    // Nobody is to fetch the stream for it.
    env.origin.presence(name).rank?;
    let options = ReadOptions { passive: true, pace: None, ..env.read_options(Start::Live) };
    let mut reader = env.origin.read(name, options, Instant::now()).ok()?;
    let mut configs: BTreeMap<TrackId, Bytes> = BTreeMap::new();
    let mut batch = Vec::new();
    loop {
        match poll_fn(|cx| reader.poll_next(Instant::now(), &mut batch, BATCH, cx)).await {
            Next::Packets => {}
            Next::Later(_) | Next::Dry | Next::Ended(_) => return None,
        }
        for entry in batch.drain(..) {
            let packet = &entry.packet;
            if packet.role == Role::Config {
                configs.insert(packet.track, packet.payload.clone());
            } else if packet.is_video_keyframe() {
                return Some((configs.remove(&packet.track).unwrap_or_default(), packet.clone()));
            }
        }
    }
}

fn write(config: &Bytes, frame: &Packet) -> Option<Bytes> {
    let payload = fmp4::sample(frame.codec, &frame.payload);
    let track = fmp4::Track::new(1, TrackId::VIDEO, frame.codec, config, &payload).ok()?;
    let size = u32::try_from(payload.len()).ok()?;
    let sample = Sample { position: 0, size, dts: 0, composition: 0, flags: frame.flags };
    let mut file = BytesMut::new();
    let end = LENGTH.to_ticks(track.timescale());
    fmp4::write_progressive(&[(&track, &[sample], end)], &mut file).ok()?;
    file.extend_from_slice(&payload);
    Some(file.freeze())
}
