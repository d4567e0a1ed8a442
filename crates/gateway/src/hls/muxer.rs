//! From runs of frames to the bytes of parts.

use super::segmenter::{Cut, Opening};
use super::window::{Init, NewSegment, Part};
use bytes::{Bytes, BytesMut};
use media::container::Error;
use media::container::fmp4::{self, Run};
use media::{Codec, Time, TrackId};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds from 1900, where NTP begins, to 1970.
const NTP_OFFSET_SECONDS: u64 = 2_208_988_800;

/// A part that is ready.
#[derive(Debug)]
pub(super) struct Packed {
    /// The track.
    pub(super) track: TrackId,
    /// What begins with it.
    pub(super) new: Option<NewSegment>,
    /// The part.
    pub(super) part: Part,
    /// Whether it is the last of its segment.
    pub(super) closes: bool,
}

/// Writes CMAF tracks.
#[derive(Debug)]
pub(super) struct Muxer {
    tracks: Vec<Track>,
    /// A moment of the media clock and the time of day it belongs to.
    anchor: (Time, SystemTime),
}

#[derive(Debug)]
struct Track {
    id: TrackId,
    /// The number of the track in files that hold several.
    number: u32,
    /// The track in MP4, with what it was made from.
    made: Option<(Codec, Bytes, fmp4::Track)>,
    /// Fragments so far.
    fragments: u32,
    /// The number of the next segment.
    next: u64,
}

impl Muxer {
    /// A muxer whose media clock shows `anchor.0` at `anchor.1`.
    pub(super) fn new(anchor: (Time, SystemTime)) -> Self {
        Self { tracks: Vec::new(), anchor }
    }

    /// The clock was set anew: the stream was interrupted.
    pub(super) fn set_anchor(&mut self, anchor: (Time, SystemTime)) {
        self.anchor = anchor;
    }

    /// Dates from here on are later by so many nanoseconds, or earlier.
    pub(super) fn move_dates(&mut self, by: i64) {
        let step = Duration::from_nanos(by.unsigned_abs());
        let date = self.anchor.1;
        self.anchor.1 = if by < 0 { date.checked_sub(step).unwrap_or(UNIX_EPOCH) } else { date + step };
    }

    /// By how many nanoseconds a moment of the media clock is earlier than `date`.
    pub(super) fn late(&self, time: Time, date: SystemTime) -> i64 {
        let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        date.duration_since(self.date_of(time)).map_or_else(|early| -nanos(early.duration()), nanos)
    }

    /// The next segment of a track has an initialization section of its own: the one before has left.
    pub(super) fn forget(&mut self, track: TrackId) {
        if let Some(track) = self.tracks.iter_mut().find(|known| known.id == track) {
            track.made = None;
        }
    }

    /// Makes the part of `cut`. `first` is the number of the first segment of a track that is new.
    ///
    /// # Errors
    ///
    /// A codec that MP4 has no form for, a configuration that makes no sense, or frames that do not fit a fragment. The track is then
    /// without parts until it begins its next segment, whose number is the one after the last that was given out.
    pub(super) fn pack(&mut self, cut: &Cut, first: u64) -> Result<Packed, Error> {
        let date = self.date_of(cut.frames.first().map_or(cut.end, |frame| frame.pts));
        let index = match self.tracks.iter().position(|track| track.id == cut.track) {
            Some(index) => index,
            None => {
                let number = self.tracks.len() as u32 + 1;
                self.tracks.push(Track { id: cut.track, number, made: None, fragments: 0, next: first });
                self.tracks.len() - 1
            }
        };
        let track = &mut self.tracks[index];
        let packed = track.pack(cut, date);
        if packed.is_err() {
            track.made = None;
        }
        packed
    }

    /// When a moment of the media clock was, as the time of day.
    fn date_of(&self, time: Time) -> SystemTime {
        let (anchor, date) = self.anchor;
        let ahead = date + time.since(anchor);
        ahead.checked_sub(anchor.since(time)).unwrap_or(UNIX_EPOCH)
    }
}

impl Track {
    /// Makes the part of `cut`, the first frame of which is shown at `date`.
    fn pack(&mut self, cut: &Cut, date: SystemTime) -> Result<Packed, Error> {
        let new = match &cut.opens {
            Some(opening) => Some(self.open(opening, cut, date)?),
            None => None,
        };
        let Some((.., made)) = &self.made else {
            return Err(Error::Unsupported("a part without a segment"));
        };
        self.fragments = self.fragments.wrapping_add(1);
        let media: usize = cut.frames.iter().map(|frame| frame.payload.len()).sum();
        let mut bytes = BytesMut::with_capacity(media + 256 + 16 * cut.frames.len());
        if new.is_some() {
            let start = cut.frames.first().map_or(cut.end, |frame| frame.pts);
            fmp4::write_producer_time(made, ntp(date), start, &mut bytes);
        }
        let run = Run { track: made, frames: &cut.frames, end: cut.end };
        let runs = [run];
        fmp4::write_fragment(self.fragments, &runs, &mut bytes)?;
        // One copy for all viewers: what comes from a publisher would keep its read buffers alive for as long as the window.
        fmp4::payloads(&runs).for_each(|payload| bytes.extend_from_slice(&payload));
        let start = cut.frames.first().map_or(cut.end, |frame| frame.dts);
        let part = Part {
            bytes: bytes.freeze(),
            duration: cut.end.since(start),
            frames: cut.frames.len(),
            independent: cut.track.kind == media::Kind::Audio
                || cut.frames.iter().any(|frame| frame.flags.keyframe),
        };
        self.next += u64::from(new.is_some());
        Ok(Packed { track: cut.track, new, part, closes: cut.closes })
    }

