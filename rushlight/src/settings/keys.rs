//! The keys that exist, and which one somebody may have meant.

use std::fmt;

use gateway::Config;
use gateway::config::SectionDoc;

use super::PREFIX;

/// The section called `name`, `""` being the top level.
pub(super) fn section(name: &str) -> Option<SectionDoc> {
    Config::sections().into_iter().find(|section| section.name == name)
}

/// `section.key`, or `key` at the top level.
pub(super) fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// All keys that can be set, dotted. A list of tables is one: its entries are set as a whole.
pub(super) fn all() -> impl Iterator<Item = String> {
    let sections = Config::sections().into_iter().filter(|section| !section.list);
    sections.flat_map(|section| {
        let keys = section.keys.iter().map(move |(key, _)| join(section.name, key));
        keys.filter(|key| self::section(key).is_none_or(|section| section.list))
    })
}

pub(super) fn is_known(key: &str) -> bool {
    all().any(|known| known == key)
}

/// The environment variable that sets `key`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

/// The key that differs from `key` only in dots and underscores.
pub(super) fn same_letters(key: &str) -> Option<String> {
    let letters = |text: &str| text.replace(['.', '_'], "");
    all().find(|known| letters(known) == letters(key))
}

/// What may have been meant by an unknown key. Displays as the end of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suggestion {
    /// Full keys.
    keys: Vec<String>,
    /// The section that all of them and the unknown key are in; left out when shown.
    section: Option<String>,
}

impl Suggestion {
    /// The same with names of environment variables.
    pub(super) fn as_variable(&self) -> String {
        Suggestion { keys: self.keys.iter().map(|key| variable(key)).collect(), section: None }.to_string()
    }
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |key: &String| match &self.section {
            Some(section) => key.strip_prefix(&format!("{section}.")).unwrap_or(key).to_owned(),
            None => key.clone(),
        };
        let names: Vec<_> = self.keys.iter().map(short).collect();
        match names.as_slice() {
            [] => write!(f, "; `rushlight config --defaults` lists all"),
            names => write!(f, ", did you mean {}?", names.join(" or ")),
        }
    }
}

/// Keys that resemble `key`: a neighbour with a few letters changed, or one of the same name in another section.
pub(super) fn suggest(key: &str) -> Suggestion {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let allowed = (name.len() / 3).clamp(1, 3);
    if let Some(doc) = self::section(section) {
        let near = doc.keys.iter().map(|(known, _)| (distance(name, known), *known));
        if let Some((_, known)) = near.filter(|(distance, _)| *distance <= allowed).min() {
            let section = (!section.is_empty()).then(|| section.to_owned());
            return Suggestion { keys: vec![join(section.as_deref().unwrap_or(""), known)], section };
        }
    }
    // The section may be misspelt, or the key may have been written in the wrong one.
    let same_name = |known: &String| known.rsplit('.').next() == Some(name);
    let nearest = all().map(|known| distance(key, &known)).min().unwrap_or(usize::MAX);
    let mut keys: Vec<_> = all().filter(|known| distance(key, known) == nearest).collect();
    if nearest > allowed {
        keys = all().filter(same_name).collect();
    }
    Suggestion { keys, section: None }
}

/// How many letters must be inserted, removed or replaced to get from `a` to `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_letters() {
        assert_eq!((distance("lisen", "listen"), distance("", "abc"), distance("same", "same")), (1, 3, 0));
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_misspelt_key_finds_its_neighbour_and_a_lost_one_its_section() {
        assert_eq!(suggest("http.lisen").to_string(), ", did you mean listen?");
        assert_eq!(suggest("htp.listen").to_string(), ", did you mean http.listen?");
        assert_eq!(
            suggest("listen").to_string(),
            ", did you mean rtmp.listen or rtmps.listen or http.listen or https.listen?"
        );
        assert_eq!(suggest("hub.pase").as_variable(), ", did you mean RUSHLIGHT_HUB__PACE?");
        assert_eq!(suggest("http.qqqqqq").to_string(), "; `rushlight config --defaults` lists all");
    }

    #[test]
    fn sections_are_no_keys() {
        assert!(is_known("data_dir") && is_known("access.channel") && is_known("hub.grace_ms"));
        assert!(!is_known("http") && !is_known("access.channel.name") && !is_known(""));
    }
}
