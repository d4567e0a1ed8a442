//! What is known of the devices of this machine: which were found to encode, and which have failed lately.

use super::Probed;
use super::lock;
use crate::encode::{Backend, Codec};
use crate::limits::{DEVICE_REST_MAX, DEVICE_REST_MIN};
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
    /// As many as there are devices and codecs.
    rests: HashMap<(Backend, Codec), Rest>,
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

    /// A device has failed. `did_well` says that it had encoded for a while before. What all its encoders notice at once is one failure.
    pub(super) fn note_failure(&self, backend: Backend, codec: Codec, did_well: bool, now: Instant) {
        let mut state = lock(&self.0);
        let before = state.rests.get(&(backend, codec)).copied();
        if before.is_some_and(|rest| now < rest.until) {
            return;
        }
        let is_again = |rest: &Rest| !did_well && now.saturating_duration_since(rest.until) < DEVICE_REST_MAX;
        let length = before.filter(is_again).map_or(DEVICE_REST_MIN, |rest| 2 * rest.length);
        let length = length.min(DEVICE_REST_MAX);
        state.rests.insert((backend, codec), Rest { until: now + length, length });
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

    const CODEC: Codec = Codec::H264;

    fn found(backend: Backend, fps: f64) -> Probed {
        let speed = Ok(Speed { fps, cpu_per_picture: Duration::from_millis(1) });
        Probed { backend, codec: CODEC, speed }
    }

    #[test]
    fn a_device_that_fails_rests_and_longer_each_time() {
        let (devices, now) = (Devices::default(), Instant::now());
        assert!(!devices.rests(Backend::Nvenc, CODEC, now));
        devices.note_failure(Backend::Nvenc, CODEC, false, now);
        devices.note_failure(Backend::Nvenc, CODEC, false, now);
        assert!(devices.rests(Backend::Nvenc, CODEC, now + DEVICE_REST_MIN / 2));
        assert!(!devices.rests(Backend::Nvenc, Codec::Av1, now), "other codecs are other units");
        let mut at = now + DEVICE_REST_MIN;
        assert!(!devices.rests(Backend::Nvenc, CODEC, at), "two encoders have noticed one failure");
        devices.note_failure(Backend::Nvenc, CODEC, false, at);
        assert!(devices.rests(Backend::Nvenc, CODEC, at + DEVICE_REST_MIN));
        assert!(!devices.rests(Backend::Nvenc, CODEC, at + 2 * DEVICE_REST_MIN));
        for _ in 0..20 {
            at += DEVICE_REST_MAX;
            devices.note_failure(Backend::Nvenc, CODEC, false, at);
            assert!(!devices.rests(Backend::Nvenc, CODEC, at + DEVICE_REST_MAX));
        }
    }

    #[test]
    fn a_device_that_did_well_since_rests_as_shortly_as_the_first_time() {
        let (devices, now) = (Devices::default(), Instant::now());
        devices.note_failure(Backend::Vaapi, CODEC, false, now);
        let later = now + 2 * DEVICE_REST_MIN;
        devices.note_failure(Backend::Vaapi, CODEC, true, later);
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
        devices.note_failure(Backend::Vaapi, CODEC, false, now);
        assert_eq!(devices.able(CODEC, now), [Backend::Nvenc]);
    }
}
