//! The live sessions of a node: who is connected, since when, and how much has moved.
//!
//! A session is one publish or one play, not one connection. It is entered by [`Sessions::open`] and leaves when its
//! [`SessionGuard`] is dropped, however the session ends. One entry is about 300 bytes ([`USER_AGENT_BYTES_MAX`] is
//! the only part that a peer chooses), so 100,000 players cost 30 MB.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use media::StreamName;

use crate::metrics::{Outcome, ProtocolMetrics, Role};

/// Longer texts say nothing more about a program, and the peer chooses them.
pub const USER_AGENT_BYTES_MAX: usize = 96;

/// Sessions are entered and removed under the lock of one shard, so that threads rarely meet.
const SHARDS: usize = 16;

/// A short random text that names one session in logs and in the API: 8 characters, unique among the live ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Crockford's alphabet: no letter is mistaken for a digit when read aloud.
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        (0..8).try_for_each(|i| {
            let index = (self.0 >> (5 * i)) & 31;
            write!(f, "{}", char::from(ALPHABET[index as usize]))
        })
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is known of a session when it opens.
#[derive(Debug, Clone)]
pub struct NewSession<'a> {
    /// Publish or play.
    pub role: Role,
    /// The stream.
    pub stream: StreamName,
    /// The peer.
    pub address: SocketAddr,
    /// The program of the peer as it names itself (HTTP user agent, RTMP flashVer).
    pub user_agent: Option<&'a str>,
    /// When the connection was accepted.
    pub started: Instant,
}

/// One live session.
#[derive(Debug)]
pub struct Session {
    /// Its name in logs.
    pub id: SessionId,
    /// The protocol: `rtmp`, `http-flv`, `ws-flv`.
    pub protocol: &'static str,
    /// Publish or play.
    pub role: Role,
    /// The stream.
    pub stream: StreamName,
    /// The peer.
    pub address: SocketAddr,
    /// The program of the peer, shortened to [`USER_AGENT_BYTES_MAX`].
    pub user_agent: Option<Box<str>>,
    /// When the connection was accepted.
    pub started: Instant,
    /// Bytes received since then.
    pub bytes_in: AtomicU64,
    /// Bytes sent since then.
    pub bytes_out: AtomicU64,
}

/// The session table is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the node has as many sessions as limits.connections_max allows")
    }
}

impl std::error::Error for Full {}

/// The table of live sessions. Cheap to clone: clones are the same table.
#[derive(Clone)]
pub struct Sessions {
    table: Arc<Table>,
}

type Shard = Mutex<HashMap<SessionId, Arc<Session>>>;

struct Table {
    shards: [Shard; SHARDS],
    open: AtomicU64,
    open_max: u64,
    opened: AtomicU64,
    random: RandomState,
}

impl Table {
    fn shard(&self, id: SessionId) -> &Shard {
        &self.shards[(id.0 % SHARDS as u64) as usize]
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("open", &self.len()).finish()
    }
}

impl Sessions {
    /// An empty table for at most `open_max` sessions at once.
    pub fn new(open_max: usize) -> Self {
        Self {
            table: Arc::new(Table {
                shards: Default::default(),
                open: AtomicU64::new(0),
                open_max: open_max as u64,
                opened: AtomicU64::new(0),
                random: RandomState::new(),
            }),
        }
    }

    /// Enters a session and counts it in the metrics of its protocol.
    pub fn open(&self, new: NewSession<'_>, metrics: &ProtocolMetrics) -> Result<SessionGuard, Full> {
        let table = &self.table;
        let fits = |open: u64| (open < table.open_max).then_some(open + 1);
        table.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|_| Full)?;
        Ok(Self::enter(table, new, metrics))
    }

    /// Enters a session that has its place.
    fn enter(table: &Arc<Table>, new: NewSession<'_>, metrics: &ProtocolMetrics) -> SessionGuard {
        loop {
            let serial = table.opened.fetch_add(1, Ordering::Relaxed);
            let id = SessionId(table.random.hash_one(serial) & ((1 << 40) - 1));
            let session = Arc::new(Session {
                id,
                protocol: metrics.protocol(),
                role: new.role,
                stream: new.stream.clone(),
                address: new.address,
                user_agent: new.user_agent.map(shorten),
                started: new.started,
                bytes_in: AtomicU64::new(0),
                bytes_out: AtomicU64::new(0),
            });
            let mut shard = table.shard(id).lock().unwrap_or_else(PoisonError::into_inner);
            // 40 bits among 100,000 live sessions meet about once in ten million openings.
            if shard.contains_key(&id) {
                continue;
            }
            shard.insert(id, session.clone());
            drop(shard);
            metrics.session_opened(new.role);
            return SessionGuard {
                table: table.clone(),
                session,
                metrics: metrics.clone(),
                outcome: Outcome::Lost,
            };
        }
    }

    /// How many sessions are open.
    pub fn len(&self) -> usize {
        self.table.open.load(Ordering::Relaxed) as usize
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first session found that is `wanted`. Looks at all of them, shard by shard.
    pub fn find(&self, wanted: impl Fn(&Session) -> bool) -> Option<Arc<Session>> {
        self.table.shards.iter().find_map(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values().find(|session| wanted(session)).cloned()
        })
    }

    /// At most `count_max` of the open sessions, the oldest first among those taken.
    pub fn snapshot(&self, count_max: usize) -> Vec<Arc<Session>> {
        let mut all = Vec::new();
        for shard in &self.table.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(shard.values().take(count_max - all.len()).cloned());
        }
        all.sort_by_key(|session| session.started);
        all
    }
}

