//! The process that encodes one rung.

use super::content::Content;
use super::denoise::{Denoiser, Plane};
use super::judge::Judge;
use super::keyframes::Keyframes;
use super::mark::Painter;
use super::memory::Shared;
use super::pace::{Pace, Pick};
use super::{Failed, Server};
use crate::av::{Encoder, Frame, Scaler};
use crate::encode::{Backend, Codec, Config};
use crate::ipc::{Order, Report};
use crate::limits::REGIONS_MAX;
use crate::picture::{Picture, Region};
use crate::record;
use media::codec::annex_b;

/// Pictures per second that an encoder is told to expect before there is anything to measure.
const FPS_DEFAULT: f64 = 30.0;

struct State<'a> {
    server: &'a mut Server,
    config: Config,
    collector: annex_b::Collector,
    /// The configuration that was told last.
    told: Vec<u8>,
    /// There if the quality follows what pictures look like.
    judge: Option<Judge>,
    /// A quality that the encoder does not have yet.
    quality: Option<f32>,
    /// The encoder was opened since parameter sets were collected, and may have others.
    is_new: bool,
    keyframes: Keyframes,
}

pub(super) fn run(
    server: &mut Server,
    memory: &Shared,
    config: Config,
    backend: Backend,
) -> Result<(), Failed> {
    let mut pace = Pace::new(&config);
    let collector = annex_b::Collector::new(config.codec.of_packets());
    let judge = backend.has_quality().then(|| Judge::of(&config, takes_quality(backend))).flatten();
    let keyframes = Keyframes::of(begins_anew(backend, &config));
    let told = Vec::new();
    let mut state = State { server, config, collector, told, judge, quality: None, is_new: true, keyframes };
    let mut encoder: Option<Encoder> = None;
    let mut scaler = None;
    let mut denoiser = state.config.denoise.then(Denoiser::default);
    let mut painter = Painter::new(state.config.marks.clone());
    // What people look at, in pixels of the source.
    let mut regions: Vec<Region> = Vec::new();
    let mut asked = false;
    let mut content = Content::default();
    // Its rate is another one by now, which it does not take while it runs.
    let mut is_outdated = false;
    while let Some(order) = state.server.receive()? {
        match order {
            Order::Picture(picture) => {
                let config = state.config.standing_like(picture.width, picture.height);
                let size = (config.width, config.height);
                // Whoever publishes has turned it: it goes on with another size.
                let is_turned = encoder.as_mut().is_some_and(|encoder| encoder.frame().size() != size);
                match pace.pick(picture.pts, asked || picture.keyframe || is_turned) {
                    Pick::Skip => {
                        asked |= picture.keyframe;
                        state.server.report(&Report::Free(picture.slot))?;
                        state.server.report(&Report::Skipped(picture.pts))?;
                    }
                    pick => {
                        if pick == Pick::Keyframe && knows_screens(backend) {
                            let found = look(memory, &picture, size, content, &mut scaler)?;
                            is_outdated |= std::mem::replace(&mut content, found) != found;
                        }
                        if pick == Pick::Keyframe
                            && (state.keyframes.begin_anew || is_turned || std::mem::take(&mut is_outdated))
                            && let Some(mut old) = encoder.take()
                        {
                            state.finish(&mut old)?;
                            // The next one begins with what was found last.
                            (state.quality, state.is_new) = (None, true);
                            if is_turned {
                                state.told.clear();
                                state.judge.iter_mut().for_each(Judge::look_anew);
                            }
                        }
                        let config = state.config.standing_like(picture.width, picture.height);
                        let encoder = match &mut encoder {
                            Some(encoder) => encoder,
                            None => encoder.insert(open(&config, backend, &picture, content)?),
                        };
                        take(memory, &picture, encoder, &mut scaler, &mut denoiser, &mut painter)?;
                        state.server.report(&Report::Free(picture.slot))?;
                        asked = false;
                        if let Some(judge) = &mut state.judge {
                            judge.picture(picture.pts, pick == Pick::Keyframe, encoder.frame());
                        }
                        if pick == Pick::Keyframe {
                            state.keyframes.ask(picture.pts);
                        }
                        let scaled = regions
                            .iter()
                            .filter_map(|region| region.scaled((picture.width, picture.height), size));
                        let scaled: Vec<_> = scaled.collect();
                        let sent = encoder.send(picture.pts, pick == Pick::Keyframe, &scaled);
                        sent.map_err(|error| Failed(format!("a picture is not encoded: {error}")))?;
                        state.give(encoder)?;
                        if let Some(quality) = state.quality.take() {
                            if takes_quality(backend) {
                                encoder.set_quality(quality).map_err(|error| Failed(error.to_string()))?;
                            } else {
                                is_outdated = true;
                            }
                        }
                    }
                }
            }
            Order::Keyframe => asked = true,
            Order::Regions(found) => {
                regions = found;
                regions.truncate(REGIONS_MAX);
            }
            Order::Clock(zero) => painter.set_clock(zero),
            Order::Bitrate(bps) => {
                state.config.bitrate_bps = bps;
                if let Some(judge) = &mut state.judge {
                    judge.set_bitrate(bps);
                }
                match &mut encoder {
                    Some(encoder) if takes_bitrate(backend) => {
                        encoder.set_bitrate(bps, state.config.quality.is_some() && backend.has_quality());
                    }
                    _ => is_outdated = true,
                }
            }
            Order::FrameRate(fps_max) => {
                state.config.fps_max = fps_max;
                pace.set_fps_max(fps_max);
            }
            Order::End => {
                if let Some(encoder) = &mut encoder {
                    state.finish(encoder)?;
                }
                state.server.report(&Report::Done)?;
                return Ok(());
            }
            _ => return Err(Failed("an order for a decoder".to_owned())),
        }
    }
    Ok(())
}

