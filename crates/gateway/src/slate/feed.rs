//! What a slate sends, and when: a picture again and again, and silence. Pure.

use super::limits::{FPS, LATE_MAX, PIXELS_MAX, SIDE_MAX, SIZE_UNKNOWN};
use super::sound::Silence;
use bytes::Bytes;
use engine::slate::Slate;
use hub::StreamStatus;
use media::{Codec, Flags, Kind, Packet, Role, Time, TrackId, codec};
use std::sync::Arc;
use std::time::Duration;

/// What is known of a stream that has lost its publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    /// Of its pictures, in pixels, even, and with square pixels; `None` if it had none.
    pub(super) size: Option<(u32, u32)>,
    /// In the form of its sound; `None` if it had none.
    pub(super) silence: Option<Silence>,
}

impl Lost {
    /// What a stream was that stands so.
    pub(super) fn of(status: &StreamStatus) -> Self {
        let track = |kind| status.tracks.iter().find(move |track| track.id.kind == kind);
        let size = track(Kind::Video).map(|track| {
            let config = track.config.as_deref();
            let summary = config.and_then(|config| codec::summary(track.codec, config)).unwrap_or_default();
            let aspect = summary.pixel_aspect.unwrap_or((1, 1));
            summary.width.zip(summary.height).and_then(|size| fitting(size, aspect)).unwrap_or(SIZE_UNKNOWN)
        });
        let silence = track(Kind::Audio)
            .map(|track| Silence::like(track.codec, &track.config.clone().unwrap_or_default()));
        Self { size, silence }
    }

    /// Whether there is nothing to go on with.
    pub(super) fn is_nothing(&self) -> bool {
        self.size.is_none() && self.silence.is_none()
    }
}

/// The even size with square pixels of a picture, if it is one that is encoded.
fn fitting((width, height): (u32, u32), (across, down): (u32, u32)) -> Option<(u32, u32)> {
    let wide = u64::from(width) * u64::from(across) / u64::from(down.max(1));
    let wide = u32::try_from(wide).ok().filter(|_| across > 0).unwrap_or(width);
    let even = |side: u32| side.saturating_add(side % 2);
    let (width, height) = (even(wide), even(height));
    let is_fitting = width.min(height) >= 16
        && width.max(height) <= SIDE_MAX
        && u64::from(width) * u64::from(height) <= PIXELS_MAX;
    is_fitting.then_some((width, height))
}

/// Packets from time zero on.
#[derive(Debug)]
pub(super) struct Feed {
    slate: Option<Arc<Slate>>,
    silence: Option<Silence>,
    has_begun: bool,
    /// The numbers of the next frames.
    next_picture: u64,
    next_sound: u64,
}

impl Feed {
    /// A feed of a picture and of silence.
    pub(super) fn new(slate: Option<Arc<Slate>>, silence: Option<Silence>) -> Self {
        Self { slate, silence, has_begun: false, next_picture: 0, next_sound: 0 }
    }

    /// The packets up to `elapsed` after its begin, in order.
    pub(super) fn until(&mut self, elapsed: Duration) -> Vec<Packet> {
        let to = Time::ZERO + elapsed;
        let mut packets = Vec::new();
        if !std::mem::replace(&mut self.has_begun, true) {
            packets.extend(self.configs());
        }
        self.catch_up(to);
        loop {
            let picture = self.slate.as_ref().map(|_| picture_time(self.next_picture));
            let sound = self.silence.as_ref().map(|silence| silence.time(self.next_sound));
            let is_due = |time: &Time| *time <= to;
            match (picture.filter(is_due), sound.filter(is_due)) {
                (Some(picture), sound) if sound.is_none_or(|sound| picture <= sound) => {
                    packets.extend(self.picture(picture));
                    self.next_picture += 1;
                }
                (_, Some(sound)) => {
                    packets.extend(self.silence.as_ref().map(|silence| {
                        packet(TrackId::AUDIO, silence.codec, Role::Frame, sound, &silence.frame)
                    }));
                    self.next_sound += 1;
                }
                _ => return packets,
            }
        }
    }

    /// Leaves out what is too late, and goes on with a keyframe.
    fn catch_up(&mut self, to: Time) {
        let Some(frames) = self.slate.as_ref().map(|slate| slate.frames.len().max(1) as u64) else {
            let late = |silence: &Silence| to.since(silence.time(self.next_sound)) > LATE_MAX;
            if self.silence.as_ref().is_some_and(late) {
                self.skip_sound(to);
            }
            return;
        };
        if to.since(picture_time(self.next_picture)) > LATE_MAX {
            let reached = (to.nanos() / NANOS_PER_PICTURE).unsigned_abs();
            self.next_picture = reached.next_multiple_of(frames);
            self.skip_sound(picture_time(self.next_picture));
        }
    }

    /// Goes on with the sound at `to`.
    fn skip_sound(&mut self, to: Time) {
        if let Some(silence) = &self.silence {
            self.next_sound = silence.first_at(to);
        }
    }

    /// What decoders must know first.
    fn configs(&self) -> impl Iterator<Item = Packet> {
        let config = |track, codec, payload: &Bytes| packet(track, codec, Role::Config, Time::ZERO, payload);
        let slate = self.slate.as_ref().map(|slate| config(TrackId::VIDEO, Codec::H264, &slate.record));
        let silence = self.silence.as_ref();
        slate.into_iter().chain(silence.map(|silence| config(TrackId::AUDIO, silence.codec, &silence.config)))
    }

