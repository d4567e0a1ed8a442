//! TLS in front of the protocols: whose certificate, and what a handshake counts as.

use crate::acme::Acme;
use crate::config::TlsConfig;
use crate::metrics::{HandshakeFailure, ProtocolMetrics};
use crate::{Config, Env};
use net::Stream;
use net::tls::{Acceptor, HandshakeError, Identity, IdentityError};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tracing::debug;

/// What the ports with TLS need.
#[derive(Debug)]
pub struct Tls {
    identity: Arc<Identity>,
    /// What obtains the certificate, where that is asked for.
    acme: Option<Acme>,
    /// For ports where RTMP is spoken.
    pub(crate) rtmp: Acceptor,
    /// For ports where HTTP is spoken.
    pub(crate) http: Acceptor,
}

impl Tls {
    /// Reads the certificate of the configuration, or makes one in its data folder.
    ///
    /// # Errors
    /// If there is none to serve with.
    pub fn load(config: &Config) -> Result<Self, IdentityError> {
        let TlsConfig { certificate, key, names, acme_domains, .. } = &config.tls;
        let self_signed = || Identity::self_signed(&config.data_dir.join("tls"), self_signed_names(names));
        let acme = if acme_domains.is_empty() { None } else { Some(Acme::load(config, self_signed)?) };
        let identity = match (&acme, certificate, key) {
            (Some(acme), ..) => acme.identity().clone(),
            (None, Some(certificate), Some(key)) => Identity::from_files(certificate.clone(), key.clone())?,
            (None, ..) => self_signed()?,
        };
        let challenges = acme.as_ref().map(|acme| acme.challenges().clone());
        Ok(Self {
            rtmp: Acceptor::rtmp(identity.clone()),
            http: Acceptor::http(identity.clone(), challenges),
            acme,
            identity,
        })
    }

    /// What obtains the certificate and has to be run, once.
    pub fn take_acme(&mut self) -> Option<Acme> {
        self.acme.take()
    }

    /// The certificate of the node.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// How this machine is called by its own programs, and what the configuration adds.
fn self_signed_names(more: &[String]) -> Vec<String> {
    let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut names: Vec<String> = own.into_iter().chain(net::tls::host_name()).collect();
    for name in more {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// How often the files of the certificate are looked at.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// Takes over a certificate that changes, until the node shuts down.
pub(crate) async fn keep_fresh(env: Arc<Env>, tls: Arc<Tls>) {
    loop {
        env.metrics.certificate_expires(tls.identity.validity().map(|validity| validity.to));
        tokio::select! {
            () = tokio::time::sleep(REFRESH_INTERVAL) => {}
            () = env.shutdown.triggered() => return,
        }
        let tls = tls.clone();
        // Files are read by another thread: on this one players wait. A panic there has been reported.
        let _ = tokio::task::spawn_blocking(move || tls.identity.refresh(Instant::now())).await;
    }
}

/// Does the handshake with a peer; `None` if it comes to nothing, which is counted and costs only this connection.
pub(crate) async fn accept(
    acceptor: &Acceptor,
    metrics: &ProtocolMetrics,
    tcp: TcpStream,
    peer: SocketAddr,
    within: Duration,
) -> Option<Stream> {
    match acceptor.accept(tcp, within).await {
        Ok(stream) => {
            metrics.handshake_done();
            Some(stream)
        }
        Err(error) => {
            metrics.handshake_failed(match &error {
                HandshakeError::NotTls => HandshakeFailure::NotTls,
                HandshakeError::Timeout => HandshakeFailure::Timeout,
                HandshakeError::Refused(_) => HandshakeFailure::Refused,
                // An ordinary end: browsers open connections that they do not use.
                HandshakeError::Lost(_) => HandshakeFailure::Lost,
                _ => HandshakeFailure::Protocol,
            });
            debug!(%peer, protocol = metrics.protocol(), %error, "no TLS connection");
            None
        }
    }
}
