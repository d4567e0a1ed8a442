//! H.265 (ITU-T H.265, ISO/IEC 23008-2): slices, parameter sets and the configuration record.

use super::nal::{UNITS_BEFORE_SLICE_MAX, Units};

/// `nal_unit_type` of the first slice (table 7-1, VCL types are below 32).
fn slice_type(payload: &[u8], nal_length_size: u8) -> Option<u8> {
    Units::new(payload, nal_length_size)
        .take(UNITS_BEFORE_SLICE_MAX)
        .map(|unit| (unit[0] >> 1) & 0x3f)
        .find(|unit_type| *unit_type < 32)
}

/// Whether the picture in `payload` is a sub-layer non-reference picture: an even type up to 14 (section 7.4.2.2).
///
/// The standard lets pictures of a *higher* temporal sub-layer refer to it. Encoders give this type only to pictures
/// that nothing refers to, so it is taken to mean that.
pub fn is_disposable(payload: &[u8], nal_length_size: u8) -> bool {
    slice_type(payload, nal_length_size).is_some_and(|slice| slice <= 14 && slice % 2 == 0)
}
