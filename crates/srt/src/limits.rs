//! Every maximum of this crate, with its reason.

use std::time::Duration;

/// Bytes of a datagram that we send: an Ethernet frame less the headers of IPv4 and UDP.
pub const DATAGRAM_BYTES_MAX: usize = 1500 - 28;

/// Bytes of payload in one data packet: what a datagram leaves behind the header of SRT. Seven packets of a transport stream,
/// which is what programs send, are 1316.
pub const PAYLOAD_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - 16;

/// Bytes of a stream id (draft section 3.2.1.3).
pub const STREAM_ID_BYTES_MAX: usize = 512;

/// Keys of a stream id in the standard form. Seven are defined.
pub const STREAM_ID_KEYS_MAX: usize = 32;

/// Extensions of one handshake. Eight kinds are defined and each comes once.
pub const EXTENSIONS_MAX: usize = 16;

/// Bytes of a passphrase at least and at most, as libsrt has it.
pub const PASSPHRASE_BYTES: std::ops::RangeInclusive<usize> = 10..=79;

/// Packets that a receiver holds and a sender has on its way. 8192 full packets are 100 Mbit/s for nearly a second, and libsrt
/// announces the same.
pub const FLOW_WINDOW_MAX: u32 = 8192;

/// Packets that wait in a sender for their first transmission. What a keyframe brings at once is a few hundred; more than this
/// waits longer than any latency lets it.
pub const SEND_QUEUE_PACKETS_MAX: usize = 8192;

/// Events that a driver may leave undrained. A session stops delivering, and goes on with acknowledging, while there are so
/// many; what is then too late is dropped.
pub const EVENTS_MAX: usize = 4096;

/// Datagrams that a driver may leave undrained. Beyond it nothing new is sent; a driver that drains after each call, as the
/// contract asks, does not come near.
pub const OUTPUTS_MAX: usize = 1024;

/// Latency in either direction: the field has 16 bits of milliseconds.
pub const LATENCY_MAX: Duration = Duration::from_millis(65_535);

/// Acknowledgements whose answer is awaited. One is sent every 10 ms, so this covers a round trip of 10 s.
pub const ACKNOWLEDGEMENTS_MAX: usize = 1024;

/// Ranges in one loss report: what a datagram holds.
pub const LOSS_RANGES_MAX: usize = PAYLOAD_BYTES_MAX / 8;

/// How long a sender keeps what was not acknowledged at least, whatever the latency (draft section 4.6).
pub const SENDER_KEEPS_AT_LEAST: Duration = Duration::from_secs(1);

/// Announcements of a key that stay unanswered before they come less often. The session goes on with the old key meanwhile.
pub const KEY_ANNOUNCEMENTS_MAX: u32 = 10;

/// Shortest time between two key announcements of a peer that cost us a key derivation (2048 rounds of a hash, a millisecond).
/// A peer changes its key every 2^24 packets or so; the time bounds what one that does so all the time takes.
pub const KEY_DERIVATION_INTERVAL: Duration = Duration::from_millis(500);

/// Packets sent with one key before the next is used (draft section 6.1.6 recommends the same).
pub const KEY_PACKETS_MAX: u64 = 1 << 25;
