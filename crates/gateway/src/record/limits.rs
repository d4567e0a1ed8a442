//! The most of everything that recordings use, and the times they keep.

use std::time::Duration;

/// Streams that are recorded at once. Each holds its queue at most ([`RecordConfig::queue_bytes_max`]) and writes on its own;
/// more than this keeps no disk busy in order.
///
/// [`RecordConfig::queue_bytes_max`]: crate::config::RecordConfig::queue_bytes_max
pub(crate) const RECORDERS_MAX: usize = 256;

/// Recordings that are listed. Each takes about a kilobyte of memory; older ones stay on the disk.
pub(super) const LISTED_MAX: usize = 100_000;

/// Bytes of a description that is read back: a thousand gaps and a thousand files.
pub(super) const DESCRIPTION_BYTES_MAX: u64 = 1 << 20;

/// Gaps that a recording lists. One that has more has a disk that does not keep up, and a longer list says nothing new.
pub(super) const GAPS_MAX: usize = 1_000;

/// Files of one recording: those of a month at an hour each. After a disk that failed again and again there are no more.
pub(super) const FILES_MAX: usize = 1_000;

/// Threads that write files; as many again tell the disk to keep them. A disk does not get faster by more of them, and one that hangs shall not hold many.
pub(super) const WRITERS_MAX: usize = 8;

/// Bytes of a file that are read at once. Larger pieces make no disk faster, and whoever plays holds a few of them.
pub(crate) const READ_BYTES_MAX: usize = 8 << 20;

/// Reads of files that wait for the disk at once, of all who play recordings.
pub(super) const READS_MAX: usize = 32;

/// How often a recorder looks at its stream. Packets wait so long in the log, which holds seconds of them.
pub(super) const LOOK: Duration = Duration::from_millis(150);

/// Media is written when its first packet has waited so long. With [`LOOK`] and the time to write it, what a crash loses stays
/// below a second.
pub(super) const FRAGMENT: Duration = Duration::from_millis(500);

/// Media is written earlier when it has so many bytes: half a second at 64 Mbit/s.
pub(super) const FRAGMENT_BYTES_MAX: usize = 4 << 20;

/// How often the disk is told to keep what was written even if the machine loses power.
pub(super) const SYNC: Duration = Duration::from_secs(1);

/// How long a recording that could not be written waits until it tries again.
pub(super) const RETRY: Duration = Duration::from_secs(3);

/// How often a lasting problem is told in the log.
pub(super) const TOLD_AGAIN: Duration = Duration::from_secs(60);

/// How often the description on the disk is brought up to date while nothing else changes.
pub(super) const DESCRIBED: Duration = Duration::from_secs(10);

/// How often recordings are looked at that may be too old or too many, and local files that may go.
pub(super) const RETAIN: Duration = Duration::from_secs(10);

/// Recordings that go up at once. One fills most lines, and another goes on while the first one waits for an answer.
pub(super) const UPLOADS_MAX: usize = 2;

/// How long an upload waits after its first failure.
pub(super) const STORE_RETRY: Duration = Duration::from_secs(1);

/// How long it waits after many: an object storage that is back is noticed within a minute.
pub(super) const STORE_RETRY_MAX: Duration = Duration::from_secs(60);

/// Descriptions that are read at once from an object storage: each answer takes tens of milliseconds.
pub(super) const FOUND_AT_ONCE: usize = 8;

/// Bytes that are read ahead of who reads a file of an object storage from its begin to its end: an answer takes as long for a
/// few of them as for many.
pub(super) const READ_AHEAD_BYTES: u64 = 1 << 20;

/// A segment ends at the first keyframe after so much media: what players of the format are used to.
pub(super) const SEGMENT: Duration = Duration::from_secs(6);

/// A segment is longer than this only where a group of pictures is longer than a segment.
pub(super) const SEGMENT_TARGET: Duration = Duration::from_secs(12);

/// Segments of one recording: those of a week. Their playlist has 4 MB then, and is written anew with each of them.
pub(super) const SEGMENTS_MAX: usize = 100_000;

/// Samples of one MP4 file, where the next one begins: half of what is read of a file, so that the last group of pictures has
/// room. Two days of sound alone.
pub(super) const FILE_SAMPLES_MAX: u64 = media::container::fmp4::limits::SAMPLES_MAX as u64 / 2;

/// Objects of a recording that are deleted at once: each answer takes tens of milliseconds, and there may be thousands of segments.
pub(super) const DELETED_AT_ONCE: usize = 8;

/// How long an old recording that could not be deleted is left alone.
pub(super) const RETIRE_AGAIN: Duration = Duration::from_secs(600);

/// Recordings that are looked at for one page of a list: some milliseconds of work, for whoever may ask.
pub(super) const LOOKED_AT_MAX: usize = 10_000;

/// Bytes of a clip: an hour at 9 Mbit/s. Longer times of a recording are watched where they are.
pub(crate) const CLIP_BYTES_MAX: u64 = 4 << 30;
