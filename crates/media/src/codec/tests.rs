use super::*;
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Codec string, size, frames in 1000 seconds, B frames.
type Video = (String, Option<(u32, u32)>, Option<i64>, Option<bool>);

fn video(codec: Codec, config: &str) -> Video {
    let config = hex(config);
    let summary = summary(codec, &config).unwrap();
    let size = summary.width.zip(summary.height);
    let milli_fps = summary.fps.map(|fps| (fps * 1000.0).round() as i64);
    (summary.mime, size, milli_fps, has_b_frames(codec, &config))
}

/// Configuration records that encoders wrote.
#[test]
fn h264_records_of_encoders() {
    let hd = Some((1920, 1080));
    // x264 with B frames, without them, baseline, and 4:4:4 with fields, scaling lists and HRD parameters.
    let high = "01640028ffe10019 67640028acd9407802 27e5c0440000 0fa40003a9803c60c658 01000468ef8fcbfdf8f800";
    assert_eq!(video(Codec::H264, high), ("avc1.640028".into(), hd, Some(29_970), Some(true)));
    let zero_latency =
        "01640028ffe10018 67640028acb403c0113f2e0220 00007d20001d4c11e30654 01000468ef0fcbfdf8f800";
    assert_eq!(video(Codec::H264, zero_latency), ("avc1.640028".into(), hd, Some(29_970), Some(false)));
    let baseline = "0142c028ffe10017 6742c028da01e0089f970110 00003e90000ea600f1832a 01000468ce0fc8";
    assert_eq!(video(Codec::H264, baseline), ("avc1.42c028".into(), hd, Some(29_970), Some(false)));
    let fields =
        "01f40028ffe10025 67f40028919b280f0089f97011000003 03e90000ea60626000f424001e84a4c300f8b16cb0
        01000768fe8f19300019fff8f800";
    assert_eq!(video(Codec::H264, fields), ("avc1.f40028".into(), hd, Some(29_970), Some(true)));
    // OpenH264: no timing information.
    let openh264 = "0142c028ffe10010 6742c0288c680780227e5c0407844235 01000468ce3c80";
    assert_eq!(video(Codec::H264, openh264), ("avc1.42c028".into(), hd, None, Some(false)));
    assert_eq!(h264::read_config(&hex(openh264)).unwrap().nal_length_size, 4);
}

#[test]
fn h265_records_of_encoders() {
    // x265: Main with B frames; 4:2:2 10 bit with scaling lists, HRD parameters and no B frames.
    let main = "01016000000090000000 00003cf000fcfdf8f800000f 02
        2000010018 40010c01ffff01600000030090000003000003003c959809
        210001002b 420101016000000300900000030000 03003ca00a080b9f79656692 4caf01680800000300080000 0300f040";
    assert_eq!(
        video(Codec::H265, main),
        ("hvc1.1.6.L60.90".into(), Some((320, 180)), Some(30_000), Some(true))
    );
    let range = "01040800 00009d080000000078f000fcfefafa00000f 01
        2100010034 420101040800000300 9d080000030000 78b003c0801107c4b65ba4a4e1780b404000
        00fa40001d4c1827259780 03d090007a122022";
    assert_eq!(
        video(Codec::H265, range),
        ("hvc1.4.10.L120.9D.8".into(), Some((1920, 1080)), Some(29_970), Some(false))
    );
    // Kvazaar: two temporal sub-layers.
    let layers = "01016000000080000000 0000baf000fcfdf8f8000013 01
        210001002b 4201020160000003008000000300000300ba0000a003c08010e5a0811924c2b010100000 3e900007530080";
    assert_eq!(
        video(Codec::H265, layers),
        ("hvc1.1.6.L186.80".into(), Some((1920, 1080)), Some(29_970), Some(true))
    );
}

#[test]
fn av1_and_vpx_records_of_encoders() {
    let svt = "81084c00 0a0c02000042955dfe1b805f0808";
    assert_eq!(video(Codec::Av1, svt), ("av01.0.08M.10".into(), Some((1920, 1080)), None, Some(false)));
    let without_sequence = "811f0c00";
    assert_eq!(video(Codec::Av1, without_sequence), ("av01.0.31M.08".into(), None, None, Some(false)));
    let descriptor = "8004 81240000";
    assert_eq!(video(Codec::Av1, descriptor).0, "av01.1.04M.08");
    for vpc in ["01000000 000b820202020000", "000b820202020000"] {
        assert_eq!(video(Codec::Vp9, vpc), ("vp09.00.11.08".into(), None, None, Some(false)));
        assert_eq!(video(Codec::Vp8, vpc).0, "vp08.00.11.08");
    }
    let summary = summary_of_frame(Codec::Vp9, &hex("824983420013f00b36063824")).unwrap();
    assert_eq!((summary.width, summary.height), (Some(320), Some(180)));
    let summary = summary_of_frame(Codec::Vp8, &hex("50a0009d012a4001b400")).unwrap();
    assert_eq!((summary.width, summary.height), (Some(320), Some(180)));
    let summary = summary_of_frame(Codec::Av1, &hex("1200 0a0c02000042955dfe1b805f0808 320110")).unwrap();
    assert_eq!((summary.width, summary.height), (Some(1920), Some(1080)));
}

