//! Which of the sources of a stream is used: a state machine without connections.
//!
//! Sources are listed by preference. The stream's log does the switching: the source of the highest rank that feeds it is
//! the one that is heard, it takes over at its own keyframe, and when it goes the next one continues at its next keyframe
//! (see `hub::Origin::publish_ranked`). What is decided here is who connects, who feeds, and with which rank.

use std::time::{Duration, Instant};

/// The rank of the foremost source. Below that of those who publish here.
const RANK_TOP: u8 = 200;

/// How sources are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Backups are connected all the time.
    pub(crate) backups_connected: bool,
    /// How long a source must run well before it takes the stream back from one further down; `None` is never.
    pub(crate) switch_back: Option<Duration>,
    /// How long a source may take until the next one is tried as well.
    pub(crate) patience: Duration,
}

/// What a source is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// Nothing.
    Rest,
    /// Be connected.
    Connect,
    /// Feed the stream from its next keyframe on, with this rank.
    Feed(u8),
}

/// How a source does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// It has not shown yet whether it works.
    Trying,
    /// The last that is known of it is a failure.
    Down,
    /// Media flows.
    Up { since: Instant },
    /// Media flows into the stream.
    Feeding { since: Instant, rank: u8 },
}

/// The sources of one stream.
#[derive(Debug)]
pub(crate) struct Choice {
    rules: Rules,
    sources: Vec<Health>,
    began: Instant,
}

impl Choice {
    /// `count` sources that have not been tried.
    pub(crate) fn new(count: usize, rules: Rules, now: Instant) -> Self {
        Self { rules, sources: vec![Health::Trying; count], began: now }
    }

    /// Media flows from source `index`.
    pub(crate) fn up(&mut self, index: usize, now: Instant) {
        self.sources[index] = Health::Up { since: now };
    }

    /// Source `index` feeds the stream.
    pub(crate) fn feeds(&mut self, index: usize, rank: u8, now: Instant) {
        let since = match self.sources[index] {
            Health::Up { since } | Health::Feeding { since, .. } => since,
            Health::Trying | Health::Down => now,
        };
        self.sources[index] = Health::Feeding { since, rank };
    }

    /// Source `index` does not feed the stream any more, and media goes on to flow.
    pub(crate) fn feeds_no_more(&mut self, index: usize) {
        if let Health::Feeding { since, .. } = self.sources[index] {
            self.sources[index] = Health::Up { since };
        }
    }

    /// Source `index` has failed.
    pub(crate) fn down(&mut self, index: usize) {
        self.sources[index] = Health::Down;
    }

    /// Which source is heard.
    pub(crate) fn active(&self) -> Option<usize> {
        let feeding = self.sources.iter().enumerate().filter_map(|(index, source)| match source {
            Health::Feeding { rank, .. } => Some((*rank, index)),
            _ => None,
        });
        feeding.max().map(|(_, index)| index)
    }

    /// What source `index` is to do now, and when that may change although nothing happens.
    pub(crate) fn want(&self, index: usize, now: Instant) -> (Want, Option<Instant>) {
        if let Health::Feeding { rank, .. } = self.sources[index]
            && (self.active() == Some(index) || self.rules.backups_connected)
        {
            return (Want::Feed(rank), None);
        }
        let Some(active) = self.active() else {
            return self.want_first(index, now);
        };
        if let Some(delay) = self.rules.switch_back
            && index < active
        {
            return match self.sources[index] {
                Health::Up { since } if since + delay <= now => (Want::Feed(self.rank(index)), None),
                Health::Up { since } => (Want::Connect, Some(since + delay)),
                _ => (Want::Connect, None),
            };
        }
        if !self.rules.backups_connected {
            return (Want::Rest, None);
        }
        match (self.sources[index], self.rank(index)) {
            // There is no rank left below the one that is heard: it waits outside until that one has gone.
            (Health::Up { .. }, 0) => (Want::Connect, None),
            (Health::Up { .. }, rank) => (Want::Feed(rank), None),
            _ => (Want::Connect, None),
        }
    }

    /// The same while nothing is heard: the first source that works feeds the stream; the next is tried when those before it
    /// have failed, or take too long.
    fn want_first(&self, index: usize, now: Instant) -> (Want, Option<Instant>) {
        if let Health::Up { .. } = self.sources[index] {
            return (Want::Feed(self.rank(index)), None);
        }
        let patient_until = self.began + self.rules.patience;
        let all_failed = self.sources[..index].iter().all(|source| *source == Health::Down);
        if self.rules.backups_connected || all_failed || patient_until <= now {
            (Want::Connect, None)
        } else {
            (Want::Rest, Some(patient_until))
        }
    }

