//! Frames of the library.

use super::{Error, check, ffi};
use crate::picture::{Layout, Picture, Region, SLOT_BYTES};
use crate::turn::Turn;
use crate::worker::mark::Component;
use crate::worker::memory::Slot;
use std::ffi::c_int;
use std::ptr::NonNull;

/// A picture of the library, or samples of sound.
pub(crate) struct Frame(NonNull<ffi::AVFrame>);

impl Frame {
    pub(crate) fn new() -> Result<Self, Error> {
        // SAFETY: no preconditions.
        NonNull::new(unsafe { ffi::av_frame_alloc() }).map(Self).ok_or(Error::NO_MEMORY)
    }

    /// With memory for `width` × `height` pixels of `format`.
    pub(super) fn with_size(width: u32, height: u32, format: ffi::AVPixelFormat) -> Result<Self, Error> {
        let mut frame = Self::new()?;
        let fields = frame.fields();
        fields.width = c_int::try_from(width).map_err(|_| Error::INVALID)?;
        fields.height = c_int::try_from(height).map_err(|_| Error::INVALID)?;
        fields.format = format as c_int;
        // SAFETY: size and format are set.
        check(unsafe { ffi::av_frame_get_buffer(frame.0.as_ptr(), 0) })?;
        Ok(frame)
    }

    /// With memory for `width` × `height` pixels of three planes whose chroma is halved.
    pub(crate) fn i420(width: u32, height: u32) -> Result<Self, Error> {
        Self::with_size(width, height, ffi::AVPixelFormat::AV_PIX_FMT_YUV420P)
    }

    pub(super) fn fields(&mut self) -> &mut ffi::AVFrame {
        // SAFETY: it lives as long as `self`, which nobody else has.
        unsafe { self.0.as_mut() }
    }

    pub(super) fn as_ptr(&mut self) -> *mut ffi::AVFrame {
        self.0.as_ptr()
    }

    /// Makes sure that nobody else has its samples, so that they may be written.
    pub(super) fn make_writable(&mut self) -> Result<(), Error> {
        // SAFETY: it has a buffer.
        check(unsafe { ffi::av_frame_make_writable(self.0.as_ptr()) }).map(|_| ())
    }

    /// Gives up what it holds.
    pub(super) fn clear(&mut self) {
        // SAFETY: the frame is ours.
        unsafe { ffi::av_frame_unref(self.0.as_ptr()) };
    }

    /// The rows of its luma; `None` if samples have more than 8 bits, or are of another kind.
    pub(crate) fn luma(&mut self) -> Option<impl Iterator<Item = &[u8]>> {
        let formats = [
            ffi::AVPixelFormat::AV_PIX_FMT_YUV420P,
            ffi::AVPixelFormat::AV_PIX_FMT_YUVJ420P,
            ffi::AVPixelFormat::AV_PIX_FMT_NV12,
        ];
        let (width, height) = self.size();
        let fields = self.fields();
        let is_known = formats.iter().any(|format| fields.format == *format as c_int);
        let stride = usize::try_from(fields.linesize[0]).ok().filter(|stride| *stride >= width as usize)?;
        let start = fields.data[0].cast_const();
        (is_known && !start.is_null()).then(|| {
            // SAFETY: the plane has that many rows of at least as many bytes, and nobody else writes to it while it is borrowed.
            (0..height as usize).map(move |row| unsafe {
                std::slice::from_raw_parts(start.add(row * stride), width as usize)
            })
        })
    }

    /// Size in pixels.
    pub(crate) fn size(&mut self) -> (u32, u32) {
        let fields = self.fields();
        (u32::try_from(fields.width).unwrap_or(0), u32::try_from(fields.height).unwrap_or(0))
    }

    /// Samples of sound per second.
    pub(crate) fn rate(&mut self) -> u32 {
        u32::try_from(self.fields().sample_rate).unwrap_or(0)
    }

