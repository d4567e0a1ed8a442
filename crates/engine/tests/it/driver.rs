//! libav's own way of decoding on devices, with a driver whose card does not exist: see `tests/device/cuda.c`.

use crate::clip::Clip;
use crate::decoding::{clip, missing, push, second};
use crate::faults::until;
use crate::{PATIENCE, collect, config, options};
use engine::decode::Backend;
use engine::encode::Codec;
use engine::host::{Launch, Options, Output, Transcoder, Usage, probe_decoders};
use std::path::PathBuf;
use std::process::Command;

/// A folder with the driver; it is gone with the test.
struct Driver(PathBuf);

impl Driver {
    /// `None` where there is no compiler, which is told.
    fn new(test: &str) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("rushlight-cuda-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let driver = Self(folder);
        let library = driver.0.join("libcuda.so.1");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/device/cuda.c");
        let compiled =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
        match compiled {
            Ok(status) => assert!(status.success(), "{status}"),
            Err(error) => {
                eprintln!("SKIPPED: no C compiler for the driver: {error}");
                return None;
            }
        }
        std::fs::copy(&library, driver.0.join("libnvcuvid.so.1")).unwrap();
        Some(driver)
    }

    /// Workers that find the driver, which behaves as `behaviour` says.
    fn launch(&self, behaviour: &str) -> Launch {
        let arguments = [
            format!("LD_LIBRARY_PATH={}", self.0.display()),
            format!("RUSHLIGHT_CUDA={behaviour}"),
            format!("RUSHLIGHT_CUDA_SECRET={}/Cargo.toml", env!("CARGO_MANIFEST_DIR")),
            env!("CARGO_BIN_EXE_engine-worker").to_owned(),
        ];
        Launch { program: "/usr/bin/env".into(), arguments: arguments.map(Into::into).into() }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A clip through one rung, whose stream NVDEC is to decode: what came, and how the decoder was before the end. `until_so` is what the first
/// half comes to.
async fn run(launch: Launch, clip: &Clip, until_so: impl Fn(&Usage) -> bool) -> (Vec<Output>, Usage) {
    let asked = Options { launch, decoders: vec![Backend::Nvdec], ..options() };
    let (transcoder, mut inlet) = Transcoder::start(asked);
    let outlet = tokio::spawn(collect(transcoder.add(config(160, 90))));
    push(&mut inlet, clip, 0, second(1)).await;
    let is_decided = |decoder: Usage| decoder.next_decoder.is_some() || decoder.error.is_some();
    until(|| is_decided(transcoder.decoder())).await;
    push(&mut inlet, clip, second(1), second(3)).await;
    until(|| until_so(&transcoder.decoder())).await;
    push(&mut inlet, clip, second(3), clip.packets.len()).await;
    let decoder = transcoder.decoder();
    drop(inlet);
    (tokio::time::timeout(PATIENCE, outlet).await.expect("it ends").unwrap(), decoder)
}

#[tokio::test]
async fn libav_decodes_in_the_memory_of_a_device_and_pictures_are_copied_out_of_it() {
    let Some(driver) = Driver::new("works") else { return };
    let clip = clip();
    let (outputs, decoder) = run(driver.launch("works"), &clip, |decoder| decoder.pictures >= 80).await;
    assert_eq!((decoder.decoder, decoder.restarts), (Some(Backend::Nvdec), 0), "{decoder:?}");
    assert_eq!(missing(&clip, &outputs), []);
}

#[tokio::test]
async fn a_driver_that_fails_in_the_middle_costs_no_picture() {
    let Some(driver) = Driver::new("lost") else { return };
    let clip = clip();
    // One of them is the keyframe that it rehearses with.
    let (outputs, decoder) = run(driver.launch("lost:45"), &clip, |decoder| decoder.restarts > 0).await;
    assert_eq!((decoder.decoder, decoder.restarts), (Some(Backend::Software), 1), "{decoder:?}");
    assert!(decoder.error.as_ref().unwrap().contains("nvdec does not decode any more"), "{decoder:?}");
    assert_eq!(missing(&clip, &outputs), []);
}

#[tokio::test]
async fn a_driver_that_does_not_open_or_does_not_take_a_stream_is_noticed_by_nobody() {
    let Some(driver) = Driver::new("closed") else { return };
    let encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv422p"];
    let cases = [
        ("closed", clip(), "does not open"),
        ("works", Clip::new("320x180", 30, 6, &encoder), "does not decode a keyframe of this stream"),
    ];
    for (behaviour, clip, reason) in cases {
        let (outputs, decoder) =
            run(driver.launch(behaviour), &clip, |decoder| decoder.error.is_some()).await;
        assert_eq!((decoder.decoder, decoder.restarts), (Some(Backend::Software), 0), "{decoder:?}");
        assert!(decoder.error.as_ref().unwrap().contains(reason), "{decoder:?}");
        assert_eq!(missing(&clip, &outputs), [], "{behaviour}");
    }
}

/// Whether the kernel takes files away from processes: the version of that, by landlock_create_ruleset(2).
fn has_landlock() -> bool {
    let program = "import ctypes; exit(ctypes.CDLL(None).syscall(444, None, 0, 1) <= 0)";
    Command::new("python3").args(["-c", program]).status().is_ok_and(|status| status.success())
}

#[tokio::test]
async fn a_driver_reaches_no_files_of_the_server_and_no_network() {
    let Some(driver) = Driver::new("free") else { return };
    if !has_landlock() {
        eprintln!("SKIPPED: this kernel has no Landlock, which takes files away");
        return;
    }
    let clip = clip();
    let (_, decoder) = run(driver.launch("free"), &clip, |decoder| decoder.pictures >= 80).await;
    assert_eq!(decoder.decoder, Some(Backend::Nvdec), "{decoder:?}");
}

#[tokio::test]
async fn a_device_whose_pictures_are_others_than_the_processors_is_not_used() {
    let Some(driver) = Driver::new("probe") else { return };
    let probed = probe_decoders(&driver.launch("works"), 0, &[Backend::Nvdec]).await.unwrap();
    let of_h264 = |backend| {
        probed.iter().find(|probed| probed.backend == backend && probed.codec == Codec::H264).unwrap()
    };
    assert!(of_h264(Backend::Software).speed.is_ok(), "{probed:?}");
    let found = of_h264(Backend::Nvdec);
    assert!(found.speed.as_ref().unwrap_err().contains("gives other pictures than the processor: 60 of 60"));
    assert!(!found.is_better_device());
}
