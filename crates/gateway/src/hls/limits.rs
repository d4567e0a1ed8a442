//! The most of everything, and why.

use std::time::Duration;

/// A segment that has come to this length ends with the next frame, keyframe or not: a source that sends no more keyframes
/// must not fill memory. Encoders in use have at most ten seconds between keyframes.
pub(super) const SEGMENT_MAX: Duration = Duration::from_secs(30);

/// The same for its bytes: 30 seconds at 8 Mbit/s, or 4 seconds of the highest rates in use.
pub(super) const SEGMENT_BYTES_MAX: usize = 32 << 20;

/// A track whose next frame is further ahead than this was interrupted: its clock was set anew, or its source was away. No codec in
/// use has frames that last so long, and the target duration, which nothing lowers, would keep to the gap.
pub(super) const GAP_MAX: Duration = Duration::from_secs(5);

/// How many frames from before a gap may still come after the first one from behind it: tracks of one publisher are interleaved
/// within a second or so. They are left out, since what they belong to has ended.
pub(super) const GAP_FRAMES_MAX: u32 = 128;

/// Groups of pictures that the length of those to come is expected from. One that was long by accident is forgotten after so many.
pub(super) const GOPS_RECENT: usize = 8;

/// Over how much media it is looked how far its clock has moved, from where on dates follow, and by how much they do each time. Players
/// take dates for exact to a tenth of a second or so.
pub(super) const DRIFT_LOOK: Duration = Duration::from_secs(4);
pub(super) const DRIFT_MIN: Duration = Duration::from_millis(100);
pub(super) const DRIFT_STEP: Duration = Duration::from_millis(20);

/// Interruptions between two segments of a playlist that are counted out. A track that was away for more begins anew for its players.
pub(super) const DISCONTINUITIES_MAX: u64 = 100;

/// Frames of one part. Times that stand still would make it endless; half a second has 60 frames at the highest rates in
/// use, and sound 200.
pub(super) const PART_FRAMES_MAX: usize = 512;

/// Frames that are looked at to choose the length of parts, over all tracks, and how far into the stream. They
/// wait for that.
pub(super) const CALIBRATION_FRAMES_MAX: usize = 512;

/// Bytes that wait at most until the length of parts is chosen: a second at the highest rates in use.
pub(super) const CALIBRATION_BYTES_MAX: usize = 16 << 20;

/// The wait for a track that says nothing more, such as a picture that stands still, in lengths of parts: then those of the others are
/// enough.
pub(super) const CALIBRATION_PARTS_MAX: u32 = 4;

/// What the last part of a segment has to be longer than, if the lengths of parts can be chosen so: hls.js takes a segment for
/// complete of which 0.2 s are missing, and stops where they should be.
pub(super) const LAST_PART_MIN: Duration = Duration::from_millis(200);

/// How many parts players stay behind the end. Three are the least that is allowed (RFC 8216bis section 4.4.3.8); hls.js, which
/// asks for a part when a playlist lists it, then runs empty where a packet is lost three times in a row.
pub(super) const HOLD_BACK_PARTS: u32 = 4;

/// Keyframe times that a track may be behind the one that leads. Tracks of one publisher are a second apart at most.
pub(super) const BOUNDARIES_MAX: usize = 16;

/// Tracks of one stream that are offered; the hub has a limit of its own that is lower by default.
pub(super) const RENDITIONS_MAX: usize = 32;

/// The distance of keyframes that is expected before the second one has come, in seconds: most encoders in use stay below.
pub(super) const GOP_EXPECTED: Duration = Duration::from_secs(4);

/// How long the answer to a request for what is yet to come may take, in target durations. RFC 8216bis section 6.2.5.2
/// says when a server gives up.
pub(super) const BLOCKED_TARGETS_MAX: u32 = 3;

/// Encrypted copies of one stream that are kept for who asks next, in bytes and in number: the newest segment of each track with
/// its parts, which all players ask for at about the same time. Older ones are encrypted again.
pub(super) const SEALED_BYTES_MAX: usize = 32 << 20;
pub(super) const SEALED_FILES_MAX: usize = 128;

/// What is encrypted on the thread that answers: it takes a tenth of a millisecond, and other threads would take as long to begin.
pub(super) const SEALED_AT_ONCE_MAX: usize = 128 << 10;

/// Larger files that are encrypted at this moment, and those that are read from a disk for that. Those beyond wait: each holds a segment,
/// and media has the rest of the machine.
pub(super) const SEALS_MAX: usize = 4;

/// For how many parts a list of all there is is kept, for those who have waited while it was written: a second of media, of two tracks.
pub(super) const REWOUND_KEPT: u64 = 8;

/// How long a transport stream waits for sound that is behind the pictures, which is less than players have in store.
pub(super) const SOUND_LATE: Duration = Duration::from_secs(1);

/// How long a session goes on at most with an address whose time is over. Nobody watches for longer without a new one, and an address
/// that was given away ends on the same day.
pub(super) const SIGNED_MAX: Duration = Duration::from_secs(12 * 3600);

/// Sessions of one stream from one subscriber. Clients choose the names of their sessions, so that one could fill the table that
/// publishers need too. An office behind one address has fewer; whoever comes after them watches without being counted.
pub(super) const VIEWERS_PER_SUBSCRIBER_MAX: usize = 64;
