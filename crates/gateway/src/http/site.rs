//! The pages: embedded files with their caching, compression and security headers.
//!
//! Files are looked up once, at start. Those under `assets/` carry a hash of their content in their name and never
//! change; the others are asked for again with their entity tag. A file `x.gz` beside `x` is what clients that accept
//! gzip get.

use std::collections::HashMap;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
struct Dist;

/// A file that never changes under its name.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// A file that is asked for again each time, at the cost of a 304.
const REVALIDATE: &str = "no-cache";
/// A page: one that was prefetched, because a pointer rests on its link, opens without asking again, a round trip earlier.
/// After an update old pages are seen for a minute at most.
const BRIEFLY: &str = "max-age=60";

/// The pages and their files.
#[derive(Debug)]
pub(crate) struct Site {
    files: HashMap<String, File>,
}

#[derive(Debug)]
struct File {
    plain: Bytes,
    gzip: Option<Bytes>,
    etag: HeaderValue,
    content_type: HeaderValue,
    cache_control: &'static str,
    /// Pages only.
    security_policy: Option<HeaderValue>,
}

impl Site {
    /// The site that was built into the program.
    pub(crate) fn embedded() -> Self {
        Self::new(Dist::iter().filter_map(|path| {
            let content = Dist::get(&path)?.data;
            let content = match content {
                std::borrow::Cow::Borrowed(content) => Bytes::from_static(content),
                std::borrow::Cow::Owned(content) => content.into(),
            };
            Some((path.into_owned(), content))
        }))
    }

    /// A site of these paths (without a leading slash) and contents.
    pub(crate) fn new(contents: impl IntoIterator<Item = (String, Bytes)>) -> Self {
        let mut plain: HashMap<String, Bytes> = contents.into_iter().collect();
        let compressed: Vec<_> = plain.keys().filter(|path| path.ends_with(".gz")).cloned().collect();
        let mut gzip: HashMap<String, Bytes> = compressed
            .into_iter()
            .filter_map(|path| Some((path.strip_suffix(".gz")?.to_owned(), plain.remove(&path)?)))
            .collect();
        let files = plain.into_iter().map(|(path, content)| {
            let file = File::new(&path, content, gzip.remove(&path));
            (path, file)
        });
        Self { files: files.collect() }
    }

    /// Answers with the file at `path` (without a leading slash), or `None` if there is none.
    pub(crate) fn get(&self, path: &str, request: &HeaderMap) -> Option<Response> {
        self.files.get(path).map(|file| file.answer(request))
    }
}

impl File {
    fn new(path: &str, plain: Bytes, gzip: Option<Bytes>) -> Self {
        let digest = Sha256::digest(&plain);
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..12]));
        let page = path.ends_with(".html");
        let policy = page.then(|| security_policy(&String::from_utf8_lossy(&plain)));
        Self {
            plain,
            gzip,
            etag: header_value(&etag),
            content_type: HeaderValue::from_static(content_type(path)),
            cache_control: match path {
                _ if page => BRIEFLY,
                _ if path.starts_with("assets/") => FOREVER,
                _ => REVALIDATE,
            },
            security_policy: policy.as_deref().map(header_value),
        }
    }

    fn answer(&self, request: &HeaderMap) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, self.etag.clone());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(self.cache_control));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        // Also with a 304, whose headers replace those of the page in the cache (RFC 9111 section 3.2).
        if let Some(policy) = &self.security_policy {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
        }
        if request.get(header::IF_NONE_MATCH).is_some_and(|tags| lists(tags, self.etag.as_bytes())) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        let body = match &self.gzip {
            Some(gzip) if accepts_gzip(request) => {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                gzip.clone()
            }
            _ => self.plain.clone(),
        };
        (headers, Body::from(body)).into_response()
    }
}

