//! Silence as AAC, for rungs of streams that have no sound. Pure.
//!
//! A frame without a single spectral coefficient is silence, whatever came before it: it is the same few bytes every time, and takes
//! no encoder. Frames begin at multiples of their length, counted from time zero of the stream, like those of sound that is encoded.

use super::limits::{SILENCE_AFTER, SILENCE_MAX};
use bytes::Bytes;
use engine::sound;
use media::{Codec, Flags, Packet, Role, Time, TrackId};

/// Samples per second, and in one frame.
const RATE: u32 = 48_000;
const FRAME: i64 = 1024;

/// `AudioSpecificConfig` (ISO/IEC 14496-3 section 1.6.2.1): AAC LC, 48 kHz, one channel or two.
const RECORDS: [&[u8]; 2] = [&[0x11, 0x88], &[0x11, 0x90]];

/// `raw_data_block` (section 4.4.2.1): a single channel element, or a channel pair element with a common window, of long windows with
/// `max_sfb` 0, and the end.
const FRAMES: [&[u8]; 2] = [&[0x00, 0x00, 0x00, 0x07], &[0x21, 0x00, 0x00, 0x00, 0x00, 0x1c]];

/// `AudioSpecificConfig` of AAC LC with 48 kHz and two channels.
pub(crate) const AAC_48K: &[u8] = RECORDS[1];

/// A frame of AAC LC that is silence at every rate.
pub(crate) const fn silent_aac(is_stereo: bool) -> &'static [u8] {
    FRAMES[is_stereo as usize]
}

/// A track of silence, up to where the pictures are.
#[derive(Debug)]
struct Silence {
    is_stereo: bool,
    /// The number of the next frame.
    next: i64,
    has_begun: bool,
}

impl Silence {
    /// From the first frame that begins at `from` or later.
    fn new(channels: u8, from: Time) -> Self {
        Self { is_stereo: channels > 1, next: first_frame(from), has_begun: false }
    }

    /// What it is, as if it had been encoded.
    const fn config(channels: u8) -> sound::Config {
        // 32 bits, or 48, in each frame.
        const BITS_PER_SECOND: u32 = 2250;
        sound::Config { codec: sound::Codec::Aac, bitrate_bps: BITS_PER_SECOND, channels }
    }

    /// The next packet, if it begins at `to` or earlier. The first says what the track is, at once.
    fn next(&mut self, to: Time) -> Option<Packet> {
        let index = usize::from(self.is_stereo);
        let packet = |role, at, payload| Packet {
            track: TrackId::AUDIO,
            codec: Codec::Aac,
            role,
            flags: Flags::default(),
            dts: at,
            pts: at,
            payload: Bytes::from_static(payload),
        };
        if !std::mem::replace(&mut self.has_begun, true) {
            return Some(packet(Role::Config, to, RECORDS[index]));
        }
        let at = self.end();
        if at > to {
            return None;
        }
        if to.since(at) > SILENCE_MAX {
            // Pictures have jumped, and sound does so with them.
            self.next = first_frame(to);
            return self.next(to);
        }
        self.next += 1;
        Some(packet(Role::Frame, at, FRAMES[index]))
    }

    /// Where the frames so far end.
    fn end(&self) -> Time {
        Time::from_ticks(self.next * FRAME, RATE)
    }
}

/// The first frame that begins at `from` or later.
fn first_frame(from: Time) -> i64 {
    let at = from.to_ticks(RATE);
    at.div_euclid(FRAME) + i64::from(at.rem_euclid(FRAME) > 0)
}

/// Puts silence where a stream has no sound, and ends it where there is some.
#[derive(Debug)]
pub(super) struct Fill {
    /// Of the silence, if there is to be any.
    channels: Option<u8>,
    /// There may be sound of which nothing was heard yet.
    is_unsure: bool,
    /// How far there was sound.
    heard: Option<Time>,
    silence: Option<Silence>,
    /// What decoders were told last of the track is that it is silence.
    has_told: bool,
    /// How far there was silence before.
    ended: Option<Time>,
}

impl Fill {
    /// `channels` of silence, if there is to be any. `is_expected` says that the stream has sound, or may have some in a moment.
    pub(super) fn new(channels: Option<u8>, is_expected: bool) -> Self {
        Self { channels, is_unsure: is_expected, heard: None, silence: None, has_told: false, ended: None }
    }

    /// Whether it is not known yet if there is sound, and that matters.
    pub(super) fn is_unsure(&self) -> bool {
        self.is_unsure && self.channels.is_some()
    }

    /// Nothing was heard for long enough.
    pub(super) fn despair(&mut self) {
        self.is_unsure = false;
    }

    /// What the silence is, where there is some.
    pub(super) fn config(&self) -> Option<sound::Config> {
        self.silence.as_ref().and(self.channels).map(Self::of)
    }

    /// What silence of so many channels is, as if it had been encoded.
    pub(super) const fn of(channels: u8) -> sound::Config {
        Silence::config(channels)
    }

    /// Notes that the stream has sound at `at`.
    pub(super) fn note_sound(&mut self, at: Time) {
        self.is_unsure = false;
        self.heard = self.heard.max(Some(at));
        if let Some(silence) = self.silence.take() {
            self.ended = self.ended.max(Some(silence.end()));
        }
    }

