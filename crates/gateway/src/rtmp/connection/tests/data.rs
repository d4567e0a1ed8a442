use super::*;
use ::rtmp::amf::{Object, Value, amf0, amf3};
use ::rtmp::message;

/// A keyframe as a message.
const KEYFRAME: &[u8] = &[0x17, 1, 0, 0, 0, 0, 0, 0, 1, 0x65];

fn body(values: &[Value]) -> BytesMut {
    let mut out = BytesMut::new();
    values.iter().for_each(|value| amf0::write(&mut out, value));
    out
}

/// The data that came before the picture of this time, with their times.
async fn data_before(client: &mut Client, picture: u32) -> Vec<(u32, Vec<Value>)> {
    let is_picture =
        |told: &Told| matches!(told, Told::Message(it) if it.kind == 9 && it.timestamp == picture);
    let told = client.until(is_picture).await;
    let data = told.into_iter().filter_map(|told| match told {
        Told::Message(message) if message.kind == message::DATA => {
            Some((message.timestamp, amf0::read_all(&message.payload).unwrap()))
        }
        _ => None,
    });
    data.collect()
}

#[tokio::test]
async fn data_of_any_name_reach_all_players_in_order_and_with_their_times() {
    let node = Node::new(|_| {});
    let mut publisher = node.publish("cam").await;
    publisher.session.send_message(message::VIDEO, 0, &[KEYFRAME]).unwrap();
    publisher.flush().await;
    let mut players = [node.play("cam").await, node.play("cam").await];
    let text = vec!["onTextData".into(), Object::new().with("text", "hello").into()];
    let own = vec!["myHandler".into(), 1.0.into(), "two".into(), Value::Null];
    publisher.session.send_message(message::DATA, 20, &[&body(&text)]).unwrap();
    publisher.session.send_message(message::VIDEO, 40, &[&[0x27, 1, 0, 0, 0, 1]]).unwrap();
    publisher.session.send_message(message::DATA, 50, &[&body(&own)]).unwrap();
    publisher.session.send_message(message::VIDEO, 80, &[&[0x27, 1, 0, 0, 0, 1]]).unwrap();
    publisher.flush().await;
    for player in &mut players {
        assert_eq!(data_before(player, 40).await, [(20, text.clone())]);
        assert_eq!(data_before(player, 80).await, [(50, own.clone())]);
    }
}

#[tokio::test]
async fn a_message_that_makes_no_sense_is_left_out_and_many_in_a_row_end_the_publication() {
    let node = Node::new(|_| {});
    let mut publisher = node.publish("cam").await;
    publisher.session.send_message(message::VIDEO, 0, &[KEYFRAME]).unwrap();
    publisher.flush().await;
    let mut player = node.play("cam").await;
    // AAC without the byte that says whether it is a configuration.
    let short = |publisher: &mut Client, count: usize| {
        (0..count).for_each(|_| publisher.session.send_message(message::AUDIO, 20, &[&[0xaf]]).unwrap());
    };
    for time in [40, 80, 120] {
        short(&mut publisher, 20);
        publisher.session.send_message(message::VIDEO, time, &[&[0x27, 1, 0, 0, 0, 1]]).unwrap();
        publisher.flush().await;
        player.until(|told| matches!(told, Told::Message(it) if it.kind == 9 && it.timestamp == time)).await;
    }
    assert_eq!(node.metrics.malformed_messages.get(), 60);
    short(&mut publisher, 40);
    let told = publisher.until(|told| matches!(told, Told::Ended(_))).await;
    assert!(matches!(told.last(), Some(Told::Ended(status)) if status.code == "NetStream.Publish.Failed"));
}

#[tokio::test]
async fn data_in_amf3_reach_players_in_amf0() {
    let node = Node::new(|_| {});
    let mut publisher = node.publish("cam").await;
    publisher.session.send_message(message::VIDEO, 0, &[KEYFRAME]).unwrap();
    publisher.flush().await;
    let mut player = node.play("cam").await;
    let cue = Value::from(Object::new().with("name", "cue").with("time", 1.5));
    let mut data = BytesMut::from(&[0][..]);
    amf0::write_str(&mut data, "onCuePoint");
    data.extend_from_slice(&[0x11]);
    amf3::write(&mut data, &cue);
    publisher.session.send_message(message::DATA_AMF3, 20, &[&data]).unwrap();
    publisher.session.send_message(message::VIDEO, 40, &[&[0x27, 1, 0, 0, 0, 1]]).unwrap();
    publisher.flush().await;
    assert_eq!(data_before(&mut player, 40).await, [(20, vec!["onCuePoint".into(), cue])]);
}

#[tokio::test]
async fn late_player_gets_what_was_set_until_it_is_cleared_and_no_messages_of_before() {
    let node = Node::new(|_| {});
    let mut publisher = node.publish("cam").await;
    let set = |name: &str, value: f64| body(&["@setDataFrame".into(), name.into(), value.into()]);
    let session = &mut publisher.session;
    session.send_message(message::DATA, 0, &[&set("onMetaData", 1.0)]).unwrap();
    session.send_message(message::DATA, 0, &[&set("onScore", 2.0)]).unwrap();
    session.send_message(message::VIDEO, 0, &[KEYFRAME]).unwrap();
    session.send_message(message::DATA, 10, &[&body(&["onCuePoint".into()])]).unwrap();
    session.send_message(message::VIDEO, 40, &[KEYFRAME]).unwrap();
    publisher.flush().await;
    let mut player = node.play("cam").await;
    let (meta, score) = (vec!["onMetaData".into(), 1.0.into()], vec!["onScore".into(), 2.0.into()]);
    assert_eq!(data_before(&mut player, 40).await, [(0, meta.clone()), (40, score)]);
    let clear = body(&["@clearDataFrame".into(), "onScore".into()]);
    publisher.session.send_message(message::DATA, 50, &[&clear]).unwrap();
    publisher.session.send_message(message::VIDEO, 80, &[KEYFRAME]).unwrap();
    publisher.flush().await;
    assert_eq!(data_before(&mut player, 80).await, [], "players are not told");
    assert_eq!(data_before(&mut node.play("cam").await, 80).await, [(0, meta)]);
}
