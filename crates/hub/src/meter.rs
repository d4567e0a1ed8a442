//! Rates of a stream, for people to look at.

use media::Time;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const BUCKET: Duration = Duration::from_millis(500);

/// Buckets in use: 5 seconds, long enough to hold a GOP of the usual length and so not to swing with keyframes.
const BUCKETS_MAX: usize = 10;

/// Frames whose times are remembered: about 2 seconds.
const FRAMES_MAX: usize = 64;

/// Counts bytes by arrival and frames by media time, over a few seconds.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    buckets: VecDeque<(Instant, u64)>,
    last: Option<Instant>,
    frames: VecDeque<Time>,
}

impl Meter {
    pub(crate) fn bytes(&mut self, bytes: usize, now: Instant) {
        match self.buckets.back_mut() {
            Some((start, sum)) if now.saturating_duration_since(*start) < BUCKET => *sum += bytes as u64,
            _ => {
                if self.buckets.len() == BUCKETS_MAX {
                    self.buckets.pop_front();
                }
                self.buckets.push_back((now, bytes as u64));
            }
        }
        while self
            .buckets
            .front()
            .is_some_and(|(start, _)| now.saturating_duration_since(*start) > BUCKET * BUCKETS_MAX as u32)
        {
            self.buckets.pop_front();
        }
        self.last = Some(now);
    }

    pub(crate) fn frame(&mut self, dts: Time) {
        if self.frames.len() == FRAMES_MAX {
            self.frames.pop_front();
        }
        self.frames.push_back(dts);
    }

    /// Bits per second up to the newest packet.
    pub(crate) fn bits_per_second(&self) -> u64 {
        let (Some((start, _)), Some(last)) = (self.buckets.front(), self.last) else {
            return 0;
        };
        let bytes: u64 = self.buckets.iter().map(|(_, bytes)| bytes).sum();
        // In the first moments a span of almost nothing would show a rate of almost anything.
        let span = last.saturating_duration_since(*start).max(BUCKET);
        (bytes as f64 * 8.0 / span.as_secs_f64()) as u64
    }

    /// Frames per second of media time.
    pub(crate) fn frames_per_second(&self) -> f32 {
        match (self.frames.front(), self.frames.back()) {
            (Some(first), Some(last)) if last > first => {
                ((self.frames.len() - 1) as f64 / last.since(*first).as_secs_f64()) as f32
            }
            _ => 0.0,
        }
    }

    pub(crate) fn last(&self) -> Option<Instant> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ms;

    #[test]
    fn rate_is_that_of_the_last_seconds() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        for i in 0..1_000u64 {
            let bytes = if i < 500 { 100_000 } else { 1_250 };
            meter.bytes(bytes, start + Duration::from_millis(i * 20));
        }
        let rate = meter.bits_per_second();
        assert!((480_000..=550_000).contains(&rate), "{rate}");
        assert!(meter.buckets.len() <= BUCKETS_MAX);
    }

    #[test]
    fn frame_rate_is_measured_on_media_time() {
        let mut meter = Meter::default();
        (0..200).for_each(|i| meter.frame(ms(i * 40)));
        assert!((meter.frames_per_second() - 25.0).abs() < 0.01);
        assert_eq!(meter.frames.len(), FRAMES_MAX);
    }

    #[test]
    fn rates_without_packets_are_zero() {
        let meter = Meter::default();
        assert_eq!((meter.bits_per_second(), meter.frames_per_second()), (0, 0.0));
    }
}
