//! Admission: one typed question, one typed answer, the same for every protocol.

use crate::Secret;
use crate::signature::{self, Invalid};
use crate::transcode::Rungs;
use media::StreamName;
use std::collections::HashMap;
use std::time::SystemTime;

/// What a session wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send a stream.
    Publish,
    /// Receive a stream.
    Play,
}

/// A session asks to be admitted.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What for.
    pub action: Action,
    /// To which stream.
    pub name: &'a StreamName,
    /// The key that it presented (`?key=`), or the signature (`?expires=...&signature=...`), if any.
    pub key: Option<&'a Secret>,
    /// Whether a program of this machine asks, and for nobody else: its connection is one of RTMP from a loopback address. An
    /// HTTP request never is, wherever it comes from, because programs that pass requests on look the same.
    pub local: bool,
}

/// Proof that a request was admitted; attaching to the hub needs one. Made only by [`Policy::admit`].
#[derive(Debug)]
pub struct Grant {
    name: StreamName,
    action: Action,
}

impl Grant {
    /// The stream it is for.
    pub fn name(&self) -> &StreamName {
        &self.name
    }

    /// What it allows.
    pub fn action(&self) -> Action {
        self.action
    }
}

/// Why a request was turned down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The stream needs a key and none was given.
    KeyMissing,
    /// The key or signature given is not the right one.
    KeyWrong,
    /// The signature given was right, and its time is over.
    Expired,
}

impl Denied {
    /// A closed set of values for a metric label.
    pub const fn reason(self) -> &'static str {
        match self {
            Denied::KeyMissing => "key_missing",
            Denied::KeyWrong => "key_wrong",
            Denied::Expired => "expired",
        }
    }
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Denied::KeyMissing => "a key is needed: add ?key=... to the stream name",
            Denied::KeyWrong => "the key is not valid for this stream",
            Denied::Expired => "the time of this address is over: ask whoever gave it to you for a new one",
        })
    }
}

/// Keys of one channel. `None` falls back to the rule for all channels.
#[derive(Debug, Clone, Default)]
pub struct ChannelRule {
    /// Key for publishing.
    pub publish_key: Option<Secret>,
    /// Key for playing; a channel with one is not public.
    pub play_key: Option<Secret>,
}

/// Who may publish and play what.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The key that publishes any channel without a key of its own. Without one such channels take no publisher from afar.
    pub publish_key: Option<Secret>,
    /// The key that plays any channel without a key of its own; `None` makes playing public.
    pub play_key: Option<Secret>,
    /// What signatures of addresses are made with. With one, playing is not public: it takes a key or a signature.
    pub sign_secret: Option<Secret>,
    /// What the operator gives to see and steer everything over the API. Without one nobody does.
    pub operator_token: Option<Secret>,
    /// Publishing from this machine needs no key.
    pub publish_loopback_without_key: bool,
    /// Rules by `app/channel`.
    pub channels: HashMap<String, ChannelRule>,
    /// Which streams are rungs of others: what plays a stream plays its rungs, and what publishes it publishes them.
    pub rungs: Rungs,
}

impl Policy {
    /// Decides. Fails closed: publishing where no key is configured is denied, except from loopback where that is allowed.
    pub fn admit(&self, request: Request<'_>) -> Result<Grant, Denied> {
        self.admit_at(request, SystemTime::now())
    }

