//! A configuration as the documented file that would give it.

use std::fmt::Write;

use gateway::Config;
use gateway::config::SectionDoc;
use toml::{Table, Value};

use super::keys;

/// What stands where a key is not set, as an example.
const EXAMPLES: [(&str, &str); 21] = [
    ("rtmp.swf.hash", "\"64-hexadecimal-digits\""),
    ("rtmp.swf.size", "123456"),
    ("rtmp.redirect.app", "\"old\""),
    ("rtmp.redirect.to", "\"rtmp://host/app\""),
    ("access.publish_key", "\"a-long-random-text\""),
    ("access.play_key", "\"another-long-random-text\""),
    ("access.operator_token", "\"a-third-long-random-text\""),
    ("access.channel.name", "\"live/name\""),
    ("access.channel.publish_key", "\"a-key-for-this-channel\""),
    ("access.channel.play_key", "\"a-key-for-its-viewers\""),
    ("relay.ca_file", "\"ca.pem\""),
    ("relay.push.stream", "\"live/name\""),
    ("relay.push.url", "\"rtmp://host/app/key\""),
    ("relay.push.name", "\"host\""),
    ("relay.pull.stream", "\"live/*\""),
    ("relay.pull.url", "\"rtmp://host/live/{channel}\""),
    ("relay.pull.backups", "[\"rtmp://other/live/{channel}\"]"),
    ("transcode.template.watermark", "{ image = \"logo.png\" }"),
    ("relay.pull.mode", "\"on-demand\""),
    ("relay.pull.backups_connected", "false"),
    ("relay.pull.switch_back", "true"),
];

/// The text of `config`, with what each key means.
pub(crate) fn print(config: &Config) -> String {
    // A configuration has string keys and plain values only, which TOML can all express.
    let values = Table::try_from(config).unwrap_or_default();
    let mut out = String::from(
        "# Configuration of Rushlight. Every key may be left out; what stands here is what counts.\n\
         # Environment variables are over the file (http.listen is RUSHLIGHT_HTTP__LISTEN), flags over both.\n",
    );
    for section in Config::sections() {
        if section.list {
            entries(&mut out, &section, &values);
            continue;
        }
        comment(&mut out, "\n# ", section.about.iter().filter(|_| !section.name.is_empty()));
        if !section.name.is_empty() {
            let _ = writeln!(out, "[{}]", section.name);
        }
        let table = lookup(&values, section.name).and_then(Value::as_table);
        keys_of(&mut out, &section, if section.name.is_empty() { Some(&values) } else { table }, "");
    }
    out
}

fn keys_of(out: &mut String, section: &SectionDoc, values: Option<&Table>, prefix: &str) {
    for (key, doc) in section.keys {
        let full = keys::join(section.name, key);
        if keys::section(&full).is_some() {
            continue;
        }
        comment(out, &format!("{prefix}# "), doc.iter());
        match values.and_then(|values| values.get(*key)) {
            Some(value) => drop(writeln!(out, "{prefix}{key} = {value}")),
            None => {
                let example =
                    EXAMPLES.iter().find(|(known, _)| *known == full).map_or("\"\"", |(_, value)| value);
                let _ = writeln!(out, "# {key} = {example}");
            }
        }
    }
}

/// The entries of a list, or an example of one.
fn entries(out: &mut String, section: &SectionDoc, values: &Table) {
    let entries = lookup(values, section.name).and_then(Value::as_array);
    comment(out, "\n# ", section.about.iter());
    match entries.filter(|entries| !entries.is_empty()) {
        Some(entries) => {
            for entry in entries {
                let _ = writeln!(out, "[[{}]]", section.name);
                keys_of(out, section, entry.as_table(), "");
            }
        }
        None => {
            let _ = writeln!(out, "# [[{}]]", section.name);
            keys_of(out, section, None, "");
        }
    }
}

fn comment<'a>(out: &mut String, start: &str, lines: impl Iterator<Item = &'a &'static str>) {
    let mut start = start;
    for line in lines {
        let _ = writeln!(out, "{start}{}", line.trim());
        start = start.trim_start_matches('\n');
    }
}

fn lookup<'a>(values: &'a Table, key: &str) -> Option<&'a Value> {
    let mut parts = key.split('.');
    let first = values.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}
