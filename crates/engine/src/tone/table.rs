//! The way of samples, as tables of one number each and little arithmetic between them.
//!
//! A grid of colours between whose points is interpolated is faster, and wrong by 20 codes where a strong green or blue is at the border of
//! what BT.709 has: there a signal that begins at zero rises without end.

use super::{BRIGHTNESS_BT709, Colours, SDR_GAMMA, Transfer, WHITE_NITS};

/// Signals of red, green and blue that are told apart: eight for each code of 10 bits.
const SIGNALS: usize = 8192;
/// Signals are counted in parts of this while they are added up.
const FRACTION_BITS: u32 = 8;
/// Samples of 10 bits.
const SAMPLE_MAX: u16 = 1023;
/// Samples of luma within so many codes, which noise has anywhere, differ as those of gray do: what that is wrong by is less than a code.
const ALIKE: u16 = 4;
/// Samples of luma that lie within so many codes, and have the chroma in common, lie on a line: it is wrong by less than a code of 8 bits.
const NEAR: u16 = 32;

/// The way of the samples of a source to those of BT.709.
pub(crate) struct Table {
    colours: Colours,
    /// Light for a signal, in parts of white; of HLG what the camera saw.
    light: Vec<f32>,
    /// What HLG is multiplied by for the brightness of a scene.
    system: Option<Steps>,
    brightness: [f32; 3],
    to_bt709: [[f32; 3]; 3],
    /// What a colour is multiplied by for its strongest part, in parts of white.
    gain: Steps,
    /// The signal for a light in parts of white.
    signal: Steps,
    luma: Scale,
    /// What a code of luma more adds to luma, of gray.
    slopes: Vec<f32>,
    /// What a code of chroma adds to red, to green (of blue and of red), and to blue.
    chroma: [i32; 4],
}

/// From codes to signals.
#[derive(Debug, Clone, Copy)]
struct Scale {
    black: i32,
    code: i32,
}

/// A function of a number that is not negative, at 64 points of each octave and straight between them: as exact for what is small as for
/// what is large.
struct Steps {
    points: Vec<f32>,
    first: u32,
}

/// Bits of a `f32` that say where it is between two points.
const BETWEEN_BITS: u32 = 17;

impl Steps {
    /// `of` between `least` and `most`, which are powers of two. What is less is as nothing.
    fn new(least: f32, most: f32, of: impl Fn(f64) -> f64) -> Self {
        let [first, last] = [least, most].map(|number| number.to_bits() >> BETWEEN_BITS);
        let number = |point: u32| f64::from(f32::from_bits(point << BETWEEN_BITS));
        let nothing = [of(0.0) as f32; 2];
        let points = (first + 2..=last + 1).map(|point| of(number(point).min(most.into())) as f32);
        Self { points: nothing.into_iter().chain(points).collect(), first }
    }

    #[inline(always)]
    fn at(&self, number: f32) -> f32 {
        let bits = number.to_bits();
        let point = ((bits >> BETWEEN_BITS).saturating_sub(self.first) as usize).min(self.points.len() - 2);
        let part = (bits & ((1 << BETWEEN_BITS) - 1)) as i32 as f32 * (1.0 / (1 << BETWEEN_BITS) as f32);
        let (below, above) = (self.points[point], self.points[point + 1]);
        below + part * (above - below)
    }
}

/// A colour of BT.709: luma from 0 to 1, both chromas from -0.5 to 0.5.
type Colour = [f32; 3];

