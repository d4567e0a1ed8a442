//! The public JSON of Rushlight: what the HTTP API takes and answers.
//!
//! Only types of this crate become public JSON; the parts of the server convert at their edge. Names are camelCase on
//! the wire, durations are whole milliseconds (`...Ms`), sizes are bytes, moments are RFC 3339 in UTC.
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/v1/channels` | [`Channels`] |
//! | `GET /api/v1/channels/{app}/{channel}` | [`ChannelDetail`] |
//! | `GET /api/v1/channels/{app}/{channel}/las.json` | [`LasManifest`] |
//! | `GET /api/v1/transcoding` (operator) | [`Transcoding`] |
//! | `GET /api/v1/sessions` (operator) | [`Sessions`] |
//! | `POST /api/v1/beacon` with a [`Beacon`] | 204, nothing |
//! | `GET /api/v1/relays` (operator, or with the publish key of the streams) | [`Relays`] |
//! | `POST /api/v1/relays/push` with a [`NewPush`] (the same) | 201, a [`PushTarget`] |
//! | `DELETE /api/v1/relays/push/{id}` (the same) | 204, nothing |
//! | `GET /api/v1/recordings?stream=&q=&since=&until=&before=&limit=` | [`Recordings`]; to others than the operator complete ones that they may play |
//! | `GET /api/v1/recordings/{id}` | [`Recording`]; to others than the operator what concerns viewers |
//! | `POST /api/v1/recordings` with a [`NewRecording`] (operator) | 202, nothing: the stream is recorded from now on |
//! | `POST /api/v1/recordings/{id}/stop` (operator) | 202, nothing |
//! | `PATCH /api/v1/recordings/{id}` with a [`RecordingChange`] (operator) | [`Recording`] |
//! | `DELETE /api/v1/recordings/{id}` (operator) | 204, nothing |
//! | `POST /api/v1/clips` with a [`NewClip`] (operator) | 201, a [`Recording`]; 202 where it takes longer |
//! | any error | [`Problem`] |

mod beacon;
mod channel;
mod problem;
mod recording;
mod relay;
mod session;
mod transcoding;

pub use beacon::{Beacon, BeaconEvent, BeaconProtocol, BeaconRenderer, BeaconTimes};
pub use channel::{Alert, Audio, Channel, ChannelDetail, Channels, Counters, Log, Publisher, Track, Video};
pub use problem::{PROBLEM_CONTENT_TYPE, Problem};
pub use recording::{
    ClipSource, GapReason, NewClip, NewRecording, RecordedFile, RecordedTrack, Recording, RecordingChange,
    RecordingGap, RecordingKind, RecordingState, RecordingUpload, Recordings, UploadState,
};
pub use relay::{
    NewPush, PullSource, PullStream, PushTarget, RelayFailure, RelayProgress, RelayState, Relays,
};
pub use session::{Session, Sessions};
pub use transcoding::{
    DecodingDevice, Device, LasAdaptationSet, LasManifest, LasRepresentation, RefusedRung, Rung, RunningRung,
    Transcoding,
};

/// The path under which this version of the API lives.
pub const BASE_PATH: &str = "/api/v1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beacon_is_read_as_players_send_it() {
        let text = r#"{"session":"a1","stream":"live/demo","protocol":"ws-flv","renderer":"webcodecs","event":"start",
            "t":{"t1":12.5,"t2":13,"t3":40,"t4":60},"stalls":0,"stallMs":0,"droppedFrames":0,"decodedFrames":9,
            "latencyMs":null,"watchedMs":1500}"#;
        let beacon: Beacon = serde_json::from_str(text).unwrap();
        assert_eq!((beacon.protocol, beacon.renderer), (BeaconProtocol::WsFlv, BeaconRenderer::Webcodecs));
        assert_eq!((beacon.t.t1, beacon.t.t5, beacon.latency_ms), (Some(12.5), None, None));
        assert_eq!((beacon.event, beacon.decoded_frames), (BeaconEvent::Start, 9));
    }

    #[test]
    fn a_detail_holds_the_fields_of_the_list_beside_its_own() {
        let channel = Channel {
            name: "live/demo".to_owned(),
            app: "live".to_owned(),
            channel: "demo".to_owned(),
            live: true,
            slate: false,
            started_at: "2026-11-22T00:00:00Z".to_owned(),
            uptime_ms: 5,
            viewers: 1,
            video: None,
            audio: None,
            bitrate_bps: 9,
            gop_ms: None,
            rewind_s: Some(60),
            rungs: vec![],
            alerts: vec![],
            title: None,
        };
        let detail = ChannelDetail {
            channel,
            tracks: vec![],
            publisher: None,
            standby: 0,
            rewind_problem: None,
            log: Log { packets: 1, bytes: 2, keyframes: 3, duration_ms: 4, idle_ms: None },
            counters: Counters {
                packets: 1,
                bytes: 2,
                joins: 3,
                publishers: 4,
                skips: 5,
                packets_skipped: 6,
                clock_jumps: 7,
            },
        };
        let json = serde_json::to_value(&detail).unwrap();
        assert_eq!(
            (&json["startedAt"], &json["log"]["durationMs"]),
            (&"2026-11-22T00:00:00Z".into(), &4.into())
        );
        assert_eq!((&json["rewindS"], json.get("rewindProblem")), (&60.into(), None));
        assert_eq!((json.get("rungs"), json.get("alerts")), (None, None));
        assert_eq!(serde_json::from_value::<ChannelDetail>(json).unwrap(), detail);
    }
}
