//! One worker process.

use super::Launch;
use crate::ipc::{self, Order, Report};
use crate::limits::{
    DECODER_MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX, ORDERS_QUEUED_MAX, PACKETS_QUEUED_MAX, SILENCE_STARVED_MAX,
    SOUND_MESSAGE_BYTES_MAX, STILL_BYTES_MAX, WHY_BYTES_MAX,
};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// How often the processor time of a process is looked at.
const MEASURE: Duration = Duration::from_millis(250);

/// Where a library is found that the system does not know of, which driver, and which card.
const PASSED_ON: [&str; 5] = [
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "LIBVA_DRIVER_NAME",
    "LIBVA_DRIVERS_PATH",
    "CUDA_VISIBLE_DEVICES",
];

/// Names a process among those of a transcoder, for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WorkerId(pub(super) u64);

/// What a process says, or that it ended.
#[derive(Debug)]
pub(super) enum Heard {
    Report(Report),
    /// The processor time that it has used so far, as the system counts it.
    Used(Duration),
    /// It ended, or talked nonsense and was ended.
    Gone(String),
}

/// A process that runs. Dropping it kills it.
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) pid: Option<u32>,
    orders: mpsc::Sender<Vec<u8>>,
    quiet: Quiet,
    /// Ends the task that has the process.
    _alive: tokio::sync::oneshot::Sender<()>,
}

impl Worker {
    /// Starts a process with `first` as its first order. What it says goes to `heard`.
    pub(super) fn start(
        launch: &Launch,
        nice: u8,
        memory: &OwnedFd,
        id: WorkerId,
        first: &Order,
        heard: mpsc::Sender<(WorkerId, Heard)>,
    ) -> io::Result<Self> {
        let message_bytes_max = match first {
            Order::Watch | Order::Decode { .. } => DECODER_MESSAGE_BYTES_MAX,
            Order::Sound(_) => SOUND_MESSAGE_BYTES_MAX,
            Order::Still { .. } | Order::Preview { .. } => STILL_BYTES_MAX,
            _ => MESSAGE_BYTES_MAX,
        };
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.arguments)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(memory.as_fd().try_clone_to_owned()?))
            .stderr(Stdio::null())
            .kill_on_drop(true);
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let child = command.spawn()?;
        let pid = child.id();
        if let Some(pid) = pid.and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed())) {
            // Media threads come first; a system that refuses leaves it as it is.
            let _ = rustix::process::setpriority_process(Some(pid), i32::from(nice.min(19)));
        }
        let (reader, writer) = UnixStream::from_std(ours)?.into_split();
        let (orders, queue) = mpsc::channel(ORDERS_QUEUED_MAX.max(PACKETS_QUEUED_MAX));
        let _ = orders.try_send(ipc::write(first));
        let (alive, ended) = tokio::sync::oneshot::channel();
        tokio::spawn(write(writer, queue));
        tokio::spawn(attend(child, (reader, message_bytes_max), id, heard, ended));
        Ok(Self { id, pid, orders, quiet: Quiet::default(), _alive: alive })
    }

    /// Tells it something that may be left out if it does not listen. Whether it was told.
    pub(super) fn tell(&self, order: &Order) -> bool {
        self.orders.try_send(ipc::write(order)).is_ok()
    }

    /// How many orders could be told now.
    pub(super) fn room(&self) -> usize {
        self.orders.capacity()
    }

    /// Whether it has said nothing for `silence` because others have the processors, and not because it hangs. To be asked at every look.
    pub(super) fn waits_for_processor(&mut self, silence: Duration) -> bool {
        self.pid.is_some_and(|pid| self.quiet.waits_for_processor(pid, silence))
    }
}

async fn write(mut writer: OwnedWriteHalf, mut queue: mpsc::Receiver<Vec<u8>>) {
    let mut is_heard = true;
    while let Some(message) = queue.recv().await {
        // A process that is gone is noticed by who reads from it, and says there what was wrong.
        is_heard = is_heard && writer.write_all(&message).await.is_ok();
    }
}

