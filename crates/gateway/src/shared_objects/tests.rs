use super::*;
use rtmp::amf::Value;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;
use std::time::Duration;

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Rig {
    objects: SharedObjects,
    now: Instant,
    woken: Arc<Counter>,
}

impl Rig {
    fn new() -> Self {
        Self { objects: SharedObjects::default(), now: Instant::now(), woken: Arc::default() }
    }

    fn client(&self) -> Client {
        self.objects.client(self.now)
    }

    /// A client that uses `chat` and has been told of it.
    fn user(&self) -> Client {
        let mut client = self.client();
        self.says(&mut client, [Event::Use]);
        self.told(&mut client);
        client
    }

    fn says(&self, client: &mut Client, events: impl IntoIterator<Item = Event>) {
        self.says_of("chat", client, events, Access::Write);
    }

    fn says_of(
        &self,
        name: &str,
        client: &mut Client,
        events: impl IntoIterator<Item = Event>,
        access: Access,
    ) {
        let message = Message::new(name, 0, events.into_iter().collect());
        self.objects.take(client, "live", message, access, self.now);
    }

    fn told(&self, client: &mut Client) -> Vec<Event> {
        self.messages(client).into_iter().flat_map(|message| message.events).collect()
    }

    fn messages(&self, client: &mut Client) -> Vec<Message> {
        let waker = Waker::from(self.woken.clone());
        let mut messages = Vec::new();
        while let Poll::Ready(message) = client.poll(&mut Context::from_waker(&waker)) {
            messages.push(message);
        }
        messages
    }
}

fn set(name: &str, value: impl Into<Value>) -> Event {
    Event::RequestChange { name: name.to_owned(), value: value.into() }
}

fn change(name: &str, value: impl Into<Value>) -> Event {
    Event::Change { name: name.to_owned(), value: value.into() }
}

fn success(name: &str) -> Event {
    Event::Success { name: name.to_owned() }
}

fn remove(name: &str) -> Event {
    Event::Remove { name: name.to_owned() }
}

fn refused(code: &str) -> Event {
    Event::Status { code: format!("SharedObject.{code}"), level: "error".to_owned() }
}

#[test]
fn values_that_one_sets_are_seen_by_the_others() {
    let rig = Rig::new();
    let [mut ann, mut ben] = [rig.user(), rig.user()];
    rig.says(&mut ann, [set("x", 1.0), set("y", "two")]);
    assert_eq!(rig.told(&mut ann), [success("x"), success("y")]);
    assert_eq!(rig.told(&mut ben), [change("x", 1.0), change("y", "two")]);
    assert_eq!(rig.told(&mut ben), []);
}

#[test]
fn those_who_come_later_are_told_of_all_values() {
    let rig = Rig::new();
    let (mut ann, mut ben) = (rig.user(), rig.client());
    rig.says(&mut ann, [set("x", 1.0), set("y", 2.0), set("x", 3.0)]);
    rig.says(&mut ben, [Event::Use]);
    let messages = rig.messages(&mut ben);
    assert_eq!(messages.len(), 1);
    assert_eq!((messages[0].name.as_str(), messages[0].version), ("chat", 3));
    assert_eq!(messages[0].events, [Event::UseSuccess, Event::Clear, change("x", 3.0), change("y", 2.0)]);
}

#[test]
fn removed_values_are_gone_for_everybody() {
    let rig = Rig::new();
    let [mut ann, mut ben] = [rig.user(), rig.user()];
    rig.says(&mut ann, [set("x", 1.0), set("y", 1.0)]);
    rig.told(&mut ann);
    rig.told(&mut ben);
    rig.says(&mut ben, [Event::RequestRemove { name: "x".to_owned() }, set("y", Value::Null)]);
    assert_eq!(rig.told(&mut ann), [remove("x"), remove("y")]);
    assert_eq!(rig.told(&mut ben), [remove("x"), remove("y")]);
    let mut late = rig.client();
    rig.says(&mut late, [Event::Use]);
    assert_eq!(rig.told(&mut late), [Event::UseSuccess, Event::Clear]);
}

