//! Playing one stream: the packets with their times of arrival, and how fast the first of them came.

mod cli;
mod flv_link;
mod joins;
mod player;
pub mod quality;
mod stages;

pub use cli::{PlayArgs, run};
pub use player::{Options, Player, connect};
pub use stages::Stages;