async fn attend(
    mut child: Child,
    (mut reader, message_bytes_max): (OwnedReadHalf, usize),
    id: WorkerId,
    heard: mpsc::Sender<(WorkerId, Heard)>,
    dropped: tokio::sync::oneshot::Receiver<()>,
) {
    let mut last = None;
    let pid = child.id();
    let listen = async {
        let mut measured = Instant::now();
        let error = loop {
            match receive(&mut reader, message_bytes_max).await {
                Ok(Some(mut report)) => {
                    if let Report::Failed(why) = &mut report {
                        *why = why.chars().filter(|c| !c.is_control()).take(WHY_BYTES_MAX / 4).collect();
                        last = Some(why.clone());
                    }
                    if report == Report::Done || measured.elapsed() >= MEASURE {
                        measured = Instant::now();
                        if let Some(used) = pid.and_then(used)
                            && heard.send((id, Heard::Used(used))).await.is_err()
                        {
                            break None;
                        }
                    }
                    if heard.send((id, Heard::Report(report))).await.is_err() {
                        break None;
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        error.or(last)
    };
    let why = tokio::select! {
        _ = dropped => {
            let _ = child.kill().await;
            return;
        }
        why = listen => why,
    };
    let _ = child.start_kill();
    let status = child.wait().await;
    let why = why.unwrap_or_else(|| match status {
        Ok(status) => format!("its process ended: {status}"),
        Err(error) => format!("its process ended: {error}"),
    });
    let _ = heard.send((id, Heard::Gone(why))).await;
}

/// The processor time of a process that is not waited for yet (proc_pid_stat(5), fields 14 and 15). It is not asked itself: it may lie.
fn used(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the parenthesis may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()?.saturating_add(fields.next()?.parse().ok()?);
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_millis(ticks.saturating_mul(1000) / per_second))
}

/// What a process has done since it is silent.
#[derive(Debug, Default)]
struct Quiet {
    /// For how long it had been silent when it was first seen so, and the processor time that it had used by then.
    first: Option<(Duration, Duration)>,
}

impl Quiet {
    /// One that runs in circles uses what it gets; one that was stopped, or waits for what does not come, is not runnable.
    fn waits_for_processor(&mut self, pid: u32, silence: Duration) -> bool {
        if silence < MEASURE {
            self.first = None;
            return false;
        }
        let Some(used) = used(pid) else { return false };
        let (begun, before) = *self.first.get_or_insert((silence, used));
        silence <= SILENCE_STARVED_MAX
            && used.saturating_sub(before) <= silence.saturating_sub(begun) / 2
            && is_runnable(pid)
    }
}

/// Whether a thread of a process would go on if a processor were free (proc_pid_stat(5), field 3).
fn is_runnable(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().any(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, fields)| fields.trim_start().starts_with('R'))
    })
}

/// The next report; `None` when the process is gone, also in the middle of one: its exit status says more than that.
async fn receive(reader: &mut OwnedReadHalf, bytes_max: usize) -> io::Result<Option<Report>> {
    let mut prefix = [0; 4];
    if reader.read_exact(&mut prefix).await.is_err() {
        return Ok(None);
    }
    let mut body = vec![0; ipc::length(prefix, bytes_max)?];
    if reader.read_exact(&mut body).await.is_err() {
        return Ok(None);
    }
    ipc::read(&body).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_from_outside() {
        let begun = Instant::now();
        let own = std::process::id();
        let mut sum = 0u64;
        while used(own).unwrap() < Duration::from_millis(20) {
            sum = sum.wrapping_add(1);
            assert!(begun.elapsed() < Duration::from_secs(60), "{sum}");
        }
        assert_eq!(used(u32::MAX), None);
    }

    #[test]
    fn who_gets_no_processor_waits_and_who_uses_it_or_does_not_want_it_hangs() {
        let millis = Duration::from_millis;
        let mut quiet = Quiet::default();
        let own = std::process::id();
        assert!(!quiet.waits_for_processor(own, millis(100)), "it is not silent");
        assert!(quiet.waits_for_processor(own, millis(300)), "what it used before does not count");
        assert!(quiet.waits_for_processor(own, SILENCE_STARVED_MAX), "it used next to nothing of so much");
        assert!(!quiet.waits_for_processor(own, SILENCE_STARVED_MAX + millis(1)));

        let mut circling =
            std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let mut quiet = Quiet::default();
        let begun = used(circling.id()).unwrap();
        quiet.waits_for_processor(circling.id(), millis(300));
        let started = Instant::now();
        while used(circling.id()).unwrap() < begun + millis(100) {
            assert!(started.elapsed() < Duration::from_secs(60));
            std::thread::yield_now();
        }
        assert!(!quiet.waits_for_processor(circling.id(), millis(400)), "it had a processor all the time");
        circling.kill().unwrap();
        circling.wait().unwrap();
    }

    #[test]
    fn a_process_that_sleeps_is_not_runnable_and_one_that_works_is() {
        assert!(is_runnable(std::process::id()), "this thread is");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let begun = Instant::now();
        // It is on its way to sleep for a moment.
        while is_runnable(child.id()) {
            assert!(begun.elapsed() < Duration::from_secs(30));
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_runnable(u32::MAX));
    }
}