impl Table {
    /// The table of `colours`, which takes a few milliseconds.
    pub(crate) fn new(colours: Colours) -> Self {
        let whole = f64::from((SIGNALS as i32 - 1) << FRACTION_BITS);
        let (luma_codes, chroma_codes) = if colours.full_range { (1023.0, 1023.0) } else { (876.0, 896.0) };
        let (kr, kb) = colours.luma_shares();
        let kg = 1.0 - kr - kb;
        let chroma =
            [2.0 * (1.0 - kr), -2.0 * kb * (1.0 - kb) / kg, -2.0 * kr * (1.0 - kr) / kg, 2.0 * (1.0 - kb)];
        let white = |nits: f64| nits / WHITE_NITS;
        let light = |signal: usize| {
            let light = colours.light_of(signal as f64 / (SIGNALS - 1) as f64);
            if colours.transfer == Transfer::Hlg { light } else { white(light) }
        };
        let mut table = Self {
            colours,
            slopes: Vec::new(),
            light: (0..SIGNALS).map(|signal| light(signal) as f32).collect(),
            system: (colours.transfer == Transfer::Hlg)
                .then(|| Steps::new(2f32.powi(-20), 1.0, |scene| white(Colours::hlg_gain(scene)))),
            brightness: colours.brightness_shares().map(|part| part as f32),
            to_bt709: colours.bt709_shares().map(|row| row.map(|part| part as f32)),
            // Below the lowest knee nothing is changed, and above what PQ has there is nothing.
            gain: Steps::new(2f32.powi(-4), 64.0, |part| {
                let nits = part * WHITE_NITS;
                if nits > 0.0 { colours.curve(nits) / nits } else { 1.0 }
            }),
            signal: Steps::new(2f32.powi(-20), 1.0, |part| part.min(1.0).powf(1.0 / SDR_GAMMA)),
            luma: Scale {
                black: if colours.full_range { 0 } else { 64 },
                code: (whole / luma_codes).round() as i32,
            },
            chroma: chroma.map(|share| (share * whole / chroma_codes).round() as i32),
        };
        let gray = |luma: u16| table.colour(luma.min(SAMPLE_MAX), table.offsets(512, 512))[0];
        let slopes = (0..=SAMPLE_MAX).map(|luma| (gray(luma + ALIKE) - gray(luma)) / f32::from(ALIKE));
        table.slopes = slopes.collect();
        table
    }

    /// Whether it is that of `colours`.
    pub(crate) fn is_of(&self, colours: Colours) -> bool {
        self.colours == colours
    }

    /// What a chroma adds to red, green and blue, with the half that rounds.
    #[inline(always)]
    fn offsets(&self, blue: u16, red: u16) -> [i32; 3] {
        let half = 1 << (FRACTION_BITS - 1);
        let (blue, red) = (i32::from(blue.min(SAMPLE_MAX)) - 512, i32::from(red.min(SAMPLE_MAX)) - 512);
        let [to_red, green_of_blue, green_of_red, to_blue] = self.chroma;
        [half + to_red * red, half + green_of_blue * blue + green_of_red * red, half + to_blue * blue]
    }

    #[inline(always)]
    fn colour(&self, luma: u16, offsets: [i32; 3]) -> Colour {
        let luma = (i32::from(luma) - self.luma.black) * self.luma.code;
        let light = |offset: i32| {
            let signal = ((luma + offset) >> FRACTION_BITS).clamp(0, SIGNALS as i32 - 1);
            self.light[signal as usize]
        };
        let mut from = offsets.map(light);
        if let Some(system) = &self.system {
            let gain = system.at(dot(self.brightness, from));
            from = from.map(|part| part * gain);
        }
        let mut to = self.to_bt709.map(|row| dot(row, from));
        let least = to[0].min(to[1]).min(to[2]);
        if least < 0.0 {
            to = into_gamut(to, least);
        }
        let gain = self.gain.at(to[0].max(to[1]).max(to[2]));
        let [r, g, b] = to.map(|part| self.signal.at(part * gain));
        let luma = dot(BRIGHTNESS_BT709.map(|part| part as f32), [r, g, b]);
        [luma, (b - luma) * (1.0 / 1.8556), (r - luma) * (1.0 / 1.5748)]
    }

