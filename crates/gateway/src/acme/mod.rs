//! A certificate from an authority that speaks ACME (RFC 8555), such as Let's Encrypt.
//!
//! The certificate and its key are one file of the data folder, whose first line says for which configuration it was
//! obtained. The [`Identity`] of the node reads that file like any other; here it is replaced when it is due.

mod account;
mod https;
mod order;

use crate::config::{Config, TlsConfig};
use https::Https;
use net::Shutdown;
use net::tls::{Challenges, Connector, Identity, IdentityError, Trust, Validity};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tracing::{error, info};

/// How often it is seen whether the certificate is due. Authorities give lives down to six days.
const LOOK_INTERVAL: Duration = Duration::from_secs(3600);
/// The pauses after failures, each twice the one before: five within the first hour, after which Let's Encrypt would refuse.
const RETRY_MIN: Duration = Duration::from_secs(2 * 60);
const RETRY_MAX: Duration = Duration::from_secs(12 * 3600);

/// Obtains and renews the certificate of a node.
#[derive(Debug)]
pub struct Acme {
    settings: Settings,
    identity: Arc<Identity>,
    challenges: Arc<Challenges>,
    https: Https,
}

#[derive(Debug)]
struct Settings {
    domains: Vec<String>,
    contact: Option<String>,
    directory: String,
    /// The certificate, its key, and the first line.
    file: PathBuf,
    /// The account at the authority.
    account_file: PathBuf,
}

/// Why there is no new certificate. Displays as one line.
#[derive(Debug)]
struct Problem(String);

impl<E: std::error::Error> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl Acme {
    /// Where the configuration asks for it: what obtains the certificate, and the certificate until then, which is
    /// `self_signed` or that of an earlier start.
    ///
    /// # Errors
    /// If files cannot be read or written.
    pub(crate) fn load(
        config: &Config,
        self_signed: impl FnOnce() -> Result<Arc<Identity>, IdentityError>,
    ) -> Result<Self, IdentityError> {
        let TlsConfig { acme_domains, acme_contact, acme_directory, acme_ca, .. } = &config.tls;
        let folder = config.data_dir.join("tls");
        let settings = Settings {
            domains: acme_domains.clone(),
            contact: acme_contact.as_ref().map(|contact| format!("mailto:{contact}")),
            directory: acme_directory.clone(),
            file: folder.join("acme.pem"),
            account_file: folder.join("acme-account.json"),
        };
        let trust = acme_ca.clone().map_or(Trust::System, Trust::File);
        let https = Https::new(Connector::new(&trust)?);
        if !settings.file.exists() {
            let placeholder = self_signed()?.to_pem()?;
            net::write_private(&settings.file, placeholder.as_bytes())
                .map_err(|error| IdentityError::new(&settings.file, error))?;
        }
        let identity = Identity::from_files(settings.file.clone(), settings.file.clone())?;
        Ok(Self { settings, identity, challenges: Arc::default(), https })
    }

    pub(crate) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    pub(crate) fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }

    /// Obtains a certificate whenever it is due, until the node shuts down.
    pub async fn run(&self, shutdown: Shutdown) {
        let mut pause = RETRY_MIN;
        loop {
            let mut wait = LOOK_INTERVAL;
            if self.is_due(SystemTime::now()).await {
                let obtained = tokio::select! {
                    obtained = self.obtain() => obtained,
                    () = shutdown.triggered() => return,
                };
                match obtained {
                    Ok(()) => {
                        info!(domains = ?self.settings.domains, "the authority gave a new TLS certificate");
                        pause = RETRY_MIN;
                    }
                    Err(Problem(problem)) => {
                        let (directory, again) = (&self.settings.directory, pause.as_secs() / 60);
                        error!(
                            directory,
                            problem,
                            again_in_minutes = again,
                            "no TLS certificate from the authority"
                        );
                        wait = pause;
                        pause = (pause * 2).min(RETRY_MAX);
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.triggered() => return,
            }
        }
    }

    /// Whether the certificate was obtained for another configuration, or the last third of its life has begun.
    async fn is_due(&self, now: SystemTime) -> bool {
        let (file, first_line) = (self.settings.file.clone(), self.settings.first_line());
        let ours = blocking(move || Ok(is_obtained_for(&first_line, &file))).await;
        !ours.unwrap_or(false) || self.identity.validity().is_none_or(|validity| is_old(validity, now))
    }

    async fn obtain(&self) -> Result<(), Problem> {
        let account = account::load(&self.settings, &self.https).await?;
        let result = order::place(&account, &self.settings.domains, &self.challenges).await;
        self.challenges.clear();
        let certificate = result?;
        let pem = format!("{}\n{}{}", self.settings.first_line(), certificate.key, certificate.chain);
        let (file, identity) = (self.settings.file.clone(), self.identity.clone());
        blocking(move || {
            net::write_private(&file, pem.as_bytes())?;
            identity.refresh(Instant::now());
            Ok(())
        })
        .await
        .map_err(|error| Problem(format!("{}: {error}", self.settings.file.display())))?;
        // Without this a clock that is wrong, or a certificate that cannot be used, would order anew with each look.
        match self.identity.validity() {
            Some(validity) if !is_old(validity, SystemTime::now()) => Ok(()),
            _ => Err(Problem(
                "the certificate that came cannot be used, or is old by the clock of this machine".to_owned(),
            )),
        }
    }
}

impl Settings {
    /// Text before a PEM block is explanatory (RFC 7468 section 2).
    fn first_line(&self) -> String {
        format!("for {} from {}", self.domains.join(" "), self.directory)
    }
}

fn is_obtained_for(first_line: &str, file: &Path) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| text.lines().next() == Some(first_line))
}

fn is_old(validity: Validity, now: SystemTime) -> bool {
    let life = validity.to.duration_since(validity.from).unwrap_or_default();
    validity.to.duration_since(now).unwrap_or_default() < life / 3
}

/// Does work with files on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_old_in_the_last_third_of_its_life() {
        let day = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(days * 24 * 3600);
        let validity = Validity { from: day(100), to: day(190) };
        assert!(!is_old(validity, day(100)) && !is_old(validity, day(159)));
        assert!(is_old(validity, day(161)) && is_old(validity, day(300)));
    }
}
