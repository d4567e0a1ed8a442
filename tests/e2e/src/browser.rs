//! Headless Chromium, driven by the scripts in `browser/`.

use crate::{Process, program};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Longer than any of the scripts takes on a busy machine, with a hundred changes of rung.
const PATIENCE: Duration = Duration::from_secs(600);

/// Runs `browser/SCRIPT` with Chromium and these arguments, and returns the JSON value that it prints last.
///
/// # Errors
/// What is not installed: the sentence with which the test is skipped.
///
/// # Panics
/// If what it prints is no JSON.
pub fn run(script: &str, arguments: &[&str]) -> Result<Value, String> {
    let node = program::find("node")?;
    let chromium = program::find("chromium")?;
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("browser");
    for package in ["playwright-core", "hls.js", "shaka-player", "axe-core"] {
        if !folder.join("node_modules").join(package).exists() {
            return Err(format!("{package} is not installed (./test tools)"));
        }
    }
    let mut command = Command::new(node);
    command.arg(folder.join(script)).arg(chromium).args(arguments);
    let printed = Process::spawn(&mut command).finish(PATIENCE);
    let last = printed.lines().last().unwrap_or_default();
    Ok(serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {printed}")))
}

/// Asserts what `plays` of `browser/picture.mjs` returned: a picture of 640x360 that moves, with sound, and no errors.
///
/// # Panics
/// If one of them is missing.
pub fn assert_plays(seen: &Value) {
    assert_eq!(seen["errors"], serde_json::json!([]), "{seen}");
    assert_eq!((&seen["width"], &seen["height"]), (&640.into(), &360.into()), "{seen}");
    assert!(
        seen["changedPixels"].as_f64().is_some_and(|share| share > 0.01),
        "the picture stands still: {seen}"
    );
    assert!(seen["audioBytes"].as_u64().is_some_and(|bytes| bytes > 1_000), "no sound is decoded: {seen}");
    assert!(seen["foreignRequests"].as_array().is_some_and(Vec::is_empty), "requests to other hosts: {seen}");
}
