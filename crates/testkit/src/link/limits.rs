//! Bounds of a link, so that neither a wrong configuration nor a trace file can exhaust memory.

/// Packets on the wire at once: 1 Gbit/s over a one-second path holds 83,000 full packets.
pub(super) const PACKETS_IN_FLIGHT_MAX: usize = 100_000;

/// Pieces of a rate trace: a day of lines one per 100 ms.
pub(super) const TRACE_PIECES_MAX: usize = 864_000;

/// Highest rate of a trace, bits per second: 1 Tbit/s keeps `capacity * nanoseconds` far inside 128 bits.
pub(super) const RATE_MAX: u64 = 1_000_000_000_000;

/// Longest trace: a week, in nanoseconds.
pub(super) const TRACE_NS_MAX: u64 = 7 * 24 * 3600 * 1_000_000_000;