fn audio(codec: Codec, config: &str) -> (String, Option<u32>, Option<u8>) {
    let summary = summary(codec, &hex(config)).unwrap();
    (summary.mime, summary.sample_rate, summary.channels)
}

#[test]
fn aac_configs_with_every_way_to_signal_an_extension() {
    let cases = [
        ("1190", "mp4a.40.2", 48_000, Some(2)),
        ("118856e500", "mp4a.40.2", 48_000, Some(1)), // says that there is no SBR
        ("2b9208", "mp4a.40.5", 44_100, Some(2)),     // SBR in front
        ("eb8a08", "mp4a.40.29", 44_100, Some(2)),    // PS in front
        ("139056e5a0", "mp4a.40.2", 44_100, Some(2)), // SBR behind
        ("138856e5a54880", "mp4a.40.2", 44_100, Some(2)), // SBR and PS behind
        ("1780562210", "mp4a.40.2", 44_100, Some(2)), // explicit rate
        ("f94640", "mp4a.40.42", 48_000, Some(2)),    // escaped object type
        ("123056e500", "mp4a.40.2", 44_100, Some(6)), // 5.1
        ("118004c808000108840c4c61766336332e312e31303256e500", "mp4a.40.2", 48_000, Some(6)), // program config
    ];
    for (config, mime, sample_rate, channels) in cases {
        assert_eq!(audio(Codec::Aac, config), (mime.into(), Some(sample_rate), channels), "{config}");
    }
    assert_eq!(summary(Codec::Aac, &hex("1680")), None, "rate index 13 is reserved");
}

#[test]
fn opus_and_flac_configs_of_encoders() {
    let surround = "4f70757348656164 01 06 3801 80bb0000 0000 01 0402 000401020305";
    assert_eq!(audio(Codec::Opus, surround), ("opus".into(), Some(48_000), Some(6)));
    assert_eq!(audio(Codec::Opus, ""), ("opus".into(), Some(48_000), None));
    let streaminfo = "10001000 0000fc00018b 0bb800f0 00023280 0e9d7dce5ba2b3c21e0da82757 8eebfe";
    assert_eq!(audio(Codec::Flac, streaminfo), ("flac".into(), Some(48_000), Some(1)));
    let with_marker = format!("664c6143 80000022 {streaminfo}");
    assert_eq!(audio(Codec::Flac, &with_marker), audio(Codec::Flac, streaminfo));
}

#[test]
fn ac3_frames_of_encoders() {
    let cases = [
        ("0b775ac954 4043e106f575", "ac-3", 44_100, 2),
        ("0b77b50b1e 40ebf8403eff", "ac-3", 48_000, 6),
        ("0b7700bf32 87c000210640", "ec-3", 48_000, 1),
        ("0b77037f3f 87c00020f820", "ec-3", 48_000, 6),
    ];
    for (frame, mime, sample_rate, channels) in cases {
        let summary = summary_of_frame(Codec::Ac3, &hex(frame)).unwrap();
        assert_eq!(
            (summary.mime.as_str(), summary.sample_rate, summary.channels),
            (mime, Some(sample_rate), Some(channels))
        );
    }
    assert_eq!(summary_of_frame(Codec::Ac3, b"\x0b\x78"), None);
}

#[test]
fn keyframes_are_told_from_the_payload() {
    let cases = [
        (Codec::H264, "00000002 0910 00000001 65", true),
        (Codec::H264, "00000002 0910 00000001 41", false),
        (Codec::H264, "00000009 06 01 01 05 06 01 84 80 00 00000001 41", true), // recovery point
        (Codec::H264, "00000005 06 05 01 06 80 00000001 41", false),            // user data with a 6 in it
        (Codec::H264, "", false),
        (Codec::H265, "00000002 2801", true),
        (Codec::H265, "00000002 2a01", true),
        (Codec::H265, "00000003 400100 00000002 0201", false),
        (Codec::Av1, "1200 0a01 00 3201 10", true),
        (Codec::Av1, "1200 3201 30", false),
        (Codec::Av1, "1200 1a01 90", false), // shows an earlier frame
        (Codec::Av1, "1200 0a01 18 3201 30", true), // still picture
        (Codec::Vp8, "50", true),
        (Codec::Vp8, "51", false),
        (Codec::Vp9, "82", true),
        (Codec::Vp9, "86", false),
        (Codec::Vp9, "88", false), // shows an earlier frame
        (Codec::Aac, "01", false),
    ];
    for (codec, payload, expected) in cases {
        assert_eq!(is_keyframe(codec, &hex(payload), 4), expected, "{codec:?} {payload}");
    }
}

