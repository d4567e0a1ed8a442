//! A slate, made by a process that lives as long as that takes.

use super::Launch;
use super::process::{Heard, Worker, WorkerId};
use crate::ipc::{Order, Report};
use crate::limits::{REPORTS_QUEUED_MAX, SLATE_BYTES_MAX, SLATE_FRAMES_MAX, SLATE_MAX};
use crate::picture::Layout;
use crate::slate::{Config, Slate};
use bytes::Bytes;
use std::fs::File;
use std::os::fd::OwnedFd;
use tokio::sync::mpsc;

/// Makes a slate.
///
/// # Errors
///
/// Why there is none, for people: a size that is no picture's, a broken file, no encoder, or no process.
pub async fn slate(launch: &Launch, nice: u8, config: &Config) -> Result<Slate, String> {
    let Config { width, height, fps, frames, .. } = *config;
    let is_even = width.is_multiple_of(2) && height.is_multiple_of(2);
    if Layout::of(width, height).is_none() || !is_even || fps == 0 {
        return Err(format!("there is no picture of {width}x{height} pixels"));
    }
    if !(1..=SLATE_FRAMES_MAX).contains(&frames) {
        return Err(format!("{frames} frames are none, or too many"));
    }
    let (heard, mut reports) = mpsc::channel(REPORTS_QUEUED_MAX);
    let start = || {
        let nothing = OwnedFd::from(File::open("/dev/null")?);
        Worker::start(launch, nice, &nothing, WorkerId(0), &Order::Slate(config.clone()), heard)
    };
    let worker = start().map_err(|error| format!("a process cannot be started: {error}"))?;
    let answer = async {
        let mut made = Making::default();
        loop {
            match reports.recv().await {
                Some((_, Heard::Report(Report::Done))) => return made.finish(frames),
                Some((_, Heard::Report(Report::Failed(why)) | Heard::Gone(why))) => return Err(why),
                Some((_, Heard::Report(report))) => made.take(report)?,
                Some((_, Heard::Used(_))) => {}
                None => return Err("its process ended".to_owned()),
            }
        }
    };
    let made = tokio::time::timeout(SLATE_MAX, answer).await;
    drop(worker);
    made.unwrap_or_else(|_| Err(format!("there was none within {} s", SLATE_MAX.as_secs())))
}

/// What a process has said so far. It has read files that others made, and is not believed.
#[derive(Default)]
struct Making {
    record: Option<Bytes>,
    frames: Vec<Bytes>,
    bytes: usize,
}

impl Making {
    fn take(&mut self, report: Report) -> Result<(), String> {
        match report {
            Report::Configured(record) if self.record.is_none() => self.record = Some(record.into()),
            Report::Packet(coded)
                if coded.keyframe == self.frames.is_empty()
                    && coded.pts == coded.dts
                    && self.record.is_some() =>
            {
                self.bytes += coded.payload.len();
                self.frames.push(coded.payload.into());
            }
            _ => return Err("its process makes something else".to_owned()),
        }
        let is_large = self.bytes > SLATE_BYTES_MAX || self.frames.len() > SLATE_FRAMES_MAX as usize;
        if is_large { Err("it is too large".to_owned()) } else { Ok(()) }
    }

    fn finish(self, frames: u32) -> Result<Slate, String> {
        let is_whole =
            self.frames.len() == frames as usize && self.frames.iter().all(|frame| !frame.is_empty());
        let slate = self.record.filter(|_| is_whole).map(|record| Slate { record, frames: self.frames });
        slate.ok_or_else(|| "it is not whole".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::Coded;

    fn packet(keyframe: bool, bytes: usize) -> Report {
        Report::Packet(Coded { pts: 0, dts: 0, keyframe, disposable: false, payload: vec![7; bytes] })
    }

    fn configured() -> Report {
        Report::Configured(vec![1])
    }

    fn made(reports: impl IntoIterator<Item = Report>, frames: u32) -> Result<Slate, String> {
        let mut making = Making::default();
        reports.into_iter().try_for_each(|report| making.take(report))?;
        making.finish(frames)
    }

    #[test]
    fn a_slate_is_a_record_a_keyframe_and_frames_that_follow() {
        let slate = made([configured(), packet(true, 9), packet(false, 2)], 2).unwrap();
        assert_eq!((slate.record.len(), slate.frames.len(), slate.frames[0].len()), (1, 2, 9));
    }

    #[test]
    fn what_a_process_says_otherwise_is_not_taken_for_one() {
        assert!(made([packet(true, 9)], 1).is_err(), "no record");
        assert!(made([configured(), packet(false, 9)], 1).is_err(), "no keyframe");
        assert!(made([configured(), packet(true, 9), packet(true, 9)], 2).is_err(), "two keyframes");
        assert!(made([configured(), packet(true, 9)], 2).is_err(), "a frame is missing");
        assert!(made([configured(), packet(true, 0)], 1).is_err(), "an empty frame");
        assert!(made([configured(), configured()], 0).is_err(), "two records");
        assert!(made([configured(), packet(true, SLATE_BYTES_MAX + 1)], 1).is_err(), "too large");
        assert!(made([Report::Taken], 0).is_err());
    }
}
