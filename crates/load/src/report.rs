//! Measurements as text and as JSON.

use crate::run::Measurement;
use crate::{Error, hls};
use serde_json::{Value, json};
use std::fmt::{self, Write};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// What was measured: a server, the bare limit, or both.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) server: Option<Measurement>,
    pub(crate) limit: Option<Measurement>,
    /// How long the limit collected messages for one write, in milliseconds.
    pub(crate) batch_ms: Option<u64>,
}

impl Report {
    /// Prints the report, and writes it as JSON where asked to.
    pub(crate) fn print(&self, json: Option<&Path>) -> Result<(), Error> {
        match json {
            Some(path) if path == Path::new("-") => println!("{:#}", self.to_json()),
            Some(path) => {
                print!("{self}");
                std::fs::write(path, format!("{:#}\n", self.to_json()))
                    .map_err(|error| Error::Local(format!("{}: {error}", path.display())))?;
            }
            None => print!("{self}"),
        }
        Ok(())
    }

    /// How many times the bare limit the server costs, per bit.
    fn ratio(&self) -> Option<f64> {
        let server = self.server.as_ref()?.core_seconds_per_gigabit()?;
        let limit = self.limit.as_ref()?.core_seconds_per_gigabit()?;
        (limit > 0.0).then(|| server / limit)
    }

