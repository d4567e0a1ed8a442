//! Sound: samples of any kind into those that encoders take, and encoders.

use super::{Context, Error, Frame, Options, Packet, check, ffi};
use crate::sound::{Codec, Config};
use std::ffi::c_int;
use std::ptr::NonNull;

/// The most samples of one decoded frame, and of what comes of it: four seconds.
const SAMPLES_MAX: c_int = 4 * 96_000;

/// Makes decoded sound into interleaved 32-bit samples of one rate and number of channels.
pub(crate) struct Resampler {
    context: NonNull<ffi::SwrContext>,
    /// Format, rate and channels that it takes.
    key: (c_int, c_int, c_int, u64),
    rate: c_int,
    channels: u8,
}

/// What a frame has; the mask of channels is 0 where it is not known which they are.
fn key_of(frame: &mut Frame) -> (c_int, c_int, c_int, u64) {
    let fields = frame.fields();
    let layout = &fields.ch_layout;
    // SAFETY: the order says that the mask is what is set. A stream has no say in it: the library sets it.
    let mask = unsafe {
        if layout.order == ffi::AVChannelOrder::AV_CHANNEL_ORDER_NATIVE { layout.u.mask } else { 0 }
    };
    (fields.format, fields.sample_rate, layout.nb_channels, mask)
}

impl Resampler {
    /// The one in `kept` if it fits `frame`, or else a new one in its place. What the old one holds, less than a millisecond, is lost.
    pub(crate) fn for_frame<'a>(
        kept: &'a mut Option<Self>,
        frame: &mut Frame,
        rate: u32,
        channels: u8,
    ) -> Result<&'a mut Self, Error> {
        let key = key_of(frame);
        if kept.as_ref().is_none_or(|kept| kept.key != key) {
            *kept = Some(Self::new(frame, key, rate, channels)?);
        }
        kept.as_mut().ok_or(Error::INVALID)
    }

    fn new(
        frame: &mut Frame,
        key: (c_int, c_int, c_int, u64),
        rate: u32,
        channels: u8,
    ) -> Result<Self, Error> {
        let rate = c_int::try_from(rate).map_err(|_| Error::INVALID)?;
        if !(0..ffi::AVSampleFormat::AV_SAMPLE_FMT_NB as c_int).contains(&key.0) || key.1 <= 0 || key.2 <= 0 {
            return Err(Error::INVALID);
        }
        // SAFETY: all numbers below the last one have a name.
        let format = unsafe { std::mem::transmute::<c_int, ffi::AVSampleFormat>(key.0) };
        let mut context = std::ptr::null_mut();
        // SAFETY: layouts are set by the library, hold no memory of their own here, and are copied; the context is freed once.
        unsafe {
            let mut from = std::mem::zeroed::<ffi::AVChannelLayout>();
            let mut to = std::mem::zeroed::<ffi::AVChannelLayout>();
            ffi::av_channel_layout_default(&raw mut to, c_int::from(channels));
            match key.3 {
                0 => ffi::av_channel_layout_default(&raw mut from, key.2),
                _ => drop(check(ffi::av_channel_layout_copy(
                    &raw mut from,
                    &raw const frame.fields().ch_layout,
                ))?),
            }
            let made = ffi::swr_alloc_set_opts2(
                &raw mut context,
                &raw mut to,
                ffi::AVSampleFormat::AV_SAMPLE_FMT_FLT,
                rate,
                &raw mut from,
                format,
                key.1,
                0,
                std::ptr::null_mut(),
            );
            ffi::av_channel_layout_uninit(&raw mut from);
            check(made)?;
        }
        let context = NonNull::new(context).ok_or(Error::NO_MEMORY)?;
        let resampler = Self { context, key, rate, channels };
        // SAFETY: the options are set.
        check(unsafe { ffi::swr_init(context.as_ptr()) })?;
        Ok(resampler)
    }

    /// Samples that it holds, at the rate that it gives.
    pub(crate) fn pending(&self) -> i64 {
        // SAFETY: the context lives.
        unsafe { ffi::swr_get_delay(self.context.as_ptr(), i64::from(self.rate)) }
    }

    /// Makes the next `distance` samples longer by `samples`, or shorter.
    pub(crate) fn stretch(&mut self, samples: i32, distance: i32) -> Result<(), Error> {
        // SAFETY: the context lives.
        check(unsafe { ffi::swr_set_compensation(self.context.as_ptr(), samples, distance) }).map(|_| ())
    }

    /// Puts the samples of `frame` at the end of `out`. Returns how many there are, of each channel.
    pub(crate) fn convert(&mut self, frame: &mut Frame, out: &mut Vec<f32>) -> Result<usize, Error> {
        let fields = frame.fields();
        if !(0..=SAMPLES_MAX).contains(&fields.nb_samples) {
            return Err(Error::INVALID);
        }
        // SAFETY: the context lives.
        let most = check(unsafe { ffi::swr_get_out_samples(self.context.as_ptr(), fields.nb_samples) })?;
        if most > SAMPLES_MAX * 4 {
            return Err(Error::INVALID);
        }
        let (before, channels) = (out.len(), usize::from(self.channels));
        out.resize(before + most as usize * channels, 0.0);
        let mut to = out[before..].as_mut_ptr().cast::<u8>();
        // SAFETY: the vector has room for `most` samples of all channels, and the frame has as many samples as it says, in the
        // format that the context was made for.
        let count = check(unsafe {
            ffi::swr_convert(
                self.context.as_ptr(),
                &raw mut to,
                most,
                fields.extended_data.cast::<*const u8>(),
                fields.nb_samples,
            )
        });
        let count = count.unwrap_or(0) as usize;
        out.truncate(before + count * channels);
        Ok(count)
    }
}

