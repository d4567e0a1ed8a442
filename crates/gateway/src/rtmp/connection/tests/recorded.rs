use super::*;
use crate::record::{Clip, Content, RecordingId};
use ::rtmp::amf::{Value, amf0};
use std::path::PathBuf;
use std::time::SystemTime;

const AVCC: &[u8] = &[
    0x01, 0x64, 0x00, 0x28, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02,
    0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x0f, 0xa4, 0x00, 0x03, 0xa9, 0x80, 0x3c, 0x60, 0xc6, 0x58, 0x01,
    0x00, 0x04, 0x68, 0xef, 0x8f, 0xcb, 0xfd, 0xf8, 0xf8, 0x00,
];
const AAC: &[u8] = &[0x11, 0x90];

/// A node with a recording of five seconds, whose folder goes with it.
struct Recorded {
    node: Node,
    folder: PathBuf,
    id: String,
}

/// Makes a recording of five seconds.
async fn cut(node: &Node) -> String {
    let config = |track, payload: &[u8]| Packet {
        role: PacketRole::Config,
        payload: payload.to_vec().into(),
        ..packet(track, 0, false)
    };
    let mut packets = vec![config(TrackId::VIDEO, AVCC), config(TrackId::AUDIO, AAC)];
    for ms in (0..50).map(|tenth| tenth * 100) {
        packets.push(packet(TrackId::VIDEO, ms, ms % 1000 == 0));
        packets.push(packet(TrackId::AUDIO, ms, false));
    }
    let clip = Clip {
        name: StreamName::parse("live", "cam").unwrap(),
        source: api::ClipSource { recording: None, from_ms: 0, to_ms: 5000 },
        title: None,
        started_at: SystemTime::now(),
    };
    let entry = clip.make(node.env.clone(), Content::Packets(packets)).await.unwrap();
    entry.id.to_string()
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Recorded {
    async fn new(test: &str, change: impl FnOnce(&mut Config)) -> Self {
        let folder = std::env::temp_dir().join(format!("rushlight-rtmp-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let node = Node::new(|config| {
            (config.record.folder, config.record.free_bytes_min) = (Some(folder.clone()), 0);
            change(config);
        });
        let id = cut(&node).await;
        Self { id, node, folder }
    }

    /// What a player asks for that buffers all.
    fn config(&self, name: &str) -> client::Config {
        let url = Url::parse(&format!("rtmp://host/recordings/{}", name.replace("ID", &self.id))).unwrap();
        client::Config { buffer_ms: 100_000, ..client::Config::play(&url) }
    }

    async fn play(&self) -> Client {
        self.node.open(self.config("ID")).await
    }

    /// The code with which a player is refused.
    async fn refusal(&self, config: client::Config) -> String {
        let mut client = self.node.connect(config);
        let refused = client.until(|told| matches!(told, Told::Rejected(_) | Told::Ended(_))).await;
        short(&refused).pop().unwrap()
    }
}

impl Client {
    /// Sends `play` commands as its session would not, together, and together with what the session has to say.
    async fn ask_to_play(&mut self, commands: &[&[Value]]) {
        let mut out = BytesMut::new();
        while let Some(bytes) = self.session.poll_output() {
            out.extend_from_slice(&bytes);
        }
        for values in commands {
            let mut body = BytesMut::new();
            let all = [Value::from("play"), Value::from(0.0), Value::Null];
            all.iter().chain(*values).for_each(|value| amf0::write(&mut body, value));
            let chunk_size = self.session.out_chunk_size();
            ::rtmp::chunk::write_message(&mut out, chunk_size, 3, 1, 20, 0, &[&body]);
        }
        self.stream.write_all(&out).await.unwrap();
    }

    /// Goes to a place, and waits for the answer.
    async fn sought(&mut self, ms: u32) {
        self.session.seek(ms).unwrap();
        self.until(|told| matches!(told, Told::Status(status) if status.code == "NetStream.Seek.Notify"))
            .await;
    }

    /// What comes until the recording is over, without what is no frame.
    async fn frames_to_the_end(&mut self) -> Vec<String> {
        let told =
            self.until(|told| matches!(told, Told::Message(message) if is_complete(&message.payload))).await;
        short(&told).into_iter().filter(|it| it.starts_with(['K', 'V', 'A'])).collect()
    }
}

fn is_complete(payload: &[u8]) -> bool {
    const COMPLETE: &[u8] = b"NetStream.Play.Complete";
    payload.windows(COMPLETE.len()).any(|window| window == COMPLETE)
}

#[tokio::test]
async fn recording_plays_from_its_begin_to_its_end() {
    let recorded = Recorded::new("whole", |_| {}).await;
    let mut client = recorded.play().await;
    let told = client.until(|told| matches!(told, Told::Ended(_))).await;
    let metadata = told.iter().find_map(|told| match told {
        Told::Message(message) if message.kind == 18 => Some(message.payload.clone()),
        _ => None,
    });
    let metadata = amf0::read_all(&metadata.unwrap()).unwrap();
    assert_eq!((&metadata[0], metadata[1].get("duration")), (&"onMetaData".into(), Some(&4.9.into())));
    assert_eq!(
        (metadata[1].get("width"), metadata[1].get("height")),
        (Some(&1920.0.into()), Some(&1080.0.into()))
    );
    let told = short(&told);
    assert_eq!(told[1..5], ["config0", "A0", "K0", "A0"], "{told:?}");
    assert_eq!(told.iter().filter(|it| it.starts_with(['K', 'V', 'A'])).count(), 1 + 100);
    assert_eq!(told[told.len() - 2..], ["data0", "NetStream.Play.Stop"]);
    assert_eq!(recorded.node.env.sessions.len(), 1, "it may go back");
}

#[tokio::test]
async fn player_begins_at_the_keyframe_before_its_start_and_plays_as_long_as_it_says() {
    let recorded = Recorded::new("start", |_| {}).await;
    let config = client::Config { start: 2.5, ..recorded.config("ID") };
    let mut client = recorded.node.open(config).await;
    assert_eq!(client.frames_to_the_end().await[1..3], ["K0", "A0"], "times count from there");
    client.session.seek(2999).unwrap();
    assert_eq!(client.frames_to_the_end().await[1..3], ["K2000", "A2000"], "and here from the begin");
    for (start, duration, first, last, count) in [
        (1000.0, 1500.0, "K0", "A1400", 30),
        (1700.0, 300.0, "K0", "A900", 20),
        (3500.0, 0.0, "K0", "K0", 1),
        (4000.0, -1000.0, "K0", "A900", 20),
    ] {
        let play = [Value::from(&*recorded.id), start.into(), duration.into(), true.into()];
        client.ask_to_play(&[&play]).await;
        let frames = client.frames_to_the_end().await;
        // What was configured comes first.
        let frames: Vec<_> = frames.iter().skip_while(|it| !it.starts_with('K')).collect();
        assert_eq!((frames[0].as_str(), frames.last().unwrap().as_str(), frames.len()), (first, last, count));
    }
}

#[tokio::test]
async fn player_goes_anywhere_also_when_it_has_seen_everything() {
    let recorded = Recorded::new("seek", |_| {}).await;
    let mut client = recorded.play().await;
    client.frames_to_the_end().await;
    client.session.seek(3999).unwrap();
    client.until_status("NetStream.Seek.Notify").await;
    assert_eq!(client.frames_to_the_end().await[1..3], ["K3000", "A3000"]);
    client.session.seek(60_000).unwrap();
    assert_eq!(
        client.until_status("NetStream.Seek.InvalidTime").await.last().unwrap(),
        "NetStream.Seek.InvalidTime"
    );
    client.until_status("NetStream.Seek.Notify").await;
    assert_eq!(client.frames_to_the_end().await[1], "K4000", "the last one");
    client.session.pause(true).unwrap();
    client.session.seek(0).unwrap();
    let told = client.until_status("NetStream.Seek.Notify").await;
    assert_eq!(told[told.len() - 2..], ["NetStream.Pause.Notify", "NetStream.Seek.Notify"]);
    client.session.pause(false).unwrap();
    assert_eq!(
        client.until_status("NetStream.Unpause.Notify").await,
        ["NetStream.Unpause.Notify"],
        "nothing before"
    );
    assert_eq!(client.frames_to_the_end().await[1], "K0");
}

#[tokio::test]
async fn player_does_without_sound_or_pictures() {
    let recorded = Recorded::new("select", |_| {}).await;
    let mut client = recorded.node.open(client::Config { video: false, ..recorded.config("ID") }).await;
    assert!(client.frames_to_the_end().await.iter().all(|it| it.starts_with('A')));
    client.session.receive_audio(false).unwrap();
    client.session.receive_video(true).unwrap();
    client.session.seek(0).unwrap();
    let frames = client.frames_to_the_end().await;
    assert_eq!(
        (frames.len(), frames[1].as_str(), frames[2].as_str()),
        (51, "K0", "V100"),
        "and the configuration"
    );
}

#[tokio::test]
async fn recordings_play_one_behind_the_other() {
    let recorded = Recorded::new("playlist", |_| {}).await;
    let mut client = recorded.play().await;
    client.frames_to_the_end().await;
    let name = || Value::from(format!("mp4:{}.mp4", recorded.id));
    let to_the_end = || Value::from(-1.0);
    client
        .ask_to_play(&[
            &[name()],
            &[name(), 3000.0.into(), to_the_end(), false.into()],
            &[name(), 4000.0.into(), to_the_end(), 0.0.into()],
        ])
        .await;
    let all = client.frames_to_the_end().await;
    let frames: Vec<_> = all.iter().filter(|it| it.starts_with('K')).collect();
    assert_eq!(frames, ["K0", "K1000", "K2000", "K3000", "K4000", "K0", "K1000", "K0"]);
    // Also behind one that has ended.
    client.ask_to_play(&[&[name(), 4000.0.into(), to_the_end(), false.into()]]).await;
    assert_eq!(client.frames_to_the_end().await[1], "K0");
}

#[tokio::test]
async fn player_that_goes_back_at_the_end_sees_that_before_what_it_asks_for_behind_it() {
    let recorded = Recorded::new("back", |_| {}).await;
    let mut client = recorded.play().await;
    client.frames_to_the_end().await;
    client.session.seek(2000).unwrap();
    let name = Value::from(format!("mp4:{}.mp4", recorded.id));
    client.ask_to_play(&[&[name, 4000.0.into(), Value::from(-1.0), false.into()]]).await;
    let all = client.frames_to_the_end().await;
    let frames: Vec<_> = all.iter().filter(|it| it.starts_with('K')).collect();
    assert_eq!(frames, ["K2000", "K3000", "K4000", "K0"]);
}

#[tokio::test]
async fn what_is_bad_in_a_playlist_is_told_and_what_is_behind_it_plays() {
    let recorded = Recorded::new("gone", |config| config.limits.connections_max = 1).await;
    let other = cut(&recorded.node).await;
    let mut client = recorded.play().await;
    client.frames_to_the_end().await;
    let first = recorded.node.env.sessions.snapshot(1).remove(0).id;
    let play =
        |id: &str, start: f64| [format!("mp4:{id}.mp4").into(), start.into(), (-1.0).into(), false.into()];
    // It stands still at its begin, until one of what is behind it has been deleted.
    client.session.pause(true).unwrap();
    client.sought(0).await;
    client.ask_to_play(&[&play(&other, -2.0), &play(&recorded.id, 4000.0)]).await;
    client.sought(0).await;
    let entry = recorded.node.env.recordings.get(&RecordingId::parse(&other).unwrap()).unwrap();
    assert!(crate::record::delete(&recorded.node.env, &entry).await.is_ok());
    client.session.pause(false).unwrap();
    let told =
        client.until(|told| matches!(told, Told::Message(message) if is_complete(&message.payload))).await;
    let told = short(&told);
    let metrics = recorded.node.env.metrics.render(0, 0);
    assert!(metrics.contains("play_rejected_total{protocol=\"rtmp\",reason=\"name\"} 1\n"), "{metrics}");
    assert_eq!(told.iter().rfind(|it| it.starts_with('K')).unwrap(), "K0", "the one behind it: {told:?}");
    let now = recorded.node.env.sessions.snapshot(2);
    assert!(
        now.len() == 1 && now[0].id != first,
        "a session of its own, also where there is no room for two"
    );
}

#[tokio::test]
async fn what_may_not_be_played_and_what_is_not_there_are_refused_alike() {
    let recorded = Recorded::new("refusals", |config| config.access.play_key = Some("secret".into())).await;
    const NOT_FOUND: &str = "NetStream.Play.StreamNotFound";
    for name in ["ID", "ID?key=wrong", "20201123T043000Z-1a2b3c4d?key=secret", "cam", "mp4:ID.avi"] {
        assert_eq!(recorded.refusal(recorded.config(name)).await, NOT_FOUND, "{name}");
    }
    let live = client::Config { start: -1.0, ..recorded.config("ID?key=secret") };
    assert_eq!(recorded.refusal(live).await, NOT_FOUND, "nothing of it is live");
    let mut client = recorded.node.open(recorded.config("ID?key=secret")).await;
    assert!(!client.frames_to_the_end().await.is_empty());
}

#[tokio::test]
async fn player_that_has_seen_everything_is_not_kept_for_ever() {
    let recorded = Recorded::new("idle", |config| config.rtmp.pause_max_ms = 0).await;
    let mut client = recorded.play().await;
    client.until(|told| matches!(told, Told::Ended(_))).await;
    let ended = async {
        while !recorded.node.env.sessions.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(ANSWER_MAX, ended).await.expect("its session ends");
}
