use std::time::Duration;

use testkit::link::{Config as LinkConfig, Loss, Queue, Rate, Reorder};

use super::path::{Path, delay};
use crate::packet::{Content, Packet};
use crate::{Bandwidth, Config, Error};

fn config(latency_ms: u64) -> Config {
    Config { receive_latency: Duration::from_millis(latency_ms), ..Config::default() }
}

fn connected(latency_ms: u64, link: LinkConfig) -> Path {
    let config = Config { connect_timeout: Duration::from_secs(10), ..config(latency_ms) };
    let mut path = Path::new(config.clone(), config, link);
    while path.caller.established.is_empty() {
        path.run(Duration::from_millis(50));
        assert_eq!(path.caller.closed, None);
    }
    path
}

#[test]
fn a_stream_arrives_whole_and_in_its_own_time() {
    let mut path = connected(120, delay(25));
    let start = path.now;
    path.stream(true, 500, Duration::from_millis(4));
    path.run(Duration::from_millis(500));
    assert_eq!(path.listening.numbers(), (0..500).collect::<Vec<_>>());
    for (number, (at, received)) in (0..).zip(&path.listening.received) {
        // From the request until its answer the path took 25 ms, and the latency is 120 ms.
        let sent = start + number * Duration::from_millis(4);
        let took = at.duration_since(sent).as_micros();
        assert!((144_900..145_100).contains(&took), "{took} µs");
        assert_eq!((received.missing_before, received.payload.len()), (0, 1316));
        assert!(received.sent_at.duration_since(sent).as_micros() < 25_100);
    }
    let now = path.now;
    let (sent, received) = (path.caller.session().stats(now), path.listening.session().stats(now));
    assert_eq!((sent.sent_packets, sent.retransmitted_packets, sent.send_buffer_packets), (500, 0, 0));
    assert_eq!((received.received_packets, received.lost_packets, received.duplicate_packets), (500, 0, 0));
    assert!((49..52).contains(&received.rtt.as_millis()), "{:?}", received.rtt);
    assert!((49..52).contains(&sent.rtt.as_millis()), "{:?}", sent.rtt);
    assert!((315_000..345_000).contains(&received.receive_bytes_per_second));
}

#[test]
fn what_is_lost_comes_again_within_the_latency() {
    for (loss, latency_ms) in [(0.01, 160), (0.05, 240), (0.1, 320)] {
        for seed in 0..4 {
            let link = LinkConfig { loss: Loss::Random { probability: loss }, seed, ..delay(20) };
            let mut path = connected(latency_ms, link);
            path.stream(true, 2_000, Duration::from_millis(2));
            path.run(Duration::from_secs(1));
            let numbers = path.listening.numbers();
            assert!(numbers.is_sorted());
            let missing = 2_000 - numbers.len();
            assert!(missing <= 2, "{missing} missing at a loss of {loss}, seed {seed}");
            let now = path.now;
            let sent = path.caller.session().stats(now);
            let overhead = sent.retransmitted_packets as f64 / sent.sent_packets as f64;
            assert!(overhead < 2.0 * loss + 0.02, "{overhead} sent again at a loss of {loss}");
        }
    }
}

#[test]
fn bursts_jitter_reordering_and_duplicates_leave_each_packet_once_and_in_order() {
    for seed in 0..6 {
        let link = LinkConfig {
            jitter: Duration::from_millis(8),
            loss: Loss::Random { probability: 0.03 },
            reorder: Reorder { probability: 0.05, hold: Duration::from_millis(15) },
            seed,
            ..delay(20)
        };
        let mut path = connected(300, link).duplicating(7);
        path.stream(true, 1_500, Duration::from_millis(2));
        path.run(Duration::from_secs(1));
        let numbers = path.listening.numbers();
        assert_eq!(numbers, (0..1_500).collect::<Vec<_>>(), "seed {seed}");
        let now = path.now;
        let stats = path.listening.session().stats(now);
        assert!(stats.duplicate_packets + stats.belated_packets > 50);
        assert_eq!((stats.received_packets, stats.malformed_datagrams), (1_500, 0));
    }
}