impl Drop for Resampler {
    fn drop(&mut self) {
        let mut context = self.context.as_ptr();
        // SAFETY: it was allocated by the library and is freed once.
        unsafe { ffi::swr_free(&raw mut context) };
    }
}

/// Encodes sound.
pub(crate) struct SoundEncoder {
    context: Context,
    packet: Packet,
    frame: Frame,
    rate: u32,
    channels: u8,
}

/// The rate at which sound is encoded: that of the source where it is usual, or its nearest relative.
pub(crate) fn rate_for(codec: Codec, source: u32) -> u32 {
    const USUAL: [u32; 3] = [32_000, 44_100, 48_000];
    match codec {
        Codec::Opus => media::codec::opus::SAMPLE_RATE,
        Codec::Aac if USUAL.contains(&source) => source,
        Codec::Aac if source > 0 && source.is_multiple_of(11_025) => 44_100,
        Codec::Aac => 48_000,
    }
}

impl SoundEncoder {
    /// Opens the encoder of `config` for a source of `source` Hz.
    pub(crate) fn open(config: &Config, source: u32) -> Result<Self, String> {
        let (name, format) = match config.codec {
            Codec::Aac => (c"aac", ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP),
            Codec::Opus => (c"libopus", ffi::AVSampleFormat::AV_SAMPLE_FMT_FLT),
        };
        let (rate, channels) = (rate_for(config.codec, source), config.channels.clamp(1, 2));
        // SAFETY: the name ends with a zero.
        let found = unsafe { ffi::avcodec_find_encoder_by_name(name.as_ptr()) };
        if found.is_null() {
            return Err(format!("this libav has no {}", name.to_string_lossy()));
        }
        let open = || {
            let mut context = Context::new(found)?;
            let fields = context.fields();
            let rate_code = c_int::try_from(rate).map_err(|_| Error::INVALID)?;
            (fields.sample_rate, fields.sample_fmt) = (rate_code, format);
            fields.time_base = ffi::AVRational { num: 1, den: rate_code };
            fields.bit_rate = i64::from(config.bitrate_bps);
            fields.thread_count = 1;
            fields.flags |= ffi::AV_CODEC_FLAG_GLOBAL_HEADER as c_int;
            // SAFETY: the layout belongs to the context.
            unsafe { ffi::av_channel_layout_default(&raw mut fields.ch_layout, c_int::from(channels)) };
            let mut options = Options::new();
            if config.codec == Codec::Opus {
                options.set(c"frame_duration", "20")?;
            }
            // SAFETY: the context was made for this encoder.
            check(unsafe { ffi::avcodec_open2(context.0.as_ptr(), found, &raw mut options.0) })?;
            let mut frame = Frame::new()?;
            let samples = frame.fields();
            samples.nb_samples = context.fields().frame_size;
            samples.format = format as c_int;
            samples.sample_rate = rate_code;
            // SAFETY: the layout belongs to the frame, whose format and size are set.
            unsafe {
                ffi::av_channel_layout_default(&raw mut samples.ch_layout, c_int::from(channels));
                check(ffi::av_frame_get_buffer(frame.as_ptr(), 0))?;
            }
            Ok(Self { context, packet: Packet::new()?, frame, rate, channels })
        };
        open().map_err(|error: Error| format!("the encoder of {} does not open: {error}", config.codec))
    }

