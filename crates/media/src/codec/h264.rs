//! H.264 (ITU-T H.264, ISO/IEC 14496-10): slices, parameter sets and the configuration record.

use super::nal::{UNITS_BEFORE_SLICE_MAX, Units};

/// `nal_unit_type` of a coded slice (table 7-1): 1 non-IDR, 2 data partition A, 5 IDR.
fn is_slice(unit: &[u8]) -> bool {
    matches!(unit[0] & 0x1f, 1 | 2 | 5)
}

/// Whether no other picture refers to the one in `payload`: `nal_ref_idc` of its slices is 0 (section 7.4.1).
pub fn is_disposable(payload: &[u8], nal_length_size: u8) -> bool {
    Units::new(payload, nal_length_size)
        .take(UNITS_BEFORE_SLICE_MAX)
        .find(|unit| is_slice(unit))
        .is_some_and(|unit| unit[0] & 0x60 == 0)
}
