//! Sound, decoded and encoded anew.

use crate::{PATIENCE, options};
use bytes::BytesMut;
use engine::host::{Output, SoundOutlet, start_sound};
use engine::sound::{Codec, Config};
use media::container::flv::{self, Demuxer};
use media::{Flags, Kind, Packet, Role, Time, TrackId};
use std::io::Write;
use std::process::{Command, Stdio};

/// A tenth of a second of 1 kHz at each second, from half a second on.
const BEEPS: &str = "aevalsrc='if(between(mod(t,1),0.5,0.6),0.7*sin(2*PI*1000*t),0)'";

const AAC: Config = Config { codec: Codec::Aac, bitrate_bps: 128_000, channels: 2 };
const OPUS: Config = Config { codec: Codec::Opus, bitrate_bps: 96_000, channels: 2 };

/// Eight seconds of beeps, encoded by ffmpeg.
fn beeps(rate: u32, encoder: &[&str]) -> Vec<Packet> {
    let source = format!("{BEEPS}:s={rate}:d=8");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", &source])
        .args(encoder)
        .args(["-f", "flv", "-"])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is there: see tools/install.sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut input = BytesMut::from(&output.stdout[..]);
    let mut demuxer = Demuxer::new();
    std::iter::from_fn(|| demuxer.push(&mut input).unwrap())
        .filter(|packet| {
            packet.track.kind == Kind::Audio && matches!(packet.role, Role::Config | Role::Frame)
        })
        .collect()
}

async fn collect(mut outlet: SoundOutlet) -> (Vec<Packet>, u64) {
    let mut packets = Vec::new();
    while let Some(output) = tokio::time::timeout(PATIENCE, outlet.next()).await.expect("it ends") {
        if let Output::Packet(packet) = output {
            packets.push(packet);
        }
    }
    let usage = outlet.usage();
    assert_eq!(usage.error, None);
    (packets, usage.restarts)
}

async fn encode(config: Config, packets: &[Packet]) -> Vec<Packet> {
    let (mut inlet, outlet) = start_sound(options().launch, 0, config);
    let made = tokio::spawn(collect(outlet));
    for packet in packets {
        inlet.push(packet.clone()).await;
    }
    drop(inlet);
    made.await.unwrap().0
}

/// When beeps begin, in seconds on the clock of the packets.
fn onsets(packets: &[Packet]) -> Vec<f64> {
    let mut file = BytesMut::new();
    flv::write_file_header(true, false, &mut file);
    packets.iter().for_each(|packet| flv::write_tag(packet, &mut file));
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "flv", "-i", "-", "-ac", "1", "-ar", "48000", "-f", "f32le", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = ffmpeg.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&file).unwrap());
    let samples = ffmpeg.wait_with_output().unwrap().stdout;
    writer.join().unwrap();
    let first = packets.iter().find(|packet| packet.role == Role::Frame).unwrap().pts;
    let samples: Vec<_> = samples
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()).abs() > 0.2)
        .collect();
    let is_onset = |&at: &usize| samples[at] && !samples[at.saturating_sub(9600)..at].contains(&true);
    let onsets = (0..samples.len()).filter(is_onset);
    onsets.map(|at| first.nanos() as f64 / 1e9 + at as f64 / 48e3).collect()
}

/// Whether beeps are where they were.
fn assert_in_time(made: &[Packet], source: &[Packet]) {
    let (made, source) = (onsets(made), onsets(source));
    assert_eq!((made.len(), source.len()), (8, 8), "{made:?} {source:?}");
    let off = made.iter().zip(&source).map(|(made, source)| (made - source).abs());
    assert!(off.fold(0.0, f64::max) < 0.005, "{made:?} {source:?}");
}

fn frames(packets: &[Packet]) -> Vec<&Packet> {
    packets.iter().filter(|packet| packet.role == Role::Frame).collect()
}

/// Whether frames follow each other without a hole, each at a multiple of its length less `lead`.
fn assert_on_grid(packets: &[Packet], rate: u32, samples: i64, lead: i64) {
    let frames = frames(packets);
    let ticks: Vec<_> = frames.iter().map(|packet| packet.pts.to_ticks(rate)).collect();
    assert!(ticks.windows(2).all(|pair| pair[1] - pair[0] == samples), "{ticks:?}");
    assert_eq!((ticks[0] + lead) % samples, 0);
}

