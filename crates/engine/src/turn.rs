//! Pictures that are to be turned before they are shown: how, and the turning. Pure.

/// How a picture is shown: mirrored, upside down, on its side, or several of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Rows become columns.
    pub(crate) is_sideways: bool,
    /// What comes out begins at the right.
    from_right: bool,
    /// What comes out begins at the bottom.
    from_below: bool,
}

/// Samples are turned in squares of this side: what is read and what is written of one stays in the cache.
const BLOCK: usize = 16;

impl Turn {
    /// What a display matrix asks for (ISO/IEC 14496-12 section 6.2.2: `a b u c d v x y w`, row by row), to the next quarter turn; `None`
    /// where the picture stays as it is, or the matrix makes nothing of it.
    pub(crate) fn of([a, b, _, c, d, ..]: [i32; 9]) -> Option<Self> {
        let straight = a.unsigned_abs().min(d.unsigned_abs());
        let sideways = b.unsigned_abs().min(c.unsigned_abs());
        let turn = match straight >= sideways {
            true => Self { is_sideways: false, from_right: a < 0, from_below: d < 0 },
            false => Self { is_sideways: true, from_right: c < 0, from_below: b < 0 },
        };
        (straight.max(sideways) > 0
            && turn != Self { is_sideways: false, from_right: false, from_below: false })
        .then_some(turn)
    }

    /// Width and height as shown.
    pub(crate) fn size(self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.is_sideways { (height, width) } else { (width, height) }
    }

    /// Turns a plane of samples, given as its rows, into the rows of another. Rows that are too short or missing leave samples as they are.
    pub(crate) fn apply(self, from: &[&[u8]], to: &mut [&mut [u8]]) {
        let (rows, columns) = (to.len(), to.first().map_or(0, |row| row.len()));
        for top in (0..rows).step_by(BLOCK) {
            for left in (0..columns).step_by(BLOCK) {
                for (row, to) in to.iter_mut().enumerate().skip(top).take(BLOCK) {
                    let row = if self.from_below { rows - 1 - row } else { row };
                    for (column, to) in to.iter_mut().enumerate().skip(left).take(BLOCK) {
                        let column = if self.from_right { columns - 1 - column } else { column };
                        let (y, x) = if self.is_sideways { (column, row) } else { (row, column) };
                        if let Some(sample) = from.get(y).and_then(|row| row.get(x)) {
                            *to = *sample;
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: i32 = 1 << 16;

    fn turned(matrix: [i32; 4], from: &[&[u8]]) -> Vec<Vec<u8>> {
        let [a, b, c, d] = matrix.map(|part| part * ONE);
        let turn = Turn::of([a, b, 0, c, d, 0, 0, 0, 1 << 30]).unwrap();
        let (width, height) = turn.size((from[0].len() as u32, from.len() as u32));
        let mut rows = vec![vec![0; width as usize]; height as usize];
        turn.apply(from, &mut rows.iter_mut().map(|row| &mut row[..]).collect::<Vec<_>>());
        rows
    }

    #[test]
    fn a_matrix_says_where_each_sample_goes() {
        let picture: &[&[u8]] = &[&[1, 2, 3], &[4, 5, 6]];
        // x' = a x + c y, y' = b x + d y, with y downwards.
        assert_eq!(turned([0, 1, -1, 0], picture), [[4, 1], [5, 2], [6, 3]], "a quarter, clockwise");
        assert_eq!(turned([0, -1, 1, 0], picture), [[3, 6], [2, 5], [1, 4]], "a quarter, the other way");
        assert_eq!(turned([-1, 0, 0, -1], picture), [[6, 5, 4], [3, 2, 1]], "a half");
        assert_eq!(turned([-1, 0, 0, 1], picture), [[3, 2, 1], [6, 5, 4]], "mirrored");
        assert_eq!(turned([0, 1, 1, 0], picture), [[1, 4], [2, 5], [3, 6]], "mirrored on its side");
    }

    #[test]
    fn what_stays_as_it_is_is_no_turn() {
        assert_eq!(Turn::of([ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30]), None);
        assert_eq!(Turn::of([0; 9]), None);
        // A few degrees: phones are not held straight.
        assert_eq!(Turn::of([65_000, 8_000, 0, -8_000, 65_000, 0, 0, 0, 1 << 30]), None);
    }

    proptest! {
        #[test]
        fn four_quarters_are_a_whole(width in 1usize..70, height in 1usize..70) {
            let picture: Vec<Vec<u8>> =
                (0..height).map(|y| (0..width).map(|x| (x * 7 + y * 31) as u8).collect()).collect();
            let mut turning = picture.clone();
            for _ in 0..4 {
                let rows: Vec<&[u8]> = turning.iter().map(|row| &row[..]).collect();
                turning = turned([0, 1, -1, 0], &rows);
            }
            prop_assert_eq!(turning, picture);
        }

        #[test]
        fn no_matrix_panics(matrix: [i32; 9], width in 1u32..5, height in 1u32..5) {
            if let Some(turn) = Turn::of(matrix) {
                let (to_width, to_height) = turn.size((width, height));
                let from = vec![vec![1u8; width as usize]; height as usize];
                let mut to = vec![vec![0u8; to_width as usize]; to_height as usize];
                let from: Vec<&[u8]> = from.iter().map(|row| &row[..]).collect();
                turn.apply(&from, &mut to.iter_mut().map(|row| &mut row[..]).collect::<Vec<_>>());
                prop_assert!(to.iter().flatten().all(|sample| *sample == 1));
            }
        }
    }
}
