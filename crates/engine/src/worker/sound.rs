//! The process that decodes one track of sound and encodes it anew.

use super::grid::{Grid, Place};
use super::{Failed, Server};
use crate::av::{Decoder, Error, Frame, Resampler, SoundEncoder};
use crate::ipc::{Coded, Order, Report};
use crate::sound::{Config, Source};
use media::Time;

struct State<'a> {
    server: &'a mut Server,
    config: Config,
    frame: Frame,
    resampler: Option<Resampler>,
    /// From the first decoded samples on: they choose the rate.
    encoding: Option<Encoding>,
}

struct Encoding {
    encoder: SoundEncoder,
    grid: Grid,
    /// Interleaved samples that wait until there are enough for a frame.
    waiting: Vec<f32>,
    channels: usize,
    /// No packet is from before it: that is where the sound begins.
    first: i64,
}

pub(super) fn run(server: &mut Server, config: Config) -> Result<(), Failed> {
    let frame = Frame::new().map_err(|error| Failed(error.to_string()))?;
    let mut state = State { server, config, frame, resampler: None, encoding: None };
    let mut source: Option<(Source, Vec<u8>)> = None;
    let mut decoder: Option<Decoder> = None;
    while let Some(order) = state.server.receive()? {
        match order {
            Order::Source(kind, record) => {
                if let Some(mut old) = decoder.take() {
                    state.decode(&mut old, None)?;
                }
                source = Some((kind, record));
            }
            Order::Packet(coded) => {
                let Some((kind, record)) = &source else {
                    return Err(Failed("sound of which nothing is known".to_owned()));
                };
                let decoder = match &mut decoder {
                    Some(decoder) => decoder,
                    None => decoder.insert(Decoder::open_sound(*kind, record).map_err(Failed)?),
                };
                // One without a payload is silence, which is what a hole becomes.
                if !coded.payload.is_empty() {
                    state.decode(decoder, Some(&coded))?;
                }
                state.server.report(&Report::Taken)?;
            }
            Order::End => {
                if let Some(mut decoder) = decoder.take() {
                    state.decode(&mut decoder, None)?;
                }
                if let Some(mut encoding) = state.encoding.take() {
                    encoding.fill_frame(state.server)?;
                    encoding.encoder.finish().map_err(|error| not_encoded(&error))?;
                    encoding.give(state.server)?;
                }
                state.server.report(&Report::Done)?;
                return Ok(());
            }
            _ => return Err(Failed("an order for pictures".to_owned())),
        }
    }
    Ok(())
}

fn not_encoded(error: &dyn std::fmt::Display) -> Failed {
    Failed(format!("sound is not encoded: {error}"))
}

impl State<'_> {
    /// Decodes `coded`, or what is left, and encodes what comes out.
    fn decode(&mut self, decoder: &mut Decoder, coded: Option<&Coded>) -> Result<(), Failed> {
        if let Err(error) = decoder.send(coded) {
            self.server.complain(&format!("sound is not decoded: {error}"))?;
        }
        loop {
            match decoder.receive(&mut self.frame) {
                Ok(true) => self.take()?,
                Ok(false) => return Ok(()),
                Err(error) => {
                    self.server.complain(&format!("sound is not decoded: {error}"))?;
                    decoder.flush();
                    return Ok(());
                }
            }
        }
    }

    /// Takes what was decoded.
    fn take(&mut self) -> Result<(), Failed> {
        let encoding = match &mut self.encoding {
            Some(encoding) => encoding,
            None => {
                let (rate, config) = (self.frame.rate(), self.config);
                let mut encoder = SoundEncoder::open(&config, rate).map_err(Failed)?;
                self.server.report(&Report::Configured(encoder.record().to_vec()))?;
                let grid = Grid::new(encoder.rate(), encoder.frame_samples());
                let channels = usize::from(config.channels.clamp(1, 2));
                let first = i64::MAX;
                self.encoding.insert(Encoding { encoder, grid, waiting: Vec::new(), channels, first })
            }
        };
        encoding.take(&mut self.resampler, &mut self.frame, self.server)
    }
}

impl Encoding {
    fn take(
        &mut self,
        resampler: &mut Option<Resampler>,
        frame: &mut Frame,
        server: &mut Server,
    ) -> Result<(), Failed> {
        if let Err(error) = self.resample(resampler, frame, server)? {
            // Garbage that decodes is missing, and what follows is as good as before.
            server.complain(&format!("sound is not resampled: {error}"))?;
            *resampler = None;
        }
        self.encode(server)
    }

    /// Puts `frame` behind what waits, at its place. What the resampler refuses is left out, and the error says why.
    fn resample(
        &mut self,
        resampler: &mut Option<Resampler>,
        frame: &mut Frame,
        server: &mut Server,
    ) -> Result<Result<(), Error>, Failed> {
        let (rate, channels) = (self.encoder.rate(), self.channels as u8);
        let resampler = match Resampler::for_frame(resampler, frame, rate, channels) {
            Ok(resampler) => resampler,
            Err(error) => return Ok(Err(error)),
        };
        // Several frames of one packet follow each other.
        match frame.pts().map_or(Place::Next, |pts| self.grid.place(pts, resampler.pending())) {
            Place::Next => {}
            Place::Anew(at) => {
                self.fill_frame(server)?;
                self.grid.begin(at);
                self.first = self.first.min(self.grid.position(0));
            }
            // One that cannot, as all that convert between rates can, leaves it.
            Place::Stretch { samples, distance } => drop(resampler.stretch(samples, distance)),
            Place::Fill(count) => {
                self.waiting.resize(self.waiting.len() + count * self.channels, 0.0);
                self.grid.keep(count);
            }
        }
        let before = self.waiting.len();
        let count = match resampler.convert(frame, &mut self.waiting) {
            Ok(count) => count,
            Err(error) => return Ok(Err(error)),
        };
        let skipped = self.grid.skip(count);
        self.waiting.drain(before..before + skipped * self.channels);
        self.grid.keep(count - skipped);
        Ok(Ok(()))
    }

    /// Encodes what waits, with silence up to a whole frame.
    fn fill_frame(&mut self, server: &mut Server) -> Result<(), Failed> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let missing = (self.encoder.frame_samples() * self.channels).saturating_sub(self.waiting.len());
        self.waiting.resize(self.waiting.len() + missing, 0.0);
        self.grid.keep(missing / self.channels);
        self.encode(server)
    }

    /// Encodes all whole frames.
    fn encode(&mut self, server: &mut Server) -> Result<(), Failed> {
        let samples = self.encoder.frame_samples() * self.channels;
        let mut done = 0;
        while samples > 0 && self.waiting.len() - done >= samples {
            let position = self.grid.position((self.waiting.len() - done) / self.channels);
            let frame = &self.waiting[done..done + samples];
            self.encoder.send(frame, position).map_err(|error| not_encoded(&error))?;
            done += samples;
            self.give(server)?;
        }
        self.waiting.drain(..done);
        Ok(())
    }

    /// Gives out what the encoder has.
    fn give(&mut self, server: &mut Server) -> Result<(), Failed> {
        let rate = self.encoder.rate();
        while let Some((position, payload)) = self.encoder.receive().map_err(|error| not_encoded(&error))? {
            if position < self.first || payload.is_empty() {
                continue;
            }
            let nanos = Time::from_ticks(position, rate).nanos();
            let payload = payload.to_vec();
            let coded = Coded { pts: nanos, dts: nanos, keyframe: false, disposable: false, payload };
            server.report(&Report::Packet(coded))?;
        }
        Ok(())
    }
}
