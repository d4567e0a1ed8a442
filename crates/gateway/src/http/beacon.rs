//! Reports of web players, checked and turned into metrics.
//!
//! Anybody can send one, so each value has a ceiling that no honest player reaches, the whole report is refused if one
//! value is beyond it, and nothing that the peer chooses becomes a label.

use std::time::Duration;

use api::{Beacon, BeaconProtocol, BeaconRenderer};

use crate::config::parse_channel;
use crate::metrics::{PlayerMetrics, PlayerStage, Renderer};

/// Ceilings of a report.
pub(crate) mod limits {
    /// Bytes of a report. A full one has about 400.
    pub(crate) const BODY_BYTES_MAX: usize = 16 * 1024;
    /// Characters of a session id.
    pub(super) const SESSION_BYTES_MAX: usize = 64;
    /// A viewer who has waited so long for the first picture is not waiting any more.
    pub(super) const START_MS_MAX: f64 = 60_000.0;
    /// The time that one report covers: players report every minute or more often, and tabs sleep.
    pub(super) const COVERED_MS_MAX: f64 = 3_600_000.0;
    /// What is counted may have begun before the time that `watchedMs` covers.
    pub(super) const SLACK_MS: f64 = 5_000.0;
    /// A stall shorter than 10 ms cannot be seen.
    pub(super) const STALLS_PER_SECOND_MAX: f64 = 100.0;
    /// The highest frame rate of any screen, with room.
    pub(super) const FRAMES_PER_SECOND_MAX: f64 = 500.0;
    /// The farthest behind live that a player can be: a stream keeps less.
    pub(super) const LATENCY_MS_MAX: f64 = 600_000.0;
}

/// Why a report was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) &'static str);

/// Checks a report and adds it to the metrics, all of it or nothing.
pub(crate) fn record(beacon: &Beacon, metrics: &PlayerMetrics) -> Result<(), Refused> {
    check(beacon)?;
    let protocol = match beacon.protocol {
        BeaconProtocol::HttpFlv => "http-flv",
        BeaconProtocol::WsFlv => "ws-flv",
        BeaconProtocol::Hls => "hls",
    };
    let renderer = match beacon.renderer {
        BeaconRenderer::Mse => Renderer::Mse,
        BeaconRenderer::Webcodecs => Renderer::Webcodecs,
        BeaconRenderer::Native => Renderer::Native,
    };
    for (stage, time) in stages(beacon) {
        if let Some(time) = time {
            metrics.stage(stage, millis(time));
        }
    }
    if let Some(time) = beacon.t.t5 {
        metrics.first_frame(protocol, renderer, millis(time));
    }
    if let Some(latency) = beacon.latency_ms {
        metrics.latency(millis(latency));
    }
    metrics.beacons.inc();
    metrics.stalls.inc_by(beacon.stalls);
    metrics.stall_seconds.inc_by(beacon.stall_ms / 1000.0);
    metrics.watched_seconds.inc_by(beacon.watched_ms / 1000.0);
    metrics.decoded_frames.inc_by(beacon.decoded_frames);
    metrics.dropped_frames.inc_by(beacon.dropped_frames);
    Ok(())
}

fn check(beacon: &Beacon) -> Result<(), Refused> {
    let id = beacon.session.as_str();
    if id.is_empty() || id.len() > limits::SESSION_BYTES_MAX || !id.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Refused("session is not 1 to 64 printable characters"));
    }
    if parse_channel(&beacon.stream).is_err() {
        return Err(Refused("stream is not app/channel"));
    }
    let mut earlier = 0.0;
    for (_, time) in stages(beacon) {
        let Some(time) = time else { continue };
        if !(0.0..=limits::START_MS_MAX).contains(&time) {
            return Err(Refused("a time of t is out of range"));
        }
        // Timers of browsers are rounded to as much as 1 ms, so equal moments may seem to swap.
        if time < earlier - 1.0 {
            return Err(Refused("the times of t are out of order"));
        }
        earlier = time;
    }
    let covered = 0.0..=limits::COVERED_MS_MAX;
    if !covered.contains(&beacon.watched_ms) || !covered.contains(&beacon.stall_ms) {
        return Err(Refused("watchedMs or stallMs is out of range"));
    }
    let seconds = (beacon.watched_ms + limits::SLACK_MS) / 1000.0;
    if beacon.stalls as f64 > seconds * limits::STALLS_PER_SECOND_MAX {
        return Err(Refused("more stalls than watchedMs has room for"));
    }
    let frames_max = seconds * limits::FRAMES_PER_SECOND_MAX;
    if beacon.decoded_frames as f64 > frames_max || beacon.dropped_frames as f64 > frames_max {
        return Err(Refused("more frames than watchedMs has room for"));
    }
    if beacon.latency_ms.is_some_and(|latency| !(0.0..=limits::LATENCY_MS_MAX).contains(&latency)) {
        return Err(Refused("latencyMs is out of range"));
    }
    Ok(())
}

