use std::time::Duration;

use bytes::Bytes;
use testkit::link::{Config as LinkConfig, Loss};

use super::path::{Path, delay};
use crate::packet::{Content, Control, Packet, Parity};
use crate::{Config, KeyLength, Passphrase, Refresh, Reject};

fn config(passphrase: &str) -> Config {
    let passphrase = (!passphrase.is_empty()).then(|| Passphrase::new(passphrase).unwrap());
    Config { passphrase, receive_latency: Duration::from_millis(200), ..Config::default() }
}

#[test]
fn an_encrypted_stream_is_read_by_the_peer_and_by_nobody_else() {
    for key_length in [KeyLength::Bits128, KeyLength::Bits192, KeyLength::Bits256] {
        let link = LinkConfig { loss: Loss::Random { probability: 0.05 }, seed: 5, ..delay(15) };
        let caller =
            Config { key_length, connect_timeout: Duration::from_secs(9), ..config("correct horse") };
        let mut path = Path::new(caller, config("correct horse"), link);
        path.run(Duration::from_secs(9));
        assert!(path.caller.established[0].encrypted && path.listening.established[0].encrypted);
        path.stream(true, 300, Duration::from_millis(4));
        path.stream(false, 300, Duration::from_millis(4));
        path.run(Duration::from_secs(1));
        for end in [&path.caller, &path.listening] {
            assert_eq!(end.numbers(), (0..300).collect::<Vec<_>>());
        }
        let plain = [200_u8; 64];
        assert!(path.log.iter().all(|(_, datagram)| !datagram.windows(64).any(|window| window == plain)));
    }
}

#[test]
fn passphrases_that_differ_are_refused_with_their_own_codes() {
    for (caller, listener, reject) in [
        ("correct horse", "wrong horse", Some(Reject::BAD_SECRET)),
        ("correct horse", "", Some(Reject::UNSECURE)),
        ("", "correct horse", Some(Reject::UNSECURE)),
        ("", "", None),
    ] {
        let mut path = Path::new(config(caller), config(listener), delay(5));
        path.run(Duration::from_secs(1));
        assert_eq!(path.rejected(), reject, "{caller} against {listener}");
        assert_eq!(path.listening.session.is_some(), reject.is_none());
    }
}

#[test]
fn keys_are_replaced_while_the_stream_goes_on_and_nothing_is_lost() {
    let refresh = Refresh { packets: 200, announced_before: 60 };
    let caller = Config { refresh, connect_timeout: Duration::from_secs(9), ..config("correct horse") };
    let link = LinkConfig { loss: Loss::Random { probability: 0.05 }, seed: 6, ..delay(15) };
    let mut path = Path::new(caller, config("correct horse"), link);
    path.run(Duration::from_secs(9));
    path.stream(true, 2_000, Duration::from_millis(2));
    path.run(Duration::from_secs(1));
    assert_eq!(path.listening.numbers(), (0..2_000).collect::<Vec<_>>());
    let now = path.now;
    assert_eq!(path.listening.session().stats(now).undecrypted_packets, 0);
    let parities: Vec<Parity> = path
        .log
        .iter()
        .filter_map(|(_, datagram)| match Packet::read(datagram).unwrap().content {
            Content::Data(data) if !data.retransmitted => data.key,
            _ => None,
        })
        .collect();
    let changes = parities.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!((8..=9).contains(&changes), "{changes} changes of keys");
}

#[test]
fn keys_from_outside_of_a_handshake_are_taken_only_where_they_may_come() {
    let keys = |destination| {
        let content = Content::Control(Control::KeyRequest(crate::crypto::tests::seed()));
        Packet { timestamp: 0, destination, content }.write()
    };
    // A stream that is not encrypted takes none, and answers nothing.
    let mut path = Path::new(config(""), config(""), delay(5));
    path.run(Duration::from_secs(1));
    let now = path.now;
    path.listening.session().handle_input(now, &keys(super::path::SOCKET_ID));
    assert_eq!(path.listening.session().stats(now).malformed_datagrams, 1);
    assert_eq!(path.listening.session().poll_output(), None);
    // An encrypted one answers keys that another passphrase wrapped with a refusal and keeps its own, and is not made to derive
    // keys all the time.
    let mut path = Path::new(config("battery staple"), config("battery staple"), delay(5));
    path.run(Duration::from_secs(1));
    let now = path.now;
    for expected in [Some(4), None] {
        path.listening.session().handle_input(now, &keys(super::path::SOCKET_ID));
        let answer = path.listening.session().poll_output();
        assert_eq!(answer.map(|answer| answer[19]), expected);
    }
    let unasked = Content::Control(Control::KeyResponse(Bytes::from_static(&[0; 2000])));
    let unasked = Packet { timestamp: 0, destination: super::path::SOCKET_ID, content: unasked };
    path.listening.session().handle_input(now, &unasked.write());
    assert_eq!(path.listening.session().stats(now).malformed_datagrams, 2);
    path.stream(true, 10, Duration::from_millis(5));
    path.run(Duration::from_secs(1));
    assert_eq!(path.listening.numbers().len(), 10);
}
