//! One keyframe as a JPEG file, made by a process that lives as long as that takes.

use super::Launch;
use super::process::{Heard, Worker, WorkerId};
use crate::ipc::{Coded, Order, Report, code_of};
use crate::limits::{REPORTS_QUEUED_MAX, STILL_MAX};
use bytes::Bytes;
use media::Codec;
use std::fmt;
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

/// Why there is no picture of a keyframe, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoStill {
    /// No decoder here takes its codec, or its configuration record.
    NoDecoder(String),
    /// The decoder took it, and says what is wrong with it: another try ends so too.
    Broken(String),
    /// The process was not started, has died or did not finish in time, which may pass.
    NotMade(String),
}

impl fmt::Display for NoStill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NoDecoder(why) | Self::Broken(why) | Self::NotMade(why)) = self;
        f.write_str(why)
    }
}

impl std::error::Error for NoStill {}

/// Makes a JPEG file of `keyframe`, at most `width_max` pixels wide and with square pixels.
///
/// # Errors
///
/// No decoder, a broken frame, or no process.
pub async fn still(launch: &Launch, nice: u8, keyframe: &Keyframe, width_max: u32) -> Result<Bytes, NoStill> {
    let no_decoder = || NoStill::NoDecoder(format!("there is no decoder for {:?}", keyframe.codec));
    let codec = code_of(keyframe.codec).ok_or_else(no_decoder)?;
    let (heard, mut reports) = mpsc::channel(REPORTS_QUEUED_MAX);
    let start = || {
        let nothing = OwnedFd::from(File::open("/dev/null")?);
        Worker::start(launch, nice, &nothing, WorkerId(0), &Order::Still { codec, width_max }, heard)
    };
    let worker =
        start().map_err(|error| NoStill::NotMade(format!("a process cannot be started: {error}")))?;
    worker.tell(&Order::Configure(keyframe.record.to_vec()));
    worker.tell(&Order::Packet(Coded {
        pts: 0,
        dts: 0,
        keyframe: true,
        disposable: false,
        payload: keyframe.payload.to_vec(),
    }));
    let answer = async {
        let mut is_taken = false;
        loop {
            match reports.recv().await {
                Some((_, Heard::Report(Report::Packet(coded)))) => return Ok(Bytes::from(coded.payload)),
                Some((_, Heard::Report(Report::Taken))) => is_taken = true,
                Some((_, Heard::Report(Report::Failed(why)))) if is_taken => {
                    return Err(NoStill::Broken(why));
                }
                Some((_, Heard::Report(Report::Failed(why)))) => return Err(NoStill::NoDecoder(why)),
                Some((_, Heard::Gone(why))) => return Err(NoStill::NotMade(why)),
                Some(_) => {}
                None => return Err(NoStill::NotMade("its process ended".to_owned())),
            }
        }
    };
    let made = tokio::time::timeout(STILL_MAX, answer).await;
    drop(worker);
    let late = |_| Err(NoStill::NotMade(format!("no picture within {} s", STILL_MAX.as_secs())));
    let made = made.unwrap_or_else(late)?;
    // What came out of a process that reads strangers' bytes is at least what it is said to be.
    const START_OF_IMAGE: &[u8] = &[0xff, 0xd8];
    match made.starts_with(START_OF_IMAGE) {
        true => Ok(made),
        false => Err(NoStill::Broken("no picture came of it".to_owned())),
    }
}
