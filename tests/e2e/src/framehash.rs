//! Packet-by-packet comparison with ffmpeg's `framehash` format: one line per packet with its times, size and hash.

use crate::{process, program};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::process::Command;

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Decoding time in milliseconds.
    pub dts: i64,
    /// Presentation time in milliseconds.
    pub pts: i64,
    /// Bytes.
    pub size: usize,
    /// Hash of the bytes.
    pub hash: String,
}

/// One track.
#[derive(Clone, Default)]
pub struct Track {
    /// ffmpeg's name of the codec.
    pub codec: String,
    /// Whether it carries pictures.
    pub is_video: bool,
    /// Its packets in order.
    pub frames: Vec<Frame>,
}

impl fmt::Debug for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.codec, self.frames.len())
    }
}

/// Reads what ffmpeg wrote: the video and audio tracks.
///
/// # Errors
/// The first line that makes no sense.
pub fn parse(text: &str) -> Result<Vec<Track>, String> {
    let mut tracks: BTreeMap<usize, (Track, (i64, i64))> = BTreeMap::new();
    // Script data is a track to some versions of ffmpeg, and none to others.
    let mut data = BTreeSet::new();
    for line in text.lines() {
        let wrong = || format!("not a framehash line: {line:?}");
        if let Some(rest) = line.strip_prefix("#tb ") {
            let (index, base) = rest.split_once(": ").ok_or_else(wrong)?;
            let (num, den) = base.split_once('/').ok_or_else(wrong)?;
            let base = (num.parse().map_err(|_| wrong())?, den.parse().map_err(|_| wrong())?);
            tracks.entry(index.parse().map_err(|_| wrong())?).or_default().1 = base;
        } else if let Some(rest) = line.strip_prefix("#media_type ") {
            let (index, kind) = rest.split_once(": ").ok_or_else(wrong)?;
            let index = index.parse().map_err(|_| wrong())?;
            tracks.entry(index).or_default().0.is_video = kind == "video";
            if !["video", "audio"].contains(&kind) {
                data.insert(index);
            }
        } else if let Some(rest) = line.strip_prefix("#codec_id ") {
            let (index, codec) = rest.split_once(": ").ok_or_else(wrong)?;
            tracks.entry(index.parse().map_err(|_| wrong())?).or_default().0.codec = codec.into();
        } else if !line.starts_with('#') && !line.is_empty() {
            let cells: Vec<_> = line.split(',').map(str::trim).collect();
            let [index, dts, pts, _, size, hash, ..] = cells[..] else {
                // The last line of a player that was stopped may be cut short.
                continue;
            };
            let (track, (num, den)) = tracks.entry(index.parse().map_err(|_| wrong())?).or_default();
            let millis =
                |ticks: &str| ticks.parse::<i64>().map(|t| (t * *num * 1000) / *den).map_err(|_| wrong());
            track.frames.push(Frame {
                dts: millis(dts)?,
                pts: millis(pts)?,
                size: size.parse().map_err(|_| wrong())?,
                hash: hash.into(),
            });
        }
    }
    tracks.retain(|index, _| !data.contains(index));
    Ok(tracks.into_values().map(|(track, _)| track).collect())
}

/// The packets of a file.
///
/// # Panics
/// If ffmpeg cannot read it.
pub fn of_file(ffmpeg: &Path, file: &Path) -> Vec<Track> {
    read_file(ffmpeg, file).unwrap_or_else(|error| panic!("{error}"))
}

/// The packets of a file that may not be finished.
///
/// # Errors
/// What ffmpeg says if it cannot read it.
pub fn read_file(ffmpeg: &Path, file: &Path) -> Result<Vec<Track>, String> {
    let input = file.to_str().expect("scratch paths are text");
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error"]).args(program::hash_arguments(input)).arg("-");
    parse(&process::run(&mut command)?)
}

/// What ffmpeg is told to write the packets of `input` without what Annex B and MP4 do differently: start codes, delimiters,
/// parameter sets, messages. `codec` is that of the pictures; `is_ts` says that `input` is a transport stream, with AAC as ADTS
/// where `has_adts`.
pub fn formless_arguments(input: &str, codec: &str, is_ts: bool, has_adts: bool) -> Vec<String> {
    let units = if codec == "h264" { "6-9" } else { "32-39" };
    let to_annex_b = if is_ts { String::new() } else { format!("{codec}_mp4toannexb,") };
    let mut arguments = vec!["-copyts".to_owned(), "-i".to_owned(), input.to_owned()];
    let mut add = |text: &str| arguments.extend(text.split_whitespace().map(str::to_owned));
    add("-map 0 -c copy -copyinkf");
    add(&format!("-bsf:v {to_annex_b}filter_units=remove_types={units}"));
    if is_ts && has_adts {
        add("-bsf:a aac_adtstoasc");
    }
    add("-f framehash -hash md5");
    arguments
}

/// How much of the source a player must have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Every packet from the first to the last, sound before the first picture excepted.
    Whole,
    /// Every packet from where it joined to the last.
    ToTheEnd,
    /// Every packet between the first and the last that it saw, and at least this many of each track.
    AtLeast(usize),
}

