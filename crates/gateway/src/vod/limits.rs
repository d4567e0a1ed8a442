//! The most of everything that playing recordings uses, and what segments are like.

use std::time::Duration;

/// A segment ends at the first keyframe after so much media: a request every few seconds, and little to fetch before a player
/// shows something.
pub(super) const SEGMENT: Duration = Duration::from_secs(6);

/// How long segments are told to be at most: while a recording is made, what comes is not known, and what was told must not
/// change (RFC 8216bis section 4.4.3.1), also not when it is complete. Groups of pictures of ten seconds are the longest that are
/// common.
pub(super) const TARGET: Duration = Duration::from_secs(12);

/// Bytes of indexes that are kept: about forty hours of video with audio.
pub(super) const INDEX_BYTES_MAX: usize = 256 << 20;

/// How old the index of a file that grows may be. A playlist is asked for again every few seconds, by every player.
pub(super) const INDEX_AGE_MAX: Duration = Duration::from_secs(1);

/// Indexes that are made at once, each for whoever asks for it.
pub(super) const INDEXERS_MAX: usize = 8;

/// Bytes of a file that are read together where its description is looked for: the head of a fragment, and some more.
pub(super) const LOOK_BYTES: u64 = 16 << 10;

/// Bytes of an FLV file that are read together. Every tag is looked at.
pub(super) const SCAN_BYTES: u64 = 1 << 20;

/// Bytes of the first frame of a track that are looked at for what the configuration does not say.
pub(super) const FIRST_BYTES_MAX: u64 = 64 << 10;

/// Bytes of a segment in MPEG-TS that are taken apart together, up to the end of a frame: who wants one frame gets what is around it.
pub(super) const BLOCK_BYTES: usize = 128 << 10;

/// Bytes of a segment that are taken apart together where no frame ends: one frame, with the packets that it is cut into.
pub(super) const BLOCK_BYTES_MAX: usize = 12 << 20;

/// Bytes that are kept of what the segments of a recording say of its tracks. One whose parameter sets change with every picture is
/// indexed up to there.
pub(super) const KNOWN_BYTES_MAX: usize = 16 << 20;

/// So many of the newest are looked through for one that says the same: a stream may go back and forth between a few.
pub(super) const KNOWN_SEARCHED: usize = 8;

/// Frames of sound and small pictures are copied out of what was read with them: a few that wait do not hold all of it.
pub(super) const COPIED_BYTES_MAX: u64 = 8 << 10;

/// Tracks whose next frames are held: a file with more of them is read slower.
pub(super) const TRACKS_AHEAD_MAX: usize = 8;

/// What is read at once, and waits for the peer: a few of them for each answer.
pub(super) const PIECE_BYTES: u64 = 128 << 10;

/// Samples that are kept together, and copied together while there are fewer: 32 KiB.
pub(super) const SAMPLES_TOGETHER: usize = 1024;

/// How far one track of a file that grows may be behind another before it counts as silent: some times what is written together.
pub(super) const RAGGED: Duration = Duration::from_secs(2);

/// Packets that are given to who plays them at once, of small ones: some seconds of sound.
pub(super) const PACKETS_MAX: usize = 128;

/// Pieces that wait for who plays them. With what is read ahead, a player has half a megabyte here.
pub(super) const PIECES_WAITING_MAX: usize = 1;

/// How long who plays waits for the first media of a recording that has only begun, or for a storage that is slow.
pub(super) const OPEN_MAX: Duration = Duration::from_secs(10);

/// Descriptions of whole files that are kept: players ask for the same one range after range.
pub(super) const MOVIE_BYTES_MAX: usize = 64 << 20;

/// Bytes of one such description: of MP4 about twenty hours of video with audio, of FLV twelve. Who wants more takes the files.
pub(super) const PLAN_BYTES_MAX: usize = 512 << 20;

/// Bytes of all of them: of those that are kept, and those that somebody reads.
pub(super) const PLANS_BYTES_MAX: usize = 1 << 30;

/// Lists of a time of a recording in segments that are made at once: each holds the whole list, of 4 MB at most.
pub(super) const CUTTERS_MAX: usize = 8;

/// Descriptions that are made at once, each for whoever asks for it.
pub(super) const PLANNERS_MAX: usize = 4;

/// Bytes of a sample in the description of an MP4 file: itself, its place, and its rows in tables.
pub(super) const MP4_SAMPLE_BYTES: usize = 96;

/// And of an FLV file: two places, the head of its tag, and what is behind it.
pub(super) const FLV_SAMPLE_BYTES: usize = 160;

/// Bytes of a segment in MPEG-TS that are looked at for places to cut it at. One of six seconds has less; whatever comes behind
/// them stays in one piece.
pub(super) const CUT_BYTES_MAX: u64 = 256 << 20;

/// How far the time in a name may be from that of a sample: the final form of a file rounds times once more.
pub(super) const NAME_TICKS: i64 = 2;