    fn to_json(&self) -> Value {
        json!({
            "server": self.server.as_ref().map(Measurement::to_json),
            "limit": self.limit.as_ref().map(Measurement::to_json),
            "limitBatchMs": self.batch_ms,
            "ratioToLimit": self.ratio().map(round),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(server) = &self.server {
            write!(f, "{}", server.to_text("server"))?;
        }
        if let Some(limit) = &self.limit {
            write!(f, "{}", limit.to_text("bare limit"))?;
        }
        if let Some(ratio) = self.ratio() {
            let batch = self.batch_ms.unwrap_or(0);
            writeln!(
                f,
                "== the server costs {ratio:.2} times the bare limit per bit (limit with {batch} ms in a write)"
            )?;
        }
        Ok(())
    }
}

impl Measurement {
    fn gigabits(&self) -> f64 {
        self.steady_bytes as f64 * 8.0 / 1e9
    }

    fn megabits_per_second(&self) -> f64 {
        self.gigabits() * 1e3 / self.steady.as_secs_f64().max(0.001)
    }

    fn core_seconds_per_gigabit(&self) -> Option<f64> {
        let cost = self.cost?;
        (self.steady_bytes > 0).then(|| cost.cpu().as_secs_f64() / self.gigabits())
    }

    fn requests_per_second(&self) -> f64 {
        self.steady_requests as f64 / self.steady.as_secs_f64().max(0.001)
    }

    fn us_per_request(&self) -> Option<f64> {
        let requests = (self.steady_requests > 0).then_some(self.steady_requests)?;
        Some(self.cost?.cpu().as_secs_f64() * 1e6 / requests as f64)
    }

    /// How much the server wrote at once. `None` where it sends with calls that the kernel does not count.
    pub(crate) fn bytes_per_write(&self) -> Option<f64> {
        let cost = self.cost?;
        let bytes = self.steady_bytes as f64 / cost.writes as f64;
        // A few writes are its log; nobody sends a megabyte at a time.
        (cost.writes > 0 && bytes < 1e6).then_some(bytes)
    }

    /// Memory that the viewers added to the server, for one of them.
    fn bytes_per_viewer(&self) -> Option<f64> {
        let cost = self.cost_of_all?;
        (self.viewers > 0).then(|| cost.rss as f64 / self.viewers as f64)
    }

    /// The share of time that the busiest thread of counting viewers worked.
    fn crowd_busy(&self) -> f64 {
        self.crowd.busy.as_secs_f64() / self.crowd.wall.as_secs_f64().max(0.001)
    }

    /// The least, the mean and the most that one counting viewer received.
    fn per_viewer(&self) -> Option<(u64, u64, u64)> {
        let bytes = &self.crowd.bytes_per_viewer;
        let mean = bytes.iter().sum::<u64>().checked_div(bytes.len() as u64)?;
        Some((*bytes.iter().min()?, mean, *bytes.iter().max()?))
    }

    fn to_text(&self, title: &str) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_text(title, &mut out);
        out
    }

    fn write_text(&self, title: &str, out: &mut String) -> fmt::Result {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed);
        let Self { counters, findings, crowd, .. } = self;
        writeln!(out, "== {title}: {} viewers for {:.1} s", self.viewers, self.steady.as_secs_f64())?;
        if self.publishers > 0 {
            let dropped = self.publish_dropped;
            let rate = self.published_bps / 1e6;
            writeln!(
                out,
                "published     {} streams, {rate:.2} Mbit/s in all, {dropped} packets too late",
                self.publishers
            )?;
        }
        if let Some(failure) = &self.publish_failure {
            writeln!(out, "  failed      {failure}")?;
        }
        writeln!(
            out,
            "joins         {} of {} started, {} failed, {} left and came back",
            count(&counters.started) + findings.keyframe.count(),
            count(&counters.joins) + findings.joins,
            count(&counters.failed) + findings.failed,
            count(&counters.left),
        )?;
        if let Some(failure) = crowd.failure.as_ref().or(findings.failure.as_ref()) {
            writeln!(out, "last failure  {failure}")?;
        }
        writeln!(
            out,
            "kept          {} dropped by the server ({} of {} slow ones), at most {} starved at once",
            count(&counters.disconnected) + count(&counters.slow_disconnected) + findings.lost,
            count(&counters.slow_disconnected),
            self.slow,
            crowd.starved_max,
        )?;
        writeln!(out, "first media   {}", crowd.first_media)?;
        if findings.joins > 0 {
            writeln!(out, "keyframe      {}", findings.keyframe)?;
            writeln!(out, "latency       {}", findings.latency)?;
            writeln!(out, "  settling    {}", findings.latency_settling)?;
            let (frames, breaks) = (findings.frames, findings.discontinuities);
            writeln!(out, "measured      {frames} frames, {breaks} discontinuities")?;
        }
        if self.steady_requests > 0 {
            let hls::Findings { latency, parts, refused, stalls, stalled_viewers, stalled } = &crowd.hls;
            writeln!(out, "part latency  {latency}")?;
            writeln!(
                out,
                "stalls        {stalls} of {stalled_viewers} viewers, {:.1} s in all",
                stalled.as_secs_f64()
            )?;
            let (rate, each) = (self.requests_per_second(), self.us_per_request());
            let each = each.map_or(String::new(), |us| format!(", {us:.1} us of the server's CPU each"));
            writeln!(out, "requests      {rate:.0} per s{each}; {parts} parts, {refused} refused")?;
        }
        writeln!(out, "delivered     {:.1} Mbit/s, {:.3} Gbit", self.megabits_per_second(), self.gigabits())?;
        if let Some((least, mean, most)) = self.per_viewer() {
            let mb = |bytes: u64| bytes as f64 / 1e6;
            writeln!(out, "  per viewer  {:.2} MB (least {:.2}, most {:.2})", mb(mean), mb(least), mb(most))?;
        }
        self.write_cost(out)?;
        writeln!(
            out,
            "load client   {:.2} core-s; viewers' busiest thread {:.0} % busy{}",
            self.own_cost.cpu().as_secs_f64(),
            self.crowd_busy() * 100.0,
            if self.crowd_busy() > 0.9 { ": it may be the bottleneck" } else { "" },
        )
    }

