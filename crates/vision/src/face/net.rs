//! The network of BlazeFace, short range: a picture of 128 × 128 to scores and boxes at 896 places.
//!
//! A convolution of 5 × 5, sixteen blocks (3 × 3 for each channel on its own, 1 × 1 over all channels, and what came in added), and four
//! convolutions of 1 × 1 that read scores and boxes after the eleventh block and after the last. Samples of a place lie together;
//! channels are padded to whole lanes with zeros.

/// The side of what it looks at.
pub(super) const SIDE: usize = 128;
/// Channels of a pixel.
const COLOURS: usize = 3;
/// Numbers that are worked on together.
const LANES: usize = 8;
/// Places that are: their sums fit into registers.
const PLACES: usize = 4;

/// See `models/README.md`.
const WEIGHTS: &[u8; 202_780] = include_bytes!("../../models/blazeface-short.f16");

/// Channels that come in and that go out, and how many places one step is.
const BLOCKS: [(usize, usize, usize); 16] = [
    (24, 24, 1),
    (24, 28, 1),
    (28, 32, 2),
    (32, 36, 1),
    (36, 42, 1),
    (42, 48, 2),
    (48, 56, 1),
    (56, 64, 1),
    (64, 72, 1),
    (72, 80, 1),
    (80, 88, 1),
    (88, 96, 2),
    (96, 96, 1),
    (96, 96, 1),
    (96, 96, 1),
    (96, 96, 1),
];
/// What came of so many blocks is read first: 16 × 16 places.
const FINE_AFTER: usize = 11;

/// Side in places, and what is looked for at each of them, in the order of results.
pub(super) const GRIDS: [(usize, usize); 2] = [(16, 2), (8, 6)];
/// Numbers of a box: its middle and sides, and the middles of eyes, nose, mouth and ears.
pub(super) const BOX: usize = 16;

const fn lanes(channels: usize) -> usize {
    channels.next_multiple_of(LANES)
}

