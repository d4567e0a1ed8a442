//! The rules of draft-pantos-hls-rfc8216bis that the text of a playlist can break, each with its section. What takes requests to find out
//! (blocking, refusals, hints, media) is checked by [`crate::hls::Follower`].
//!
//! | section | rule |
//! | --- | --- |
//! | 4.1 | the text begins with `#EXTM3U`, has no byte order mark, no control characters, no empty lines |
//! | 4.2 | attribute lists: names of capitals, digits and `-`, each once; text in quotes |
//! | 4.4.1.2 | one `EXT-X-VERSION`, as high as what is used needs (section 8) |
//! | 4.4.3.1 | `EXTINF`, rounded, is at most the target duration, which does not change |
//! | 4.4.3.2, 4.4.3.3 | sequence numbers stand before the first segment |
//! | 4.4.3.7, 4.4.4.9 | parts have a part target, a URI and a duration of at most that target, and 85 % of it unless they are last |
//! | 4.4.3.8 | hold back times and the skip boundary are long enough |
//! | 4.4.4.4 | keys have a method, a URI, an IV of 128 bits; `NONE` has nothing else |
//! | 4.4.4.5 | segments of MP4 have a map before them |
//! | 4.4.4.6 | dates have a time zone and milliseconds |
//! | 4.4.4.7 | a gap stands before a segment, in version 8 or later, and so does that of a part (4.4.4.9) |
//! | 4.4.5.2 | what is skipped is at least one segment |
//! | 4.4.5.3 | the hint is a part that is not listed, and there is none after the end |
//! | 4.4.5.4 | reports have a relative URI, a last segment and a last part |
//! | 4.4.6.1 | media of a group: names once, one default, sound has a URI |
//! | 4.4.6.2 | variants have a bandwidth, not below its average, a URI, and groups that there are |
//! | 4.4.6 | a multivariant playlist has no segments |
//! | 6.2.1 | the media sequence number never goes back; the discontinuity sequence counts the tags that left |
//! | 6.2.2 | segments leave at the front only, and what is listed does not change, but that media may be lost for good |

use crate::hls::attribute;
use std::collections::BTreeSet;

