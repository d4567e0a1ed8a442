//! Errors as JSON (RFC 9457).

use api::{PROBLEM_CONTENT_TYPE, Problem};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// An answer that says what went wrong. `detail` is a sentence for people: what happened, and what to do.
pub(crate) fn problem(status: StatusCode, detail: impl Into<String>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_CONTENT_TYPE)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, problem_text(status, detail)).into_response()
}

/// The body of such an answer.
pub(crate) fn problem_text(status: StatusCode, detail: impl Into<String>) -> String {
    let problem = Problem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        status: status.as_u16(),
        detail: detail.into(),
    };
    // Four plain fields cannot fail to serialise.
    serde_json::to_string(&problem).unwrap_or_default()
}
