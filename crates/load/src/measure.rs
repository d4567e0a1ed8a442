//! The sampled viewers: real players that recognise each payload and know when it was sent.

use crate::Error;
use crate::crowd::Counters;
use crate::histogram::Histogram;
use crate::play::quality::Continuity;
use crate::play::{Player, connect};
use crate::random;
use crate::send_times::SendTimes;
use media::{Packet, Role};
use net::Shutdown;
use serde_json::{Value, json};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One measuring viewer.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) url: String,
    /// The number of its stream, as given to [`SendTimes`].
    pub(crate) stream: u32,
    pub(crate) join_at: Instant,
    /// From then on a packet counts as steady. Before, the server may still be sending the backlog of the join.
    pub(crate) settle: Duration,
    /// How long it stays, on average, before it leaves and comes back.
    pub(crate) stay: Option<Duration>,
    pub(crate) link: link::Options,
}

/// What all measuring viewers found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    pub(crate) joins: u64,
    pub(crate) failed: u64,
    /// Streams that ended or broke while they were watched.
    pub(crate) lost: u64,
    pub(crate) failure: Option<String>,
    pub(crate) accepted: Histogram,
    pub(crate) first_media: Histogram,
    pub(crate) keyframe: Histogram,
    /// Time from sending to receiving, of frames sent after the viewer had settled.
    pub(crate) latency: Histogram,
    /// The same for frames sent after the viewer joined and before it had settled.
    pub(crate) latency_settling: Histogram,
    pub(crate) frames: u64,
    pub(crate) discontinuities: u64,
}

impl Findings {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "joins": self.joins,
            "failed": self.failed,
            "lost": self.lost,
            "failure": self.failure,
            "accepted": self.accepted.to_json(),
            "firstMedia": self.first_media.to_json(),
            "keyframe": self.keyframe.to_json(),
            "latency": self.latency.to_json(),
            "latencySettling": self.latency_settling.to_json(),
            "frames": self.frames,
            "discontinuities": self.discontinuities,
        })
    }
}

/// Shared by the viewers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Findings>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Findings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self) -> Findings {
        std::mem::take(&mut self.lock())
    }
}

/// Watches until the shutdown.
pub(crate) async fn watch(
    seat: Seat,
    times: Arc<SendTimes>,
    shared: Shared,
    counters: Arc<Counters>,
    shutdown: Shutdown,
) {
    let mut random = random::from_system();
    let mut join_at = seat.join_at;
    loop {
        let leave = async {
            tokio::time::sleep_until(join_at.into()).await;
            match seat.stay {
                Some(stay) => tokio::time::sleep(random.exponential(1.0 / stay.as_secs_f64())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shutdown.triggered() => return,
            () = leave => {}
            () = one_visit(&seat, join_at, &times, &shared, &counters) => {
                if seat.stay.is_none() {
                    return;
                }
            }
        }
        join_at = Instant::now();
    }
}

/// Joins and watches to the end of the stream.
async fn one_visit(seat: &Seat, join_at: Instant, times: &SendTimes, shared: &Shared, counters: &Counters) {
    tokio::time::sleep_until(join_at.into()).await;
    shared.lock().joins += 1;
    let joined = Instant::now();
    let mut visit = Visit { seat, joined, continuity: Continuity::default(), counted: 0, started: false };
    let failure = match visit.run(times, shared, counters).await {
        Ok(()) => "the stream ended".to_owned(),
        Err(error) => error.to_string(),
    };
    let mut findings = shared.lock();
    if visit.started {
        findings.lost += 1;
    } else {
        findings.failed += 1;
    }
    findings.failure = Some(failure);
}

struct Visit<'a> {
    seat: &'a Seat,
    joined: Instant,
    continuity: Continuity,
    /// Bytes of this connection that are in the counters already.
    counted: u64,
    started: bool,
}

impl Visit<'_> {
    async fn run(&mut self, times: &SendTimes, shared: &Shared, counters: &Counters) -> Result<(), Error> {
        let mut player = connect(&self.seat.url, &self.seat.link).await?;
        while let Some((packet, arrived)) = player.next().await? {
            counters.bytes.fetch_add(player.bytes_in() - self.counted, Relaxed);
            self.counted = player.bytes_in();
            if !self.started && player.stages().keyframe.is_some() {
                self.started = true;
                note_start(&player, &mut shared.lock());
            }
            self.note(&packet, arrived, times, &mut shared.lock());
        }
        Ok(())
    }

    fn note(&mut self, packet: &Packet, arrived: Instant, times: &SendTimes, findings: &mut Findings) {
        if packet.role != Role::Frame {
            return;
        }
        findings.frames += 1;
        let before = self.continuity.discontinuities();
        self.continuity.check(packet);
        findings.discontinuities += self.continuity.discontinuities() - before;
        let Some(sent) = times.look_up(self.seat.stream, &packet.payload) else { return };
        // What was sent before the viewer came is backlog, and late on purpose.
        if sent > self.joined {
            let latency = arrived.saturating_duration_since(sent);
            if sent > self.joined + self.seat.settle {
                findings.latency.record(latency);
            } else {
                findings.latency_settling.record(latency);
            }
        }
    }
}

fn note_start(player: &Player, findings: &mut Findings) {
    let stages = player.stages();
    let since = |step: Option<Instant>| step.map(|step| step.saturating_duration_since(stages.start));
    for (histogram, step) in [
        (&mut findings.accepted, stages.accepted),
        (&mut findings.first_media, stages.first_media),
        (&mut findings.keyframe, stages.keyframe),
    ] {
        if let Some(time) = since(step) {
            histogram.record(time);
        }
    }
}
