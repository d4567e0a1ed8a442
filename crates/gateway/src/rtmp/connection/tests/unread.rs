//! Those who do not read.

use super::*;

/// A ping, as one chunk (RTMP section 7.1.7).
const PING: [u8; 18] = [2, 0, 0, 0, 0, 0, 6, 4, 0, 0, 0, 0, 0, 6, 0, 0, 0, 1];

#[tokio::test]
async fn answers_to_a_stranger_who_does_not_read_them_are_few() {
    let node = Node::new(|_| {});
    let (ours, theirs) = net::pipe(4 << 10);
    let peer = SocketAddr::from(([192, 0, 2, 1], 40_000));
    let serving = tokio::spawn(serve(node.env.clone(), node.metrics.clone(), Stream::Pipe(theirs), peer));
    let mut client = Stream::Pipe(ours);
    client.write_all(&[&[3][..], &[0; 2 * 1536]].concat()).await.unwrap();
    let mut sent = 0;
    while client.write_all(&PING).await.is_ok() {
        sent += PING.len();
        assert!(sent <= 4 * ANSWERS_BYTES_MAX, "still open");
        tokio::task::yield_now().await;
    }
    serving.await.unwrap();
}

#[tokio::test]
async fn a_player_that_takes_a_byte_now_and_then_is_gone() {
    let node = Node::new(|config| config.rtmp.handshake_timeout_ms = 3_600_000);
    let (ours, theirs) = net::pipe(1 << 10);
    let peer = SocketAddr::from(([192, 0, 2, 1], 40_000));
    let mut connection = Connection::new(node.env.clone(), node.metrics.clone(), Stream::Pipe(theirs), peer);
    let mut client = Stream::Pipe(ours);
    let start = Instant::now();
    // One buffer fills the pipe, the others wait.
    for _ in 0..2000 {
        connection.outbox.push(bytes::Bytes::from_static(&[0; 16]));
    }
    let within = node.env.config.rtmp.write_timeout();
    for quarter in 0..4 {
        let now = start + within * quarter / 4;
        let alive = poll_fn(|cx| {
            let _ = connection.poll_write(cx, now);
            Poll::Ready(connection.poll_timer(cx, now))
        });
        assert!(alive.await.is_ok(), "{quarter}");
        client.read_exact(&mut [0; 16]).await.unwrap();
    }
    let ended = poll_fn(|cx| {
        let _ = connection.poll_write(cx, start + within);
        Poll::Ready(connection.poll_timer(cx, start + within))
    });
    assert!(matches!(ended.await, Err(Close::Idle)));
}
