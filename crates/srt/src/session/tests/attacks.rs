use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::path::{Path, SOCKET_ID, address, delay};
use crate::packet::{Acknowledgement, Content, Control, Data, LossReport, Packet, Position, Range};
use crate::{Answer, Config, Listener, Sequence, Session};

fn packet(content: Content) -> Bytes {
    Packet { timestamp: 0, destination: SOCKET_ID, content }.write()
}

fn connected() -> Path {
    let mut path = Path::new(Config::default(), Config::default(), delay(5));
    path.run(Duration::from_secs(1));
    path
}

#[test]
fn a_cookie_is_of_its_address_and_of_two_minutes() {
    let now = Instant::now();
    let listener = Listener::new(now, [9; 32]);
    let mut caller = Session::connect(now, address(2), 5, "", Config::default(), [1; 32]).unwrap();
    let request = caller.poll_output().unwrap();
    let Some(Answer::Reply(reply)) = listener.handle_input(now, address(1), &request) else { panic!() };
    assert!(reply.len() <= request.len());
    caller.handle_input(now, &reply);
    let conclusion = caller.poll_output().unwrap();
    let is_request = |seconds, from| {
        let answer = listener.handle_input(now + Duration::from_secs(seconds), from, &conclusion);
        matches!(answer, Some(Answer::Request(_)))
    };
    assert!(is_request(0, address(1)) && is_request(119, address(1)));
    assert!(!is_request(120, address(1)));
    assert!(!is_request(0, address(3)), "another address");
    let another = Listener::new(now, [8; 32]).handle_input(now, address(1), &conclusion);
    assert!(another.is_none(), "the cookie of another listener");
}

#[test]
fn what_was_never_sent_cannot_be_acknowledged_asked_for_or_dropped() {
    let mut path = connected();
    path.stream(false, 10, Duration::from_millis(5));
    let now = path.now;
    let session = path.listening.session();
    let far = |ahead: u32| Sequence::new(0x1234_5678).plus(u64::from(ahead));
    let mut refused = 0;
    for ahead in [0, 1 << 20, 1 << 28, 3 << 29] {
        let range = Range { first: far(ahead), last: far(ahead + 1000) };
        for control in [
            Control::Acknowledgement(Acknowledgement { number: 1, next: far(ahead), measured: None }),
            Control::LossReport(LossReport(vec![range; 100])),
            Control::Drop { message: 0, first: range.first, last: range.last },
        ] {
            session.handle_input(now, &packet(Content::Control(control)));
        }
        refused = session.stats(now).malformed_datagrams;
        while session.poll_output().is_some() {}
    }
    assert!(refused >= 4, "{refused}");
    path.stream(true, 50, Duration::from_millis(5));
    path.run(Duration::from_secs(1));
    assert_eq!(path.listening.received.len(), 50);
}

#[test]
fn a_flood_of_data_takes_no_more_memory_than_the_window() {
    let mut path = connected();
    let now = path.now;
    let session = path.listening.session();
    for number in 0..20_000_u32 {
        let data = Data {
            sequence: Sequence::new(number.wrapping_mul(7919)),
            position: Position::Only,
            in_order: true,
            key: None,
            retransmitted: false,
            message: 1,
            payload: Bytes::from_static(&[0; 8]),
        };
        session.handle_input(now, &packet(Content::Data(data)));
        while session.poll_output().is_some() {}
        while session.poll_event().is_some() {}
    }
    assert!(session.stats(now).receive_buffer_packets <= 8192);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_session_survives_any_datagrams(datagrams in proptest::collection::vec(
        (0_u8..12, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 1..40))
    {
        let mut path = connected();
        path.stream(true, 3, Duration::from_millis(1));
        for (kind, control, tail) in datagrams {
            let mut bytes = vec![u8::from(control) << 7, if kind == 11 { 0xff } else { kind }, 0, kind];
            bytes.extend([0; 8]);
            bytes.extend(if kind == 0 { [0; 4] } else { SOCKET_ID.to_be_bytes() });
            bytes.extend(tail);
            let now = path.now;
            path.listening.session().handle_input(now, &bytes.into());
            path.run(Duration::from_millis(7));
        }
        path.run(Duration::from_secs(8));
    }
}
