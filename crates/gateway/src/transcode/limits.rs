//! The most of everything that rungs use, and the times they keep.

use std::time::Duration;

/// Rungs at once. Each is a process of its own, and a stream in the hub.
pub(super) const RUNGS_MAX: usize = 256;

/// Rungs that viewers wait for whose stream is not there. Those beyond are looked at when somebody asks again.
pub(super) const WAITING_MAX: usize = 1024;

/// How long sound waits for the pictures of its time. An encoder that is so late has failed, or does not keep up, and players would
/// stop for want of sound.
pub(super) const SOUND_HELD: Duration = Duration::from_secs(1);

/// How long the first picture of a rung waits for sound that is encoded: a process begins within 100 ms, and players should know of both
/// from the start.
pub(super) const SOUND_FIRST: Duration = Duration::from_secs(1);

/// How long after an encoder of sound was begun a rung begins no other: what a stream says of its sound comes from who publishes it,
/// and each encoder is a process, or several that fail.
pub(super) const SOUND_AGAIN: Duration = Duration::from_secs(10);

/// Packets of sound and data that wait for pictures: a second of eight tracks.
pub(super) const HELD_MAX: usize = 1024;

/// How often it is measured what rungs cost. Processor time is counted in steps of 10 ms, and this is 200 of them.
pub(super) const MEASURE: Duration = Duration::from_secs(2);

/// Measurements one after the other that must find the same before a rung is stopped for it: a start, or a burst of joins, is over by
/// then.
pub(super) const OVERLOADS: u32 = 3;

/// The part of its frames that a rung leaves out when it does not keep up. A few are lost whenever an encoder is replaced.
pub(super) const DROPPED_PART: f64 = 0.1;

/// How far the rate that suits a rung may move from the one that it has before the encoder is told.
pub(super) const RATE_STEP: f64 = 1.25;

/// How long a rung that was refused, or has failed, stays so for those who ask again.
pub(super) const REFUSED: Duration = Duration::from_secs(5);

/// How long a stream that is there may take until it says what its pictures are.
pub(super) const DESCRIBED: Duration = Duration::from_secs(10);

/// Streams that are watched at once. Each is a process, which decodes the sound and the keyframes.
pub(super) const WATCHED_MAX: usize = 64;

/// How long it takes until what watches a stream begins anew after it has failed.
pub(super) const WATCH_RETRY: Duration = Duration::from_secs(5);

/// Failures after which a stream is not watched any more.
pub(super) const WATCH_FAILURES_MAX: u32 = 10;

/// Streams of which it is remembered that their pictures are turned, until they end.
pub(super) const SIDEWAYS_MAX: usize = 1024;

/// What a table of refusals holds. Names come from viewers.
pub(super) const REFUSALS_MAX: usize = 1024;

/// How far the clock of a stream moves before clocks in its pictures follow: the network makes packets late, and nobody sees less.
pub(super) const CLOCK_STEP: Duration = Duration::from_millis(500);

/// How long a stream that has sound may be without any before silence takes its place: longer than the holes that networks make.
pub(super) const SILENCE_AFTER: Duration = Duration::from_secs(2);

/// The most silence that is made at once. Where pictures jump further, sound does so with them.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How old a stream is that says what it will have: sound begins with the pictures, or a moment later.
pub(super) const SOUND_EXPECTED: Duration = Duration::from_secs(3);
