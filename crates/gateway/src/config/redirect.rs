//! The part of the configuration that sends clients elsewhere.

use super::KeyDoc;
use crate::target::Target;
use rtmp::url::Url;
use serde::{Deserialize, Serialize};

section! {
    /// An application that has moved: clients that connect to it are told where, and connect there with the name of their
    /// stream. Programs that do not know redirects (most encoders and players) show it as an error.
    RtmpRedirect {
        /// The application: `"old"`.
        app: String = String::new(),
        /// Where it is now: `"rtmp://host/app"`, or `rtmps://` and the others of the family.
        to: String = String::new(),
    }
}

/// Checks all entries. `wrong` takes the key of one and what is wrong.
pub(super) fn validate(redirects: &[RtmpRedirect], wrong: &mut impl FnMut(&str, String)) {
    for (i, redirect) in redirects.iter().enumerate() {
        let app = &redirect.app;
        if app.is_empty() || Target::of_app(app).0 != *app {
            wrong(&format!("rtmp.redirect.{i}.app"), format!("{app:?} is no application: write \"live\""));
        } else if redirects[..i].iter().any(|earlier| earlier.app == *app) {
            wrong(&format!("rtmp.redirect.{i}.app"), format!("{app:?} is listed twice"));
        }
        let is_app = |url: &Url| !url.app.is_empty() && url.name.is_empty();
        if !Url::parse(&redirect.to).is_ok_and(|url| is_app(&url)) {
            let message =
                format!("{:?} is no application of a server: write \"rtmp://host/app\"", redirect.to);
            wrong(&format!("rtmp.redirect.{i}.to"), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(redirects: &[(&str, &str)]) -> Vec<String> {
        let redirects: Vec<_> = redirects
            .iter()
            .map(|(app, to)| RtmpRedirect { app: (*app).to_owned(), to: (*to).to_owned() })
            .collect();
        let mut found = Vec::new();
        validate(&redirects, &mut |key, _| found.push(key.to_owned()));
        found
    }

    #[test]
    fn applications_are_sent_to_applications() {
        assert_eq!(problems(&[("old", "rtmp://host/new"), ("old/room", "rtmps://host:1/new")]), [""; 0]);
        assert_eq!(problems(&[("", "rtmp://host")]), ["rtmp.redirect.0.app", "rtmp.redirect.0.to"]);
        assert_eq!(problems(&[("/old?x", "http://host/x")]), ["rtmp.redirect.0.app", "rtmp.redirect.0.to"]);
        let twice = [("old", "rtmp://a/b"), ("old", "rtmp://a/b/stream")];
        assert_eq!(problems(&twice), ["rtmp.redirect.1.app", "rtmp.redirect.1.to"]);
    }
}
