//! Answers whose length is known, whole or in part (RFC 9110 section 14).

use super::problem;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::{Frame, SizeHint};
use std::convert::Infallible;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

/// What an answer says of what it has.
#[derive(Debug)]
pub(crate) struct Ranged {
    /// Its bytes.
    pub(crate) length: u64,
    /// A strong tag, where its address may have something else another time.
    pub(crate) etag: Option<HeaderValue>,
    /// `Content-Type`
    pub(crate) media: &'static str,
    /// `Cache-Control`
    pub(crate) cache: &'static str,
}

impl Ranged {
    /// Answers a request. `feed` is called for the bytes of a range, if there are to be any.
    pub(crate) fn answer(
        self,
        method: &Method,
        request: &HeaderMap,
        feed: impl FnOnce(Range<u64>) -> mpsc::Receiver<Bytes>,
    ) -> Response {
        let Self { length, etag, media, cache } = self;
        let mut headers = HeaderMap::new();
        let mut set = |name, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
        set(header::ACCEPT_RANGES, "bytes");
        set(header::CACHE_CONTROL, cache);
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, "accept-ranges, content-length, content-range, etag");
        // A browser that shows it alone shows it in a page of its own.
        set(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'",
        );
        set(header::CONTENT_TYPE, media);
        if let Some(etag) = &etag {
            headers.insert(header::ETAG, etag.clone());
            let lists = |tags: &HeaderValue| tags == "*" || listed(tags, etag);
            if request.get(header::IF_NONE_MATCH).is_some_and(lists) {
                headers.remove(header::CONTENT_TYPE);
                return (StatusCode::NOT_MODIFIED, headers).into_response();
            }
        }
        // Who has parts of another file gets this one whole (section 13.1.5).
        let is_same = request.get(header::IF_RANGE).is_none_or(|tag| Some(tag) == etag.as_ref());
        let wanted = request.get(header::RANGE).filter(|_| is_same).and_then(|range| range.to_str().ok());
        let (status, range) = match wanted.map(|range| read_range(range, length)) {
            Some(Asked::Part(range)) => (StatusCode::PARTIAL_CONTENT, range),
            Some(Asked::Unsatisfiable) => {
                let mut response =
                    problem(StatusCode::RANGE_NOT_SATISFIABLE, format!("The file has {length} bytes."));
                if let Ok(value) = HeaderValue::try_from(format!("bytes */{length}")) {
                    response.headers_mut().insert(header::CONTENT_RANGE, value);
                }
                return response;
            }
            Some(Asked::Whole) | None => (StatusCode::OK, 0..length),
        };
        if status == StatusCode::PARTIAL_CONTENT
            && let Ok(value) = HeaderValue::try_from(format!(
                "bytes {}-{}/{length}",
                range.start,
                range.end.saturating_sub(1)
            ))
        {
            headers.insert(header::CONTENT_RANGE, value);
        }
        let left = range.end - range.start;
        // Of an answer to HEAD the length is said, and nothing is read.
        let pieces = match *method == Method::HEAD {
            true => mpsc::channel(1).1,
            false => feed(range),
        };
        (status, headers, Body::new(FileBody { pieces, left })).into_response()
    }
}

/// Whether a list of tags names this one, weakly or strongly (section 13.1.2).
fn listed(tags: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(tags), Ok(etag)) = (tags.to_str(), etag.to_str()) else { return false };
    tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// Everything: several parts, or another unit, are not served (section 14.2 allows that).
    Whole,
    Part(Range<u64>),
    Unsatisfiable,
}

/// What is asked for of a file lies in the file, whatever was written.
pub(crate) fn check_range(text: &str) {
    for length in [0, 1, 1000, u64::MAX] {
        if let Asked::Part(range) = read_range(text, length) {
            assert!(range.start < range.end && range.end <= length);
        }
    }
}

/// Reads `bytes=FIRST-LAST`, `bytes=FIRST-` and `bytes=-COUNT` (section 14.1.1).
fn read_range(text: &str, length: u64) -> Asked {
    let number = |text: &str| -> Option<Option<u64>> {
        match text.trim() {
            "" => Some(None),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                // A number that is too large lies behind the end of every file.
                Some(Some(digits.parse().unwrap_or(u64::MAX)))
            }
            _ => None,
        }
    };
    let Some((unit, range)) = text.split_once('=') else { return Asked::Whole };
    let bounds = range.split_once('-').and_then(|(first, last)| Some((number(first)?, number(last)?)));
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    match bounds {
        Some((Some(first), Some(last))) if last < first => Asked::Whole,
        Some((Some(first), _)) if first >= length => Asked::Unsatisfiable,
        Some((Some(first), last)) => {
            Asked::Part(first..last.unwrap_or(u64::MAX).saturating_add(1).min(length))
        }
        Some((None, Some(0))) => Asked::Unsatisfiable,
        Some((None, Some(_))) if length == 0 => Asked::Unsatisfiable,
        Some((None, Some(count))) => Asked::Part(length.saturating_sub(count)..length),
        Some((None, None)) | None => Asked::Whole,
    }
}

/// A part of a file as a response body.
struct FileBody {
    pieces: mpsc::Receiver<Bytes>,
    left: u64,
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = ready!(self.pieces.poll_recv(cx));
        if let Some(piece) = &piece {
            self.left = self.left.saturating_sub(piece.len() as u64);
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        for (text, expected) in [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=0-499", Asked::Part(0..500)),
            ("bytes=500-", Asked::Part(500..1000)),
            ("bytes=-300", Asked::Part(700..1000)),
            ("bytes=-5000", Asked::Part(0..1000)),
            ("bytes=999-99999999999999999999999", Asked::Part(999..1000)),
            ("BYTES= 1 - 2 ", Asked::Part(1..3)),
            ("bytes=1000-", Asked::Unsatisfiable),
            ("bytes=-0", Asked::Unsatisfiable),
            ("bytes=2-1", Asked::Whole),
            ("bytes=0-1,5-6", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("seconds=1-2", Asked::Whole),
            ("bytes", Asked::Whole),
            ("", Asked::Whole),
        ] {
            assert_eq!(read_range(text, 1000), expected, "{text}");
        }
        assert_eq!(read_range("bytes=0-", 0), Asked::Unsatisfiable);
        assert_eq!(read_range("bytes=-1", 0), Asked::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn a_part_lies_in_the_file(text in "(bytes=)?[0-9 ,-]{0,30}", length in 0u64..2000) {
            if let Asked::Part(range) = read_range(&text, length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }
}
