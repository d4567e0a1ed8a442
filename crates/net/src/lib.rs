//! Sockets, listeners, limits and shutdown.
