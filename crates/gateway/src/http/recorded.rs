//! Files of recordings, finished or not, whole or in part (RFC 9110 section 14). Who may play the stream may play them.

use std::convert::Infallible;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;

use super::problem;
use super::routes::asker;
use crate::Env;
use crate::policy::{Action, Request as Admission};
use crate::record::read::{self, Source};
use crate::record::{FileName, RecordingId};

/// What is read at once, and waits for the peer: a few of them for each download.
const PIECE_BYTES: u64 = 128 << 10;

pub(super) fn routes<S: Clone + Send + Sync + 'static>(env: Arc<Env>) -> Router<S> {
    Router::new().route("/recordings/{id}/{file}", get(play)).with_state(env)
}

async fn play(
    State(env): State<Arc<Env>>,
    Path((id, file)): Path<(String, String)>,
    request: Request,
) -> Response {
    // The same words whether it is absent or not for this asker: nobody finds out what exists.
    let absent = || {
        problem(
            StatusCode::NOT_FOUND,
            "There is no such recording, or it needs a key: add ?key=... to the address.",
        )
    };
    let known = RecordingId::parse(&id).and_then(|id| env.recordings.get(&id)).zip(FileName::parse(&file));
    let Some((entry, name)) = known else { return absent() };
    let asker = asker(&env, &request);
    let admission =
        Admission { action: Action::Play, name: &entry.name, key: asker.key.as_ref(), local: false };
    if !asker.operator && env.policy.admit(admission).is_err() {
        return absent();
    }
    let is_mp4 = name.is_mp4();
    let Ok(source) = read::open(&entry, &name).await else { return absent() };
    answer(&env, source, is_mp4, request.method(), request.headers())
}

fn answer(env: &Arc<Env>, source: Source, is_mp4: bool, method: &Method, request: &HeaderMap) -> Response {
    let (length, etag) = (source.bytes(), source.version().etag());
    let mut headers = HeaderMap::new();
    let mut set = |name, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::ACCEPT_RANGES, "bytes");
    // The file in its final form has the same name, so it is asked for again, at the cost of a 304.
    set(header::CACHE_CONTROL, "no-cache");
    set(header::ACCESS_CONTROL_EXPOSE_HEADERS, "accept-ranges, content-length, content-range, etag");
    // A browser that shows it alone shows it in a page of its own.
    set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'",
    );
    headers.insert(header::ETAG, etag.clone());
    let lists = |tags: &HeaderValue| tags == "*" || listed(tags, &etag);
    if request.get(header::IF_NONE_MATCH).is_some_and(lists) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let media = if is_mp4 { "video/mp4" } else { "video/x-flv" };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    // Who has parts of another file gets this one whole (section 13.1.5).
    let is_same = request.get(header::IF_RANGE).is_none_or(|tag| *tag == etag);
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
        && let Ok(value) =
            HeaderValue::try_from(format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1)))
    {
        headers.insert(header::CONTENT_RANGE, value);
    }
    let left = range.end - range.start;
    // Of an answer to HEAD the length is said, and nothing is read.
    let pieces = match *method == Method::HEAD {
        true => mpsc::channel(1).1,
        false => feed(source, range, env.config.http.write_timeout(), env.shutdown.clone()),
    };
    (status, headers, Body::new(FileBody { pieces, left })).into_response()
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

/// Reads a part of a file until it is sent, or the peer takes nothing for too long.
fn feed(
    source: Source,
    range: Range<u64>,
    write_timeout: Duration,
    shutdown: net::Shutdown,
) -> mpsc::Receiver<Bytes> {
    let (pieces, received) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut position = range.start;
        while position < range.end {
            let end = range.end.min(position + PIECE_BYTES);
            // A file that became shorter ends here: the peer sees that there is less than it was told.
            let Ok(piece) = source.read(position..end).await else { return };
            position += piece.len() as u64;
            tokio::select! {
                biased;
                sent = tokio::time::timeout(write_timeout, pieces.send(piece)) => {
                    if !matches!(sent, Ok(Ok(()))) {
                        return;
                    }
                }
                () = shutdown.triggered() => return,
            }
        }
    });
    received
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
