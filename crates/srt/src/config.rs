//! What a session is told by its program.

use std::time::Duration;

use crate::crypto::{KeyLength, Passphrase, Refresh};
use crate::limits;

/// Settings of one session. Both ends tell each other their latencies, and the larger one counts.
#[derive(Debug, Clone)]
pub struct Config {
    /// How long what we receive waits at least, so that what was lost can come again. Three to four round trips are advised.
    pub receive_latency: Duration,
    /// How long what we send should wait at least at the peer.
    pub send_latency: Duration,
    /// Encrypts the stream; both ends need the same.
    pub passphrase: Option<Passphrase>,
    /// Length of the key that a caller makes. A listener takes the caller's.
    pub key_length: KeyLength,
    /// When keys are replaced.
    pub refresh: Refresh,
    /// How fast packets leave.
    pub bandwidth: Bandwidth,
    /// What was lost twice is sent again in two copies, then in three, and then in four, if the peer says that it is of this
    /// crate. A few percent more of what is sent make up for several round trips of latency where much is lost.
    pub escalation: bool,
    /// Packets that the peer may have on its way to us: 32 to [`limits::FLOW_WINDOW_MAX`].
    pub flow_window: u32,
    /// How long a caller waits for its listener.
    pub connect_timeout: Duration,
    /// How long nothing may be heard of the peer.
    pub idle_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            receive_latency: Duration::from_millis(120),
            send_latency: Duration::ZERO,
            passphrase: None,
            key_length: KeyLength::default(),
            refresh: Refresh::default(),
            bandwidth: Bandwidth::default(),
            escalation: true,
            flow_window: limits::FLOW_WINDOW_MAX,
            connect_timeout: Duration::from_secs(3),
            idle_timeout: Duration::from_secs(5),
        }
    }
}

/// How fast packets leave, all headers counted (draft section 5.1.1). Packets that are sent again count as well and go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bandwidth {
    /// A fixed rate.
    Max {
        /// Bytes in a second, at least 1.
        bytes_per_second: u64,
    },
    /// What comes in, and room for what has to be sent again.
    Measured {
        /// Added to what comes in.
        overhead_percent: u32,
        /// Never slower than this, in bytes a second: what comes in may have paused before a burst.
        bytes_per_second_min: u64,
    },
}

impl Default for Bandwidth {
    /// 1 Gbit/s, as the draft recommends: in effect none.
    fn default() -> Self {
        Self::Max { bytes_per_second: 125_000_000 }
    }
}

impl Config {
    pub(crate) fn within_limits(mut self) -> Self {
        self.receive_latency = self.receive_latency.min(limits::LATENCY_MAX);
        self.send_latency = self.send_latency.min(limits::LATENCY_MAX);
        self.flow_window = self.flow_window.clamp(32, limits::FLOW_WINDOW_MAX);
        self
    }
}
