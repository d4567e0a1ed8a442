//! The samples of a track of a file that may grow. Pure.

use super::limits::SAMPLES_TOGETHER;
use media::container::fmp4::Sample;
use std::ops::Range;
use std::sync::Arc;

/// Samples in decode order. They are kept in blocks that copies share, so that an index of a file that grows is made anew every
/// second at the price of what is new.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Samples {
    full: Vec<Arc<[Sample]>>,
    last: Vec<Sample>,
}

impl Samples {
    /// Adds one at the end.
    pub(super) fn push(&mut self, mut sample: Sample) {
        // The final form of a file does not say it, and a segment is the same before and after.
        sample.flags.disposable = false;
        self.last.push(sample);
        if self.last.len() >= SAMPLES_TOGETHER {
            self.full.push(self.last.drain(..).collect());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.full.len() * SAMPLES_TOGETHER + self.last.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.full.is_empty() && self.last.is_empty()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Sample> {
        match self.full.get(index / SAMPLES_TOGETHER) {
            Some(block) => block.get(index % SAMPLES_TOGETHER),
            None => self.last.get(index.checked_sub(self.full.len() * SAMPLES_TOGETHER)?),
        }
    }

    pub(super) fn first(&self) -> Option<&Sample> {
        self.get(0)
    }

    pub(super) fn last(&self) -> Option<&Sample> {
        self.get(self.len().checked_sub(1)?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Sample> {
        self.full.iter().flat_map(|block| block.iter()).chain(&self.last)
    }

    /// Those of `range` that there are.
    pub(super) fn range(&self, range: Range<usize>) -> impl Iterator<Item = &Sample> {
        range.map_while(|index| self.get(index))
    }

    /// How many there are up to the first one that is not `before`, where all that are come first.
    pub(super) fn partition_point(&self, before: impl Fn(&Sample) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).is_some_and(&before) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }

    /// The bytes that it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        self.len() * size_of::<Sample>()
    }
}

impl Extend<Sample> for Samples {
    fn extend<I: IntoIterator<Item = Sample>>(&mut self, samples: I) {
        samples.into_iter().for_each(|sample| self.push(sample));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::Flags;
    use proptest::prelude::*;

    fn sample(number: usize) -> Sample {
        let flags = Flags { keyframe: true, disposable: true };
        Sample { position: number as u64, size: 1, dts: number as i64, composition: 0, flags }
    }

    #[test]
    fn a_copy_shares_what_is_full_and_stays_what_it_was() {
        let mut samples = Samples::default();
        samples.extend((0..SAMPLES_TOGETHER * 2 + 7).map(sample));
        let copy = samples.clone();
        samples.extend((copy.len()..SAMPLES_TOGETHER * 3).map(sample));
        assert_eq!((copy.len(), samples.len()), (SAMPLES_TOGETHER * 2 + 7, SAMPLES_TOGETHER * 3));
        assert!(copy.full.iter().zip(&samples.full).all(|(one, other)| Arc::ptr_eq(one, other)));
        assert!(copy.iter().zip(samples.iter()).all(|(one, other)| one == other));
        assert!(samples.iter().all(|sample| !sample.flags.disposable));
    }

    proptest! {
        #[test]
        fn it_is_what_a_list_is(count in 0..SAMPLES_TOGETHER * 3, from: usize, long in 0usize..3000, at: usize) {
            let list: Vec<i64> = (0..count as i64).collect();
            let mut samples = Samples::default();
            samples.extend((0..count).map(sample));
            let (from, at) = (from % (count + 5), at % (count + 5));
            prop_assert_eq!((samples.len(), samples.is_empty()), (count, count == 0));
            prop_assert_eq!(samples.get(at).map(|sample| sample.dts), list.get(at).copied());
            prop_assert_eq!(samples.last().map(|sample| sample.dts), list.last().copied());
            prop_assert_eq!(samples.first().map(|sample| sample.dts), list.first().copied());
            prop_assert!(samples.iter().map(|sample| sample.dts).eq(list.iter().copied()));
            let end = (from + long).min(count);
            let range: Vec<_> = samples.range(from..from + long).map(|sample| sample.dts).collect();
            prop_assert_eq!(&range[..], list.get(from..end).unwrap_or_default());
            prop_assert_eq!(samples.partition_point(|sample| sample.dts < at as i64), at.min(count));
        }
    }
}
