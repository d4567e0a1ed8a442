//! A stream made of numbers: packets with the sizes, times and headers of H.264 and AAC, and nothing to see in them.
//!
//! A load run needs no file with it, and every payload is different, so that each can be recognised when it comes back.

use broadcaster::{Error, Source};
use bytes::{BufMut, Bytes, BytesMut};
use media::{Codec, Flags, Packet, Role, Time, TrackId};

/// avcC with the parameter sets of 1280x720 in baseline profile, level 3.1, as x264 writes them.
const AVCC: &[u8] = &[
    0x01, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x42, 0xc0, 0x1f, 0xd9, 0x00, 0x50, 0x05, 0xbb,
    0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x24, 0x80, 0x01,
    0x00, 0x05, 0x68, 0xcb, 0x83, 0xcb, 0x20,
];

/// AudioSpecificConfig: AAC-LC, 48 kHz, stereo (ISO/IEC 14496-3 section 1.6.2.1).
const AAC: &[u8] = &[0x11, 0x90];
const AUDIO_RATE: u32 = 48_000;
const AUDIO_SAMPLES: u32 = 1024;

/// A keyframe is this many times as large as another frame; typical of low-latency encodings.
const KEYFRAME_WEIGHT: u64 = 6;

/// The least payload of a video frame: unit length, unit header, and the number of the frame.
const FRAME_BYTES_MIN: u64 = 4 + 1 + NUMBER_BYTES as u64;
const NUMBER_BYTES: usize = 16;

/// What the stream is like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// Bits per second of video.
    pub video_bps: u64,
    /// Pictures per second.
    pub fps: u32,
    /// Pictures from one keyframe to the next.
    pub gop: u32,
    /// Bits per second of audio; 0 for none.
    pub audio_bps: u64,
}

/// Yields packets without end.
#[derive(Debug, Clone)]
pub struct Synthetic {
    profile: Profile,
    /// Tells the payloads of streams apart.
    stream: u32,
    video: u64,
    audio: u64,
    configs: u8,
    filler: Bytes,
}

impl Synthetic {
    /// Stream number `stream`.
    pub fn new(profile: Profile, stream: u32) -> Self {
        let mut random = wire::Random::new(1);
        // No byte is zero, so that nothing in a payload looks like a start code.
        let filler: Vec<u8> = (0..64 << 10).map(|_| random.bits() as u8 | 0x10).collect();
        Self { profile, stream, video: 0, audio: 0, configs: 0, filler: filler.into() }
    }

    fn video_due(&self) -> Time {
        Time::from_ticks(self.video as i64, self.profile.fps)
    }

    fn audio_due(&self) -> Time {
        Time::from_ticks(self.audio as i64 * i64::from(AUDIO_SAMPLES), AUDIO_RATE)
    }

    /// Bytes of the next video frame. Frames differ by up to a quarter in a fixed pattern that averages out.
    fn video_bytes(&self, keyframe: bool) -> usize {
        let Profile { video_bps, fps, gop, .. } = self.profile;
        let gop_bytes = video_bps * u64::from(gop) / u64::from(fps) / 8;
        let unit = gop_bytes / (u64::from(gop) - 1 + KEYFRAME_WEIGHT);
        let bytes = if keyframe {
            unit * KEYFRAME_WEIGHT
        } else {
            unit * [4, 5, 3, 4, 3, 5][self.video as usize % 6] / 4
        };
        bytes.max(FRAME_BYTES_MIN) as usize
    }

    /// The stream and frame number, without a zero byte.
    fn number(&self, kind: u8, index: u64) -> [u8; NUMBER_BYTES] {
        let mut number = [0; NUMBER_BYTES];
        let value =
            u128::from(self.stream) << 56 | u128::from(kind) << 48 | u128::from(index & 0xffff_ffff_ffff);
        for (position, byte) in number.iter_mut().enumerate() {
            // Six bits to a byte.
            *byte = 0x40 | (value >> (6 * position) & 0x3f) as u8;
        }
        number
    }

    fn fill(&self, payload: &mut BytesMut, bytes: usize) {
        while payload.len() < bytes {
            let count = self.filler.len().min(bytes - payload.len());
            payload.put_slice(&self.filler[..count]);
        }
    }

    fn next_video(&mut self) -> Packet {
        let keyframe = self.video.is_multiple_of(u64::from(self.profile.gop));
        let bytes = self.video_bytes(keyframe);
        let mut payload = BytesMut::with_capacity(bytes);
        payload.put_u32(bytes as u32 - 4);
        // nal_ref_idc 3 and type 5, or nal_ref_idc 2 and type 1 (H.264 section 7.4.1).
        payload.put_u8(if keyframe { 0x65 } else { 0x41 });
        payload.put_slice(&self.number(1, self.video));
        self.fill(&mut payload, bytes);
        let dts = self.video_due();
        self.video += 1;
        packet(TrackId::VIDEO, Codec::H264, Role::Frame, keyframe, dts, payload.freeze())
    }