/// The rules that `text` breaks: a media playlist, in full or as a delta update.
pub fn of_media(text: &str) -> Vec<String> {
    let mut broken = Broken::default();
    let lines = broken.lines(text);
    let value = |tag: &str| lines.iter().find_map(|line| line.strip_prefix(tag)?.strip_prefix(':'));
    let number = |tag: &str| value(tag).and_then(|value| value.parse::<f64>().ok());
    for tag in [
        "VERSION",
        "TARGETDURATION",
        "MEDIA-SEQUENCE",
        "DISCONTINUITY-SEQUENCE",
        "SERVER-CONTROL",
        "PART-INF",
        "SKIP",
    ] {
        let tag = format!("#EXT-X-{tag}:");
        let count = lines.iter().filter(|line| line.starts_with(&tag)).count();
        broken.unless(count <= 1, "4.4.3", || format!("{tag} {count} times"));
    }
    let version = number("#EXT-X-VERSION").unwrap_or(1.0);
    let Some(target) = number("#EXT-X-TARGETDURATION") else {
        broken.unless(false, "4.4.3.1", || "no target duration".to_owned());
        return broken.0;
    };
    let part_target =
        value("#EXT-X-PART-INF").and_then(|list| attribute(list, "PART-TARGET")?.parse::<f64>().ok());
    let first_segment =
        lines.iter().position(|line| line.starts_with("#EXTINF") || line.starts_with("#EXT-X-PART:"));
    for tag in ["#EXT-X-MEDIA-SEQUENCE", "#EXT-X-DISCONTINUITY-SEQUENCE"] {
        let at = lines.iter().position(|line| line.starts_with(tag));
        broken.unless(at < first_segment || at.is_none(), "4.4.3.2", || format!("{tag} after a segment"));
    }
    let control =
        |name| value("#EXT-X-SERVER-CONTROL").and_then(|list| attribute(list, name)?.parse::<f64>().ok());
    broken.unless(control("HOLD-BACK").is_none_or(|back| back >= 3.0 * target), "4.4.3.8", || {
        "HOLD-BACK".to_owned()
    });
    broken.unless(control("CAN-SKIP-UNTIL").is_none_or(|until| until >= 6.0 * target), "4.4.3.8", || {
        "CAN-SKIP-UNTIL".to_owned()
    });
    if let Some(part_target) = part_target {
        let back = control("PART-HOLD-BACK");
        let is_long = back.is_some_and(|back| back >= 2.0 * part_target);
        broken.unless(is_long, "4.4.3.8", || format!("PART-HOLD-BACK {back:?}"));
    }
    let (mut has_map, mut parts, mut listed) = (false, Vec::new(), BTreeSet::new());
    let (mut gap, mut part_gap) = (false, false);
    let ended = lines.contains(&"#EXT-X-ENDLIST");
    for line in &lines {
        let (tag, list) = line.split_once(':').unwrap_or((line, ""));
        let get = |name| attribute(list, name);
        match tag {
            "#EXT-X-MAP" => {
                has_map = true;
                broken.unless(get("URI").is_some() && version >= 6.0, "4.4.4.5", || (*line).to_owned());
            }
            "#EXT-X-KEY" => {
                let uri = get("URI");
                let iv = get("IV").is_none_or(|iv| {
                    iv.len() == 34
                        && iv.starts_with("0x")
                        && iv[2..].bytes().all(|byte| byte.is_ascii_hexdigit())
                });
                let fits = match get("METHOD").as_deref() {
                    Some("NONE") => list == "METHOD=NONE",
                    Some("AES-128") => uri.is_some() && iv && version >= 2.0,
                    _ => false,
                };
                broken.unless(fits, "4.4.4.4", || (*line).to_owned());
            }
            "#EXT-X-PROGRAM-DATE-TIME" => {
                let has_zone =
                    list.ends_with('Z') || list.len() > 6 && list[list.len() - 6..].starts_with(['+', '-']);
                let fits = has_zone && list.len() >= 24 && list.as_bytes()[10] == b'T' && list.contains('.');
                broken.unless(fits, "4.4.4.6", || (*line).to_owned());
            }
            "#EXT-X-GAP" => {
                broken.unless(!gap && line.len() == tag.len() && version >= 8.0, "4.4.4.7", || {
                    (*line).to_owned()
                });
                gap = true;
            }
            "#EXT-X-PART" => {
                let is_gap = get("GAP");
                broken.unless(is_gap.as_deref().is_none_or(|gap| gap == "YES"), "4.4.4.9", || {
                    (*line).to_owned()
                });
                part_gap |= is_gap.is_some();
                let duration = get("DURATION").and_then(|text| text.parse::<f64>().ok());
                let fits =
                    duration.zip(part_target).is_some_and(|(duration, most)| duration <= most + ROUNDING);
                broken.unless(fits && get("URI").is_some(), "4.4.4.9", || (*line).to_owned());
                listed.extend(get("URI"));
                parts.push(duration.unwrap_or_default());
            }
            "#EXTINF" => {
                let duration = list.split(',').next().and_then(|text| text.parse::<f64>().ok());
                let fits = duration.is_some_and(|duration| duration.round() <= target) && list.contains(',');
                broken.unless(fits, "4.4.3.1", || (*line).to_owned());
                // All but the last of a segment are filled.
                let least = 0.85 * part_target.unwrap_or_default();
                parts.pop();
                broken.unless(parts.iter().all(|part| *part >= least), "4.4.4.9", || {
                    format!("{parts:?} before {line}")
                });
                let whole = parts.drain(..).sum::<f64>();
                broken.unless(whole <= duration.unwrap_or_default() + ROUNDING, "4.4.4.9", || {
                    (*line).to_owned()
                });
            }
            "#EXT-X-SKIP" => {
                let skipped = get("SKIPPED-SEGMENTS").and_then(|text| text.parse::<u64>().ok());
                broken.unless(skipped.is_some_and(|count| count > 0) && version >= 9.0, "4.4.5.2", || {
                    (*line).to_owned()
                });
                // The map is among what the client has.
                has_map = true;
            }
            "#EXT-X-PRELOAD-HINT" => {
                let is_new = get("URI").is_some_and(|uri| !listed.contains(&uri));
                broken.unless(is_new && !ended && get("TYPE").is_some(), "4.4.5.3", || (*line).to_owned());
            }
            "#EXT-X-RENDITION-REPORT" => {
                let is_relative = get("URI").is_some_and(|uri| !uri.contains("://") && !uri.starts_with('/'));
                let is_whole =
                    get("LAST-MSN").is_some() && (part_target.is_none() || get("LAST-PART").is_some());
                broken.unless(is_relative && is_whole, "4.4.5.4", || (*line).to_owned());
            }
            _ if !line.starts_with('#') => {
                let is_mp4 = line.split('?').next().is_some_and(|name| name.ends_with(".m4s"));
                broken.unless(has_map || !is_mp4, "4.4.4.5", || format!("{line} without a map"));
                broken.unless(gap || !part_gap, "4.4.4.9", || {
                    format!("{line} has parts that are gaps, and is none")
                });
                (gap, part_gap) = (false, false);
            }
            _ => {}
        }
    }
    broken.unless(!gap, "4.4.4.7", || "a gap before no segment".to_owned());
    broken.0
}

