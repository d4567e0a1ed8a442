//! Reads the fragments of MP4 as far as their times say (ISO/IEC 14496-12).

/// What one movie fragment says of its first track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// The decode time of its first sample, in ticks.
    pub start: u64,
    /// The sum of the durations of its samples, in ticks.
    pub duration: u64,
    /// Samples.
    pub samples: u32,
    /// Whether the first sample is one to start decoding at.
    pub starts_with_sync: bool,
}

/// The boxes in `bytes`: type and body.
///
/// # Panics
/// If they do not fit.
pub fn boxes(bytes: &[u8]) -> Vec<([u8; 4], &[u8])> {
    let (mut rest, mut found) = (bytes, Vec::new());
    while !rest.is_empty() {
        let size = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        let (this, after) = rest.split_at(size);
        found.push((this[4..8].try_into().unwrap(), &this[8..]));
        rest = after;
    }
    found
}

fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    let Some((first, rest)) = path.split_first() else { return Some(bytes) };
    let (_, body) = boxes(bytes).into_iter().find(|(kind, _)| kind == *first)?;
    find(body, rest)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Ticks in a second of the only track of an initialization section.
///
/// # Panics
/// If it is none.
pub fn timescale(init: &[u8]) -> u64 {
    assert!(find(init, &[b"ftyp"]).is_some(), "an initialization section begins with ftyp");
    let header = find(init, &[b"moov", b"trak", b"mdia", b"mdhd"]).expect("it describes a track");
    u32_at(header, if header[0] == 1 { 20 } else { 12 }).into()
}

/// The fragments in `bytes`.
///
/// # Panics
/// If they are malformed, or if a `moof` is not followed by its `mdat`.
pub fn fragments(bytes: &[u8]) -> Vec<Fragment> {
    let all = boxes(bytes);
    let mut found = Vec::new();
    for (at, (kind, body)) in all.iter().enumerate() {
        if kind != b"moof" {
            continue;
        }
        let (next, media) = all.get(at + 1).expect("a moof is not the last box");
        assert_eq!(next, b"mdat", "a moof is followed by its mdat");
        found.push(fragment(body, media));
    }
    found
}

fn fragment(moof: &[u8], media: &[u8]) -> Fragment {
    let traf = find(moof, &[b"traf"]).expect("a fragment has a track");
    let tfhd = find(traf, &[b"tfhd"]).unwrap();
    let (flags, mut at) = (u32_at(tfhd, 0), 8);
    let mut default = |bit: u32, size: usize| {
        (flags & bit != 0).then(|| {
            at += size;
            u32_at(tfhd, at - size)
        })
    };
    assert_eq!(flags & 0x3, 0, "offsets are from the moof, and there is one description");
    let (duration, size, sample_flags) = (default(0x8, 4), default(0x10, 4), default(0x20, 4));
    let tfdt = find(traf, &[b"tfdt"]).expect("CMAF has tfdt");
    let start = if tfdt[0] == 1 { u64_at(tfdt, 4) } else { u32_at(tfdt, 4).into() };
    let trun = find(traf, &[b"trun"]).unwrap();
    let (flags, samples) = (u32_at(trun, 0), u32_at(trun, 4));
    let mut at = 8 + if flags & 1 != 0 { 4 } else { 0 };
    let mut first_flags = sample_flags;
    if flags & 4 != 0 {
        first_flags = Some(u32_at(trun, at));
        at += 4;
    }
    let (mut total, mut bytes) = (0, 0);
    for index in 0..samples {
        let mut field = |bit: u32| {
            (flags & bit != 0).then(|| {
                at += 4;
                u32_at(trun, at - 4)
            })
        };
        total += u64::from(field(0x100).or(duration).expect("a sample has a duration"));
        bytes += field(0x200).or(size).expect("a sample has a size");
        let own = field(0x400);
        if index == 0 {
            first_flags = first_flags.filter(|_| own.is_none()).or(own);
        }
        field(0x800);
    }
    assert_eq!(bytes as usize, media.len(), "the samples fill the mdat");
    let is_sync = first_flags.expect("a sample has flags") & 0x1_0000 == 0;
    Fragment { start, duration: total, samples, starts_with_sync: is_sync }
}
