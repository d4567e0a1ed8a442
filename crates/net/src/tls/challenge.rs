//! Proving to an ACME authority that a name leads here (RFC 8737, "tls-alpn-01").
//!
//! The authority connects to port 443 of the name, asks for the protocol `acme-tls/1` alone, and expects a certificate for the
//! name that holds the hash of what it was told before.

use super::{Identity, provider};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The protocol in which the authority asks.
pub(super) const PROTOCOL: &[u8] = b"acme-tls/1";

/// What an authority is to be shown, by name.
#[derive(Debug, Default)]
pub struct Challenges(Mutex<HashMap<String, Arc<CertifiedKey>>>);

impl Challenges {
    /// Shows `digest`, the SHA-256 of the key authorisation (RFC 8555 section 8.1), to whoever asks for `name`.
    ///
    /// # Errors
    /// If there can be no certificate for `name`.
    pub fn set(&self, name: &str, digest: &[u8]) -> io::Result<()> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut parameters = CertificateParams::new([name.to_owned()]).map_err(io::Error::other)?;
        parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let certificate = parameters.self_signed(&key).map_err(io::Error::other)?;
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
        // Not `from_der`: it reads the certificate, and the extension is critical and unknown to it.
        let private = provider().key_provider.load_private_key(private).map_err(io::Error::other)?;
        let pair = CertifiedKey::new(vec![certificate.der().clone()], private);
        self.names().insert(name.to_owned(), Arc::new(pair));
        Ok(())
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.names().clear();
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, Arc<CertifiedKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The certificate of a server, and those for an authority that asks.
#[derive(Debug)]
pub(super) struct IdentityOrChallenge {
    pub(super) identity: Arc<Identity>,
    pub(super) challenges: Arc<Challenges>,
}

impl ResolvesServerCert for IdentityOrChallenge {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asks = hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == PROTOCOL));
        if asks {
            self.challenges.names().get(hello.server_name()?).cloned()
        } else {
            self.identity.resolve(hello)
        }
    }
}
