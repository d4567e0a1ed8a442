//! Every maximum of this crate, with its reason.

use std::time::Duration;

/// Bytes of one coded frame: the RTMP message length has 24 bits.
pub const FRAME_BYTES_MAX: usize = 0xff_ffff - 64;

/// Packets read ahead of the clock, so that a slow disk does not delay the stream. About half a second.
pub const READ_AHEAD_PACKETS_MAX: usize = 64;

/// A step of the decode time larger than this is a cut in the source, not a frame that lasts long: the clock starts
/// anew there instead of waiting.
pub const STEP_MAX: Duration = Duration::from_secs(10);

/// Bytes that may wait for the socket before the next packet is held back: a keyframe, and little enough that what
/// waits is not old when it leaves.
pub const SEND_QUEUE_BYTES_MAX: usize = 256 << 10;
