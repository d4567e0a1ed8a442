//! What a caller says that it wants: free text, or the standard form `#!::r=live/cam,m=publish` (draft appendix B).

use crate::{Error, limits};

/// A stream id. Keys of the standard form are there if it has that form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamId {
    text: String,
    pairs: Option<Vec<(String, String)>>,
}

/// What a caller wants to do (`m`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Receive; what is meant where nothing is said.
    Request,
    /// Send.
    Publish,
    /// Both.
    Bidirectional,
}

impl StreamId {
    /// Reads a stream id. Text that came out of an address with its percent signs (`%23!::r%3Dcam`), as some programs send it,
    /// is decoded first; any other percent sign is a character like others.
    ///
    /// # Errors
    ///
    /// `Violation` if it is longer than [`limits::STREAM_ID_BYTES_MAX`] bytes or has too many keys; `Malformed` if it begins as
    /// the standard form does and does not go on like that, or has control characters.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > limits::STREAM_ID_BYTES_MAX {
            return Err(Error::Violation("the stream id is too long"));
        }
        let text = match text.get(..4) {
            Some(head) if head.eq_ignore_ascii_case("%23!") || head.eq_ignore_ascii_case("%23%") => {
                percent_decoded(text).ok_or(Error::Malformed("percent signs of the stream id"))?
            }
            _ => text.to_owned(),
        };
        if text.chars().any(char::is_control) {
            return Err(Error::Malformed("control characters in the stream id"));
        }
        let pairs = match text.strip_prefix("#!:") {
            None => None,
            Some(content) => Some(read_pairs(content)?),
        };
        Ok(Self { text, pairs })
    }

    /// The whole text, decoded where it had to be.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it has the standard form.
    pub fn is_standard(&self) -> bool {
        self.pairs.is_some()
    }

    /// The value of a key of the standard form; the first if it comes twice.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.as_ref()?.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// All keys and values of the standard form, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The resource (`r`) of the standard form, and otherwise the whole text.
    pub fn resource(&self) -> Option<&str> {
        if self.is_standard() {
            self.get("r")
        } else {
            Some(&self.text).filter(|text| !text.is_empty()).map(|text| text.as_str())
        }
    }

    /// What the caller wants to do. `None` if it says nothing that is defined: in the free form nothing is ever said.
    pub fn mode(&self) -> Option<Mode> {
        match (self.is_standard(), self.get("m")) {
            (true, None | Some("request")) => Some(Mode::Request),
            (true, Some("publish")) => Some(Mode::Publish),
            (true, Some("bidirectional")) => Some(Mode::Bidirectional),
            _ => None,
        }
    }
}

fn read_pairs(content: &str) -> Result<Vec<(String, String)>, Error> {
    let content = match content.as_bytes().first() {
        Some(b':') => &content[1..],
        // Nested blocks are of one level only where they are used at all.
        Some(b'{') => {
            content[1..].strip_suffix('}').ok_or(Error::Malformed("the block of a stream id does not end"))?
        }
        _ => return Err(Error::Malformed("the form of the stream id is unknown")),
    };
    let mut pairs = Vec::new();
    for pair in content.split(',').filter(|pair| !pair.is_empty()) {
        let (key, value) =
            pair.split_once('=').ok_or(Error::Malformed("a key of the stream id has no value"))?;
        if key.is_empty() || value.contains(['{', '}']) {
            return Err(Error::Malformed("a key of the stream id"));
        }
        if pairs.len() >= limits::STREAM_ID_KEYS_MAX {
            return Err(Error::Violation("the stream id has too many keys"));
        }
        pairs.push((key.to_owned(), value.to_owned()));
    }
    Ok(pairs)
}

/// RFC 3986 section 2.1. `None` if what comes out is not UTF-8 or a percent sign stands for itself.
fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        out.push(match byte {
            b'%' => (digit(bytes.next())? * 16 + digit(bytes.next())?) as u8,
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_draft_are_read() {
        let id = StreamId::parse("#!::u=johnny,t=file,m=publish,r=results.csv").unwrap();
        assert_eq!(
            (id.get("u"), id.get("t"), id.resource()),
            (Some("johnny"), Some("file"), Some("results.csv"))
        );
        assert_eq!((id.mode(), id.get("s")), (Some(Mode::Publish), None));
        let id = StreamId::parse("#!::u=admin,r=bluesbrothers1_hi").unwrap();
        assert_eq!((id.mode(), id.resource()), (Some(Mode::Request), Some("bluesbrothers1_hi")));
        let id = StreamId::parse("#!:{r=videos/query.php?vid=366,m=bidirectional}").unwrap();
        assert_eq!((id.mode(), id.resource()), (Some(Mode::Bidirectional), Some("videos/query.php?vid=366")));
    }

    #[test]
    fn free_text_is_a_resource_and_says_no_mode() {
        let id = StreamId::parse("publish:live/cam?key=50%").unwrap();
        assert_eq!(
            (id.resource(), id.mode(), id.is_standard()),
            (Some("publish:live/cam?key=50%"), None, false)
        );
        assert_eq!(StreamId::parse("").unwrap().resource(), None);
        assert_eq!(StreamId::parse("živě/kamera").unwrap().resource(), Some("živě/kamera"));
    }

    #[test]
    fn a_standard_form_that_came_out_of_an_address_is_decoded() {
        for text in ["%23!::r%3Dlive%2Fcam,m=publish", "%23%21%3A%3Ar%3Dlive/cam%2Cm%3Dpublish"] {
            let id = StreamId::parse(text).unwrap();
            assert_eq!((id.resource(), id.mode()), (Some("live/cam"), Some(Mode::Publish)));
        }
        assert!(StreamId::parse("%23!::r=%f").is_err());
        assert!(StreamId::parse("%23!::r=%ff").is_err());
    }

    #[test]
    fn what_is_not_a_stream_id_is_refused() {
        let long = "x".repeat(513);
        for text in ["#!:", "#!:x", "#!::r", "#!::=x", "#!:{r=x", "#!::r={a=b}", "a\nb", &long] {
            assert!(StreamId::parse(text).is_err(), "{text}");
        }
        assert!(StreamId::parse(&format!("#!::{}", "a=b,".repeat(33))).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(%23!|#!:)?:?\\PC{0,80}") {
            if let Ok(id) = StreamId::parse(&text) {
                prop_assert!(id.as_str().len() <= text.len());
                let again = StreamId::parse(id.as_str());
                prop_assert!(id.as_str().starts_with("%23") || again == Ok(id));
            }
        }
    }
}
