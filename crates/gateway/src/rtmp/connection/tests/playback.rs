use super::*;

/// A node whose log holds ten seconds, with four of them published.
async fn playing() -> (Node, hub::Publisher, Client) {
    let node = Node::new(|config| {
        config.hub.retain_ms = 10_000;
        config.hub.pace = 0.0;
    });
    let mut source = node.source("cam");
    write(&mut source, 0..4);
    let mut client = node.play("cam").await;
    client.until_message("A3900").await;
    (node, source, client)
}

#[tokio::test]
async fn paused_player_gets_nothing_and_goes_on_where_it_was() {
    let (_node, mut source, mut client) = playing().await;
    client.session.pause(true).unwrap();
    client.until_status("NetStream.Pause.Notify").await;
    write(&mut source, 4..6);
    client.session.pause(false).unwrap();
    assert_eq!(client.until_status("NetStream.Unpause.Notify").await, ["NetStream.Unpause.Notify"]);
    let got = client.until_message("A5900").await;
    assert_eq!(got[..3], ["K4000", "A4000", "V4100"]);
    assert_eq!(got.len(), 40, "all of it, once");
}

#[tokio::test]
async fn player_that_paused_for_longer_than_the_log_goes_on_at_the_oldest_keyframe() {
    let (_node, mut source, mut client) = playing().await;
    client.session.pause(true).unwrap();
    client.until_status("NetStream.Pause.Notify").await;
    write(&mut source, 4..30);
    client.session.pause(false).unwrap();
    client.until_status("NetStream.Unpause.Notify").await;
    let got = client.until_message("A29900").await;
    assert_eq!(got[..2], ["K19000", "A19000"]);
}

#[tokio::test]
async fn player_seeks_to_the_keyframe_before_the_position() {
    let (_node, _source, mut client) = playing().await;
    client.session.seek(1500).unwrap();
    client.until_status("NetStream.Seek.Notify").await;
    let got = client.until_message("A3900").await;
    assert_eq!(got[..3], ["K1000", "A1000", "V1100"]);
}

#[tokio::test]
async fn player_that_seeks_too_far_is_told_and_goes_as_far_as_possible() {
    let (_node, _source, mut client) = playing().await;
    for (wanted, first) in [(999_999, "K3000"), (u32::MAX, "K0")] {
        client.session.seek(wanted).unwrap();
        assert_eq!(client.until_status("NetStream.Seek.InvalidTime").await.len(), 1);
        assert_eq!(client.until_status("NetStream.Seek.Notify").await.len(), 1);
        assert_eq!(client.until_message("A3900").await[0], first);
    }
}

#[tokio::test]
async fn player_may_seek_while_paused() {
    let (_node, _source, mut client) = playing().await;
    client.session.pause(true).unwrap();
    client.session.seek(2000).unwrap();
    let got = client.until_status("NetStream.Seek.Notify").await;
    assert_eq!(got, ["NetStream.Pause.Notify", "NetStream.Seek.Notify"]);
    client.session.pause(false).unwrap();
    client.until_status("NetStream.Unpause.Notify").await;
    assert_eq!(client.until_message("A3900").await[0], "K2000");
}

#[tokio::test]
async fn pause_ends_with_the_stream() {
    let (_node, source, mut client) = playing().await;
    client.session.pause(true).unwrap();
    client.until_status("NetStream.Pause.Notify").await;
    source.finish();
    let ended = client.until(|told| matches!(told, Told::Ended(_))).await;
    assert_eq!(short(&ended), ["NetStream.Play.UnpublishNotify"]);
}

#[tokio::test]
async fn pause_that_is_too_long_ends_the_playback() {
    let node = Node::new(|config| config.rtmp.pause_max_ms = 0);
    let mut source = node.source("cam");
    write(&mut source, 0..1);
    let mut client = node.play("cam").await;
    client.session.pause(true).unwrap();
    let ended = client.until(|told| matches!(told, Told::Ended(_))).await;
    assert_eq!(short(&ended).last().unwrap(), "NetStream.Play.Stop");
}

#[tokio::test]
async fn player_without_sound_or_pictures_gets_them_back_with_the_next_keyframe() {
    let (_node, mut source, mut client) = playing().await;
    client.session.receive_video(false).unwrap();
    client.session.receive_audio(true).unwrap();
    client.until_status("NetStream.Seek.Notify").await;
    write(&mut source, 4..5);
    assert_eq!(client.until_message("A4900").await.len(), 10, "sound alone");
    client.session.receive_audio(false).unwrap();
    client.session.receive_video(true).unwrap();
    client.until_status("NetStream.Seek.Notify").await;
    source.write(packet(TrackId::VIDEO, 5000, false), Instant::now()).unwrap();
    write(&mut source, 6..7);
    let got = client.until_message("V6900").await;
    assert_eq!((got[0].as_str(), got.len()), ("K6000", 10), "pictures alone, from the keyframe on");
}

#[tokio::test]
async fn player_that_never_wanted_sound_gets_none() {
    let node = Node::new(|_| {});
    let mut source = node.source("cam");
    write(&mut source, 0..1);
    let mut client = node.open(client::Config { audio: false, ..client::Config::play(&url("cam")) }).await;
    let got = client.until_message("V900").await;
    assert!(got.iter().all(|it| !it.starts_with('A')), "{got:?}");
}
