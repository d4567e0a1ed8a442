//! What the node tells about itself: channels, sessions, health and metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hub::{StreamStatus, TrackStatus};
use media::{Codec, Kind, StreamName, codec};

use crate::metrics::{RelayDirection, Role};
use crate::policy::{Action, Request};
use crate::sessions::Session;
use crate::transcode::{self, Offer};
use crate::{Env, Secret, signature};

/// Sessions in one answer. Each takes about 250 bytes of JSON.
const SESSIONS_LISTED_MAX: usize = 10_000;
/// Characters of a title, which a publisher chooses.
const TITLE_CHARS_MAX: usize = 200;

/// Who asks.
#[derive(Debug)]
pub(crate) struct Asker {
    /// The key that came with the request.
    pub(crate) key: Option<Secret>,
    /// Whether this is the operator, who has given the token.
    pub(crate) operator: bool,
}

/// The channels that `asker` may play, by name. Names that players merely wait for are not channels, and rungs that are made
/// here are told of with the channel that they are of.
pub(crate) fn channels(env: &Env, asker: &Asker) -> api::Channels {
    let now = Instant::now();
    let mut streams = env.origin.streams();
    streams.retain(|stream| may_play(env, &stream.name, asker) && !env.is_rung(&stream.name));
    streams.sort_by(|a, b| a.name.cmp(&b.name));
    api::Channels { channels: streams.iter().filter_map(|stream| channel(env, stream, now)).collect() }
}

/// One channel, if it exists and `asker` may play it.
pub(crate) fn channel_detail(env: &Env, name: &StreamName, asker: &Asker) -> Option<api::ChannelDetail> {
    if !may_play(env, name, asker) {
        return None;
    }
    let now = Instant::now();
    let stream = env.origin.stream(name)?;
    let publishes = |session: &Session| session.role == Role::Publish && session.stream == *name;
    let publisher = env.sessions.find(publishes).map(|session| api::Publisher {
        session: session.id.to_string(),
        protocol: session.protocol.to_owned(),
        user_agent: session.user_agent.as_deref().map(str::to_owned),
        address: asker.operator.then(|| session.address.to_string()),
        connected_ms: to_millis(now.saturating_duration_since(session.started)),
        bytes_in: session.bytes_in.load(Ordering::Relaxed),
    });
    Some(api::ChannelDetail {
        channel: channel(env, &stream, now)?,
        rewind_problem: env.timeshift.problem().filter(|_| env.keeps_past(name)),
        tracks: stream.tracks.iter().map(track).collect(),
        publisher,
        standby: stream.standby as u64,
        log: api::Log {
            packets: stream.log.packets as u64,
            bytes: stream.log.bytes as u64,
            keyframes: stream.log.keyframes as u64,
            duration_ms: to_millis(stream.log.duration),
            idle_ms: stream.last_arrived.map(|arrived| to_millis(now.saturating_duration_since(arrived))),
        },
        counters: api::Counters {
            packets: stream.counters.packets,
            bytes: stream.counters.bytes,
            joins: stream.counters.joins,
            publishers: stream.counters.sessions,
            skips: stream.counters.skips,
            packets_skipped: stream.counters.packets_skipped,
            clock_jumps: stream.counters.rebased,
        },
    })
}

/// The open sessions. They hold addresses of viewers, so only the operator may see them.
pub(crate) fn sessions(env: &Env) -> api::Sessions {
    let now = Instant::now();
    let session = |session: &Arc<Session>| api::Session {
        id: session.id.to_string(),
        protocol: session.protocol.to_owned(),
        role: session.role.as_str().to_owned(),
        stream: session.stream.to_string(),
        address: session.address.to_string(),
        connected_ms: to_millis(now.saturating_duration_since(session.started)),
        bytes_in: session.bytes_in.load(Ordering::Relaxed),
        bytes_out: session.bytes_out.load(Ordering::Relaxed),
        user_agent: session.user_agent.as_deref().map(str::to_owned),
    };
    api::Sessions {
        sessions: env.sessions.snapshot(SESSIONS_LISTED_MAX).iter().map(session).collect(),
        total: env.sessions.len() as u64,
    }
}

