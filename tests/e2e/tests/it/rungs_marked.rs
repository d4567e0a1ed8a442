//! Rungs with watermarks.

use e2e::process::Scratch;
use e2e::program::{self, Repeat};
use e2e::{Server, clip, need};
use std::path::Path;
use std::process::Command;

/// One picture of I420.
struct Picture {
    width: usize,
    height: usize,
    samples: Vec<u8>,
}

impl Picture {
    /// The first picture behind a URL, which is of this size.
    fn first(ffmpeg: &Path, url: &str, width: usize, height: usize) -> Self {
        let output = Command::new(ffmpeg)
            .args(["-v", "error", "-i", url, "-frames:v", "1", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"])
            .output()
            .unwrap();
        let samples = output.stdout;
        assert_eq!(samples.len(), width * height * 3 / 2, "{}", String::from_utf8_lossy(&output.stderr));
        Self { width, height, samples }
    }

    /// Luma and both chromas at a place: parts of width and height.
    fn at(&self, x: f64, y: f64) -> [u8; 3] {
        let (x, y) = ((self.width as f64 * x) as usize, (self.height as f64 * y) as usize);
        let chroma = self.width * self.height + y / 2 * (self.width / 2) + x / 2;
        [
            self.samples[y * self.width + x],
            self.samples[chroma],
            self.samples[chroma + self.width * self.height / 4],
        ]
    }
}

fn is_green(samples: [u8; 3]) -> bool {
    // BT.601 or BT.709, as pictures of this size are taken.
    (130..190).contains(&samples[0]) && samples[1] < 75 && samples[2] < 60
}

/// Settings with a logo and a clock, each in a corner.
fn settings(ffmpeg: &Path, folder: &Scratch) -> Vec<String> {
    let logo = folder.file("logo.png");
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error", "-f", "lavfi", "-i", "color=0x00ff00:size=64x64", "-frames:v", "1"]);
    e2e::process::run(command.arg(&logo)).unwrap();
    let marks = format!(
        "[{{ image = \"{}\", place = \"top-right\", margin = 0, height = 0.2 }}, \
         {{ time = \"%F %T\", place = \"bottom-left\", height = 0.1, color = \"#00ff00\" }}]",
        logo.display()
    );
    let template =
        |name: &str, height: u32| format!("{{ name = \"{name}\", height = {height}, watermark = {marks} }}");
    vec![
        "transcode.cores_max=16".to_owned(),
        format!("transcode.template=[{}, {}]", template("480p", 480), template("marked", 720)),
        "transcode.rule=[{ stream = \"live/*\", ladder = [\"marked\", \"480p\"] }]".to_owned(),
    ]
}

#[test]
fn a_rung_shows_its_logo_in_its_corner_whatever_its_size() {
    let ffmpeg = need!(program::ffmpeg());
    let folder = Scratch::new();
    let settings = settings(&ffmpeg, &folder);
    let gray = "color=gray:size=1280x720:rate=25";
    let clip = need!(clip::of(&ffmpeg, "gray.flv", gray, "sine=frequency=440:sample_rate=44100"));
    let server = Server::with(&settings.iter().map(String::as_str).collect::<Vec<_>>());
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    let stream = Picture::first(&ffmpeg, &server.rtmp_url("cam"), 1280, 720);
    for (rung, width, height) in [("480p", 854, 480), ("marked", 1280, 720)] {
        let picture = Picture::first(&ffmpeg, &server.flv_url(&format!("cam~{rung}")), width, height);
        // The logo is a fifth as high as the picture, and as wide as that.
        let across = 1.0 - 0.2 * 9.0 / 16.0;
        for (x, y) in [(across + 0.02, 0.02), (0.98, 0.02), (0.98, 0.17), (across + 0.02, 0.17)] {
            assert!(is_green(picture.at(x, y)), "{rung}: {:?} at {x},{y}", picture.at(x, y));
        }
        assert!(!is_green(picture.at(across - 0.03, 0.1)) && !is_green(picture.at(0.95, 0.24)), "{rung}");
        let letters = (0..width).filter(|x| is_green(picture.at(*x as f64 / width as f64, 0.91))).count();
        assert!((width / 60..width / 3).contains(&letters), "{rung}: {letters} pixels of the clock");
    }
    assert!(!is_green(stream.at(0.97, 0.1)), "the stream itself is as it came");
    // Playlists offer the one of the stream's own size as well.
    let playlist = e2e::hls::fetch(server.http, "/live/cam.m3u8");
    let playlist = String::from_utf8(playlist.body).unwrap();
    assert!(playlist.contains("cam~marked/"), "{playlist}");
}

#[test]
fn a_watermark_that_cannot_be_read_is_told_in_one_line_at_the_start() {
    let folder = Scratch::new();
    let config = folder.file("rushlight.toml");
    let image = folder.file("logo.png");
    let text = format!(
        "[[transcode.template]]\nname = \"marked\"\nwatermark = {{ image = \"{}\" }}\n",
        image.display()
    );
    std::fs::write(&config, text).unwrap();
    let start = || {
        let mut command = Command::new(program::rushlight());
        command.arg("serve").arg("--config").arg(&config).env_clear().current_dir(folder.path());
        let output = command.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for (content, says) in
        [(None, "cannot be read"), (Some("GIF89a"), "is not a PNG file: convert it to one")]
    {
        if let Some(content) = content {
            std::fs::write(&image, content).unwrap();
        }
        let told = start();
        let line = told.lines().find(|line| line.contains(says)).unwrap_or_else(|| panic!("{told}"));
        assert!(line.contains("rushlight.toml:3: transcode.template.0.watermark.0.image: "), "{line}");
    }
}