/// Keeps a session in the table. Dropping it removes the session and counts how it ended: [`Outcome::Panic`] while a
/// panic unwinds, otherwise what [`SessionGuard::set_outcome`] said last, [`Outcome::Lost`] if nothing.
#[derive(Debug)]
pub struct SessionGuard {
    table: Arc<Table>,
    session: Arc<Session>,
    metrics: ProtocolMetrics,
    outcome: Outcome,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("open", &self.open).finish_non_exhaustive()
    }
}

impl SessionGuard {
    /// The name of the session in logs.
    pub fn id(&self) -> SessionId {
        self.session.id
    }

    /// Ends this session, which has finished, and goes on as another one in its place: that there are too many refuses nobody.
    pub fn succeed(&mut self, new: NewSession<'_>) {
        self.table.open.fetch_add(1, Ordering::Relaxed);
        self.outcome = Outcome::Finished;
        *self = Sessions::enter(&self.table, new, &self.metrics);
    }

    /// What is known of the session.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Counts bytes received, for the session and its protocol.
    pub fn add_bytes_in(&self, count: u64) {
        self.session.bytes_in.fetch_add(count, Ordering::Relaxed);
        self.metrics.bytes_in.inc_by(count);
    }

    /// Counts bytes sent, for the session and its protocol.
    pub fn add_bytes_out(&self, count: u64) {
        self.session.bytes_out.fetch_add(count, Ordering::Relaxed);
        self.metrics.bytes_out.inc_by(count);
    }

    /// Says how the session ends.
    pub fn set_outcome(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        let mut shard = self.table.shard(self.session.id).lock().unwrap_or_else(PoisonError::into_inner);
        shard.remove(&self.session.id);
        drop(shard);
        self.table.open.fetch_sub(1, Ordering::Relaxed);
        let outcome = if std::thread::panicking() { Outcome::Panic } else { self.outcome };
        self.metrics.session_closed(self.session.role, outcome);
    }
}

fn shorten(text: &str) -> Box<str> {
    let mut end = text.len().min(USER_AGENT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn new(role: Role) -> NewSession<'static> {
        NewSession {
            role,
            stream: StreamName::parse("live", "cam").unwrap(),
            address: "192.0.2.7:5000".parse().unwrap(),
            user_agent: Some("OBS/31"),
            started: Instant::now(),
        }
    }

    #[test]
    fn a_session_is_listed_until_its_guard_is_dropped() {
        let (metrics, sessions) = (Metrics::new(), Sessions::new(10));
        let rtmp = metrics.protocol("rtmp");
        let mut guard = sessions.open(new(Role::Publish), &rtmp).unwrap();
        guard.add_bytes_in(100);
        let listed = sessions.snapshot(10);
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].bytes_in.load(Ordering::Relaxed), 100);
        assert_eq!(listed[0].id.to_string().len(), 8);
        guard.set_outcome(Outcome::Finished);
        drop(guard);
        assert!(sessions.is_empty() && sessions.snapshot(10).is_empty());
        let text = metrics.render(0, 0);
        assert!(
            text.contains(r#"rushlight_sessions_total{protocol="rtmp",role="publish",outcome="finished"} 1"#)
        );
        assert!(text.contains(r#"rushlight_bytes_in_total{protocol="rtmp"} 100"#));
    }

    #[test]
    fn a_full_table_refuses_until_a_session_leaves() {
        let (rtmp, sessions) = (Metrics::new().protocol("rtmp"), Sessions::new(2));
        let first = sessions.open(new(Role::Play), &rtmp).unwrap();
        let _second = sessions.open(new(Role::Play), &rtmp).unwrap();
        assert_eq!(sessions.open(new(Role::Play), &rtmp).err(), Some(Full));
        drop(first);
        assert!(sessions.open(new(Role::Play), &rtmp).is_ok());
    }

    #[test]
    fn a_session_that_panics_is_counted_as_such() {
        let (metrics, sessions) = (Metrics::new(), Sessions::new(2));
        let guard = sessions.open(new(Role::Play), &metrics.protocol("rtmp")).unwrap();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _guard = guard;
            std::panic::resume_unwind(Box::new("a bug"));
        }));
        assert!(result.is_err());
        let line = r#"rushlight_sessions_total{protocol="rtmp",role="play",outcome="panic"} 1"#;
        assert!(metrics.render(0, 0).contains(line));
    }

    #[test]
    fn a_snapshot_is_bounded_and_a_user_agent_is_cut_between_characters() {
        let (rtmp, sessions) = (Metrics::new().protocol("rtmp"), Sessions::new(100));
        let long = "é".repeat(60) + "x";
        let guards: Vec<_> = (0..40)
            .map(|_| sessions.open(NewSession { user_agent: Some(&long), ..new(Role::Play) }, &rtmp).unwrap())
            .collect();
        assert_eq!(sessions.snapshot(7).len(), 7);
        let cut = guards[0].session().user_agent.as_deref().unwrap();
        assert!(cut.len() <= USER_AGENT_BYTES_MAX && long.starts_with(cut));
        assert!(size_of::<Session>() + USER_AGENT_BYTES_MAX + size_of::<(SessionId, Arc<Session>)>() <= 300);
    }
}