/// The rules that `text` breaks: a multivariant playlist.
pub fn of_multivariant(text: &str) -> Vec<String> {
    let mut broken = Broken::default();
    let lines = broken.lines(text);
    let (mut names, mut defaults, mut groups) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for line in lines.iter().filter_map(|line| line.strip_prefix("#EXT-X-MEDIA:")) {
        let get = |name| attribute(line, name);
        let (kind, group, name) = (get("TYPE"), get("GROUP-ID"), get("NAME"));
        let fits = kind.is_some() && group.is_some() && name.is_some() && names.insert((group.clone(), name));
        broken.unless(fits && (kind.as_deref() != Some("AUDIO") || get("URI").is_some()), "4.4.6.1", || {
            line.to_owned()
        });
        let is_default = get("DEFAULT").as_deref() == Some("YES");
        broken.unless(!is_default || defaults.insert(group.clone()), "4.4.6.1", || {
            format!("two defaults: {line}")
        });
        groups.extend(group);
    }
    for (at, line) in lines.iter().enumerate() {
        broken.unless(
            !line.starts_with("#EXTINF") && !line.starts_with("#EXT-X-TARGETDURATION"),
            "4.4.6",
            || (*line).to_owned(),
        );
        let Some(list) = line.strip_prefix("#EXT-X-STREAM-INF:") else { continue };
        let rate = |name| attribute(list, name).and_then(|text| text.parse::<u64>().ok());
        let (most, mean) = (rate("BANDWIDTH"), rate("AVERAGE-BANDWIDTH"));
        let has_uri = lines.get(at + 1).is_some_and(|next| !next.starts_with('#'));
        let has_group = attribute(list, "AUDIO").is_none_or(|group| groups.contains(&group));
        broken
            .unless(most.is_some() && mean <= most && has_uri && has_group, "4.4.6.2", || (*line).to_owned());
        broken.unless(attribute(list, "CODECS").is_some(), "4.4.6.2", || format!("no CODECS: {line}"));
    }
    broken.0
}

/// The rules that a media playlist breaks by what it was before. Both are full ones.
pub fn of_change(before: &str, after: &str) -> Vec<String> {
    let mut broken = Broken::default();
    let read = |text: &str| {
        let number = |tag: &str| {
            text.lines().find_map(|line| line.strip_prefix(tag)?.parse::<u64>().ok()).unwrap_or(0)
        };
        let mut segments = Vec::new();
        let (mut tags, mut discontinuities) = (Vec::new(), number("#EXT-X-DISCONTINUITY-SEQUENCE:"));
        let mut gap = false;
        for line in text.lines() {
            match line {
                "#EXT-X-GAP" => gap = true,
                "#EXT-X-DISCONTINUITY" => discontinuities += 1,
                _ if line.starts_with("#EXTINF") || line.starts_with("#EXT-X-PROGRAM-DATE-TIME") => {
                    tags.push(line.to_owned())
                }
                _ if !line.starts_with('#') => {
                    let (tags, gap) = (std::mem::take(&mut tags), std::mem::take(&mut gap));
                    segments.push((line.to_owned(), tags, discontinuities, gap));
                }
                _ => {}
            }
        }
        (number("#EXT-X-MEDIA-SEQUENCE:"), segments)
    };
    let target = |text: &str| {
        text.lines().find_map(|line| line.strip_prefix("#EXT-X-TARGETDURATION:")).map(str::to_owned)
    };
    broken.unless(target(before) == target(after), "4.4.3.1", || {
        format!("the target duration {:?} became {:?}", target(before), target(after))
    });
    let ((old_first, old), (new_first, new)) = (read(before), read(after));
    broken.unless(new_first >= old_first, "6.2.1", || {
        format!("MEDIA-SEQUENCE from {old_first} to {new_first}")
    });
    let gone = (new_first.saturating_sub(old_first) as usize).min(old.len());
    for (old, new) in old[gone..].iter().zip(&new) {
        broken.unless((&old.0, &old.1) == (&new.0, &new.1), "6.2.2", || format!("{old:?} became {new:?}"));
        broken.unless(old.2 == new.2, "6.2.1", || {
            format!("the discontinuity number of {old:?} became {}", new.2)
        });
        broken.unless(new.3 || !old.3, "4.4.4.7", || format!("the gap {old:?} has media again"));
    }
    broken.unless(new.len() >= old.len() - gone, "6.2.2", || "segments left at the end".to_owned());
    broken.0
}

