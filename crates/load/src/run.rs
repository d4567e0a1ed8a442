//! One measurement: publishers, a crowd, some measuring players, and the accounts of the server.

use crate::cli::Media;
use crate::crowd::{self, Counters, Outcome, Plan, Seat};
use crate::limit::LimitServer;
use crate::measure::{self, Findings, Shared};
use crate::process::Usage;
use crate::random;
use crate::send_times::SendTimes;
use crate::{Error, Target, hls, limits};
use broadcaster::{Feed, Options, Stats, push};
use media::{Packet, Role};
use net::tls::Connector;
use net::{Shutdown, ShutdownTrigger};
use serde_json::Value;
use std::io::IsTerminal;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// After the last join: what was sent for the joins themselves is over then.
const SETTLE: Duration = Duration::from_secs(2);
/// From its join on a measuring viewer may still be catching up for this long.
const CATCH_UP: Duration = Duration::from_secs(5);

/// How viewers arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Joining {
    /// So many per second, evenly.
    Ramp(f64),
    /// All at random times within the span.
    Storm(Duration),
}

/// What to do.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// A URL per stream; none to leave publishing to others.
    pub(crate) publish: Vec<String>,
    /// Per stream, the URLs that viewers take turns at.
    pub(crate) play: Vec<Vec<String>>,
    pub(crate) viewers: usize,
    pub(crate) measure: usize,
    pub(crate) joining: Joining,
    pub(crate) slow: usize,
    pub(crate) slow_share: f64,
    pub(crate) churn: f64,
    /// What viewers of HLS ask for; none if they are viewers of another kind.
    pub(crate) hls: Option<hls::Style>,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    pub(crate) server_pids: Vec<u32>,
    pub(crate) threads: usize,
    /// How publishers and viewers connect.
    pub(crate) link: link::Options,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Measurement {
    pub(crate) publishers: usize,
    pub(crate) viewers: usize,
    pub(crate) slow: usize,
    /// The span in which all viewers watched.
    pub(crate) steady: Duration,
    pub(crate) steady_bytes: u64,
    /// Requests of viewers of HLS that were answered in it.
    pub(crate) steady_requests: u64,
    pub(crate) counters: Arc<Counters>,
    pub(crate) crowd: Outcome,
    pub(crate) findings: Findings,
    /// Of the server, over the steady span.
    pub(crate) cost: Option<Usage>,
    /// Of the server, from before the joins to the end of the steady span.
    pub(crate) cost_of_all: Option<Usage>,
    /// Of this process, over the steady span.
    pub(crate) own_cost: Usage,
    /// Media bytes published per second, all streams.
    pub(crate) published_bps: f64,
    pub(crate) publish_dropped: u64,
    /// Why a stream is no longer published.
    pub(crate) publish_failure: Option<String>,
    /// What the limit server counted itself.
    pub(crate) limit_counters: Option<Value>,
}

/// Measures a server.
pub(crate) async fn against_server(setup: Setup, media: &Media) -> Result<Measurement, Error> {
    let times = Arc::new(SendTimes::default());
    let publishers = Publishers::start(&setup.publish, &setup.link, media, &times)?;
    publishers.wait().await?;
    // Without a name lookup per viewer, and with one error for all.
    let addresses: Vec<Vec<SocketAddr>> = setup
        .play
        .iter()
        .map(|urls| urls.iter().map(|url| resolve(url)).collect())
        .collect::<Result<_, _>>()?;
    tokio::time::sleep(setup.warmup).await;
    let mut targets = Vec::new();
    for (urls, addresses) in setup.play.iter().zip(&addresses) {
        for (url, address) in urls.iter().zip(addresses) {
            targets.push((Target::parse(url)?, *address));
        }
    }
    let mut measurement = measure(&setup, targets, &times).await?;
    publishers.finish(&mut measurement);
    Ok(measurement)
}

/// Measures the bare limit. `args` start the server process.
pub(crate) async fn against_limit(setup: Setup, args: &[String]) -> Result<Measurement, Error> {
    let server = LimitServer::start(args)?;
    let target = Target::parse(&format!("tcp://{}", server.address))?;
    let setup = Setup { server_pids: vec![server.pid()], publish: Vec::new(), play: vec![vec![]], ..setup };
    let targets = vec![(target, server.address)];
    tokio::time::sleep(setup.warmup).await;
    let mut measurement = measure(&setup, targets, &Arc::default()).await?;
    measurement.limit_counters = server.stop();
    Ok(measurement)
}

