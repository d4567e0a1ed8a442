//! FLV files, and FLV arriving on a pipe.

use super::Source;
use crate::{Error, limits};
use bytes::BytesMut;
use media::Packet;
use media::container::flv::Demuxer;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};

/// Bytes asked for in one read: a frame or more, so that a pipe's writer is woken rarely.
const READ_BYTES: usize = 64 << 10;

/// Reads FLV.
pub struct FlvSource {
    input: Input,
    demuxer: Demuxer,
    buffer: BytesMut,
}

enum Input {
    File(File),
    Pipe(Box<dyn Read + Send>),
}

impl FlvSource {
    /// Reads a file from where it stands.
    pub fn from_file(file: File) -> Self {
        Self { input: Input::File(file), demuxer: Demuxer::new(), buffer: BytesMut::new() }
    }

    /// Reads a pipe, which cannot be rewound.
    pub fn from_pipe(pipe: impl Read + Send + 'static) -> Self {
        Self { input: Input::Pipe(Box::new(pipe)), demuxer: Demuxer::new(), buffer: BytesMut::new() }
    }

    fn read(&mut self) -> Result<usize, Error> {
        let start = self.buffer.len();
        self.buffer.resize(start + READ_BYTES, 0);
        let read = loop {
            let result = match &mut self.input {
                Input::File(file) => file.read(&mut self.buffer[start..]),
                Input::Pipe(pipe) => pipe.read(&mut self.buffer[start..]),
            };
            match result {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result.map_err(|error| Error::Source(error.to_string()))?,
            }
        };
        self.buffer.truncate(start + read);
        Ok(read)
    }
}

impl Source for FlvSource {
    fn next(&mut self) -> Result<Option<Packet>, Error> {
        loop {
            match self.demuxer.push(&mut self.buffer) {
                Ok(Some(packet)) if packet.payload.len() > limits::FRAME_BYTES_MAX => {
                    return Err(Error::Source("a frame is larger than an RTMP message can be".into()));
                }
                Ok(Some(packet)) => return Ok(Some(packet)),
                Ok(None) => {}
                Err(error) => return Err(Error::Source(error.to_string())),
            }
            // What is left when the input ends is a tag that was cut off; recordings that were killed end so.
            if self.read()? == 0 {
                return Ok(None);
            }
        }
    }

    fn rewind(&mut self) -> Result<(), Error> {
        match &mut self.input {
            Input::File(file) => {
                file.seek(SeekFrom::Start(0)).map_err(|error| Error::Source(error.to_string()))?;
            }
            Input::Pipe(_) => return Err(Error::Source("standard input cannot be repeated".into())),
        }
        self.demuxer = Demuxer::new();
        self.buffer.clear();
        Ok(())
    }
}
