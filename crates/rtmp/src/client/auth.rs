//! The two ways in which servers ask publishers for a name and a password: Adobe's, and Limelight's, which follows HTTP
//! Digest (RFC 2617). There is no public text; implementations agree on this.
//!
//! ```text
//! connect app                                                 ──▶
//!                    ◀── _error  code=403 need auth; authmod=adobe      and the server closes
//! connect app?authmod=adobe&user=U                            ──▶
//!                    ◀── _error  ?reason=needauth&user=U&salt=S&challenge=C&opaque=O      closes
//! connect app?authmod=adobe&user=U&challenge=N&response=R&opaque=O  ──▶
//! ```
//!
//! The texts are in the description of the refusal. Limelight sends `authmod=llnw` and a `nonce`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

/// A name and a password for servers that ask for them in `connect`, and how far the asking is.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    user: String,
    password: String,
    state: State,
}

#[derive(Clone, PartialEq, Eq)]
enum State {
    /// No server has asked.
    Idle,
    /// What the next `connect` says: who we are.
    Named(String),
    /// And that we know the password.
    Answered(String),
}

impl Auth {
    /// Credentials that no server has asked for yet.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: password.into(), state: State::Idle }
    }

    /// `url`, the application or its `tcUrl`, with what the server asked for.
    pub(super) fn append_to(&self, url: &str) -> String {
        match &self.state {
            State::Idle => url.to_owned(),
            State::Named(query) | State::Answered(query) => {
                let separator = if url.contains('?') { '&' } else { '?' };
                format!("{url}{separator}{query}")
            }
        }
    }

    /// The same credentials as an answer to a refusal; `None` if it asks for nothing, or for what it had already.
    /// `app` is without what [`Auth::append_to`] adds, `nonce` is another one for each connection.
    pub(super) fn answer(&self, app: &str, description: &str, nonce: &str) -> Option<Self> {
        let (_, scheme) = description.split_once("authmod=")?;
        let scheme = [Scheme::Adobe, Scheme::Limelight]
            .into_iter()
            .find(|known| scheme.starts_with(known.as_str()))?;
        let start = format!("authmod={}&user=", scheme.as_str());
        let state = match (description.split_once("?reason=needauth"), &self.state) {
            (None, State::Idle) if description.contains("code=403 need auth") => {
                State::Named(start + &self.user)
            }
            (Some((_, challenge)), State::Idle | State::Named(_)) => {
                let challenge = Challenge::read(challenge);
                let rest = match scheme {
                    Scheme::Adobe => self.adobe(&challenge, nonce),
                    Scheme::Limelight => self.limelight(&challenge, app, nonce),
                };
                State::Answered(format!("{start}{}&{rest}", self.name_in(&challenge)))
            }
            _ => return None,
        };
        Some(Self { state, ..self.clone() })
    }

    fn name_in<'a>(&'a self, challenge: &Challenge<'a>) -> &'a str {
        if challenge.user.is_empty() { &self.user } else { challenge.user }
    }

    fn adobe(&self, challenge: &Challenge<'_>, nonce: &str) -> String {
        let base64 = |parts: &[&str]| STANDARD.encode(md5(parts));
        let password = base64(&[self.name_in(challenge), challenge.salt, &self.password]);
        let asked = challenge.opaque.unwrap_or(challenge.challenge);
        let response = base64(&[&password, asked, nonce]);
        let opaque = challenge.opaque.map(|opaque| format!("&opaque={opaque}")).unwrap_or_default();
        format!("challenge={nonce}&response={response}{opaque}")
    }

    fn limelight(&self, challenge: &Challenge<'_>, app: &str, nonce: &str) -> String {
        let hex = |parts: &[&str]| md5(parts).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let app = app.split('?').next().unwrap_or_default();
        let instance = if app.contains('/') { "" } else { "/_definst_" };
        let who = hex(&[self.name_in(challenge), ":live:", &self.password]);
        let what = hex(&["publish:/", app, instance]);
        let response = hex(&[&who, ":", challenge.nonce, ":00000001:", nonce, ":auth:", &what]);
        format!("nonce={}&cnonce={nonce}&nc=00000001&response={response}", challenge.nonce)
    }
}

/// Credentials belong into no log.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum Scheme {
    Adobe,
    Limelight,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Adobe => "adobe",
            Self::Limelight => "llnw",
        }
    }
}

/// The parameters of a question; what is missing is empty.
#[derive(Default)]
struct Challenge<'a> {
    user: &'a str,
    salt: &'a str,
    opaque: Option<&'a str>,
    challenge: &'a str,
    nonce: &'a str,
}

