//! Who watches: players that ask again and again, told apart without changing what they ask for.
//!
//! A viewer is an address with a program, or with the name that the program gives its session: AVPlayer sends
//! `X-Playback-Session-Id`, players with CMCD a `sid`. Addresses of media stay the same for all, so that a cache between
//! holds them once. Players of one program behind one address count as one viewer, unless they name their sessions.

use super::limits;
use crate::metrics::{Outcome, ProtocolMetrics, Role};
use crate::sessions::{Full, NewSession, SessionGuard};
use crate::subscriber::subscriber;
use crate::{Env, target};
use http::{HeaderMap, HeaderName, header};
use hub::{ReadError, Reader, Start};
use media::StreamName;
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A player that has asked for nothing in so many target durations has left.
const ABSENT_TARGETS: u32 = 3;
/// It has so much time at least: some ask for a playlist only when they are about to run out of media.
const ABSENT_MIN: Duration = Duration::from_secs(10);

const PLAYBACK_SESSION: HeaderName = HeaderName::from_static("x-playback-session-id");
const CMCD_SESSION: HeaderName = HeaderName::from_static("cmcd-session");

/// One player.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ViewerKey {
    address: IpAddr,
    program: u64,
}

impl ViewerKey {
    /// Who sends a request from `address` with this query and these headers.
    pub(super) fn of(address: IpAddr, query: &str, headers: &HeaderMap) -> Self {
        let text = |name: &HeaderName| headers.get(name).map(|value| value.as_bytes().to_vec());
        let cmcd = text(&CMCD_SESSION).map(|value| String::from_utf8_lossy(&value).into_owned());
        let named = target::query_value(query, "CMCD").or(cmcd).and_then(|cmcd| session_of(&cmcd));
        let mut hasher = DefaultHasher::new();
        match text(&PLAYBACK_SESSION).or(named.map(String::into_bytes)) {
            Some(session) => (1, session).hash(&mut hasher),
            None => (2, text(&header::USER_AGENT)).hash(&mut hasher),
        }
        // Who got an address of their own is somebody else.
        target::query_value(query, "signature").hash(&mut hasher);
        Self { address: address.to_canonical(), program: hasher.finish() }
    }
}

/// The `sid` of CMCD (CTA-5004 section 3.1): `key=value,key="text"`.
fn session_of(cmcd: &str) -> Option<String> {
    cmcd.split(',')
        .find_map(|pair| pair.trim().strip_prefix("sid="))
        .map(|sid| sid.trim_matches('"').to_owned())
}

/// Why nobody more can watch.
#[derive(Debug)]
pub(super) enum Refused {
    Sessions(Full),
    Readers(ReadError),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sessions(full) => full.fmt(f),
            Self::Readers(error) => error.fmt(f),
        }
    }
}

/// The viewers of one channel, by subscriber.
#[derive(Default)]
pub(super) struct Viewers(Mutex<HashMap<IpAddr, HashMap<ViewerKey, Viewer>>>);

struct Viewer {
    /// None after the end of the stream: it is over for viewers too, however long they still read of it.
    session: Option<Open>,
    /// When it was admitted.
    entered: Instant,
    seen: Instant,
}

struct Open {
    guard: SessionGuard,
    /// Never read: it counts as a viewer of the stream, so that a relay fetches the stream and status pages show it.
    _presence: Reader,
}

