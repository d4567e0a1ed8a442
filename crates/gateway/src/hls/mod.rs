//! HLS with low latency (RFC 8216bis) and DASH: play on `/APP/CHANNEL.m3u8` and `/APP/CHANNEL.mpd`, from memory.
//!
//! One task for each stream that somebody watches reads the stream's log and cuts it (`segmenter`) into parts and segments,
//! one CMAF track for each track of the publisher (`muxer`). They stay in memory for a while (`window`), and playlists
//! (`playlist`) are written once for all who ask at the same moment; the manifest of DASH (`manifest`) names the same segments. A request for what is yet to come waits for it
//! (`answer`). Nothing is made for streams that nobody asks for.

mod answer;
mod attend;
mod body;
mod channel;
mod drift;
mod guide;
mod joined;
mod limits;
mod manifest;
mod muxer;
mod name;
mod packager;
mod playlist;
mod range;
mod rewound;
mod seal;
mod segmenter;
mod ts;
mod viewers;
mod window;

pub(crate) use attend::attend;
pub(crate) use packager::Packagers;
pub(crate) use rewound::{Following, Rewound};
pub(crate) use window::Line;

/// What names, queries and ranges of requests are understood as: the same however often it is written and read.
pub(crate) fn check_request(path: &str, query: &str, header: &str) {
    if let Some(file) = name::File::parse(path) {
        assert_eq!(file.to_string(), path);
    }
    let _ = name::Directives::parse(query);
    for total in [0, 1, 1000] {
        if let range::Range::Bytes(first, last) = range::parse(header, total) {
            assert!(first <= last && last < total);
        }
    }
}

use crate::http::MediaRoute;

/// The multivariant playlist of a stream, and its files.
pub(crate) const ROUTE: MediaRoute = MediaRoute {
    extension: "m3u8",
    websocket: false,
    folder: true,
    serve: None,
    respond: |env, metrics, peer, request| Box::pin(answer::respond(env, metrics, peer, request)),
};

/// The manifest of a stream. Its segments are those of HLS.
pub(crate) const ROUTE_DASH: MediaRoute = MediaRoute { extension: "mpd", folder: false, ..ROUTE };

/// All tracks in one answer that does not end.
pub(crate) const ROUTE_CMAF: MediaRoute = MediaRoute { extension: "cmaf", folder: false, ..ROUTE };

/// Pictures and sound in one transport stream that does not end.
pub(crate) const ROUTE_TS: MediaRoute = MediaRoute { extension: "ts", folder: false, ..ROUTE };
