//! Where the media comes from: FLV and MP4 files, FLV on standard input, packets in memory.

mod flv;
mod mp4;
mod replay;
mod timeline;

pub use flv::FlvSource;
pub use mp4::Mp4Source;
pub use replay::Replay;
pub use timeline::Timeline;

use crate::Error;
use media::Packet;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// A sequence of packets in decode order, configuration before frames.
///
/// Reading may block on a disk or a pipe; [`crate::Feed`] moves that off the network thread.
pub trait Source: Send {
    /// The next packet, `None` at the end.
    fn next(&mut self) -> Result<Option<Packet>, Error>;

    /// Goes back to the first packet. Fails on a pipe.
    fn rewind(&mut self) -> Result<(), Error>;
}

impl Source for Box<dyn Source> {
    fn next(&mut self) -> Result<Option<Packet>, Error> {
        (**self).next()
    }

    fn rewind(&mut self) -> Result<(), Error> {
        (**self).rewind()
    }
}

/// Opens a media file by its content, or FLV on standard input when `path` is `-`.
pub fn open(path: &Path) -> Result<Box<dyn Source>, Error> {
    if path == Path::new("-") {
        return Ok(Box::new(FlvSource::from_pipe(std::io::stdin())));
    }
    let named = |error: std::io::Error| Error::Source(format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(named)?;
    let mut head = Vec::with_capacity(12);
    file.by_ref().take(12).read_to_end(&mut head).map_err(named)?;
    file.seek(SeekFrom::Start(0)).map_err(named)?;
    if head.starts_with(b"FLV") {
        return Ok(Box::new(FlvSource::from_file(file)));
    }
    let brand = head.get(4..8);
    if matches!(brand, Some(b"ftyp" | b"moov" | b"free" | b"skip" | b"wide" | b"mdat" | b"styp" | b"sidx")) {
        return match Mp4Source::new(BufReader::with_capacity(256 << 10, file)) {
            Ok(source) => Ok(Box::new(source)),
            Err(Error::Source(what)) => Err(Error::Source(format!("{}: {what}", path.display()))),
            Err(error) => Err(error),
        };
    }
    Err(Error::Source(format!(
        "{}: this is neither an FLV nor an MP4 file; convert it first, for example \
         with `ffmpeg -i INPUT -c copy OUTPUT.mp4`",
        path.display()
    )))
}
