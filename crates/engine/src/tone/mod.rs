//! Colours of a wide gamut and a high dynamic range as rungs have them: those of BT.709, for ordinary screens. Pure.
//!
//! ```text
//! Y'CbCr ─▶ R'G'B' ─▶ light, cd/m² ─▶ BT.709 primaries ─▶ what those can show ─▶ brightness curve ─▶ R'G'B' ─▶ Y'CbCr
//! ```
//!
//! White of an ordinary picture is [`WHITE_NITS`], so that faces and paper are as bright as the producer of the picture meant them
//! (BT.2408 table 1); what is brighter goes into what is left above the knee of the curve. Here is what each step does; a [`Table`] has all
//! of them for the samples of a picture.

mod table;

pub(crate) use table::Table;

use crate::picture::Picture;

/// HDR reference white (BT.2408 section 2.2), in cd/m².
const WHITE_NITS: f64 = 203.0;
/// The brightest that PQ has a code for (BT.2100 table 4).
const PQ_NITS_MAX: f64 = 10_000.0;
/// The screen that HLG is shown on here, in cd/m², and its system gamma (BT.2100 table 5).
const HLG_NITS: f64 = 1000.0;
const HLG_GAMMA: f64 = 1.2;
/// The screen of ordinary pictures (BT.1886 annex 1), with black that is black.
const SDR_GAMMA: f64 = 2.4;

/// What is mastered on is this bright where a stream does not say it: most monitors of producers are.
const PEAK_NITS_DEFAULT: u16 = 1000;
/// Brighter than this nothing is but reflections of the sun: making room for them would cost all else its contrast.
const PEAK_NITS_MAX: u16 = 4000;

/// How samples say how bright something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transfer {
    /// SMPTE ST 2084: cd/m².
    Pq,
    /// ARIB STD-B67: parts of what the camera sees.
    Hlg,
    /// BT.1886, and all that is shown alike.
    Sdr,
}

/// What red, green and blue are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Primaries {
    Bt709,
    Bt2020,
    /// SMPTE EG 432-1.
    P3,
}

/// What the samples of a picture mean whose colours are not those that rungs have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colours {
    transfer: Transfer,
    primaries: Primaries,
    /// Shares of red and blue in luma, in ten thousandths.
    matrix: (u16, u16),
    full_range: bool,
    /// The brightest that is shown, in cd/m².
    peak_nits: u16,
}

/// Code points of ISO/IEC 23091-2.
mod code {
    pub(super) const BT709: u8 = 1;
    pub(super) const UNSPECIFIED: u8 = 2;
    pub(super) const BT2020: u8 = 9;
    pub(super) const P3_DCI: u8 = 11;
    pub(super) const P3_D65: u8 = 12;
    pub(super) const PQ: u8 = 16;
    pub(super) const HLG: u8 = 18;
}

impl Colours {
    /// Those of `picture`, of which its stream may say how bright it gets; `None` where rungs have them as they are.
    pub(crate) fn of(picture: &Picture, peak_nits: Option<u16>) -> Option<Self> {
        let transfer = match picture.transfer {
            code::PQ => Transfer::Pq,
            code::HLG => Transfer::Hlg,
            _ => Transfer::Sdr,
        };
        let is_wide = matches!(picture.primaries, code::BT2020 | code::P3_DCI | code::P3_D65);
        if transfer == Transfer::Sdr && !is_wide {
            return None;
        }
        let primaries = match picture.primaries {
            code::BT709 => Primaries::Bt709,
            code::P3_DCI | code::P3_D65 => Primaries::P3,
            // High dynamic range comes with a wide gamut, also where only one of them is said.
            _ => Primaries::Bt2020,
        };
        let matrix = match picture.matrix {
            1 => (2126, 722),
            5 | 6 => (2990, 1140),
            code::UNSPECIFIED if primaries == Primaries::Bt709 => (2126, 722),
            _ => (2627, 593),
        };
        let peak_nits = match transfer {
            Transfer::Pq => peak_nits.unwrap_or(PEAK_NITS_DEFAULT).clamp(WHITE_NITS as u16, PEAK_NITS_MAX),
            Transfer::Hlg => HLG_NITS as u16,
            Transfer::Sdr => WHITE_NITS as u16,
        };
        Some(Self { transfer, primaries, matrix, full_range: picture.full_range, peak_nits })
    }

