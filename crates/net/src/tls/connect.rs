//! The client's side of a handshake.

use super::{ConnectError, HandshakeError, IdentityError, TlsStream, Trust, provider};
use crate::Stream;
use rustls::client::{ClientConfig, ClientConnection, Resumption};
use rustls::pki_types::ServerName;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Opens TLS connections to servers. Cheap to clone; clones share what they remember of servers, so that a second
/// connection can be shorter.
#[derive(Debug, Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
}

impl Connector {
    /// A connector that accepts the servers that `trust` says.
    ///
    /// # Errors
    /// If the certificates to trust cannot be read.
    pub fn new(trust: &Trust) -> Result<Self, IdentityError> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            // The versions and the cryptography are both constants of rustls.
            .expect("the provider has ciphers for TLS 1.2 and 1.3")
            // Our verifiers check all that rustls' own does; they differ in what they say, and in whom they believe.
            .dangerous()
            .with_custom_certificate_verifier(trust.verifier()?)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config) })
    }

    /// The same without a memory of servers: every handshake is a whole one, as those of many strangers are.
    pub fn forgetful(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::disabled();
        Self { config: Arc::new(config) }
    }

    /// The bare protocol, for a driver that has sockets of its own; `host` as in [`Connector::connect`].
    ///
    /// # Errors
    /// A host that no certificate can name.
    pub fn start(&self, host: &str) -> Result<ClientConnection, ConnectError> {
        let failed = |error| ConnectError { host: host.to_owned(), error: HandshakeError::Protocol(error) };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| failed(rustls::Error::General(error.to_string())))?;
        ClientConnection::new(self.config.clone(), name).map_err(failed)
    }

    /// Does the handshake with the server that `tcp` is connected to. `host` is the name or address (without brackets) that
    /// its certificate must be for; the handshake may take as long as `within`.
    pub async fn connect(
        &self,
        tcp: TcpStream,
        host: &str,
        within: Duration,
    ) -> Result<Stream, ConnectError> {
        let failed = |error| ConnectError { host: host.to_owned(), error };
        let connection = self.start(host)?;
        let mut stream = Box::new(TlsStream::new(tcp, connection.into()));
        match tokio::time::timeout(within, poll_fn(|cx| stream.poll_handshake(cx))).await {
            Ok(Ok(())) => Ok(Stream::Tls(stream)),
            Ok(Err(error)) => Err(failed(error.into())),
            Err(_) => Err(failed(HandshakeError::Timeout)),
        }
    }
}
