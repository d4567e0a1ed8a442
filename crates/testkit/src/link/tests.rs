use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// Sends `sizes` at `gap` intervals and returns (entry number, arrival after the start) of everything delivered.
fn run(config: Config, gap: Duration, sizes: &[usize]) -> (Vec<(usize, Duration)>, Stats) {
    let start = Instant::now();
    let mut link = Link::new(config, start);
    let mut arrived = Vec::new();
    for (number, &size) in sizes.iter().enumerate() {
        let now = start + gap * u32::try_from(number).unwrap();
        drain(&mut link, start, now, &mut arrived);
        link.enqueue(now, numbered(number, size));
    }
    drain(&mut link, start, start + Duration::from_secs(1_000_000), &mut arrived);
    assert_eq!(link.poll_timeout(), None);
    (arrived, link.stats())
}

/// Delivers everything that arrives up to `until`, each at its own time.
fn drain(link: &mut Link, start: Instant, until: Instant, arrived: &mut Vec<(usize, Duration)>) {
    while let Some(at) = link.poll_timeout().filter(|&at| at <= until) {
        assert!(at == start || link.poll(at - Duration::from_nanos(1)).is_none(), "arrived before its time");
        let packet = link.poll(at).expect("poll_timeout promised a packet");
        arrived.push((number_of(&packet), at - start));
    }
}

fn numbered(number: usize, size: usize) -> Bytes {
    let mut packet = (number as u64).to_be_bytes().to_vec();
    packet.resize(size.max(8), 0);
    packet.into()
}

fn number_of(packet: &Bytes) -> usize {
    u64::from_be_bytes(packet[..8].try_into().unwrap()) as usize
}

fn numbers(arrived: &[(usize, Duration)]) -> Vec<usize> {
    arrived.iter().map(|&(number, _)| number).collect()
}

#[test]
fn perfect_wire_delivers_at_once() {
    let (arrived, stats) = run(Config::default(), MS, &[100, 200, 300]);
    assert_eq!(arrived, [(0, Duration::ZERO), (1, MS), (2, 2 * MS)]);
    assert_eq!((stats.delivered_packets, stats.delivered_bytes), (3, 600));
}

#[test]
fn delay_moves_every_packet_by_itself() {
    let (arrived, _) = run(Config { delay: 25 * MS, ..Config::default() }, MS, &[100; 4]);
    assert!(arrived.iter().all(|&(number, at)| at == 25 * MS + MS * number as u32));
}

#[test]
fn constant_rate_serialises_a_burst() {
    // 1,000 bytes at 8 Mbit/s take 1 ms.
    let config = Config { rate: Rate::constant(8_000_000), ..Config::default() };
    let (arrived, _) = run(config, Duration::ZERO, &[1000; 5]);
    assert_eq!(arrived.last(), Some(&(4, 5 * MS)));
}

#[test]
fn queue_in_bytes_drops_the_tail() {
    let config = Config { rate: Rate::constant(8_000_000), queue: Queue::Bytes(3000), ..Config::default() };
    let (arrived, stats) = run(config, Duration::ZERO, &[1000; 10]);
    assert_eq!(numbers(&arrived), [0, 1, 2]);
    assert_eq!(stats.dropped_packets, 7);
}

#[test]
fn queue_in_bytes_frees_as_packets_leave() {
    let config = Config { rate: Rate::constant(8_000_000), queue: Queue::Bytes(1000), ..Config::default() };
    let (arrived, stats) = run(config, MS, &[1000; 10]);
    assert_eq!((arrived.len(), stats.dropped_packets), (10, 0));
}

#[test]
fn queue_smaller_than_a_packet_still_lets_one_through() {
    let config = Config { rate: Rate::constant(8_000_000), queue: Queue::Bytes(1), ..Config::default() };
    let (arrived, _) = run(config, Duration::ZERO, &[1500; 3]);
    assert_eq!(numbers(&arrived), [0]);
}

#[test]
fn queue_in_time_drops_what_would_wait_longer() {
    let config = Config { rate: Rate::constant(8_000_000), queue: Queue::Time(2 * MS), ..Config::default() };
    let (arrived, _) = run(config, Duration::ZERO, &[1000; 10]);
    // The third packet waits exactly 2 ms, the fourth would wait 3.
    assert_eq!(numbers(&arrived), [0, 1, 2]);
}

#[test]
fn lost_packet_has_used_its_capacity() {
    let loss = Loss::GilbertElliott { good_to_bad: 1.0, bad_to_good: 1.0, loss_good: 0.0, loss_bad: 1.0 };
    let config = Config { rate: Rate::constant(8_000_000), loss, ..Config::default() };
    let (arrived, stats) = run(config, Duration::ZERO, &[1000; 4]);
    assert_eq!(arrived, [(1, 2 * MS), (3, 4 * MS)]);
    assert_eq!(stats.lost_packets, 2);
}