    /// In Hz.
    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    /// Samples of a frame, of each channel.
    pub(crate) fn frame_samples(&mut self) -> usize {
        usize::try_from(self.context.fields().frame_size).unwrap_or(0)
    }

    /// What decoders must know: an AudioSpecificConfig, or an OpusHead.
    pub(crate) fn record(&mut self) -> &[u8] {
        self.context.extradata()
    }

    /// Encodes a frame of interleaved samples; `position` is that of the first, in samples.
    pub(crate) fn send(&mut self, samples: &[f32], position: i64) -> Result<(), Error> {
        let (count, channels) = (self.frame_samples(), usize::from(self.channels));
        if samples.len() != count * channels {
            return Err(Error::INVALID);
        }
        self.frame.make_writable()?;
        let fields = self.frame.fields();
        fields.pts = position;
        if fields.format == ffi::AVSampleFormat::AV_SAMPLE_FMT_FLT as c_int {
            // SAFETY: its one plane has room for `count` samples of all channels, and nobody else has it.
            let plane =
                unsafe { std::slice::from_raw_parts_mut(fields.data[0].cast::<f32>(), samples.len()) };
            plane.copy_from_slice(samples);
        } else {
            for channel in 0..channels {
                // SAFETY: each of its planes has room for `count` samples, and nobody else has it.
                let plane =
                    unsafe { std::slice::from_raw_parts_mut(fields.data[channel].cast::<f32>(), count) };
                let of_channel = samples.iter().skip(channel).step_by(channels);
                plane.iter_mut().zip(of_channel).for_each(|(to, from)| *to = *from);
            }
        }
        // SAFETY: the context is open, and the frame ours.
        check(unsafe { ffi::avcodec_send_frame(self.context.0.as_ptr(), self.frame.as_ptr()) }).map(|_| ())
    }

    /// Says that nothing follows.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        // SAFETY: the context is open; a null frame ends it.
        check(unsafe { ffi::avcodec_send_frame(self.context.0.as_ptr(), std::ptr::null()) }).map(|_| ())
    }

    /// The next packet, if there is one, and the position of its first sample. That of the very first lies before the sound: it is what
    /// decoders need to get going.
    pub(crate) fn receive(&mut self) -> Result<Option<(i64, &[u8])>, Error> {
        // SAFETY: the context is open, and the packet ours.
        match check(unsafe { ffi::avcodec_receive_packet(self.context.0.as_ptr(), self.packet.0.as_ptr()) }) {
            Err(error) if error.is_again() || error.is_end() => return Ok(None),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let position = self.packet.fields().pts;
        Ok(Some((position, self.packet.payload())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_kept_where_players_know_them() {
        let aac =
            [48_000, 44_100, 32_000, 22_050, 8000, 16_000, 96_000, 0].map(|rate| rate_for(Codec::Aac, rate));
        assert_eq!(aac, [48_000, 44_100, 32_000, 44_100, 48_000, 48_000, 48_000, 48_000]);
        assert_eq!(rate_for(Codec::Opus, 44_100), 48_000);
    }
}
