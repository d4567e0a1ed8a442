//! Playlists: what a client reads to find media (RFC 8216bis). Pure.

use super::limits;
use super::name::File;
use super::seal::Keys;
use super::window::{Edge, Line, Rendition, Span};
pub(super) use crate::http::date_time;
use crate::transcode::Offer;
use media::codec::Summary;
use media::{Kind, TrackId};
use std::fmt::Write;
use std::time::Duration;

/// What holds for all playlists of a stream. It holds the key, so it is not for printing.
#[derive(Clone)]
pub(super) struct Terms {
    /// The target duration, in whole seconds.
    pub(super) target: Duration,
    /// The part target duration.
    pub(super) part_target: Duration,
    /// What segments are encrypted with, if they are.
    pub(super) keys: Option<Keys>,
    /// The query that media is asked for with: `?key=...`, or nothing.
    pub(super) query: String,
}

impl Terms {
    /// How much of the end of a playlist a delta update always has (section 4.4.3.8, CAN-SKIP-UNTIL).
    pub(super) fn skip_until(&self) -> Duration {
        6 * self.target
    }
}

/// The multivariant playlist: every video track with each kind of sound. `folder` is where the media playlists are: empty, or with
/// a slash at its end. `rungs` follow, each with the same sound: what players begin with comes first.
pub(super) fn multivariant(
    renditions: &[Rendition],
    folder: &str,
    terms: &Terms,
    span: Span,
    rungs: &[Offer],
) -> String {
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let of = |kind| renditions.iter().filter(move |rendition| rendition.id.kind == kind);
    let mut groups: Vec<(&str, Vec<&Rendition>)> = Vec::new();
    for (rendition, summary) in
        of(Kind::Audio).filter_map(|rendition| rendition.summary().map(|s| (rendition, s)))
    {
        match groups.iter_mut().find(|(codec, _)| *codec == summary.mime) {
            Some((_, group)) => group.push(rendition),
            None => groups.push((&summary.mime, vec![rendition])),
        }
    }
    let uri =
        |rendition: &Rendition| format!("{folder}{}{}", File::playlist(rendition.id, span), terms.query);
    if of(Kind::Video).next().is_none() {
        for (codec, group) in &groups {
            for rendition in group {
                let (peak, mean) = rendition.bits_per_second();
                let _ = writeln!(
                    out,
                    "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={mean},CODECS=\"{codec}\"\n{}",
                    uri(rendition)
                );
            }
        }
        return out;
    }
    for (index, (_, group)) in groups.iter().enumerate() {
        for (at, rendition) in group.iter().enumerate() {
            let _ = write!(
                out,
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound{index}\",NAME=\"{}\",DEFAULT={},AUTOSELECT=YES",
                rendition.id,
                if at == 0 { "YES" } else { "NO" }
            );
            if let Some(channels) = rendition.summary().and_then(|summary| summary.channels) {
                let _ = write!(out, ",CHANNELS=\"{channels}\"");
            }
            let _ = writeln!(out, ",URI=\"{}\"", uri(rendition));
        }
    }
    for (rendition, summary) in
        of(Kind::Video).filter_map(|rendition| rendition.summary().map(|s| (rendition, s)))
    {
        let variants: Vec<_> = match groups.is_empty() {
            true => vec![None],
            false => groups.iter().enumerate().map(Some).collect(),
        };
        for sound in variants {
            write_variant(&mut out, rendition, summary, sound);
            let _ = writeln!(out, "{}", uri(rendition));
        }
    }
    for (rung, own) in rungs.iter().zip(groups.len()..) {
        let uri = |kind| format!("{}/{}{}", rung.name.channel(), File::playlist(kind, span), terms.query);
        let pictures = uri(TrackId::VIDEO);
        if let Some(sound) = rung.sound {
            // Sound of its own is beside its pictures.
            let _ = writeln!(
                out,
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound{own}\",NAME=\"{}\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"{}\",URI=\"{}\"",
                TrackId::AUDIO,
                sound.channels,
                uri(TrackId::AUDIO)
            );
            write_rung(&mut out, rung, Some((own, sound.codec.mime(), sound.bitrate_bps.into())));
            let _ = writeln!(out, "{pictures}");
            continue;
        }
        let peak = |group: &[&Rendition]| group.iter().map(|rendition| rendition.bits_per_second().0).max();
        let sounds = groups.iter().enumerate();
        let sounds =
            sounds.map(|(index, (codec, group))| Some((index, *codec, peak(group).unwrap_or_default())));
        for sound in sounds.chain(groups.is_empty().then_some(None)) {
            write_rung(&mut out, rung, sound);
            let _ = writeln!(out, "{pictures}");
        }
    }
    out
}

