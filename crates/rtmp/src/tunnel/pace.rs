//! How eagerly a client is to poll.

use std::time::Duration;

/// Empty replies after which polling slows down by one step.
const RUN: u32 = 10;

/// The interval bytes in use, from data to a long silence, and how long an empty reply to `/idle` is held at that step.
/// A client that knows the byte waits about 16 ms for each unit. librtmp and ffmpeg ignore it: one polls as fast as
/// replies come, the other sleeps 50 ms after an empty one. To hold the reply until there is something to say keeps the
/// first from spinning and the second from sleeping; 40 ms is more than two packets of a live stream are apart.
const STEPS: [(u8, u64); 6] = [(0x01, 40), (0x03, 60), (0x05, 100), (0x09, 150), (0x11, 200), (0x21, 250)];

/// The interval byte of the next reply.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    empty: u32,
}

impl Pace {
    /// How long a reply to `/idle` may be held while there is nothing to say.
    pub fn hold(self) -> Duration {
        Duration::from_millis(self.step().1)
    }

    /// Notes a reply and returns its interval byte.
    pub fn reply(&mut self, has_data: bool) -> u8 {
        self.empty = if has_data { 0 } else { self.empty.saturating_add(1) };
        self.step().0
    }

    fn step(self) -> (u8, u64) {
        STEPS[STEPS.len().min((self.empty / RUN) as usize + 1) - 1]
    }
}