    /// Shares of red and blue in luma.
    fn luma_shares(&self) -> (f64, f64) {
        (f64::from(self.matrix.0) / 1e4, f64::from(self.matrix.1) / 1e4)
    }

    /// Light of the screen in cd/m² for a signal from 0 to 1; of HLG the light that the camera saw, 0 to 1.
    fn light_of(&self, signal: f64) -> f64 {
        match self.transfer {
            Transfer::Pq => pq(signal),
            Transfer::Hlg => hlg(signal),
            Transfer::Sdr => WHITE_NITS * signal.powf(SDR_GAMMA),
        }
    }

    /// What a scene of this brightness, 0 to 1, is multiplied by on a screen, in cd/m² (BT.2100 table 5, OOTF).
    fn hlg_gain(scene: f64) -> f64 {
        HLG_NITS * scene.powf(HLG_GAMMA - 1.0)
    }

    /// Shares of red, green and blue in brightness.
    fn brightness_shares(&self) -> [f64; 3] {
        match self.primaries {
            Primaries::Bt709 => BRIGHTNESS_BT709,
            Primaries::Bt2020 => [0.2627, 0.6780, 0.0593],
            Primaries::P3 => [0.2290, 0.6917, 0.0793],
        }
    }

    /// From the brightness that was meant to that of an ordinary screen, both in cd/m²: the EETF of BT.2390 section 5.4.1, without black.
    fn curve(&self, nits: f64) -> f64 {
        let peak = f64::from(self.peak_nits);
        let nits = nits.min(peak);
        if peak <= WHITE_NITS {
            return nits;
        }
        let whole = pq_of(peak);
        let (e1, most) = (pq_of(nits) / whole, pq_of(WHITE_NITS) / whole);
        let knee = 1.5 * most - 0.5;
        if e1 <= knee {
            return nits;
        }
        let t = (e1 - knee) / (1.0 - knee);
        let (t2, t3) = (t * t, t * t * t);
        let e2 = (2.0 * t3 - 3.0 * t2 + 1.0) * knee
            + (t3 - 2.0 * t2 + t) * (1.0 - knee)
            + (3.0 * t2 - 2.0 * t3) * most;
        pq(e2 * whole).min(WHITE_NITS)
    }

    /// Shares of light in red, green and blue of BT.709: BT.2087 table 2, and the same for P3.
    fn bt709_shares(&self) -> [[f64; 3]; 3] {
        match self.primaries {
            Primaries::Bt709 => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            Primaries::Bt2020 => [
                [1.660_491, -0.587_641, -0.072_850],
                [-0.124_550, 1.132_900, -0.008_350],
                [-0.018_151, -0.100_579, 1.118_730],
            ],
            Primaries::P3 => [
                [1.224_940, -0.224_940, 0.0],
                [-0.042_057, 1.042_057, 0.0],
                [-0.019_638, -0.078_636, 1.098_274],
            ],
        }
    }
}

const BRIGHTNESS_BT709: [f64; 3] = [0.2126, 0.7152, 0.0722];

// BT.2100 table 4.
const PQ_M1: f64 = 2610.0 / 16_384.0;
const PQ_M2: f64 = 2523.0 / 32.0;
const PQ_C1: f64 = 3424.0 / 4096.0;
const PQ_C2: f64 = 2413.0 / 128.0;
const PQ_C3: f64 = 2392.0 / 128.0;

/// The light of a signal of PQ, in cd/m².
fn pq(signal: f64) -> f64 {
    let root = signal.powf(1.0 / PQ_M2);
    PQ_NITS_MAX * ((root - PQ_C1).max(0.0) / (PQ_C2 - PQ_C3 * root)).powf(1.0 / PQ_M1)
}

/// The signal of PQ for a light in cd/m².
fn pq_of(nits: f64) -> f64 {
    let power = (nits / PQ_NITS_MAX).max(0.0).powf(PQ_M1);
    ((PQ_C1 + PQ_C2 * power) / (1.0 + PQ_C3 * power)).powf(PQ_M2)
}

/// The light that a camera saw, 0 to 1, of a signal of HLG (BT.2100 table 5).
fn hlg(signal: f64) -> f64 {
    const A: f64 = 0.178_832_77;
    const B: f64 = 0.284_668_92;
    const C: f64 = 0.559_910_73;
    if signal <= 0.5 { signal * signal / 3.0 } else { (((signal - C) / A).exp() + B) / 12.0 }
}

#[cfg(test)]
mod tests;
