//! Links to servers made of the RTMP session of the other side.

mod moving;
mod opening;
mod peer;
mod tunnel;
