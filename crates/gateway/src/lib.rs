//! One folder per protocol between sockets and the hub.
