//! The hub as its users see it, on a virtual clock.

mod behind;
mod join;
mod lifecycle;
mod model;
mod playback;
mod publish;
mod ranks;
mod threads;
mod waking;