/// A rung, whether or not it is made already. Its sound is a group, a codec, and bits per second at most.
fn write_rung(out: &mut String, rung: &Offer, sound: Option<(usize, &str, u64)>) {
    let (mut peak, mut codecs) = (rung.bits_per_second, rung.mime.clone());
    if let Some((_, codec, peak_of_sound)) = sound {
        peak += peak_of_sound;
        let _ = write!(codecs, ",{codec}");
    }
    let (width, height) = (rung.width, rung.height);
    let _ = write!(out, "#EXT-X-STREAM-INF:BANDWIDTH={peak},CODECS=\"{codecs}\",RESOLUTION={width}x{height}");
    if let Some(rate) = rung.fps {
        let _ = write!(out, ",FRAME-RATE={rate:.3}");
    }
    if let Some((index, ..)) = sound {
        let _ = write!(out, ",AUDIO=\"sound{index}\"");
    }
    out.push('\n');
}

fn write_variant(
    out: &mut String,
    rendition: &Rendition,
    summary: &Summary,
    sound: Option<(usize, &(&str, Vec<&Rendition>))>,
) {
    let (mut peak, mut mean) = rendition.bits_per_second();
    let mut codecs = summary.mime.clone();
    if let Some((_, (codec, group))) = sound {
        // A client plays one of the group; the largest counts.
        let rates = group.iter().map(|rendition| rendition.bits_per_second());
        let (peak_of_sound, mean_of_sound) = rates.max().unwrap_or_default();
        (peak, mean) = (peak + peak_of_sound, mean + mean_of_sound);
        let _ = write!(codecs, ",{codec}");
    }
    let _ = write!(out, "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={mean},CODECS=\"{codecs}\"");
    if let (Some(width), Some(height)) = (summary.width, summary.height) {
        let _ = write!(out, ",RESOLUTION={width}x{height}");
    }
    if let Some(rate) = summary.fps.or(rendition.frames_per_second()) {
        let _ = write!(out, ",FRAME-RATE={rate:.3}");
    }
    match summary.color.map(|color| color.transfer) {
        Some(16) => out.push_str(",VIDEO-RANGE=PQ"),
        Some(18) => out.push_str(",VIDEO-RANGE=HLG"),
        _ => {}
    }
    if let Some((index, _)) = sound {
        let _ = write!(out, ",AUDIO=\"sound{index}\"");
    }
    out.push('\n');
}

