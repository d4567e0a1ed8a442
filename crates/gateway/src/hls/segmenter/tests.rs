use super::*;
use media::Flags;
use proptest::prelude::*;

const GOALS: Goals = Goals { segment: Duration::from_millis(2000), part: Duration::from_millis(334) };

fn frame(track: TrackId, nanos: i64, keyframe: bool) -> Packet {
    let is_video = track.kind == Kind::Video;
    Packet {
        track,
        codec: if is_video { Codec::H264 } else { Codec::Aac },
        role: Role::Frame,
        flags: Flags { keyframe: keyframe && is_video, disposable: false },
        // As RTMP carries it.
        dts: Time::from_millis(Time::from_nanos(nanos).millis()),
        pts: Time::from_millis(Time::from_nanos(nanos).millis()),
        payload: Bytes::from(nanos.to_be_bytes().to_vec()),
    }
}

fn config(track: TrackId, bytes: &'static [u8]) -> Packet {
    Packet { role: Role::Config, payload: Bytes::from_static(bytes), ..frame(track, 0, false) }
}

/// Video at `fps` with a keyframe every `gop` frames and sound in frames of `samples`, interleaved by time.
fn stream(fps: f64, gop: usize, samples: f64, seconds: f64) -> Vec<Packet> {
    let step = |at: usize, duration: f64| (at as f64 * duration * 1e9).round() as i64;
    let video =
        (0..(seconds * fps) as usize).map(|at| frame(TrackId::VIDEO, step(at, 1.0 / fps), at % gop == 0));
    let audio = (0..(seconds * 48_000.0 / samples) as usize)
        .map(|at| frame(TrackId::AUDIO, step(at, samples / 48_000.0), false));
    let mut packets: Vec<Packet> = video.chain(audio).collect();
    packets.sort_by_key(|packet| (packet.dts, packet.track));
    packets
}

fn cut(segmenter: &mut Segmenter, packets: impl IntoIterator<Item = Packet>) -> Vec<Cut> {
    let mut cuts = Vec::new();
    packets.into_iter().for_each(|packet| segmenter.push(packet, &mut cuts));
    cuts
}

fn of(cuts: &[Cut], track: TrackId) -> Vec<Cut> {
    cuts.iter().filter(|cut| cut.track == track).cloned().collect()
}

fn duration(cut: &Cut) -> Duration {
    cut.end.since(cut.frames[0].dts)
}

/// Durations of the complete segments.
fn segments(cuts: &[Cut]) -> Vec<Duration> {
    let mut segments = Vec::new();
    let mut at = Duration::ZERO;
    for cut in cuts {
        at += duration(cut);
        if cut.closes {
            segments.push(mem::take(&mut at));
        }
    }
    segments
}

#[test]
fn segments_begin_at_the_first_keyframe_after_the_wanted_length() {
    for (gop, expected) in [(25, 2000), (50, 2000), (10, 2000), (75, 3000), (30, 2400), (250, 10_000)] {
        let cuts = cut(&mut Segmenter::new(GOALS, None), stream(25.0, gop, 1024.0, 41.0));
        let video = segments(&of(&cuts, TrackId::VIDEO));
        assert!(video.len() > 1 && video[0].as_millis() <= expected);
        assert!(video[1..].iter().all(|segment| segment.as_millis() == expected), "{gop}: {video:?}");
        let begun = of(&cuts, TrackId::VIDEO);
        assert!(begun.iter().filter(|cut| cut.opens.is_some()).all(|cut| cut.frames[0].flags.keyframe));
    }
}

#[test]
fn segments_of_sound_begin_with_the_next_part_after_those_of_pictures() {
    let cuts = cut(&mut Segmenter::new(GOALS, None), stream(30.0, 60, 1024.0, 20.0));
    let starts = |track| -> Vec<Time> {
        of(&cuts, track).iter().filter(|cut| cut.opens.is_some()).map(|cut| cut.frames[0].dts).collect()
    };
    let (video, audio) = (starts(TrackId::VIDEO), starts(TrackId::AUDIO));
    assert!(video.len() >= 9 && audio.len() >= 9);
    for (video, audio) in video.iter().zip(&audio) {
        // The frame before was there when the keyframe came.
        assert!((-22..=334).contains(&(audio.millis() - video.millis())), "{video:?} {audio:?}");
    }
}