impl Viewers {
    /// Notes that a player asks for a playlist; the first time, that is the begin of its session, unless
    /// its subscriber has as many as one may have.
    ///
    /// # Errors
    ///
    /// The node or the stream is full.
    pub(super) fn enter(
        &self,
        env: &Env,
        key: ViewerKey,
        stream: &StreamName,
        peer: SocketAddr,
        user_agent: Option<&str>,
        metrics: &ProtocolMetrics,
    ) -> Result<(), Refused> {
        let now = Instant::now();
        let mut viewers = self.viewers();
        let of_subscriber = viewers.entry(subscriber(key.address)).or_default();
        let is_full = of_subscriber.len() >= limits::VIEWERS_PER_SUBSCRIBER_MAX;
        let entered = match of_subscriber.get_mut(&key) {
            Some(viewer) => {
                viewer.seen = now;
                if viewer.session.is_some() {
                    return Ok(());
                }
                viewer.entered
            }
            None if is_full => return Ok(()),
            None => now,
        };
        let mut presence =
            env.origin.read(stream, env.read_options(Start::Live), now).map_err(Refused::Readers)?;
        presence.pause();
        let new =
            NewSession { role: Role::Play, stream: stream.clone(), address: peer, user_agent, started: now };
        let mut guard = env.sessions.open(new, metrics).map_err(Refused::Sessions)?;
        guard.set_outcome(Outcome::Left);
        let session = Some(Open { guard, _presence: presence });
        of_subscriber.insert(key, Viewer { session, entered, seen: now });
        Ok(())
    }

    /// Notes that a player asks for a playlist of a stream that has ended: it has no session, and goes on all the same.
    pub(super) fn enter_ended(&self, key: ViewerKey, now: Instant) {
        let mut viewers = self.viewers();
        let of_subscriber = viewers.entry(subscriber(key.address)).or_default();
        if let Some(viewer) = of_subscriber.get_mut(&key) {
            viewer.seen = now;
        } else if of_subscriber.len() < limits::VIEWERS_PER_SUBSCRIBER_MAX {
            of_subscriber.insert(key, Viewer { session: None, entered: now, seen: now });
        }
    }

    /// Notes that a player asks for media of so many bytes. False if it has no session: it has no playlist from here, or the stream has
    /// ended.
    pub(super) fn note(&self, key: ViewerKey, bytes: u64) -> bool {
        let mut viewers = self.viewers();
        let of_subscriber = viewers.get_mut(&subscriber(key.address));
        let Some(viewer) = of_subscriber.and_then(|viewers| viewers.get_mut(&key)) else { return false };
        viewer.seen = Instant::now();
        let Some(open) = &viewer.session else { return false };
        open.guard.add_bytes_out(bytes);
        true
    }

    /// Whether a player watches, and has not done so for so long that it must be admitted anew.
    pub(super) fn is_watching(&self, key: ViewerKey, now: Instant) -> bool {
        let viewers = self.viewers();
        let viewer = viewers.get(&subscriber(key.address)).and_then(|viewers| viewers.get(&key));
        viewer.is_some_and(|viewer| now.saturating_duration_since(viewer.entered) < limits::SIGNED_MAX)
    }

    /// The stream has ended, and with it all sessions.
    pub(super) fn end(&self) {
        self.viewers().values_mut().flat_map(HashMap::values_mut).for_each(|viewer| viewer.session = None);
    }

    /// Who watched `before` goes on here.
    pub(super) fn continue_after(&self, before: &Self) {
        let before = std::mem::take(&mut *before.viewers());
        *self.viewers() = before;
    }

    /// Forgets those who have left.
    pub(super) fn sweep(&self, now: Instant, target: Duration) {
        let absent = ABSENT_MIN.max(ABSENT_TARGETS * target);
        self.viewers().retain(|_, viewers| {
            viewers.retain(|_, viewer| now.saturating_duration_since(viewer.seen) < absent);
            !viewers.is_empty()
        });
    }

    fn viewers(&self) -> MutexGuard<'_, HashMap<IpAddr, HashMap<ViewerKey, Viewer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, parse_channel};