#[tokio::test]
async fn sound_of_many_codecs_becomes_aac_in_its_time() {
    let sources: [(u32, &[&str]); 7] = [
        (48_000, &["-c:a", "aac"]),
        (44_100, &["-ac", "8", "-c:a", "aac"]),
        (44_100, &["-ac", "2", "-c:a", "libmp3lame"]),
        (16_000, &["-c:a", "libspeex"]),
        (8000, &["-c:a", "pcm_mulaw"]),
        (22_050, &["-c:a", "nellymoser"]),
        (44_100, &["-c:a", "pcm_s16le"]),
    ];
    for (rate, encoder) in sources {
        let source = beeps(rate, encoder);
        let made = encode(AAC, &source).await;
        println!("{encoder:?} {:?}", source.first().map(|packet| packet.codec));
        let config = media::codec::aac::read_config(&made[0].payload).unwrap();
        let expected = if rate.is_multiple_of(11_025) { 44_100 } else { 48_000 };
        assert_eq!((config.object_type, config.sample_rate, config.channels), (2, expected, Some(2)));
        assert_on_grid(&made, expected, 1024, 0);
        assert_in_time(&made, &source);
    }
}

#[tokio::test]
async fn sound_that_says_it_is_he_aac_is_taken_at_its_whole_rate() {
    // Half of the rate, without the part that says what is above it, is HE-AAC too.
    let mut source = beeps(24_000, &["-ac", "1", "-c:a", "aac"]);
    let mut bits = 0u32;
    for (value, length) in [(5, 5), (6, 4), (1, 4), (3, 4), (2, 5), (0, 3)] {
        bits = (bits << length) | value;
    }
    source[0].payload = (bits << 7).to_be_bytes().to_vec().into();
    let said = media::codec::aac::read_config(&source[0].payload).unwrap();
    assert_eq!((said.object_type, said.core_type, said.sample_rate), (5, 2, 48_000));
    let made = encode(AAC, &source).await;
    let config = media::codec::aac::read_config(&made[0].payload).unwrap();
    assert_eq!((config.object_type, config.sample_rate), (2, 48_000));
    assert_on_grid(&made, 48_000, 1024, 0);
    assert_in_time(&made, &source);
}

#[tokio::test]
async fn aac_becomes_opus_and_opus_aac() {
    let source = beeps(44_100, &["-ac", "2", "-c:a", "aac"]);
    let opus = encode(OPUS, &source).await;
    let head = media::codec::opus::read_config(&opus[0].payload).unwrap();
    assert_eq!((opus[0].role, opus[0].codec, head.channels), (Role::Config, media::Codec::Opus, Some(2)));
    assert_on_grid(&opus, 48_000, 960, head.pre_skip.into());
    let back = encode(AAC, &opus).await;
    assert_on_grid(&back, 48_000, 1024, 0);
    assert_in_time(&back, &source);
    let mono = encode(Config { channels: 1, ..AAC }, &opus).await;
    assert_eq!(media::codec::aac::read_config(&mono[0].payload).unwrap().channels, Some(1));
}

#[tokio::test]
async fn a_hole_is_filled_with_silence_and_a_jump_is_kept() {
    let source = beeps(48_000, &["-c:a", "aac"]);
    let moved = |packet: &Packet| {
        let seconds = if packet.pts.millis() > 5000 { 100 } else { 0 };
        let at = Time::from_millis(packet.pts.millis() + seconds * 1000);
        Packet { dts: at, pts: at, ..packet.clone() }
    };
    let lost = |packet: &&Packet| packet.role == Role::Config || !(2700..4300).contains(&packet.pts.millis());
    let changed: Vec<_> = source.iter().filter(lost).map(moved).collect();
    let made = encode(AAC, &changed).await;
    let times: Vec<_> = frames(&made).iter().map(|packet| packet.pts).collect();
    let jumps: Vec<_> = times
        .windows(2)
        .filter(|pair| (pair[1] - pair[0]) as u64 > 21_400_000)
        .map(|pair| pair[1].millis() / 1000)
        .collect();
    assert_eq!(jumps, [105]);
    let before: Vec<_> = made.iter().filter(|packet| packet.pts.millis() < 60_000).cloned().collect();
    let heard = onsets(&before);
    let mut expected = onsets(&source);
    expected.truncate(5);
    expected.remove(3);
    assert_eq!(heard.len(), expected.len(), "{heard:?}");
    assert!(heard.iter().zip(expected).all(|(at, expected)| (at - expected).abs() < 0.005), "{heard:?}");
}

