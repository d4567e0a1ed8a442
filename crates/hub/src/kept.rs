//! What a late joiner must have before its first frame.

use crate::Entry;
use crate::limits::METADATA_NAMES_MAX;
use media::{Packet, Role, Time, TrackId};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The newest packet of each kept role of each track, in the order in which a joiner gets them: stream metadata
/// first, then track by track.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    packets: Vec<Packet>,
    bytes: usize,
}

/// What [`Kept::put`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// The packet is what was kept already.
    Same,
    /// It is kept now.
    Changed,
    /// It is too large, or one too many, and nothing is kept in its place: an outdated configuration would be worse than none.
    TooLarge,
}

fn place(packet: &Packet) -> (u8, TrackId, u8, &[u8]) {
    match packet.role {
        Role::StreamMetadata => (0, packet.track, 0, packet.data_name().unwrap_or_default()),
        Role::Config => (1, packet.track, 0, &[]),
        Role::ConfigTs => (1, packet.track, 1, &[]),
        Role::ConfigChannels => (1, packet.track, 2, &[]),
        _ => (1, packet.track, 3, &[]),
    }
}

impl Kept {
    pub(crate) fn put(this: &mut Arc<Self>, packet: &Packet, bytes_max: usize) -> Put {
        let found = this.packets.binary_search_by(|kept| place(kept).cmp(&place(packet)));
        if let Ok(index) = found {
            let old = &this.packets[index];
            if old.codec == packet.codec && old.payload == packet.payload {
                return Put::Same;
            }
        }
        let kept = Arc::make_mut(this);
        let index = match found {
            Ok(index) => {
                kept.bytes -= kept.packets.remove(index).payload.len();
                index
            }
            Err(index) => index,
        };
        let is_metadata = |packet: &Packet| packet.role == Role::StreamMetadata;
        let names = kept.packets.iter().filter(|kept| is_metadata(kept)).count();
        if kept.bytes + packet.payload.len() > bytes_max
            || (is_metadata(packet) && names >= METADATA_NAMES_MAX)
        {
            return Put::TooLarge;
        }
        kept.bytes += packet.payload.len();
        kept.packets.insert(index, packet.clone());
        if packet.role == Role::Config {
            kept.forget_other_codecs(packet);
        }
        Put::Changed
    }

    /// Forgets the metadata of the name that `packet` carries; whether there were any.
    pub(crate) fn clear(this: &mut Arc<Self>, packet: &Packet) -> bool {
        let is_named =
            |kept: &Packet| kept.role == Role::StreamMetadata && kept.data_name() == packet.data_name();
        let Some(index) = this.packets.iter().position(is_named) else {
            return false;
        };
        let kept = Arc::make_mut(this);
        kept.bytes -= kept.packets.remove(index).payload.len();
        true
    }

    /// HDR metadata or a channel mapping of the codec that the track had before means nothing to the new one.
    fn forget_other_codecs(&mut self, config: &Packet) {
        self.packets.retain(|kept| {
            kept.track != config.track || kept.codec == config.codec || kept.role == Role::StreamMetadata
        });
        self.bytes = self.packets.iter().map(|kept| kept.payload.len()).sum();
    }

    pub(crate) fn packets(&self) -> &[Packet] {
        &self.packets
    }

    pub(crate) fn find(&self, track: TrackId, role: Role) -> Option<&Packet> {
        self.packets.iter().find(|packet| packet.track == track && packet.role == role)
    }

    pub(crate) fn metadata(&self) -> Option<&Packet> {
        self.packets.iter().find(|packet| packet.is_on_meta_data())
    }
}

/// The kept packets as entries with the time of the packet that a joiner starts at.
///
/// Made once for each starting point, so that all who join there share the wire forms.
#[derive(Debug)]
pub(crate) struct Preamble {
    kept: Arc<Kept>,
    seq: u64,
    rank: u8,
    dts: Time,
    arrived: Instant,
    entries: OnceLock<Box<[Arc<Entry>]>>,
}

impl Preamble {
    /// `rank` is that of the publisher that said it.
    pub(crate) fn new(kept: Arc<Kept>, rank: u8, seq: u64, dts: Time, arrived: Instant) -> Self {
        Self { kept, seq, rank, dts, arrived, entries: OnceLock::new() }
    }