#[test]
fn frames_without_dependants_are_told_from_the_first_slice() {
    let cases = [
        (Codec::H264, "00000003 060501 00000001 01", true),
        (Codec::H264, "00000001 61 00000001 01", false),
        (Codec::H264, "00000009 01", false),   // a length that does not fit
        (Codec::H265, "00000002 0001", true),  // TRAIL_N
        (Codec::H265, "00000002 0201", false), // TRAIL_R
        (Codec::H265, "00000002 1001", true),  // RASL_N
        (Codec::H265, "00000002 2801", false), // IDR_N_LP is even, but a keyframe
        (Codec::Av1, "1200 3201 30", false),
    ];
    for (codec, payload, expected) in cases {
        assert_eq!(is_disposable(codec, &hex(payload), 4), expected, "{codec:?} {payload}");
    }
}

/// Writes the fields that the parsers read.
#[derive(Default)]
struct BitWriter(Vec<bool>);

impl BitWriter {
    fn bits(&mut self, value: u64, count: u32) -> &mut Self {
        self.0.extend((0..count).rev().map(|bit| value.checked_shr(bit).unwrap_or(0) & 1 == 1));
        self
    }

    fn ue(&mut self, value: u32) -> &mut Self {
        let code = u64::from(value) + 1;
        let length = 64 - code.leading_zeros();
        self.bits(code, 2 * length - 1)
    }

