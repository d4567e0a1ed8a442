//! Where a configuration comes from: defaults, then a file, then the environment, then flags. Later ones win.
//!
//! The layers are merged as TOML values before they become a [`Config`]. Each value is tried on its own first, so that
//! an error names the place it comes from (`rushlight.toml:12`, an environment variable, a flag) and the key, and all
//! errors are shown at once.

mod file;
mod keys;
mod print;

pub(crate) use print::print;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use gateway::Config;
use serde::Deserialize;
use toml::{Table, Value};

/// The prefix of environment variables: `RUSHLIGHT_HTTP__LISTEN` is `http.listen`.
pub(crate) const PREFIX: &str = "RUSHLIGHT_";
/// Not a setting but the name of the file, read by the flag of the same name.
const CONFIG_VARIABLE: &str = "RUSHLIGHT_CONFIG";

/// Files that are read if no other is named, the first that exists.
const FILES: [&str; 2] = ["rushlight.toml", "/etc/rushlight.toml"];

/// What the loader looks at.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The file that was named.
    pub(crate) file: Option<PathBuf>,
    /// The environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Flags: as written, the key they set, and the value.
    pub(crate) flags: Vec<Flag>,
}

/// A flag that sets a key.
#[derive(Debug, Clone)]
pub(crate) struct Flag {
    /// As the user wrote it, for messages: `--http-listen`.
    pub(crate) name: String,
    /// The dotted key.
    pub(crate) key: String,
    /// The value, as text.
    pub(crate) value: String,
}

/// A configuration and where it comes from.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The configuration, complete and valid.
    pub(crate) config: Config,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where it comes from: `rushlight.toml:12`, `RUSHLIGHT_HTTP__LISTEN`, `--set`.
    place: String,
    /// The dotted key, if it is about one.
    key: Option<String>,
    /// What is wrong.
    message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{}: {key}: {}", self.place, self.message),
            None => write!(f, "{}: {}", self.place, self.message),
        }
    }
}

/// Reads all layers.
pub(crate) fn load(sources: &Sources) -> Result<Loaded, Vec<Problem>> {
    let mut layers = Layers::default();
    let file = match &sources.file {
        Some(file) => Some(file.clone()),
        None => FILES.iter().map(PathBuf::from).find(|file| file.is_file()),
    };
    if let Some(file) = &file {
        layers.add_file(file);
    }
    layers.add_environment(&sources.environment);
    for flag in &sources.flags {
        layers.add_text(&flag.name, &flag.key, &flag.value);
    }
    layers.finish().map(|config| Loaded { config, file })
}

/// The layers merged so far.
#[derive(Debug, Default)]
struct Layers {
    merged: Table,
    /// Where each value comes from, by dotted key. Sections and lists of tables have entries for their parts.
    places: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl Layers {
    fn problem(&mut self, place: &str, key: Option<&str>, message: impl Into<String>) {
        self.problems.push(Problem {
            place: place.to_owned(),
            key: key.map(str::to_owned),
            message: message.into(),
        });
    }

    fn add_file(&mut self, path: &Path) {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => self.add_file_text(&name, &text),
            Err(error) => self.problem(&name, None, format!("cannot be read: {error}")),
        }
    }

    fn add_file_text(&mut self, name: &str, text: &str) {
        let settings = match file::read(name, text) {
            Ok(settings) => settings,
            Err(problem) => return self.problems.push(problem),
        };
        for setting in settings {
            match setting.value {
                // The parts of a value that is set as a whole: only where they stand is of interest.
                None => drop(self.places.insert(setting.key, setting.place)),
                Some(value) => self.add_value(&setting.place, &setting.key, value),
            }
        }
    }

