use super::*;
use proptest::prelude::*;

/// A colour that light of BT.709 can be mixed to.
fn into_gamut(light: [f64; 3]) -> [f64; 3] {
    let gray = dot(BRIGHTNESS_BT709, light).max(0.0);
    let lacking = light.into_iter().filter(|part| *part < 0.0);
    let kept = lacking.map(|part| gray / (gray - part)).fold(1.0, f64::min);
    light.map(|part| (gray + kept * (part - gray)).max(0.0))
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn picture(primaries: u8, transfer: u8, matrix: u8) -> Picture {
    Picture {
        slot: 0,
        pts: 0,
        keyframe: true,
        width: 16,
        height: 16,
        pixel_aspect: (1, 1),
        primaries,
        transfer,
        matrix,
        full_range: false,
    }
}

fn colours(transfer: u8) -> Colours {
    Colours::of(&picture(9, transfer, 9), None).unwrap()
}

/// The code of 10 bits of a signal, with limited range.
fn code_of(signal: f64) -> f64 {
    64.0 + 876.0 * signal
}

/// Codes of a colour given as a signal.
fn codes_of([r, g, b]: [f64; 3]) -> [f64; 3] {
    let luma = 0.2627 * r + 0.6780 * g + 0.0593 * b;
    [code_of(luma), 512.0 + 896.0 * (b - luma) / 1.8814, 512.0 + 896.0 * (r - luma) / 1.4746]
}

/// Light of the screen in cd/m².
fn light_of(colours: &Colours, signal: [f64; 3]) -> [f64; 3] {
    let light = signal.map(|part| colours.light_of(part.clamp(0.0, 1.0)));
    match colours.transfer {
        Transfer::Hlg => light.map(|part| part * Colours::hlg_gain(dot(colours.brightness_shares(), light))),
        _ => light,
    }
}

fn to_bt709(colours: &Colours, light: [f64; 3]) -> [f64; 3] {
    colours.bt709_shares().map(|row| dot(row, light))
}

/// The way of one colour, step by step, from codes of 10 bits to codes of 8 bits.
fn exact(colours: &Colours, [luma, blue, red]: [f64; 3]) -> [f64; 3] {
    let full = colours.full_range;
    let luma = if full { luma / 1023.0 } else { (luma - 64.0) / 876.0 };
    let chroma = |code: f64| (code - 512.0) / if full { 1023.0 } else { 896.0 };
    let (kr, kb) = colours.luma_shares();
    let (r, b) = (luma + 2.0 * (1.0 - kr) * chroma(red), luma + 2.0 * (1.0 - kb) * chroma(blue));
    let g = (luma - kr * r - kb * b) / (1.0 - kr - kb);
    let light = into_gamut(to_bt709(colours, light_of(colours, [r, g, b])));
    let strongest = light.into_iter().fold(0.0, f64::max);
    let gain = if strongest > 0.0 { colours.curve(strongest) / strongest } else { 1.0 };
    let [r, g, b] = light.map(|nits| (nits * gain / WHITE_NITS).clamp(0.0, 1.0).powf(1.0 / SDR_GAMMA));
    let luma = dot(BRIGHTNESS_BT709, [r, g, b]);
    [16.0 + 219.0 * luma, 128.0 + 224.0 * (b - luma) / 1.8556, 128.0 + 224.0 * (r - luma) / 1.5748]
}

/// One colour by way of a table.
fn look_up(table: &Table, codes: [f64; 3]) -> [u8; 3] {
    let [luma, blue, red] = codes.map(|code| (code.round() as u16).to_le_bytes());
    let rows = [luma, luma].concat();
    let (mut upper, mut lower, mut to_blue, mut to_red) = ([0; 2], [0; 2], [0], [0]);
    table.convert([&rows, &rows], [&blue, &red], [&mut upper, &mut lower], [&mut to_blue, &mut to_red]);
    assert!(upper == lower && upper[0] == upper[1]);
    [upper[0], to_blue[0], to_red[0]]
}

#[test]
fn codes_of_pq_have_the_light_of_the_standard() {
    // BT.2408 table 1, and the ends of BT.2100 table 4.
    for (signal, nits) in [(0.0, 0.0), (0.508, 100.0), (0.581, 203.0), (0.752, 1000.0), (1.0, 10_000.0)] {
        assert!((pq(signal) - nits).abs() <= nits * 0.01, "{signal}: {}", pq(signal));
        assert!((pq_of(nits) - signal).abs() < 0.001, "{nits}: {}", pq_of(nits));
    }
}

#[test]
fn codes_of_hlg_have_the_light_of_the_standard() {
    // BT.2408 table 1 for a screen of 1000 cd/m²: a gray card, reference white, and the peak.
    for (signal, nits) in [(0.0, 0.0), (0.38, 26.0), (0.5, 50.7), (0.75, 203.0), (1.0, 1000.0)] {
        let [light, ..] = light_of(&colours(code::HLG), [signal; 3]);
        assert!((light - nits).abs() <= nits * 0.01, "{signal}: {light}");
    }
}

#[test]
fn what_an_ordinary_screen_can_show_stays_as_bright_as_it_was() {
    for transfer in [code::PQ, code::HLG] {
        let colours = colours(transfer);
        assert_eq!((colours.curve(0.0), colours.curve(26.0), colours.curve(80.0)), (0.0, 26.0, 80.0));
        let white = colours.curve(203.0);
        assert!((140.0..170.0).contains(&white), "reference white leaves room above it: {white}");
        assert!((colours.curve(1000.0) - 203.0).abs() < 0.01);
        assert_eq!(colours.curve(9000.0), colours.curve(1000.0));
    }
    // 26 cd/m² are 0.128 of white, and 42.5 % of the signal at a gamma of 2.4.
    let [luma, ..] = exact(&colours(code::HLG), codes_of([0.38; 3]));
    assert!((luma - (16.0 + 219.0 * 0.425)).abs() < 1.5, "{luma}");
}

#[test]
fn a_stream_that_says_how_bright_it_gets_has_its_own_curve() {
    let of = |peak| Colours::of(&picture(9, code::PQ, 9), peak).unwrap();
    assert_eq!(of(Some(100)).curve(203.0), 203.0, "there is nothing above white");
    assert!(of(Some(400)).curve(203.0) > of(None).curve(203.0));
    assert_eq!(of(Some(60_000)), of(Some(PEAK_NITS_MAX)));
    assert_eq!(of(None), of(Some(PEAK_NITS_DEFAULT)));
}

#[test]
fn gray_stays_gray_and_brighter_stays_brighter() {
    for transfer in [code::PQ, code::HLG, code::BT709] {
        let table = Table::new(colours(transfer));
        let mut before = 0;
        for luma in 0..=1023u16 {
            let [mapped, blue, red] = look_up(&table, [f64::from(luma), 512.0, 512.0]);
            assert_eq!((blue, red), (128, 128), "{luma}");
            assert!(mapped >= before && (16..=235).contains(&mapped), "{luma}: {before} {mapped}");
            before = mapped;
        }
        assert_eq!(look_up(&table, [64.0, 512.0, 512.0])[0], 16, "black is black");
        assert!(before >= 234, "and the brightest is white: {before}");
    }
}

#[test]
fn primaries_that_bt709_does_not_have_are_the_nearest_that_it_has() {
    // At reference white, 0.581 of PQ.
    let colours = colours(code::PQ);
    for (signal, strongest) in [([0.581, 0.0, 0.0], 0), ([0.0, 0.581, 0.0], 1), ([0.0, 0.0, 0.581], 2)] {
        let light = into_gamut(to_bt709(&colours, light_of(&colours, signal)));
        let bright = |light| dot(BRIGHTNESS_BT709, light);
        let before = dot(colours.brightness_shares(), light_of(&colours, signal));
        assert!(light.iter().all(|part| *part >= 0.0), "{light:?}");
        assert!((bright(light) - before).abs() < 0.5, "it is as bright: {before} {light:?}");
        assert!(light.iter().enumerate().all(|(part, is)| part == strongest || *is < light[strongest] / 2.0));
        let [luma, blue, red] = exact(&colours, codes_of(signal));
        assert!((16.0..=235.0).contains(&luma) && (16.0..=240.0).contains(&blue));
        assert!((16.0..=240.0).contains(&red));
    }
}

#[test]
fn what_is_bt709_already_is_left_alone() {
    for (primaries, transfer, matrix) in [(1, 1, 1), (2, 2, 2), (5, 6, 6), (6, 6, 6), (1, 13, 1)] {
        assert_eq!(Colours::of(&picture(primaries, transfer, matrix), None), None);
    }
    // BT.2020 without a high range: only its colours are others, and those that both have keep their brightness.
    let wide = Colours::of(&picture(9, 14, 9), None).unwrap();
    let [luma, blue, red] = exact(&wide, codes_of([0.5; 3]));
    assert!((luma - 125.5).abs() < 0.1 && (blue - 128.0).abs() < 0.1 && (red - 128.0).abs() < 0.1);
    // P3, and high range of BT.709.
    for picture in [picture(12, 13, 1), picture(1, code::PQ, 1)] {
        let [luma, blue, red] = exact(&Colours::of(&picture, None).unwrap(), [502.0, 512.0, 512.0]);
        assert!(luma > 100.0 && (blue - 128.0).abs() < 0.1 && (red - 128.0).abs() < 0.1);
    }
}

#[test]
fn full_range_is_understood() {
    let full = Colours::of(&Picture { full_range: true, ..picture(9, code::PQ, 9) }, None).unwrap();
    let limited = look_up(&Table::new(colours(code::PQ)), codes_of([0.4; 3]));
    let found = look_up(&Table::new(full), [0.4 * 1023.0, 512.0, 512.0]);
    assert!(found[0].abs_diff(limited[0]) <= 1 && found[1..] == limited[1..], "{found:?} {limited:?}");
}

#[test]
fn odd_sizes_have_a_last_column() {
    let table = Table::new(colours(code::PQ));
    let luma: Vec<u8> = [300u16, 400, 500].into_iter().flat_map(u16::to_le_bytes).collect();
    let chroma: Vec<u8> = [512u16, 512].into_iter().flat_map(u16::to_le_bytes).collect();
    let (mut upper, mut lower, mut blue, mut red) = ([0; 3], [0; 3], [0; 2], [0; 2]);
    table.convert([&luma, &luma], [&chroma, &chroma], [&mut upper, &mut lower], [&mut blue, &mut red]);
    assert_eq!(upper, [300.0, 400.0, 500.0].map(|luma| look_up(&table, [luma, 512.0, 512.0])[0]));
    assert_eq!((upper, blue, red), (lower, [128; 2], [128; 2]));
}

#[test]
fn tables_are_as_good_as_the_exact_way() {
    for transfer in [code::PQ, code::HLG, code::BT709] {
        let colours = colours(transfer);
        let table = Table::new(colours);
        // Up to 1000 cd/m² of each part. Most of these are colours that BT.709 does not have.
        let steps = || (0..=15).map(|step| 0.05 * f64::from(step));
        for (r, g, b) in steps().flat_map(|r| steps().flat_map(move |g| steps().map(move |b| (r, g, b)))) {
            // Codes are whole numbers, of which the exact way takes the same.
            let codes = codes_of([r, g, b]).map(f64::round);
            for (exact, found) in exact(&colours, codes).into_iter().zip(look_up(&table, codes)) {
                assert!((exact - f64::from(found)).abs() < 3.0, "{transfer} {codes:?}: {exact} {found}");
            }
        }
    }
}

#[test]
fn samples_with_a_chroma_in_common_are_as_good_as_alone() {
    let table = Table::new(colours(code::PQ));
    for (least, blue, red) in [(100u16, 512u16, 512u16), (300, 480, 560), (450, 600, 470), (64, 512, 512)] {
        for steps in [[0u16, 1, 2, 3], [4, 0, 0, 0], [0, 32, 16, 8], [0, 33, 0, 33], [0, 200, 400, 100]] {
            let lumas = steps.map(|step| least + step);
            let rows: Vec<Vec<u8>> =
                lumas.chunks(2).map(|row| row.iter().flat_map(|luma| luma.to_le_bytes()).collect()).collect();
            let (mut upper, mut lower, mut to_blue, mut to_red) = ([0; 2], [0; 2], [0], [0]);
            let chroma = [blue.to_le_bytes(), red.to_le_bytes()];
            table.convert(
                [&rows[0], &rows[1]],
                [&chroma[0], &chroma[1]],
                [&mut upper, &mut lower],
                [&mut to_blue, &mut to_red],
            );
            for (luma, found) in lumas.into_iter().zip([upper, lower].concat()) {
                let [alone, ..] = look_up(&table, [luma, blue, red].map(f64::from));
                assert!(alone.abs_diff(found) <= 1, "{lumas:?}: {alone} {found}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_colour_leaves_the_range(luma in 0u16..1024, blue in 0u16..1024, red in 0u16..1024, transfer in 14u8..19) {
        let mapped = look_up(&Table::new(colours(transfer)), [luma, blue, red].map(f64::from));
        for code in mapped {
            prop_assert!((16..=240).contains(&code), "{mapped:?}");
        }
    }
}
