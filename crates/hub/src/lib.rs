//! The stream log: one publisher, any number of readers.
//!
//! Skeleton of the public interface; the parts behind it follow.

mod config;
mod entry;
mod error;
mod limits;
mod skeleton;
mod status;

pub use config::{BatchLimits, Config, ReadOptions, SecondPublisher, Start};
pub use entry::{Entry, FORMS_MAX, FormKey};
pub use error::{EndReason, PublishError, ReadError, WriteError};
pub use limits::{Limits, TRACKS_MAX};
pub use skeleton::{Feedback, Next, Origin, Publisher, Reader, Shard};
pub use status::{Counters, LogStatus, ReaderStats, StreamStatus, TrackStatus};