#[test]
fn random_loss_takes_its_share() {
    let config = Config { loss: Loss::Random { probability: 0.02 }, seed: 7, ..Config::default() };
    let (_, stats) = run(config, Duration::ZERO, &[100; 50_000]);
    // Standard deviation is 31 packets.
    assert!((900..=1100).contains(&stats.lost_packets), "{stats:?}");
}

#[test]
fn bursty_loss_has_the_asked_share_and_length() {
    let config = Config { loss: Loss::bursts(0.05, 8.0), seed: 3, ..Config::default() };
    let sent = 90_000;
    let (arrived, stats) = run(config, Duration::ZERO, &vec![100; sent]);
    let share = stats.lost_packets as f64 / sent as f64;
    let bursts = arrived.windows(2).filter(|pair| pair[1].0 > pair[0].0 + 1).count();
    let length = stats.lost_packets as f64 / bursts as f64;
    assert!((0.04..=0.06).contains(&share), "share {share}");
    assert!((6.5..=9.5).contains(&length), "length {length}");
}

#[test]
fn held_packet_is_overtaken_and_holds_back_nobody() {
    let reorder = Reorder { probability: 0.1, hold: 20 * MS };
    let config = Config { delay: 5 * MS, reorder, seed: 1, ..Config::default() };
    let (arrived, _) = run(config, MS, &[100; 1000]);
    let held = arrived.iter().filter(|&&(number, at)| at == 25 * MS + MS * number as u32).count();
    let on_time = arrived.iter().filter(|&&(number, at)| at == 5 * MS + MS * number as u32).count();
    assert_eq!(held + on_time, 1000);
    assert!((60..=140).contains(&held), "{held}");
}

#[test]
fn trace_of_seconds_changes_rate_at_its_lines_and_repeats() {
    // 8 Mbit/s for 10 ms, nothing for 10 ms (the last line lasts as long as the one before it).
    let rate = Rate::trace("# up\n5.00 8\n\n5.01 0\n").unwrap();
    let (arrived, _) = run(Config { rate, ..Config::default() }, Duration::ZERO, &[1000; 12]);
    assert_eq!(arrived[9].1, 10 * MS);
    assert_eq!(arrived[10].1, 21 * MS);
    assert_eq!(arrived[11].1, 22 * MS);
}

#[test]
fn mahimahi_line_is_a_packet_in_its_millisecond() {
    let config = Config { rate: Rate::mahimahi("2\n2\n5\n").unwrap(), ..Config::default() };
    let (arrived, _) = run(config, Duration::ZERO, &[1500; 4]);
    let at: Vec<_> = arrived.iter().map(|&(_, at)| at).collect();
    assert_eq!(at, [MS + MS / 2, 2 * MS, 5 * MS, 6 * MS + MS / 2]);
}

#[test]
fn traces_that_cannot_be_used_are_refused_with_their_line() {
    let reason = |result: Result<Rate, TraceError>| result.err().map(|error| error.to_string());
    assert_eq!(reason(Rate::trace("0 1\n1 x")).as_deref(), Some("line 2: expected `seconds Mbit/s`"));
    assert_eq!(reason(Rate::trace("0 1\n0 2")).as_deref(), Some("line 2: times must grow"));
    assert_eq!(reason(Rate::trace("0 -1")).as_deref(), Some("line 1: a number is out of range"));
    assert_eq!(reason(Rate::trace("0 0\n1 0")).as_deref(), Some("the trace has no capacity"));
    assert_eq!(reason(Rate::trace("")).as_deref(), Some("the trace is empty"));
    assert_eq!(reason(Rate::mahimahi("3\n2")).as_deref(), Some("line 2: times must not fall"));
    assert_eq!(reason(Rate::mahimahi("")).as_deref(), Some("the trace has no capacity"));
}

#[test]
fn same_seed_repeats_the_run_and_another_does_not() {
    let lossy =
        |seed| Config { jitter: 9 * MS, loss: Loss::Random { probability: 0.3 }, seed, ..Config::default() };
    let first = run(lossy(11), MS, &[500; 200]);
    assert_eq!(first, run(lossy(11), MS, &[500; 200]));
    assert_ne!(first, run(lossy(12), MS, &[500; 200]));
}

#[test]
fn reconfigured_link_treats_only_new_packets_differently() {
    let start = Instant::now();
    let mut link = Link::new(Config { delay: 50 * MS, ..Config::default() }, start);
    link.enqueue(start, numbered(0, 100));
    link.reconfigure(Config { delay: 80 * MS, ..Config::default() });
    link.enqueue(start, numbered(1, 100));
    let mut arrived = Vec::new();
    drain(&mut link, start, start + 100 * MS, &mut arrived);
    assert_eq!(arrived, [(0, 50 * MS), (1, 80 * MS)]);
}

fn any_loss() -> impl Strategy<Value = Loss> {
    let share = 0.0..=1.0;
    prop_oneof![
        Just(Loss::None),
        share.clone().prop_map(|probability| Loss::Random { probability }),
        (share, 1.0..20.0).prop_map(|(share, length)| Loss::bursts(share, length)),
    ]
}

