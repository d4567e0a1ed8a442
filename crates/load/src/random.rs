//! A seed for spreading things out.

use std::hash::{BuildHasher, RandomState};
use wire::Random;

/// Another sequence each time the program runs. Not for secrets.
pub(crate) fn from_system() -> Random {
    Random::new(RandomState::new().hash_one(0_u8))
}
