//! How rungs are called: `live/cam~480p` is the rung `480p` of `live/cam`. Pure.

use crate::config::{Ladder, TranscodeConfig};
use engine::ladder;
use media::StreamName;

/// Between the name of a channel and that of its rung.
pub(crate) const SEPARATOR: char = '~';

/// The name of a rung, if it is not too long for one.
pub(crate) fn rung_name(base: &StreamName, rung: &str) -> Option<StreamName> {
    StreamName::parse(base.app(), &format!("{}{SEPARATOR}{rung}", base.channel())).ok()
}

/// Which names are those of rungs. It depends on the configuration alone, so that a name means the same whether or not its
/// stream is there.
#[derive(Debug, Clone, Default)]
pub struct Rungs(TranscodeConfig);

impl Rungs {
    /// The rungs of a configuration that was found valid.
    pub(crate) fn new(config: &TranscodeConfig) -> Self {
        Self(config.clone())
    }

    /// The stream that `name` is a rung of, and what the rung is called.
    pub(crate) fn of<'a>(&self, name: &'a StreamName) -> Option<(StreamName, &'a str)> {
        let (channel, rung) = name.channel().rsplit_once(SEPARATOR)?;
        let base = StreamName::parse(name.app(), channel).ok()?;
        // A rung has no rungs.
        if self.0.enabled && self.of(&base).is_some() {
            return None;
        }
        let is_known = match self.0.ladder_of(&base)? {
            Ladder::Auto => ladder::standard(rung).is_some(),
            Ladder::Named(rungs) => rungs.iter().any(|known| known == rung),
        };
        is_known.then_some((base, rung))
    }

    /// Whether `name` is that of a rung.
    pub(crate) fn has(&self, name: &StreamName) -> bool {
        self.of(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{TranscodeRule, parse_channel};

    fn of(rungs: &Rungs, name: &str) -> Option<(String, String)> {
        let name = parse_channel(name).unwrap();
        rungs.of(&name).map(|(base, rung)| (base.to_string(), rung.to_owned()))
    }

    fn some(base: &str, rung: &str) -> Option<(String, String)> {
        Some((base.to_owned(), rung.to_owned()))
    }

    #[test]
    fn a_rung_is_known_by_its_name() {
        let rungs = Rungs::new(&TranscodeConfig::default());
        assert_eq!(of(&rungs, "live/cam~480p"), some("live/cam", "480p"));
        assert_eq!(of(&rungs, "live/my~cam~join"), some("live/my~cam", "join"));
        for name in ["live/cam", "live/cam~", "live/~480p", "live/cam~481p", "live/cam~480p~360p"] {
            assert_eq!(of(&rungs, name), None, "{name}");
        }
        let name = rung_name(&parse_channel("live/cam").unwrap(), "480p").unwrap();
        assert_eq!(name.as_str(), "live/cam~480p");
        assert_eq!(rung_name(&parse_channel(&format!("live/{}", "a".repeat(128))).unwrap(), "480p"), None);
    }

    #[test]
    fn only_what_rules_name_is_a_rung() {
        let rule =
            TranscodeRule { stream: "live/*".to_owned(), ladder: Ladder::Named(vec!["360p".to_owned()]) };
        let config = TranscodeConfig { rule: vec![rule], ..TranscodeConfig::default() };
        let rungs = Rungs::new(&config);
        assert_eq!(of(&rungs, "live/cam~360p"), some("live/cam", "360p"));
        assert_eq!((of(&rungs, "live/cam~480p"), of(&rungs, "tv/cam~360p")), (None, None));
        let off = Rungs::new(&TranscodeConfig { enabled: false, ..config });
        assert_eq!((of(&off, "live/cam~360p"), of(&Rungs::default(), "live/cam")), (None, None));
    }
}
