//! The player.

use super::Stages;
use super::flv_link::FlvLink;
use crate::Error;
use crate::target::Target;
use link::{Event, Link, Options};
use media::container::flv;
use media::{Kind, Packet, Role, Time};
use std::collections::VecDeque;
use std::time::Instant;
use wire::Unwrap32;

/// A stream being played.
#[derive(Debug)]
pub struct Player {
    transport: Transport,
    stages: Stages,
    ready: VecDeque<(Packet, Instant)>,
    scratch: Vec<Packet>,
    wants_video: bool,
    has_video: bool,
    ended: bool,
}

#[derive(Debug)]
enum Transport {
    // Boxed because it is ten times the size of the other.
    Rtmp { link: Box<Link>, clock: Unwrap32 },
    Flv(Box<FlvLink>),
}

/// Connects to an URL of the RTMP family, of HTTP or of WebSocket, and waits until the server agrees to play. The timeout of
/// the options is the time for all of it.
///
/// # Errors
///
/// A URL that cannot be played, no connection, a refusal, or no answer within the time given.
pub async fn connect(url: &str, options: &Options) -> Result<Player, Error> {
    let target = Target::parse(url)?;
    let mut stages = Stages::new(Instant::now());
    let deadline = stages.start + options.timeout;
    let transport = match &target {
        Target::Rtmp(url) => {
            let link = Link::open(url, link::Role::Play, options).await?;
            let times = link.times();
            stages.connected = Some(times.connected);
            stages.requested = Some(times.requested);
            stages.accepted = Some(times.accepted);
            Transport::Rtmp { link: Box::new(link), clock: Unwrap32::default() }
        }
        Target::HttpFlv(_) | Target::WsFlv(_) if !(options.audio && options.video) => {
            return Err(Error::Argument(format!(
                "{target}: only over RTMP can a player do without sound or pictures"
            )));
        }
        Target::HttpFlv(web) | Target::WsFlv(web) => {
            let dialed = link::dial(&web.host, web.port, web.secure, options, deadline).await?;
            stages.connected = Some(dialed.connected);
            Transport::Flv(Box::new(FlvLink::new(dialed.stream, &target)?))
        }
        Target::Raw(_) => return Err(Error::Argument(format!("{target}: there is nothing to play"))),
        Target::Hls(_) => {
            let why = "HLS is played by `load` only; the same stream as .flv can be played here";
            return Err(Error::Argument(format!("{target}: {why}")));
        }
    };
    let mut player = Player {
        transport,
        stages,
        ready: VecDeque::new(),
        scratch: Vec::new(),
        wants_video: options.video,
        has_video: false,
        ended: false,
    };
    // What came together with the answer.
    player.ended = !player.take_events()?;
    while player.stages.accepted.is_none() {
        let stepped = tokio::time::timeout_at(deadline.into(), player.step()).await;
        player.ended = !stepped.map_err(|_| Error::Timeout("neither agreed nor refused to play"))??;
        if player.ended && player.stages.accepted.is_none() {
            return Err(Error::Refused("it closed the connection without an answer".into()));
        }
    }
    Ok(player)
}

impl Player {
    /// The next packet and when its last byte was read; `None` when the server has ended the stream. Nothing is lost when
    /// the future is dropped.
    ///
    /// # Errors
    ///
    /// A broken connection, or bytes that break the protocol or the container.
    pub async fn next(&mut self) -> Result<Option<(Packet, Instant)>, Error> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Ok(Some(ready));
            }
            if self.ended {
                return Ok(None);
            }
            self.ended = !self.step().await?;
        }
    }

    /// How far the start-up has come, and when.
    pub fn stages(&self) -> &Stages {
        &self.stages
    }

    /// Whether pictures come, as far as can be told.
    pub fn has_video(&self) -> bool {
        self.has_video
    }

    /// Bytes read from the socket so far.
    pub fn bytes_in(&self) -> u64 {
        match &self.transport {
            Transport::Rtmp { link, .. } => link.bytes_in(),
            Transport::Flv(link) => link.bytes_in,
        }
    }

    /// Does what the socket is ready for and collects the packets. False at the end of the stream.
    async fn step(&mut self) -> Result<bool, Error> {
        match &mut self.transport {
            Transport::Rtmp { link, .. } => {
                let open = link.step().await?;
                let open = self.take_events()? && open;
                Ok(open)
            }
            Transport::Flv(link) => {
                let open = link.step().await?;
                self.take_flv()?;
                Ok(open)
            }
        }
    }

    fn take_events(&mut self) -> Result<bool, Error> {
        let Transport::Rtmp { link, clock } = &mut self.transport else { return Ok(true) };
        let arrived = link.arrived();
        let mut open = true;
        while let Some(event) = link.poll_event() {
            match event {
                Event::Message(message) => {
                    self.stages.first_media.get_or_insert(arrived);
                    let dts = Time::from_millis(clock.unwrap(message.timestamp));
                    flv::read_body(message.kind, dts, &message.payload, &mut self.scratch)?;
                }
                Event::Rejected(_) | Event::Ended(_) => open = false,
                _ => {}
            }
        }
        let mut packets = std::mem::take(&mut self.scratch);
        for packet in packets.drain(..) {
            self.arrive(packet, arrived);
        }
        self.scratch = packets;
        Ok(open)
    }

    fn take_flv(&mut self) -> Result<(), Error> {
        let Transport::Flv(link) = &mut self.transport else { return Ok(()) };
        self.stages.requested = link.requested;
        self.stages.accepted = link.accepted;
        self.stages.first_media = link.first_media;
        let arrived = link.arrived;
        while let Transport::Flv(link) = &mut self.transport {
            let Some(packet) = link.packet()? else { break };
            self.arrive(packet, arrived);
        }
        Ok(())
    }

    fn arrive(&mut self, packet: Packet, arrived: Instant) {
        // The configuration of pictures comes also where they were declined.
        self.has_video |= self.wants_video && packet.track.kind == Kind::Video;
        let sound_alone = !self.has_video && packet.track.kind == Kind::Audio && packet.role == Role::Frame;
        if packet.is_video_keyframe() || sound_alone {
            self.stages.keyframe.get_or_insert(arrived);
        }
        self.ready.push_back((packet, arrived));
    }
}