impl<'a> Challenge<'a> {
    fn read(text: &'a str) -> Self {
        let mut challenge = Self::default();
        let text = text.split_whitespace().next().unwrap_or_default();
        for (key, value) in text.split('&').filter_map(|parameter| parameter.split_once('=')) {
            match key {
                "user" => challenge.user = value,
                "salt" => challenge.salt = value,
                "opaque" => challenge.opaque = Some(value),
                "challenge" => challenge.challenge = value,
                "nonce" => challenge.nonce = value,
                _ => {}
            }
        }
        challenge
    }
}

fn md5(parts: &[&str]) -> [u8; 16] {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(part);
    }
    md5.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEED_ADOBE: &str = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
    const NEED_LIMELIGHT: &str = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=llnw ] : ";

    fn credentials() -> Auth {
        Auth::new("me", "secret")
    }

    /// What is appended to `live` in answer to `descriptions`, one after the other.
    fn answers(app: &str, descriptions: &[&str]) -> Option<String> {
        let mut auth = credentials();
        for description in descriptions {
            auth = auth.answer(app, description, "01234567")?;
        }
        Some(auth.append_to("live"))
    }

    #[test]
    fn nothing_is_sent_before_a_server_asks() {
        assert_eq!(credentials().append_to("live?a=b"), "live?a=b");
        assert_eq!(credentials().answer("live", "[ AccessManager.Reject ] : no such app", ""), None);
    }

    #[test]
    fn adobe_asks_twice() {
        let asked = "[ authmod=adobe ] : ?reason=needauth&user=me&salt=SALT==&challenge=CHAL&opaque=OPAQ";
        assert_eq!(answers("live", &[NEED_ADOBE]).unwrap(), "live?authmod=adobe&user=me");
        // printf %s meSALT==secret | openssl md5 -binary | base64, then with OPAQ and the nonce.
        assert_eq!(
            answers("live", &[NEED_ADOBE, asked]).unwrap(),
            "live?authmod=adobe&user=me&challenge=01234567&response=F6DqC47duTdl6ejKiQjM4A==&opaque=OPAQ"
        );
        let asked = "[ authmod=adobe ] : ?reason=needauth&user=me&salt=SALT==&challenge=CHAL";
        assert_eq!(
            answers("live", &[NEED_ADOBE, asked]).unwrap(),
            "live?authmod=adobe&user=me&challenge=01234567&response=KNPYhfT/VgZBa0gLG70aAQ=="
        );
    }

    #[test]
    fn limelight_asks_twice() {
        let asked = "[ authmod=llnw ] : ?reason=needauth&user=me&nonce=NONCE ] :";
        assert_eq!(answers("live", &[NEED_LIMELIGHT]).unwrap(), "live?authmod=llnw&user=me");
        for (app, response) in [
            ("live", "af70bf4fbaff22946265b4d4cba07a52"),
            ("live?x=/", "af70bf4fbaff22946265b4d4cba07a52"),
            ("live/room", "3f927ba1e3536a46eba2bb4ac52d25d5"),
        ] {
            assert_eq!(
                answers(app, &[NEED_LIMELIGHT, asked]).unwrap(),
                format!(
                    "live?authmod=llnw&user=me&nonce=NONCE&cnonce=01234567&nc=00000001&response={response}"
                )
            );
        }
    }

    #[test]
    fn wrong_credentials_are_not_tried_again() {
        let asked = "authmod=adobe ?reason=needauth&user=me&salt=S&challenge=C";
        for refused in [
            &[NEED_ADOBE, NEED_ADOBE][..],
            &[NEED_ADOBE, asked, asked],
            &[NEED_ADOBE, asked, NEED_ADOBE],
            &[NEED_ADOBE, asked, "authmod=adobe ?reason=authfailed&opaque=x"],
            &[NEED_ADOBE, "authmod=adobe ?reason=nosuchuser&user=me"],
            &["code=403 need auth; authmod=other"],
        ] {
            assert_eq!(answers("live", refused), None, "{refused:?}");
        }
    }

    #[test]
    fn query_of_the_application_stays() {
        let named = credentials().answer("live", NEED_ADOBE, "").unwrap();
        assert_eq!(named.append_to("live?a=b"), "live?a=b&authmod=adobe&user=me");
    }

    #[test]
    fn credentials_are_not_printed() {
        assert_eq!(format!("{:?}", credentials()), "Auth { .. }");
    }
}
