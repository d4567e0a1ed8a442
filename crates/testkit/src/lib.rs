//! Link emulation and clips for tests and benches.
