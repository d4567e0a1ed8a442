//! Two sessions and what lies between them, on virtual time.

mod attacks;
mod connecting;
mod encrypted;
mod lossy;
mod path;