#[test]
fn no_part_is_so_short_that_players_do_without_it() {
    let gops = [1.0, 2.0, 3.0, 4.0];
    for (fps, gop) in
        [24.0, 25.0, 29.97, 30.0, 50.0, 59.94, 60.0].iter().flat_map(|fps| gops.map(|gop| (*fps, gop)))
    {
        for samples in [1024.0, 1114.6] {
            let mut segmenter = Segmenter::new(GOALS, Some(Duration::from_secs_f64(gop)));
            let cuts = cut(&mut segmenter, stream(fps, (fps * gop).round() as usize, samples, 17.0));
            // The first segment has one group of pictures, whatever its length.
            let later = cuts.iter().filter(|cut| cut.frames[0].dts.since(Time::ZERO) > GOALS.segment * 2);
            let shortest = later.map(duration).min().unwrap();
            assert!(shortest > limits::LAST_PART_MIN, "{fps} {gop} {samples}: {shortest:?}");
        }
    }
}

#[test]
fn parts_keep_to_the_target_and_fill_it_at_usual_frame_rates() {
    for fps in [5.0, 10.0, 12.0, 15.0, 23.976, 24.0, 25.0, 29.97, 30.0, 48.0, 50.0, 59.94, 60.0, 120.0] {
        for samples in [1024.0, 960.0, 1152.0, 4608.0, 2048.0, 512.0] {
            let mut segmenter = Segmenter::new(GOALS, None);
            let cuts = cut(&mut segmenter, stream(fps, (fps * 2.0) as usize, samples, 13.0));
            let target = segmenter.part_target().unwrap();
            assert!(target <= 2 * GOALS.part && 2 * target >= GOALS.part, "{fps} {samples}: {target:?}");
            for cut in &cuts {
                assert!(duration(cut) <= target, "{fps} {samples}: {:?} of {target:?}", duration(cut));
                let filled = duration(cut) * 100 >= target * PART_FILL_PERCENT;
                assert!(
                    filled || cut.closes,
                    "{fps} {samples} {}: {:?} of {target:?}",
                    cut.track,
                    duration(cut)
                );
            }
        }
    }
}

#[test]
fn scene_cuts_do_not_make_segments_longer_than_promised() {
    let mut segmenter = Segmenter::new(GOALS, Some(Duration::from_secs(2)));
    let mut at = 0;
    // Keyframes after 50 frames at most, and at odd places in between.
    let keys: std::collections::HashSet<usize> = (0..40)
        .map(|key| {
            at += [50, 13, 37, 50, 8][key % 5];
            at
        })
        .chain([0])
        .collect();
    let video = (0..1000).map(|at| frame(TrackId::VIDEO, at as i64 * 40_000_000, keys.contains(&at)));
    let mut cuts = cut(&mut segmenter, video.clone().take(60));
    let promise = segmenter.promise_segment_max();
    assert_eq!(promise, Duration::from_secs(2));
    cuts.extend(cut(&mut segmenter, video.skip(60)));
    assert!(segments(&cuts).iter().all(|segment| *segment <= promise), "{:?}", segments(&cuts));
}

#[test]
fn sound_alone_is_cut_by_time() {
    let audio = stream(25.0, 50, 1024.0, 10.0).into_iter().filter(|packet| packet.track == TrackId::AUDIO);
    let mut segmenter = Segmenter::new(GOALS, None);
    let cuts = cut(&mut segmenter, audio);
    let segments = segments(&cuts);
    assert_eq!(segments.len(), 5);
    assert!(segments[1..].iter().all(|segment| (1978..2334).contains(&segment.as_millis())), "{segments:?}");
    assert_eq!(segmenter.promise_segment_max(), GOALS.segment);
}

#[test]
fn pictures_that_come_late_lead_from_then_on() {
    let packets = stream(25.0, 25, 1024.0, 12.0);
    let late = packets
        .into_iter()
        .filter(|packet| packet.track == TrackId::AUDIO || packet.dts >= Time::from_millis(3000));
    let cuts = cut(&mut Segmenter::new(GOALS, None), late);
    let starts: Vec<_> = of(&cuts, TrackId::AUDIO)
        .iter()
        .filter(|cut| cut.opens.is_some())
        .map(|cut| cut.frames[0].dts.millis())
        .collect();
    assert!(starts.iter().any(|start| (4975..5334).contains(start)), "{starts:?}");
}