#[test]
fn what_cannot_come_in_time_is_given_up_and_the_rest_is_on_time() {
    let link = LinkConfig { loss: Loss::Random { probability: 0.2 }, seed: 3, ..delay(50) };
    let mut path = connected(60, link);
    let start = path.now;
    path.stream(true, 1_000, Duration::from_millis(5));
    path.run(Duration::from_secs(3));
    let (numbers, now) = (path.listening.numbers(), path.now);
    assert!((700..900).contains(&numbers.len()), "{}", numbers.len());
    let stats = path.listening.session().stats(now);
    let missing: u64 = path.listening.received.iter().map(|(_, received)| received.missing_before).sum();
    assert_eq!(stats.dropped_packets, missing);
    assert!(stats.belated_packets > 50, "{stats:?}");
    for (number, (at, _)) in numbers.iter().zip(&path.listening.received) {
        let took = at.duration_since(start + *number as u32 * Duration::from_millis(5));
        assert!(took < Duration::from_millis(240), "{took:?}");
    }
    let left = path.caller.session().stats(now).send_buffer_packets;
    assert_eq!(left, 0);
}

#[test]
fn the_last_packet_of_a_stream_comes_again_although_nothing_follows_it() {
    thread_local!(static LOST: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
    LOST.set(0);
    let mut path = connected(500, delay(20)).tampering(|_, datagram| {
        let packet = Packet::read(&datagram).unwrap();
        let last = matches!(&packet.content, Content::Data(data) if data.payload[7] == 9 && LOST.get() < 1);
        LOST.set(LOST.get() + u32::from(last));
        (!last).then_some(datagram)
    });
    path.stream(true, 10, Duration::from_millis(10));
    path.run(Duration::from_secs(2));
    assert_eq!(path.listening.numbers(), (0..10).collect::<Vec<_>>());
    assert_eq!(LOST.get(), 1);
}

#[test]
fn after_an_outage_the_stream_goes_on() {
    thread_local!(static DOWN: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });
    DOWN.set(false);
    let config = Config { flow_window: 256, idle_timeout: Duration::from_secs(20), ..config(200) };
    let mut path = Path::new(config.clone(), config, delay(20))
        .tampering(|_, datagram| (!DOWN.get()).then_some(datagram));
    path.run(Duration::from_millis(200));
    path.stream(true, 100, Duration::from_millis(2));
    DOWN.set(true);
    path.stream(true, 5_000, Duration::from_millis(2));
    DOWN.set(false);
    path.listening.received.clear();
    path.run(Duration::from_secs(2));
    path.listening.received.clear();
    path.stream(true, 500, Duration::from_millis(2));
    path.run(Duration::from_secs(1));
    assert_eq!(path.listening.numbers(), (0..500).collect::<Vec<_>>());
}

#[test]
fn packets_leave_no_faster_than_the_bandwidth_and_what_waits_too_long_is_dropped() {
    let bandwidth = Bandwidth::Max { bytes_per_second: 136_000 };
    let slow = Config { bandwidth, ..config(120) };
    let mut path = Path::new(slow, config(120), delay(10));
    path.run(Duration::from_secs(1));
    path.stream(true, 1_000, Duration::from_millis(5));
    path.run(Duration::from_secs(3));
    let now = path.now;
    let stats = path.caller.session().stats(now);
    // 100 packets a second for five seconds, and what still waited at the end.
    assert!((500..540).contains(&stats.sent_packets), "{}", stats.sent_packets);
    assert_eq!(stats.sent_packets + stats.send_dropped_packets, 1_000);
    assert_eq!(stats.send_bytes_per_second_max, 136_000);
    let arrived = path.listening.numbers().len() as u64;
    assert!(arrived * 10 >= stats.sent_packets * 8, "{arrived} are in time");
}

#[test]
fn a_bottleneck_of_the_path_costs_packets_and_not_the_connection() {
    let link = LinkConfig { rate: Rate::constant(2_000_000), queue: Queue::Bytes(30_000), ..delay(20) };
    let mut path = connected(200, link);
    path.stream(true, 2_000, Duration::from_millis(3));
    path.run(Duration::from_secs(2));
    assert_eq!((path.caller.closed, path.listening.closed), (None, None));
    assert!(path.listening.numbers().len() > 500);
    assert!(path.listening.numbers().is_sorted());
}

