//! What is known of the devices of this machine: which were found to encode or to decode, and which have failed lately.

use super::lock;
use super::{Probed, ProbedDecoder};
use crate::decode;
use crate::encode::{Backend, Codec, Config};
use crate::limits::{DEVICE_REST_MAX, DEVICE_REST_MIN, DEVICE_SHAPES_MAX, FRAMES_WELL};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What all transcoders of a server know of its devices. Clones share it.
///
/// A device that is lost, or has no room for one more encoder, rests: an encoder that begins meanwhile goes to the next one at once, and
/// loses no time with an attempt. Each failure that follows at once doubles the rest.
#[derive(Debug, Clone, Default)]
pub struct Devices(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    probed: Vec<Probed>,
    decoders: Vec<ProbedDecoder>,
    /// As many as there are devices and codecs.
    decoder_rests: HashMap<(decode::Backend, media::Codec), Rest>,
    /// As many as there are devices and codecs.
    rests: HashMap<(Backend, Codec), Rest>,
    /// The same for what an encoder was asked for that never gave a frame: at most [`DEVICE_SHAPES_MAX`].
    shapes: HashMap<(Backend, Shape), Rest>,
}

/// What a device may be unable to do though it encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    codec: Codec,
    width: u32,
    height: u32,
    b_frames: u8,
}

impl Shape {
    fn of(config: &Config) -> Self {
        let Config { codec, width, height, b_frames, .. } = *config;
        Self { codec, width, height, b_frames }
    }
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
    length: Duration,
}

impl Devices {
    /// Notes what a probe has found; devices that do not encode are told by [`Devices::probed`], too.
    pub fn note_probed(&self, probed: Vec<Probed>) {
        lock(&self.0).probed = probed;
    }

    /// What a probe has found; empty where there was none.
    pub fn probed(&self) -> Vec<Probed> {
        lock(&self.0).probed.clone()
    }

    /// Notes what a probe of decoders has found; those that do not decode are told by [`Devices::probed_decoders`], too.
    pub fn note_probed_decoders(&self, probed: Vec<ProbedDecoder>) {
        lock(&self.0).decoders = probed;
    }

    /// What a probe of decoders has found; empty where there was none.
    pub fn probed_decoders(&self) -> Vec<ProbedDecoder> {
        lock(&self.0).decoders.clone()
    }

    /// The devices that were found to decode `codec` better than the processor, fastest first.
    pub(super) fn decoders(&self, codec: media::Codec) -> Vec<decode::Backend> {
        let state = lock(&self.0);
        let known = state.decoders.iter().filter(|probed| probed.codec.of_packets() == codec);
        known.filter(|probed| probed.is_better_device()).map(|probed| probed.backend).collect()
    }

    /// Whether a device has failed to decode so lately that it is not to be tried again.
    pub fn rests_decoding(&self, backend: decode::Backend, codec: media::Codec, now: Instant) -> bool {
        lock(&self.0).decoder_rests.get(&(backend, codec)).is_some_and(|rest| now < rest.until)
    }

    /// A device was lost after it had decoded so many pictures. What all its decoders notice at once is one failure.
    pub(super) fn note_lost_decoder(
        &self,
        backend: decode::Backend,
        codec: media::Codec,
        pictures: u64,
        now: Instant,
    ) {
        let mut state = lock(&self.0);
        let rest = state.decoder_rests.entry((backend, codec));
        rest.and_modify(|rest| rest.fail(pictures >= FRAMES_WELL, now)).or_insert_with(|| Rest::new(now));
    }

    /// The devices that were found to encode `codec` and do not rest, fastest first.
    pub fn able(&self, codec: Codec, now: Instant) -> Vec<Backend> {
        let state = lock(&self.0);
        let able = state.probed.iter().filter(|probed| probed.codec == codec && probed.is_fast_device());
        let mut able: Vec<_> = able.map(|probed| probed.backend).collect();
        able.retain(|backend| !state.rests(*backend, codec, now));
        able
    }

    /// Whether a device has failed so lately that it is not to be tried again.
    pub fn rests(&self, backend: Backend, codec: Codec, now: Instant) -> bool {
        lock(&self.0).rests(backend, codec, now)
    }

    /// Whether that is so for what `config` asks for.
    pub(super) fn rests_for(&self, backend: Backend, config: &Config, now: Instant) -> bool {
        let state = lock(&self.0);
        let shape = state.shapes.get(&(backend, Shape::of(config)));
        state.rests(backend, config.codec, now) || shape.is_some_and(|rest| now < rest.until)
    }

    /// A device has failed after so many frames. One that never gave any may be unable to do what was asked for, or have no room, or be given what
    /// nobody can encode: others are still tried with it. What all its encoders notice at once is one failure.
    pub(super) fn note_failure(&self, backend: Backend, config: &Config, frames: u64, now: Instant) {
        let mut state = lock(&self.0);
        if frames > 0 {
            let rest = state.rests.entry((backend, config.codec));
            let failed = |rest: &mut Rest| rest.fail(frames >= FRAMES_WELL, now);
            rest.and_modify(failed).or_insert_with(|| Rest::new(now));
            return;
        }
        state.shapes.retain(|_, rest| now.saturating_duration_since(rest.until) < DEVICE_REST_MAX);
        let key = (backend, Shape::of(config));
        if state.shapes.len() < DEVICE_SHAPES_MAX || state.shapes.contains_key(&key) {
            let rest = state.shapes.entry(key);
            rest.and_modify(|rest| rest.fail(false, now)).or_insert_with(|| Rest::new(now));
        }
    }
}

