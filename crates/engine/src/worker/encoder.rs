//! The process that encodes one rung.

use super::memory::Shared;
use super::pace::{Pace, Pick};
use super::{Failed, Server, used};
use crate::av::{Encoder, Frame, Scaler};
use crate::encode::{Backend, Codec, Config};
use crate::ipc::{Order, Report};
use crate::picture::Picture;
use crate::record;
use media::codec::annex_b;
use memmap2::Mmap;

/// Pictures per second that an encoder is told to expect before there is anything to measure.
const FPS_DEFAULT: f64 = 30.0;

/// Frames between two reports of what was used.
const REPORT_EVERY: u32 = 30;

struct State<'a> {
    server: &'a mut Server,
    config: Config,
    collector: annex_b::Collector,
    /// The configuration that was told last.
    told: Vec<u8>,
    frames: u32,
}

pub(super) fn run(
    server: &mut Server,
    memory: &Shared<Mmap>,
    config: Config,
    backend: Backend,
) -> Result<(), Failed> {
    let mut pace = Pace::new(&config);
    let collector = annex_b::Collector::new(config.codec.of_packets());
    let mut state = State { server, config, collector, told: Vec::new(), frames: 0 };
    let mut encoder: Option<Encoder> = None;
    let mut scaler = None;
    let mut asked = false;
    while let Some(order) = state.server.receive()? {
        match order {
            Order::Picture(picture) => match pace.pick(picture.pts, asked || picture.keyframe) {
                Pick::Skip => {
                    state.server.report(&Report::Free(picture.slot))?;
                    state.server.report(&Report::Skipped)?;
                }
                pick => {
                    if pick == Pick::Keyframe
                        && begins_anew(backend)
                        && let Some(mut old) = encoder.take()
                    {
                        state.finish(&mut old)?;
                    }
                    let encoder = match &mut encoder {
                        Some(encoder) => encoder,
                        None => encoder.insert(open(&state.config, backend, &picture)?),
                    };
                    take(memory, &picture, encoder, &mut scaler)?;
                    state.server.report(&Report::Free(picture.slot))?;
                    asked = false;
                    let sent = encoder.send(picture.pts, pick == Pick::Keyframe);
                    sent.map_err(|error| Failed(format!("a picture is not encoded: {error}")))?;
                    state.give(encoder)?;
                }
            },
            Order::Keyframe => asked = true,
            Order::Bitrate(bps) => {
                state.config.bitrate_bps = bps;
                if let Some(encoder) = &mut encoder {
                    encoder.set_bitrate(bps, state.config.quality.is_some());
                }
            }
            Order::End => {
                if let Some(encoder) = &mut encoder {
                    state.finish(encoder)?;
                }
                state.server.report(&Report::Used(used()))?;
                state.server.report(&Report::Done)?;
                return Ok(());
            }
            _ => return Err(Failed("an order for a decoder".to_owned())),
        }
    }
    Ok(())
}

/// Whether keyframes are only where an encoder begins: SVT-AV1 puts others where it likes.
fn begins_anew(backend: Backend) -> bool {
    backend == Backend::SvtAv1
}

fn open(config: &Config, backend: Backend, like: &Picture) -> Result<Encoder, Failed> {
    let fps = config.fps_max.filter(|fps| fps.is_finite() && *fps >= 1.0).unwrap_or(FPS_DEFAULT);
    Encoder::open(config, backend, like, fps).map_err(Failed)
}

/// Scales a shared picture into the encoder's frame.
fn take(
    memory: &Shared<Mmap>,
    picture: &Picture,
    encoder: &mut Encoder,
    scaler: &mut Option<Scaler>,
) -> Result<(), Failed> {
    let view = memory.slot(picture.slot).and_then(|slot| Frame::over(picture, slot));
    let view = view.ok_or_else(|| Failed("no such picture".to_owned()))?;
    Scaler::scale(scaler, picture, &view, encoder.frame())
        .map_err(|error| Failed(format!("a picture is not scaled: {error}")))
}

impl State<'_> {
    /// Gives out all that is left.
    fn finish(&mut self, encoder: &mut Encoder) -> Result<(), Failed> {
        encoder.finish().map_err(|error| Failed(format!("the end is not encoded: {error}")))?;
        self.give(encoder)
    }

    /// Gives out what the encoder has.
    fn give(&mut self, encoder: &mut Encoder) -> Result<(), Failed> {
        loop {
            let encoded =
                encoder.receive().map_err(|error| Failed(format!("a picture is not encoded: {error}")))?;
            let Some(encoded) = encoded else { return Ok(()) };
            let mut coded = encoded.coded;
            let record = match self.config.codec {
                Codec::H264 | Codec::H265 => {
                    // Parameter sets are in the configuration, or in front of a keyframe, or both.
                    if self.told.is_empty() {
                        self.collector.frame(encoded.extradata);
                    }
                    coded.payload = self.collector.frame(&coded.payload).0.to_vec();
                    self.collector.record().to_vec()
                }
                Codec::Av1 => {
                    coded.payload = record::without_delimiters(&coded.payload);
                    let of = if coded.keyframe { record::av1(&coded.payload) } else { None };
                    of.unwrap_or_else(|| self.told.clone())
                }
            };
            if coded.keyframe && record != self.told {
                self.server.report(&Report::Configured(record.clone()))?;
                self.told = record;
            }
            self.server.report(&Report::Packet(coded))?;
            self.frames += 1;
            if self.frames.is_multiple_of(REPORT_EVERY) {
                self.server.report(&Report::Used(used()))?;
            }
        }
    }
}