    fn add_environment(&mut self, environment: &[(String, String)]) {
        for (name, value) in environment {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            if name == CONFIG_VARIABLE {
                continue;
            }
            let key = rest.to_ascii_lowercase().replace("__", ".");
            if keys::is_known(&key) {
                self.add_text(name, &key, value);
            } else if key.contains('.') {
                self.problem(name, None, format!("unknown setting{}", keys::suggest(&key).as_variable()));
            } else if let Some(meant) = keys::same_letters(&key) {
                let meant = keys::variable(&meant);
                self.problem(name, None, format!("unknown setting, did you mean {meant}?"));
            }
            // Other names are not ours to judge: a container platform that runs a service called "rushlight" sets
            // RUSHLIGHT_PORT and the like by itself.
        }
    }

    /// Adds a value that comes as text: a string, a TOML value, or a list of strings with commas, whichever fits.
    fn add_text(&mut self, place: &str, key: &str, text: &str) {
        if !keys::is_known(key) {
            return self.problem(place, Some(key), format!("unknown key{}", keys::suggest(key)));
        }
        let string = Value::String(text.to_owned());
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let list = Value::Array(items.map(|item| Value::String(item.to_owned())).collect());
        let parsed =
            toml::from_str::<Table>(&format!("value = {text}")).ok().and_then(|mut t| t.remove("value"));
        let wanted = match fits(key, &string) {
            Ok(()) => return self.insert(place, key, string),
            Err(message) => message,
        };
        if let Some(value) = parsed {
            return self.add_value(place, key, value);
        }
        if wanted.contains("a sequence") {
            return self.add_value(place, key, list);
        }
        self.problem(place, Some(key), wanted);
    }

    fn add_value(&mut self, place: &str, key: &str, value: Value) {
        if !keys::is_known(key) {
            let message = match keys::section(key) {
                Some(_) => format!("is a section, not a value: write [{key}] and its keys below"),
                None => format!("unknown key{}", keys::suggest(key)),
            };
            return self.problem(place, Some(key), message);
        }
        match fits(key, &value) {
            Ok(()) => self.insert(place, key, value),
            Err(message) => self.problem(place, Some(key), message),
        }
    }

    fn insert(&mut self, place: &str, key: &str, value: Value) {
        let parts = |known: &str| known.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        // Parts that were noted by this very place belong to the value that is coming.
        self.places.retain(|known, at| !parts(known) || same_source(at, place));
        self.places.insert(key.to_owned(), place.to_owned());
        nest(&mut self.merged, key, value);
    }

    /// Where the value of `key` comes from: that of the key itself, or of what it is a part of.
    fn place(&self, key: &str) -> &str {
        let mut key = key;
        loop {
            if let Some(place) = self.places.get(key) {
                return place;
            }
            match key.rsplit_once('.') {
                Some((parent, _)) => key = parent,
                None => return "defaults",
            }
        }
    }

    fn finish(mut self) -> Result<Config, Vec<Problem>> {
        let config = match Config::deserialize(self.merged.clone()) {
            Ok(config) => config,
            Err(error) => {
                // Every value fits by itself, so together they do as well; but if not, this must not pass.
                self.problem("settings", None, error.message());
                return Err(self.problems);
            }
        };
        if let Err(invalid) = config.validate() {
            for invalid in invalid {
                let place = self.place(&invalid.key).to_owned();
                self.problem(&place, Some(&invalid.key), invalid.message);
            }
        }
        if self.problems.is_empty() { Ok(config) } else { Err(self.problems) }
    }
}

/// `rushlight.toml:12` and `rushlight.toml:30` are the same source.
fn same_source(a: &str, b: &str) -> bool {
    let source = |place: &str| place.rsplit_once(':').map_or(place, |(name, _)| name).to_owned();
    source(a) == source(b)
}

/// Whether a configuration takes `value` for `key`; if not, what it says.
fn fits(key: &str, value: &Value) -> Result<(), String> {
    let mut table = Table::new();
    nest(&mut table, key, value.clone());
    match Config::deserialize(table) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.message().trim().to_owned()),
    }
}

/// Sets a dotted key.
fn nest(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => drop(table.insert(key.to_owned(), value)),
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                nest(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
