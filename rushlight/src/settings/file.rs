//! A configuration file, taken apart into settings that know their line.

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::{Problem, keys};

/// One key of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    /// Dotted; entries of lists are numbered.
    pub(super) key: String,
    /// `rushlight.toml:12`.
    pub(super) place: String,
    /// `None` marks a part of a value that is set as a whole, noted for its place.
    pub(super) value: Option<Value>,
}

/// Takes `text`, which is called `name`, apart.
pub(super) fn read(name: &str, text: &str) -> Result<Vec<Setting>, Problem> {
    let wrong = |error: toml::de::Error| {
        let place = error.span().map_or_else(|| name.to_owned(), |span| place(name, text, span.start));
        Problem { place, key: None, message: error.message().trim().replace('\n', ", ") }
    };
    let spans = DeTable::parse(text).map_err(wrong)?;
    let values: Table = toml::from_str(text).map_err(wrong)?;
    let mut walk = Walk { name, text, settings: Vec::new() };
    walk.table("", spans.get_ref(), &values);
    Ok(walk.settings)
}

struct Walk<'a> {
    name: &'a str,
    text: &'a str,
    settings: Vec<Setting>,
}

impl Walk<'_> {
    /// Goes through a table twice over: once with positions, once with values.
    fn table(&mut self, section: &str, spans: &DeTable<'_>, values: &Table) {
        for (name, span) in spans {
            let Some(value) = values.get(name.get_ref().as_ref()) else { continue };
            let key = keys::join(section, name.get_ref());
            let at = name.span().start;
            match (span.get_ref(), value) {
                (DeValue::Table(spans), Value::Table(values)) if keys::section(&key).is_some() => {
                    self.table(&key, spans, values);
                }
                (DeValue::Array(spans), Value::Array(values)) if keys::section(&key).is_some() => {
                    self.list(&key, at, spans, values);
                }
                (_, value) => {
                    self.parts(&key, span, value);
                    self.note(key, at, Some(value.clone()));
                }
            }
        }
    }

    /// A list of tables. Entries with a mistake are given as settings of their own, under a key that does not exist or with
    /// a value that does not fit, so that the message has the right line; the others make up the list.
    fn list(&mut self, key: &str, at: usize, spans: &[Spanned<DeValue<'_>>], values: &[Value]) {
        let mut good = Vec::new();
        for (index, (span, value)) in spans.iter().zip(values).enumerate() {
            let entry = format!("{key}.{index}");
            self.note(entry.clone(), span.span().start, None);
            let (DeValue::Table(spans), Value::Table(values)) = (span.get_ref(), value) else {
                self.note(key.to_owned(), span.span().start, Some(Value::Array(vec![value.clone()])));
                continue;
            };
            let mut sound = true;
            for (name, span) in spans {
                let (part, at) = (format!("{entry}.{}", name.get_ref()), name.span().start);
                let Some(value) = values.get(name.get_ref().as_ref()) else { continue };
                let known =
                    keys::section(key).is_some_and(|s| s.keys.iter().any(|(k, _)| k == name.get_ref()));
                let alone = Value::Array(vec![Value::Table(Table::from_iter([(
                    name.get_ref().to_string(),
                    value.clone(),
                )]))]);
                if !known {
                    sound = false;
                    self.note(keys::join(key, name.get_ref()), at, Some(value.clone()));
                } else if super::fits(key, &alone).is_err() {
                    sound = false;
                    self.note(key.to_owned(), at, Some(alone));
                } else {
                    self.note(part, span.span().start, None);
                }
            }
            if sound {
                good.push(value.clone());
            }
        }
        self.note(key.to_owned(), at, Some(Value::Array(good)));
    }

    /// Where the entries of a plain list stand.
    fn parts(&mut self, key: &str, span: &Spanned<DeValue<'_>>, value: &Value) {
        let (DeValue::Array(spans), Value::Array(_)) = (span.get_ref(), value) else { return };
        for (index, span) in spans.iter().enumerate() {
            self.note(format!("{key}.{index}"), span.span().start, None);
        }
    }

    fn note(&mut self, key: String, at: usize, value: Option<Value>) {
        let place = place(self.name, self.text, at);
        self.settings.push(Setting { key, place, value });
    }
}

/// `name:LINE` of the byte at `at`.
fn place(name: &str, text: &str, at: usize) -> String {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
    format!("{name}:{line}")
}
