//! A small FLV reader, for looking at what a live response carries while it runs.

use std::io::{self, Read};

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// 8 audio, 9 video, 18 script.
    pub kind: u8,
    /// Milliseconds.
    pub timestamp: u32,
    /// Everything after the tag header.
    pub body: Vec<u8>,
}

impl Tag {
    /// A coded picture at which decoding can start, in the legacy or the enhanced form.
    pub fn is_keyframe(&self) -> bool {
        self.kind == 9 && self.frame_type() == Some(1) && !self.is_config()
    }

    /// A coded picture.
    pub fn is_picture(&self) -> bool {
        let enhanced = self.body.first().is_some_and(|first| first & 0x80 != 0);
        let packet_type =
            if enhanced { self.body.first().map(|first| first & 0x0f) } else { self.body.get(1).copied() };
        self.kind == 9 && packet_type.is_some_and(|t| if enhanced { t == 1 || t == 3 } else { t == 1 })
    }

    /// A codec configuration (sequence header).
    pub fn is_config(&self) -> bool {
        let Some(&first) = self.body.first() else { return false };
        match self.kind {
            9 if first & 0x80 != 0 => first & 0x0f == 0,
            9 => self.body.get(1) == Some(&0),
            8 if first >> 4 == 9 => first & 0x0f == 0,
            8 => first >> 4 == 10 && self.body.get(1) == Some(&0),
            _ => false,
        }
    }

    /// When a picture of H.264 is shown, in milliseconds: the composition time is added (FLV, "AVCVIDEOPACKET").
    pub fn shown_at(&self) -> i64 {
        let offset = match self.body[..] {
            [_, 1, high, middle, low, ..] => i32::from_be_bytes([high, middle, low, 0]) >> 8,
            _ => 0,
        };
        i64::from(self.timestamp) + i64::from(offset)
    }

    fn frame_type(&self) -> Option<u8> {
        self.body.first().map(|first| (first >> 4) & 7)
    }
}

/// Reads tags from a stream of bytes.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
}

impl<R: Read> Reader<R> {
    /// Reads the file header.
    ///
    /// # Errors
    /// If the bytes do not begin as FLV does, or the input fails.
    pub fn new(mut input: R) -> io::Result<Self> {
        let mut header = [0; 13];
        input.read_exact(&mut header)?;
        if header[..4] != *b"FLV\x01" || header[5..9] != [0, 0, 0, 9] || header[9..] != [0; 4] {
            return Err(io::Error::other(format!("no FLV header: {header:02x?}")));
        }
        Ok(Self { input })
    }

    /// The next tag.
    ///
    /// # Errors
    /// At the end of the input (`UnexpectedEof`), and where the tag sizes do not agree.
    pub fn tag(&mut self) -> io::Result<Tag> {
        let mut head = [0; 11];
        self.input.read_exact(&mut head)?;
        let size = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        let mut body = vec![0; size];
        self.input.read_exact(&mut body)?;
        let mut trailer = [0; 4];
        self.input.read_exact(&mut trailer)?;
        if u32::from_be_bytes(trailer) as usize != size + 11 {
            return Err(io::Error::other("the size after a tag is not the size before it"));
        }
        Ok(Tag { kind: head[0], timestamp: u32::from_be_bytes([head[7], head[4], head[5], head[6]]), body })
    }

    /// Reads on until a tag fits, and returns it.
    ///
    /// # Errors
    /// As [`Reader::tag`].
    pub fn find(&mut self, mut fits: impl FnMut(&Tag) -> bool) -> io::Result<Tag> {
        loop {
            let tag = self.tag()?;
            if fits(&tag) {
                return Ok(tag);
            }
        }
    }
}