    /// The time it is shown, in nanoseconds, where it is known.
    pub(crate) fn pts(&mut self) -> Option<i64> {
        let fields = self.fields();
        [fields.best_effort_timestamp, fields.pts].into_iter().find(|pts| *pts != ffi::AV_NOPTS_VALUE)
    }

    /// What is to be said of it; slot and keyframe are the caller's.
    pub(crate) fn describe(&mut self, slot: u8, pts: i64, keyframe: bool) -> Picture {
        let (width, height) = self.size();
        let fields = self.fields();
        let (num, den) = (fields.sample_aspect_ratio.num, fields.sample_aspect_ratio.den);
        // SAFETY: the fields are those of a frame that lives.
        let (range, primaries, transfer, matrix) = unsafe {
            (
                code(&raw const fields.color_range),
                code(&raw const fields.color_primaries),
                code(&raw const fields.color_trc),
                code(&raw const fields.colorspace),
            )
        };
        let full_range = range == ffi::AVColorRange::AVCOL_RANGE_JPEG as u32
            || fields.format == ffi::AVPixelFormat::AV_PIX_FMT_YUVJ420P as c_int;
        Picture {
            slot,
            pts,
            keyframe,
            width,
            height,
            pixel_aspect: match (u32::try_from(num), u32::try_from(den)) {
                (Ok(num), Ok(den)) if num > 0 && den > 0 => (num, den),
                _ => (1, 1),
            },
            primaries: primaries as u8,
            transfer: transfer as u8,
            matrix: matrix as u8,
            full_range,
        }
    }

    /// The brightest that the stream says it gets, in cd/m²: of its pictures (CTA-861.3 annex P, MaxCLL), or else of the monitor that they
    /// were made on (SMPTE ST 2086).
    pub(super) fn peak_nits(&mut self) -> Option<u16> {
        // As the library lays its structures out: numbers of 32 bits.
        let number = |bytes: &[u8], index: usize| {
            let bytes = bytes.get(4 * index..4 * index + 4)?;
            bytes.try_into().map(i32::from_ne_bytes).ok()
        };
        let of_pictures = self.side_data(ffi::AVFrameSideDataType::AV_FRAME_DATA_CONTENT_LIGHT_LEVEL);
        let of_pictures = of_pictures.and_then(|bytes| number(bytes, 0)).filter(|nits| *nits > 0);
        let nits = of_pictures.or_else(|| {
            const MOST: usize = 18;
            const PER: usize = 19;
            const IS_SAID: usize = 21;
            let bytes = self.side_data(ffi::AVFrameSideDataType::AV_FRAME_DATA_MASTERING_DISPLAY_METADATA)?;
            number(bytes, IS_SAID).filter(|is_said| *is_said != 0)?;
            number(bytes, MOST)?.checked_div(number(bytes, PER)?).filter(|nits| *nits > 0)
        });
        nits.map(|nits| u16::try_from(nits).unwrap_or(u16::MAX))
    }

    /// What the stream says of turning it before it is shown, by a "display orientation" message of H.264 or H.265; `None` where it says
    /// nothing.
    pub(super) fn turn(&mut self) -> Option<Option<Turn>> {
        let bytes = self.side_data(ffi::AVFrameSideDataType::AV_FRAME_DATA_DISPLAYMATRIX)?;
        let mut matrix = [0; 9];
        let (numbers, _) = bytes.as_chunks::<4>();
        for (part, number) in matrix.iter_mut().zip(numbers) {
            *part = i32::from_ne_bytes(*number);
        }
        Some(Turn::of(matrix))
    }