/// The media playlist of `rendition`. `others` are the renditions that a client may change to, with how far they have come;
/// `skip` asks for a delta update.
pub(super) fn media(
    rendition: &Rendition,
    others: impl Iterator<Item = (TrackId, Edge)>,
    terms: &Terms,
    skip: bool,
    span: Span,
) -> String {
    let query = &terms.query;
    let edge = *rendition.edge.borrow();
    let listed: Vec<Line> = rendition.lines(span).collect();
    let total: Duration = listed.iter().map(|line| line.duration).sum();
    let mut out = String::with_capacity(4096);
    let _ = writeln!(out, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{}", terms.target.as_secs());
    let _ = write!(
        out,
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={:.3},HOLD-BACK={:.1}",
        (limits::HOLD_BACK_PARTS * terms.part_target).as_secs_f64(),
        (3 * terms.target).as_secs_f64()
    );
    if total > terms.skip_until() {
        let _ = write!(out, ",CAN-SKIP-UNTIL={:.1}", terms.skip_until().as_secs_f64());
    }
    let _ = writeln!(out, "\n#EXT-X-PART-INF:PART-TARGET={:.3}", terms.part_target.as_secs_f64());
    let first = listed.first();
    let number = first.map_or(rendition.first_listed, |line| line.number);
    let _ = writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{number}");
    let _ = writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", first.map_or(0, |line| line.discontinuities));
    out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    // Segments that begin before the last six target durations.
    let mut skipped = 0;
    if skip {
        let mut left = total;
        for line in &listed {
            left = left.saturating_sub(line.duration);
            // Who knows an older state may take a segment for there that was lost since.
            if left < terms.skip_until() || line.lost {
                break;
            }
            skipped += 1;
        }
        if skipped > 0 {
            let _ = writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
        }
    }
    // Parts are for those who are near the live edge (section 6.2.2).
    let mut left = total;
    let mut before: Option<&Line> = None;
    for (index, line) in listed.iter().enumerate() {
        left = left.saturating_sub(line.duration);
        let previous = before.replace(line);
        if index < skipped {
            continue;
        }
        // One for each: clients count them (section 6.2.1). A track may have had nothing between two.
        let discontinuities =
            previous.map_or(0, |previous| line.discontinuities.saturating_sub(previous.discontinuities));
        (0..discontinuities.min(limits::DISCONTINUITIES_MAX))
            .for_each(|_| out.push_str("#EXT-X-DISCONTINUITY\n"));
        if previous.is_none_or(|previous| previous.init != line.init) {
            // Initialization sections are not encrypted.
            if previous.is_some() && terms.keys.is_some() {
                out.push_str("#EXT-X-KEY:METHOD=NONE\n");
            }
            let _ = writeln!(out, "#EXT-X-MAP:URI=\"{}{query}\"", rendition.init_file(line.init));
        }
        if let Some(keys) = &terms.keys {
            let (key, of_previous) = (
                keys.number_for(line.number),
                previous
                    .filter(|previous| previous.init == line.init)
                    .map(|previous| keys.number_for(previous.number)),
            );
            if of_previous != Some(key) {
                let _ = writeln!(out, "{}", keys.tag(key, query));
            }
        }
        let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date_time(line.date));
        if left < 3 * terms.target
            && let Some(segment) = rendition.segment(line.number)
        {
            for (part, number) in segment.parts.iter().zip(0..) {
                let _ = writeln!(
                    out,
                    "#EXT-X-PART:DURATION={:.5},URI=\"{}{query}\"{}",
                    part.duration.as_secs_f64(),
                    File::Part(rendition.id, line.number, number),
                    if part.independent { ",INDEPENDENT=YES" } else { "" }
                );
            }
        }
        if line.closed {
            if line.lost {
                out.push_str("#EXT-X-GAP\n");
            }
            let file = File::Segment(rendition.id, line.number);
            let _ = writeln!(out, "#EXTINF:{:.5},\n{file}{query}", line.duration.as_secs_f64());
        }
    }
    if edge.ended {
        out.push_str("#EXT-X-ENDLIST\n");
        return out;
    }
    let (segment, part) = edge.next();
    let _ = writeln!(
        out,
        "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}{query}\"",
        File::Part(rendition.id, segment, part)
    );
    for (id, edge) in others {
        let _ = writeln!(
            out,
            "#EXT-X-RENDITION-REPORT:URI=\"{}{query}\",LAST-MSN={},LAST-PART={}",
            File::playlist(id, span),
            edge.segment,
            edge.parts.saturating_sub(1)
        );
    }
    out
}

#[cfg(test)]
pub(super) mod tests;
