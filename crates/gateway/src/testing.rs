//! What tests and fuzz targets publish.

use crate::Env;
use crate::config::parse_channel;
use bytes::Bytes;
use media::{Codec, Flags, Packet, Role, Time, TrackId};
use std::time::Instant;

/// A node that records into a folder of its own, which goes with it.
#[cfg(test)]
pub(crate) struct Node {
    pub(crate) env: std::sync::Arc<Env>,
    pub(crate) folder: std::path::PathBuf,
    _trigger: net::ShutdownTrigger,
}

#[cfg(test)]
impl Node {
    /// `name` is that of no other test.
    pub(crate) fn new(name: &str, change: impl FnOnce(&mut crate::Config)) -> Self {
        let folder = std::env::temp_dir().join(format!("rushlight-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let mut config = crate::Config::default();
        config.record.folder = Some(folder.clone());
        change(&mut config);
        let policy = config.access.to_policy(None, None);
        let (trigger, shutdown) = net::Shutdown::new();
        Self { env: Env::new(config, policy, 1, shutdown), folder, _trigger: trigger }
    }
}

#[cfg(test)]
impl Drop for Node {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
        // A test may have put a file in its place.
        let _ = std::fs::remove_file(&self.folder);
    }
}

/// A publisher of `channel` that has sent one keyframe.
pub(crate) fn publish(env: &Env, channel: &str) -> hub::Publisher {
    let now = Instant::now();
    let name = parse_channel(channel).expect("a good name");
    let mut publisher = env.origin.publish(&name, now).expect("room for it");
    let packet = Packet {
        track: TrackId::VIDEO,
        codec: Codec::H264,
        role: Role::Frame,
        flags: Flags { keyframe: true, disposable: false },
        dts: Time::ZERO,
        pts: Time::ZERO,
        payload: Bytes::from_static(&[0, 0, 0, 2, 0x65, 0x88]),
    };
    publisher.write(packet, now).expect("a good packet");
    publisher
}
