//! Playing, measuring and load generation.