#[test]
fn another_configuration_begins_segments_with_another_number_of_discontinuities() {
    let mut segmenter = Segmenter::new(GOALS, None);
    let mut packets = vec![config(TrackId::VIDEO, b"a"), config(TrackId::AUDIO, b"s")];
    packets.extend(stream(25.0, 50, 1024.0, 10.0));
    // Between keyframes.
    let middle = packets
        .iter()
        .position(|packet| packet.dts >= Time::from_millis(4990) && packet.role == Role::Frame)
        .unwrap();
    packets.insert(middle, config(TrackId::VIDEO, b"b"));
    let cuts = cut(&mut segmenter, packets);
    for track in [TrackId::VIDEO, TrackId::AUDIO] {
        let openings: Vec<_> = of(&cuts, track)
            .into_iter()
            .filter_map(|cut| Some((cut.frames[0].dts.millis(), cut.opens?)))
            .collect();
        for (start, opening) in openings {
            let after = start >= 5990;
            assert_eq!(opening.discontinuities, u64::from(after), "{track} {start}");
            let config = match (track.kind, after) {
                (Kind::Audio, _) => "s",
                (_, false) => "a",
                (_, true) => "b",
            };
            assert_eq!(opening.config, config);
        }
    }
}

#[test]
fn a_repeated_configuration_changes_nothing() {
    let mut segmenter = Segmenter::new(GOALS, None);
    let mut packets = Vec::new();
    for packet in stream(25.0, 50, 1024.0, 8.0) {
        if packet.flags.keyframe {
            packets.push(config(TrackId::VIDEO, b"a"));
        }
        packets.push(packet);
    }
    let cuts = cut(&mut segmenter, packets);
    assert!(cuts.iter().filter_map(|cut| cut.opens.as_ref()).all(|opening| opening.discontinuities == 0));
}

#[test]
fn an_interruption_gives_out_all_frames_and_starts_anew_at_a_keyframe() {
    let mut segmenter = Segmenter::new(GOALS, None);
    let packets = stream(25.0, 50, 1024.0, 5.0);
    let mut cuts = cut(&mut segmenter, packets.clone());
    segmenter.interrupt(&mut cuts);
    assert_eq!(cuts.iter().map(|cut| cut.frames.len()).sum::<usize>(), packets.len());
    assert!(of(&cuts, TrackId::VIDEO).last().unwrap().closes);
    let after = cut(&mut segmenter, stream(25.0, 50, 1024.0, 5.0).into_iter().skip(30));
    let video = of(&after, TrackId::VIDEO);
    assert!(video[0].frames[0].flags.keyframe, "frames before a keyframe are of no use");
    assert_eq!(video[0].opens.as_ref().unwrap().discontinuities, 1);
}

#[test]
fn times_that_stand_still_and_keyframes_that_stay_away_are_bounded() {
    let mut segmenter = Segmenter::new(GOALS, None);
    let still = (0..10_000).map(|at| frame(TrackId::VIDEO, 0, at == 0));
    let cuts = cut(&mut segmenter, still);
    assert!(cuts.iter().all(|cut| cut.frames.len() <= limits::PART_FRAMES_MAX));
    let mut segmenter = Segmenter::new(GOALS, None);
    let endless = (0..10_000).map(|at| frame(TrackId::VIDEO, at * 40_000_000, at == 0));
    let segments = segments(&cut(&mut segmenter, endless));
    assert!(
        segments.len() > 10 && segments.iter().all(|segment| *segment <= limits::SEGMENT_MAX),
        "{segments:?}"
    );
}

#[test]
fn a_picture_that_stands_still_does_not_hold_the_sound_back() {
    let sound = stream(25.0, 50, 1024.0, 3.0).into_iter().filter(|packet| packet.track == TrackId::AUDIO);
    let mut segmenter = Segmenter::new(GOALS, None);
    let cuts = cut(&mut segmenter, std::iter::once(frame(TrackId::VIDEO, 0, true)).chain(sound));
    assert!(!of(&cuts, TrackId::AUDIO).is_empty());
}