async fn measure(
    setup: &Setup,
    targets: Vec<(Target, SocketAddr)>,
    times: &Arc<SendTimes>,
) -> Result<Measurement, Error> {
    let usage = || (!setup.server_pids.is_empty()).then(|| Usage::of_all(&setup.server_pids)).transpose();
    let usage =
        || usage().map_err(|error| Error::Local(format!("no account of the server process: {error}")));
    let joins = join_times(setup);
    let all_joined = joins.iter().copied().max().unwrap_or_default() + SETTLE;
    let counters = Arc::new(Counters::default());
    let before = usage()?;
    let start = Instant::now();
    let measuring = measuring_seats(setup, &joins, start);
    let measured = measuring.len();
    let players = Players::start(measuring, times, &counters)?;
    let crowd = Crowd::start(setup, targets, &joins[measured..], measured, &counters)?;

    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut interrupted = wait(all_joined, start, setup, &counters, interrupt.as_mut()).await;
    let (from, from_bytes, from_usage) = (Instant::now(), counters.bytes.load(Relaxed), usage()?);
    let from_requests = counters.requests.load(Relaxed);
    let from_own = Usage::of_self()?;
    if !interrupted {
        interrupted = wait(setup.duration, start, setup, &counters, interrupt.as_mut()).await;
    }
    let (steady, to_bytes, to_usage) = (from.elapsed(), counters.bytes.load(Relaxed), usage()?);
    let steady_requests = counters.requests.load(Relaxed).saturating_sub(from_requests);
    let own_cost = Usage::of_self()? - from_own;
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    if interrupted {
        eprintln!("interrupted: the figures cover {:.1} s", steady.as_secs_f64());
    }
    let difference = |to: Option<Usage>, from: Option<Usage>| Some(to? - from?);
    Ok(Measurement {
        publishers: setup.publish.len(),
        viewers: setup.viewers,
        slow: setup.slow,
        steady,
        steady_bytes: to_bytes.saturating_sub(from_bytes),
        steady_requests,
        crowd: crowd.finish()?,
        findings: players.finish(),
        counters,
        cost: difference(to_usage, from_usage),
        cost_of_all: difference(to_usage, before),
        own_cost,
        ..Measurement::default()
    })
}

/// Waits, with a progress line on a terminal. True when interrupted.
async fn wait<I: Future<Output = std::io::Result<()>>>(
    span: Duration,
    start: Instant,
    setup: &Setup,
    counters: &Counters,
    mut interrupt: std::pin::Pin<&mut I>,
) -> bool {
    let end = tokio::time::Instant::now() + span;
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    let mut before = (Instant::now(), counters.bytes.load(Relaxed));
    let progress = std::io::stderr().is_terminal();
    loop {
        tokio::select! {
            biased;
            _ = &mut interrupt => return true,
            () = tokio::time::sleep_until(end) => return false,
            _ = ticks.tick() => {}
        }
        let now = (Instant::now(), counters.bytes.load(Relaxed));
        if progress {
            let seconds = (now.0 - before.0).as_secs_f64().max(0.001);
            eprint!(
                "\r{:4.0} s  {} of {} watching  {} failed  {} dropped  {:.1} Mbit/s   ",
                start.elapsed().as_secs_f64(),
                counters.watching.load(Relaxed),
                setup.viewers - setup.measure.min(setup.viewers),
                counters.failed.load(Relaxed),
                counters.disconnected.load(Relaxed),
                (now.1 - before.1) as f64 * 8.0 / 1e6 / seconds,
            );
        }
        before = now;
    }
}

/// When each viewer joins. The measuring ones are the first in the list, so they are spread over the others.
fn join_times(setup: &Setup) -> Vec<Duration> {
    let mut random = random::from_system();
    let mut times: Vec<_> = (0..setup.viewers)
        .map(|index| match setup.joining {
            Joining::Ramp(rate) => Duration::from_secs_f64(index as f64 / rate),
            Joining::Storm(span) => random.duration(span),
        })
        .collect();
    for index in (1..times.len()).rev() {
        times.swap(index, random.below(index + 1));
    }
    times
}

fn measuring_seats(setup: &Setup, joins: &[Duration], start: Instant) -> Vec<measure::Seat> {
    let count = setup.measure.min(setup.viewers);
    let stay = (setup.churn > 0.0).then(|| Duration::from_secs_f64(setup.viewers as f64 / setup.churn));
    let seat = |index: usize| {
        let (stream, urls) = (index % setup.play.len(), &setup.play[index % setup.play.len()]);
        measure::Seat {
            url: urls[index / setup.play.len() % urls.len()].clone(),
            stream: stream as u32,
            join_at: start + joins[index],
            settle: CATCH_UP,
            stay,
            link: setup.link.clone(),
        }
    };
    (0..count).map(seat).collect()
}

fn resolve(url: &str) -> Result<SocketAddr, Error> {
    let target = Target::parse(url)?;
    let mut addresses = target.address().to_socket_addrs()?;
    addresses.next().ok_or_else(|| Error::Argument(format!("{url}: the host has no address")))
}

