//! The process that makes an animated picture of a few frames of a stream.

use super::{Failed, Server};
use crate::av::{Animation, Decoder, Frame, Normalizer};
use crate::ipc::{Coded, Order, Report};
use crate::limits::PREVIEW_PICTURES_MAX;

/// The least time between two pictures that are taken.
const STEP_NANOS: i64 = 300_000_000;
/// How long each of them is shown, however far apart they are: what is shown is what goes on, not how fast.
const SHOWN_MILLIS: i64 = 500;

/// What has come of it.
struct State {
    side_max: u32,
    normalizer: Normalizer,
    animation: Option<Animation>,
    pictures: usize,
    /// When the last picture that was taken is shown in the stream.
    taken: Option<i64>,
}

pub(super) fn run(server: &mut Server, codec: media::Codec, side_max: u32) -> Result<(), Failed> {
    let mut state =
        State { side_max, normalizer: Normalizer::default(), animation: None, pictures: 0, taken: None };
    let (mut record, mut decoder) = (Vec::new(), None);
    let mut frame = Frame::new().map_err(|error| Failed(error.to_string()))?;
    while let Some(order) = server.receive()? {
        match order {
            Order::Configure(new) => record = new,
            Order::Packet(coded) => {
                let decoder = match &mut decoder {
                    Some(decoder) => decoder,
                    None => {
                        let opened = Decoder::open(codec, &record, 1).map_err(Failed)?;
                        // What is wrong from here on is wrong with the stream.
                        server.report(&Report::Taken)?;
                        decoder.insert(opened)
                    }
                };
                state.take(decoder, Some(&coded), &mut frame)?;
            }
            Order::End => {
                if let Some(decoder) = &mut decoder {
                    state.take(decoder, None, &mut frame)?;
                }
                let animation = state.animation.ok_or_else(|| Failed("it has no picture".to_owned()))?;
                let payload = animation.finish().map_err(not_encoded)?;
                let coded = Coded { pts: 0, dts: 0, keyframe: true, disposable: false, payload };
                server.report(&Report::Packet(coded))?;
                return Ok(());
            }
            _ => return Err(Failed("an order for others".to_owned())),
        }
    }
    Ok(())
}

fn not_encoded(error: crate::av::Error) -> Failed {
    Failed(format!("the animation is not encoded: {error}"))
}

impl State {
    /// Decodes a frame, or what is left, and takes what is far enough from what was taken before. A frame that is broken is left out.
    fn take(
        &mut self,
        decoder: &mut Decoder,
        coded: Option<&Coded>,
        frame: &mut Frame,
    ) -> Result<(), Failed> {
        if decoder.send(coded).is_err() {
            return Ok(());
        }
        while let Ok(true) = decoder.receive(frame) {
            let pts = frame.pts().unwrap_or(0);
            let is_far = self.taken.is_none_or(|taken| pts.saturating_sub(taken) >= STEP_NANOS);
            if !is_far || self.pictures >= PREVIEW_PICTURES_MAX {
                continue;
            }
            let frame = self
                .normalizer
                .normal(frame, coded.is_some_and(|coded| coded.keyframe))
                .map_err(not_encoded)?;
            let animation = match &mut self.animation {
                Some(animation) => animation,
                None => self.animation.insert(Animation::open(frame, self.side_max).map_err(not_encoded)?),
            };
            animation.add(frame, SHOWN_MILLIS * self.pictures as i64).map_err(not_encoded)?;
            (self.pictures, self.taken) = (self.pictures + 1, Some(pts));
        }
        Ok(())
    }
}
