//! The process that makes a slate.

use super::content::Content;
use super::mark::Painter;
use super::{Failed, Server};
use crate::av::Encoder;
use crate::encode::{Backend, Codec, Config, Preset, Tune};
use crate::ipc::Report;
use crate::picture::Picture;
use crate::slate;
use media::codec::annex_b;

/// Who encodes, best first: it is done once, and before anybody sees it.
pub(super) const BACKENDS: [Backend; 2] = [Backend::X264, Backend::OpenH264];

/// Luma and chroma of what is behind the marks: a gray that is nearly black.
const BACKGROUND: [u8; 3] = [32, 128, 128];

/// BT.709, in the code points of ISO/IEC 23091-2.
const BT709: u8 = 1;

/// On the scale of x264: a page that stands shows every flaw for as long as it stands.
const QUALITY: f32 = 20.0;

/// The most that a second of it takes, in bits for each pixel: a photograph of 1920x1080 takes about 1 Mbit as a keyframe.
const BITS_PER_PIXEL_MAX: u64 = 2;

pub(super) fn run(server: &mut Server, slate: &slate::Config) -> Result<(), Failed> {
    let like = Picture {
        slot: 0,
        pts: 0,
        keyframe: true,
        width: slate.width,
        height: slate.height,
        pixel_aspect: (1, 1),
        primaries: BT709,
        transfer: BT709,
        matrix: BT709,
        full_range: false,
    };
    let failed = |error| Failed(format!("a slate is not encoded: {error}"));
    let mut encoder = open(slate, &like)?;
    let fill = |index: usize, component: super::mark::Component<'_>| {
        let samples = component.samples.iter_mut().step_by(component.step.max(1));
        samples.for_each(|sample| *sample = BACKGROUND[index.min(2)]);
    };
    encoder.frame().each_component(fill).map_err(failed)?;
    Painter::new(slate.marks.clone())
        .paint(&like, encoder.frame())
        .map_err(|error| Failed(format!("a slate is not drawn: {error}")))?;
    let mut collector = annex_b::Collector::new(Codec::H264.of_packets());
    let (mut told, mut is_first) = (Vec::new(), true);
    let step = 1_000_000_000 / i64::from(slate.fps.max(1));
    for index in 0..=slate.frames {
        if index < slate.frames {
            encoder.send(i64::from(index) * step, index == 0, &[]).map_err(failed)?;
        } else {
            encoder.finish().map_err(failed)?;
        }
        while let Some(encoded) = encoder.receive().map_err(failed)? {
            let mut coded = encoded.coded;
            // Parameter sets are in the configuration, or in front of a keyframe, or both.
            if std::mem::take(&mut is_first) {
                collector.frame(encoded.extradata);
            }
            coded.payload = collector.frame(&coded.payload).0.to_vec();
            if told != *collector.record() {
                told = collector.record().to_vec();
                server.report(&Report::Configured(told.clone()))?;
            }
            server.report(&Report::Packet(coded))?;
        }
    }
    server.report(&Report::Done)?;
    Ok(())
}

fn open(slate: &slate::Config, like: &Picture) -> Result<Encoder, Failed> {
    let pixels = u64::from(slate.width) * u64::from(slate.height);
    let config = Config {
        codec: Codec::H264,
        backend: None,
        width: slate.width,
        height: slate.height,
        fps_max: None,
        bitrate_bps: u32::try_from(BITS_PER_PIXEL_MAX * pixels).unwrap_or(u32::MAX),
        quality: Some(QUALITY),
        vmaf: None,
        gop: None,
        b_frames: 0,
        lookahead: 0,
        preset: Preset::Medium,
        profile: None,
        tune: Some(Tune::StillImage),
        denoise: false,
        regions: false,
        threads: 1,
        marks: slate.marks.clone(),
    };
    let mut why = String::new();
    for backend in BACKENDS {
        match Encoder::open(&config, backend, like, Content::default(), f64::from(slate.fps)) {
            Ok(encoder) => return Ok(encoder),
            Err(error) => why = error,
        }
    }
    Err(Failed(why))
}
