//! The sound of a rung: that of its stream, packet by packet, or its first track encoded anew.

use engine::host::{Launch, Output, SoundInlet, SoundOutlet, Usage, start_sound};
use engine::sound::{Config, Wanted};
use hub::StreamStatus;
use media::{Codec, Kind, Packet, Role, StreamName, TrackId, codec};
use std::task::{Context, Poll};
use tracing::warn;

/// What becomes of the sound of one rung.
pub(super) struct Sound {
    name: StreamName,
    launch: Option<Launch>,
    nice: u8,
    wanted: Wanted,
    /// What the first track of the stream is, as it said it last.
    track: Option<(Codec, bytes::Bytes)>,
    encoder: Option<Encoder>,
    /// Sound is encoded anew, or would be if that had not failed.
    config: Option<Config>,
}

struct Encoder {
    inlet: SoundInlet,
    outlet: SoundOutlet,
}

impl Sound {
    /// That of the rung `name`, as `wanted`. `status` is what is known of its stream: an encoder that will be needed begins at once.
    pub(super) fn new(
        name: StreamName,
        wanted: Wanted,
        launch: Option<Launch>,
        nice: u8,
        status: Option<&StreamStatus>,
    ) -> Self {
        let mut sound = Self { name, launch, nice, wanted, track: None, encoder: None, config: None };
        let track = status.and_then(|status| status.tracks.iter().find(|track| track.id == TrackId::AUDIO));
        if let Some(track) = track {
            sound.choose(track.codec, track.config.clone().unwrap_or_default());
        }
        sound
    }

    /// What sound is encoded as, if it is.
    pub(super) fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// Whether an encoder is at work.
    pub(super) fn is_encoded(&self) -> bool {
        self.encoder.is_some()
    }

    pub(super) fn usage(&self) -> Usage {
        self.encoder.as_ref().map(|encoder| encoder.outlet.usage()).unwrap_or_default()
    }

    /// Takes a packet of the stream. What is not encoded comes back.
    pub(super) fn take(&mut self, packet: Packet) -> Option<Packet> {
        if packet.track.kind != Kind::Audio {
            return Some(packet);
        }
        if packet.track == TrackId::AUDIO {
            let is_known = self.track.as_ref().is_some_and(|(codec, _)| *codec == packet.codec);
            match packet.role {
                Role::Config => self.choose(packet.codec, packet.payload.clone()),
                Role::Frame if !is_known => self.choose(packet.codec, bytes::Bytes::new()),
                _ => {}
            }
        }
        if self.config.is_none() {
            return Some(packet);
        }
        // Of several tracks a rung with sound of its own has the first.
        if packet.track == TrackId::AUDIO
            && let Some(encoder) = &self.encoder
        {
            // Where there is no room there will be silence.
            encoder.inlet.try_push(packet);
        }
        None
    }

    /// Notes what the sound is, and begins or ends to encode it.
    fn choose(&mut self, codec: Codec, record: bytes::Bytes) {
        let track = (codec, record);
        if self.track.as_ref() == Some(&track) {
            return;
        }
        let channels = codec::summary(track.0, &track.1).and_then(|summary| summary.channels);
        self.track = Some(track);
        self.config = self.wanted.of(codec, channels);
        match (self.config, &self.launch) {
            (Some(config), Some(launch)) if self.encoder.is_none() => {
                let (inlet, outlet) = start_sound(launch.clone(), self.nice, config);
                self.encoder = Some(Encoder { inlet, outlet });
            }
            (Some(_), _) => {}
            (None, _) => self.encoder = None,
        }
    }

    /// The next packet that was encoded; pending for ever where there is no encoder.
    pub(super) fn poll_encoded(&mut self, cx: &mut Context<'_>) -> Poll<Packet> {
        while let Some(encoder) = &mut self.encoder {
            let Poll::Ready(output) = encoder.outlet.poll_next(cx) else { return Poll::Pending };
            match output {
                Some(Output::Packet(packet)) => return Poll::Ready(packet),
                Some(Output::Replaced { why }) => {
                    warn!(stream = %self.name, why, "the encoder of the sound of a rung has failed and was replaced");
                }
                None => {
                    let why = encoder.outlet.usage().error.unwrap_or_default();
                    warn!(stream = %self.name, why, "a rung goes on without sound, which cannot be encoded");
                    self.encoder = None;
                }
            }
        }
        Poll::Pending
    }
}
