//! Bodies of the fuzz targets. Each panics where an invariant breaks; ordinary tests run them on seeds.

use crate::link::Rate;

/// Rate traces of both forms: over what was accepted, packets leave in the order in which they start.
pub fn trace(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for rate in [Rate::trace(text), Rate::mahimahi(text)].into_iter().flatten() {
        let mut before = 0;
        for start_ns in [0, 1, 999_999_999, 1 << 40, u64::MAX / 2, u64::MAX] {
            let finish_ns = rate.finish_ns(start_ns, 1500);
            assert!(finish_ns >= start_ns && finish_ns >= before, "{start_ns} {finish_ns}");
            before = finish_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    const SEEDS: [&[u8]; 7] = [
        b"# seconds Mbit/s\n0 5\n1.5 0\n2 0.001\n",
        b"1600000000.25 1e3\n1600000000.250001 1e99\n",
        b"0\n0\n1\n1\n5\n",
        b"604800000\n",
        b"0 1\n99999999999 1\n",
        b"-1e10 nan\n0 inf\n",
        b"18446744073709551615\n",
    ];

    #[test]
    fn seeds_break_no_promise_at_any_length() {
        for seed in SEEDS {
            for length in 0..=seed.len() {
                super::trace(&seed[..length]);
            }
        }
    }
}