#[test]
fn call_reaches_everybody_and_the_caller() {
    let rig = Rig::new();
    let [mut ann, mut ben] = [rig.user(), rig.user()];
    let call = Event::Send { values: vec!["say".into(), "hello".into()] };
    rig.says(&mut ann, [call.clone()]);
    for client in [&mut ann, &mut ben] {
        assert_eq!(rig.told(client), std::slice::from_ref(&call));
    }
    assert_eq!(rig.told(&mut rig.user()), [], "and nobody later");
}

#[test]
fn those_who_wait_are_woken_once_there_is_news() {
    let rig = Rig::new();
    let [mut ann, mut ben] = [rig.user(), rig.user()];
    rig.says(&mut ann, [set("x", 1.0)]);
    assert_eq!(rig.woken.0.load(Ordering::SeqCst), 2, "both");
    rig.says(&mut ann, [set("x", 2.0)]);
    assert_eq!(rig.woken.0.load(Ordering::SeqCst), 2, "they know already");
    assert_eq!(rig.told(&mut ben).len(), 2);
}

#[test]
fn client_that_is_too_far_behind_forgets_everything_and_gets_the_values_anew() {
    let mut rig = Rig::new();
    let [mut ann, mut ben] = [rig.user(), rig.user()];
    rig.says(&mut ann, [set("x", 0.0)]);
    for round in 0..=limits::LOG_EVENTS_MAX {
        rig.now += Duration::from_millis(100);
        rig.says(&mut ann, [set("x", round as f64)]);
        rig.told(&mut ann);
    }
    assert_eq!(rig.told(&mut ben), [Event::Clear, change("x", limits::LOG_EVENTS_MAX as f64)]);
}

#[test]
fn who_may_not_write_sees_and_who_may_not_play_sees_nothing() {
    let rig = Rig::new();
    let (mut ann, mut reader, mut nobody) = (rig.user(), rig.client(), rig.client());
    rig.says_of("chat", &mut reader, [Event::Use, set("x", 1.0)], Access::Read);
    assert_eq!(rig.told(&mut reader), [refused("NoWriteAccess"), Event::UseSuccess, Event::Clear]);
    rig.says_of("chat", &mut nobody, [Event::Use, set("x", 1.0)], Access::None);
    assert_eq!(rig.told(&mut nobody), [refused("NoReadAccess"), refused("NoWriteAccess")]);
    rig.says(&mut ann, [set("x", 2.0)]);
    assert_eq!(rig.told(&mut reader), [change("x", 2.0)]);
    assert_eq!(rig.told(&mut nobody), []);
    assert!(reader.uses_any() && !nobody.uses_any());
}

#[test]
fn objects_of_other_applications_are_others() {
    let rig = Rig::new();
    let (mut ann, mut other) = (rig.user(), rig.client());
    let message = Message::new("chat", 0, vec![Event::Use]);
    rig.objects.take(&mut other, "other", message, Access::Write, rig.now);
    rig.told(&mut other);
    rig.says(&mut ann, [set("x", 1.0)]);
    assert_eq!(rig.told(&mut other), []);
}

#[test]
fn objects_that_should_outlive_the_program_are_refused() {
    let (rig, message) = (Rig::new(), Message::new("chat", 0, vec![Event::Use]));
    let mut ann = rig.client();
    let message = Message { persistent: true, ..message };
    rig.objects.take(&mut ann, "live", message, Access::Write, rig.now);
    assert_eq!(rig.told(&mut ann), [refused("BadPersistence")]);
}

#[test]
fn object_outlives_its_last_client_for_a_while() {
    let mut rig = Rig::new();
    let mut ann = rig.user();
    rig.says(&mut ann, [set("x", 1.0), Event::Release, set("x", 2.0)]);
    assert_eq!(rig.told(&mut ann), [refused("NoWriteAccess")], "it is released");
    rig.now += limits::IDLE_MAX - Duration::from_millis(1);
    rig.says(&mut ann, [Event::Use]);
    assert_eq!(rig.told(&mut ann), [Event::UseSuccess, Event::Clear, change("x", 1.0)]);
    rig.says(&mut ann, [Event::Release]);
    rig.now += limits::IDLE_MAX;
    rig.says(&mut ann, [Event::Use]);
    assert_eq!(rig.told(&mut ann), [Event::UseSuccess, Event::Clear]);
}

