//! Sessions: who is connected.

use serde::{Deserialize, Serialize};

/// The open sessions of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sessions {
    /// The sessions, oldest first.
    pub sessions: Vec<Session>,
    /// How many there are; more than are listed on a busy node.
    pub total: u64,
}

/// One publish or one play.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Its name in logs.
    pub id: String,
    /// `rtmp`, `http-flv` or `ws-flv`.
    pub protocol: String,
    /// `publish` or `play`.
    pub role: String,
    /// `app/channel`.
    pub stream: String,
    /// Address and port of the peer.
    pub address: String,
    /// Since when.
    pub connected_ms: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// The program, as it names itself.
    pub user_agent: Option<String>,
}