/// The rungs that are made now. Which there are says what is watched, so only the operator may see them.
pub(crate) fn transcoding(env: &Env) -> api::Transcoding {
    let now = Instant::now();
    let (cores, cores_max) = env.transcoding.load();
    let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
    let running = env.transcoding.reports().into_iter().map(|(name, report)| {
        let viewers = env.origin.presence(&name).viewers as u64;
        api::RunningRung {
            live: report.is_live,
            uptime_ms: to_millis(now.saturating_duration_since(report.since)),
            viewers,
            backend: report.usage.backend.map(|backend| backend.to_string()),
            decoder: report.usage.decoder.map(|decoder| decoder.to_string()),
            frames_per_second: rounded(report.fps),
            cores: rounded(report.cores),
            frames: report.usage.frames,
            dropped_frames: report.usage.dropped,
            restarts: report.usage.restarts,
            vmaf: report.usage.vmaf.map(|vmaf| rounded(vmaf.into())),
            quality: report.usage.quality.map(|quality| rounded(quality.into())),
            error: report.usage.error.clone(),
            rung: rung(&report.offer(name)),
        }
    });
    let refused = env.transcoding.refusals().into_iter();
    let devices = env.transcoding.devices.probed().into_iter().map(|probed| api::Device {
        backend: probed.backend.to_string(),
        codec: codec_name(probed.codec.of_packets()),
        used: probed.is_fast_device(),
        resting: env.transcoding.devices.rests(probed.backend, probed.codec, now),
        frames_per_second: probed.speed.as_ref().ok().map(|speed| rounded(speed.fps)),
        error: probed.speed.err(),
    });
    let decoders = env.transcoding.devices.probed_decoders().into_iter().map(|probed| {
        let speed = probed.speed.as_ref().ok();
        api::DecodingDevice {
            backend: probed.backend.to_string(),
            codec: codec_name(probed.codec.of_packets()),
            used: probed.is_better_device(),
            resting: env.transcoding.devices.rests_decoding(probed.backend, probed.codec.of_packets(), now),
            frames_per_second: speed.map(|speed| rounded(speed.fps)),
            processor_ms_per_picture: speed.map(|speed| rounded(speed.cpu_per_picture.as_secs_f64() * 1e3)),
            error: probed.speed.err(),
        }
    });
    api::Transcoding {
        devices: devices.collect(),
        decoders: decoders.collect(),
        cores: rounded(cores),
        cores_max: rounded(cores_max),
        rungs: running.collect(),
        refused: refused.map(|(name, why)| api::RefusedRung { stream: name.to_string(), why }).collect(),
    }
}

fn rung(offer: &Offer) -> api::Rung {
    api::Rung {
        name: offer.rung.clone(),
        stream: offer.name.to_string(),
        codec: codec_name(offer.codec.of_packets()),
        mime: offer.mime.clone(),
        width: offer.width,
        height: offer.height,
        fps: offer.fps.map(|fps| (fps * 100.0).round() / 100.0),
        bitrate_bps: offer.bits_per_second,
        audio: offer.sound.map(|sound| codec_name(sound.codec.of_packets())),
    }
}

/// A channel in all its sizes, if it exists and `asker` may play it.
pub(crate) fn las(env: &Env, name: &StreamName, asker: &Asker) -> Option<api::LasManifest> {
    if !may_play(env, name, asker) {
        return None;
    }
    let is_public = may_play(env, name, &Asker { key: None, operator: false });
    // What admits the asker, where something has to.
    let query = asker.key.as_ref().filter(|_| !is_public).map(signature::query_of).unwrap_or_default();
    let stream = env.origin.stream(name)?;
    let sound = main_track(&stream, Kind::Audio).map(audio).and_then(|audio| audio.mime);
    let codecs = |pictures: String| match &sound {
        Some(sound) => format!("{pictures},{sound}"),
        None => pictures,
    };
    let fps = f64::from(stream.frames_per_second);
    let source = main_track(&stream, Kind::Video).map(|track| video(track, fps))?;
    let representation = |id: usize, name: &str, quality: &str| api::LasRepresentation {
        id: id as u32,
        codec: String::new(),
        url: format!("/{name}.flv{query}"),
        backup_url: Vec::new(),
        max_bitrate: 0,
        width: 0,
        height: 0,
        frame_rate: 0,
        quality_type: quality.to_owned(),
        quality_type_name: quality.to_owned(),
        hidden: false,
        default_select: id == 1,
    };
    let first = api::LasRepresentation {
        codec: codecs(source.mime.unwrap_or_default()),
        max_bitrate: stream.bits_per_second / 1000,
        width: source.width.unwrap_or_default(),
        height: source.height.unwrap_or_default(),
        frame_rate: fps.round() as u32,
        ..representation(1, name.as_str(), "source")
    };
    let rungs =
        transcode::offers(env, &stream).into_iter().zip(2..).map(|(offer, id)| api::LasRepresentation {
            codec: match offer.sound {
                Some(sound) => format!("{},{}", offer.mime, sound.codec.mime()),
                None => codecs(offer.mime.clone()),
            },
            max_bitrate: offer.bits_per_second / 1000,
            width: offer.width,
            height: offer.height,
            frame_rate: offer.fps.unwrap_or(fps).round() as u32,
            hidden: !offer.is_listed(),
            ..representation(id, offer.name.as_str(), &offer.rung)
        });
    let set = api::LasAdaptationSet {
        id: 1,
        duration: stream.gop.map_or(0, to_millis),
        representation: std::iter::once(first).chain(rungs).collect(),
    };
    Some(api::LasManifest { version: "1.0.0".to_owned(), adaptation_set: vec![set] })
}