#[test]
fn what_waits_for_the_length_of_parts_is_bounded_in_bytes() {
    let mut segmenter = Segmenter::new(GOALS, None);
    let large = Bytes::from(vec![0; 1 << 20]);
    let still = (0..100).map(|at| Packet { payload: large.clone(), ..frame(TrackId::VIDEO, 0, at == 0) });
    cut(&mut segmenter, still);
    assert!(segmenter.collected.is_empty() && segmenter.part_target().is_some());
}

#[test]
fn a_frame_that_comes_late_does_not_make_its_part_too_long() {
    let mut segmenter = Segmenter::new(GOALS, None);
    // One frame in 60 lasts as long as five.
    let mut at = 0;
    let video = (0..600).map(|index| {
        at += if index % 60 == 37 { 200_000_000 } else { 40_000_000 };
        frame(TrackId::VIDEO, at, index % 50 == 0)
    });
    let cuts = cut(&mut segmenter, video);
    let target = segmenter.part_target().unwrap();
    assert!(cuts.iter().all(|cut| duration(cut) <= target));
}

proptest! {
    #[test]
    fn no_frame_is_lost_repeated_or_moved(
        steps in prop::collection::vec((0u8..3, 0i64..400, any::<bool>(), 0u8..60), 1..400),
    ) {
        let mut segmenter = Segmenter::new(GOALS, None);
        let (mut times, mut cuts, mut sent) = ([0i64; 3], Vec::new(), Vec::new());
        for (track, step, keyframe, rare) in steps {
            let id = [TrackId::VIDEO, TrackId::AUDIO, TrackId::video(1)][usize::from(track)];
            times[usize::from(track)] += step * 1_000_000;
            match rare {
                0 => segmenter.interrupt(&mut cuts),
                1 => segmenter.push(config(id, b"x"), &mut cuts),
                2 => segmenter.push(config(id, b"y"), &mut cuts),
                _ => {}
            }
            let packet = frame(id, times[usize::from(track)], keyframe);
            sent.push(packet.clone());
            segmenter.push(packet, &mut cuts);
        }
        segmenter.interrupt(&mut cuts);
        for track in [TrackId::VIDEO, TrackId::AUDIO, TrackId::video(1)] {
            let sent: Vec<_> = sent.iter().filter(|packet| packet.track == track).collect();
            let cuts = of(&cuts, track);
            let got: Vec<_> = cuts.iter().flat_map(|cut| &cut.frames).collect();
            // Only frames that no keyframe precedes are left out.
            let mut rest = sent.iter();
            for packet in &got {
                prop_assert!(rest.any(|sent| sent == packet));
            }
            if track.kind == Kind::Audio {
                prop_assert_eq!(got.len(), sent.len());
            }
            let mut open = false;
            for cut in &cuts {
                prop_assert!(!cut.frames.is_empty());
                prop_assert!(cut.opens.is_some() != open, "a segment opens exactly where none is open");
                open = !cut.closes;
                prop_assert!(cut.end >= cut.frames[cut.frames.len() - 1].dts);
            }
            prop_assert!(!open);
        }
    }
}

#[test]
fn one_long_group_of_pictures_does_not_make_segments_short_for_ever() {
    let mut segmenter = Segmenter::new(GOALS, None);
    let steady = |from: i64, to: i64| {
        (from..to).map(|at| frame(TrackId::VIDEO, at * 40_000_000, at % 25 == 0)).collect::<Vec<_>>()
    };
    cut(&mut segmenter, steady(0, 250));
    assert!(segmenter.promise_segment_max() <= Duration::from_secs(2));
    // Eight seconds without a keyframe, and then one each second as before.
    let long = (250..450).map(|at| frame(TrackId::VIDEO, at * 40_000_000, at == 250));
    cut(&mut segmenter, long);
    let after = cut(&mut segmenter, steady(450, 1450));
    let lengths = segments(&of(&after, TrackId::VIDEO));
    let [.., last] = lengths[..] else { panic!("there are segments") };
    assert_eq!(last, Duration::from_secs(2), "{lengths:?}");
}