    fn picture(&self, at: Time) -> Option<Packet> {
        let slate = self.slate.as_ref()?;
        let index = (self.next_picture % slate.frames.len().max(1) as u64) as usize;
        let mut packet = packet(TrackId::VIDEO, Codec::H264, Role::Frame, at, slate.frames.get(index)?);
        packet.flags.keyframe = index == 0;
        Some(packet)
    }
}

const NANOS_PER_PICTURE: i64 = 1_000_000_000 / FPS as i64;

fn picture_time(index: u64) -> Time {
    Time::from_nanos(i64::try_from(index).unwrap_or(i64::MAX).saturating_mul(NANOS_PER_PICTURE))
}

fn packet(track: TrackId, codec: Codec, role: Role, at: Time, payload: &Bytes) -> Packet {
    Packet { track, codec, role, flags: Flags::default(), dts: at, pts: at, payload: payload.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slate() -> Arc<Slate> {
        let frames = (0..10).map(|index| Bytes::from(vec![index])).collect();
        Arc::new(Slate { record: Bytes::from_static(b"avcC"), frames })
    }

    fn feed() -> Feed {
        Feed::new(Some(slate()), Some(Silence::like(Codec::Aac, &Bytes::from_static(&[0x12, 0x10]))))
    }

    fn of(packets: &[Packet], kind: Kind) -> Vec<&Packet> {
        packets.iter().filter(|packet| packet.track.kind == kind && packet.role == Role::Frame).collect()
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn it_begins_with_what_decoders_must_know_and_a_keyframe() {
        let packets = feed().until(Duration::ZERO);
        let roles: Vec<_> = packets.iter().map(|packet| (packet.track.kind, packet.role)).collect();
        let expected = [
            (Kind::Video, Role::Config),
            (Kind::Audio, Role::Config),
            (Kind::Video, Role::Frame),
            (Kind::Audio, Role::Frame),
        ];
        assert_eq!(roles, expected);
        assert!(packets[2].flags.keyframe);
    }

    #[test]
    fn pictures_are_repeated_with_a_keyframe_each_second() {
        let packets = feed().until(ms(1_900));
        let pictures = of(&packets, Kind::Video);
        assert_eq!(pictures.len(), 20);
        for (index, picture) in pictures.iter().enumerate() {
            assert_eq!((picture.dts.millis(), picture.payload[0]), (100 * index as i64, index as u8 % 10));
            assert_eq!(picture.flags.keyframe, index % 10 == 0);
        }
        assert_eq!(of(&packets, Kind::Audio).len(), 82, "1900 ms of frames of 23.2 ms, and the first");
    }

    #[test]
    fn a_stream_without_pictures_gets_silence_alone() {
        let mut feed = Feed::new(None, Some(Silence::like(Codec::Mp3, &Bytes::new())));
        let packets = feed.until(ms(1000));
        assert!(packets.iter().all(|packet| packet.track == TrackId::AUDIO && packet.codec == Codec::Aac));
        assert_eq!(of(&packets, Kind::Audio).len(), 47);
        let later = feed.until(ms(100_000));
        assert!(later.len() <= 1, "what is too late is left out");
    }

    #[test]
    fn after_a_long_sleep_it_goes_on_at_a_keyframe() {
        let mut feed = feed();
        feed.until(ms(350));
        assert!(feed.until(ms(600_450)).is_empty(), "the next keyframe is yet to come");
        let packets = feed.until(ms(601_000));
        assert!(of(&packets, Kind::Video)[0].flags.keyframe);
        assert!(packets.iter().all(|packet| packet.dts.millis() >= 601_000), "and the sound with it");
    }

    #[test]
    fn sizes_are_even_with_square_pixels_and_within_what_is_encoded() {
        assert_eq!(fitting((1920, 1080), (1, 1)), Some((1920, 1080)));
        assert_eq!(fitting((1079, 607), (1, 1)), Some((1080, 608)));
        assert_eq!(fitting((720, 576), (64, 45)), Some((1024, 576)));
        for none in [(0, 0), (7680, 4320), (8, 720), (u32::MAX, u32::MAX)] {
            assert_eq!(fitting(none, (1, 1)), None, "{none:?}");
        }
        assert_eq!(fitting((640, 360), (0, 0)), Some((640, 360)));
    }

    proptest! {
        #[test]
        fn what_is_sent_does_not_depend_on_how_often_it_is_asked_for(steps in proptest::collection::vec(1u64..1_000, 1..20)) {
            let (mut stepwise, mut elapsed) = (feed(), 0);
            let mut packets = Vec::new();
            for step in steps {
                elapsed += step;
                packets.extend(stepwise.until(ms(elapsed)));
            }
            for kind in [Kind::Video, Kind::Audio] {
                let frames = of(&packets, kind);
                prop_assert!(frames.windows(2).all(|pair| pair[0].dts < pair[1].dts));
                prop_assert!(frames.iter().all(|frame| frame.dts <= Time::ZERO + ms(elapsed)));
            }
            prop_assert_eq!(of(&packets, Kind::Video).len() as u64, elapsed / 100 + 1);
            let order: Vec<_> = packets.iter().map(|packet| packet.dts).collect();
            prop_assert!(order.is_sorted());
        }

        #[test]
        fn no_time_is_too_late(elapsed in any::<u32>()) {
            let packets = feed().until(Duration::from_secs(u64::from(elapsed)));
            prop_assert!(packets.len() < 300);
        }

        #[test]
        fn no_size_panics(size in any::<(u32, u32)>(), aspect in any::<(u32, u32)>()) {
            if let Some((width, height)) = fitting(size, aspect) {
                prop_assert!(width % 2 == 0 && height % 2 == 0 && width <= SIDE_MAX);
            }
        }
    }
}