#[tokio::test]
async fn sound_that_runs_slow_stays_with_its_clock() {
    // A source that says 0.2 % more time than it has samples for: 16 ms in eight seconds.
    let source = beeps(48_000, &["-c:a", "aac"]);
    let slow = |packet: &Packet| {
        let at = Time::from_nanos(packet.pts.nanos() / 1000 * 1002);
        Packet { dts: at, pts: at, ..packet.clone() }
    };
    let made = encode(AAC, &source.iter().map(slow).collect::<Vec<_>>()).await;
    assert_on_grid(&made, 48_000, 1024, 0);
    let heard = onsets(&made);
    let expected = onsets(&source).last().unwrap() * 1.002;
    assert!((heard.last().unwrap() - expected).abs() < 0.01, "{heard:?} {expected}");
}

#[tokio::test]
async fn a_process_that_dies_is_replaced_and_goes_on_at_the_same_times() {
    let source = beeps(48_000, &["-c:a", "aac"]);
    let (mut inlet, mut outlet) = start_sound(options().launch, 0, AAC);
    let (first, rest) = source.split_at(source.len() / 2);
    for packet in first {
        inlet.push(packet.clone()).await;
    }
    let mut made = Vec::new();
    while made.len() < 100 {
        match tokio::time::timeout(PATIENCE, outlet.next()).await.unwrap().unwrap() {
            Output::Packet(packet) => made.push(packet),
            Output::Replaced { why } => panic!("{why}"),
        }
    }
    crate::faults::kill(outlet.usage().pid.unwrap());
    let mut replaced = 0;
    while replaced == 0 {
        match tokio::time::timeout(PATIENCE, outlet.next()).await.unwrap().unwrap() {
            Output::Packet(packet) => made.push(packet),
            Output::Replaced { .. } => replaced += 1,
        }
    }
    let before = frames(&made).len();
    let pushed = tokio::spawn(async move {
        while let Some(output) = outlet.next().await {
            if let Output::Packet(packet) = output {
                made.push(packet);
            }
        }
        (made, outlet.usage())
    });
    for packet in rest {
        inlet.push(packet.clone()).await;
    }
    drop(inlet);
    let (made, usage) = tokio::time::timeout(PATIENCE, pushed).await.unwrap().unwrap();
    let frames = frames(&made);
    assert!(frames.len() > before + 150, "{} {before}", frames.len());
    let ticks: Vec<_> = frames.iter().map(|packet| packet.pts.to_ticks(48_000)).collect();
    assert!(ticks.iter().all(|ticks| ticks % 1024 == 0) && ticks.is_sorted_by(|a, b| a < b), "{ticks:?}");
    assert_eq!(usage.restarts, 1);
}

#[tokio::test]
async fn sound_that_nothing_decodes_is_given_up_with_a_reason() {
    let (mut inlet, mut outlet) = start_sound(options().launch, 0, AAC);
    let packet = Packet {
        track: TrackId::AUDIO,
        codec: media::Codec::FlvAudio(0xf0),
        role: Role::Frame,
        flags: Flags::default(),
        dts: Time::ZERO,
        pts: Time::ZERO,
        payload: bytes::Bytes::from_static(b"?"),
    };
    inlet.push(packet).await;
    assert_eq!(tokio::time::timeout(PATIENCE, outlet.next()).await.unwrap(), None);
    assert!(outlet.usage().error.unwrap().contains("no decoder"));
}

#[tokio::test]
async fn garbage_costs_the_packets_that_it_is_in() {
    let mut source = beeps(48_000, &["-c:a", "aac"]);
    for packet in source.iter_mut().filter(|packet| (3000..4000).contains(&packet.pts.millis())) {
        packet.payload =
            packet.payload.iter().map(|byte| byte.wrapping_mul(31) ^ 0x5a).collect::<Vec<_>>().into();
    }
    let (mut inlet, mut outlet) = start_sound(options().launch, 0, AAC);
    let made = tokio::spawn(async move {
        let mut last = Time::ZERO;
        while let Some(output) = outlet.next().await {
            if let Output::Packet(packet) = output {
                last = packet.pts;
            }
        }
        last
    });
    for packet in &source {
        inlet.push(packet.clone()).await;
    }
    drop(inlet);
    let last = tokio::time::timeout(PATIENCE, made).await.unwrap().unwrap();
    assert!(last.millis() > 7800, "{last:?}");
}

