//! Every maximum of this crate, with its reason.

use std::time::Duration;

/// Bytes of an HTTP response head. Servers send less than 1 KB; proxies add some.
pub const HEAD_BYTES_MAX: usize = 16 << 10;

/// Header fields of an HTTP response.
pub const HEADERS_MAX: usize = 64;

/// Bytes of a chunk-size line with its extensions, and of one trailer line (RFC 9112 section 7.1).
pub const CHUNK_LINE_BYTES_MAX: usize = 1024;

/// Bytes of all trailer lines.
pub const TRAILER_BYTES_MAX: usize = 8 << 10;

/// Bytes of one chunk or one WebSocket frame. They pass through without being collected; the bound catches nonsense.
pub const FRAME_BYTES_MAX: u64 = 64 << 20;

/// Time from connecting until a server answers the request.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Viewers from one loopback address. The usual range of ephemeral ports has 28,232; some stay in TIME_WAIT.
pub const VIEWERS_PER_ADDRESS: usize = 20_000;

/// Received bytes after which a counting viewer acknowledges: half of the window that most servers announce.
pub const ACK_BYTES: u64 = 1_250_000;

/// A counting RTMP viewer acknowledges at least this often, so that servers that watch for silence keep it.
pub const ACK_INTERVAL: Duration = Duration::from_secs(10);

/// A viewer that receives nothing for this long counts as starved. Longer than any pause between frames, and shorter than
/// what a person would wait.
pub const STARVED_AFTER: Duration = Duration::from_secs(2);

/// How long send times are remembered. Packets that take longer are not measured.
pub const SEND_TIMES_KEPT: Duration = Duration::from_secs(60);

/// Bytes of a clip held in memory: minutes of a high bitrate.
pub const CLIP_BYTES_MAX: usize = 1 << 30;

/// Viewers of one run. Each costs about 200 bytes here and two sockets in the kernel.
pub const VIEWERS_MAX: usize = 200_000;

/// Publishers of one run.
pub const PUBLISHERS_MAX: usize = 10_000;

/// Bytes of a playlist. One with every part of hours has less.
pub const PLAYLIST_BYTES_MAX: usize = 4 << 20;

/// Segments of a playlist that are kept, the newest: more than players hold in their buffers.
pub const SEGMENTS_LISTED_MAX: usize = 64;

/// Parts of a playlist that are kept, the newest: three target durations of short ones.
pub const PARTS_LISTED_MAX: usize = 256;

/// Parts that a viewer of HLS still has to ask for. One that is further behind leaves them out.
pub const WANTED_MAX: usize = 512;

/// Parts of a viewer that came before a playlist listed them. The playlist comes at the same moment as the first of them.
pub const EARLY_PARTS_MAX: usize = 8;

/// Viewers of HLS from one loopback address: servers may limit the sessions of one client, and every one has several
/// connections.
pub const HLS_VIEWERS_PER_ADDRESS: usize = 50;

/// Time until an answer is complete that may wait for what comes next: longer than servers wait before they give up, which is three target
/// durations.
pub const BLOCKED_ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
