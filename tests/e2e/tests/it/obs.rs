//! OBS Studio on a virtual screen streams its own picture.

use e2e::process::Scratch;
use e2e::program;
use e2e::wait::until_within;
use e2e::{Process, Server, need};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// OBS takes up to 40 s to its first packet on a busy machine.
const START_MAX: Duration = Duration::from_secs(150);

const SCENE: &str = r#"{"current_scene":"Scene","current_program_scene":"Scene","name":"e2e",
"scene_order":[{"name":"Scene"}],"sources":[
{"id":"scene","name":"Scene","settings":{"items":[{"name":"Colour","id":1,"visible":true}],"id_counter":1}},
{"id":"color_source","versioned_id":"color_source_v3","name":"Colour","settings":{"color":4280303808,"width":640,"height":360}}]}"#;

const PROFILE: &str = "[General]\nName=e2e\n\n[Output]\nMode=Advanced\n\n[AdvOut]\nEncoder=obs_x264\nTrackIndex=1\n\n\
    [Video]\nBaseCX=640\nBaseCY=360\nOutputCX=640\nOutputCY=360\nFPSType=0\nFPSCommon=25 PAL\n\n[Audio]\nSampleRate=48000\n";

const ENCODER: &str = r#"{"rate_control":"CBR","bitrate":800,"keyint_sec":2,"preset":"ultrafast"}"#;

#[test]
fn obs_streams() {
    let obs = need!(program::find("obs"));
    let xvfb = need!(program::find("Xvfb"));
    let server = Server::start();
    let home = Scratch::new();
    let config = home.path().join(".config/obs-studio");
    fs::create_dir_all(config.join("basic/profiles/e2e")).unwrap();
    fs::create_dir_all(config.join("basic/scenes")).unwrap();
    fs::write(
        config.join("global.ini"),
        "[General]\nFirstRun=true\nLastVersion=486539266\nInfoIncrement=100\nEnableAutoUpdates=false\n\n\
         [Basic]\nProfile=e2e\nProfileDir=e2e\nSceneCollection=e2e\nSceneCollectionFile=e2e\n",
    )
    .unwrap();
    fs::write(config.join("basic/profiles/e2e/basic.ini"), PROFILE).unwrap();
    fs::write(config.join("basic/profiles/e2e/streamEncoder.json"), ENCODER).unwrap();
    let service = serde_json::json!({
        "type": "rtmp_custom",
        "settings": { "server": format!("rtmp://{}/live", server.rtmp), "key": "cam", "use_auth": false },
    });
    fs::write(config.join("basic/profiles/e2e/service.json"), service.to_string()).unwrap();
    fs::write(config.join("basic/scenes/e2e.json"), SCENE).unwrap();

    // The X server picks a free display and writes its number.
    let number = home.file("display");
    let _screen = Process::spawn(Command::new("sh").arg("-c").arg(format!(
        "exec {} -displayfd 3 -screen 0 1280x720x24 -nolisten tcp 3>{}",
        xvfb.display(),
        number.display()
    )));
    let display = until_within(START_MAX, "the virtual screen is up", || {
        fs::read_to_string(&number)
            .ok()
            .filter(|text| text.ends_with('\n'))
            .map(|text| format!(":{}", text.trim()))
    });
    let runtime = home.path().join("runtime");
    fs::create_dir(&runtime).unwrap();
    let mut obs = Process::spawn(
        Command::new(obs)
            .args([
                "--startstreaming",
                "--profile",
                "e2e",
                "--collection",
                "e2e",
                "--multi",
                "--minimize-to-tray",
            ])
            .args(["--disable-shutdown-check", "--disable-updater"])
            .env("HOME", home.path())
            .env("XDG_CONFIG_HOME", home.path().join(".config"))
            .env("XDG_RUNTIME_DIR", &runtime)
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("QT_QPA_PLATFORM", "xcb")
            .env_remove("WAYLAND_DISPLAY")
            .env("DISPLAY", &display),
    );
    let status = until_within(START_MAX, "OBS goes live", || {
        assert!(obs.is_running(), "OBS ended");
        server.channel("cam").filter(|s| s["live"] == true && !s["video"].is_null() && !s["audio"].is_null())
    });
    assert_eq!(
        (&status["video"]["width"], &status["video"]["height"]),
        (&640.into(), &360.into()),
        "{status}"
    );
    let mut viewer = server.open_flv("cam", "").unwrap();
    let (mut keyframes, mut sounds, mut last) = (0, 0, 0);
    while keyframes < 3 {
        let tag = viewer.tag().unwrap();
        if tag.is_picture() {
            assert!(tag.timestamp >= last, "time runs backwards");
            last = tag.timestamp;
        }
        keyframes += u32::from(tag.is_keyframe());
        sounds += u32::from(tag.kind == 8 && !tag.is_config());
    }
    assert!(sounds > 100, "{sounds} audio messages in two groups of pictures");
}