    /// Makes its colours mean what those of `from` do.
    pub(super) fn take_colours(&mut self, from: &mut Self) {
        let full_range = from.describe(0, 0, false).full_range;
        let (from, to) = (from.fields(), self.fields());
        to.color_range = match full_range {
            true => ffi::AVColorRange::AVCOL_RANGE_JPEG,
            false => ffi::AVColorRange::AVCOL_RANGE_MPEG,
        };
        // SAFETY: fields of frames that live. They are copied as numbers, of which a stream may name any.
        unsafe {
            (&raw mut to.color_primaries).cast::<u32>().write(code(&raw const from.color_primaries));
            (&raw mut to.color_trc).cast::<u32>().write(code(&raw const from.color_trc));
            (&raw mut to.colorspace).cast::<u32>().write(code(&raw const from.colorspace));
        }
    }

    /// What the stream says beside a picture, if it does.
    fn side_data(&mut self, kind: ffi::AVFrameSideDataType) -> Option<&[u8]> {
        // SAFETY: the frame lives, and with it what is attached to it, which has as many bytes as it says.
        unsafe {
            let found = ffi::av_frame_get_side_data(self.0.as_ptr(), kind).as_ref()?;
            (!found.data.is_null()).then(|| std::slice::from_raw_parts(found.data, found.size))
        }
    }

    /// Says which parts of it are to be encoded more exactly, and by how many hundredths of the codec's scale, instead of those said before.
    pub(super) fn set_regions(&mut self, regions: &[Region], hundredths: c_int) -> Result<(), Error> {
        const KIND: ffi::AVFrameSideDataType = ffi::AVFrameSideDataType::AV_FRAME_DATA_REGIONS_OF_INTEREST;
        // SAFETY: the frame is ours.
        unsafe { ffi::av_frame_remove_side_data(self.0.as_ptr(), KIND) };
        if regions.is_empty() {
            return Ok(());
        }
        let each = size_of::<ffi::AVRegionOfInterest>();
        // SAFETY: the frame is ours; what is made belongs to it.
        let made = unsafe { ffi::av_frame_new_side_data(self.0.as_ptr(), KIND, regions.len() * each) };
        // SAFETY: it is null, or lives as long as the frame.
        let data = unsafe { made.as_ref() }.ok_or(Error::NO_MEMORY)?.data.cast::<ffi::AVRegionOfInterest>();
        for (index, region) in regions.iter().enumerate() {
            let (x, y) = (c_int::from(region.x), c_int::from(region.y));
            let region = ffi::AVRegionOfInterest {
                self_size: each as u32,
                top: y,
                bottom: y + c_int::from(region.height),
                left: x,
                right: x + c_int::from(region.width),
                qoffset: ffi::AVRational { num: -hundredths, den: 100 },
            };
            // SAFETY: there is room for as many of them; the library aligns it for vectors.
            unsafe { data.add(index).write(region) };
        }
        Ok(())
    }

    /// The planes of a picture with three of them whose chroma is halved, of 8 or 16 bits.
    ///
    /// # Errors
    ///
    /// It has another format.
    pub(super) fn planes(&mut self) -> Result<[Plane<'_>; 3], Error> {
        let shapes = self.shapes()?;
        let data = self.fields().data;
        // SAFETY: the frame has that many rows of that many bytes in each plane.
        Ok(std::array::from_fn(|plane| Plane {
            bytes: unsafe { std::slice::from_raw_parts(data[plane], shapes[plane].bytes()) },
            shape: shapes[plane],
        }))
    }

    /// The same to write, of a frame that nobody else has.
    ///
    /// # Errors
    ///
    /// It has another format, or cannot be written.
    pub(crate) fn planes_mut(&mut self) -> Result<[PlaneMut<'_>; 3], Error> {
        self.make_writable()?;
        let shapes = self.shapes()?;
        let data = self.fields().data;
        // SAFETY: see above; planes are apart from each other, and nobody else has them.
        Ok(std::array::from_fn(|plane| PlaneMut {
            bytes: unsafe { std::slice::from_raw_parts_mut(data[plane], shapes[plane].bytes()) },
            shape: shapes[plane],
        }))
    }

