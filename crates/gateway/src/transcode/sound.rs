//! The sound of a rung: that of its stream, packet by packet, or its first track encoded anew.

use super::limits::{SOUND_AGAIN, SOUND_EXPECTED};
use super::silence::Fill;
use engine::host::{Launch, Output, SoundInlet, SoundOutlet, Usage, start_sound};
use engine::sound::{Config, Wanted};
use hub::StreamStatus;
use media::{Codec, Flags, Kind, Packet, Role, StreamName, Time, TrackId, codec};
use std::task::{Context, Poll};
use std::time::Instant;
use tracing::warn;

/// What becomes of the sound of one rung.
pub(super) struct Sound {
    name: StreamName,
    launch: Option<Launch>,
    nice: u8,
    wanted: Wanted,
    /// What the first track of the stream is, as it said it last.
    track: Option<(Codec, bytes::Bytes)>,
    encoder: Option<Encoder>,
    /// When an encoder was last begun.
    begun: Option<Instant>,
    /// An encoder is to begin as soon as that may be.
    is_due: bool,
    /// Sound is encoded anew, or would be if that had not failed.
    config: Option<Config>,
    /// What is where the stream has none.
    fill: Fill,
}

struct Encoder {
    inlet: SoundInlet,
    outlet: SoundOutlet,
    /// What it said last of its packets.
    said: Option<Packet>,
    /// What was encoded already, behind what was to be said again.
    next: Option<Packet>,
}

impl Sound {
    /// That of the rung `name`, as `wanted`. `status` is what is known of its stream: an encoder that will be needed begins at once.
    pub(super) fn new(
        name: StreamName,
        wanted: Wanted,
        launch: Option<Launch>,
        nice: u8,
        status: Option<&StreamStatus>,
        now: Instant,
    ) -> Self {
        let track = status.and_then(|status| status.tracks.iter().find(|track| track.id == TrackId::AUDIO));
        let is_young = status
            .and_then(|status| status.started)
            .is_none_or(|started| now.saturating_duration_since(started) < SOUND_EXPECTED);
        let fill = Fill::new(wanted.silence(), track.is_some() || is_young);
        let mut sound = Self {
            name,
            launch,
            nice,
            wanted,
            track: None,
            encoder: None,
            begun: None,
            is_due: false,
            config: None,
            fill,
        };
        if let Some(track) = track {
            sound.choose(track.codec, track.config.clone().unwrap_or_default(), now);
        }
        sound
    }

    /// What sound is encoded as, if it is.
    pub(super) fn config(&self) -> Option<Config> {
        self.config.or_else(|| self.fill.config())
    }

    /// Whether the first pictures should wait for sound, so that players know of both from the start.
    pub(super) fn is_awaited(&self) -> bool {
        self.is_encoded() || self.fill.is_unsure()
    }

    /// The first pictures have waited for long enough.
    pub(super) fn despair(&mut self) {
        self.fill.despair();
    }

    /// The next packet of silence that belongs before a picture at `dts`, where the stream has no sound.
    pub(super) fn fill(&mut self, dts: Time) -> Option<Packet> {
        self.fill.next(dts)
    }

    /// Whether an encoder is at work.
    pub(super) fn is_encoded(&self) -> bool {
        self.encoder.is_some()
    }

    pub(super) fn usage(&self) -> Usage {
        self.encoder.as_ref().map(|encoder| encoder.outlet.usage()).unwrap_or_default()
    }

    /// Takes a packet of the stream. What is not encoded comes back; behind silence it does so with what decoders must know of it.
    pub(super) fn take(&mut self, packet: Packet, now: Instant) -> impl Iterator<Item = Packet> + use<> {
        let passed = self.pass(packet, now);
        let said = passed.as_ref().and_then(|packet| {
            let (codec, record) = self.track.as_ref()?;
            let is_of_it = packet.track == TrackId::AUDIO && packet.codec == *codec && !record.is_empty();
            let is_behind_silence = is_of_it && packet.role == Role::Frame && self.fill.take_told();
            is_behind_silence.then(|| at(packet.dts, config_packet(*codec, record.clone())))
        });
        said.into_iter().chain(passed)
    }

    /// What of the stream is a packet of the rung as it is.
    fn pass(&mut self, packet: Packet, now: Instant) -> Option<Packet> {
        if packet.track.kind != Kind::Audio {
            return Some(packet);
        }
        if packet.track == TrackId::AUDIO && packet.role == Role::Frame {
            self.fill.note_sound(packet.dts);
        }
        if packet.track == TrackId::AUDIO {
            let is_known = self.track.as_ref().is_some_and(|(codec, _)| *codec == packet.codec);
            match packet.role {
                Role::Config => self.choose(packet.codec, packet.payload.clone(), now),
                Role::Frame if !is_known => self.choose(packet.codec, bytes::Bytes::new(), now),
                _ => self.begin_if_due(now),
            }
        }
        if self.config.is_none() {
            let is_left_out = packet.track == TrackId::AUDIO
                && match packet.role {
                    // Until there is sound, decoders get more silence. They are told behind it.
                    Role::Config => self.fill.is_silent(),
                    Role::Frame => self.fill.has_passed(packet.dts),
                    _ => false,
                };
            if packet.role == Role::Config && packet.track == TrackId::AUDIO && !is_left_out {
                self.fill.take_told();
            }
            return (!is_left_out).then_some(packet);
        }
        // Of several tracks a rung with sound of its own has the first.
        if packet.track == TrackId::AUDIO
            && let Some(encoder) = &self.encoder
        {
            // Where there is no room there will be silence.
            encoder.inlet.try_push(packet);
        }
        None
    }