    fn admit_at(&self, request: Request<'_>, now: SystemTime) -> Result<Grant, Denied> {
        let rule = |name: &StreamName| self.channels.get(name.as_str());
        let base = self.rungs.of(request.name).map(|(base, _)| base);
        let own = |name: &StreamName| match request.action {
            Action::Publish => rule(name).and_then(|rule| rule.publish_key.as_ref()),
            Action::Play => rule(name).and_then(|rule| rule.play_key.as_ref()),
        };
        let general = match request.action {
            Action::Publish => self.publish_key.as_ref(),
            Action::Play => self.play_key.as_ref(),
        };
        let key = own(request.name).or_else(|| own(base.as_ref()?)).or(general);
        let granted = || Grant { name: request.name.clone(), action: request.action };
        match (request.action, key, request.key) {
            (Action::Publish, _, None) if request.local && self.publish_loopback_without_key => Ok(granted()),
            (Action::Play, None, _) if self.sign_secret.is_none() => Ok(granted()),
            (_, _, None) => Err(Denied::KeyMissing),
            (_, Some(expected), Some(given)) if expected == given => Ok(granted()),
            (Action::Play, _, Some(given)) => {
                let secret = self.sign_secret.as_ref().ok_or(Denied::KeyWrong)?;
                let verify = |name| signature::verify(secret, name, given, now);
                let verified = match (verify(request.name), &base) {
                    (Err(Invalid::Wrong), Some(base)) => verify(base),
                    (verified, _) => verified,
                };
                match verified {
                    Ok(()) => Ok(granted()),
                    Err(Invalid::Expired) => Err(Denied::Expired),
                    Err(Invalid::Wrong) => Err(Denied::KeyWrong),
                }
            }
            _ => Err(Denied::KeyWrong),
        }
    }

    /// Whether `token` makes its bearer the operator.
    pub fn is_operator(&self, token: &str) -> bool {
        self.operator_token.as_ref().is_some_and(|expected| expected.matches(token))
    }

    /// Whether `text` is a key: then it is a secret that was written in the wrong place.
    pub fn is_key(&self, text: &str) -> bool {
        let of_channels = self.channels.values().flat_map(|rule| [&rule.publish_key, &rule.play_key]);
        let general = [&self.publish_key, &self.play_key, &self.sign_secret, &self.operator_token];
        general.into_iter().chain(of_channels).flatten().any(|key| key.matches(text))
    }

    /// The key that `given` equals, among those that play anything: `None` means that who comes with it may play what
    /// everybody may.
    pub fn play_key(&self, given: &Secret) -> Option<&Secret> {
        let of_channels = self.channels.values().filter_map(|rule| rule.play_key.as_ref());
        self.play_key.as_ref().into_iter().chain(of_channels).find(|key| *key == given)
    }
}

