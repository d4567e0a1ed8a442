//! Containers: what `media` writes, ffmpeg reads, and the other way round, every packet of every track with its times. The
//! example program `remux` of that crate stands between them.

use e2e::clip::{self, Layout};
use e2e::framehash::{self, Extent, Track};
use e2e::process::{self, Scratch};
use e2e::{need, program};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A clip as FLV, by both versions of ffmpeg.
fn enhanced(layout: Layout) -> Result<(PathBuf, PathBuf, PathBuf), String> {
    let (ffmpeg, ffmpeg9) = (program::ffmpeg()?, program::ffmpeg9()?);
    let clip = clip::enhanced(&ffmpeg, &ffmpeg9, layout)?;
    Ok((ffmpeg, ffmpeg9, clip))
}

fn remux(input: &Path, output: &Path) {
    process::run(Command::new(program::remux()).args([input, output])).unwrap();
}

/// Copies `input` with ffmpeg.
fn copy(ffmpeg: &Path, input: &Path, arguments: &str, output: &Path) {
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error", "-y", "-i"]).arg(input).args(["-map", "0", "-c", "copy"]);
    process::run(command.args(arguments.split_whitespace()).arg(output)).unwrap();
}

fn is_the_same(source: &[Track], played: &[Track], what: &str) {
    framehash::compare(source, played, Extent::Whole).unwrap_or_else(|why| panic!("{what}: {why}"));
}

/// Both ffmpegs find in our MP4 files what was in the clip.
fn mp4_is_understood(layout: Layout) {
    let (ffmpeg, ffmpeg9, clip) = need!(enhanced(layout));
    let scratch = Scratch::new();
    let source = framehash::of_file(&ffmpeg9, &clip);
    for name in ["fragments.fmp4", "whole.mp4"] {
        let file = scratch.file(name);
        remux(&clip, &file);
        for program in [&ffmpeg, &ffmpeg9] {
            is_the_same(
                &source,
                &framehash::of_file(program, &file),
                &format!("{name} by {}", program.display()),
            );
        }
        // And so do we: from fragments a whole file, from a whole file fragments.
        let (again, flv) = (
            scratch.file(if name == "whole.mp4" { "again.fmp4" } else { "again.mp4" }),
            scratch.file("again.flv"),
        );
        remux(&file, &again);
        remux(&again, &flv);
        is_the_same(&source, &framehash::of_file(&ffmpeg9, &flv), &format!("{name} and back"));
    }
}

#[test]
fn mp4_of_hevc_and_aac_is_understood() {
    mp4_is_understood(Layout::HevcAac);
}

#[test]
fn mp4_of_av1_and_opus_is_understood() {
    mp4_is_understood(Layout::Av1Opus);
}

#[test]
fn mp4_of_vp9_and_flac_is_understood() {
    mp4_is_understood(Layout::Vp9Flac);
}

#[test]
fn mp4_of_h264_and_ac3_is_understood() {
    mp4_is_understood(Layout::H264Ac3);
}

#[test]
fn mp4_of_several_tracks_is_understood() {
    mp4_is_understood(Layout::TwoOfEach);
}

/// The packets of a file, without what Annex B and MP4 do differently.
pub(crate) fn without_form(ffmpeg: &Path, file: &Path, codec: &str) -> Vec<Track> {
    let is_ts = file.extension().is_some_and(|extension| extension == "ts" || extension == "m3u8");
    let input = file.to_str().expect("scratch paths are text");
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error"]);
    command.args(framehash::formless_arguments(input, codec, is_ts, !file.ends_with("ac3.ts")));
    framehash::parse(&process::run(command.arg("-")).unwrap()).unwrap()
}

/// Both ffmpegs find in our transport stream what was in the clip, and we find in it the clip itself.
fn ts_is_understood(ffmpeg: &Path, ffmpeg9: &Path, clip: &Path, codec: &str, name: &str) {
    let scratch = Scratch::new();
    let (file, back) = (scratch.file(name), scratch.file("back.flv"));
    remux(clip, &file);
    let source = without_form(ffmpeg9, clip, codec);
    for program in [ffmpeg, ffmpeg9] {
        is_the_same(&source, &without_form(program, &file, codec), &program.display().to_string());
    }
    remux(&file, &back);
    is_the_same(&framehash::of_file(ffmpeg9, clip), &framehash::of_file(ffmpeg9, &back), "and back");
}

#[test]
fn ts_of_h264_and_aac_is_understood() {
    let (ffmpeg, ffmpeg9) = (need!(program::ffmpeg()), need!(program::ffmpeg9()));
    let clip = need!(clip::h264_aac(&ffmpeg));
    ts_is_understood(&ffmpeg, &ffmpeg9, &clip, "h264", "aac.ts");
}

#[test]
fn ts_of_hevc_and_aac_is_understood() {
    let (ffmpeg, ffmpeg9, clip) = need!(enhanced(Layout::HevcAac));
    ts_is_understood(&ffmpeg, &ffmpeg9, &clip, "hevc", "aac.ts");
}

#[test]
fn ts_of_h264_and_ac3_is_understood() {
    let (ffmpeg, ffmpeg9, clip) = need!(enhanced(Layout::H264Ac3));
    ts_is_understood(&ffmpeg, &ffmpeg9, &clip, "h264", "ac3.ts");
}

#[test]
fn files_of_ffmpeg_are_read() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let source = framehash::of_file(&ffmpeg, &clip);
    let scratch = Scratch::new();
    for (name, arguments) in [
        ("plain.mp4", ""),
        ("faststart.mp4", "-movflags +faststart"),
        ("fragments.mp4", "-movflags +frag_keyframe+empty_moov+default_base_moof"),
        ("each-frame.mp4", "-movflags +frag_every_frame+delay_moov"),
        ("one.ts", ""),
        // Where 33 bits wrap, some seconds into the file.
        ("late.ts", "-output_ts_offset 95440"),
    ] {
        let (file, flv) = (scratch.file(name), scratch.file("read.flv"));
        copy(&ffmpeg, &clip, arguments, &file);
        remux(&file, &flv);
        // Some forms of MP4 lose where a track begins when ffmpeg writes them: it has to find in the file what we find.
        let written = name.ends_with("mp4").then(|| framehash::of_file(&ffmpeg, &file));
        is_the_same(written.as_ref().unwrap_or(&source), &framehash::of_file(&ffmpeg, &flv), name);
    }
}

#[test]
fn a_recording_that_was_cut_off_is_finished_up_to_the_cut() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let scratch = Scratch::new();
    let (recording, finished) = (scratch.file("recording.fmp4"), scratch.file("finished.mp4"));
    remux(&clip, &recording);
    let bytes = std::fs::read(&recording).unwrap();
    std::fs::write(&recording, &bytes[..bytes.len() * 3 / 5]).unwrap();
    remux(&recording, &finished);
    // Of eight seconds at 25 pictures, three fifths less the fragment that was being written.
    let found = framehash::of_file(&ffmpeg, &finished);
    framehash::compare(&framehash::of_file(&ffmpeg, &clip), &found, Extent::AtLeast(75)).unwrap();
}
