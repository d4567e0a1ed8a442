//! SWF verification between both ends.

use super::*;
use crate::amf::{Value, amf0};
use crate::{Swf, limits};

const SWF: Swf = Swf { hash: [3; 32], size: 12_345 };

/// A pair whose server knows [`SWF`] and another file, after a first exchange.
fn pair(config: client::Config) -> Pair {
    let other = Swf { hash: [4; 32], size: 1 };
    let config_of_server = server::Config { swf: [other, SWF].into(), ..server::Config::default() };
    let mut pair = Pair::with_server(config, config_of_server);
    pair.settle(&[usize::MAX]);
    pair
}

fn player(swf: Option<Swf>) -> client::Config {
    client::Config { swf, ..config(client::Role::Play) }
}

fn heard_of_play(pair: &Pair) -> bool {
    pair.server_events.iter().any(|event| matches!(event, server::Event::Play(_)))
}

fn verdicts(pair: &Pair) -> Vec<bool> {
    pair.server_events
        .iter()
        .filter_map(|event| match event {
            server::Event::SwfVerified(verified) => Some(*verified),
            _ => None,
        })
        .collect()
}

fn refused(pair: &Pair) -> bool {
    let is_refusal = |event: &client::Event| matches!(event, client::Event::Rejected(status) if status.code == "NetStream.Play.Failed");
    pair.client_events.iter().any(is_refusal)
}

#[test]
fn player_that_knows_the_file_plays_in_every_form_of_handshake() {
    for handshake in [Form::Plain, Form::Digest, Form::Encrypted] {
        let pair = pair(client::Config { handshake, ..player(Some(SWF)) });
        assert_eq!((verdicts(&pair), pair.started()), (vec![true], true), "{handshake:?}");
    }
}

#[test]
fn player_with_another_file_is_refused_before_the_driver_hears_of_it() {
    for wrong in [Swf { size: 1, ..SWF }, Swf { hash: [5; 32], ..SWF }] {
        let pair = pair(player(Some(wrong)));
        assert_eq!((verdicts(&pair), heard_of_play(&pair), refused(&pair)), (vec![false], false, true));
    }
}

#[test]
fn player_without_digests_is_refused_at_once() {
    let pair = pair(player(None));
    assert_eq!((verdicts(&pair), heard_of_play(&pair), refused(&pair)), (vec![false], false, true));
}

#[test]
fn player_that_does_not_answer_is_refused_when_its_time_is_over() {
    let mut pair = pair(client::Config { handshake: Form::Digest, ..player(None) });
    assert_eq!((verdicts(&pair), heard_of_play(&pair), refused(&pair)), (vec![], false, false));
    assert_eq!(pair.server.poll_timeout(), Some(pair.now + limits::SWF_TIMEOUT));
    pair.now += limits::SWF_TIMEOUT;
    pair.server.handle_timeout(pair.now).unwrap();
    pair.collect();
    pair.settle(&[usize::MAX]);
    assert_eq!((verdicts(&pair), heard_of_play(&pair), refused(&pair)), (vec![false], false, true));
    assert!(pair.server.poll_timeout().unwrap() > pair.now);
}

/// Sends a command as the session of the client would not.
fn send(pair: &mut Pair, stream_id: u32, name: &str, values: &[Value]) {
    let mut body = BytesMut::new();
    let all = [Value::from(name), Value::from(9.0), Value::Null];
    all.iter().chain(values).for_each(|value| amf0::write(&mut body, value));
    let chunk_size = pair.client.out_chunk_size();
    chunk::write_message(&mut pair.to_server, chunk_size, 3, stream_id, 20, 0, &[&body]);
    pair.settle(&[usize::MAX]);
}

#[test]
fn who_has_not_answered_is_told_of_no_stream() {
    for (swf, heard) in [(None, false), (Some(SWF), true)] {
        let mut pair = pair(client::Config { handshake: Form::Digest, ..player(swf) });
        send(&mut pair, 0, "getStreamLength", &["cam".into()]);
        let is_asked = |event: &server::Event| matches!(event, server::Event::StreamLength(_));
        assert_eq!(pair.server_events.iter().any(is_asked), heard);
    }
}

#[test]
fn what_is_too_much_to_wait_for_the_answer_is_refused() {
    let mut pair = pair(client::Config { handshake: Form::Digest, ..player(None) });
    for _ in 1..limits::PLAYLIST_MAX + limits::STREAMS_MAX {
        send(&mut pair, 1, "play", &["cam".into(), (-2.0).into(), (-1.0).into(), false.into()]);
        assert!(!refused(&pair));
    }
    send(&mut pair, 1, "play", &["cam".into(), (-2.0).into(), (-1.0).into(), false.into()]);
    assert!(refused(&pair));
}

#[test]
fn publisher_is_not_asked() {
    let pair = pair(config(client::Role::Publish));
    assert_eq!((verdicts(&pair), pair.started()), (vec![], true));
}

#[test]
fn every_bit_of_an_answer_counts() {
    let (key, answer) = ([1; 32], SWF.answer(&[1; 32]));
    assert!(SWF.is_answer(&key, &answer));
    for bit in 0..8 * answer.len() {
        let mut wrong = answer;
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(!SWF.is_answer(&key, &wrong), "bit {bit}");
    }
}

#[test]
fn proof_is_worth_nothing_on_another_connection() {
    assert_ne!(SWF.answer(&[1; 32]), SWF.answer(&[2; 32]));
    assert_eq!(SWF.answer(&[1; 32])[..10], [1, 1, 0, 0, 0x30, 0x39, 0, 0, 0x30, 0x39]);
    assert_eq!(format!("{SWF:?}"), "Swf { size: 12345, .. }");
}