#[test]
fn client_that_is_gone_has_released_everything() {
    let mut rig = Rig::new();
    drop(rig.user());
    rig.now = Instant::now() + limits::IDLE_MAX;
    let mut other = rig.client();
    rig.says_of("other", &mut other, [Event::Use], Access::Write);
    assert_eq!(lock(&rig.objects.apps)["live"].len(), 1);
}

#[test]
fn asking_for_an_object_again_starts_over() {
    let rig = Rig::new();
    let mut ann = rig.user();
    rig.says(&mut ann, [set("x", 1.0), Event::Use]);
    assert_eq!(rig.told(&mut ann), [Event::UseSuccess, Event::Clear, change("x", 1.0)]);
    assert_eq!(ann.used.len(), 1);
}

#[test]
fn everything_has_a_limit() {
    let mut rig = Rig::new();
    let mut ann = rig.user();
    let long = "n".repeat(limits::NAME_BYTES_MAX + 1);
    let large = "v".repeat(limits::VALUE_BYTES_MAX);
    let remove = Event::RequestRemove { name: long.clone() };
    let call = Event::Send { values: vec!["f".into(), large.clone().into()] };
    for event in [set(&long, 1.0), set("x", large), remove, call] {
        rig.says(&mut ann, [event]);
        assert_eq!(rig.told(&mut ann), [refused("NoWriteAccess")]);
    }
    rig.says_of(&long, &mut ann, [Event::Use], Access::Write);
    assert_eq!(rig.told(&mut ann), [refused("ObjectCreationFailed")]);

    for number in 0..limits::VALUES_MAX + 1 {
        rig.now += Duration::from_millis(100);
        rig.says(&mut ann, [set(&number.to_string(), true)]);
    }
    let refusals =
        |events: Vec<Event>| events.iter().filter(|event| matches!(event, Event::Status { .. })).count();
    assert_eq!(refusals(rig.told(&mut ann)), 1, "the last value");

    for number in 1..=limits::OBJECTS_PER_CLIENT_MAX {
        rig.says_of(&number.to_string(), &mut ann, [Event::Use], Access::Write);
    }
    assert_eq!(refusals(rig.told(&mut ann)), 1, "the last object of a client");

    let mut others = Vec::new();
    for number in 0..limits::OBJECTS_PER_APP_MAX {
        let mut other = rig.client();
        rig.says_of(&format!("object {number}"), &mut other, [Event::Use], Access::Write);
        others.push(other);
    }
    let refused = others.iter_mut().map(|client| refusals(rig.told(client))).sum::<usize>();
    assert_eq!(refused, limits::OBJECTS_PER_CLIENT_MAX, "the application is full");
}

#[test]
fn memory_of_an_object_is_limited() {
    let mut rig = Rig::new();
    let mut ann = rig.user();
    let value = "v".repeat(limits::VALUE_BYTES_MAX - 100);
    for number in 0..20 {
        rig.now += Duration::from_secs(1);
        rig.says(&mut ann, [set(&number.to_string(), value.as_str())]);
    }
    let fits = limits::OBJECT_BYTES_MAX / limits::VALUE_BYTES_MAX;
    assert_eq!(rig.told(&mut rig.user_of_all()).len(), 2 + fits);
    rig.says(&mut ann, [set("0", 1.0), set("another", value.as_str())]);
    assert_eq!(rig.told(&mut rig.user_of_all()).len(), 2 + fits + 1, "room that was freed is used");
}

impl Rig {
    fn user_of_all(&self) -> Client {
        let mut client = self.client();
        self.says(&mut client, [Event::Use]);
        client
    }
}

#[test]
fn client_that_changes_things_too_fast_is_refused_until_it_slows_down() {
    let mut rig = Rig::new();
    let mut ann = rig.user();
    let burst = limits::CLIENT_RATE.burst as usize;
    rig.says(&mut ann, (0..burst + 1).map(|_| set("x", 1.0)));
    let refusals = rig.told(&mut ann).iter().filter(|event| matches!(event, Event::Status { .. })).count();
    assert_eq!(refusals, 2, "and one was taken by the use");
    rig.now += Duration::from_secs(1);
    rig.says(&mut ann, [set("x", 2.0)]);
    assert_eq!(rig.told(&mut ann), [success("x")]);
}