/// What a page may load. Scripts and styles inside the page are allowed by their hashes, and by nothing else.
fn security_policy(page: &str) -> String {
    let hashes = |tag| -> String {
        let hash = |text: &str| format!(" 'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())));
        inline(page, tag).map(hash).collect()
    };
    format!(
        "default-src 'none'; script-src 'self'{}; style-src 'self'{}; img-src 'self' data: blob:; \
         media-src 'self' blob:; connect-src 'self'; worker-src 'self' blob:; font-src 'self'; manifest-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
        hashes("script"),
        hashes("style"),
    )
}

/// The contents of the elements `tag` of a page of ours: lower-case tags, no comments that hold tags.
fn inline<'a>(page: &'a str, tag: &'static str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
    let mut rest = page;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once(open.as_str())?;
            rest = after;
            // `<script` also begins longer names.
            if !after.starts_with([' ', '>', '\n', '\t']) {
                continue;
            }
            let (_, content) = after.split_once('>')?;
            let (content, after) = content.split_once(close.as_str())?;
            rest = after;
            if !content.is_empty() {
                return Some(content);
            }
        }
    })
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Whether a header that lists entity tags (RFC 9110 section 13.1.2) holds this one. Compared weakly, as it says.
fn lists(tags: &HeaderValue, etag: &[u8]) -> bool {
    tags.as_bytes().split(|&byte| byte == b',').any(|tag| {
        let tag = tag.trim_ascii();
        tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag
    })
}

/// Whether the client takes gzip (RFC 9110 section 12.5.3).
fn accepts_gzip(request: &HeaderMap) -> bool {
    let values = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0f32));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        let files = [
            ("index.html", "<!doctype html><script>go()</script>"),
            ("assets/main-abc.js", "main()"),
            ("assets/main-abc.js.gz", "zipped"),
        ];
        Site::new(files.map(|(path, content)| (path.to_owned(), Bytes::from_static(content.as_bytes()))))
    }

    fn get(path: &str, name: header::HeaderName, value: &str) -> Response {
        let mut request = HeaderMap::new();
        request.insert(name, value.parse().unwrap());
        site().get(path, &request).unwrap()
    }

    #[test]
    fn compressed_files_go_to_those_who_take_them() {
        let zipped = |accept| {
            let response = get("assets/main-abc.js", header::ACCEPT_ENCODING, accept);
            assert_eq!(response.headers()[header::CACHE_CONTROL], FOREVER);
            response.headers().contains_key(header::CONTENT_ENCODING)
        };
        assert!(zipped("gzip, deflate, br") && zipped("br;q=1.0, GZIP;q=0.5"));
        assert!(!zipped("br") && !zipped("gzip;q=0") && !zipped("identity"));
        assert!(site().get("assets/main-abc.js.gz", &HeaderMap::new()).is_none());
    }

    #[test]
    fn a_known_tag_is_answered_without_the_file() {
        let response = get("index.html", header::ACCEPT, "*/*");
        assert_eq!(response.headers()[header::CACHE_CONTROL], BRIEFLY);
        let etag = response.headers()[header::ETAG].to_str().unwrap().to_owned();
        for (tags, status) in [
            (etag.clone(), StatusCode::NOT_MODIFIED),
            (format!("\"x\", W/{etag}"), StatusCode::NOT_MODIFIED),
            ("\"x\"".to_owned(), StatusCode::OK),
        ] {
            let response = get("index.html", header::IF_NONE_MATCH, &tags);
            assert_eq!(response.status(), status, "{tags}");
            // A cache takes the policy of the answer, whichever it was.
            assert!(response.headers().contains_key(header::CONTENT_SECURITY_POLICY));
        }
    }

    #[test]
    fn the_policy_allows_inline_scripts_by_hash_and_files_by_origin() {
        // printf 'go()' | openssl dgst -sha256 -binary | base64
        let hash = "'sha256-5KYv+PUboo5h+0+YAtGRPbwv5d/QxzHslP4YGnUaxRw='";
        let response = get("index.html", header::ACCEPT, "*/*");
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains(&format!("script-src 'self' {hash};")), "{policy}");
        assert!(
            policy.contains("media-src 'self' blob:;") && policy.contains("style-src 'self';"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn scripts_with_a_source_and_longer_tag_names_are_not_inline() {
        let page = "<scripty>no</scripty><script src=\"/a.js\"></script><script type=\"module\">yes</script>\
                    <style>p{}</style><script>also";
        assert_eq!(inline(page, "script").collect::<Vec<_>>(), ["yes"]);
        assert_eq!(inline(page, "style").collect::<Vec<_>>(), ["p{}"]);
    }
}