    fn shapes(&mut self) -> Result<[Shape; 3], Error> {
        let (width, height) = self.size();
        let fields = self.fields();
        let sample_bytes = match fields.format {
            format if is_i420(format) => 1,
            format if format == ffi::AVPixelFormat::AV_PIX_FMT_YUV420P10LE as c_int => 2,
            _ => return Err(Error::INVALID),
        };
        let mut shapes = [Shape { stride: 0, row_bytes: 0, rows: 0 }; 3];
        for (plane, shape) in shapes.iter_mut().enumerate() {
            let (width, height) =
                if plane == 0 { (width, height) } else { (width.div_ceil(2), height.div_ceil(2)) };
            let stride = usize::try_from(fields.linesize[plane]).map_err(|_| Error::INVALID)?;
            *shape = Shape { stride, row_bytes: width as usize * sample_bytes, rows: height as usize };
            if shape.rows == 0 || shape.row_bytes > stride || fields.data[plane].is_null() {
                return Err(Error::INVALID);
            }
        }
        Ok(shapes)
    }

    /// Picture `index` of a test: a pattern that moves, with enough detail to be work.
    pub(crate) fn paint_test(&mut self, index: u32) -> Result<(), Error> {
        self.make_writable()?;
        let (width, height) = self.size();
        let fields = self.fields();
        for plane in 0..3 {
            let (width, height) = if plane == 0 { (width, height) } else { (width / 2, height / 2) };
            // Formats with two planes have both chromas in the second.
            if plane > 0 && fields.data[plane].is_null() {
                break;
            }
            let stride = usize::try_from(fields.linesize[plane]).map_err(|_| Error::INVALID)?;
            for row in 0..height {
                // SAFETY: the plane has that many rows of at least that many bytes, and nobody else has it.
                let samples = unsafe {
                    std::slice::from_raw_parts_mut(
                        fields.data[plane].add(row as usize * stride),
                        width as usize,
                    )
                };
                for (column, sample) in samples.iter_mut().enumerate() {
                    let column = column as u32 + 3 * index;
                    let shape = (column ^ (row + index)) & 0x3f;
                    let grain = (column.wrapping_mul(row | 1).wrapping_mul(2_654_435_761) >> 28) & 7;
                    *sample = (64 + shape + grain + (column / 16) % 96) as u8;
                }
            }
        }
        Ok(())
    }

    /// Hands out the colours of a picture of I420 or NV12 one after the other, luma first, to be changed.
    pub(crate) fn each_component(
        &mut self,
        mut change: impl FnMut(usize, Component<'_>),
    ) -> Result<(), Error> {
        self.make_writable()?;
        let (width, height) = self.size();
        let fields = self.fields();
        let is_mixed = fields.format == ffi::AVPixelFormat::AV_PIX_FMT_NV12 as c_int;
        if !is_mixed && fields.format != ffi::AVPixelFormat::AV_PIX_FMT_YUV420P as c_int {
            return Err(Error::INVALID);
        }
        for colour in 0..3_usize {
            let is_chroma = colour > 0;
            // Of NV12 both chromas are in the second plane, one beside the other.
            let (plane, step) = if is_mixed && is_chroma { (1, 2) } else { (colour, 1) };
            let offset = if is_mixed { colour.saturating_sub(1) } else { 0 };
            let side = |length: u32| if is_chroma { length.div_ceil(2) } else { length } as usize;
            let (width, height) = (side(width), side(height));
            let stride = usize::try_from(fields.linesize[plane]).map_err(|_| Error::INVALID)?;
            if fields.data[plane].is_null() || width * step > stride || width == 0 || height == 0 {
                return Err(Error::INVALID);
            }
            let length = (height - 1) * stride + width * step - offset;
            // SAFETY: the plane has that many rows of at least that many bytes, and nobody else has it.
            let samples = unsafe { std::slice::from_raw_parts_mut(fields.data[plane].add(offset), length) };
            change(colour, Component { samples, stride, step });
        }
        Ok(())
    }

    /// The planes of `picture` in `slot`; `None` if it is none.
    pub(crate) fn over(picture: &Picture, slot: Slot) -> Option<View> {
        let layout = Layout::of(picture.width, picture.height)?;
        (layout.bytes() <= SLOT_BYTES).then_some(View { slot, layout })
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let mut frame = self.0.as_ptr();
        // SAFETY: it was allocated by the library and is freed once.
        unsafe { ffi::av_frame_free(&raw mut frame) };
    }
}

/// Three planes of 8 bits whose chroma is halved, as shared pictures have them.
pub(super) fn is_i420(format: c_int) -> bool {
    format == ffi::AVPixelFormat::AV_PIX_FMT_YUV420P as c_int
        || format == ffi::AVPixelFormat::AV_PIX_FMT_YUVJ420P as c_int
}

/// Where the rows of a plane are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    stride: usize,
    row_bytes: usize,
    pub(super) rows: usize,
}