/// Little-endian halves, read one after the other.
struct Halves(std::slice::Iter<'static, [u8; 2]>);

impl Halves {
    fn take(&mut self, count: usize) -> Vec<f32> {
        self.0.by_ref().take(count).map(|bytes| widen(u16::from_le_bytes(*bytes))).collect()
    }
}

/// The number of IEEE 754 binary16 in 32 bits. The file has no infinities.
fn widen(half: u16) -> f32 {
    let (exponent, fraction) = (i32::from((half >> 10) & 0x1f), f32::from(half & 0x3ff));
    let size = match exponent {
        0 => fraction * 2f32.powi(-24),
        _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
    };
    if half >> 15 == 1 { -size } else { size }
}

/// Rows of places, each with `channels` numbers.
#[derive(Debug, Clone, Default)]
struct Map {
    side: usize,
    channels: usize,
    numbers: Vec<f32>,
}

impl Map {
    fn reset(&mut self, side: usize, channels: usize) {
        (self.side, self.channels) = (side, channels);
        self.numbers.clear();
        self.numbers.resize(side * side * channels, 0.0);
    }

    fn place(&self, x: usize, y: usize) -> &[f32] {
        let start = (y * self.side + x) * self.channels;
        &self.numbers[start..start + self.channels]
    }
}

/// Over all channels of one place.
#[derive(Debug, Clone)]
struct Dense {
    inputs: usize,
    outputs: usize,
    /// By lane of outputs, then by input.
    weights: Vec<[f32; LANES]>,
    added: Vec<f32>,
}

impl Dense {
    /// Weights come by output. Channels are padded.
    fn read(from: &mut Halves, inputs: usize, outputs: usize) -> Self {
        let (padded_in, padded_out) = (lanes(inputs), lanes(outputs));
        let raw = from.take(inputs * outputs);
        let mut added = from.take(outputs);
        added.resize(padded_out, 0.0);
        let mut weights = vec![[0.0; LANES]; padded_in * padded_out / LANES];
        for (output, row) in raw.chunks(inputs).enumerate() {
            for (input, weight) in row.iter().enumerate() {
                weights[output / LANES * padded_in + input][output % LANES] = *weight;
            }
        }
        Self { inputs: padded_in, outputs: padded_out, weights, added }
    }

    /// Adds what comes of `from`, place by place, to `to`.
    fn add(&self, from: &[f32], to: &mut [f32]) {
        let pairs = from.chunks_exact(PLACES * self.inputs).zip(to.chunks_exact_mut(PLACES * self.outputs));
        for (from, to) in pairs {
            let places: [&[f32]; PLACES] =
                std::array::from_fn(|place| &from[place * self.inputs..(place + 1) * self.inputs]);
            for (lane, (weights, added)) in
                self.weights.chunks_exact(self.inputs).zip(self.added.chunks_exact(LANES)).enumerate()
            {
                let mut sums = [[0.0f32; LANES]; PLACES];
                for sum in &mut sums {
                    sum.copy_from_slice(added);
                }
                for (input, weights) in weights.iter().enumerate() {
                    for (sum, place) in sums.iter_mut().zip(places) {
                        let number = place[input];
                        for (sum, weight) in sum.iter_mut().zip(weights) {
                            *sum += number * weight;
                        }
                    }
                }
                for (place, sum) in sums.iter().enumerate() {
                    let start = place * self.outputs + lane * LANES;
                    for (to, sum) in to[start..start + LANES].iter_mut().zip(sum) {
                        *to += sum;
                    }
                }
            }
        }
    }
}

/// Over 3 × 3 places, each channel on its own.
#[derive(Debug, Clone)]
struct Near {
    step: usize,
    /// By place.
    weights: [Vec<f32>; 9],
    added: Vec<f32>,
}

impl Near {
    fn read(from: &mut Halves, channels: usize, step: usize) -> Self {
        let mut padded = || {
            let mut numbers = from.take(channels);
            numbers.resize(lanes(channels), 0.0);
            numbers
        };
        Self { step, weights: std::array::from_fn(|_| padded()), added: padded() }
    }

    fn fill(&self, from: &Map, to: &mut Map) {
        to.reset(from.side / self.step, from.channels);
        // With steps of two the border is at the far sides alone.
        let before = if self.step == 1 { 1 } else { 0 };
        let side = to.side;
        for (index, sums) in to.numbers.chunks_exact_mut(from.channels).enumerate() {
            sums.copy_from_slice(&self.added);
            let (x, y) = (index % side * self.step, index / side * self.step);
            for (tap, weights) in self.weights.iter().enumerate() {
                let (x, y) = ((x + tap % 3).wrapping_sub(before), (y + tap / 3).wrapping_sub(before));
                if x < from.side && y < from.side {
                    for ((sum, number), weight) in sums.iter_mut().zip(from.place(x, y)).zip(weights) {
                        *sum += number * weight;
                    }
                }
            }
        }
    }
}

/// The convolution of 5 × 5 with steps of two that reads the picture.
#[derive(Debug, Clone)]
struct First(Dense);

impl First {
    const SPAN: usize = 5;

    fn read(from: &mut Halves) -> Self {
        Self(Dense::read(from, Self::SPAN * Self::SPAN * COLOURS, BLOCKS[0].0))
    }

    /// `rows` is for what is gathered of a few places.
    fn fill(&self, picture: &[f32], rows: &mut Vec<f32>, to: &mut Map) {
        to.reset(SIDE / 2, self.0.outputs);
        let (inputs, row) = (self.0.inputs, to.side * self.0.outputs);
        for (y, to) in to.numbers.chunks_exact_mut(row).enumerate() {
            rows.clear();
            rows.resize(SIDE / 2 * inputs, 0.0);
            for (x, gathered) in rows.chunks_exact_mut(inputs).enumerate() {
                // The border is of one place before and of two behind.
                let left = (2 * x).max(1) - 1;
                let skipped = (left + 1 - 2 * x) * COLOURS;
                let right = (2 * x + Self::SPAN - 1).min(SIDE);
                for (line, gathered) in gathered.chunks_mut(Self::SPAN * COLOURS).take(Self::SPAN).enumerate()
                {
                    let y = (2 * y + line).wrapping_sub(1);
                    if y < SIDE {
                        let from = &picture[(y * SIDE + left) * COLOURS..(y * SIDE + right) * COLOURS];
                        gathered[skipped..skipped + from.len()].copy_from_slice(from);
                    }
                }
            }
            self.0.add(rows, to);
        }
        cut(&mut to.numbers);
    }
}

/// Nothing below zero.
fn cut(numbers: &mut [f32]) {
    for number in numbers {
        *number = number.max(0.0);
    }
}

/// Brings `from` to a map with half the side, if so, and perhaps more channels: the largest of four places, and zeros.
fn carry(from: &Map, step: usize, to: &mut Map, channels: usize) {
    to.reset(from.side / step, channels);
    let side = to.side;
    for (index, to) in to.numbers.chunks_exact_mut(channels).enumerate() {
        let (x, y) = (index % side * step, index / side * step);
        to[..from.channels].copy_from_slice(from.place(x, y));
        if step == 2 {
            for (x, y) in [(x + 1, y), (x, y + 1), (x + 1, y + 1)] {
                for (most, number) in to.iter_mut().zip(from.place(x, y)) {
                    *most = most.max(*number);
                }
            }
        }
    }
}

/// What came of a picture, by place: grids as in [`GRIDS`], rows of them, and what is looked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// Scores before they are brought to 0 to 1.
    pub(super) scores: Vec<f32>,
    /// See [`BOX`]. In pixels, middles from the middle of the place.
    pub(super) boxes: Vec<f32>,
}