/// Whether new work is welcome: listeners are up and the node does not shut down.
pub(crate) fn is_ready(env: &Env) -> bool {
    env.ready.load(Ordering::Acquire) && !env.shutdown.is_triggered()
}

/// The text for Prometheus.
pub(crate) fn metrics(env: &Env) -> String {
    let streams = env.origin.streams();
    let live = streams.iter().filter(|stream| stream.live).count();
    let (pushes, pulls) = env.relays.states();
    env.metrics.relay().set_states(RelayDirection::Push, pushes.into_iter());
    env.metrics.relay().set_states(RelayDirection::Pull, pulls.into_iter());
    let (used, cores) = env.transcoding.load();
    let transcode = env.metrics.transcode();
    transcode.rungs.set(env.transcoding.reports().len() as i64);
    transcode.cores.set(used);
    transcode.cores_max.set(cores);
    env.metrics.render(live, streams.iter().map(|stream| stream.readers).sum())
}

/// Whether somebody may play a stream.
pub(super) fn may_play(env: &Env, name: &StreamName, asker: &Asker) -> bool {
    let request = Request { action: Action::Play, name, key: asker.key.as_ref(), local: false };
    asker.operator || env.policy.admit(request).is_ok()
}

fn channel(env: &Env, stream: &StreamStatus, now: Instant) -> Option<api::Channel> {
    let uptime = now.saturating_duration_since(stream.started?);
    let fps = f64::from(stream.frames_per_second);
    Some(api::Channel {
        name: stream.name.to_string(),
        app: stream.name.app().to_owned(),
        channel: stream.name.channel().to_owned(),
        live: stream.live,
        slate: env.shows_slate(&stream.name),
        started_at: rfc3339(SystemTime::now() - uptime),
        uptime_ms: to_millis(uptime),
        viewers: viewers(env, stream) as u64,
        video: main_track(stream, Kind::Video).map(|track| video(track, fps)),
        audio: main_track(stream, Kind::Audio).map(audio),
        bitrate_bps: stream.bits_per_second,
        gop_ms: stream.gop.map(to_millis),
        rewind_s: env.packagers.rewind(&stream.name).map(|reach| reach.as_secs()),
        rungs: transcode::offers(env, stream).iter().map(rung).collect(),
        alerts: alerts(env, &stream.name),
        title: stream.metadata.as_deref().and_then(title),
    })
}

fn alerts(env: &Env, name: &StreamName) -> Vec<api::Alert> {
    let alerts = env.transcoding.alerts.of(name).into_iter();
    alerts
        .map(|alert| api::Alert {
            fault: alert.fault.name().to_owned(),
            for_ms: to_millis(alert.since.elapsed()),
        })
        .collect()
}

/// Who watch a stream, in whatever size.
fn viewers(env: &Env, stream: &StreamStatus) -> usize {
    let of_rungs = env.transcoding.demanded(&stream.name);
    let watch_rungs: usize = of_rungs.iter().map(|rung| env.origin.presence(rung).viewers).sum();
    // For each rung that is watched one viewer of the stream stands.
    stream.viewers.saturating_sub(of_rungs.len()) + watch_rungs
}

/// The first track of a kind; tracks come in order of their numbers.
fn main_track(stream: &StreamStatus, kind: Kind) -> Option<&TrackStatus> {
    stream.tracks.iter().find(|track| track.id.kind == kind)
}

