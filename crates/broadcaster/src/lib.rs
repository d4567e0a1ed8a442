//! Sources and uplink of the person who goes live.