    /// Two rows of luma, and the one of each chroma that goes with them: samples of 10 bits in two bytes, little-endian, become samples of
    /// 8 bits with limited range. Of the last column of an odd width there is one sample of luma to one of chroma.
    pub(crate) fn convert(
        &self,
        luma: [&[u8]; 2],
        chroma: [&[u8]; 2],
        to_luma: [&mut [u8]; 2],
        to_chroma: [&mut [u8]; 2],
    ) {
        let ([upper, lower], [blue, red]) = (luma, chroma);
        let [to_upper, to_lower] = to_luma;
        let [to_blue, to_red] = to_chroma;
        let from = upper.chunks(4).zip(lower.chunks(4));
        let from = from.zip(blue.chunks_exact(2).zip(red.chunks_exact(2)));
        let to = to_upper.chunks_mut(2).zip(to_lower.chunks_mut(2)).zip(to_blue.iter_mut().zip(to_red));
        for (((upper, lower), (blue, red)), ((to_upper, to_lower), (to_blue, to_red))) in from.zip(to) {
            let offsets = self.offsets(sample(blue), sample(red));
            let [a, b, c, d] = four(upper, lower);
            let (least, most) = (a.min(b).min(c.min(d)), a.max(b).max(c.max(d)));
            let (lumas, [cb, cr]) = if most - least <= ALIKE {
                self.alike([a, b, c, d], least, offsets)
            } else if most - least <= NEAR {
                self.near([a, b, c, d], (least, most), offsets)
            } else {
                self.far([a, b, c, d], offsets)
            };
            let [a, b, c, d] = lumas.map(|luma| (16.5 + 219.0 * luma) as u8);
            // Of an odd width there is one column.
            match (to_upper, to_lower) {
                ([to_a, to_b], [to_c, to_d]) => (*to_a, *to_b, *to_c, *to_d) = (a, b, c, d),
                (to_upper, to_lower) => {
                    to_upper.fill(a);
                    to_lower.fill(c);
                }
            }
            (*to_blue, *to_red) = ((128.5 + 224.0 * cb) as u8, (128.5 + 224.0 * cr) as u8);
        }
    }

    /// Samples that hardly differ: one colour.
    #[inline(always)]
    fn alike(&self, lumas: [u16; 4], least: u16, offsets: [i32; 3]) -> ([f32; 4], [f32; 2]) {
        let above = lumas.map(|luma| luma - least);
        let mean = (above.iter().sum::<u16>() + 2) / 4;
        let [luma, blue, red] = self.colour(least + mean, offsets);
        let slope = self.slopes[usize::from(least.min(SAMPLE_MAX))];
        let mean = f32::from(mean);
        (above.map(|above| luma + slope * (f32::from(above) - mean)), [blue, red])
    }

    /// Samples that differ little: two colours, and what lies between them.
    #[inline(always)]
    fn near(&self, lumas: [u16; 4], (least, most): (u16, u16), offsets: [i32; 3]) -> ([f32; 4], [f32; 2]) {
        let first = self.colour(least, offsets);
        let last = self.colour(most, offsets);
        let per_code = 1.0 / f32::from(most - least);
        let part = |luma: u16| f32::from(luma - least) * per_code;
        let between =
            |component: usize, part: f32| first[component] + part * (last[component] - first[component]);
        let parts = lumas.map(part);
        let mean = 0.25 * parts.iter().sum::<f32>();
        (parts.map(|part| between(0, part)), [between(1, mean), between(2, mean)])
    }

    /// Samples on both sides of an edge.
    #[inline(never)]
    fn far(&self, lumas: [u16; 4], offsets: [i32; 3]) -> ([f32; 4], [f32; 2]) {
        let colours = lumas.map(|luma| self.colour(luma, offsets));
        let mean = |component: usize| 0.25 * colours.iter().map(|colour| colour[component]).sum::<f32>();
        (colours.map(|colour| colour[0]), [mean(1), mean(2)])
    }
}

/// A colour that light of BT.709 can be mixed to: as bright, and as much nearer to gray as that takes. `least` is its least part, which is
/// below zero.
#[inline(always)]
fn into_gamut(light: [f32; 3], least: f32) -> [f32; 3] {
    let gray = dot(BRIGHTNESS_BT709.map(|part| part as f32), light).max(0.0);
    let kept = gray / (gray - least);
    light.map(|part| (gray + kept * (part - gray)).max(0.0))
}

#[inline(always)]
fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[inline(always)]
fn sample(pair: &[u8]) -> u16 {
    match *pair {
        [low, high, ..] => u16::from_le_bytes([low, high]).min(SAMPLE_MAX),
        _ => 0,
    }
}

/// Two samples of each of two rows; of an odd width the last one twice.
#[inline(always)]
fn four(upper: &[u8], lower: &[u8]) -> [u16; 4] {
    match (upper, lower) {
        ([upper @ .., e, f], [lower @ .., g, h]) if upper.len() == 2 && lower.len() == 2 => {
            [sample(upper), sample(&[*e, *f]), sample(lower), sample(&[*g, *h])]
        }
        _ => [sample(upper), sample(upper), sample(lower), sample(lower)],
    }
}
