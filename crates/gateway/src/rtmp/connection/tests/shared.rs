use super::*;
use crate::config::SharedObjectWriters;
use ::rtmp::shared_object::{Event, Message};

fn set(value: f64) -> Event {
    Event::RequestChange { name: "score".to_owned(), value: value.into() }
}

async fn say(client: &mut Client, events: Vec<Event>) {
    client.session.send_shared_object(&Message::new("board", 0, events)).unwrap();
    client.flush().await;
}

/// What the client is told of objects until this happens.
async fn told_until(client: &mut Client, wanted: &Event) -> Vec<Event> {
    let fits = |told: &Told| matches!(told, Told::SharedObject(message) if message.events.contains(wanted));
    let told = client.until(fits).await;
    let events = told.into_iter().filter_map(|told| match told {
        Told::SharedObject(message) => Some(message.events),
        _ => None,
    });
    events.flatten().collect()
}

fn status(code: &str) -> Event {
    Event::Status { code: format!("SharedObject.{code}"), level: "error".to_owned() }
}

fn score(value: f64) -> Event {
    Event::Change { name: "score".to_owned(), value: value.into() }
}

#[tokio::test]
async fn players_share_values_while_they_play() {
    let node = Node::new(|config| config.rtmp.shared_objects = SharedObjectWriters::Players);
    let mut source = node.source("cam");
    write(&mut source, 0..1);
    let [mut ann, mut ben] = [node.play("cam").await, node.play("cam").await];
    say(&mut ann, vec![Event::Use, set(1.0)]).await;
    assert_eq!(
        told_until(&mut ann, &score(1.0)).await,
        [Event::UseSuccess, Event::Clear, score(1.0)],
        "set before it was told of the object"
    );
    say(&mut ben, vec![Event::Use]).await;
    assert_eq!(told_until(&mut ben, &score(1.0)).await[..2], [Event::UseSuccess, Event::Clear]);
    say(&mut ann, vec![set(2.0), Event::Send { values: vec!["goal".into()] }]).await;
    let goal = Event::Send { values: vec!["goal".into()] };
    assert_eq!(told_until(&mut ann, &goal).await[0], Event::Success { name: "score".to_owned() });
    assert_eq!(told_until(&mut ben, &goal).await, [score(2.0), goal]);
    write(&mut source, 1..2);
    ben.until_message("A1900").await;
}

#[tokio::test]
async fn publisher_writes_and_players_read_where_only_publishers_may() {
    let node = Node::new(|config| config.rtmp.shared_objects = SharedObjectWriters::Publishers);
    let mut publisher = node.publish("cam").await;
    say(&mut publisher, vec![Event::Use, set(5.0)]).await;
    let mut source = node.source("other");
    write(&mut source, 0..1);
    let mut player = node.play("other").await;
    say(&mut player, vec![Event::Use, set(6.0)]).await;
    assert_eq!(
        told_until(&mut player, &score(5.0)).await,
        [status("NoWriteAccess"), Event::UseSuccess, Event::Clear, score(5.0)]
    );
}

#[tokio::test]
async fn key_that_came_with_the_application_is_enough() {
    let node = Node::new(|config| {
        config.rtmp.shared_objects = SharedObjectWriters::Players;
        config.access.play_key = Some("see-this".into());
    });
    for (app, answer) in [("live?key=see-this", Event::UseSuccess), ("live", status("NoReadAccess"))] {
        let mut config = client::Config::play(&url("nothing"));
        config.app = app.to_owned();
        let mut client = node.connect(config);
        client.until(|told| matches!(told, Told::Connected)).await;
        say(&mut client, vec![Event::Use]).await;
        assert_eq!(told_until(&mut client, &answer).await[0], answer);
    }
}

#[tokio::test]
async fn without_the_setting_nobody_is_answered() {
    let node = Node::new(|_| {});
    let mut source = node.source("cam");
    write(&mut source, 0..1);
    let mut client = node.play("cam").await;
    say(&mut client, vec![Event::Use, set(1.0)]).await;
    write(&mut source, 1..2);
    let told = client.until_message("A1900").await;
    assert!(told.iter().all(|it| !it.starts_with("SharedObject")), "{told:?}");
}