    /// The rank with which source `index` would begin to feed; 0 if there is none for it.
    fn rank(&self, index: usize) -> u8 {
        let preferred = RANK_TOP - u8::try_from(index).unwrap_or(u8::MAX).min(RANK_TOP - 1);
        if self.rules.switch_back.is_some() {
            return preferred;
        }
        // The order is that in which they came.
        let feeding = self.sources.iter().filter_map(|source| match source {
            Health::Feeding { rank, .. } => Some(*rank),
            _ => None,
        });
        feeding.min().map_or(RANK_TOP, |least| least.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Want::{Connect, Feed, Rest};

    const PATIENCE: Duration = Duration::from_secs(5);
    const BACK: Duration = Duration::from_secs(10);

    struct Rig {
        choice: Choice,
        now: Instant,
    }

    impl Rig {
        fn new(count: usize, backups_connected: bool, switch_back: bool) -> Self {
            let now = Instant::now();
            let switch_back = switch_back.then_some(BACK);
            let rules = Rules { backups_connected, switch_back, patience: PATIENCE };
            Self { choice: Choice::new(count, rules, now), now }
        }

        fn wants(&self) -> Vec<Want> {
            (0..self.choice.sources.len()).map(|index| self.choice.want(index, self.now).0).collect()
        }

        fn up(&mut self, index: usize) {
            self.choice.up(index, self.now);
        }

        /// Source `index` comes up and feeds with the rank it is given.
        fn feed(&mut self, index: usize) -> u8 {
            self.up(index);
            let Feed(rank) = self.choice.want(index, self.now).0 else { panic!("{:?}", self.choice) };
            self.choice.feeds(index, rank, self.now);
            rank
        }
    }

    #[test]
    fn backups_are_tried_when_those_before_have_failed_or_take_too_long() {
        let mut rig = Rig::new(3, false, true);
        assert_eq!(rig.wants(), [Connect, Rest, Rest]);
        rig.choice.down(0);
        assert_eq!(rig.wants(), [Connect, Connect, Rest]);
        let (_, again) = rig.choice.want(2, rig.now);
        rig.now = again.unwrap();
        assert_eq!(rig.wants(), [Connect, Connect, Connect]);
        rig.feed(1);
        assert_eq!(rig.wants(), [Connect, Feed(199), Rest]);
        assert_eq!(rig.choice.active(), Some(1));
    }

    #[test]
    fn a_better_source_takes_the_stream_back_after_it_has_run_well() {
        let mut rig = Rig::new(2, false, true);
        rig.choice.down(0);
        rig.feed(1);
        rig.up(0);
        let (want, again) = rig.choice.want(0, rig.now);
        assert_eq!((want, again), (Connect, Some(rig.now + BACK)));
        rig.now += BACK;
        assert_eq!(rig.wants(), [Feed(200), Feed(199)], "the backup goes on until the better one is heard");
        rig.choice.feeds(0, 200, rig.now);
        assert_eq!(rig.wants(), [Feed(200), Rest]);
        rig.choice.down(0);
        rig.choice.down(1);
        assert_eq!(rig.wants(), [Connect, Connect]);
    }

    #[test]
    fn connected_backups_feed_below_the_active_one_and_follow_at_once() {
        let mut rig = Rig::new(3, true, true);
        assert_eq!(rig.wants(), [Connect, Connect, Connect]);
        assert_eq!((rig.feed(0), rig.feed(2), rig.feed(1)), (200, 198, 199));
        assert_eq!(rig.choice.active(), Some(0));
        rig.choice.down(0);
        assert_eq!((rig.choice.active(), rig.wants()), (Some(1), vec![Connect, Feed(199), Feed(198)]));
        rig.choice.feeds_no_more(1);
        assert_eq!(rig.choice.active(), Some(2), "the log has told it that it is not heard");
    }

    #[test]
    fn without_switching_back_the_stream_stays_where_it_is() {
        let mut rig = Rig::new(2, false, false);
        rig.choice.down(0);
        assert_eq!(rig.feed(1), 200);
        rig.now += BACK * 10;
        assert_eq!(rig.wants(), [Rest, Feed(200)]);
        rig.choice.down(1);
        assert_eq!(rig.wants(), [Connect, Connect]);
        rig.feed(0);
        assert_eq!(rig.wants(), [Feed(200), Rest]);
    }

    #[test]
    fn without_switching_back_connected_backups_queue_behind_for_ever() {
        let mut rig = Rig::new(2, true, false);
        rig.feed(0);
        for round in 0..1000 {
            let (active, other) = (round % 2, 1 - round % 2);
            rig.up(other);
            match rig.choice.want(other, rig.now).0 {
                Feed(rank) => rig.choice.feeds(other, rank, rig.now),
                want => assert_eq!(want, Connect),
            }
            assert_eq!(rig.choice.active(), Some(active), "the newcomer does not take over");
            rig.choice.down(active);
            if rig.choice.active().is_none() {
                rig.feed(other);
            }
            assert_eq!(rig.choice.active(), Some(other));
        }
    }

    #[test]
    fn first_source_that_works_is_heard_also_while_a_better_one_is_tried() {
        let mut rig = Rig::new(2, true, true);
        rig.feed(1);
        assert_eq!(rig.wants(), [Connect, Feed(199)]);
        rig.choice.up(0, rig.now);
        assert_eq!(rig.wants(), [Connect, Feed(199)], "it shows first that it runs well");
    }
}
