//! What viewers see while the publisher of their stream is away.

use super::record::{await_state, file, stop};
use e2e::program::{self, Repeat};
use e2e::{Process, Server, clip, need, until};
use std::path::{Path, PathBuf};
use std::process::Command;

const STREAMS: &str = r#"slate.streams=["live/*"]"#;
const TONE: &str = "sine=frequency=440:sample_rate=44100";

/// Publishes a picture of one colour until it is killed.
fn publish(ffmpeg: &Path, clip: &Path, server: &Server) -> Process {
    program::publish(ffmpeg, clip, Repeat::Forever, &server.rtmp_url("cam"))
}

fn of_color(ffmpeg: &Path, color: &str) -> Result<PathBuf, String> {
    clip::of(ffmpeg, &format!("{color}.flv"), &format!("color={color}:size=640x360:rate=25"), TONE)
}

/// A red image, of another size than the stream.
fn image(ffmpeg: &Path, folder: &Path) -> PathBuf {
    let image = folder.join("slate.png");
    let make = ["-v", "error", "-f", "lavfi", "-i", "color=red:size=320x180", "-frames:v", "1"];
    e2e::process::run(Command::new(ffmpeg).args(make).arg(&image)).unwrap();
    image
}

/// Plays an address and notes the pictures, each as four pixels.
struct Player {
    process: Process,
    pictures: PathBuf,
}

impl Player {
    fn new(ffmpeg: &Path, url: &str, folder: &Path, name: &str) -> Self {
        let pictures = folder.join(name);
        let mut command = Command::new(ffmpeg);
        command.args(["-v", "warning", "-i", url, "-an", "-fps_mode", "passthrough"]);
        command.args(["-vf", "scale=2:2:flags=area", "-pix_fmt", "rgb24", "-flush_packets", "1"]);
        Self { process: Process::spawn(command.args(["-f", "rawvideo"]).arg(&pictures)), pictures }
    }

    fn colors(&self) -> String {
        colors(&std::fs::read(&self.pictures).unwrap_or_default())
    }

    #[track_caller]
    fn await_colors(&self, expected: &str) {
        let what = format!("{} shows {expected}", self.pictures.display());
        until(&what, || (self.colors() == expected).then_some(()));
    }
}

/// The colours of pictures of four pixels, each once for as long as it stays: `r`, `g` and `b`, and `k` for dark gray.
fn colors(bytes: &[u8]) -> String {
    let mut colors: Vec<char> = bytes
        .chunks_exact(2 * 2 * 3)
        .map(|picture| match picture[..3] {
            [r, g, b] if r > 150 && g < 80 && b < 80 => 'r',
            [r, g, b] if g > 100 && r < 80 && b < 80 => 'g',
            [r, g, b] if b > 150 && r < 80 && g < 80 => 'b',
            [r, g, b] if r.max(g).max(b) < 80 => 'k',
            _ => '?',
        })
        .collect();
    colors.dedup();
    colors.into_iter().collect()
}

#[test]
fn viewers_see_a_slate_until_the_publisher_is_back() {
    let ffmpeg = need!(program::ffmpeg());
    let (blue, green) = (need!(of_color(&ffmpeg, "blue")), need!(of_color(&ffmpeg, "green")));
    let scratch = e2e::process::Scratch::new();
    let image = format!("slate.image={}", image(&ffmpeg, scratch.path()).display());
    let server = Server::with(&[STREAMS, &image, r#"record.rule=[{stream="live/*"}]"#]);
    let mut first = publish(&ffmpeg, &blue, &server);
    server.await_live("cam");
    let mut flv = server.open_flv("cam", "").unwrap();
    let (folder, http) = (server.scratch(), server.http);
    let urls = [
        ("rtmp", server.rtmp_url("cam")),
        ("flv", server.flv_url("cam")),
        ("hls", format!("http://{http}/live/cam/ts.m3u8")),
    ];
    let mut players = urls.map(|(name, url)| Player::new(&ffmpeg, &url, folder, name));
    players.iter().for_each(|player| player.await_colors("b"));
    assert_eq!(server.channel("cam").unwrap().get("slate"), None);

    first.kill();
    players.iter().for_each(|player| player.await_colors("br"));
    let channel = server.channel("cam").unwrap();
    assert_eq!(
        (&channel["slate"], &channel["live"], &channel["publisher"]),
        (&true.into(), &true.into(), &().into())
    );
    assert_eq!((&channel["video"]["width"], &channel["video"]["height"]), (&640.into(), &360.into()));
    await_state(&server, "cam", "waiting");

    let second = publish(&ffmpeg, &green, &server);
    players.iter().for_each(|player| player.await_colors("brg"));
    assert!(players.iter_mut().all(|player| player.process.is_running()));
    assert_eq!(server.channel("cam").unwrap().get("slate"), None);
    second.signal("INT");

    // On one connection: times of pictures and of sound never run backwards.
    let mut last = [None::<u32>; 2];
    let mut keyframes = 0;
    let mut sounds = Vec::new();
    while let Ok(tag) = flv.tag() {
        let Some(last) = last.get_mut(usize::from(tag.kind == 9)).filter(|_| tag.kind != 18) else {
            continue;
        };
        if tag.is_config() {
            if tag.kind == 8 {
                sounds.push(tag.body);
            }
            continue;
        }
        assert!(last.is_none_or(|last| tag.timestamp >= last), "time runs backwards");
        *last = Some(tag.timestamp);
        keyframes += u32::from(tag.is_keyframe());
    }
    assert!(keyframes >= 5, "{keyframes}");
    assert!(
        sounds.iter().all(|config| config == &sounds[0]),
        "silence is in the form of the sound: {sounds:?}"
    );

    // Who plays the recording waits for nobody.
    stop(&server, "cam");
    let complete = await_state(&server, "cam", "complete");
    assert_eq!(complete["gaps"][0]["why"], "publisher-away", "{complete}");
    let recorded = file(&server, &complete, 0);
    let mut player = Player::new(&ffmpeg, recorded.to_str().unwrap(), folder, "recorded");
    player.process.wait(e2e::wait::DEADLINE);
    assert_eq!(player.colors(), "bg");
}

#[test]
fn a_publisher_that_stays_away_or_ends_its_stream_ends_it() {
    let ffmpeg = need!(program::ffmpeg());
    let blue = need!(of_color(&ffmpeg, "blue"));
    let seen = |after_end: &str, signal: &str| {
        // Without an image there is a text on a dark gray, and for four pixels the gray alone.
        let server = Server::with(&[STREAMS, "slate.text=", "slate.max_ms=1500", after_end]);
        let publisher = publish(&ffmpeg, &blue, &server);
        server.await_live("cam");
        let mut player = Player::new(&ffmpeg, &server.flv_url("cam"), server.scratch(), "pictures");
        player.await_colors("b");
        publisher.signal(signal);
        player.process.wait(e2e::wait::DEADLINE);
        until("the stream is over", || server.channel("cam").is_none().then_some(()));
        player.colors()
    };
    assert_eq!(seen("slate.after_end=false", "KILL"), "bk");
    assert_eq!(seen("slate.after_end=false", "INT"), "b", "it has ended");
    assert_eq!(seen("slate.after_end=true", "INT"), "bk");
}