    /// Begins a segment.
    fn open(&mut self, opening: &Opening, cut: &Cut, date: SystemTime) -> Result<NewSegment, Error> {
        let is_same = |(codec, config, _): &(Codec, Bytes, fmp4::Track)| {
            *codec == opening.codec && *config == opening.config
        };
        let number = self.next;
        let mut init = None;
        if !self.made.as_ref().is_some_and(is_same) {
            self.made = None;
            let frame = cut.frames.first().map_or(&[][..], |frame| &frame.payload);
            let track = fmp4::Track::new(self.number, self.id, opening.codec, &opening.config, frame)?;
            let mut bytes = BytesMut::new();
            fmp4::write_init(std::slice::from_ref(&track), &mut bytes)?;
            init = Some(Init { number, bytes: bytes.freeze(), track: track.clone() });
            self.made = Some((opening.codec, opening.config.clone(), track));
        }
        let start = cut.frames.first().map_or(cut.end, |frame| frame.pts);
        Ok(NewSegment { init, number, start, date, discontinuities: opening.discontinuities })
    }
}

/// The time of day as 32 bits of seconds and 32 of their fraction (RFC 5905 section 6).
fn ntp(date: SystemTime) -> u64 {
    let since = date.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (since.as_secs() + NTP_OFFSET_SECONDS) << 32 | fraction
}

/// The number of the first segment of a stream that is packaged from now on.
///
/// Names of segments must not come back, since caches keep them: so numbers begin with the quarters of a second since 2025. The
/// shortest segments that can be configured last for two of them. DASH has 32 bits for numbers: they last until 2059.
pub(super) fn first_number(now: SystemTime) -> u64 {
    const YEAR_2025: Duration = Duration::from_secs(1_735_689_600);
    (now.duration_since(UNIX_EPOCH + YEAR_2025).unwrap_or_default().as_millis() / 250) as u64
}

/// Whether a stream of this codec can be packaged.
pub(super) fn is_packable(codec: Codec) -> bool {
    !matches!(codec, Codec::FlvVideo(_) | Codec::FlvAudio(_) | Codec::Amf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::{Flags, Packet, Role};

    /// A part of one frame that is shown `ahead` milliseconds after its decoding.
    fn cut(opens: bool, ahead: i64) -> Cut {
        let frame = Packet {
            track: TrackId::AUDIO,
            codec: Codec::Aac,
            role: Role::Frame,
            flags: Flags::default(),
            dts: Time::ZERO,
            pts: Time::from_millis(ahead),
            payload: Bytes::from_static(b"frame"),
        };
        let config = Bytes::from_static(&[0x12, 0x10]);
        let opens = opens.then_some(Opening { codec: Codec::Aac, config, discontinuities: 0 });
        Cut { track: TrackId::AUDIO, frames: vec![frame], end: Time::from_millis(20), opens, closes: false }
    }

    #[test]
    fn segments_of_half_a_second_do_not_use_up_the_numbers_of_what_comes_later() {
        let start = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let segments_in_an_hour = 3600 * 2;
        let later = first_number(start + Duration::from_secs(3600));
        assert!(later > first_number(start) + segments_in_an_hour);
        assert!(u32::try_from(first_number(UNIX_EPOCH + Duration::from_secs(2_800_000_000))).is_ok());
    }

    #[test]
    fn a_segment_that_cannot_be_begun_takes_no_number_and_gets_no_parts() {
        let mut muxer = Muxer::new((Time::ZERO, UNIX_EPOCH));
        let number = |packed: Packed| packed.new.map(|new| (new.number, new.init.is_some()));
        assert_eq!(number(muxer.pack(&cut(true, 0), 7).unwrap()), Some((7, true)));
        assert_eq!(number(muxer.pack(&cut(true, 0), 7).unwrap()), Some((8, false)));
        const YEAR: i64 = 365 * 86_400_000;
        assert!(muxer.pack(&cut(true, YEAR), 7).is_err());
        assert!(muxer.pack(&cut(false, 0), 7).is_err(), "a part would go to the segment before");
        assert_eq!(number(muxer.pack(&cut(true, 0), 7).unwrap()), Some((9, true)));
        assert!(muxer.pack(&cut(false, YEAR), 7).is_err());
        assert!(muxer.pack(&cut(false, 0), 7).is_err(), "the segment has a hole");
        assert_eq!(number(muxer.pack(&cut(true, 0), 7).unwrap()), Some((10, true)));
    }
}
