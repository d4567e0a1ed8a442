//! The stream log: one publisher, any number of readers.