fn stages(beacon: &Beacon) -> [(PlayerStage, Option<f64>); 5] {
    let t = &beacon.t;
    [
        (PlayerStage::Connected, t.t1),
        (PlayerStage::Requested, t.t2),
        (PlayerStage::FirstByte, t.t3),
        (PlayerStage::Keyframe, t.t4),
        (PlayerStage::FirstFrame, t.t5),
    ]
}

/// Of a number that was checked to be in range.
fn millis(value: f64) -> Duration {
    Duration::try_from_secs_f64(value / 1000.0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use api::{BeaconEvent, BeaconTimes};
    use proptest::prelude::*;

    fn good() -> Beacon {
        Beacon {
            session: "k3j9".to_owned(),
            stream: "live/demo".to_owned(),
            protocol: BeaconProtocol::HttpFlv,
            renderer: BeaconRenderer::Mse,
            event: BeaconEvent::Start,
            t: BeaconTimes {
                t1: Some(10.0),
                t2: Some(10.0),
                t3: Some(31.0),
                t4: Some(60.0),
                t5: Some(142.0),
            },
            stalls: 1,
            stall_ms: 250.0,
            dropped_frames: 2,
            decoded_frames: 298,
            latency_ms: Some(480.0),
            watched_ms: 10_000.0,
        }
    }

    #[test]
    fn a_good_report_becomes_metrics() {
        let metrics = Metrics::new();
        assert_eq!(record(&good(), metrics.player()), Ok(()));
        let text = metrics.render(0, 0);
        for line in [
            r#"rushlight_player_first_frame_seconds_bucket{le="0.15",protocol="http-flv",renderer="mse"} 1"#,
            r#"rushlight_player_stage_seconds_count{stage="keyframe"} 1"#,
            "rushlight_player_stalls_total 1",
            "rushlight_player_stall_seconds_total 0.25",
            "rushlight_player_dropped_frames_total 2",
            "rushlight_player_watched_seconds_total 10.0",
        ] {
            assert!(text.lines().any(|l| l == line), "no line {line} in\n{text}");
        }
    }

    #[test]
    fn values_that_no_player_can_have_are_refused_whole() {
        let metrics = Metrics::new();
        let changes: [fn(&mut Beacon); 12] = [
            |b| b.t.t5 = Some(-1.0),
            |b| b.t.t5 = Some(60_001.0),
            |b| b.t.t3 = Some(1.0),
            |b| b.t.t1 = Some(f64::NAN),
            |b| b.stall_ms = f64::INFINITY,
            |b| b.stall_ms = 3_600_001.0,
            |b| b.stalls = u64::MAX,
            |b| b.decoded_frames = 10_000,
            |b| b.latency_ms = Some(-5.0),
            |b| b.watched_ms = 1e12,
            |b| b.stream = "live/../x".to_owned(),
            |b| b.session = "\n".to_owned(),
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut beacon = good();
            change(&mut beacon);
            assert!(record(&beacon, metrics.player()).is_err(), "change {index}");
        }
        assert!(metrics.render(0, 0).contains("rushlight_player_beacons_total 0"));
    }

    #[test]
    fn a_start_that_failed_has_fewer_times() {
        let mut beacon = good();
        beacon.t = BeaconTimes { t1: Some(10.0), ..BeaconTimes::default() };
        assert_eq!(check(&beacon), Ok(()));
    }

    proptest! {
        #[test]
        fn any_numbers_are_checked_without_panic(
            times in prop::array::uniform5(any::<Option<f64>>()),
            counts in prop::array::uniform3(any::<u64>()),
            spans in prop::array::uniform3(any::<f64>()),
        ) {
            let [t1, t2, t3, t4, t5] = times;
            let mut beacon = good();
            beacon.t = BeaconTimes { t1, t2, t3, t4, t5 };
            [beacon.stalls, beacon.dropped_frames, beacon.decoded_frames] = counts;
            [beacon.stall_ms, beacon.watched_ms, _] = spans;
            beacon.latency_ms = Some(spans[2]);
            let _ = record(&beacon, Metrics::new().player());
        }
    }
}
