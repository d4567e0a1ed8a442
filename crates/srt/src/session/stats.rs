//! What happened on a connection.

use std::time::Duration;

/// Counters from the start of a session, and how things stand. Bytes are of payloads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Data packets sent for the first time.
    pub sent_packets: u64,
    /// Bytes sent for the first time.
    pub sent_bytes: u64,
    /// Data packets sent again.
    pub retransmitted_packets: u64,
    /// Bytes sent again.
    pub retransmitted_bytes: u64,
    /// Packets that the peer reported as lost; one that is reported twice counts twice.
    pub reported_lost_packets: u64,
    /// Packets that were too late to be sent, or to be sent again.
    pub send_dropped_packets: u64,
    /// Data packets that arrived and had not arrived before.
    pub received_packets: u64,
    /// Bytes that arrived and had not arrived before.
    pub received_bytes: u64,
    /// Data packets that arrived and are marked as sent before.
    pub received_retransmitted_packets: u64,
    /// Packets that were missing when a later one arrived.
    pub lost_packets: u64,
    /// Packets that were still missing when a later one had to be delivered.
    pub dropped_packets: u64,
    /// Packets that arrived after their time.
    pub belated_packets: u64,
    /// Packets that arrived again, while the first was not delivered yet.
    pub duplicate_packets: u64,
    /// Packets for which there was no room.
    pub refused_packets: u64,
    /// Packets that were encrypted with a key that is not here, or that were not encrypted and should be.
    pub undecrypted_packets: u64,
    /// Datagrams that make no sense or that break the protocol.
    pub malformed_datagrams: u64,
    /// Round trip, smoothed.
    pub rtt: Duration,
    /// How much it varies.
    pub rtt_variance: Duration,
    /// Bytes that arrive each second, headers of SRT not counted.
    pub receive_bytes_per_second: u64,
    /// How fast data packets may leave, in bytes a second with all headers.
    pub send_bytes_per_second_max: u64,
    /// Packets that are not acknowledged or not sent yet.
    pub send_buffer_packets: usize,
    /// How long the oldest of them has been there.
    pub send_buffer: Duration,
    /// Packets that wait for their delivery.
    pub receive_buffer_packets: usize,
    /// The time from the first to the last of them.
    pub receive_buffer: Duration,
}