    /// Notes what the sound is, and begins or ends to encode it.
    fn choose(&mut self, codec: Codec, record: bytes::Bytes, now: Instant) {
        let track = (codec, record);
        if self.track.as_ref() == Some(&track) {
            return self.begin_if_due(now);
        }
        let channels = codec::summary(track.0, &track.1).and_then(|summary| summary.channels);
        self.track = Some(track);
        self.config = self.wanted.of(codec, channels);
        self.is_due = self.config.is_some() && self.encoder.is_none();
        if self.config.is_none() {
            self.encoder = None;
        }
        self.begin_if_due(now);
    }

    /// Begins an encoder if there is to be one, and the last is long enough ago.
    fn begin_if_due(&mut self, now: Instant) {
        let is_early = self.begun.is_some_and(|begun| now.saturating_duration_since(begun) < SOUND_AGAIN);
        if !self.is_due || is_early {
            return;
        }
        self.is_due = false;
        if let (Some(config), Some(launch)) = (self.config, &self.launch) {
            let (inlet, outlet) = start_sound(launch.clone(), self.nice, config);
            if let Some((codec, record)) = self.track.clone().filter(|(_, record)| !record.is_empty()) {
                inlet.try_push(config_packet(codec, record));
            }
            self.encoder = Some(Encoder { inlet, outlet, said: None, next: None });
            self.begun = Some(now);
        }
    }

    /// The next packet that was encoded; pending for ever where there is no encoder.
    pub(super) fn poll_encoded(&mut self, cx: &mut Context<'_>) -> Poll<Packet> {
        while let Some(encoder) = &mut self.encoder {
            if let Some(packet) = encoder.next.take() {
                return Poll::Ready(packet);
            }
            let Poll::Ready(output) = encoder.outlet.poll_next(cx) else { return Poll::Pending };
            match output {
                Some(Output::Packet(packet))
                    if packet.role == Role::Frame && self.fill.has_passed(packet.dts) => {}
                Some(Output::Packet(packet)) if packet.role == Role::Config => {
                    encoder.said = Some(packet.clone());
                    if !self.fill.is_silent() {
                        self.fill.take_told();
                        return Poll::Ready(packet);
                    }
                }
                Some(Output::Packet(packet)) => {
                    if let Some(said) = encoder.said.clone().filter(|_| self.fill.take_told()) {
                        let said = at(packet.dts, said);
                        encoder.next = Some(packet);
                        return Poll::Ready(said);
                    }
                    return Poll::Ready(packet);
                }
                Some(Output::Replaced { why }) => {
                    warn!(stream = %self.name, why, "the encoder of the sound of a rung has failed and was replaced");
                }
                None => {
                    let why = encoder.outlet.usage().error.unwrap_or_default();
                    warn!(stream = %self.name, why, "a rung goes on without sound, which cannot be encoded");
                    self.encoder = None;
                }
            }
        }
        Poll::Pending
    }
}

/// A packet of that time.
fn at(time: Time, packet: Packet) -> Packet {
    Packet { dts: time, pts: time, ..packet }
}

