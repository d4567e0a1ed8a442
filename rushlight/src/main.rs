//! The `rushlight` program.
fn main() {}
