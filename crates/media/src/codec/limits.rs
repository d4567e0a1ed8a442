//! Largest values accepted from codec headers, and why.

use crate::Malformed;

/// The longest side of a picture, in pixels. The highest levels of H.264, H.265 and AV1 end at 16 888.
pub const PICTURE_SIDE_MAX: u32 = 32_768;

/// Frames per second above which timing information is taken for nonsense.
pub const FPS_MAX: f64 = 1_000.0;

/// Bytes of a parameter set that are looked at. The fields wanted are at its front; a set of a real stream has some
/// hundred bytes.
pub const PARAMETER_SET_BYTES_MAX: usize = 4096;

/// A size if it is one: neither side 0 nor above [`PICTURE_SIDE_MAX`].
pub(super) fn picture_size(width: u64, height: u64) -> Result<(u32, u32), Malformed> {
    let side =
        |pixels: u64| u32::try_from(pixels).ok().filter(|pixels| (1..=PICTURE_SIDE_MAX).contains(pixels));
    side(width).zip(side(height)).ok_or(Malformed("picture size out of range"))
}

/// The bits of a sample from what a header says beyond 8 of them. Both H.264 and H.265 end at 16.
pub(super) fn bit_depth(beyond_8: u32) -> Result<u8, Malformed> {
    match beyond_8 {
        0..=8 => Ok(8 + beyond_8 as u8),
        _ => Err(Malformed("bit depth out of range")),
    }
}

/// `numerator / denominator` if it is a frame rate: above 0 and at most [`FPS_MAX`].
pub(super) fn frame_rate(numerator: f64, denominator: f64) -> Option<f64> {
    let fps = numerator / denominator;
    (fps > 0.0 && fps <= FPS_MAX).then_some(fps)
}
