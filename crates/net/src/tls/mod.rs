//! TLS 1.2 and 1.3 (RFC 5246, RFC 8446) on TCP connections, both roles.
//!
//! rustls does the protocol; here it meets our sockets. What a player is sent is sealed from the shared buffers of a batch
//! into records and leaves in one system call, and a connection that carries nothing holds no buffers.
//!
//! Sealing is done by the process: live media is in its memory anyway, so that sealing in the kernel would save one copy of
//! bytes that are in the cache, and no system call.

mod accept;
mod challenge;
mod connect;
mod error;
mod generate;
mod identity;
mod stream;
#[cfg(test)]
mod tests;
mod trust;
pub(crate) mod validity;

pub use accept::Acceptor;
pub use challenge::Challenges;
pub use connect::Connector;
pub use error::{ConnectError, HandshakeError, IdentityError};
pub use identity::{Identity, host_name, is_dns_name};
pub use rustls::client::ClientConnection;
pub use stream::TlsStream;
pub use trust::Trust;
pub use validity::Validity;

use rustls::crypto::CryptoProvider;
use std::sync::{Arc, LazyLock};

/// The cryptography of all connections. Named at each use instead of installed for the process, so that no other library
/// can install another one first.
static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));

fn provider() -> Arc<CryptoProvider> {
    PROVIDER.clone()
}