/// Threads of counting viewers.
struct Crowd {
    threads: Vec<JoinHandle<std::io::Result<Outcome>>>,
    stop: Arc<AtomicBool>,
}

impl Crowd {
    fn start(
        setup: &Setup,
        targets: Vec<(Target, SocketAddr)>,
        joins: &[Duration],
        first: usize,
        counters: &Arc<Counters>,
    ) -> Result<Self, Error> {
        let mut crowd = Self { threads: Vec::new(), stop: Arc::default() };
        // Targets are ordered by stream. Viewers go to the next stream first, and to the next URL after a round.
        let streams = setup.play.len().max(1);
        let urls = (targets.len() / streams).max(1);
        let counting = joins.len();
        let has_tls = targets.iter().any(|(target, _)| target.is_tls());
        let connector = has_tls.then(|| setup.link.tls.connector().map(Connector::forgetful)).transpose()?;
        for thread in 0..setup.threads {
            let of_thread = (thread..counting).step_by(setup.threads);
            let seat = |index: usize| {
                let number = first + index;
                Seat {
                    number,
                    target: number % streams * urls + number / streams % urls,
                    join_after: joins[index],
                    slow: index < setup.slow,
                }
            };
            let share_of_churn = of_thread.len() as f64 / setup.viewers.max(1) as f64;
            let plan = Plan {
                viewers: of_thread.map(seat).collect(),
                targets: targets.clone(),
                connector: connector.clone(),
                slow_share: setup.slow_share,
                churn: setup.churn * share_of_churn,
                join_timeout: limits::ANSWER_TIMEOUT,
                seed: random::from_system().bits(),
            };
            let (counters, stop) = (counters.clone(), crowd.stop.clone());
            let style = setup.hls;
            let run = move || match style {
                Some(style) => hls::run(&plan, style, &counters, &stop),
                None => crowd::run(&plan, &counters, &stop),
            };
            let spawned = std::thread::Builder::new().name(format!("crowd-{thread}")).spawn(run);
            crowd.threads.push(spawned.map_err(no_thread)?);
        }
        Ok(crowd)
    }

    fn finish(self) -> Result<Outcome, Error> {
        self.stop.store(true, Relaxed);
        let mut all = Outcome::default();
        for thread in self.threads {
            let outcome = thread.join().map_err(|_| Error::Local("a thread of viewers failed".into()))??;
            all.first_media.merge(&outcome.first_media);
            all.bytes_per_viewer.extend(outcome.bytes_per_viewer);
            all.starved_max += outcome.starved_max;
            all.busy = all.busy.max(outcome.busy);
            all.wall = all.wall.max(outcome.wall);
            all.failure = all.failure.or(outcome.failure);
            all.hls.merge(&outcome.hls);
        }
        Ok(all)
    }
}

/// The thread of the measuring players. They have one of their own, so that the crowd does not delay what they see.
struct Players {
    thread: JoinHandle<()>,
    shared: Shared,
    trigger: ShutdownTrigger,
}

impl Players {
    fn start(
        seats: Vec<measure::Seat>,
        times: &Arc<SendTimes>,
        counters: &Arc<Counters>,
    ) -> Result<Self, Error> {
        let shared = Shared::default();
        let (trigger, shutdown) = Shutdown::new();
        let (times, counters, found) = (times.clone(), counters.clone(), shared.clone());
        let thread = runtime_thread("measure", async move {
            let watching: Vec<_> = seats
                .into_iter()
                .map(|seat| {
                    let (times, found) = (times.clone(), found.clone());
                    tokio::spawn(measure::watch(seat, times, found, counters.clone(), shutdown.clone()))
                })
                .collect();
            for task in watching {
                // A panic in one is printed by the runtime; the others count.
                let _ = task.await;
            }
        })?;
        Ok(Self { thread, shared, trigger })
    }

    fn finish(self) -> Findings {
        self.trigger.trigger();
        let _ = self.thread.join();
        self.shared.take()
    }
}

/// The thread of the publishers.
struct Publishers {
    thread: Option<JoinHandle<()>>,
    stats: Vec<Arc<Stats>>,
    failure: Arc<Mutex<Option<Error>>>,
    trigger: ShutdownTrigger,
}

