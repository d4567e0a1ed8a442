//! The newest keyframe of a live stream as a file with one picture, and its last seconds as an animated one.

use super::answer::{Refusal, jpeg, makers};
use super::picture::{NoPicture, Source};
use crate::Env;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use engine::host::Keyframe;
use engine::limits::{PREVIEW_FRAMES_MAX, PREVIEW_PICTURES_MAX};
use http::{HeaderValue, StatusCode, header};
use hub::{BatchLimits, Next, ReadOptions, Start};
use media::container::fmp4::{self, Sample};
use media::{Packet, Role, StreamName, Time, TrackId};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Enough for what a decoder must know and the keyframe behind it.
const BATCH: BatchLimits = BatchLimits { packets_max: 64, bytes_max: 16 << 20 };
/// How far back a preview goes, as far as there is so much.
const SPAN: Duration = Duration::from_secs(10);
/// Keyframes that are enough to see what goes on.
const KEYFRAMES_MIN: usize = 4;
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
    /// Animated.
    WebP,
}

/// Answers with the newest keyframe of a stream that the asker may play.
pub(crate) async fn snapshot(env: Arc<Env>, name: StreamName, form: Form) -> Response {
    let answer = match form {
        Form::Jpeg => of_jpeg(&env, &name).await.map(|picture| jpeg(picture, CACHE)),
        Form::WebP => of_webp(&env, &name).await.map(|picture| {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("image/webp")),
                (header::CACHE_CONTROL, HeaderValue::from_static(CACHE)),
            ];
            (headers, picture).into_response()
        }),
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
    if let Some(picture) = env.vod.pictures.stills.get(name, Instant::now()).filter(|_| is_live) {
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
    pictures.stills.keep(name.clone(), made.clone(), Instant::now());
    Ok(made)
}

/// The last seconds as animated WebP.
async fn of_webp(env: &Env, name: &StreamName) -> Result<Bytes, Refusal> {
    let engine = makers(env).engine.ok_or_else(no_engine)?;
    if env.origin.presence(name).rank.is_none() {
        return Err(nothing());
    }
    let frames = || latest(env, name).ok_or(NoPreview::Nothing);
    let made = env.vod.pictures.animate(engine, name, frames).await;
    made.map_err(|why| match why {
        NoPreview::Nothing => nothing(),
        NoPreview::Of(NoPicture::NoDecoder) => no_engine(),
        NoPreview::Of(NoPicture::Failed) => Refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "No animation came of this; /snapshot.jpg may be had.".to_owned(),
        ),
        NoPreview::Of(other) => other.into(),
    })
}

/// Why there is no preview.
enum NoPreview {
    /// Nobody publishes pictures.
    Nothing,
    Of(NoPicture),
}

impl From<NoPicture> for NoPreview {
    fn from(why: NoPicture) -> Self {
        Self::Of(why)
    }
}

fn no_engine() -> Refusal {
    let why = "Previews are made of H.264, H.265, AV1, VP8 and VP9, by a server that was built with its media engine.";
    Refusal(StatusCode::NOT_IMPLEMENTED, why.to_owned())
}

/// What is there of the last seconds of a stream, and the configuration that goes with it: keyframes, if there are some, and otherwise all
/// frames from a keyframe on.
fn latest(env: &Env, name: &StreamName) -> Option<(Bytes, Vec<Packet>)> {
    env.origin.presence(name).rank?;
    let options =
        ReadOptions { passive: true, pace: None, audio: false, ..env.read_options(Start::Behind(SPAN)) };
    let mut reader = env.origin.read(name, options, Instant::now()).ok()?;
    let (mut batch, mut record, mut frames) = (Vec::new(), Bytes::new(), Vec::new());
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Next::Packets) = reader.poll_next(Instant::now(), &mut batch, BATCH, &mut cx) {
        for entry in batch.drain(..) {
            let packet = &entry.packet;
            match packet.role {
                Role::Config if packet.track == TrackId::VIDEO => {
                    // Frames from here on need another decoder.
                    if record != packet.payload {
                        frames.clear();
                    }
                    record = packet.payload.clone();
                }
                Role::Frame if packet.track == TrackId::VIDEO => frames.push(packet.clone()),
                _ => {}
            }
        }
    }
    let frames = chosen(frames);
    (!frames.is_empty()).then_some((record, frames))
}

/// The frames that a preview is made of, of those that there are.
fn chosen(mut frames: Vec<Packet>) -> Vec<Packet> {
    let keyframes: Vec<usize> =
        (0..frames.len()).filter(|index| frames[*index].is_video_keyframe()).collect();
    if keyframes.len() >= KEYFRAMES_MIN {
        frames.retain(Packet::is_video_keyframe);
        let first = frames.len().saturating_sub(PREVIEW_PICTURES_MAX);
        return frames.split_off(first);
    }
    let fits = |start: &&usize| frames.len() - **start <= PREVIEW_FRAMES_MAX;
    let Some(start) = keyframes.iter().find(fits).or(keyframes.last()) else { return Vec::new() };
    let mut frames = frames.split_off(*start);
    frames.truncate(PREVIEW_FRAMES_MAX);
    frames
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

#[cfg(test)]
mod tests {
    use super::*;
    use media::{Codec, Flags};

    fn frames(pattern: &str) -> Vec<Packet> {
        let frame = |(index, kind): (usize, char)| Packet {
            track: TrackId::VIDEO,
            codec: Codec::H264,
            role: Role::Frame,
            flags: Flags { keyframe: kind == 'K', disposable: false },
            dts: Time::from_millis(index as i64 * 40),
            pts: Time::from_millis(index as i64 * 40),
            payload: Bytes::new(),
        };
        pattern.chars().enumerate().map(frame).collect()
    }

    #[test]
    fn a_preview_is_made_of_keyframes_where_there_are_enough() {
        let chosen_of = |pattern: &str| {
            let chosen = chosen(frames(pattern));
            chosen.iter().map(|frame| if frame.flags.keyframe { 'K' } else { 'p' }).collect::<String>()
        };
        assert_eq!(chosen_of("ppKppKppKppKpp"), "KKKK");
        assert_eq!(chosen_of(&"Kp".repeat(30)), "K".repeat(PREVIEW_PICTURES_MAX));
        assert_eq!(chosen_of("ppKppKpp"), "KppKpp");
        let long = format!("K{0}K{0}", "p".repeat(40));
        assert_eq!(chosen_of(&long), format!("K{}", "p".repeat(40)), "as many as are decoded in a moment");
        let endless = format!("K{}", "p".repeat(500));
        assert_eq!(chosen_of(&endless).len(), PREVIEW_FRAMES_MAX);
        assert_eq!((chosen_of("ppp"), chosen_of("")), (String::new(), String::new()));
    }
}
