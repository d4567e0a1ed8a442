//! RTMP and Enhanced RTMP as a pure state machine, server and client.