/// Whether keyframes are only where an encoder begins: SVT-AV1 puts them where it is asked to with constant quality alone.
pub(super) fn begins_anew(backend: Backend, config: &Config) -> bool {
    backend == Backend::SvtAv1 && config.quality.is_none()
}

/// Whether another bit rate takes effect while it runs. Others begin anew at the next keyframe.
fn takes_bitrate(backend: Backend) -> bool {
    matches!(backend, Backend::X264 | Backend::Nvenc | Backend::Qsv)
}

/// Whether another quality takes effect while it runs. Others begin anew at the next keyframe.
fn takes_quality(backend: Backend) -> bool {
    backend == Backend::X264
}

/// Whether it encodes screens otherwise than scenes.
fn knows_screens(backend: Backend) -> bool {
    backend == Backend::SvtAv1
}

fn open(config: &Config, backend: Backend, like: &Picture, content: Content) -> Result<Encoder, Failed> {
    let fps = config.fps_max.filter(|fps| fps.is_finite() && *fps >= 1.0).unwrap_or(FPS_DEFAULT);
    Encoder::open(config, backend, like, content, fps).map_err(Failed)
}

/// What a shared picture is of, at the size at which it is encoded: letters that are too small to read are none.
fn look(
    memory: &Shared,
    picture: &Picture,
    size: (u32, u32),
    before: Content,
    scaler: &mut Option<Scaler>,
) -> Result<Content, Failed> {
    let failed = |error| Failed(format!("a picture is not scaled: {error}"));
    let mut frame = Frame::i420(size.0, size.1).map_err(failed)?;
    scale(memory, picture, &mut frame, scaler)?;
    Ok(frame.luma().map_or(before, |rows| before.next(rows)))
}

fn scale(
    memory: &Shared,
    picture: &Picture,
    into: &mut Frame,
    scaler: &mut Option<Scaler>,
) -> Result<(), Failed> {
    let view = memory.slot(picture.slot).and_then(|slot| Frame::over(picture, slot));
    let view = view.ok_or_else(|| Failed("no such picture".to_owned()))?;
    Scaler::scale(scaler, picture, &view, into)
        .map_err(|error| Failed(format!("a picture is not scaled: {error}")))
}

/// Scales a shared picture into the encoder's frame, takes noise out, and puts the marks over it.
fn take(
    memory: &Shared,
    picture: &Picture,
    encoder: &mut Encoder,
    scaler: &mut Option<Scaler>,
    denoiser: &mut Option<Denoiser>,
    painter: &mut Painter,
) -> Result<(), Failed> {
    scale(memory, picture, encoder.frame(), scaler)?;
    // Devices take pictures of another layout, as they are.
    if let Some(denoiser) = denoiser
        && let Ok(mut planes) = encoder.frame().planes_mut()
    {
        let mut planes = planes.each_mut().map(|plane| {
            let (samples, width, stride) = plane.parts();
            Plane { samples, width, stride }
        });
        denoiser.filter(&mut planes);
    }
    painter
        .paint(picture, encoder.frame())
        .map_err(|error| Failed(format!("a watermark is not drawn: {error}")))
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
            self.keyframes.note(&coded);
            let record = match self.config.codec {
                Codec::H264 | Codec::H265 => {
                    // Parameter sets are in the configuration, or in front of a keyframe, or both.
                    if std::mem::take(&mut self.is_new) {
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
            if let Some(verdict) = self.judge.as_mut().and_then(|judge| judge.packet(&coded, &self.told)) {
                self.config.quality = verdict.quality.or(self.config.quality);
                self.quality = verdict.quality;
                let quality = self.config.quality.unwrap_or_default();
                self.server.report(&Report::Judged { vmaf: verdict.vmaf, quality })?;
            }
            self.server.report(&Report::Packet(coded))?;
        }
    }
}
