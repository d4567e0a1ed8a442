//! Those who are turned away.

use super::*;

/// The server's end of a connection, with the client's.
fn connection(node: &Node) -> (Connection, net::Pipe) {
    let (ours, theirs) = net::pipe(1 << 20);
    let peer = SocketAddr::from(([192, 0, 2, 1], 40_000));
    (Connection::new(node.env.clone(), node.metrics.clone(), Stream::Pipe(theirs), peer), ours)
}

fn publish(name: &str) -> server::Publish {
    server::Publish {
        stream_id: 1,
        app: "live".to_owned(),
        name: name.to_owned(),
        kind: server::PublishKind::Live,
    }
}

#[tokio::test]
async fn refusals_do_not_put_off_the_end_of_a_connection_that_carries_nothing() {
    let node = Node::new(|_| {});
    let (mut connection, _client) = connection(&node);
    let start = Instant::now();
    for seconds in 0..5 {
        connection.publish(publish("cam?key=a-guess"), start + Duration::from_secs(seconds));
        assert_eq!(connection.closing, Some(start + END_LINGER));
    }
    connection.publish(publish("cam?key=0123456789abcdef"), start);
    assert_eq!(connection.closing, None, "something is carried");
    let later = start + Duration::from_secs(60);
    connection.unpublish(1, later);
    assert_eq!(connection.closing, Some(later + node.env.config.rtmp.handshake_timeout()));
}

#[tokio::test]
async fn who_is_refused_again_and_again_is_cut_off_also_while_it_plays() {
    let node = Node::new(|_| {});
    let (mut connection, _client) = connection(&node);
    let now = Instant::now();
    let (app, name) = ("live".to_owned(), "cam".to_owned());
    let play = server::Play { stream_id: 2, app, name, start: -2.0, duration: -1.0, reset: true };
    connection.play(play, now);
    for _ in 1..REFUSALS_MAX {
        connection.publish(publish("cam?key=a-guess"), now);
    }
    assert_eq!((connection.playing.len(), connection.closing), (1, None));
    connection.publish(publish("cam?key=a-guess"), now);
    let ended = poll_fn(|cx| Poll::Ready(connection.poll_timer(cx, now))).await;
    assert!(matches!(ended, Err(Close::Ended(_))));
}

#[tokio::test]
async fn a_key_is_no_name_and_is_not_published_as_one() {
    let node = Node::new(|_| {});
    let config = client::Config::publish(&url("0123456789abcdef?key=0123456789abcdef"));
    let mut client = node.connect(config);
    let told = client.until(|told| matches!(told, Told::Rejected(_))).await;
    assert_eq!(short(&told).last().map(String::as_str), Some("NetStream.Publish.BadName"));
    assert!(node.env.origin.streams().is_empty());
}
