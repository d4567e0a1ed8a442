//! Many joins of one stream at random times.

use super::stages::{JSON_NAMES, ms};
use super::{Options, connect};
use crate::histogram::Histogram;
use crate::random;
use crate::{Error, limits};
use serde_json::{Value, json};
use std::fmt;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How long the stages of all joins took.
#[derive(Debug)]
pub(super) struct Joins {
    url: String,
    stages: [(&'static str, Histogram); 5],
    /// Joins that got their first picture.
    complete: u32,
    failed: u32,
    failure: Option<Error>,
}

/// Joins `count` times, with a random gap of up to `gap_max` before each, and leaves at the first keyframe.
pub(super) async fn run(url: &str, options: &Options, count: u32, gap_max: Duration) -> Result<Joins, Error> {
    crate::Target::parse(url)?;
    let mut random = random::from_system();
    let mut joins = Joins {
        url: rtmp::url::without_credentials(url).into_owned(),
        stages: ["tcp connected", "request sent", "accepted", "first media byte", "keyframe complete"]
            .map(|name| (name, Histogram::default())),
        complete: 0,
        failed: 0,
        failure: None,
    };
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let progress = std::io::stderr().is_terminal();
    for number in 1..=count {
        tokio::select! {
            biased;
            _ = &mut interrupt => break,
            () = tokio::time::sleep(random.duration(gap_max)) => {}
        }
        match join(url, options).await {
            Ok(stages) => joins.record(&stages),
            Err(error) => {
                joins.failed += 1;
                joins.failure = Some(error);
            }
        }
        if progress {
            eprint!("\r{number}/{count} joins, {} failed", joins.failed);
        }
    }
    if progress {
        eprintln!();
    }
    Ok(joins)
}

async fn join(url: &str, options: &Options) -> Result<super::Stages, Error> {
    let mut player = connect(url, options).await?;
    let deadline = Instant::now() + limits::ANSWER_TIMEOUT;
    while player.stages().keyframe.is_none() {
        match tokio::time::timeout_at(deadline.into(), player.next()).await {
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None)) => return Err(Error::Refused("the stream ended before its first picture".into())),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(Error::Timeout("no picture")),
        }
    }
    Ok(*player.stages())
}

impl Joins {
    fn record(&mut self, stages: &super::Stages) {
        self.complete += 1;
        for ((_, histogram), (_, time)) in self.stages.iter_mut().zip(stages.steps()) {
            if let Some(time) = time {
                histogram.record(time);
            }
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let stages: serde_json::Map<_, _> = JSON_NAMES
            .iter()
            .zip(&self.stages)
            .map(|(name, (_, histogram))| ((*name).to_owned(), histogram.to_json()))
            .collect();
        json!({
            "url": self.url,
            "joins": self.complete,
            "failed": self.failed,
            "failure": self.failure.as_ref().map(Error::to_string),
            "stages": stages,
        })
    }

    /// The error of the last failed join, if none succeeded.
    pub(super) fn into_result(self) -> Result<(), Error> {
        match self.failure {
            Some(failure) if self.complete == 0 => Err(failure),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Joins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} joins of {}, {} failed", self.complete, self.url, self.failed)?;
        if let Some(failure) = &self.failure {
            writeln!(f, "last failure: {failure}")?;
        }
        writeln!(f, "{:<20}{:>11}{:>11}{:>11}{:>11}", "ms", "p50", "p95", "p99", "max")?;
        for (name, histogram) in &self.stages {
            let column =
                |time: Option<Duration>| ms(time).map_or_else(|| "-".to_owned(), |time| format!("{time:.3}"));
            writeln!(
                f,
                "{name:<20}{:>11}{:>11}{:>11}{:>11}",
                column(histogram.percentile(0.5)),
                column(histogram.percentile(0.95)),
                column(histogram.percentile(0.99)),
                column(histogram.max()),
            )?;
        }
        Ok(())
    }
}
