//! The server's side of a handshake.

use super::challenge::{self, Challenges, IdentityOrChallenge};
use super::{HandshakeError, Identity, TlsStream, provider};
use crate::Stream;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, ServerConfig, ServerConnection};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Accepts TLS connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
}

impl Acceptor {
    /// For ports where RTMP is spoken.
    ///
    /// There are no session tickets: librtmp on GnuTLS and OBS with mbedTLS 3.6 take a ticket after the handshake (RFC 8446
    /// section 4.6.1) for a broken connection. And there is no ALPN: RTMP has no name there, and no client offers one.
    pub fn rtmp(identity: Arc<Identity>) -> Self {
        let mut config = config(identity);
        config.send_tls13_tickets = 0;
        Self { config: Arc::new(config) }
    }

    /// For ports where HTTP is spoken: HTTP/2 or HTTP/1.1, by ALPN (RFC 7301), and the questions of an ACME authority where
    /// there are `challenges`. Tickets save returning browsers a signature and us the memory of their sessions; their keys
    /// live in this process only and change every few hours.
    pub fn http(identity: Arc<Identity>, challenges: Option<Arc<Challenges>>) -> Self {
        let mut protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut config = match challenges {
            None => config(identity),
            Some(challenges) => {
                protocols.push(challenge::PROTOCOL.to_vec());
                config(Arc::new(IdentityOrChallenge { identity, challenges }))
            }
        };
        // Without random numbers there are no keys for tickets, and no handshakes either.
        if let Ok(ticketer) = Ticketer::new() {
            config.ticketer = ticketer;
        }
        config.send_tls13_tickets = 1;
        config.alpn_protocols = protocols;
        Self { config: Arc::new(config) }
    }

    /// Does the handshake with a peer that has connected, which may take as long as `within`.
    pub async fn accept(&self, tcp: TcpStream, within: Duration) -> Result<Stream, HandshakeError> {
        let connection = ServerConnection::new(self.config.clone()).map_err(HandshakeError::Protocol)?;
        let mut stream = Box::new(TlsStream::new(tcp, connection.into()));
        match tokio::time::timeout(within, poll_fn(|cx| stream.poll_handshake(cx))).await {
            Ok(Ok(())) => Ok(Stream::Tls(stream)),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(HandshakeError::Timeout),
        }
    }
}

fn config(identity: Arc<dyn ResolvesServerCert>) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        // The versions and the cryptography are both constants of rustls.
        .expect("the provider has ciphers for TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(identity);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config
}
