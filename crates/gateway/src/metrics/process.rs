//! What the operating system says about this process, under the names that every Prometheus dashboard knows.
//!
//! Read from `/proc` at each scrape; elsewhere than on Linux these metrics are absent.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// `USER_HZ`: the unit of times in `/proc/<pid>/stat`, 100 on every architecture that Linux still has.
const TICKS_PER_SECOND: f64 = 100.0;
/// `VmRSS` is in kB, always.
const KB: i64 = 1024;

#[derive(Debug)]
pub(super) struct Process {
    started_unix_seconds: f64,
}

impl Process {
    pub(super) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started_unix_seconds: now.as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: Option<i64>| match value {
            Some(value) => {
                let metric = ConstGauge::new(value);
                metric.encode(encoder.encode_descriptor(
                    name,
                    help,
                    None,
                    prometheus_client::metrics::MetricType::Gauge,
                )?)
            }
            None => Ok(()),
        };
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        gauge("process_resident_memory_bytes", "Memory in use", field(&status, "VmRSS:").map(|kb| kb * KB))?;
        gauge("process_threads", "Threads", field(&status, "Threads:"))?;
        let files = std::fs::read_dir("/proc/self/fd").map(|entries| entries.count() as i64);
        gauge("process_open_fds", "Open files and sockets", files.ok())?;
        let started = ConstGauge::new(self.started_unix_seconds);
        started.encode(encoder.encode_descriptor(
            "process_start_time_seconds",
            "When the process started, seconds since 1970",
            None,
            prometheus_client::metrics::MetricType::Gauge,
        )?)?;
        if let Some(seconds) =
            std::fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_seconds(&stat))
        {
            ConstCounter::new(seconds).encode(encoder.encode_descriptor(
                "process_cpu_seconds",
                "Processor time used, user and system",
                None,
                prometheus_client::metrics::MetricType::Counter,
            )?)?;
        }
        Ok(())
    }
}

/// The number behind `name` in `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<i64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// utime + stime, fields 14 and 15 of `proc(5)` stat. The second field is the program's name in parentheses and may
/// itself hold spaces and parentheses, so counting starts behind the last one.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_an_odd_program_name() {
        let stat = "12 (a) b (c) S 1 12 12 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 100";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("12 (x) S 1"), None);
    }

    #[test]
    fn memory_is_read_in_kilobytes() {
        assert_eq!(field("Name:\tx\nVmRSS:\t   1234 kB\nThreads:\t5\n", "VmRSS:"), Some(1234));
        assert_eq!(field("", "VmRSS:"), None);
    }
}
