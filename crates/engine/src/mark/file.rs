//! Whether files are what they are said to be: as much as can be told without decoding them, so that a mistake is told when the
//! server starts.

use crate::limits::MARK_PIXELS_MAX;

/// What an image file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    WebP,
}

impl ImageKind {
    /// What a file is, by how it begins.
    pub fn of(file: &[u8]) -> Option<Self> {
        // ITU-T T.81 section B.1.1.3, and RFC 9649 section 2.4.
        const START_OF_IMAGE: &[u8] = &[0xff, 0xd8, 0xff];
        let is_webp = || file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WEBP");
        match () {
            () if file.starts_with(SIGNATURE) => Some(Self::Png),
            () if file.starts_with(START_OF_IMAGE) => Some(Self::Jpeg),
            () if is_webp() => Some(Self::WebP),
            () => None,
        }
    }
}

/// Looks at an image file: whether it is one that is decoded here. A PNG file is looked at as [`check_image`] does.
///
/// # Errors
///
/// What is wrong, to be read behind the name of the file.
pub fn check_picture(file: &[u8]) -> Result<(), String> {
    match ImageKind::of(file) {
        Some(ImageKind::Png) => check_image(file).map(drop),
        Some(ImageKind::Jpeg | ImageKind::WebP) => Ok(()),
        None => Err("is neither a PNG nor a JPEG nor a WebP file: convert it to one".to_owned()),
    }
}

/// PNG section 5.2.
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Length, type and checksum of a chunk (PNG section 5.3).
const CHUNK_BYTES: usize = 12;

/// Looks at a PNG file: whether it is one, is whole, and is not too large. Width and height in pixels.
///
/// # Errors
///
/// What is wrong, to be read behind the name of the file.
pub fn check_image(file: &[u8]) -> Result<(u32, u32), String> {
    let mut rest = file.strip_prefix(SIGNATURE).ok_or("is not a PNG file: convert it to one")?;
    let mut size = None;
    loop {
        let cut = || "ends in the middle: write it anew".to_owned();
        let length = u32::from_be_bytes(*rest.first_chunk().ok_or_else(cut)?) as usize;
        let end = length.checked_add(CHUNK_BYTES).filter(|end| *end <= rest.len()).ok_or_else(cut)?;
        let (chunk, after) = rest.split_at(end);
        let (checked, sum) = chunk[4..].split_at(length + 4);
        if crc32(checked).to_be_bytes() != sum {
            return Err("is damaged: write it anew".to_owned());
        }
        let (kind, data) = checked.split_at(4);
        match (kind, size) {
            (b"IHDR", None) => {
                let side = |at: usize| data.get(at..)?.first_chunk().copied().map(u32::from_be_bytes);
                let (Some(width), Some(height)) = (side(0), side(4)) else { return Err(cut()) };
                let pixels = u64::from(width) * u64::from(height);
                if pixels == 0 || pixels > u64::from(MARK_PIXELS_MAX) {
                    return Err(format!(
                        "has {width}x{height} pixels: make it smaller than {MARK_PIXELS_MAX} pixels"
                    ));
                }
                size = Some((width, height));
            }
            (_, None) => return Err("is not a PNG file: convert it to one".to_owned()),
            (b"IEND", Some(size)) => return Ok(size),
            _ => {}
        }
        rest = after;
    }
}

/// The checksum of PNG (annex D), bit by bit: files are read once.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte),
            |sum, _| if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 },
        )
    })
}

/// Looks at a file: whether it begins as a TrueType or OpenType font, or a collection of them.
///
/// # Errors
///
/// What is wrong, to be read behind the name of the file.
pub fn check_font(file: &[u8]) -> Result<(), String> {
    const KINDS: [&[u8]; 4] = [&[0, 1, 0, 0], b"OTTO", b"ttcf", b"true"];
    match KINDS.iter().any(|kind| file.starts_with(kind)) {
        true => Ok(()),
        false => Err("is not a TrueType or OpenType font: name a .ttf, .otf or .ttc file".to_owned()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let checked = [kind, data].concat();
        [&(data.len() as u32).to_be_bytes()[..], &checked, &crc32(&checked).to_be_bytes()].concat()
    }

    /// A file that is whole, and holds no picture.
    fn png(width: u32, height: u32) -> Vec<u8> {
        let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 6, 0, 0, 0]].concat();
        [SIGNATURE, &chunk(b"IHDR", &head), &chunk(b"IDAT", b"?"), &chunk(b"IEND", b"")].concat()
    }

    #[test]
    fn a_file_says_how_large_it_is() {
        assert_eq!(check_image(&png(320, 180)), Ok((320, 180)));
        assert_eq!(crc32(b"IEND"), 0xae42_6082, "as at the end of every PNG file");
    }

    #[test]
    fn what_is_no_picture_has_a_reason() {
        let reason = |file: &[u8]| check_image(file).unwrap_err();
        assert!(reason(b"\xff\xd8\xff\xe0").contains("not a PNG"));
        assert!(reason(b"").contains("not a PNG"));
        assert!(reason(&png(0, 5)).contains("0x5"));
        assert!(reason(&png(65_536, 65_536)).contains("smaller"));
        let mut damaged = png(320, 180);
        damaged[20] ^= 1;
        assert!(reason(&damaged).contains("damaged"));
        let whole = png(320, 180);
        for cut in SIGNATURE.len()..whole.len() {
            assert!(reason(&whole[..cut]).contains("ends"), "{cut}");
        }
    }

    #[test]
    fn pictures_are_told_by_their_beginning() {
        assert_eq!(check_picture(&png(320, 180)), Ok(()));
        assert_eq!(ImageKind::of(b"\xff\xd8\xff\xe0..JFIF"), Some(ImageKind::Jpeg));
        assert_eq!(ImageKind::of(b"RIFF\x10\0\0\0WEBPVP8 "), Some(ImageKind::WebP));
        assert!(check_picture(b"GIF89a").unwrap_err().contains("neither"));
        assert!(check_picture(&png(320, 180)[..40]).unwrap_err().contains("ends"));
    }

    #[test]
    fn fonts_are_told_by_their_beginning() {
        assert_eq!(check_font(&[0, 1, 0, 0, 0, 15]), Ok(()));
        assert_eq!(check_font(b"OTTO..."), Ok(()));
        assert!(check_font(b"wOF2...").is_err() && check_font(b"").is_err());
    }

    proptest! {
        #[test]
        fn no_file_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = check_image(&bytes);
            let _ = check_picture(&bytes);
            let _ = check_image(&[SIGNATURE, &bytes].concat());
        }
    }
}
