//! One keyframe as a JPEG file, made by a process that lives as long as that takes.

use super::Launch;
use super::process::{Heard, Worker, WorkerId};
use crate::ipc::{Coded, Order, Report, code_of};
use crate::limits::{REPORTS_QUEUED_MAX, STILL_MAX};
use bytes::Bytes;
use media::Codec;
use std::fs::File;
use std::os::fd::OwnedFd;
use tokio::sync::mpsc;

/// A coded picture that needs no other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Keyframe {
    /// Its codec.
    pub codec: Codec,
    /// The configuration record that goes with it; empty where the codec has none.
    pub record: Bytes,
    /// As in packets.
    pub payload: Bytes,
}

impl Keyframe {
    /// Whether there is a decoder for it.
    pub fn is_decodable(&self) -> bool {
        code_of(self.codec).is_some()
    }
}

/// Makes a JPEG file of `keyframe`, at most `width_max` pixels wide and with square pixels.
///
/// # Errors
///
/// Why there is none, for people: no decoder, a broken frame, or no process.
pub async fn still(launch: &Launch, nice: u8, keyframe: &Keyframe, width_max: u32) -> Result<Bytes, String> {
    let codec =
        code_of(keyframe.codec).ok_or_else(|| format!("there is no decoder for {:?}", keyframe.codec))?;
    let (heard, mut reports) = mpsc::channel(REPORTS_QUEUED_MAX);
    let start = || {
        let nothing = OwnedFd::from(File::open("/dev/null")?);
        Worker::start(launch, nice, &nothing, WorkerId(0), &Order::Still { codec, width_max }, heard)
    };
    let worker = start().map_err(|error| format!("a process cannot be started: {error}"))?;
    worker.tell(&Order::Configure(keyframe.record.to_vec()));
    worker.tell(&Order::Packet(Coded {
        pts: 0,
        dts: 0,
        keyframe: true,
        disposable: false,
        payload: keyframe.payload.to_vec(),
    }));
    let answer = async {
        loop {
            match reports.recv().await {
                Some((_, Heard::Report(Report::Packet(coded)))) => return Ok(Bytes::from(coded.payload)),
                Some((_, Heard::Gone(why))) => return Err(why),
                Some(_) => {}
                None => return Err("its process ended".to_owned()),
            }
        }
    };
    let made = tokio::time::timeout(STILL_MAX, answer).await;
    drop(worker);
    let made = made.unwrap_or_else(|_| Err(format!("no picture within {} s", STILL_MAX.as_secs())))?;
    // What came out of a process that reads strangers' bytes is at least what it is said to be.
    const START_OF_IMAGE: &[u8] = &[0xff, 0xd8];
    if made.starts_with(START_OF_IMAGE) { Ok(made) } else { Err("no picture came of it".to_owned()) }
}
