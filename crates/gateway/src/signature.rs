//! Addresses that play for a while: `?expires=UNIX_SECONDS&signature=HEX` instead of a key.
//!
//! The signature is HMAC-SHA256 under `access.sign_secret`, over the name of the stream and the time in the form
//! `live/cam?expires=1790000000`. So one plays a stream over every protocol, and no other stream.

use crate::Secret;
use crate::target::query_value;
use hmac::{Hmac, KeyInit, Mac};
use media::StreamName;
use sha2::Sha256;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Between the two values where they are presented as one; neither has it.
const SEPARATOR: char = '~';

/// Why a signature does not admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// It was good once.
    Expired,
    /// It is of another stream, another time, another secret, or none at all.
    Wrong,
}

/// The query that plays `name` until `expires`: `expires=...&signature=...`.
pub fn signed_query(secret: &Secret, name: &StreamName, expires: SystemTime) -> String {
    let expires = unix_seconds(expires);
    let digest = mac(secret, name, expires).finalize().into_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("expires={expires}&signature={hex}")
}

/// What a query presents for admission: its key, or else its signature.
pub(crate) fn presented(query: &str) -> Option<Secret> {
    if let Some(key) = query_value(query, "key") {
        return Some(key.into());
    }
    let (expires, signature) = (query_value(query, "expires")?, query_value(query, "signature")?);
    Some(format!("{expires}{SEPARATOR}{signature}").into())
}

/// The query that presents `given` again, with its question mark. `given` was accepted, so that nothing in it changes in a URL.
pub(crate) fn query_of(given: &Secret) -> String {
    match given.expose().split_once(SEPARATOR).filter(|_| parse(given).is_some()) {
        Some((expires, signature)) => format!("?expires={expires}&signature={signature}"),
        None => format!("?key={}", given.expose()),
    }
}

/// Checks what was presented. Whether it has expired is told only of what the secret has signed.
pub(crate) fn verify(
    secret: &Secret,
    name: &StreamName,
    given: &Secret,
    now: SystemTime,
) -> Result<(), Invalid> {
    let (expires, signature) = parse(given).ok_or(Invalid::Wrong)?;
    // In constant time.
    mac(secret, name, expires).verify_slice(&signature).map_err(|_| Invalid::Wrong)?;
    if unix_seconds(now) >= expires { Err(Invalid::Expired) } else { Ok(()) }
}

fn parse(given: &Secret) -> Option<(u64, [u8; 32])> {
    let (expires, hex) = given.expose().split_once(SEPARATOR)?;
    // One spelling of each, so that a cache holds what is behind it once.
    let is_plain = expires.bytes().all(|byte| byte.is_ascii_digit()) && !expires.starts_with('0');
    let expires = expires.parse().ok().filter(|_| is_plain)?;
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs: &[[u8; 2]; 32] = hex.as_bytes().as_chunks().0.try_into().ok().filter(|_| hex.len() == 64)?;
    let mut signature = [0; 32];
    for (byte, [high, low]) in signature.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some((expires, signature))
}

fn mac(secret: &Secret, name: &StreamName, expires: u64) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{name}?expires={expires}").as_bytes());
    mac
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_channel;
    use proptest::prelude::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// `printf 'live/cam?expires=1790000000' | openssl dgst -sha256 -hmac secret`
    const OF_OPENSSL: &str = "f89434685a19e95066a78d4b59e6dcf33e247ebcb61a032833a99a8dbbe87462";

    #[test]
    fn a_signature_is_what_other_programs_compute() {
        let query = signed_query(&"secret".into(), &parse_channel("live/cam").unwrap(), at(1_790_000_000));
        assert_eq!(query, format!("expires=1790000000&signature={OF_OPENSSL}"));
    }

    #[test]
    fn a_signature_admits_to_its_stream_until_its_time() {
        let (secret, name) = (Secret::from("secret"), parse_channel("live/cam").unwrap());
        let query = signed_query(&secret, &name, at(1000));
        let given = presented(&query).unwrap();
        assert_eq!(verify(&secret, &name, &given, at(999)), Ok(()));
        assert_eq!(verify(&secret, &name, &given, at(1000)), Err(Invalid::Expired));
        assert_eq!(query_of(&given), format!("?{query}"));
        let other = parse_channel("live/other").unwrap();
        assert_eq!(verify(&secret, &other, &given, at(999)), Err(Invalid::Wrong));
        assert_eq!(verify(&"other".into(), &name, &given, at(2000)), Err(Invalid::Wrong));
        for wrong in [
            query.replace("=1000", "=1001"),
            query.replace("=1000", "=01000"),
            query.replace("=1000", "=+1000"),
            query.to_uppercase().to_lowercase().replace("signature=", "signature=0"),
            query[..query.len() - 1].to_owned(),
            "expires=1000&signature=".to_owned(),
            "key=1000~".to_owned(),
        ] {
            let given = presented(&wrong).unwrap();
            assert_eq!(verify(&secret, &name, &given, at(999)), Err(Invalid::Wrong), "{wrong}");
        }
        assert!(
            presented("expires=1000").is_none() && presented(&format!("{query}&key=x")) == Some("x".into())
        );
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic_or_admits(query in "(key=|expires=|signature=|&|~|[0-9a-f]{1,64}){0,6}") {
            if let Some(given) = presented(&query) {
                let name = parse_channel("live/cam").unwrap();
                prop_assert_eq!(verify(&"secret".into(), &name, &given, at(1)), Err(Invalid::Wrong));
                let _ = query_of(&given);
            }
        }
    }
}