/// Durations are written with five digits.
const ROUNDING: f64 = 0.000_05;

#[derive(Default)]
struct Broken(Vec<String>);

impl Broken {
    fn unless(&mut self, holds: bool, section: &str, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(format!("{section}: {}", what()));
        }
    }

    /// The lines, with what holds for all playlists checked.
    fn lines<'a>(&mut self, text: &'a str) -> Vec<&'a str> {
        let lines: Vec<&str> = text.lines().collect();
        self.unless(lines.first() == Some(&"#EXTM3U"), "4.1", || "no #EXTM3U at the front".to_owned());
        self.unless(!text.contains(|c: char| c.is_control() && c != '\n'), "4.1", || {
            "a control character".to_owned()
        });
        self.unless(lines.iter().all(|line| !line.is_empty()), "4.1", || "an empty line".to_owned());
        let versions = lines.iter().filter(|line| line.starts_with("#EXT-X-VERSION:")).count();
        self.unless(versions == 1, "4.4.1.2", || format!("{versions} versions"));
        for (tag, list) in lines.iter().filter_map(|line| line.split_once(':')) {
            let has_list = list.contains('=') && tag.starts_with("#EXT-X-");
            if let Err(why) = if has_list { check_list(list) } else { Ok(()) } {
                self.unless(false, "4.2", || format!("{why} in {tag}:{list}"));
            }
        }
        lines
    }
}

