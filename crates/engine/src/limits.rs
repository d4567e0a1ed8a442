//! What a transcoder may use at most, and why.

use std::time::Duration;

/// One message between the server and a worker: the largest access unit that a publisher may send, and its header.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The largest picture that is decoded, in pixels: 4096 × 2304, beyond every 16:9 camera and game that two cores can decode in
/// time.
pub const PICTURE_PIXELS_MAX: u32 = 4096 * 2304;

/// Decoded pictures that exist at once. A decoder with two threads and an encoder per rung hold one or two each; the rest
/// is what evens out their speeds.
pub const SLOTS: u8 = 10;

/// Coded packets that wait for the decoder. More would only be delay.
pub const PACKETS_QUEUED_MAX: usize = 16;

/// Packets that wait for the reader of a rung, which writes them into a log at once.
pub const OUTPUTS_QUEUED_MAX: usize = 256;

/// Messages that wait for an encoder: pictures, of which there are at most [`SLOTS`], and orders.
pub const ORDERS_QUEUED_MAX: usize = 64;

/// Requests of handles and outlets: they are answered at once.
pub const REQUESTS_QUEUED_MAX: usize = 256;

/// Encoders of one source.
pub const RUNGS_MAX: usize = 16;

/// How long a worker may sit on a picture or a packet before it counts as hung. Twenty times what the slowest sensible preset
/// takes for a picture.
pub const SILENCE_MAX: Duration = Duration::from_secs(3);

/// How far the decoder may be behind the newest packet before rungs that are too slow lose pictures.
pub const BEHIND_MAX: Duration = Duration::from_secs(1);

/// How long a rung that has begun may be further behind than that: it starts at a keyframe in the past.
pub const CATCH_UP: Duration = Duration::from_secs(8);

/// Deaths of a worker within [`DEATHS_WINDOW`] after which it is given up.
pub const DEATHS_MAX: usize = 6;

/// See [`DEATHS_MAX`].
pub const DEATHS_WINDOW: Duration = Duration::from_secs(60);

/// Address space of a worker. SVT-AV1 at 1080p takes 1.2 GB, most of it never touched.
pub const ADDRESS_SPACE_BYTES_MAX: u64 = 6 << 30;

/// A text in which a worker says what is wrong.
pub const WHY_BYTES_MAX: usize = 500;
