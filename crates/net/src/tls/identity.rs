//! The certificate and key of a server.

use super::validity::{Validity, read_validity};
use super::{IdentityError, generate, provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fs;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};
use tracing::{error, info, warn};

/// How often it is seen whether a certificate of our own nears its end.
const RENEW_INTERVAL: Duration = Duration::from_secs(3600);

/// The certificate and key that a server shows, from files.
///
/// The files are looked at again by [`Identity::refresh`]. New ones count for new connections without a restart; broken
/// ones are reported, and the old ones stay.
#[derive(Debug)]
pub struct Identity {
    files: Files,
    /// The names in a certificate of our own, which is renewed; empty for one that we were given.
    names: Vec<String>,
    created: bool,
    current: RwLock<Arc<CertifiedKey>>,
    seen: Mutex<Seen>,
}

/// Where an identity is kept.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// What was found when the files were last looked at.
#[derive(Debug)]
struct Seen {
    renewed: Instant,
    /// How the files were when they were read.
    stamps: [Option<Stamp>; 2],
    /// What was wrong with them, so that it is said once.
    problem: Option<String>,
}

/// What changes with a file. The number of the file is there because two versions may be written within one tick of the
/// clock of the file system.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    number: u64,
}

impl Stamp {
    fn of(file: &Path) -> Option<Self> {
        let data = fs::metadata(file).ok()?;
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(&data);
        #[cfg(not(unix))]
        let number = 0;
        Some(Self { modified: data.modified().ok(), length: data.len(), number })
    }
}

impl Files {
    fn stamps(&self) -> [Option<Stamp>; 2] {
        [Stamp::of(&self.certificate), Stamp::of(&self.key)]
    }

    pub(super) fn read(&self) -> Result<Arc<CertifiedKey>, IdentityError> {
        let chain: Vec<_> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .map_err(|error| IdentityError::new(&self.certificate, readable(error)))?;
        if chain.is_empty() {
            return Err(IdentityError::new(&self.certificate, "there is no PEM certificate in it"));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| {
            let problem = match error {
                rustls::pki_types::pem::Error::NoItemsFound => "there is no PEM private key in it".to_owned(),
                error => readable(error),
            };
            IdentityError::new(&self.key, problem)
        })?;
        let pair = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let problem = format!("is not the key of the certificate in {}", self.certificate.display());
                IdentityError::new(&self.key, problem)
            }
            error => IdentityError::new(&self.certificate, error),
        })?;
        let now = SystemTime::now();
        match pair.cert.first().and_then(|certificate| read_validity(certificate)) {
            Some(validity) if validity.to < now => {
                warn!(file = %self.certificate.display(), "the TLS certificate has expired: clients will refuse it");
            }
            Some(validity) if validity.from > now => {
                warn!(file = %self.certificate.display(), "the TLS certificate is not valid yet: clients will refuse it");
            }
            _ => {}
        }
        Ok(Arc::new(pair))
    }
}

fn readable(error: rustls::pki_types::pem::Error) -> String {
    match error {
        rustls::pki_types::pem::Error::Io(error) => format!("cannot be read: {error}"),
        error => error.to_string(),
    }
}

impl Identity {
    /// The chain in one PEM file, the certificate of this server first, and its key in another (or in the same).
    ///
    /// # Errors
    /// If a file cannot be read, has nothing of the kind in it, or the key is of another certificate.
    pub fn from_files(certificate: PathBuf, key: PathBuf) -> Result<Arc<Self>, IdentityError> {
        Self::load(Files { certificate, key }, Vec::new(), false)
    }

    /// The certificate for `names` (host names and addresses) that is kept in `folder`; made there if it is not there, and
    /// made anew before its end or when it lacks a name. It is signed with its own key, so that nobody trusts it who was
    /// not told to.
    ///
    /// # Errors
    /// If the files cannot be read or written, or a name is none.
    pub fn self_signed(folder: &Path, names: Vec<String>) -> Result<Arc<Self>, IdentityError> {
        let files = Files { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
        for name in &names {
            ServerName::try_from(name.as_str())
                .map_err(|error| IdentityError::new(&files.certificate, format!("{name:?}: {error}")))?;
        }
        let created = generate::ensure(&files, &names, SystemTime::now())?;
        Self::load(files, names, created)
    }

    fn load(files: Files, names: Vec<String>, created: bool) -> Result<Arc<Self>, IdentityError> {
        // The stamps first: what changes while it is read is read again.
        let now = Instant::now();
        let seen = Seen { renewed: now, stamps: files.stamps(), problem: None };
        let current = RwLock::new(files.read()?);
        Ok(Arc::new(Self { files, names, created, current, seen: Mutex::new(seen) }))
    }

    /// The file with the certificate. A self-signed one is what clients need to trust this server.
    pub fn certificate_file(&self) -> &Path {
        &self.files.certificate
    }

    /// Whether the certificate is one of our own.
    pub fn is_self_signed(&self) -> bool {
        !self.names.is_empty()
    }

    /// Whether the certificate was made by this process at its start.
    pub fn is_created(&self) -> bool {
        self.created
    }

    /// From when to when clients accept the certificate, if it says so in a form that can be read.
    pub fn validity(&self) -> Option<Validity> {
        read_validity(self.current().cert.first()?)
    }

    /// The files as one: the chain, and the key.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn to_pem(&self) -> Result<String, IdentityError> {
        let read = |file: &Path| fs::read_to_string(file).map_err(|error| IdentityError::new(file, error));
        Ok(read(&self.files.key)? + &read(&self.files.certificate)?)
    }

    /// What connections are shown that begin now.
    pub(super) fn current(&self) -> Arc<CertifiedKey> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over files that have changed, and renews a certificate of our own. To be called every second or so; it reads
    /// files.
    pub fn refresh(&self, now: Instant) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let renewing =
            !self.names.is_empty() && now.saturating_duration_since(seen.renewed) >= RENEW_INTERVAL;
        if renewing {
            seen.renewed = now;
            if let Err(problem) = generate::ensure(&self.files, &self.names, SystemTime::now()) {
                error!(%problem, "the TLS certificate cannot be renewed");
            }
        }
        let stamps = self.files.stamps();
        // Files with a problem are read each time: the two are replaced one after the other.
        if stamps == seen.stamps && seen.problem.is_none() {
            return;
        }
        seen.stamps = stamps;
        match self.files.read() {
            Ok(fresh) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
                seen.problem = None;
                info!(file = %self.files.certificate.display(), "new TLS certificate");
            }
            Err(problem) => {
                let problem = problem.to_string();
                if seen.problem.as_ref() != Some(&problem) {
                    error!(problem, "the new TLS certificate cannot be used; the old one stays");
                }
                seen.problem = Some(problem);
            }
        }
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// Whether `name` is one that a certificate can hold as the name of a host.
pub fn is_dns_name(name: &str) -> bool {
    matches!(ServerName::try_from(name), Ok(ServerName::DnsName(_)))
}

/// The name of this machine, where it has one that fits a certificate.
pub fn host_name() -> Option<String> {
    #[cfg(target_os = "linux")]
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    #[cfg(not(target_os = "linux"))]
    let name = std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME")).ok()?;
    let name = name.trim();
    ServerName::try_from(name).is_ok().then(|| name.to_owned())
}