fn any_rate() -> impl Strategy<Value = Rate> {
    prop_oneof![
        Just(Rate::Unlimited),
        (1_u64..100_000_000).prop_map(Rate::constant),
        proptest::collection::vec(1_u64..500, 1..40).prop_map(|mut times| {
            times.sort_unstable();
            let text: String = times.iter().map(|ms| format!("{ms}\n")).collect();
            Rate::mahimahi(&text).unwrap()
        }),
    ]
}

prop_compose! {
    fn any_config()(
        delay_us in 0_u64..200_000,
        jitter_us in 0_u64..50_000,
        loss in any_loss(),
        reorder in (0.0..0.5, 0_u64..50_000),
        rate in any_rate(),
        queue in prop_oneof![(0_usize..100_000).prop_map(Queue::Bytes), (0_u64..500).prop_map(|ms| Queue::Time(MS * ms as u32))],
        seed: u64,
    ) -> Config {
        Config {
            delay: Duration::from_micros(delay_us),
            jitter: Duration::from_micros(jitter_us),
            loss,
            reorder: Reorder { probability: reorder.0, hold: Duration::from_micros(reorder.1) },
            rate,
            queue,
            seed,
        }
    }
}

proptest! {
    #[test]
    fn every_packet_is_delivered_lost_or_dropped(
        config in any_config(), gap_us in 0_u64..20_000, sizes in proptest::collection::vec(1_usize..1500, 0..200),
    ) {
        let (arrived, stats) = run(config, Duration::from_micros(gap_us), &sizes);
        prop_assert_eq!(stats.entered_packets, sizes.len() as u64);
        prop_assert_eq!(stats.delivered_packets, arrived.len() as u64);
        prop_assert_eq!(
            stats.entered_packets,
            stats.delivered_packets + stats.lost_packets + stats.dropped_packets
        );
        let mut seen = numbers(&arrived);
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), arrived.len(), "a packet came twice");
    }

    #[test]
    fn order_holds_unless_reordering_is_asked_for(
        config in any_config(), gap_us in 0_u64..20_000, sizes in proptest::collection::vec(1_usize..1500, 0..200),
    ) {
        let config = Config { reorder: Reorder::default(), ..config };
        let (arrived, _) = run(config, Duration::from_micros(gap_us), &sizes);
        prop_assert!(arrived.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
    }

    #[test]
    fn no_packet_beats_the_wire_or_outstays_queue_and_jitter(
        config in any_config(), gap_us in 0_u64..20_000, sizes in proptest::collection::vec(8_usize..1500, 0..200),
    ) {
        let config = Config { queue: Queue::Time(100 * MS), rate: Rate::constant(2_000_000), ..config };
        let gap = Duration::from_micros(gap_us);
        let (arrived, _) = run(config.clone(), gap, &sizes);
        for (number, at) in arrived {
            let took = at - gap * number as u32;
            let transmission = Duration::from_nanos(sizes[number] as u64 * 4000);
            prop_assert!(took >= config.delay + transmission);
            prop_assert!(
                took <= 100 * MS + transmission + config.delay + config.jitter * 2 + config.reorder.hold + 100 * MS
            );
        }
    }

    #[test]
    fn delivered_bytes_never_exceed_the_rate_over_any_window(
        bits_per_s in 100_000_u64..50_000_000, gap_us in 0_u64..5000,
        sizes in proptest::collection::vec(8_usize..1500, 1..100),
    ) {
        let config = Config { rate: Rate::constant(bits_per_s), delay: 10 * MS, ..Config::default() };
        let (arrived, _) = run(config, Duration::from_micros(gap_us), &sizes);
        for (first, &(_, from)) in arrived.iter().enumerate() {
            let mut bits = 0.0;
            for &(number, at) in &arrived[first + 1..] {
                bits += sizes[number] as f64 * 8.0;
                prop_assert!(bits <= bits_per_s as f64 * (at - from).as_secs_f64() + 1.0);
            }
        }
    }

    #[test]
    fn splitting_a_transmission_changes_nothing(rate in any_rate(), first in 1_usize..3000, second in 1_usize..3000) {
        let whole = rate.finish_ns(0, first + second);
        let parts = rate.finish_ns(rate.finish_ns(0, first), second);
        // Each part is rounded up to a nanosecond. What that loses may have been the end of a busy piece, and then the rest
        // waits for the next one, as one byte more would have done.
        let longer = rate.finish_ns(0, first + second + 1);
        prop_assert!(parts >= whole && parts <= longer + 2, "{whole} {parts} {longer}");
    }

    #[test]
    fn trace_readers_never_panic(text in "[0-9. \\-#eEinfaN\n]{0,200}") {
        let _ = Rate::trace(&text);
        let _ = Rate::mahimahi(&text);
    }
}
