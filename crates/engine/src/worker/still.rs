//! The process that makes one picture of one keyframe.

use super::{Failed, Server};
use crate::av::{Decoder, Frame, Normalizer, jpeg};
use crate::ipc::{Coded, Order, Report};

pub(super) fn run(server: &mut Server, codec: media::Codec, width_max: u32) -> Result<(), Failed> {
    let mut record = Vec::new();
    while let Some(order) = server.receive()? {
        match order {
            Order::Configure(new) => record = new,
            Order::Packet(coded) => {
                let decoder = Decoder::open(codec, &record, 1).map_err(Failed)?;
                // What is wrong from here on is wrong with the keyframe.
                server.report(&Report::Taken)?;
                let payload = make(decoder, &coded, width_max)?;
                let coded = Coded { pts: 0, dts: 0, keyframe: true, disposable: false, payload };
                server.report(&Report::Packet(coded))?;
                return Ok(());
            }
            _ => return Err(Failed("an order for others".to_owned())),
        }
    }
    Ok(())
}

fn make(mut decoder: Decoder, coded: &Coded, width_max: u32) -> Result<Vec<u8>, Failed> {
    let failed = |error| Failed(format!("the keyframe is not decoded: {error}"));
    let mut frame = Frame::new().map_err(failed)?;
    decoder.send(Some(coded)).map_err(failed)?;
    decoder.send(None).map_err(failed)?;
    if !decoder.receive(&mut frame).map_err(failed)? {
        return Err(Failed("the keyframe has no picture".to_owned()));
    }
    let mut normalizer = Normalizer::default();
    let made = normalizer.normal(&mut frame, true).and_then(|frame| jpeg(frame, width_max));
    made.map_err(|error| Failed(format!("the picture is not encoded: {error}")))
}