    fn write_cost(&self, out: &mut String) -> fmt::Result {
        let (Some(cost), Some(of_all)) = (self.cost, self.cost_of_all) else { return Ok(()) };
        let seconds = |time: Duration| time.as_secs_f64();
        writeln!(
            out,
            "server CPU    {:.2} core-s (user {:.2}, system {:.2}) = {:.1} % of a core; {} core-s per Gbit",
            seconds(cost.cpu()),
            seconds(cost.user),
            seconds(cost.system),
            100.0 * seconds(cost.cpu()) / seconds(self.steady).max(0.001),
            self.core_seconds_per_gigabit().map_or("-".into(), |cost| format!("{cost:.4}")),
        )?;
        let kb = |bytes: i64| bytes as f64 / 1e3;
        writeln!(
            out,
            "server memory {:+.0} KB resident, {:+.0} KB private since before the joins: {:.1} KB per viewer",
            kb(of_all.rss),
            kb(of_all.private),
            self.bytes_per_viewer().unwrap_or(0.0) / 1e3,
        )?;
        if cost.writes > 0 {
            let each = self.bytes_per_write().unwrap_or(0.0);
            writeln!(out, "server writes {} (write, writev), {each:.0} bytes each", cost.writes)?;
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed);
        let Self { counters, findings, crowd, .. } = self;
        let per_viewer =
            self.per_viewer().map(|(least, mean, most)| json!({"min": least, "mean": mean, "max": most}));
        let server = self.cost.zip(self.cost_of_all).map(|(cost, of_all)| {
            json!({
                "cpuS": cost.cpu().as_secs_f64(),
                "userS": cost.user.as_secs_f64(),
                "systemS": cost.system.as_secs_f64(),
                "cpuSOfAll": of_all.cpu().as_secs_f64(),
                "coreSecondsPerGbit": self.core_seconds_per_gigabit().map(round),
                "rssBytes": of_all.rss,
                "privateBytes": of_all.private,
                "rssBytesPerViewer": self.bytes_per_viewer().map(round),
                "writes": cost.writes,
            })
        });
        let hls = (self.steady_requests > 0).then(|| {
            json!({
                "requests": self.steady_requests,
                "requestsPerS": round(self.requests_per_second()),
                "serverUsPerRequest": self.us_per_request().map(round),
                "latency": crowd.hls.latency.to_json(),
                "parts": crowd.hls.parts,
                "refused": crowd.hls.refused,
                "stalls": crowd.hls.stalls,
                "stalledViewers": crowd.hls.stalled_viewers,
                "stalledS": crowd.hls.stalled.as_secs_f64(),
            })
        });
        json!({
            "hls": hls,
            "viewers": self.viewers,
            "slowViewers": self.slow,
            "publishers": self.publishers,
            "publishedBps": self.published_bps as u64,
            "publishedPacketsTooLate": self.publish_dropped,
            "publishFailure": self.publish_failure,
            "steadyS": self.steady.as_secs_f64(),
            "joins": count(&counters.joins) + findings.joins,
            "started": count(&counters.started) + findings.keyframe.count(),
            "failed": count(&counters.failed) + findings.failed,
            "left": count(&counters.left),
            "disconnected": count(&counters.disconnected) + findings.lost,
            "slowDisconnected": count(&counters.slow_disconnected),
            "starvedMax": crowd.starved_max,
            "failure": crowd.failure,
            "firstMedia": crowd.first_media.to_json(),
            "measured": findings.to_json(),
            "bytes": self.steady_bytes,
            "mbitPerS": round(self.megabits_per_second()),
            "bytesPerViewer": per_viewer,
            "server": server,
            "limitServer": self.limit_counters,
            "loadClient": {"cpuS": self.own_cost.cpu().as_secs_f64(), "busyShare": round(self.crowd_busy())},
        })
    }
}

fn round(value: f64) -> f64 {
    (value * 1e5).round() / 1e5
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Usage;

    fn measurement(cpu_ms: u64) -> Measurement {
        let cost = Usage {
            system: Duration::from_millis(cpu_ms),
            rss: 400_000,
            private: 300_000,
            writes: 1000,
            ..Usage::default()
        };
        Measurement {
            viewers: 100,
            steady: Duration::from_secs(10),
            steady_bytes: 250_000_000,
            cost: Some(cost),
            cost_of_all: Some(cost),
            ..Measurement::default()
        }
    }

    #[test]
    fn costs_are_per_gigabit_and_per_viewer() {
        let text = measurement(500).to_text("server");
        for part in [
            "200.0 Mbit/s, 2.000 Gbit",
            "= 5.0 % of a core; 0.2500 core-s per Gbit",
            "4.0 KB per viewer",
            "1000 (write, writev), 250000 bytes each",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
    }

    #[test]
    fn the_ratio_compares_costs_per_bit() {
        let report =
            Report { server: Some(measurement(500)), limit: Some(measurement(400)), batch_ms: Some(20) };
        assert_eq!(report.ratio(), Some(1.25));
        assert!(
            report.to_string().ends_with("1.25 times the bare limit per bit (limit with 20 ms in a write)\n")
        );
        assert_eq!(report.to_json()["ratioToLimit"], 1.25);
        assert_eq!(Report { limit: None, ..report }.ratio(), None);
    }
}