fn check_list(list: &str) -> Result<(), &'static str> {
    let (mut rest, mut names) = (list, BTreeSet::new());
    loop {
        let (name, after) = rest.split_once('=').ok_or("a name without a value")?;
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err("a name that is none");
        }
        if !names.insert(name) {
            return Err("a name twice");
        }
        let after = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("an open quote")?.1,
            None => &after[after.find(',').unwrap_or(after.len())..],
        };
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(()),
            None => return Err("text behind a quote"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEDIA: &str = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5,HOLD-BACK=6.0,CAN-SKIP-UNTIL=12.0\n\
        #EXT-X-PART-INF:PART-TARGET=0.500\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n\
        #EXT-X-MAP:URI=\"i.mp4\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x000102030405060708090a0b0c0d0e0f\n\
        #EXT-X-PROGRAM-DATE-TIME:2026-11-23T07:00:00.000Z\n#EXTINF:2.00000,\na.m4s\n#EXT-X-DISCONTINUITY\n\
        #EXT-X-PROGRAM-DATE-TIME:2026-11-23T07:00:02.000Z\n#EXT-X-PART:DURATION=0.50000,URI=\"b.0\"\n\
        #EXT-X-PART:DURATION=0.30000,URI=\"b.1\"\n#EXTINF:0.80000,\nb.m4s\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"c.0\"\n#EXT-X-RENDITION-REPORT:URI=\"x\",LAST-MSN=8,LAST-PART=1\n";

    #[test]
    fn a_media_playlist_that_keeps_the_rules_breaks_none_and_each_change_breaks_its_own() {
        assert_eq!(of_media(MEDIA), [""; 0]);
        for (from, to, section) in [
            ("#EXTM3U\n", "\u{feff}#EXTM3U\n", "4.1"),
            ("a.m4s\n", "a.m4s\n\n", "4.1"),
            ("TYPE=PART,", "TYPE=PART,TYPE=PART,", "4.2"),
            ("TYPE=PART,URI=\"c.0\"", "TYPE=PART,URI=\"c.0", "4.2"),
            ("#EXT-X-VERSION:9\n", "", "4.4.1.2"),
            ("#EXTINF:2.00000", "#EXTINF:2.50000", "4.4.3.1"),
            ("#EXT-X-TARGETDURATION:2\n", "", "4.4.3.1"),
            ("#EXT-X-SKIP", "#EXT-X-SKIP", ""),
            (",HOLD-BACK=6.0", ",HOLD-BACK=5.0", "4.4.3.8"),
            ("PART-HOLD-BACK=1.5", "PART-HOLD-BACK=0.9", "4.4.3.8"),
            ("SKIP-UNTIL=12.0", "SKIP-UNTIL=11.0", "4.4.3.8"),
            ("IV=0x00", "IV=0x", "4.4.4.4"),
            ("METHOD=AES-128,", "METHOD=NONE,", "4.4.4.4"),
            ("#EXT-X-MAP:URI=\"i.mp4\"\n", "", "4.4.4.5"),
            ("07:00:02.000Z", "07:00:02.000", "4.4.4.6"),
            ("DURATION=0.50000", "DURATION=0.40000", "4.4.4.9"),
            ("DURATION=0.50000", "DURATION=0.60000", "4.4.4.9"),
            ("URI=\"c.0\"", "URI=\"b.1\"", "4.4.5.3"),
            ("LAST-PART=1\n", "LAST-PART=1\n#EXT-X-ENDLIST\n", "4.4.5.3"),
            ("URI=\"x\",LAST", "URI=\"/x\",LAST", "4.4.5.4"),
            (",LAST-PART=1", "", "4.4.5.4"),
            ("#EXTINF:2.00000", "#EXT-X-GAP\n#EXTINF:2.00000", ""),
            ("#EXTINF:2.00000", "#EXT-X-GAP:YES\n#EXTINF:2.00000", "4.4.4.7"),
            ("#EXTINF:2.00000", "#EXT-X-GAP\n#EXT-X-GAP\n#EXTINF:2.00000", "4.4.4.7"),
            ("#EXT-X-PRELOAD", "#EXT-X-GAP\n#EXT-X-PRELOAD", "4.4.4.7"),
            ("URI=\"b.1\"", "URI=\"b.1\",GAP=YES", "4.4.4.9"),
            ("URI=\"b.1\"", "URI=\"b.1\",GAP=NO", "4.4.4.9"),
            ("SEQUENCE:7\n", "SEQUENCE:7\n#EXT-X-SKIP:SKIPPED-SEGMENTS=0\n", "4.4.5.2"),
        ] {
            let broken = of_media(&MEDIA.replacen(from, to, 1));
            let fits = if section.is_empty() {
                broken.is_empty()
            } else {
                broken.iter().any(|rule| rule.starts_with(section))
            };
            assert!(fits, "{from:?} to {to:?}: {broken:?}");
        }
    }

    #[test]
    fn a_multivariant_playlist_names_groups_that_it_has() {
        let text = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"s\",NAME=\"a\",DEFAULT=YES,URI=\"a\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=20,AVERAGE-BANDWIDTH=10,CODECS=\"x,y\",AUDIO=\"s\"\nv\n";
        assert_eq!(of_multivariant(text), [""; 0]);
        for (from, to, section) in [
            ("AUDIO=\"s\"", "AUDIO=\"t\"", "4.4.6.2"),
            ("AVERAGE-BANDWIDTH=10", "AVERAGE-BANDWIDTH=30", "4.4.6.2"),
            (",CODECS=\"x,y\"", "", "4.4.6.2"),
            ("\nv\n", "\n", "4.4.6.2"),
            (",URI=\"a\"", "", "4.4.6.1"),
            ("\nv\n", "\nv\n#EXTINF:1,\nx\n", "4.4.6"),
        ] {
            let broken = of_multivariant(&text.replacen(from, to, 1));
            assert!(broken.iter().any(|rule| rule.starts_with(section)), "{from:?} to {to:?}: {broken:?}");
        }
    }

    #[test]
    fn a_playlist_changes_at_its_ends_only() {
        let later = MEDIA
            .replace("#EXT-X-PROGRAM-DATE-TIME:2026-11-23T07:00:00.000Z\n#EXTINF:2.00000,\na.m4s\n#EXT-X-DISCONTINUITY\n", "")
            .replace("MEDIA-SEQUENCE:7", "MEDIA-SEQUENCE:8")
            .replace("DISCONTINUITY-SEQUENCE:1", "DISCONTINUITY-SEQUENCE:2");
        assert_eq!(of_change(MEDIA, &later), [""; 0]);
        let lost = later.replace("#EXTINF:0.8", "#EXT-X-GAP\n#EXTINF:0.8");
        assert_eq!(of_change(&later, &lost), [""; 0]);
        assert!(of_change(&lost, &later)[0].starts_with("4.4.4.7"));
        for (wrong, section) in [
            (later.replace("DISCONTINUITY-SEQUENCE:2", "DISCONTINUITY-SEQUENCE:1"), "6.2.1"),
            (later.replace("MEDIA-SEQUENCE:8", "MEDIA-SEQUENCE:6"), "6.2.1"),
            (later.replace("b.m4s", "c.m4s"), "6.2.2"),
            (later.replace("TARGETDURATION:2", "TARGETDURATION:1"), "4.4.3.1"),
            (later.replace("0.80000", "0.90000"), "6.2.2"),
            (MEDIA.replace("#EXTINF:0.80000,\nb.m4s\n", ""), "6.2.2"),
        ] {
            let broken = of_change(MEDIA, &wrong);
            assert!(broken.iter().any(|rule| rule.starts_with(section)), "{section}: {broken:?}");
        }
    }
}