fn summary(track: &TrackStatus) -> codec::Summary {
    track.config.as_deref().and_then(|config| codec::summary(track.codec, config)).unwrap_or_default()
}

fn video(track: &TrackStatus, fps: f64) -> api::Video {
    let summary = summary(track);
    api::Video {
        codec: codec_name(track.codec),
        mime: mime(&summary),
        width: summary.width,
        height: summary.height,
        fps: (fps > 0.0).then_some((fps * 100.0).round() / 100.0),
        b_frames: track.config.as_deref().and_then(|config| codec::has_b_frames(track.codec, config)),
    }
}

fn audio(track: &TrackStatus) -> api::Audio {
    let summary = summary(track);
    api::Audio {
        codec: codec_name(track.codec),
        mime: mime(&summary),
        sample_rate: summary.sample_rate,
        channels: summary.channels.map(u32::from),
    }
}

fn track(track: &TrackStatus) -> api::Track {
    api::Track { id: track.id.to_string(), codec: codec_name(track.codec), mime: mime(&summary(track)) }
}

fn mime(summary: &codec::Summary) -> Option<String> {
    (!summary.mime.is_empty()).then(|| summary.mime.clone())
}

/// What a codec is called in the API.
pub(crate) fn codec_name(codec: Codec) -> String {
    match codec {
        Codec::H264 => "h264".to_owned(),
        Codec::H265 => "h265".to_owned(),
        Codec::H266 => "h266".to_owned(),
        Codec::Av1 => "av1".to_owned(),
        Codec::Vp8 => "vp8".to_owned(),
        Codec::Vp9 => "vp9".to_owned(),
        Codec::Aac => "aac".to_owned(),
        Codec::Opus => "opus".to_owned(),
        Codec::Mp3 => "mp3".to_owned(),
        Codec::Flac => "flac".to_owned(),
        Codec::Ac3 => "ac3".to_owned(),
        Codec::Eac3 => "eac3".to_owned(),
        Codec::FlvVideo(id) => format!("flv-video-{id}"),
        // The codec is the upper half; the lower one holds rate, size and channels.
        Codec::FlvAudio(byte) => format!("flv-audio-{}", byte >> 4),
        Codec::Amf => "amf".to_owned(),
    }
}

/// `title` of the stream metadata, which is the string `onMetaData` and an object.
pub(crate) fn title(metadata: &[u8]) -> Option<String> {
    let values = rtmp::amf::amf0::read_all(metadata).ok()?;
    let title = values.iter().find_map(|value| value.get("title"))?.as_str()?;
    let title: String = title.chars().filter(|c| !c.is_control()).take(TITLE_CHARS_MAX).collect();
    (!title.trim().is_empty()).then_some(title)
}

fn to_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A moment as RFC 3339 writes it, to the second: `2026-11-22T08:15:30Z`. Years after 9999 do not occur.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, so that a leap day is the last of its year, in eras of 400 years (146,097 days).
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March have 31, 30, 31, 30, 31 days again and again: 153 in five months.
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A moment to the millisecond.
pub(crate) fn date_time(time: SystemTime) -> String {
    let millis = time.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_millis();
    format!("{}.{millis:03}Z", rfc3339(time).trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, TimeshiftConfig, parse_channel};

    #[test]
    fn moments_are_written_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_795_305_600, "2026-11-22T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_stream_that_somebody_publishes_under_the_name_of_a_rung_is_a_stream() {
        let timeshift =
            TimeshiftConfig { minutes: 1, streams: vec!["live/*".to_owned()], ..TimeshiftConfig::default() };
        let config = Config { timeshift, ..Config::default() };
        let policy = config.access.to_policy(None, None);
        let (_trigger, shutdown) = net::Shutdown::new();
        let env = Env::new(config, policy, 1, shutdown);
        let name = parse_channel("live/talk~480p").unwrap();
        let operator = Asker { key: None, operator: true };
        let listed = || channels(&env, &operator).channels.len();
        let now = Instant::now();
        let made_here = env.origin.publish_ranked(&name, 0, now).unwrap();
        assert!(env.is_rung(&name) && !env.keeps_past(&name) && listed() == 0);
        made_here.finish();
        let publisher = env.origin.publish(&name, now).unwrap();
        assert!(!env.is_rung(&name) && env.keeps_past(&name));
        assert_eq!(listed(), 1);
        publisher.finish();
        assert!(env.is_rung(&name));
    }
}
