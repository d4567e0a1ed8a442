//! Byte ranges (RFC 9110 section 14). Pure.

use bytes::Bytes;

/// What a `Range` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// All of it: the header asks for several ranges, or says something that is none.
    Whole,
    /// The first and the last byte.
    Bytes(usize, usize),
    /// Nothing that is there.
    Outside,
}

/// Reads a header for something of `total` bytes.
pub(super) fn parse(header: &str, total: usize) -> Range {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Range::Whole;
    };
    let number = |text: &str| text.trim().parse::<usize>();
    match (first.trim().is_empty(), number(first), number(last)) {
        // The last so many bytes.
        (true, _, Ok(0)) => Range::Outside,
        (true, _, Ok(_)) if total == 0 => Range::Outside,
        (true, _, Ok(count)) => Range::Bytes(total.saturating_sub(count), total - 1),
        (false, Ok(first), _) if first >= total && (last.trim().is_empty() || number(last).is_ok()) => {
            Range::Outside
        }
        (false, Ok(first), Ok(last)) if first <= last => Range::Bytes(first, last.min(total - 1)),
        (false, Ok(first), Err(_)) if last.trim().is_empty() => Range::Bytes(first, total - 1),
        _ => Range::Whole,
    }
}

/// The bytes from `first` to `last` of `parts`, shared.
pub(super) fn slice(parts: &[Bytes], first: usize, last: usize) -> Vec<Bytes> {
    let mut at = 0;
    let mut slices = Vec::new();
    for part in parts {
        let (begin, end) = (at, at + part.len());
        at = end;
        let (from, to) = (first.max(begin), (last + 1).min(end));
        if from < to {
            slices.push(part.slice(from - begin..to - begin));
        }
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_read_as_the_specification_says() {
        for (header, range) in [
            ("bytes=0-", Range::Bytes(0, 9)),
            ("bytes=2-4", Range::Bytes(2, 4)),
            ("bytes=2-99", Range::Bytes(2, 9)),
            ("bytes=-3", Range::Bytes(7, 9)),
            ("bytes=-99", Range::Bytes(0, 9)),
            ("bytes=10-", Range::Outside),
            ("bytes=10-12", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=4-2", Range::Whole),
            ("bytes=0-1,3-4", Range::Whole),
            ("bytes=-", Range::Whole),
            ("items=0-1", Range::Whole),
            ("bytes=a-b", Range::Whole),
        ] {
            assert_eq!(parse(header, 10), range, "{header}");
        }
        assert_eq!(parse("bytes=-1", 0), Range::Outside);
        assert_eq!(parse("bytes=0-0", 0), Range::Outside);
    }

    proptest! {
        #[test]
        fn a_slice_has_the_bytes_of_its_range(cuts in prop::collection::vec(0usize..5, 1..6), first in 0usize..12, count in 1usize..12) {
            let mut next = 0u8;
            let parts: Vec<Bytes> = cuts.iter().map(|count| {
                (0..*count).map(|_| { next += 1; next }).collect::<Vec<_>>().into()
            }).collect();
            let whole: Vec<u8> = parts.concat();
            if !whole.is_empty() {
                let first = first % whole.len();
                let count = count.min(whole.len() - first);
                prop_assert_eq!(slice(&parts, first, first + count - 1).concat(), &whole[first..first + count]);
            }
        }

        #[test]
        fn any_header_gives_a_range_inside(header in "(bytes=)?[0-9, -]{0,24}", total in 0usize..100) {
            if let Range::Bytes(first, last) = parse(&header, total) {
                prop_assert!(first <= last && last < total);
            }
        }
    }
}