impl Shape {
    fn bytes(&self) -> usize {
        self.stride * (self.rows - 1) + self.row_bytes
    }
}

/// A plane of samples.
pub(super) struct Plane<'a> {
    bytes: &'a [u8],
    pub(super) shape: Shape,
}

impl Plane<'_> {
    /// A row, or the last one for those behind it.
    pub(super) fn row(&self, row: usize) -> &[u8] {
        let start = row.min(self.shape.rows - 1) * self.shape.stride;
        &self.bytes[start..start + self.shape.row_bytes]
    }
}

/// A plane of samples, to write.
pub(crate) struct PlaneMut<'a> {
    bytes: &'a mut [u8],
    pub(super) shape: Shape,
}

impl PlaneMut<'_> {
    /// All bytes, those of a row that are samples, and those from one row to the next.
    pub(crate) fn parts(&mut self) -> (&mut [u8], usize, usize) {
        (self.bytes, self.shape.row_bytes, self.shape.stride)
    }

    /// All rows, one after the other.
    pub(super) fn rows(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let row_bytes = self.shape.row_bytes;
        self.bytes.chunks_mut(self.shape.stride).map(move |row| &mut row[..row_bytes])
    }
}

/// The planes of an I420 picture in shared memory.
pub(crate) struct View {
    slot: Slot,
    layout: Layout,
}

impl View {
    /// A copy of its samples, in the same layout. Another process may be writing them, and then it is a mixture.
    pub(crate) fn copy(&self, to: &mut Vec<u8>) {
        let bytes = self.layout.bytes();
        to.clear();
        to.reserve(bytes);
        // SAFETY: the slot has at least as many bytes, and the vector room for them; they are apart.
        unsafe {
            std::ptr::copy_nonoverlapping(self.slot.0.cast_const(), to.as_mut_ptr(), bytes);
            to.set_len(bytes);
        }
    }

    /// Where its planes begin in its samples, and their strides.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// Where the planes begin, and their strides, as the scaler wants them.
    pub(super) fn planes(&self) -> ([*mut u8; 4], [c_int; 4]) {
        let offsets = self.layout.offsets();
        let plane = |index: usize| self.slot.0.wrapping_add(offsets[index]);
        let stride = |index: usize| self.layout.strides[index] as c_int;
        ([plane(0), plane(1), plane(2), std::ptr::null_mut()], [stride(0), stride(1), stride(2), 0])
    }
}

/// A code point as a stream has it. The bindings have enumerations for them, of which a stream may name values that do not exist.
///
/// # Safety
///
/// `field` is a field of a frame that lives, of an enumeration with 32 bits.
pub(super) unsafe fn code<T>(field: *const T) -> u32 {
    const { assert!(size_of::<T>() == size_of::<u32>()) };
    // SAFETY: the caller says so.
    unsafe { field.cast::<u32>().read() }
}
