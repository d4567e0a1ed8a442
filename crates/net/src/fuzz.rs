//! Bodies of the fuzz targets. Each panics where an invariant breaks; ordinary tests run them on seeds.

use crate::tls::validity::read_validity;

/// A certificate in DER: what stands behind the validity changes nothing, and neither time lies before 1970.
pub fn certificate(data: &[u8]) {
    let Some(validity) = read_validity(data) else { return };
    assert!(validity.from >= std::time::UNIX_EPOCH && validity.to >= std::time::UNIX_EPOCH);
    assert_eq!(read_validity(&[data, b"more"].concat()), Some(validity));
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_with_one_byte_changed_break_no_promise() {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let mut seed = parameters.self_signed(&key).unwrap().der().to_vec();
        for at in 0..seed.len() {
            let whole = seed[at];
            for byte in [0, 0x2f, 0x30, 0x39, 0x7f, 0x80, 0x81, 0x83, 0xff] {
                seed[at] = byte;
                super::certificate(&seed);
            }
            seed[at] = whole;
            super::certificate(&seed[..at]);
        }
    }
}
