use super::*;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

const MEDIA_BYTES: usize = 100_000;

fn seats(count: usize, slow: usize) -> Vec<Seat> {
    (0..count)
        .map(|number| Seat { number, target: 0, join_after: Duration::ZERO, slow: number < slow })
        .collect()
}

fn plan(listener: &TcpListener, viewers: Vec<Seat>) -> Plan {
    let address = listener.local_addr().unwrap();
    let target = Target::parse(&format!("http://{address}/live/a.flv")).unwrap();
    Plan {
        viewers,
        targets: vec![(target, address)],
        connector: None,
        slow_share: 0.0,
        churn: 0.0,
        join_timeout: Duration::from_secs(60),
        seed: 1,
    }
}

/// Reads the request and answers with `head` and as much media.
fn answer(listener: &TcpListener, head: &[u8]) -> TcpStream {
    let (mut socket, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    socket.write_all(head).unwrap();
    socket.write_all(&vec![0; MEDIA_BYTES]).unwrap();
    socket
}

/// Runs the plan on another thread until `done`.
fn run_until(plan: &Plan, counters: &Counters, done: impl Fn(&Counters) -> bool) -> Outcome {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let crowd = scope.spawn(|| run(plan, counters, &stop).unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        while !done(counters) && Instant::now() < deadline {
            std::thread::yield_now();
        }
        stop.store(true, Relaxed);
        let outcome = crowd.join().unwrap();
        assert!(done(counters), "{counters:?}");
        outcome
    })
}

const FLV: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nFLV\x01";

#[test]
fn viewers_count_every_byte_and_notice_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plan = plan(&listener, seats(3, 0));
    let server = std::thread::spawn(move || {
        for _ in 0..3 {
            answer(&listener, FLV).shutdown(Shutdown::Both).unwrap();
        }
    });
    let counters = Counters::default();
    let outcome = run_until(&plan, &counters, |counters| counters.disconnected.load(Relaxed) == 3);
    server.join().unwrap();
    assert_eq!((counters.started.load(Relaxed), counters.failed.load(Relaxed)), (3, 0));
    assert_eq!(counters.bytes.load(Relaxed), 3 * (FLV.len() + MEDIA_BYTES) as u64);
    assert_eq!(outcome.first_media.count(), 3);
}

#[test]
fn a_refused_join_is_counted_as_failed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plan = plan(&listener, seats(1, 0));
    let server = std::thread::spawn(move || answer(&listener, b"HTTP/1.1 404 Not Found\r\n\r\n"));
    let counters = Counters::default();
    let outcome = run_until(&plan, &counters, |counters| counters.failed.load(Relaxed) == 1);
    drop(server.join().unwrap());
    assert_eq!(counters.started.load(Relaxed), 0);
    assert!(outcome.failure.is_some());
}

#[test]
fn a_server_that_is_not_there_fails_the_join() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plan = plan(&listener, seats(2, 0));
    drop(listener);
    let counters = Counters::default();
    let outcome = run_until(&plan, &counters, |counters| counters.failed.load(Relaxed) == 2);
    assert!(outcome.failure.unwrap().contains("refused"));
}

#[test]
fn a_stalled_viewer_reads_nothing_after_the_media_began() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plan = plan(&listener, seats(2, 1));
    let server = std::thread::spawn(move || [answer(&listener, FLV), answer(&listener, FLV)]);
    let counters = Counters::default();
    let whole = (FLV.len() + MEDIA_BYTES) as u64;
    let outcome = run_until(&plan, &counters, |counters| {
        counters.watching.load(Relaxed) == 2 && counters.bytes.load(Relaxed) > whole
    });
    drop(server.join().unwrap());
    assert!(counters.bytes.load(Relaxed) <= whole + READ_BYTES as u64);
    assert_eq!(outcome.bytes_per_viewer.len(), 1, "slow ones are left out");
}

#[test]
fn a_viewer_that_churns_leaves_and_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut plan = plan(&listener, seats(1, 0));
    plan.churn = 1000.0;
    let server = std::thread::spawn(move || [answer(&listener, FLV), answer(&listener, FLV)]);
    let counters = Counters::default();
    run_until(&plan, &counters, |counters| counters.started.load(Relaxed) == 2);
    drop(server.join().unwrap());
    assert!(counters.left.load(Relaxed) >= 1);
}

#[test]
fn viewers_beyond_the_ports_of_one_address_come_from_another() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let from = |number: usize| {
        let _viewer = connect(listener.local_addr().unwrap(), number).unwrap();
        listener.accept().unwrap().1.ip().to_string()
    };
    assert_eq!(from(VIEWERS_PER_ADDRESS - 1), "127.0.0.1");
    assert_eq!(from(2 * VIEWERS_PER_ADDRESS), "127.0.0.3");
}
