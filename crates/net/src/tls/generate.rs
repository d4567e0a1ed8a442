//! A certificate of our own, for servers that were given none.

use super::trust::verify_as_own_issuer;
use super::{IdentityError, identity::Files};
use crate::write_private;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::path::Path;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The longest life that browsers grant a certificate.
const LIFE: Duration = Duration::from_secs(397 * 24 * 3600);
/// A certificate is replaced this long before its end: whoever has to be told to trust the new one has time for it.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Makes sure that `files` hold a self-signed certificate for `names` that is good for a while from `now`. Returns whether
/// it is new. The key stays the same: whoever has pinned it notices nothing of a renewal.
pub(super) fn ensure(files: &Files, names: &[String], now: SystemTime) -> Result<bool, IdentityError> {
    if is_good(&files.certificate, names, now) && files.key.exists() {
        return Ok(false);
    }
    let failed = |error: rcgen::Error| IdentityError::new(&files.certificate, error);
    let key = match std::fs::read_to_string(&files.key) {
        Ok(pem) => KeyPair::from_pem(&pem).map_err(|error| {
            IdentityError::new(&files.key, format!("{error}; remove it to have a new one"))
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = KeyPair::generate().map_err(failed)?;
            write(&files.key, &key.serialize_pem())?;
            key
        }
        Err(error) => return Err(IdentityError::new(&files.key, error)),
    };
    let mut parameters = CertificateParams::new(names).map_err(failed)?;
    parameters.distinguished_name.push(DnType::CommonName, "Rushlight");
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // A player whose clock is a little behind trusts it too.
    parameters.not_before = (now - DAY).into();
    parameters.not_after = (now + LIFE - DAY).into();
    let certificate = parameters.self_signed(&key).map_err(failed)?;
    write(&files.certificate, &certificate.pem())?;
    Ok(true)
}

fn write(path: &Path, pem: &str) -> Result<(), IdentityError> {
    write_private(path, pem.as_bytes())
        .map_err(|error| IdentityError::new(path, format!("cannot be written: {error} (data_dir)")))
}

/// Whether whoever trusts this certificate will still accept it for all of `names` when it is nearly due.
fn is_good(certificate: &Path, names: &[String], now: SystemTime) -> bool {
    let Ok(certificate) = CertificateDer::from_pem_file(certificate) else { return false };
    let Ok(later) = (now + RENEW_BEFORE).duration_since(SystemTime::UNIX_EPOCH) else { return false };
    let later = UnixTime::since_unix_epoch(later);
    names.iter().all(|name| {
        ServerName::try_from(name.as_str())
            .is_ok_and(|name| verify_as_own_issuer(&certificate, &name, later).is_ok())
    })
}