#[test]
fn both_ends_can_send_at_the_same_time() {
    let link = LinkConfig { loss: Loss::Random { probability: 0.02 }, seed: 9, ..delay(20) };
    let mut path = connected(200, link);
    for number in 0..500_u64 {
        let payload = |from: u8| bytes::Bytes::from([&number.to_be_bytes()[..], &[from; 100]].concat());
        let now = path.now;
        path.caller.session().send(now, payload(1)).unwrap();
        path.listening.session().send(now, payload(2)).unwrap();
        path.run(Duration::from_millis(3));
    }
    path.run(Duration::from_secs(1));
    for (end, from) in [(&path.caller, 2), (&path.listening, 1)] {
        assert_eq!(end.numbers(), (0..500).collect::<Vec<_>>());
        assert!(end.received.iter().all(|(_, received)| received.payload[8..] == [from; 100]));
    }
}

#[test]
fn a_payload_that_fits_no_datagram_is_refused() {
    let mut path = connected(120, delay(5));
    let now = path.now;
    for bytes in [0, 1457] {
        assert!(matches!(path.caller.session().send(now, vec![0; bytes].into()), Err(Error::Misuse(_))));
    }
    path.caller.session().send(now, vec![0; 1456].into()).unwrap();
    path.run(Duration::from_secs(1));
    assert_eq!(path.listening.received[0].1.payload.len(), 1456);
}

#[test]
fn a_session_goes_on_where_timestamps_wrap() {
    let mut path = connected(120, delay(20));
    // Two wraps of 71.6 minutes.
    for _ in 0..150 {
        path.stream(true, 5, Duration::from_millis(4));
        path.run(Duration::from_secs(60));
    }
    assert_eq!(path.listening.received.len(), 750);
    assert!(path.now.duration_since(path.start) > 2 * Duration::from_micros(1 << 32));
    let (at, received) = path.listening.received.last().unwrap();
    assert_eq!(at.duration_since(received.sent_at).as_millis(), 120);
}

#[test]
fn copies_that_become_more_make_up_for_latency_where_much_is_lost() {
    let run = |escalation: bool, seed: u64| {
        let link = LinkConfig { loss: Loss::Random { probability: 0.2 }, seed, ..delay(25) };
        let config = Config { escalation, connect_timeout: Duration::from_secs(20), ..config(200) };
        let mut path = Path::new(config.clone(), config, link);
        while path.caller.established.is_empty() {
            path.run(Duration::from_millis(50));
        }
        path.stream(true, 3_000, Duration::from_millis(4));
        path.run(Duration::from_secs(1));
        let now = path.now;
        let sent = path.caller.session().stats(now);
        (3_000 - path.listening.numbers().len(), sent.retransmitted_packets as f64 / 3_000.0)
    };
    let total = |escalation: bool| {
        let runs = [1, 2, 3].map(|seed| run(escalation, seed));
        (runs.iter().map(|run| run.0).sum::<usize>(), runs.iter().map(|run| run.1).sum::<f64>() / 3.0)
    };
    let ((plain, plain_overhead), (escalated, overhead)) = (total(false), total(true));
    assert!(escalated * 2 <= plain, "{escalated} missing with copies, {plain} without");
    assert!(overhead < plain_overhead + 0.15, "{overhead} sent again with copies, {plain_overhead} without");
}

#[test]
fn copies_are_for_peers_that_say_that_they_know_them() {
    for (caller, listener) in [(true, false), (false, true)] {
        let link = LinkConfig { loss: Loss::Random { probability: 0.3 }, seed: 4, ..delay(10) };
        let end = |escalation| Config { escalation, connect_timeout: Duration::from_secs(20), ..config(400) };
        let mut path = Path::new(end(caller), end(listener), link);
        while path.caller.established.is_empty() {
            path.run(Duration::from_millis(50));
        }
        path.stream(true, 500, Duration::from_millis(4));
        path.run(Duration::from_secs(1));
        let sent = path.log.iter().filter(|(from_caller, _)| *from_caller);
        let mut again: Vec<(u32, usize)> = Vec::new();
        for (at, (_, datagram)) in sent.enumerate() {
            if let Content::Data(data) = Packet::read(datagram).unwrap().content
                && data.retransmitted
            {
                again.push((data.sequence.get(), at));
            }
        }
        assert!(again.len() > 100);
        // At 250 packets a second, a second copy would come within three others.
        let close = |(sequence, at): &(u32, usize)| {
            again.iter().any(|(other, later)| other == sequence && *later > *at && later - at < 4)
        };
        assert!(again.iter().filter(|sent| close(sent)).count() < 5);
    }
}