impl Policy {
    /// What a connection may do that has named no stream: what it may do with streams that have no rule of their own.
    pub fn may(&self, action: Action, key: Option<&Secret>, local: bool) -> bool {
        let expected = match action {
            Action::Publish => self.publish_key.as_ref(),
            Action::Play => self.play_key.as_ref(),
        };
        match (action, expected, key) {
            (Action::Publish, _, None) => local && self.publish_loopback_without_key,
            (Action::Play, None, _) => self.sign_secret.is_none(),
            (_, Some(expected), Some(key)) => expected == key,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NEAR: bool = true;
    const FAR: bool = false;

    fn ask(
        policy: &Policy,
        action: Action,
        channel: &str,
        key: Option<&str>,
        local: bool,
    ) -> Result<(), Denied> {
        let name = StreamName::parse("live", channel).unwrap();
        let key = key.map(Secret::from);
        policy.admit(Request { action, name: &name, key: key.as_ref(), local }).map(|_| ())
    }

    #[test]
    fn publishing_needs_the_key_except_from_loopback() {
        let policy = Policy {
            publish_key: Some("secret".into()),
            publish_loopback_without_key: true,
            ..Policy::default()
        };
        assert_eq!(ask(&policy, Action::Publish, "a", None, FAR), Err(Denied::KeyMissing));
        assert_eq!(ask(&policy, Action::Publish, "a", Some("secre"), FAR), Err(Denied::KeyWrong));
        assert_eq!(ask(&policy, Action::Publish, "a", Some("secret\0"), FAR), Err(Denied::KeyWrong));
        assert_eq!(ask(&policy, Action::Publish, "a", Some("secret"), FAR), Ok(()));
        assert_eq!(ask(&policy, Action::Publish, "a", None, NEAR), Ok(()));
        assert_eq!(ask(&policy, Action::Publish, "a", Some("wrong"), NEAR), Err(Denied::KeyWrong));
        assert_eq!(ask(&policy, Action::Play, "a", None, FAR), Ok(()));
    }

    #[test]
    fn a_channel_of_its_own_key_is_not_opened_by_the_general_one() {
        let rule = ChannelRule { publish_key: Some("mine".into()), play_key: Some("see".into()) };
        let policy = Policy {
            publish_key: Some("secret".into()),
            channels: [("live/own".to_owned(), rule)].into(),
            ..Policy::default()
        };
        assert_eq!(ask(&policy, Action::Publish, "own", Some("secret"), FAR), Err(Denied::KeyWrong));
        assert_eq!(ask(&policy, Action::Publish, "own", Some("mine"), FAR), Ok(()));
        assert_eq!(ask(&policy, Action::Play, "own", None, FAR), Err(Denied::KeyMissing));
        assert_eq!(ask(&policy, Action::Play, "own", Some("see"), FAR), Ok(()));
    }

    #[test]
    fn where_addresses_are_signed_a_signature_or_a_key_plays() {
        let mut policy = Policy { sign_secret: Some("sign".into()), ..Policy::default() };
        let name = StreamName::parse("live", "a").unwrap();
        let hour = SystemTime::UNIX_EPOCH + Duration::from_secs(3600);
        let query = signature::signed_query(&"sign".into(), &name, hour);
        let key = signature::presented(&query);
        let play = |policy: &Policy, seconds| {
            let request = Request { action: Action::Play, name: &name, key: key.as_ref(), local: true };
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            policy.admit_at(request, now).map(|_| ())
        };
        assert_eq!((play(&policy, 0), play(&policy, 3600)), (Ok(()), Err(Denied::Expired)));
        assert_eq!(ask(&policy, Action::Play, "a", None, FAR), Err(Denied::KeyMissing));
        assert_eq!(ask(&policy, Action::Play, "a", Some("sign"), FAR), Err(Denied::KeyWrong));
        assert!(!policy.may(Action::Play, None, FAR));
        let request = Request { action: Action::Publish, name: &name, key: key.as_ref(), local: false };
        assert_eq!(
            policy.admit(request).map(|_| ()),
            Err(Denied::KeyWrong),
            "it plays, and does not publish"
        );
        policy.play_key = Some("see".into());
        assert_eq!(ask(&policy, Action::Play, "a", Some("see"), FAR), Ok(()));
        assert_eq!(play(&policy, 0), Ok(()));
        policy.sign_secret = None;
        assert_eq!(play(&policy, 0), Err(Denied::KeyWrong));
    }

    #[test]
    fn what_plays_a_stream_plays_its_rungs() {
        let rule = ChannelRule { publish_key: None, play_key: Some("see".into()) };
        let publish_only = ChannelRule { publish_key: Some("mine".into()), play_key: None };
        let mut policy = Policy {
            publish_key: Some("secret".into()),
            channels: [("live/own".to_owned(), rule), ("live/own~360p".to_owned(), publish_only)].into(),
            rungs: Rungs::new(&crate::config::TranscodeConfig::default()),
            ..Policy::default()
        };
        for name in ["own", "own~480p", "own~360p"] {
            assert_eq!(ask(&policy, Action::Play, name, None, FAR), Err(Denied::KeyMissing), "{name}");
            assert_eq!(ask(&policy, Action::Play, name, Some("see"), FAR), Ok(()), "{name}");
        }
        assert_eq!(ask(&policy, Action::Play, "own~x", None, FAR), Ok(()), "another stream");
        assert_eq!(ask(&policy, Action::Publish, "own~480p", Some("see"), FAR), Err(Denied::KeyWrong));
        policy.sign_secret = Some("sign".into());
        let name = StreamName::parse("live", "cam").unwrap();
        let hour = SystemTime::now() + Duration::from_secs(3600);
        let given = signature::presented(&signature::signed_query(&"sign".into(), &name, hour)).unwrap();
        let given = Some(given.expose());
        assert_eq!(ask(&policy, Action::Play, "cam~480p", given, FAR), Ok(()));
        assert_eq!(ask(&policy, Action::Play, "cam~x", given, FAR), Err(Denied::KeyWrong));
        assert_eq!(ask(&policy, Action::Play, "other~480p", given, FAR), Err(Denied::KeyWrong));
    }

    #[test]
    fn whoever_publishes_a_rung_needs_the_key_of_its_stream() {
        let rule = |key: &str| ChannelRule { publish_key: Some(key.into()), play_key: None };
        let policy = Policy {
            publish_key: Some("secret".into()),
            channels: [("live/own".to_owned(), rule("mine")), ("live/own~360p".to_owned(), rule("small"))]
                .into(),
            rungs: Rungs::new(&crate::config::TranscodeConfig::default()),
            ..Policy::default()
        };
        let publish = |name, key| ask(&policy, Action::Publish, name, Some(key), FAR);
        assert_eq!(
            publish("own~480p", "secret"),
            Err(Denied::KeyWrong),
            "viewers of the stream are sent there"
        );
        assert_eq!(publish("own~480p", "mine"), Ok(()));
        assert_eq!(
            (publish("own~360p", "small"), publish("own~360p", "mine")),
            (Ok(()), Err(Denied::KeyWrong))
        );
        assert_eq!((publish("own~x", "secret"), publish("other~480p", "secret")), (Ok(()), Ok(())));
    }

    #[test]
    fn a_key_that_plays_nothing_is_as_good_as_none() {
        let rule = ChannelRule { publish_key: Some("mine".into()), play_key: Some("see".into()) };
        let policy = Policy {
            play_key: Some("all".into()),
            channels: [("live/own".to_owned(), rule)].into(),
            ..Policy::default()
        };
        for (given, key) in [("see", Some("see")), ("all", Some("all")), ("mine", None), ("", None)] {
            assert_eq!(policy.play_key(&given.into()).map(Secret::expose), key);
        }
    }

    #[test]
    fn connection_without_a_stream_may_what_streams_without_rules_allow() {
        let key = |text: &str| Some(Secret::from(text));
        let mut policy =
            Policy { publish_key: key("secret"), publish_loopback_without_key: true, ..Policy::default() };
        assert!(policy.may(Action::Play, None, FAR));
        assert!(!policy.may(Action::Publish, None, FAR) && policy.may(Action::Publish, None, NEAR));
        assert!(policy.may(Action::Publish, key("secret").as_ref(), FAR));
        assert!(!policy.may(Action::Publish, key("wrong").as_ref(), NEAR));
        policy.play_key = Some("see".into());
        assert!(!policy.may(Action::Play, None, FAR) && policy.may(Action::Play, key("see").as_ref(), FAR));
        assert!(!policy.may(Action::Play, key("secret").as_ref(), FAR));
        assert!(!Policy::default().may(Action::Publish, key("").as_ref(), NEAR));
    }

    #[test]
    fn keys_are_known_wherever_they_are_written() {
        let rule = ChannelRule { publish_key: Some("mine".into()), play_key: None };
        let policy = Policy {
            publish_key: Some("secret".into()),
            channels: [("live/own".to_owned(), rule)].into(),
            ..Policy::default()
        };
        assert!(policy.is_key("secret") && policy.is_key("mine"));
        assert!(!policy.is_key("cam") && !policy.is_key(""));
    }

    #[test]
    fn the_operator_is_who_has_the_token() {
        let policy = Policy { operator_token: Some("let-me-see".into()), ..Policy::default() };
        assert!(policy.is_operator("let-me-see"));
        assert!(!policy.is_operator("let-me-se") && !policy.is_operator(""));
        assert!(!Policy::default().is_operator(""));
    }

    #[test]
    fn without_any_key_publishing_is_closed() {
        let policy = Policy::default();
        assert!(ask(&policy, Action::Publish, "a", Some(""), FAR).is_err());
        assert!(ask(&policy, Action::Publish, "a", None, NEAR).is_err());
    }
}
