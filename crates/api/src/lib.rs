//! Public request and response types.
