//! Decoded pictures as all that follows takes them, whatever the stream has.

use super::frame::is_i420;
use super::{Error, Frame, Scaler, ffi};
use crate::tone::{Colours, Table};
use crate::turn::Turn;
use std::ffi::c_int;

/// From one turn to the next.
const TURN_NANOS_MIN: u64 = 1_000_000_000;

/// Makes pictures of a high dynamic range or a wide gamut into ordinary ones, and turns those that are to be shown so.
///
/// It is done where a source is decoded, once for all that is made of it, and before its samples lose bits: 8 of PQ show steps.
#[derive(Default)]
pub(crate) struct Normalizer {
    scaler: Option<Scaler>,
    table: Option<Table>,
    /// In the one format that there is a way from.
    deep: Option<Frame>,
    ordinary: Option<Frame>,
    /// With 8 bits, before it is turned.
    flat: Option<Frame>,
    upright: Option<Frame>,
    /// As the last message about that had it: one counts until the next keyframe (H.264 section D.2.21, H.265 section D.3.17).
    turn: Option<Turn>,
    turned_at: Option<i64>,
}

impl Normalizer {
    /// `frame` itself where it is ordinary and upright, and else what is made of it, as I420. Frames come in the order in which they are shown.
    pub(crate) fn normal<'a>(
        &'a mut self,
        frame: &'a mut Frame,
        is_keyframe: bool,
    ) -> Result<&'a mut Frame, Error> {
        // Each turn makes all encoders begin anew, which nobody's hands can make them do for every picture.
        let pts = frame.pts().unwrap_or_default();
        let may_turn = self.turned_at.is_none_or(|at| pts.abs_diff(at) >= TURN_NANOS_MIN);
        let turn = frame.turn().or(is_keyframe.then_some(None)).filter(|turn| *turn != self.turn);
        if let Some(turn) = turn.filter(|_| may_turn) {
            (self.turn, self.turned_at) = (turn, Some(pts));
        }
        let turn = self.turn;
        let colours = Colours::of(&frame.describe(0, 0, false), frame.peak_nits());
        let Self { scaler, table, deep, ordinary, flat, upright, .. } = self;
        let frame = match colours {
            Some(colours) => to_ordinary((scaler, table, deep), ordinary, frame, colours)?,
            None => frame,
        };
        let Some(turn) = turn else { return Ok(frame) };
        let frame = match is_i420(frame.fields().format) {
            true => frame,
            false => {
                let flat = sized(flat, frame.size(), I420)?;
                flat.take_colours(frame);
                flat.fields().sample_aspect_ratio = frame.fields().sample_aspect_ratio;
                Scaler::to_format(scaler, frame, flat)?;
                flat
            }
        };
        let upright = sized(upright, turn.size(frame.size()), I420)?;
        turned(turn, frame, upright)?;
        Ok(upright)
    }
}

const I420: ffi::AVPixelFormat = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P;

fn to_ordinary<'a>(
    (scaler, kept, deep): (&mut Option<Scaler>, &mut Option<Table>, &mut Option<Frame>),
    ordinary: &'a mut Option<Frame>,
    frame: &mut Frame,
    colours: Colours,
) -> Result<&'a mut Frame, Error> {
    const DEEP: ffi::AVPixelFormat = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P10LE;
    let table = match kept.take() {
        Some(table) if table.is_of(colours) => kept.insert(table),
        _ => kept.insert(Table::new(colours)),
    };
    let size = frame.size();
    let aspect = frame.fields().sample_aspect_ratio;
    let frame = if frame.fields().format == DEEP as c_int {
        frame
    } else {
        let deep = sized(deep, size, DEEP)?;
        Scaler::to_format(scaler, frame, deep)?;
        deep
    };
    let ordinary = sized(ordinary, size, I420)?;
    let fields = ordinary.fields();
    fields.sample_aspect_ratio = aspect;
    fields.color_range = ffi::AVColorRange::AVCOL_RANGE_MPEG;
    fields.color_primaries = ffi::AVColorPrimaries::AVCOL_PRI_BT709;
    fields.color_trc = ffi::AVColorTransferCharacteristic::AVCOL_TRC_BT709;
    fields.colorspace = ffi::AVColorSpace::AVCOL_SPC_BT709;
    convert(table, frame, ordinary)?;
    Ok(ordinary)
}

/// The frame in `kept` if it has that size and format, or else a new one in its place.
fn sized(
    kept: &mut Option<Frame>,
    (width, height): (u32, u32),
    format: ffi::AVPixelFormat,
) -> Result<&mut Frame, Error> {
    let fits = kept
        .as_mut()
        .is_some_and(|frame| frame.size() == (width, height) && frame.fields().format == format as c_int);
    if !fits {
        *kept = Some(Frame::with_size(width, height, format)?);
    }
    kept.as_mut().ok_or(Error::INVALID)
}

fn convert(table: &Table, from: &mut Frame, to: &mut Frame) -> Result<(), Error> {
    let from = from.planes()?;
    let [mut luma, mut blue, mut red] = to.planes_mut()?;
    // Of an odd height the last row has none below it: what is made of the one in its place goes nowhere.
    let mut nowhere = Vec::new();
    let mut upper_and_lower = luma.rows();
    for (row, (blue, red)) in blue.rows().zip(red.rows()).enumerate() {
        let Some(upper) = upper_and_lower.next() else { break };
        let lower = match upper_and_lower.next() {
            Some(lower) => lower,
            None => {
                nowhere.resize(upper.len(), 0);
                &mut nowhere
            }
        };
        let luma = [from[0].row(2 * row), from[0].row(2 * row + 1)];
        table.convert(luma, [from[1].row(row), from[2].row(row)], [upper, lower], [blue, red]);
    }
    Ok(())
}

fn turned(turn: Turn, from: &mut Frame, to: &mut Frame) -> Result<(), Error> {
    to.take_colours(from);
    let ffi::AVRational { num, den } = from.fields().sample_aspect_ratio;
    to.fields().sample_aspect_ratio = match turn.is_sideways {
        true => ffi::AVRational { num: den, den: num },
        false => ffi::AVRational { num, den },
    };
    for (from, mut to) in from.planes()?.iter().zip(to.planes_mut()?) {
        let from: Vec<_> = (0..from.shape.rows).map(|row| from.row(row)).collect();
        turn.apply(&from, &mut to.rows().collect::<Vec<_>>());
    }
    Ok(())
}
