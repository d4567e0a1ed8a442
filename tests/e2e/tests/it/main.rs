//! Every module drives the real server with programs that other people wrote, except `tidy`, which reads the repository.

mod access;
mod acme;
mod browser;
mod containers;
mod dash;
mod enhanced;
mod family;
mod foreign;
mod hls;
mod hostile;
mod http;
mod obs;
mod ours;
mod play;
mod publish;
mod reconnect;
mod record;
mod relay;
mod stalled;
mod storm;
mod swf;
mod tidy;
mod tls;
mod tunnel;
mod vlc;
mod vod;
