//! A keyframe as a JPEG file, and some frames as an animated WebP file, made by a process that lives as long as that takes.

use super::Launch;
use super::process::{Heard, Worker, WorkerId};
use crate::ipc::{Coded, Order, Report, code_of};
use crate::limits::{ORDERS_QUEUED_MAX, PREVIEW_FRAMES_MAX, PREVIEW_SIDE_MAX, REPORTS_QUEUED_MAX, STILL_MAX};
use bytes::Bytes;
use media::{Codec, Packet};
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
    let first = Order::Still { codec, width_max };
    let frame = coded(0, true, &keyframe.payload);
    let orders = [Order::Configure(keyframe.record.to_vec()), Order::Packet(frame)];
    let made = make(launch, nice, &first, orders).await?;
    // What came out of a process that reads strangers' bytes is at least what it is said to be.
    const START_OF_IMAGE: &[u8] = &[0xff, 0xd8];
    match made.starts_with(START_OF_IMAGE) {
        true => Ok(made),
        false => Err(NoStill::Broken("no picture came of it".to_owned())),
    }
}

/// Makes an animated WebP file of `frames`, whose first is a keyframe, with square pixels and sides of at most [`PREVIEW_SIDE_MAX`]. Frames
/// come in decoding order; those beyond [`PREVIEW_FRAMES_MAX`] are left out.
///
/// # Errors
///
/// No decoder, no encoder of WebP, broken frames, or no process.
pub async fn preview(launch: &Launch, nice: u8, record: Bytes, frames: &[Packet]) -> Result<Bytes, NoStill> {
    let nothing = || NoStill::Broken("there is no frame".to_owned());
    let codec = frames.first().ok_or_else(nothing)?.codec;
    let no_decoder = || NoStill::NoDecoder(format!("there is no decoder for {codec:?}"));
    let first = Order::Preview { codec: code_of(codec).ok_or_else(no_decoder)?, side_max: PREVIEW_SIDE_MAX };
    let packets = frames
        .iter()
        .take(PREVIEW_FRAMES_MAX)
        .map(|frame| Order::Packet(coded(frame.pts.nanos(), frame.flags.keyframe, &frame.payload)));
    let orders = std::iter::once(Order::Configure(record.to_vec())).chain(packets).chain([Order::End]);
    let made = make(launch, nice, &first, orders).await?;
    // RFC 9649 section 2.3.
    let is_webp = made.starts_with(b"RIFF") && made.get(8..12) == Some(b"WEBP");
    if is_webp { Ok(made) } else { Err(NoStill::Broken("no animation came of it".to_owned())) }
}

// All of them are told at once: the first order, the configuration and the end are beside the frames.
const _: () = assert!(PREVIEW_FRAMES_MAX + 3 <= ORDERS_QUEUED_MAX);

fn coded(pts: i64, keyframe: bool, payload: &Bytes) -> Coded {
    Coded { pts, dts: pts, keyframe, disposable: false, payload: payload.to_vec() }
}

/// Starts a process, and waits for the file that it makes.
async fn make(
    launch: &Launch,
    nice: u8,
    first: &Order,
    orders: impl IntoIterator<Item = Order>,
) -> Result<Bytes, NoStill> {
    let (heard, mut reports) = mpsc::channel(REPORTS_QUEUED_MAX);
    let start = || {
        let nothing = OwnedFd::from(File::open("/dev/null")?);
        Worker::start(launch, nice, &nothing, WorkerId(0), first, heard)
    };
    let worker =
        start().map_err(|error| NoStill::NotMade(format!("a process cannot be started: {error}")))?;
    for order in orders {
        worker.tell(&order);
    }
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
    made.unwrap_or_else(late)
}