    /// Whether there is silence for now.
    pub(super) fn is_silent(&self) -> bool {
        self.silence.is_some()
    }

    /// Whether decoders must be told what sound is before they get some: they take it for silence. The answer is so once.
    pub(super) fn take_told(&mut self) -> bool {
        std::mem::take(&mut self.has_told)
    }

    /// Whether there is silence at this time already, which sound does not take the place of any more.
    pub(super) fn has_passed(&self, at: Time) -> bool {
        self.ended.is_some_and(|ended| at < ended)
    }

    /// The next packet of silence, now that the pictures are at `to`.
    pub(super) fn next(&mut self, to: Time) -> Option<Packet> {
        let channels = self.channels.filter(|_| !self.is_unsure)?;
        let is_sounding = self.heard.is_some_and(|heard| to.since(heard) < SILENCE_AFTER);
        let packet = match &mut self.silence {
            Some(silence) => silence.next(to),
            None if is_sounding => None,
            None => self
                .silence
                .insert(Silence::new(channels, self.ended.map_or(to, |ended| to.max(ended))))
                .next(to),
        };
        self.has_told |= packet.as_ref().is_some_and(|packet| packet.role == Role::Config);
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(silence: &mut Silence, to_ms: i64) -> Vec<(Role, i64)> {
        let packets = std::iter::from_fn(|| silence.next(Time::from_millis(to_ms)));
        packets.map(|packet| (packet.role, packet.dts.nanos())).collect()
    }

    #[test]
    fn frames_follow_each_other_up_to_the_pictures() {
        let mut silence = Silence::new(2, Time::from_millis(1000));
        assert_eq!(times(&mut silence, 1000), [(Role::Config, 1_000_000_000)]);
        assert_eq!(times(&mut silence, 1002), [], "the first frame begins at 1002.667 ms");
        assert_eq!(times(&mut silence, 1040), [(Role::Frame, 1_002_666_667), (Role::Frame, 1_024_000_000)]);
        assert_eq!(times(&mut silence, 1000), [], "pictures do not go back");
        let more = times(&mut silence, 1_100);
        assert_eq!((more.len(), more[0]), (3, (Role::Frame, 1_045_333_333)));
        assert_eq!(times(&mut Silence::new(1, Time::ZERO), 0), [(Role::Config, 0), (Role::Frame, 0)]);
    }

    #[test]
    fn where_pictures_jump_silence_jumps_with_them() {
        let mut silence = Silence::new(2, Time::ZERO);
        times(&mut silence, 100);
        let after: Vec<_> = times(&mut silence, 3_600_000);
        assert!(after.len() <= 1, "{after:?}");
        let after = times(&mut silence, 3_600_100);
        assert!((4..=5).contains(&after.len()) && after[0].1 >= 3_600_000_000_000, "{after:?}");
    }

    #[test]
    fn decoders_know_what_it_is() {
        for (channels, record) in [(1, RECORDS[0]), (2, RECORDS[1])] {
            let summary = media::codec::summary(Codec::Aac, record).unwrap();
            assert_eq!((summary.channels, summary.sample_rate), (Some(channels), Some(RATE)));
        }
    }

    /// Times of the frames that come with a picture, in milliseconds.
    fn filled(fill: &mut Fill, to_ms: i64) -> Vec<i64> {
        let packets = std::iter::from_fn(|| fill.next(Time::from_millis(to_ms)));
        packets.filter(|packet| packet.role == Role::Frame).map(|packet| packet.dts.millis()).collect()
    }

    #[test]
    fn a_stream_without_sound_has_silence_at_once() {
        let mut fill = Fill::new(Some(2), false);
        assert_eq!((filled(&mut fill, 0), filled(&mut fill, 40)), (vec![0], vec![21]));
        assert_eq!(fill.config(), Some(Fill::of(2)));
        assert_eq!(filled(&mut Fill::new(None, false), 40), Vec::<i64>::new(), "unless none is wanted");
    }

    #[test]
    fn silence_waits_for_sound_that_is_expected() {
        let mut fill = Fill::new(Some(2), true);
        assert!(fill.is_unsure() && !Fill::new(None, true).is_unsure());
        assert_eq!(filled(&mut fill, 40), Vec::<i64>::new());
        fill.despair();
        assert_eq!(filled(&mut fill, 80), Vec::<i64>::new(), "the next frame begins later than the picture");
        assert_eq!(filled(&mut fill, 100), [85]);
    }

    #[test]
    fn silence_gives_way_to_sound_and_comes_back_when_that_stops() {
        let mut fill = Fill::new(Some(2), false);
        filled(&mut fill, 0);
        filled(&mut fill, 100);
        fill.note_sound(Time::from_millis(90));
        assert!(fill.has_passed(Time::from_millis(90)) && !fill.has_passed(Time::from_millis(107)));
        assert_eq!((filled(&mut fill, 1_000), fill.config()), (vec![], None));
        fill.note_sound(Time::from_millis(1_000));
        let after = 1_000 + SILENCE_AFTER.as_millis() as i64;
        assert_eq!(filled(&mut fill, after - 1), Vec::<i64>::new());
        filled(&mut fill, after);
        assert!(filled(&mut fill, after + 100).len() >= 4);
    }
}
