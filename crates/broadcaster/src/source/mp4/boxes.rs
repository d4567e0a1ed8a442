//! Boxes, one container at a time.
//!
//! Containers are walked here, and `mp4-atom` decodes only boxes without children: it would read every box that it knows,
//! anywhere, and some of those that a player has no use for (`sgpd`, `iloc`) can name billions of empty entries.

use mp4_atom::{
    Atom, Co64, Ctts, DecodeAtom, DecodeMaybe, Elst, FourCC, Hdlr, Header, Mdhd, Stco, Stsc, Stss, Stsz,
    Stts, Tfdt, Tfhd, Tkhd, Trun,
};

/// The type of a box and what is inside.
pub(super) type Child<'a> = (FourCC, &'a [u8]);

/// The boxes that `container` consists of, to its end or to padding that has no room for a header.
pub(super) fn children(container: &[u8]) -> impl Iterator<Item = Result<Child<'_>, String>> {
    let mut rest = container;
    std::iter::from_fn(move || {
        let header = match Header::decode_maybe(&mut rest) {
            Ok(header) => header?,
            Err(error) => {
                rest = &[];
                return Some(Err(error.to_string()));
            }
        };
        let Some((body, after)) = rest.split_at_checked(header.size.unwrap_or(rest.len())) else {
            rest = &[];
            return Some(Err(format!("the {} box is longer than what it is in", header.kind)));
        };
        rest = after;
        Some(Ok((header.kind, body)))
    })
}

/// The boxes of one type in `container`.
pub(super) fn children_of<'a>(
    container: &'a [u8],
    kind: FourCC,
) -> impl Iterator<Item = Result<&'a [u8], String>> {
    let wanted = move |child: Result<Child<'a>, String>| match child {
        Ok((found, body)) => (found == kind).then_some(Ok(body)),
        Err(error) => Some(Err(error)),
    };
    children(container).filter_map(wanted)
}

/// Decodes a box that has no children.
pub(super) fn leaf<T: Atom>(mut body: &[u8]) -> Result<T, String> {
    let header = Header { kind: T::KIND, size: Some(body.len()) };
    T::decode_atom(&header, &mut body).map_err(|error| format!("the {} box is broken: {error}", T::KIND))
}

/// A `trak` box: the boxes of one track that matter here.
#[derive(Debug, Default)]
pub(super) struct Trak<'a> {
    pub(super) tkhd: Option<Tkhd>,
    pub(super) elst: Option<Elst>,
    pub(super) mdhd: Option<Mdhd>,
    pub(super) hdlr: Option<Hdlr>,
    /// The first sample entry, which says what the samples are.
    pub(super) entry: Option<Child<'a>>,
    pub(super) stbl: Stbl,
}

/// A `stbl` box: when samples are due, where they lie, and which are keyframes.
#[derive(Debug, Default)]
pub(super) struct Stbl {
    pub(super) stts: Stts,
    pub(super) ctts: Option<Ctts>,
    pub(super) stss: Option<Stss>,
    pub(super) stsc: Stsc,
    pub(super) stsz: Stsz,
    pub(super) stco: Option<Stco>,
    pub(super) co64: Option<Co64>,
}

impl<'a> Trak<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, String> {
        let mut trak = Self::default();
        for child in children(body) {
            let (kind, body) = child?;
            match kind.as_ref() {
                b"tkhd" => trak.tkhd = Some(leaf(body)?),
                b"edts" => {
                    for elst in children_of(body, Elst::KIND) {
                        trak.elst = Some(leaf(elst?)?);
                    }
                }
                b"mdia" => trak.read_mdia(body)?,
                _ => {}
            }
        }
        Ok(trak)
    }

    fn read_mdia(&mut self, body: &'a [u8]) -> Result<(), String> {
        for child in children(body) {
            let (kind, body) = child?;
            match kind.as_ref() {
                b"mdhd" => self.mdhd = Some(leaf(body)?),
                b"hdlr" => self.hdlr = Some(leaf(body)?),
                b"minf" => {
                    for stbl in children_of(body, FourCC::new(b"stbl")) {
                        self.read_stbl(stbl?)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_stbl(&mut self, body: &'a [u8]) -> Result<(), String> {
        for child in children(body) {
            let (kind, body) = child?;
            let stbl = &mut self.stbl;
            match kind.as_ref() {
                b"stsd" => {
                    // Version, flags and the number of entries stand before them.
                    let entries = body.get(8..).ok_or("the stsd box is cut off")?;
                    self.entry = children(entries).next().transpose()?;
                }
                b"stts" => stbl.stts = leaf(body)?,
                b"ctts" => stbl.ctts = Some(leaf(body)?),
                b"stss" => stbl.stss = Some(leaf(body)?),
                b"stsc" => stbl.stsc = leaf(body)?,
                b"stsz" => stbl.stsz = leaf(body)?,
                b"stco" => stbl.stco = Some(leaf(body)?),
                b"co64" => stbl.co64 = Some(leaf(body)?),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A `traf` box: the part of a track that lies in one movie fragment.
#[derive(Debug)]
pub(super) struct Traf {
    pub(super) tfhd: Tfhd,
    pub(super) tfdt: Option<Tfdt>,
    pub(super) trun: Vec<Trun>,
}

impl Traf {
    /// Reads those of a `moof` box.
    pub(super) fn read_all(moof: &[u8]) -> Result<Vec<Self>, String> {
        children_of(moof, FourCC::new(b"traf")).map(|traf| Self::read(traf?)).collect()
    }

    fn read(body: &[u8]) -> Result<Self, String> {
        let (mut tfhd, mut tfdt, mut trun) = (None, None, Vec::new());
        for child in children(body) {
            let (kind, body) = child?;
            match kind.as_ref() {
                b"tfhd" => tfhd = Some(leaf(body)?),
                b"tfdt" => tfdt = Some(leaf(body)?),
                b"trun" => trun.push(leaf(body)?),
                _ => {}
            }
        }
        Ok(Self { tfhd: tfhd.ok_or("a traf box has no tfhd")?, tfdt, trun })
    }
}