/// What decoders must know, as a packet.
fn config_packet(codec: Codec, record: bytes::Bytes) -> Packet {
    let (role, flags, time) = (Role::Config, Flags::default(), Time::ZERO);
    Packet { track: TrackId::AUDIO, codec, role, flags, dts: time, pts: time, payload: record }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::future::poll_fn;
    use std::time::Duration;

    const AAC: Config = Config { codec: engine::sound::Codec::Aac, bitrate_bps: 128_000, channels: 2 };

    /// Of a rung whose encoders are never there.
    fn sound(wanted: Wanted) -> Sound {
        let name = crate::config::parse_channel("live/cam").unwrap();
        let launch = Launch { program: "/nowhere/worker".into(), arguments: Vec::new() };
        Sound::new(name, wanted, Some(launch), 0, None, Instant::now())
    }

    fn said(record: &'static [u8]) -> Packet {
        config_packet(Codec::Aac, Bytes::from_static(record))
    }

    fn taken(sound: &mut Sound, packet: Packet, now: Instant) -> Vec<Packet> {
        sound.take(packet, now).collect()
    }

    /// Waits until the encoder is given up.
    async fn give_up(sound: &mut Sound) {
        poll_fn(|cx| {
            assert!(sound.poll_encoded(cx).is_pending());
            if sound.is_encoded() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    #[tokio::test]
    async fn sound_that_nothing_decodes_stays_as_it_is() {
        let mut sound = sound(Wanted::Encoded(AAC));
        for head in [0xf0, 0xf1, 0xf0] {
            let packet = Packet { role: Role::Frame, codec: Codec::FlvAudio(head), ..said(b"?") };
            assert_eq!(taken(&mut sound, packet.clone(), Instant::now()), [packet]);
            assert!(!sound.is_encoded() && sound.config().is_none());
        }
    }

    #[tokio::test]
    async fn sound_that_appears_ends_silence_and_goes_on_behind_it() {
        let mut sound = sound(Wanted::Filled);
        assert!(sound.is_awaited(), "a stream that has only begun may have sound");
        assert_eq!(sound.fill(Time::from_millis(40)), None);
        sound.despair();
        assert!(!sound.is_awaited());
        let mut silence = std::iter::from_fn(|| sound.fill(Time::from_millis(60)));
        assert_eq!(silence.next().map(|packet| packet.role), Some(Role::Config));
        while sound.fill(Time::from_millis(200)).is_some() {}
        assert_eq!(sound.config().map(|config| config.channels), Some(2));
        assert_eq!(taken(&mut sound, frame(150), Instant::now()), [], "there is silence already");
        assert_eq!(taken(&mut sound, frame(250), Instant::now()), [frame(250)]);
        assert_eq!((sound.fill(Time::from_millis(300)), sound.config()), (None, None));
    }

    /// A frame of sound.
    fn frame(ms: i64) -> Packet {
        Packet { role: Role::Frame, ..at(Time::from_millis(ms), said(b"?")) }
    }

    /// What decoders are told of the track with the silence up to `ms`.
    fn silent_until(sound: &mut Sound, ms: i64) -> Vec<Bytes> {
        let packets = std::iter::from_fn(|| sound.fill(Time::from_millis(ms)));
        packets.filter(|packet| packet.role == Role::Config).map(|packet| packet.payload).collect()
    }

    #[tokio::test]
    async fn behind_silence_decoders_are_told_what_sound_is() {
        let (now, cd, mono) = (Instant::now(), b"\x12\x10", b"\x11\x88");
        let mut sound = sound(Wanted::Filled);
        assert_eq!(taken(&mut sound, said(cd), now), [said(cd)]);
        assert_eq!(taken(&mut sound, frame(0), now), [frame(0)], "once is enough");
        assert_eq!(silent_until(&mut sound, 5_000), [&b"\x11\x90"[..]], "who publishes is mute");
        let told = |ms, record| at(Time::from_millis(ms), said(record));
        assert_eq!(taken(&mut sound, frame(4_990), now), [], "there is silence already");
        assert_eq!(taken(&mut sound, frame(5_100), now), [told(5_100, cd), frame(5_100)]);
        assert_eq!(taken(&mut sound, frame(5_123), now), [frame(5_123)]);
        assert_eq!(silent_until(&mut sound, 9_000), [&b"\x11\x90"[..]]);
        assert_eq!(taken(&mut sound, said(mono), now), [], "what follows is silence still");
        assert_eq!(silent_until(&mut sound, 9_500), Vec::<Bytes>::new());
        assert_eq!(taken(&mut sound, frame(9_600), now), [told(9_600, mono), frame(9_600)]);
        assert_eq!(silent_until(&mut sound, 9_700), Vec::<Bytes>::new());
    }

    #[tokio::test]
    async fn a_publisher_does_not_choose_how_often_encoders_begin() {
        let mut sound = sound(Wanted::Encoded(AAC));
        let begun = Instant::now();
        assert_eq!(taken(&mut sound, said(b"\x11\x90"), begun), []);
        assert!(sound.is_encoded());
        give_up(&mut sound).await;
        for (step, record) in [b"\x12\x10", b"\x11\x90", b"\x12\x10"].into_iter().enumerate() {
            let undecodable = Packet { codec: Codec::FlvAudio(0xf0), ..said(b"?") };
            let now = begun + Duration::from_millis(step as u64);
            taken(&mut sound, undecodable, now);
            assert_eq!(taken(&mut sound, said(record), now), []);
            assert!(!sound.is_encoded(), "{step}");
        }
        let frame = Packet { role: Role::Frame, ..said(b"?") };
        assert_eq!(taken(&mut sound, frame.clone(), begun + SOUND_AGAIN / 2), []);
        assert!(!sound.is_encoded());
        assert_eq!(taken(&mut sound, frame.clone(), begun + SOUND_AGAIN), []);
        assert!(sound.is_encoded(), "what came last is tried when it is time");
        give_up(&mut sound).await;
        assert_eq!(taken(&mut sound, frame, begun + 3 * SOUND_AGAIN), []);
        assert!(!sound.is_encoded(), "what failed is not tried again while it is the same");
    }
}