    /// The bytes with a stop bit, and emulation prevention.
    fn unit(&mut self, header: &[u8]) -> Vec<u8> {
        self.bits(1, 1);
        let mut out = header.to_vec();
        let mut zeros = 0;
        for bits in self.0.chunks(8) {
            let byte = (0..8).fold(0, |byte, bit| byte << 1 | u8::from(bits.get(bit) == Some(&true)));
            if zeros == 2 && byte <= 3 {
                out.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            out.push(byte);
        }
        out
    }
}

proptest! {
    #[test]
    fn h264_parameter_sets_read_back(
        macroblocks in (1u32..600, 1u32..600),
        crop in (0u32..8, 0u32..8, 0u32..8, 0u32..8),
        timing in (1u32..2000, 1u32..60_000),
        reorder in 0u32..16,
    ) {
        let mut writer = BitWriter::default();
        writer.bits(77, 8).bits(0, 8).bits(31, 8).ue(0).ue(0).ue(0).ue(0).ue(4).bits(0, 1);
        writer.ue(macroblocks.0 - 1).ue(macroblocks.1 - 1).bits(0b11, 2);
        let [left, right, top, bottom] = [crop.0, crop.1, crop.2, crop.3].map(|side| side / 2);
        writer.bits(1, 1).ue(left).ue(right).ue(top).ue(bottom);
        // Extended aspect ratio, video signal, timing, both kinds of HRD parameters, restrictions.
        writer.bits(1, 1).bits(1, 1).bits(255, 8).bits(0x0010_000b, 32).bits(0, 1);
        writer.bits(1, 1).bits(5 << 1 | 1, 4).bits(1, 1).bits(0, 24).bits(0, 1);
        writer.bits(1, 1).bits(timing.0.into(), 32).bits(timing.1.into(), 32).bits(1, 1);
        for _ in 0..2 {
            writer.bits(1, 1).ue(1).bits(0, 8).ue(9).ue(9).bits(0, 1).ue(8).ue(8).bits(1, 1).bits(0, 20);
        }
        writer.bits(0, 2).bits(1, 1).bits(1, 1).ue(2).ue(1).ue(11).ue(11).ue(reorder).ue(4);
        let sps = h264::read_sps(&writer.unit(&[0x67])).unwrap();
        let crop_size = (2 * (left + right), 2 * (top + bottom));
        prop_assert_eq!(sps.width, macroblocks.0 * 16 - crop_size.0);
        prop_assert_eq!(sps.height, macroblocks.1 * 16 - crop_size.1);
        prop_assert_eq!(sps.reorder_frames, Some(reorder));
        let fps = f64::from(timing.1) / f64::from(timing.0) / 2.0;
        prop_assert_eq!(sps.fps.is_some(), fps <= limits::FPS_MAX);
        prop_assert!(sps.fps.is_none_or(|read| (read - fps).abs() < 1e-9));
    }

    #[test]
    fn h265_parameter_sets_read_back(
        size in (16u32..8000, 16u32..8000),
        sub_layers in proptest::collection::vec((any::<bool>(), any::<bool>(), 0u32..8), 1..8),
        crop in 0u32..4,
        sets in proptest::collection::vec((0u32..4, 0u32..4), 0..8),
    ) {
        let mut writer = BitWriter::default();
        writer.bits(0, 4).bits(sub_layers.len() as u64 - 1, 3).bits(1, 1).bits(0x0160_0000, 32).bits(0, 64);
        let lower = &sub_layers[1..];
        if !lower.is_empty() {
            for (profile, level, _) in lower {
                writer.bits((*profile).into(), 1).bits((*level).into(), 1);
            }
            writer.bits(0, 2 * (8 - lower.len() as u32));
            for (profile, level, _) in lower {
                writer.bits(0, 88 * u32::from(*profile)).bits(0, 8 * u32::from(*level));
            }
        }
        writer.ue(0).ue(1).ue(size.0).ue(size.1).bits(1, 1).ue(crop).ue(crop).ue(0).ue(crop);
        writer.ue(0).ue(0).ue(4).bits(1, 1);
        for (_, _, reorder) in &sub_layers {
            writer.ue(8).ue(*reorder).ue(0);
        }
        writer.ue(0).ue(3).ue(0).ue(3).ue(0).ue(0).bits(0b000, 3).bits(0, 1);
        writer.ue(sets.len() as u32);
        for (index, (negative, positive)) in sets.iter().enumerate() {
            if index > 0 {
                writer.bits(0, 1);
            }
            writer.ue(*negative).ue(*positive);
            for _ in 0..negative + positive {
                writer.ue(0).bits(1, 1);
            }
        }
        writer.bits(1, 1).ue(1).bits(5, 8).bits(1, 1).bits(0, 2);
        writer.bits(1, 1).bits(0, 4).bits(0, 3).bits(0, 1).bits(1, 1).bits(1001, 32).bits(60_000, 32);
        let sps = h265::read_sps(&writer.unit(&[0x42, 0x01])).unwrap();
        prop_assert_eq!((sps.width, sps.height), (size.0 - 4 * crop, size.1 - 2 * crop));
        prop_assert_eq!(Some(sps.reorder_pictures), sub_layers.last().map(|layer| layer.2));
        prop_assert!(sps.fps.is_some_and(|fps| (fps - 60_000.0 / 1001.0).abs() < 1e-9));
    }

    #[test]
    fn av1_sequence_headers_read_back(
        size in (1u32..=32_768, 1u32..=32_768),
        points in proptest::collection::vec((0u32..32, any::<bool>()), 1..=32),
        ticks in 0u32..4,
        decoder_model in any::<bool>(),
    ) {
        let mut writer = BitWriter::default();
        writer.bits(0, 3).bits(0, 2).bits(1, 1).bits(1, 32).bits(120, 32).bits(1, 1).ue(ticks);
        writer.bits(decoder_model.into(), 1);
        if decoder_model {
            writer.bits(9, 5).bits(1, 32).bits(0, 10);
        }
        writer.bits(1, 1).bits(points.len() as u64 - 1, 5);
        for (level, present) in &points {
            writer.bits(0, 12).bits((*level).into(), 5);
            if *level > 7 {
                writer.bits(0, 1);
            }
            if decoder_model {
                writer.bits((*present).into(), 1).bits(0, if *present { 21 } else { 0 });
            }
            writer.bits((*present).into(), 1).bits(0, if *present { 4 } else { 0 });
        }
        writer.bits(15, 4).bits(14, 4).bits(u64::from(size.0) - 1, 16).bits(u64::from(size.1) - 1, 15);
        // OBUs have no emulation prevention, so the bytes are taken from the bits alone.
        writer.bits(0, 7);
        let bytes: Vec<u8> = writer
            .0
            .chunks_exact(8)
            .map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit)))
            .collect();
        let sequence = av1::read_sequence(&bytes).unwrap();
        prop_assert_eq!((sequence.width, sequence.height), size);
        prop_assert_eq!(sequence.fps, Some(120.0 / f64::from(ticks + 1)));
    }

    #[test]
    fn damaged_records_never_panic(pick in 0usize..6, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let records = [
            (0, "01f40028ffe1002567f40028919b280f0089f9701100000303e90000ea60626000f424001e84a4c300f8b16cb0"),
            (1, "01016000000080000000 0000baf000fcfdf8f8000013 01 210001002b
                 4201020160000003008000000300000300ba0000a003c08010e5a0811924c2b0101000003e900007530080"),
            (2, "ff001100010233800005000 2d0000000"),
            (3, "81084c000a0c02000042955dfe1b805f0808"),
            (6, "118004c808000108840c4c61766336332e312e31303256e500"),
            (9, "664c61438000002210001000"),
        ];
        let (codec, record) = records[pick];
        let mut bytes = hex(record);
        let position = at.index(bytes.len());
        bytes[position] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        bytes.insert(0, codec);
        crate::fuzz::codec_headers(&bytes);
    }
}
