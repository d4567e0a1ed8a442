//! Recordings played: HLS, DASH, one MP4 file, one FLV file, posters, and packets for RTMP, all made when they are asked for.
//!
//! Nothing is written. A file is read once for what is in it (`scan`, `index`): lists of samples with their places, as spans in
//! which every track has one configuration (`span`). The files of a recording are one presentation (`timeline`). Playlists
//! (`hls`, `dash`) are written from that, and name segments by all that they depend on (`name`), so that a cache keeps them
//! for good. An answer with media is a plan of what to copy from where (`plan`): its length is known, and any part of it can be
//! asked for. Recordings in MPEG-TS consist of segments already: of a time of them, the first and the last are cut (`segments`), and
//! for all else they are taken apart (`transport`).
//!
//! Who plays at the pace of the media gets packets (`playback`), file by file, in the order of decoding (`walk`).

mod answer;
mod clip;
mod collect;
mod dash;
mod flv;
mod hls;
mod index;
mod limits;
mod movie;
mod name;
mod picture;
mod pieces;
mod plan;
mod plans;
mod playback;
mod samples;
mod scan;
mod segments;
mod snapshot;
mod span;
mod timeline;
mod transport;
mod walk;

pub(crate) use answer::{Asked, file, whole};
pub(crate) use clip::{clip_of_recording, clip_of_stream};
pub(crate) use name::{Whole, parse_rfc3339};
pub(crate) use playback::{Begin, Failure, Opened, Piece, Stretch, Until, length, play};
pub(crate) use snapshot::{Form as SnapshotForm, snapshot};

use index::Indexes;
use plans::Plans;
use std::sync::Arc;

/// Whether a query asks for playlists of MP4 where there are segments of MPEG-TS.
pub(crate) fn wants_mp4(query: &str) -> bool {
    crate::target::query_value(query, "container").as_deref() == Some("mp4")
}

/// What is known of recordings that are played.
#[derive(Debug, Default)]
pub(crate) struct Vod {
    indexes: Arc<Indexes>,
    plans: Plans,
    pictures: picture::Pictures,
}

/// Whether a query asks for a part of a recording.
pub(crate) fn is_part(query: &str) -> bool {
    ["from", "to"].iter().any(|name| crate::target::query_value(query, name).is_some())
}

/// What names and queries are understood as: the same however often it is written and read.
pub(crate) fn check_request(path: &str, query: &str) {
    if let Some(file) = name::File::parse(path) {
        assert_eq!(file.to_string(), path);
    }
    let _ = (Whole::parse(path), name::Moment::parse(path));
    for name in ["from", "to", "at"] {
        let _ = name::moment(query, name);
    }
}

/// A file of any bytes gives spans that are in order, however it is cut into pieces.
pub(crate) fn check_file(bytes: &[u8]) {
    let scanned = [scan::Scan::mp4(), scan::Scan::flv()].map(|scan| scan::scan_bytes(scan, bytes));
    for found in scanned.into_iter().chain([transport::check_segment(bytes)]) {
        for span in found.into_iter().filter_map(|tracks| {
            let described =
                |found: collect::Found| found.written.clone().map(|written| found.described(written));
            span::Span::new(tracks.into_iter().filter_map(described).collect(), true)
        }) {
            span.check();
        }
    }
}
