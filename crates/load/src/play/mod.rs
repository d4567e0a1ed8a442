//! Playing one stream: the packets with their times of arrival, and how fast the first of them came.

mod cli;
mod flv_link;
mod joins;
mod player;
pub mod quality;
mod stages;

pub(crate) use cli::positive;
pub use cli::{PlayArgs, run};
pub(crate) use flv_link::{check_answer, request};
pub use link::Options;
pub use player::{Player, connect};
pub use stages::Stages;