impl Publishers {
    fn start(
        urls: &[String],
        link: &link::Options,
        media: &Media,
        times: &Arc<SendTimes>,
    ) -> Result<Self, Error> {
        let stats: Vec<Arc<Stats>> = urls.iter().map(|_| Arc::default()).collect();
        let failure: Arc<Mutex<Option<Error>>> = Arc::default();
        let (trigger, shutdown) = Shutdown::new();
        let mut random = random::from_system();
        let jobs: Vec<_> = urls
            .iter()
            .zip(&stats)
            .enumerate()
            .map(|(stream, (url, stats))| {
                let feed = Feed::inline(media.source(stream));
                // Out of step, as independent publishers are.
                (
                    feed,
                    url.clone(),
                    options(stream as u32, link, times),
                    stats.clone(),
                    random.duration(Duration::from_secs(1)),
                )
            })
            .collect();
        let failed = failure.clone();
        let run = async move {
            let tasks: Vec<_> = jobs
                .into_iter()
                .map(|(feed, url, options, stats, delay)| {
                    let (shutdown, failed) = (shutdown.clone(), failed.clone());
                    tokio::spawn(async move {
                        tokio::time::sleep(delay).await;
                        if let Err(error) = push(feed, &url, options, &stats, shutdown.triggered()).await {
                            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.into());
                        }
                    })
                })
                .collect();
            for task in tasks {
                let _ = task.await;
            }
        };
        let thread = if urls.is_empty() { None } else { Some(runtime_thread("publish", run)?) };
        Ok(Self { thread, stats, failure, trigger })
    }

    /// Waits until all are connected.
    async fn wait(&self) -> Result<(), Error> {
        let deadline = Instant::now() + limits::ANSWER_TIMEOUT + Duration::from_secs(1);
        while !self.stats.iter().all(|stats| stats.snapshot().connected) {
            if let Some(error) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Err(error);
            }
            if Instant::now() > deadline {
                return Err(Error::Timeout("not all streams were accepted"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Ends the streams and adds what became of them.
    fn finish(self, measurement: &mut Measurement) {
        let snapshots: Vec<_> = self.stats.iter().map(|stats| stats.snapshot()).collect();
        self.trigger.trigger();
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
        let rate = |snapshot: &broadcaster::Snapshot| {
            snapshot.bytes as f64 * 8.0 / snapshot.media.as_secs_f64().max(0.001)
        };
        measurement.published_bps = snapshots.iter().map(rate).sum();
        measurement.publish_dropped = snapshots.iter().map(|snapshot| snapshot.dropped).sum();
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        measurement.publish_failure = failure.map(|failure| failure.to_string());
    }
}

fn options(stream: u32, link: &link::Options, times: &Arc<SendTimes>) -> Options {
    let times = times.clone();
    Options {
        on_send: Some(Arc::new(move |packet: &Packet| {
            if packet.role == Role::Frame {
                times.sent(stream, &packet.payload, Instant::now());
            }
        })),
        link: link.clone(),
        ..Options::default()
    }
}

/// A thread with a runtime of its own.
fn runtime_thread(
    name: &str,
    work: impl Future<Output = ()> + Send + 'static,
) -> Result<JoinHandle<()>, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(name.into()).spawn(move || runtime.block_on(work)).map_err(no_thread)
}

fn no_thread(error: std::io::Error) -> Error {
    Error::Local(format!("cannot start a thread: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(joining: Joining) -> Setup {
        Setup {
            publish: Vec::new(),
            play: vec![
                vec!["rtmp://h/live/0".into(), "http://h/0.flv".into()],
                vec!["rtmp://h/live/1".into(), "http://h/1.flv".into()],
            ],
            viewers: 100,
            measure: 8,
            joining,
            slow: 0,
            slow_share: 0.0,
            churn: 0.0,
            hls: None,
            warmup: Duration::ZERO,
            duration: Duration::ZERO,
            server_pids: Vec::new(),
            threads: 1,
            link: link::Options::default(),
        }
    }

    #[test]
    fn a_ramp_joins_evenly_in_a_random_order() {
        let mut times = join_times(&setup(Joining::Ramp(50.0)));
        assert!(!times.is_sorted());
        times.sort();
        let expected: Vec<_> = (0..100).map(|index| Duration::from_millis(index * 20)).collect();
        assert_eq!(times, expected);
    }

    #[test]
    fn a_storm_joins_within_its_span() {
        let times = join_times(&setup(Joining::Storm(Duration::from_secs(1))));
        assert!(times.iter().all(|time| *time < Duration::from_secs(1)));
    }

    #[test]
    fn measuring_viewers_cover_all_streams_and_urls() {
        let setup = setup(Joining::Ramp(50.0));
        let seats = measuring_seats(&setup, &join_times(&setup), Instant::now());
        let urls: Vec<_> = seats.iter().map(|seat| (seat.stream, seat.url.as_str())).collect();
        let round =
            [(0, "rtmp://h/live/0"), (1, "rtmp://h/live/1"), (0, "http://h/0.flv"), (1, "http://h/1.flv")];
        assert_eq!(urls, [round, round].concat());
    }
}
