//! Whom a client trusts.

use super::{IdentityError, provider};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which certificates of servers are good.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// Those that the system trusts.
    #[default]
    System,
    /// Those issued by, or equal to, a certificate in this PEM file.
    File(PathBuf),
    /// All of them. Whoever sits between us and the server can read and change everything.
    Insecure,
}

impl Trust {
    pub(super) fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, IdentityError> {
        let (roots, named, source) = match self {
            Self::Insecure => return Ok(Arc::new(AnyCertificate(provider()))),
            Self::System => (system_roots()?, Vec::new(), Path::new("the certificates of this system")),
            Self::File(file) => {
                let (roots, named) = roots_in(file)?;
                (roots, named, file.as_path())
            }
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| IdentityError::new(source, error))?;
        Ok(Arc::new(KnownIssuers { verifier, named }))
    }
}

fn system_roots() -> Result<RootCertStore, IdentityError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems carry a few that are odd; one good one is a working store.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(IdentityError::new(
            "the certificates of this system",
            format!("{why}; use --ca FILE, or install the package ca-certificates"),
        ));
    }
    Ok(roots)
}

/// The certificates in a file, as issuers and as they are.
fn roots_in(file: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), IdentityError> {
    let (mut roots, mut named) = (RootCertStore::empty(), Vec::new());
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(|error| IdentityError::new(file, error))?;
    for certificate in certificates {
        let added = certificate.map_err(|error| error.to_string());
        let added = added.and_then(|der| {
            named.push(der.clone());
            roots.add(der).map_err(|error| error.to_string())
        });
        added.map_err(|problem| IdentityError::new(file, problem))?;
    }
    if roots.is_empty() {
        return Err(IdentityError::new(file, "there is no PEM certificate in it"));
    }
    Ok((roots, named))
}

/// Whether `certificate` is its own issuer: trusted itself, it is not of an unknown issuer.
pub(super) fn is_self_signed(certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> bool {
    !matches!(
        verify_as_own_issuer(certificate, name, now),
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
    )
}

/// Verifies a certificate as if the system trusted it.
pub(super) fn verify_as_own_issuer(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), Error> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone().into_owned())?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    verifier.verify_server_cert(certificate, &[], name, &[], now).map(|_| ())
}

/// The issuer of a certificate is unknown because it is the certificate itself.
#[derive(Debug)]
pub(super) struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is self-signed")
    }
}

impl std::error::Error for SelfSigned {}

/// The verifier of rustls, with one of its errors told apart, and one of its rules left out: that the certificate of an
/// authority is never the one of a server. What `openssl req -x509` writes is both, and whoever names it means it.
#[derive(Debug)]
struct KnownIssuers {
    verifier: Arc<WebPkiServerVerifier>,
    /// Certificates that are trusted for themselves.
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for KnownIssuers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let result = self.verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        match result {
            // The rule is looked at after the dates, and before the name.
            Err(Error::InvalidCertificate(CertificateError::Other(_))) if self.named.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
                if is_self_signed(end_entity, name, now) =>
            {
                let error = CertificateError::Other(OtherError(Arc::new(SelfSigned)));
                Err(Error::InvalidCertificate(error))
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Accepts any certificate, though its holder must still prove to have the key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use std::time::{Duration, SystemTime};

    /// A certificate for localhost as `openssl req -x509` writes it, and whether it is trusted when it is named.
    fn is_trusted(valid_from: SystemTime, name: &str) -> Result<(), Error> {
        let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.not_before = valid_from.into();
        parameters.not_after = (valid_from + Duration::from_secs(3600)).into();
        let certificate = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let file = std::env::temp_dir().join(format!("rushlight-trust-{}-{name}.pem", std::process::id()));
        std::fs::write(&file, certificate.pem()).unwrap();
        let verifier = Trust::File(file.clone()).verifier();
        std::fs::remove_file(file).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.unwrap().verify_server_cert(certificate.der(), &[], &name, &[], UnixTime::now()).map(|_| ())
    }

    #[test]
    fn the_certificate_of_an_authority_is_trusted_for_itself_when_it_is_named() {
        let now = SystemTime::now() - Duration::from_secs(60);
        assert_eq!(is_trusted(now, "localhost"), Ok(()));
        let wrong = is_trusted(now, "other").unwrap_err();
        assert!(wrong.to_string().contains("not valid for name"), "{wrong}");
        let expired = is_trusted(now - Duration::from_secs(9999), "localhost").unwrap_err();
        assert!(expired.to_string().contains("expired"), "{expired}");
    }
}
