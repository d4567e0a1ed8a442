//! Decoded pictures as all that follows takes them, whatever the stream has.

use super::{Error, Frame, Scaler, ffi};
use crate::tone::{Colours, Table};
use std::ffi::c_int;

/// Makes pictures of a high dynamic range or a wide gamut into ordinary ones.
///
/// It is done where a source is decoded, once for all that is made of it, and before its samples lose bits: 8 of PQ show steps.
#[derive(Default)]
pub(crate) struct Normalizer {
    scaler: Option<Scaler>,
    table: Option<Table>,
    /// In the one format that there is a way from.
    deep: Option<Frame>,
    ordinary: Option<Frame>,
}

impl Normalizer {
    /// `frame` itself where it is ordinary, and else what is made of it: I420 of BT.709.
    pub(crate) fn normal<'a>(&'a mut self, frame: &'a mut Frame) -> Result<&'a mut Frame, Error> {
        let picture = frame.describe(0, 0, false);
        match Colours::of(&picture, frame.peak_nits()) {
            Some(colours) => self.ordinary(frame, colours),
            None => Ok(frame),
        }
    }

    fn ordinary(&mut self, frame: &mut Frame, colours: Colours) -> Result<&mut Frame, Error> {
        const DEEP: ffi::AVPixelFormat = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P10LE;
        let table = match self.table.take() {
            Some(table) if table.is_of(colours) => self.table.insert(table),
            _ => self.table.insert(Table::new(colours)),
        };
        let size = frame.size();
        let aspect = frame.fields().sample_aspect_ratio;
        let frame = if frame.fields().format == DEEP as c_int {
            frame
        } else {
            let deep = sized(&mut self.deep, size, DEEP)?;
            Scaler::to_format(&mut self.scaler, frame, deep)?;
            deep
        };
        let ordinary = sized(&mut self.ordinary, size, ffi::AVPixelFormat::AV_PIX_FMT_YUV420P)?;
        let fields = ordinary.fields();
        fields.sample_aspect_ratio = aspect;
        fields.color_range = ffi::AVColorRange::AVCOL_RANGE_MPEG;
        fields.color_primaries = ffi::AVColorPrimaries::AVCOL_PRI_BT709;
        fields.color_trc = ffi::AVColorTransferCharacteristic::AVCOL_TRC_BT709;
        fields.colorspace = ffi::AVColorSpace::AVCOL_SPC_BT709;
        convert(table, frame, ordinary)?;
        Ok(ordinary)
    }
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