impl Rest {
    fn new(now: Instant) -> Self {
        Self { until: now + DEVICE_REST_MIN, length: DEVICE_REST_MIN }
    }

    /// Rests again, longer if it did not do well since.
    fn fail(&mut self, did_well: bool, now: Instant) {
        if now < self.until {
            return;
        }
        let is_again = !did_well && now.saturating_duration_since(self.until) < DEVICE_REST_MAX;
        let length = if is_again { 2 * self.length } else { DEVICE_REST_MIN };
        self.length = length.min(DEVICE_REST_MAX);
        self.until = now + self.length;
    }
}

impl State {
    fn rests(&self, backend: Backend, codec: Codec, now: Instant) -> bool {
        self.rests.get(&(backend, codec)).is_some_and(|rest| now < rest.until)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Speed;
    use super::*;
    use crate::ladder::{self, Source, Template};

    const CODEC: Codec = Codec::H264;

    fn found(backend: Backend, fps: f64) -> Probed {
        let speed = Ok(Speed { fps, cpu_per_picture: Duration::from_millis(1) });
        Probed { backend, codec: CODEC, speed }
    }

    fn asked(height: u32) -> Config {
        let source = Source {
            width: 2 * height.max(100) * 16 / 9,
            height: 2 * height.max(100),
            codec: None,
            fps: None,
            bitrate_bps: None,
        };
        let template = Template { height: height.max(100), bitrate_bps: 1_000_000, ..Template::default() };
        let config = ladder::fit(&template, &source).expect("it is smaller than its source");
        Config { height, ..config }
    }

    #[test]
    fn a_device_that_fails_rests_and_longer_each_time() {
        let (devices, now) = (Devices::default(), Instant::now());
        assert!(!devices.rests(Backend::Nvenc, CODEC, now));
        devices.note_failure(Backend::Nvenc, &asked(480), 1, now);
        devices.note_failure(Backend::Nvenc, &asked(480), 1, now);
        assert!(devices.rests(Backend::Nvenc, CODEC, now + DEVICE_REST_MIN / 2));
        assert!(!devices.rests(Backend::Nvenc, Codec::Av1, now), "other codecs are other units");
        let mut at = now + DEVICE_REST_MIN;
        assert!(!devices.rests(Backend::Nvenc, CODEC, at), "two encoders have noticed one failure");
        devices.note_failure(Backend::Nvenc, &asked(480), 1, at);
        assert!(devices.rests(Backend::Nvenc, CODEC, at + DEVICE_REST_MIN));
        assert!(!devices.rests(Backend::Nvenc, CODEC, at + 2 * DEVICE_REST_MIN));
        for _ in 0..20 {
            at += DEVICE_REST_MAX;
            devices.note_failure(Backend::Nvenc, &asked(480), 1, at);
            assert!(!devices.rests(Backend::Nvenc, CODEC, at + DEVICE_REST_MAX));
        }
    }

    #[test]
    fn a_device_that_gave_nothing_for_one_size_is_still_tried_with_others() {
        let (devices, now) = (Devices::default(), Instant::now());
        devices.note_failure(Backend::Nvenc, &asked(96), 0, now);
        assert!(devices.rests_for(Backend::Nvenc, &asked(96), now));
        assert!(!devices.rests_for(Backend::Nvenc, &asked(720), now));
        assert!(!devices.rests(Backend::Nvenc, CODEC, now));
        assert!(!devices.rests_for(Backend::Nvenc, &asked(96), now + DEVICE_REST_MIN));
        for height in 0..1000 {
            devices.note_failure(Backend::Nvenc, &asked(2 * height), 0, now);
        }
        assert!(lock(&devices.0).shapes.len() <= DEVICE_SHAPES_MAX);
    }

    #[test]
    fn a_device_that_did_well_since_rests_as_shortly_as_the_first_time() {
        let (devices, now) = (Devices::default(), Instant::now());
        devices.note_failure(Backend::Vaapi, &asked(480), 1, now);
        let later = now + 2 * DEVICE_REST_MIN;
        devices.note_failure(Backend::Vaapi, &asked(480), FRAMES_WELL, later);
        assert!(!devices.rests(Backend::Vaapi, CODEC, later + DEVICE_REST_MIN));
    }

    #[test]
    fn devices_that_were_found_and_do_not_rest_are_able_fastest_first() {
        let (devices, now) = (Devices::default(), Instant::now());
        assert_eq!(devices.able(CODEC, now), []);
        let missing = Probed { speed: Err("no device".to_owned()), ..found(Backend::Qsv, 0.0) };
        let mut probed = vec![
            missing,
            found(Backend::Nvenc, 600.0),
            found(Backend::Vaapi, 900.0),
            found(Backend::V4l2, 20.0),
        ];
        super::super::probe::rank(&mut probed);
        devices.note_probed(probed);
        assert_eq!(devices.able(CODEC, now), [Backend::Vaapi, Backend::Nvenc], "20 fps are too few");
        assert_eq!(devices.able(Codec::H265, now), []);
        devices.note_failure(Backend::Vaapi, &asked(480), 1, now);
        assert_eq!(devices.able(CODEC, now), [Backend::Nvenc]);
    }
}
