//! What goes wrong with certificates and handshakes.

use super::trust::SelfSigned;
use rustls::{AlertDescription, CertificateError, InvalidMessage, OtherError};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a peer that connected did not get through its handshake.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandshakeError {
    /// It sent something that is not TLS.
    NotTls,
    /// It took too long.
    Timeout,
    /// It left, or the connection broke.
    Lost(io::Error),
    /// It does not accept us; most often it does not trust the certificate.
    Refused(AlertDescription),
    /// It broke the protocol, or has no version or cipher in common with us.
    Protocol(rustls::Error),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        match error.downcast::<rustls::Error>() {
            Ok(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => Self::NotTls,
            Ok(rustls::Error::AlertReceived(alert)) => Self::Refused(alert),
            Ok(error) => Self::Protocol(error),
            Err(error) => Self::Lost(error),
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTls => f.write_str("the peer does not speak TLS"),
            Self::Timeout => f.write_str("the peer did not finish the TLS handshake in time"),
            Self::Lost(error) => write!(f, "the peer left in the TLS handshake: {error}"),
            Self::Refused(alert) => write!(f, "the peer refused the TLS handshake: {alert:?}"),
            Self::Protocol(error) => write!(f, "the TLS handshake failed: {error}"),
        }
    }
}

impl std::error::Error for HandshakeError {}

/// Why there is no TLS connection to a server. Displays as one line for people.
#[derive(Debug)]
pub struct ConnectError {
    pub(super) host: String,
    pub(super) error: HandshakeError,
}

impl ConnectError {
    /// What failed.
    pub fn cause(&self) -> &HandshakeError {
        &self.error
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        let error = match &self.error {
            HandshakeError::NotTls => return write!(f, "{host} does not speak TLS on this port"),
            HandshakeError::Timeout => return write!(f, "{host} did not finish the TLS handshake in time"),
            HandshakeError::Lost(error) => {
                return write!(f, "{host} broke the TLS handshake off: {error}");
            }
            HandshakeError::Refused(alert) => {
                return write!(f, "{host} refused the TLS handshake: {alert:?}");
            }
            HandshakeError::Protocol(error) => error,
        };
        let rustls::Error::InvalidCertificate(problem) = error else {
            return write!(f, "the TLS handshake with {host} failed: {error}");
        };
        let otherwise = "use --ca FILE or --insecure";
        match problem {
            CertificateError::Other(OtherError(other)) if other.is::<SelfSigned>() => {
                write!(f, "the certificate of {host} is not trusted: self-signed; {otherwise}")
            }
            CertificateError::UnknownIssuer => {
                write!(f, "the certificate of {host} is not trusted: its issuer is unknown; {otherwise}")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                write!(f, "the certificate of {host} is for another name: {problem}")
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                write!(f, "the certificate of {host} has expired")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                write!(f, "the certificate of {host} is not valid yet: is the clock of this machine right?")
            }
            CertificateError::Other(OtherError(other)) => {
                write!(f, "the certificate of {host} is not accepted: {other}; {otherwise}")
            }
            problem => write!(f, "the certificate of {host} is not accepted: {problem}"),
        }
    }
}

impl std::error::Error for ConnectError {}

/// Why there is no certificate to serve with, or none to trust.
#[derive(Debug)]
pub struct IdentityError {
    pub(super) file: PathBuf,
    pub(super) problem: String,
}

impl IdentityError {
    /// Something is wrong with `file`.
    pub fn new(file: impl Into<PathBuf>, problem: impl fmt::Display) -> Self {
        Self { file: file.into(), problem: problem.to_string() }
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.problem)
    }
}

impl std::error::Error for IdentityError {}
