//! The process that looks at the keyframes of a stream and listens to its sound, for what is wrong with them.

use super::{Failed, Server};
use crate::av::{Decoder, Frame, Normalizer, Resampler, gray};
use crate::ipc::{Coded, Order, Report};
use crate::sound::Source;

/// How often it says what it has heard.
const TELL_NANOS: i64 = 500_000_000;
/// Of 255. Samples brighter than this are not black: 0 is, and what is compressed swings around it.
const BLACK_MAX: u8 = 20;
/// How much a sample of two pictures may differ before it counts as changed: encoders leave as much of a picture that stands.
const CHANGE_MIN: u8 = 6;
/// What sound without a single wave is said to have, in dB of full scale.
const NOTHING_DB: i8 = -120;

struct State<'a> {
    server: &'a mut Server,
    frame: Frame,
    normalizer: Normalizer,
    sound: Sound,
    /// The picture before.
    before: Option<Vec<u8>>,
}

#[derive(Default)]
struct Sound {
    source: Option<(Source, Vec<u8>)>,
    decoder: Option<Decoder>,
    resampler: Option<Resampler>,
    samples: Vec<f32>,
    peak: f32,
    /// When what is to be told began.
    since: Option<i64>,
}

pub(super) fn run(server: &mut Server) -> Result<(), Failed> {
    let frame = Frame::new().map_err(|error| Failed(error.to_string()))?;
    let mut state =
        State { server, frame, normalizer: Normalizer::default(), sound: Sound::default(), before: None };
    let mut pictures: Option<(media::Codec, Vec<u8>)> = None;
    while let Some(order) = state.server.receive()? {
        match order {
            Order::Pictures(codec, record) => {
                let codec = crate::ipc::codec_of(codec).ok_or_else(|| Failed("no such codec".to_owned()))?;
                pictures = Some((codec, record));
            }
            Order::Look(coded) => {
                if let Some((codec, record)) = &pictures {
                    state.look(*codec, record, &coded)?;
                }
                state.server.report(&Report::Taken)?;
            }
            Order::Source(source, record) => {
                state.sound = Sound { source: Some((source, record)), ..Sound::default() };
            }
            Order::Packet(coded) => {
                state.listen(&coded)?;
                state.server.report(&Report::Taken)?;
            }
            _ => return Err(Failed("an order for others".to_owned())),
        }
    }
    Ok(())
}

impl State<'_> {
    /// Looks at a keyframe. A decoder of its own for each takes no more, and keeps nothing of the one before.
    fn look(&mut self, codec: media::Codec, record: &[u8], coded: &Coded) -> Result<(), Failed> {
        let mut decoder = Decoder::open(codec, record, 1).map_err(Failed)?;
        let sent = decoder.send(Some(coded)).and_then(|()| decoder.send(None));
        match sent.and_then(|()| decoder.receive(&mut self.frame)) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => return Ok(self.server.complain(&format!("a keyframe is not decoded: {error}"))?),
        }
        let gray = self.normalizer.normal(&mut self.frame, true).and_then(gray);
        let gray = gray.map_err(|error| Failed(format!("no samples: {error}")))?;
        let part = |count: usize| (count * 1000 / gray.len().max(1)) as u16;
        let black = part(gray.iter().filter(|sample| **sample <= BLACK_MAX).count());
        let changed = self.before.as_ref().filter(|before| before.len() == gray.len()).map(|before| {
            part(gray.iter().zip(before).filter(|(a, b)| a.abs_diff(**b) > CHANGE_MIN).count())
        });
        self.before = Some(gray);
        self.server.report(&Report::Seen { pts: coded.pts, black, changed })?;
        Ok(())
    }

    fn listen(&mut self, coded: &Coded) -> Result<(), Failed> {
        let sound = &mut self.sound;
        let Some((source, record)) = &sound.source else { return Ok(()) };
        let decoder = match &mut sound.decoder {
            Some(decoder) => decoder,
            None => sound.decoder.insert(Decoder::open_sound(*source, record).map_err(Failed)?),
        };
        // One without a payload is silence.
        let sent = if coded.payload.is_empty() { Ok(()) } else { decoder.send(Some(coded)) };
        if let Err(error) = sent {
            return Ok(self.server.complain(&format!("sound is not decoded: {error}"))?);
        }
        while let Ok(true) = decoder.receive(&mut self.frame) {
            let rate = self.frame.rate();
            let resampler = Resampler::for_frame(&mut sound.resampler, &mut self.frame, rate, 2);
            sound.samples.clear();
            if resampler.and_then(|resampler| resampler.convert(&mut self.frame, &mut sound.samples)).is_ok()
            {
                sound.peak = sound.samples.iter().fold(sound.peak, |peak, sample| peak.max(sample.abs()));
            }
        }
        let since = *sound.since.get_or_insert(coded.pts);
        if coded.pts.saturating_sub(since) >= TELL_NANOS || coded.pts < since {
            let peak = std::mem::take(&mut sound.peak);
            sound.since = Some(coded.pts);
            let decibels = (20.0 * peak.log10()).clamp(f32::from(NOTHING_DB), 0.0);
            let peak_db = if decibels.is_nan() { NOTHING_DB } else { decibels as i8 };
            self.server.report(&Report::Heard { pts: coded.pts, peak_db })?;
        }
        Ok(())
    }
}
