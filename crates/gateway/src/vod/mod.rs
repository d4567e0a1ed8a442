//! Recordings played: HLS, DASH, one MP4 file, one FLV file, and posters, all made when they are asked for.
//!
//! Nothing is written. A file is read once for what is in it (`scan`, `index`): lists of samples with their places, as spans in
//! which every track has one configuration (`span`). The files of a recording are one presentation (`timeline`). Playlists
//! (`hls`, `dash`) are written from that, and name segments by all that they depend on (`name`), so that a cache keeps them
//! for good. An answer with media is a plan of what to copy from where (`plan`): its length is known, and any part of it can be
//! asked for.

mod answer;
mod dash;
mod flv;
mod hls;
mod index;
mod limits;
mod movie;
mod name;
mod plan;
mod scan;
mod span;
mod timeline;

pub(crate) use answer::{Asked, file, whole};
pub(crate) use name::{Whole, parse_rfc3339};

use index::Indexes;
use plan::Plan;
use std::sync::{Arc, Mutex};

/// What is known of recordings that are played.
#[derive(Debug, Default)]
pub(crate) struct Vod {
    indexes: Arc<Indexes>,
    movies: Mutex<Movies>,
}

/// Whole files that were planned, the one that was used last at the end.
#[derive(Debug, Default)]
struct Movies(Vec<(u64, Arc<Plan>)>);

impl Movies {
    /// The one of this name.
    fn get(&mut self, key: u64) -> Option<Arc<Plan>> {
        let at = self.0.iter().position(|(other, _)| *other == key)?;
        let found = self.0.remove(at);
        let plan = found.1.clone();
        self.0.push(found);
        Some(plan)
    }

    /// Keeps one, and forgets what was used longest ago.
    fn keep(&mut self, key: u64, plan: Arc<Plan>) {
        self.0.push((key, plan));
        let mut bytes: usize = self.0.iter().map(|(_, plan)| plan.weight()).sum();
        while bytes > limits::MOVIE_BYTES_MAX && self.0.len() > 1 {
            bytes -= self.0.remove(0).1.weight();
        }
    }
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
    for scan in [scan::Scan::mp4(), scan::Scan::flv()] {
        let found = scan::scan_bytes(scan, bytes);
        for span in found.into_iter().filter_map(|tracks| {
            let described = tracks.into_iter().filter_map(|(media, written)| Some((media, written?)));
            span::Span::new(described.collect(), true)
        }) {
            span.check();
        }
    }
}