    pub(crate) fn entries(&self) -> &[Arc<Entry>] {
        self.entries.get_or_init(|| {
            let at_start = |packet: &Packet| Packet { dts: self.dts, pts: self.dts, ..packet.clone() };
            self.kept
                .packets
                .iter()
                .map(|packet| {
                    let mut entry = Entry::new(self.seq, at_start(packet), self.arrived);
                    entry.rank = self.rank;
                    Arc::new(entry)
                })
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::packet;
    use media::Codec;

    fn roles(kept: &Kept) -> Vec<(TrackId, Role)> {
        kept.packets().iter().map(|packet| (packet.track, packet.role)).collect()
    }

    #[test]
    fn stream_metadata_comes_first_then_video_then_audio() {
        let mut kept = Arc::new(Kept::default());
        for packet in [
            packet::config(TrackId::AUDIO, b"asc"),
            packet::kept(TrackId::VIDEO, Role::Metadata, b"hdr"),
            packet::config(TrackId::VIDEO, b"avcC"),
            packet::kept(TrackId::DATA, Role::StreamMetadata, b"meta"),
        ] {
            assert_eq!(Kept::put(&mut kept, &packet, 1000), Put::Changed);
        }
        assert_eq!(
            roles(&kept),
            [
                (TrackId::DATA, Role::StreamMetadata),
                (TrackId::VIDEO, Role::Config),
                (TrackId::VIDEO, Role::Metadata),
                (TrackId::AUDIO, Role::Config)
            ]
        );
    }

    #[test]
    fn repeated_packet_changes_nothing() {
        let mut kept = Arc::new(Kept::default());
        Kept::put(&mut kept, &packet::config(TrackId::VIDEO, b"a"), 1000);
        let before = kept.clone();
        assert_eq!(Kept::put(&mut kept, &packet::config(TrackId::VIDEO, b"a"), 1000), Put::Same);
        assert!(Arc::ptr_eq(&before, &kept));
    }

    #[test]
    fn packet_that_is_too_large_displaces_the_old_one() {
        let mut kept = Arc::new(Kept::default());
        Kept::put(&mut kept, &packet::config(TrackId::VIDEO, b"small"), 10);
        assert_eq!(Kept::put(&mut kept, &packet::config(TrackId::VIDEO, &[0; 11]), 10), Put::TooLarge);
        assert!(kept.packets().is_empty());
        assert_eq!(kept.bytes, 0);
    }

    fn metadata(name: &str, value: &[u8]) -> Packet {
        let payload = [&[2, 0, name.len() as u8], name.as_bytes(), value].concat();
        packet::kept(TrackId::DATA, Role::StreamMetadata, &payload)
    }

    fn clear(name: &str) -> Packet {
        Packet { role: Role::ClearStreamMetadata, ..metadata(name, b"") }
    }

    #[test]
    fn newest_metadata_of_each_name_are_kept_until_they_are_cleared() {
        let mut kept = Arc::new(Kept::default());
        for packet in [metadata("onCue", b"1"), metadata("onMetaData", b"2"), metadata("onCue", b"3")] {
            assert_eq!(Kept::put(&mut kept, &packet, 1000), Put::Changed);
        }
        assert_eq!(kept.packets(), [metadata("onCue", b"3"), metadata("onMetaData", b"2")]);
        assert_eq!(kept.metadata(), Some(&metadata("onMetaData", b"2")));
        assert!(Kept::clear(&mut kept, &clear("onCue")));
        assert!(!Kept::clear(&mut kept, &clear("onCue")));
        assert!(!Kept::clear(&mut kept, &clear("onMeta")));
        assert_eq!((kept.packets().len(), kept.bytes), (1, metadata("onMetaData", b"2").payload.len()));
    }

    #[test]
    fn names_of_metadata_are_limited() {
        let mut kept = Arc::new(Kept::default());
        let put = |kept: &mut _, name: usize| Kept::put(kept, &metadata(&name.to_string(), b""), 1000);
        assert!((0..METADATA_NAMES_MAX).all(|name| put(&mut kept, name) == Put::Changed));
        assert_eq!(put(&mut kept, METADATA_NAMES_MAX), Put::TooLarge);
        assert_eq!(put(&mut kept, 0), Put::Same);
        assert_eq!(kept.packets().len(), METADATA_NAMES_MAX);
    }

    #[test]
    fn config_of_another_codec_drops_what_belonged_to_the_old_one() {
        let mut kept = Arc::new(Kept::default());
        Kept::put(&mut kept, &packet::config(TrackId::VIDEO, b"avcC"), 1000);
        Kept::put(&mut kept, &packet::kept(TrackId::VIDEO, Role::Metadata, b"hdr"), 1000);
        let config = Packet { codec: Codec::Av1, ..packet::config(TrackId::VIDEO, b"av1C") };
        Kept::put(&mut kept, &config, 1000);
        assert_eq!(roles(&kept), [(TrackId::VIDEO, Role::Config)]);
        assert_eq!(kept.bytes, 4);
    }
}
