//! Real programs against the real server.
