//! Every maximum of this crate, with its reason.

use std::time::Duration;

/// Bytes of one message. The length field has 24 bits, so this is the largest the protocol can express.
pub const MESSAGE_BYTES_MAX: u32 = 0xff_ffff;

/// Bytes of one message while the peer has no accepted publication, before the first as after the last: commands and metadata
/// only, so that an unauthenticated peer cannot make us hold more.
pub const MESSAGE_BYTES_MAX_BEFORE_PUBLISH: u32 = 1 << 20;

/// Chunk streams one peer may use. Programs use fewer than ten; each costs us a header of state.
pub const CHUNK_STREAMS_MAX: usize = 64;

/// A payload up to this size is copied out of the input buffer instead of referring to it, so that a small
/// message that lives long does not keep a large buffer alive.
pub const COPY_BYTES_MAX: usize = 512;

/// The first allocation for a message that spans chunks. Larger ones grow as their bytes arrive, so that a length
/// field alone never allocates more than this.
pub const ASSEMBLY_BYTES_FIRST: usize = 16 << 10;

/// Bytes of a command message. The largest seen in practice, a connect with a token, stays under 8 KiB.
pub const COMMAND_BYTES_MAX: usize = 64 << 10;

/// Bytes of a shared object message. Values are small: names, positions, lines of a chat.
pub const SHARED_OBJECT_BYTES_MAX: usize = 64 << 10;

/// Events in one shared object message. A server that tells a new client of every value sends one each.
pub const SHARED_OBJECT_EVENTS_MAX: usize = 1024;

/// Nesting of AMF values. Metadata nests three deep; the decoder recurses once per level.
pub const AMF_DEPTH_MAX: usize = 16;

/// AMF values in one message, referenced ones counted again at each use.
pub const AMF_VALUES_MAX: usize = 4096;

/// Bytes of AMF strings in one message, referenced ones counted again at each use.
pub const AMF_BYTES_MAX: usize = 1 << 20;

/// Streams of one connection: a publisher or player needs one.
pub const STREAMS_MAX: usize = 8;

/// Recordings that wait behind the one that a stream plays: a playlist of a page. More can be added as they are played.
pub const PLAYLIST_MAX: usize = 16;

/// Events a driver may leave undrained. One read of 64 KiB holds at most some thousands of tiny messages.
pub const EVENTS_MAX: usize = 65_536;

/// Messages that wait for the answer to `connect`. A client that pipelines sends about five.
pub const DEFERRED_MESSAGES_MAX: usize = 64;

/// Bytes of the messages that wait for the answer to `connect`.
pub const DEFERRED_BYTES_MAX: usize = 1 << 20;

/// Bytes of answers a peer may provoke without reading them, before its session ends.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// Chunk size that we send with: one chunk for almost every frame.
pub const OUT_CHUNK_SIZE_DEFAULT: u32 = 65_536;

/// Window that we announce; the value most servers use.
pub const WINDOW_ACK_SIZE_DEFAULT: u32 = 2_500_000;

/// Time for handshake and `connect`: slow mobile links need a few seconds, slow-loris attacks want forever.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time a client waits for its stream to start, connection setup included.
pub const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Time a pipelining client waits for the answer to `createStream` after that to `connect`. Both leave the server
/// together; one that dropped what came before its own answer needs to be asked again.
pub const PIPELINE_TIMEOUT: Duration = Duration::from_secs(1);

/// Time a player takes to answer what its SWF is. Programs that have none to show do not answer at all, so this is what
/// they wait for a refusal.
pub const SWF_TIMEOUT: Duration = Duration::from_secs(5);

/// Silence after which a peer is asked whether it lives; below the usual 60 s of address translators.
pub const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Bytes of the head of an HTTP message of a tunnel. Browsers send about 1 KiB, proxies add cookies of theirs.
pub const TUNNEL_HEAD_BYTES_MAX: usize = 16 << 10;

/// Header lines of an HTTP message of a tunnel; browsers send about 20.
pub const TUNNEL_HEADERS_MAX: usize = 64;

/// Bytes of the body of a request. ffmpeg puts ten packets into one; of a 4K stream that is some megabytes with a keyframe.
pub const TUNNEL_BODY_BYTES_MAX: usize = 8 << 20;

/// How far ahead of its turn a request may arrive. Clients have a few under way at most.
pub const TUNNEL_WINDOW: u64 = 8;

/// Requests that a client has under way at once where the server allows it: one that waits for data, and data meanwhile.
pub const TUNNEL_PIPELINE_MAX: usize = 4;

/// Bytes that a client puts into one request: 20 Mbit/s at a round trip of 100 ms, and small enough for other servers.
pub const TUNNEL_SEND_BYTES_MAX: usize = 256 << 10;

/// Bytes of one reply that a client takes. They are passed on as they arrive, so this only catches nonsense.
pub const TUNNEL_REPLY_BYTES_MAX: usize = 64 << 20;

/// Time a client waits for a reply. Servers hold one for a second at most.
pub const TUNNEL_REPLY_TIMEOUT: Duration = Duration::from_secs(20);