    fn key(address: &str, query: &str, headers: &[(&'static str, &str)]) -> ViewerKey {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        ViewerKey::of(address.parse().unwrap(), query, &headers.collect())
    }

    #[test]
    fn players_are_told_apart_by_address_program_and_the_session_that_they_name() {
        let chrome = [("user-agent", "chrome")];
        let one = key("192.0.2.1", "_HLS_msn=7", &chrome);
        assert_eq!(one, key("::ffff:192.0.2.1", "key=x", &chrome));
        assert_ne!(one, key("192.0.2.2", "", &chrome));
        assert_ne!(one, key("192.0.2.1", "", &[("user-agent", "firefox")]));
        let named = key("192.0.2.1", "", &[("user-agent", "a"), ("x-playback-session-id", "s1")]);
        assert_eq!(named, key("192.0.2.1", "", &[("user-agent", "b"), ("x-playback-session-id", "s1")]));
        let cmcd = key("192.0.2.1", "CMCD=bl%3D100%2Csid%3D%22s1%22", &chrome);
        assert_eq!(cmcd, named);
        assert_eq!(cmcd, key("192.0.2.1", "", &[("cmcd-session", "cid=\"c\", sid=\"s1\"")]));
        assert_ne!(one, key("192.0.2.1", "expires=1&signature=a", &chrome));
        assert_eq!(
            key("192.0.2.1", "expires=1&signature=a", &chrome),
            key("192.0.2.1", "expires=1&signature=a&_HLS_msn=7", &chrome)
        );
    }

    #[test]
    fn a_subscriber_opens_so_many_sessions_and_no_more_and_keeps_nobody_out() {
        let config = Config::default();
        let policy = config.access.to_policy(None, None);
        let env = Env::new(config, policy, 1, net::Shutdown::new().1);
        let (viewers, metrics) = (Viewers::default(), env.metrics.protocol("hls"));
        let stream = parse_channel("live/cam").unwrap();
        let enter = |address: &str, session: usize| {
            let key = key(address, "", &[("x-playback-session-id", &session.to_string())]);
            let peer = SocketAddr::new(address.parse().unwrap(), 5000);
            viewers.enter(&env, key, &stream, peer, None, &metrics).unwrap();
            viewers.note(key, 1)
        };
        let counted = (0..1000).filter(|session| enter("2001:db8::1", *session)).count();
        assert_eq!(counted, limits::VIEWERS_PER_SUBSCRIBER_MAX);
        assert!(!enter("2001:db8::2", 1), "the same subscriber");
        assert!(enter("192.0.2.1", 1) && enter("2001:db8::1", 0));
        assert_eq!(env.sessions.len(), limits::VIEWERS_PER_SUBSCRIBER_MAX + 1);
        viewers.sweep(Instant::now() + ABSENT_MIN, Duration::ZERO);
        assert!(env.sessions.is_empty() && viewers.viewers().is_empty());
    }

    #[test]
    fn who_watches_when_a_stream_ends_may_go_on_when_it_begins_anew() {
        let config = Config::default();
        let policy = config.access.to_policy(None, None);
        let env = Env::new(config, policy, 1, net::Shutdown::new().1);
        let (viewers, metrics) = (Viewers::default(), env.metrics.protocol("hls"));
        let stream = parse_channel("live/cam").unwrap();
        let [key, late] = ["192.0.2.1", "192.0.2.2"].map(|address| key(address, "", &[]));
        let peer = SocketAddr::from(([192, 0, 2, 1], 5000));
        let now = Instant::now();
        viewers.enter(&env, key, &stream, peer, None, &metrics).unwrap();
        viewers.end();
        assert!(env.sessions.is_empty() && !viewers.note(key, 1), "the session is over");
        viewers.enter_ended(late, now);
        assert!(viewers.is_watching(key, now) && viewers.is_watching(late, now));
        let anew = Viewers::default();
        anew.continue_after(&viewers);
        assert!(anew.is_watching(key, now) && !viewers.is_watching(key, now));
        anew.enter(&env, key, &stream, peer, None, &metrics).unwrap();
        assert!(anew.note(key, 1) && env.sessions.len() == 1);
        assert!(!anew.is_watching(key, Instant::now() + limits::SIGNED_MAX), "it goes on counting");
        anew.sweep(Instant::now() + ABSENT_MIN, Duration::ZERO);
        assert!(!anew.is_watching(late, now) && env.sessions.is_empty());
    }
}