/// The network, and memory to work in.
#[derive(Debug, Clone)]
pub(super) struct Net {
    first: First,
    blocks: Vec<(Near, Dense)>,
    /// By grid: scores, boxes.
    heads: [(Dense, Dense); 2],
    rows: Vec<f32>,
    now: Map,
    near: Map,
    next: Map,
    head: Vec<f32>,
    found: Found,
}

impl Net {
    pub(super) fn new() -> Self {
        let (halves, _) = WEIGHTS.as_chunks::<2>();
        let mut from = Halves(halves.iter());
        let first = First::read(&mut from);
        let blocks = BLOCKS
            .iter()
            .map(|(inputs, outputs, step)| {
                (Near::read(&mut from, *inputs, *step), Dense::read(&mut from, *inputs, *outputs))
            })
            .collect();
        let channels = [BLOCKS[FINE_AFTER].0, BLOCKS[BLOCKS.len() - 1].1];
        let mut heads = |numbers: usize| {
            [0, 1].map(|grid| Dense::read(&mut from, channels[grid], GRIDS[grid].1 * numbers))
        };
        let [fine_scores, coarse_scores] = heads(1);
        let [fine_boxes, coarse_boxes] = heads(BOX);
        Self {
            first,
            blocks,
            heads: [(fine_scores, fine_boxes), (coarse_scores, coarse_boxes)],
            rows: Vec::new(),
            now: Map::default(),
            near: Map::default(),
            next: Map::default(),
            head: Vec::new(),
            found: Found::default(),
        }
    }

    /// Looks at [`SIDE`] rows of as many pixels, each red, green and blue from -1 to 1.
    pub(super) fn look(&mut self, picture: &[f32]) -> &Found {
        self.found.scores.clear();
        self.found.boxes.clear();
        self.first.fill(picture, &mut self.rows, &mut self.now);
        for (index, (near, dense)) in self.blocks.iter().enumerate() {
            if index == FINE_AFTER {
                read(&self.heads[0], GRIDS[0].1, &self.now, &mut self.head, &mut self.found);
            }
            near.fill(&self.now, &mut self.near);
            carry(&self.now, near.step, &mut self.next, dense.outputs);
            dense.add(&self.near.numbers, &mut self.next.numbers);
            cut(&mut self.next.numbers);
            std::mem::swap(&mut self.now, &mut self.next);
        }
        read(&self.heads[1], GRIDS[1].1, &self.now, &mut self.head, &mut self.found);
        &self.found
    }
}

fn read((scores, boxes): &(Dense, Dense), each: usize, from: &Map, head: &mut Vec<f32>, found: &mut Found) {
    for (dense, numbers, to) in [(scores, each, &mut found.scores), (boxes, each * BOX, &mut found.boxes)] {
        head.clear();
        head.resize(from.side * from.side * dense.outputs, 0.0);
        dense.add(&from.numbers, head);
        to.extend(head.chunks_exact(dense.outputs).flat_map(|place| &place[..numbers]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read_as_numbers() {
        for (half, number) in
            [(0x3c00, 1.0), (0xc000, -2.0), (0x3555, 0.333_251_95), (0x0001, 5.960_464_5e-8), (0, 0.0)]
        {
            assert_eq!(widen(half), number);
        }
    }

    /// What ONNX Runtime 1.32 makes of the same numbers, with the model converted by tflite2onnx 0.4.1.
    #[test]
    fn numbers_are_those_of_another_runtime() {
        let picture: Vec<_> =
            (0..SIDE * SIDE * COLOURS).map(|index| (index * 7919 % 251) as f32 / 125.0 - 1.0).collect();
        let mut net = Net::new();
        // The second time with memory that was used.
        for _ in 0..2 {
            let found = net.look(&picture);
            let scores =
                [(0, -4.491_878_5), (1, -4.095_714), (300, -2.876_67), (512, -5.084_435), (895, -53.408_005)];
            for (place, score) in scores {
                assert!((found.scores[place] - score).abs() < 1e-3, "{place}: {}", found.scores[place]);
            }
            let boxes = [
                (300, [1.191_594_5, 0.054_693_52, 22.529_144, 22.529_01]),
                (895, [21.955_5, 4.380_269, 152.801_5, 152.855_38]),
            ];
            for (place, numbers) in boxes {
                let of = &found.boxes[place * BOX..][..4];
                assert!(of.iter().zip(numbers).all(|(a, b)| (a - b).abs() < 2e-3), "{place}: {of:?}");
            }
            let sum = |numbers: &[f32]| numbers.iter().map(|number| f64::from(*number)).sum::<f64>();
            assert_eq!((found.scores.len(), found.boxes.len()), (896, 896 * BOX));
            assert!((sum(&found.scores) + 4541.2549).abs() < 0.05, "{}", sum(&found.scores));
            assert!((sum(&found.boxes) - 85_651.14).abs() < 0.5, "{}", sum(&found.boxes));
        }
    }
}