/// All that becomes of `packets`, and how often the process was replaced for it.
async fn encode_all(config: Config, packets: Vec<Packet>) -> (Vec<Packet>, u64) {
    let (mut inlet, outlet) = start_sound(options().launch, 0, config);
    let made = tokio::spawn(collect(outlet));
    for packet in packets {
        inlet.push(packet).await;
    }
    drop(inlet);
    made.await.unwrap()
}

#[tokio::test]
async fn three_minutes_with_a_packet_now_and_then_are_one_process_and_no_hole() {
    // As encoders send that say nothing of silence.
    let source = beeps(48_000, &["-c:a", "aac"]);
    let config = source.iter().filter(|packet| packet.role == Role::Config).cloned();
    let spread = frames(&source).into_iter().cycle().take(450).enumerate().map(|(index, packet)| {
        let at = Time::from_millis(index as i64 * 400);
        Packet { dts: at, pts: at, ..packet.clone() }
    });
    let (made, restarts) = encode_all(OPUS, config.chain(spread).collect()).await;
    let head = media::codec::opus::read_config(&made[0].payload).unwrap();
    assert_on_grid(&made, 48_000, 960, head.pre_skip.into());
    assert_eq!((restarts, frames(&made).len() / 1000), (0, 8), "{}", frames(&made).len());
}

#[tokio::test]
async fn packets_of_half_a_second_are_one_process_and_no_hole() {
    // 8 kHz, mono, mu-law.
    let source = (0..200).map(|index| {
        let at = Time::from_millis(index * 500);
        Packet {
            track: TrackId::AUDIO,
            codec: media::Codec::FlvAudio(0x82),
            role: Role::Frame,
            flags: Flags::default(),
            dts: at,
            pts: at,
            payload: vec![0xff; 4000].into(),
        }
    });
    let (made, restarts) = encode_all(OPUS, source.collect()).await;
    let head = media::codec::opus::read_config(&made[0].payload).unwrap();
    assert_on_grid(&made, 48_000, 960, head.pre_skip.into());
    assert_eq!((restarts, frames(&made).len() / 1000), (0, 5), "{}", frames(&made).len());
}

#[tokio::test]
async fn packets_that_are_no_sound_of_any_length_cost_no_process() {
    let (mut inlet, mut outlet) = start_sound(options().launch, 0, OPUS);
    let made = tokio::spawn(async move {
        let mut last = Time::ZERO;
        while let Some(output) = outlet.next().await {
            if let Output::Packet(packet) = output {
                last = packet.pts;
            }
        }
        (last, outlet.usage())
    });
    for index in 0..20 {
        // Half a second of mu-law, and in its place such as no frame holds.
        let bytes = if index % 2 == 0 { 4000 } else { 400_000 };
        let at = Time::from_millis(index * 500);
        let packet = Packet {
            track: TrackId::AUDIO,
            codec: media::Codec::FlvAudio(0x82),
            role: Role::Frame,
            flags: Flags::default(),
            dts: at,
            pts: at,
            payload: vec![0xff; bytes].into(),
        };
        inlet.push(packet).await;
    }
    drop(inlet);
    let (last, usage) = tokio::time::timeout(PATIENCE, made).await.unwrap().unwrap();
    assert!(last.millis() > 9400, "{last:?}");
    assert!(usage.restarts == 0 && usage.error.unwrap().contains("not resampled"));
}

#[tokio::test]
async fn a_reader_that_is_away_for_a_while_costs_no_process() {
    let source = beeps(48_000, &["-c:a", "aac"]);
    let (mut inlet, outlet) = start_sound(options().launch, 0, AAC);
    for packet in &source {
        inlet.push(packet.clone()).await;
    }
    // Longer than a worker may be silent, whose packets fill all queues in a moment.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    drop(inlet);
    let (made, restarts) = collect(outlet).await;
    assert_on_grid(&made, 48_000, 1024, 0);
    assert_eq!(restarts, 0);
}