/// Checks that every track of `source` arrived in `played`: the same packets in the same order with none missing
/// between, and all tracks shifted in time by one and the same amount (players and servers may choose another zero).
///
/// # Errors
/// What differs first.
pub fn compare(source: &[Track], played: &[Track], extent: Extent) -> Result<(), String> {
    if source.len() != played.len() {
        return Err(format!("sent {source:?}, but played {played:?}"));
    }
    let opening = source
        .iter()
        .filter(|track| track.is_video)
        .filter_map(|track| Some(track.frames.first()?.dts))
        .min();
    let mut shift = None;
    for sent in source {
        let seen = played
            .iter()
            .find(|track| {
                let first = track.frames.first().map(|frame| &frame.hash);
                track.codec == sent.codec
                    && first.is_some_and(|hash| sent.frames.iter().any(|f| f.hash == *hash))
            })
            .ok_or_else(|| format!("no packet of {sent:?} is the first of any track among {played:?}"))?;
        compare_track(sent, seen, extent, opening.unwrap_or(i64::MIN), &mut shift)
            .map_err(|why| format!("{sent:?}: {why}"))?;
    }
    Ok(())
}

/// The times of FLV are whole milliseconds; a source with another clock differs from them by rounding.
const ROUNDING_MS: i64 = 1;

fn compare_track(
    sent: &Track,
    seen: &Track,
    extent: Extent,
    opening: i64,
    shift: &mut Option<i64>,
) -> Result<(), String> {
    // Equal packets occur more than once (silence, black pictures): the shift in time tells which one it is.
    let starts = (0..sent.frames.len()).filter(|&at| sent.frames[at].hash == seen.frames[0].hash);
    let mut best = Err("no start fits".to_owned());
    for start in starts {
        let offset = shift.unwrap_or(seen.frames[0].dts - sent.frames[start].dts);
        match compare_run(&sent.frames[start..], &seen.frames, extent, offset) {
            Ok(()) if extent == Extent::Whole && start > 0 && sent.frames[start - 1].dts >= opening => {
                best = Err(format!("the first {start} packets are missing"));
            }
            Ok(()) => {
                *shift = Some(offset);
                return Ok(());
            }
            Err(why) if best.as_ref().is_err_and(|best| best == "no start fits") => best = Err(why),
            Err(_) => {}
        }
    }
    best
}

fn compare_run(sent: &[Frame], seen: &[Frame], extent: Extent, offset: i64) -> Result<(), String> {
    for (at, (a, b)) in sent.iter().zip(seen).enumerate() {
        if a.hash != b.hash || a.size != b.size {
            return Err(format!("packet {at} after the join: sent {a:?}, played {b:?}"));
        }
        let moved = [(a.dts + offset - b.dts), (a.pts + offset - b.pts)];
        if moved.iter().any(|by| by.abs() > ROUNDING_MS) {
            return Err(format!(
                "packet {at} after the join has its time moved: sent {a:?}, played {b:?}, shift {offset}"
            ));
        }
    }
    if seen.len() > sent.len() {
        return Err(format!("{} packets more than were sent", seen.len() - sent.len()));
    }
    match extent {
        Extent::Whole | Extent::ToTheEnd if seen.len() < sent.len() => {
            Err(format!("the last {} packets are missing", sent.len() - seen.len()))
        }
        Extent::AtLeast(least) if seen.len() < least => Err(format!("only {} packets arrived", seen.len())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#format: frame checksums\n#tb 0: 1/1000\n#codec_id 0: h264\n\
        0, 0, 40, 40, 10, aa\n0, 40, 120, 40, 11, bb\n0, 80, 80, 40, 12, cc\n";

    fn tracks(text: &str) -> Vec<Track> {
        parse(text).unwrap()
    }

    #[test]
    fn equal_tracks_are_equal() {
        assert_eq!(compare(&tracks(TEXT), &tracks(TEXT), Extent::Whole), Ok(()));
    }

    #[test]
    fn a_shifted_suffix_is_a_late_join() {
        let late = TEXT
            .replace("0, 0, 40, 40, 10, aa\n", "")
            .replace("0, 40, 120,", "0, 0, 80,")
            .replace("80, 80,", "40, 40,");
        assert_eq!(compare(&tracks(TEXT), &tracks(&late), Extent::ToTheEnd), Ok(()));
        assert!(compare(&tracks(TEXT), &tracks(&late), Extent::Whole).is_err());
    }

    #[test]
    fn a_lost_changed_or_moved_packet_is_found() {
        for wrong in [
            TEXT.replace("0, 40, 120, 40, 11, bb\n", ""),
            TEXT.replace("bb", "bc"),
            TEXT.replace("0, 80, 80,", "0, 83, 83,"),
            TEXT.replace("0, 80, 80, 40, 12, cc\n", ""),
            TEXT.replace("h264", "hevc"),
        ] {
            assert!(compare(&tracks(TEXT), &tracks(&wrong), Extent::ToTheEnd).is_err(), "{wrong}");
        }
    }
}
