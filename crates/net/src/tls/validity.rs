//! From when to when a certificate is good.
//!
//! Of a certificate (RFC 5280 section 4.1) this reads the one field that rustls shows to nobody:
//!
//! ```text
//! Certificate    SEQUENCE { TBSCertificate, … }
//! TBSCertificate SEQUENCE { [0] version OPTIONAL, serialNumber, signature, issuer, validity, … }
//! validity       SEQUENCE { notBefore, notAfter }, each a UTCTime or a GeneralizedTime
//! ```

use std::time::{Duration, SystemTime};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The optional first field of a TBSCertificate.
const VERSION: u8 = 0xa0;

/// The first and the last moment of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Before it nobody accepts the certificate.
    pub from: SystemTime,
    /// After it nobody does.
    pub to: SystemTime,
}

/// Reads the validity of a certificate in DER; `None` if it is no certificate.
pub(crate) fn read_validity(certificate: &[u8]) -> Option<Validity> {
    let mut certificate = Der(Der(certificate).read(SEQUENCE)?);
    let mut fields = Der(certificate.read(SEQUENCE)?);
    fields.skip_if(VERSION);
    fields.read(INTEGER)?;
    // The algorithm of the signature, and the issuer.
    fields.read(SEQUENCE)?;
    fields.read(SEQUENCE)?;
    let mut validity = Der(fields.read(SEQUENCE)?);
    Some(Validity { from: validity.read_time()?, to: validity.read_time()? })
}

/// Values in DER (X.690), one behind the other.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn read_any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        // Lengths below 128 are one byte; others are preceded by the number of their bytes. Three hold all of a handshake.
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    fn read(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.read_any().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }

    fn skip_if(&mut self, tag: u8) {
        if self.0.first() == Some(&tag) {
            self.read_any();
        }
    }

    /// RFC 5280 section 4.1.2.5: two digits of the year stand for 1950 to 2049, the zone is always `Z`.
    fn read_time(&mut self) -> Option<SystemTime> {
        let (tag, text) = self.read_any()?;
        let text = text.strip_suffix(b"Z").filter(|text| text.iter().all(u8::is_ascii_digit))?;
        let (century, text) = match (tag, text.len()) {
            (UTC_TIME, 12) => (if text[0] < b'5' { 20 } else { 19 }, text),
            (GENERALIZED_TIME, 14) => (number(&text[..2]), &text[2..]),
            _ => return None,
        };
        let field = |index: usize| number(&text[2 * index..2 * index + 2]);
        let (year, month, day) = (century * 100 + field(0), field(1), field(2));
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let days = u64::try_from(days_since_1970(year, month, day)).ok()?;
        let seconds = ((days * 24 + field(3) as u64) * 60 + field(4) as u64) * 60 + field(5) as u64;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }
}

fn number(two_digits: &[u8]) -> i64 {
    i64::from(two_digits[0] - b'0') * 10 + i64::from(two_digits[1] - b'0')
}

/// Days from 1 January 1970 in the Gregorian calendar. Years are counted from March, so that the day that leap years have
/// more is the last of its year, and months before it have lengths that a line through 153 / 5 gives.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_before_year = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days_before_month = (153 * month + 2) / 5;
    const BEFORE_1970: i64 = 719_468;
    days_before_year + days_before_month + day - 1 - BEFORE_1970
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn time(tag: u8, text: &str) -> Option<u64> {
        let bytes = [&[tag, text.len() as u8], text.as_bytes()].concat();
        let time = Der(&bytes).read_time()?;
        Some(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn times_are_those_of_date() {
        // `date -u -d … +%s`
        for (tag, text, seconds) in [
            (UTC_TIME, "700101000000Z", 0),
            (UTC_TIME, "240229123456Z", 1_709_210_096),
            (UTC_TIME, "491231235959Z", 2_524_607_999),
            (GENERALIZED_TIME, "20500101000000Z", 2_524_608_000),
            (GENERALIZED_TIME, "99991231235959Z", 253_402_300_799),
        ] {
            assert_eq!(time(tag, text), Some(seconds), "{text}");
        }
        for (tag, text) in [
            (UTC_TIME, "240229123456"),
            (UTC_TIME, "20240229123456Z"),
            (UTC_TIME, "240029123456Z"),
            (UTC_TIME, "500101000000Z"),
            (GENERALIZED_TIME, "2024022912345xZ"),
            (INTEGER, "240229123456Z"),
        ] {
            assert_eq!(time(tag, text), None, "{text}");
        }
    }

    #[test]
    fn validity_of_a_certificate_is_what_was_asked_for() {
        let second = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let validity = Validity { from: second(1_700_000_000), to: second(2_600_000_000) };
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        parameters.not_before = validity.from.into();
        parameters.not_after = validity.to.into();
        let certificate = parameters.self_signed(&key).unwrap();
        assert_eq!(read_validity(certificate.der()), Some(validity));
        for end in 0..certificate.der().len() {
            assert_eq!(read_validity(&certificate.der()[..end]), None, "{end}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read_validity(&bytes);
            read_validity(&[&[SEQUENCE, 0x50, SEQUENCE, 0x4e][..], &bytes].concat());
        }
    }
}