    fn next_audio(&mut self) -> Packet {
        let bytes = self.profile.audio_bps * u64::from(AUDIO_SAMPLES) / u64::from(AUDIO_RATE) / 8;
        let bytes = (bytes as usize).max(NUMBER_BYTES);
        let mut payload = BytesMut::with_capacity(bytes);
        payload.put_slice(&self.number(2, self.audio));
        self.fill(&mut payload, bytes);
        let dts = self.audio_due();
        self.audio += 1;
        packet(TrackId::AUDIO, Codec::Aac, Role::Frame, false, dts, payload.freeze())
    }
}

fn packet(track: TrackId, codec: Codec, role: Role, keyframe: bool, dts: Time, payload: Bytes) -> Packet {
    Packet { track, codec, role, flags: Flags { keyframe, disposable: false }, dts, pts: dts, payload }
}

impl Source for Synthetic {
    fn next(&mut self) -> Result<Option<Packet>, Error> {
        let has_audio = self.profile.audio_bps > 0;
        let config = |track, codec, bytes| {
            packet(track, codec, Role::Config, false, Time::ZERO, Bytes::from_static(bytes))
        };
        self.configs = self.configs.saturating_add(1);
        Ok(Some(match self.configs {
            1 => config(TrackId::VIDEO, Codec::H264, AVCC),
            2 if has_audio => config(TrackId::AUDIO, Codec::Aac, AAC),
            _ if has_audio && self.audio_due() < self.video_due() => self.next_audio(),
            _ => self.next_video(),
        }))
    }

    fn rewind(&mut self) -> Result<(), Error> {
        (self.video, self.audio, self.configs) = (0, 0, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const PROFILE: Profile = Profile { video_bps: 2_000_000, fps: 30, gop: 60, audio_bps: 128_000 };

    fn seconds(profile: Profile, seconds: i64) -> Vec<Packet> {
        let mut source = Synthetic::new(profile, 7);
        std::iter::from_fn(|| source.next().unwrap())
            .take_while(|packet| packet.dts < Time::from_millis(seconds * 1000))
            .collect()
    }

    #[test]
    fn rates_and_keyframes_are_as_asked() {
        let packets = seconds(PROFILE, 10);
        let bits = |track| {
            let of_track = packets.iter().filter(|packet| packet.track == track);
            of_track.map(|packet| packet.payload.len() * 8).sum::<usize>() as f64 / 10.0
        };
        assert!((bits(TrackId::VIDEO) / 2e6 - 1.0).abs() < 0.01, "{}", bits(TrackId::VIDEO));
        assert!((bits(TrackId::AUDIO) / 128e3 - 1.0).abs() < 0.02, "{}", bits(TrackId::AUDIO));
        assert_eq!(packets.iter().filter(|packet| packet.is_video_keyframe()).count(), 5);
        assert!(packets.is_sorted_by_key(|packet| packet.dts));
    }

    #[test]
    fn every_payload_is_unique_and_has_no_start_code() {
        let frames: Vec<_> =
            seconds(PROFILE, 20).into_iter().filter(|packet| packet.role == Role::Frame).collect();
        let unique: HashSet<_> = frames.iter().map(|packet| packet.payload.clone()).collect();
        assert_eq!(unique.len(), frames.len());
        for frame in frames.iter().filter(|frame| frame.track == TrackId::VIDEO) {
            assert!(!frame.payload[4..].contains(&0));
        }
    }

    #[test]
    fn the_headers_are_what_a_server_expects() {
        let packets = seconds(PROFILE, 3);
        let summary = media::codec::summary(Codec::H264, &packets[0].payload).unwrap();
        assert_eq!((summary.width, summary.height), (Some(1280), Some(720)));
        let summary = media::codec::summary(Codec::Aac, &packets[1].payload).unwrap();
        assert_eq!((summary.sample_rate, summary.channels), (Some(48_000), Some(2)));
        for frame in
            packets.iter().filter(|packet| packet.track == TrackId::VIDEO && packet.role == Role::Frame)
        {
            assert_eq!(media::codec::is_keyframe(Codec::H264, &frame.payload, 4), frame.flags.keyframe);
        }
    }

    #[test]
    fn a_tiny_rate_still_gives_whole_frames() {
        let profile = Profile { video_bps: 1, fps: 60, gop: 1, audio_bps: 1 };
        assert!(seconds(profile, 1).iter().all(|packet| !packet.payload.is_empty()));
        let silent = Profile { audio_bps: 0, ..PROFILE };
        assert!(seconds(silent, 1).iter().all(|packet| packet.track == TrackId::VIDEO));
    }
}
