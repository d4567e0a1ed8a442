//! A recording as packets, for who plays it at the pace of the media: from any place on, in the order of decoding, and as it is
//! recorded.
//!
//! A task reads ahead of the player, a piece at a time, and waits for it. It looks at one file of the recording at a time, so that a
//! long one takes no more memory than a short one.

use super::flv;
use super::index::Indexes;
use super::limits::{
    COPIED_BYTES_MAX, INDEX_AGE_MAX, OPEN_MAX, PACKETS_MAX, PIECE_BYTES, PIECES_WAITING_MAX,
};
use super::pieces::Pieces;
use super::timeline::{self, Part};
use super::walk::{Walk, settled, to_millis};
use crate::Env;
use crate::record::{Entry, FileName};
use api::Recording;
use bytes::Bytes;
use media::{Packet, Time};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Bytes of a frame: as many as one message of RTMP can have, less what stands before them.
const FRAME_BYTES_MAX: u32 = 0x00ff_ff00;

/// Where playing begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// At the keyframe that is decoded at this time of the recording, or before it: what players know of a frame is when it is
    /// decoded.
    At(Time),
    /// At the newest keyframe of a recording that is being made.
    Newest,
}

/// How far to play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// To the end of the recording.
    End,
    /// To this time of it.
    At(Time),
    /// So long.
    After(Duration),
    /// A single frame: a keyframe where there are pictures.
    Frame,
}

/// What of a recording is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) begin: Begin,
    pub(crate) until: Until,
}

/// What comes of it, in order.
#[derive(Debug)]
pub(crate) enum Piece {
    /// It begins. Comes first, once.
    Opened(Box<Opened>),
    /// Configurations and frames.
    Packets(Vec<Packet>),
    /// That was all.
    Complete,
    /// It cannot go on. Nothing comes behind it.
    Failed(Failure),
}

/// A recording that begins to play.
#[derive(Debug)]
pub(crate) struct Opened {
    /// What players show before they have read everything.
    pub(crate) metadata: Packet,
    /// When the first frame is decoded.
    pub(crate) at: Time,
    /// How long the recording is, or is by now.
    pub(crate) length: Duration,
    /// What [`Stretch::until`] means on the clock of the recording.
    pub(crate) until: Until,
    /// The time that was asked for lies behind the end, which `at` is the last keyframe of.
    pub(crate) is_behind: bool,
}

/// Why a recording does not play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is nothing in it.
    Empty,
    /// There is nothing in it yet.
    NotYet,
    /// Nothing new comes, and only that was asked for.
    NotLive,
    /// Its files cannot be read.
    Unreadable,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "nothing was recorded",
            Self::NotYet => "the recording has only begun: ask again in a few seconds",
            Self::NotLive => {
                "this recording is complete: play it as recorded (start -2, or 0 and more), not as live"
            }
            Self::Unreadable => "the recording cannot be read now: ask again",
        })
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        tracing::debug!(%error, "a recording cannot be read");
        Self::Unreadable
    }
}

/// How long a recording is, or is by now.
pub(crate) fn length(entry: &Entry) -> Duration {
    Duration::from_millis(entry.describe().duration_ms)
}

/// Plays a part of a recording. It is read as it is taken, and no more when the receiver is dropped.
pub(crate) fn play(env: &Env, entry: &Arc<Entry>, stretch: Stretch) -> mpsc::Receiver<Piece> {
    let (out, received) = mpsc::channel(PIECES_WAITING_MAX);
    let (shutdown, metrics) = (env.shutdown.clone(), env.metrics.clone());
    let (indexes, entry) = (env.vod.indexes.clone(), entry.clone());
    tokio::spawn(async move {
        let playing = async {
            if let Err(failure) = run(&indexes, &entry, stretch, &out).await {
                // Nobody may be there any more.
                let _ = out.send(Piece::Failed(failure)).await;
            }
        };
        tokio::select! {
            biased;
            played = net::catch_panic(playing) => if played.is_err() {
                metrics.panicked();
                tracing::error!("a playback panicked and was closed; this is a bug, please report it");
            },
            () = shutdown.triggered() => {}
        }
    });
    received
}

async fn run(
    indexes: &Arc<Indexes>,
    entry: &Arc<Entry>,
    stretch: Stretch,
    out: &mpsc::Sender<Piece>,
) -> Result<(), Failure> {
    let opening = Place::open(indexes, entry, stretch);
    let opened = tokio::select! {
        opened = tokio::time::timeout(OPEN_MAX, opening) => opened.unwrap_or(Err(Failure::NotYet))?,
        () = out.closed() => return Ok(()),
    };
    let (mut place, opened) = opened;
    let until = opened.until;
    if out.send(Piece::Opened(Box::new(opened))).await.is_err() {
        return Ok(());
    }
    let mut pieces = Pieces::new(entry.clone());
    let mut batch = place.configurations();
    loop {
        let mut bytes = 0;
        while let Some((packet, position, size)) = place.next() {
            let is_over = matches!(until, Until::At(end) if packet.dts >= end);
            if is_over || size > FRAME_BYTES_MAX {
                let sent = out.send(Piece::Packets(batch)).await;
                return match (is_over, sent) {
                    (true, Ok(())) => complete(out).await,
                    (true, Err(_)) => Ok(()),
                    (false, _) => Err(Failure::Unreadable),
                };
            }
            let read = pieces.get(&place.part.file, position, size.into()).await;
            let payload = match read {
                Ok(payload) => payload,
                Err(error) => match place.renew(indexes, entry).await? {
                    // Its final form has taken its place.
                    true => continue,
                    false => return Err(error.into()),
                },
            };
            place.walk.advance(packet.track);
            bytes += u64::from(size);
            // A few that wait would hold what was read with them.
            let payload = match u64::from(size) < COPIED_BYTES_MAX {
                true => Bytes::copy_from_slice(&payload),
                false => payload,
            };
            batch.push(Packet { payload, ..packet });
            if until == Until::Frame {
                return match out.send(Piece::Packets(batch)).await {
                    Ok(()) => complete(out).await,
                    Err(_) => Ok(()),
                };
            }
            if bytes >= PIECE_BYTES / 2 || batch.len() >= PACKETS_MAX {
                break;
            }
        }
        if !batch.is_empty() {
            if out.send(Piece::Packets(std::mem::take(&mut batch))).await.is_err() {
                return Ok(());
            }
            continue;
        }
        match place.go_on(indexes, entry).await? {
            Step::More => {}
            Step::Entered => batch = place.configurations(),
            Step::Over => return complete(out).await,
            Step::Wait => tokio::select! {
                () = tokio::time::sleep(INDEX_AGE_MAX) => {}
                () = out.closed() => return Ok(()),
            },
        }
    }
}

async fn complete(out: &mpsc::Sender<Piece>) -> Result<(), Failure> {
    // Nobody may be there any more.
    let _ = out.send(Piece::Complete).await;
    Ok(())
}

/// Where in a recording the next frame is.
struct Place {
    part: Part,
    walk: Walk,
}

/// How it goes on behind the last frame that is known.
enum Step {
    /// In what was appended.
    More,
    /// In another part.
    Entered,
    /// Not yet.
    Wait,
    /// Not at all.
    Over,
}

impl Place {
    async fn open(
        indexes: &Arc<Indexes>,
        entry: &Arc<Entry>,
        stretch: Stretch,
    ) -> Result<(Self, Opened), Failure> {
        loop {
            let description = entry.describe();
            let is_complete = timeline::is_complete(&description);
            if is_complete && stretch.begin == Begin::Newest {
                return Err(Failure::NotLive);
            }
            let time = match stretch.begin {
                Begin::At(time) => time.max(Time::ZERO),
                Begin::Newest => Time::from_nanos(i64::MAX / 4),
            };
            if let Some((at, parts)) = find(indexes, entry, &description, time).await? {
                let is_last = at + 1 == description.files.len();
                return Self::enter(&description, &parts, is_last, time, stretch.until);
            }
            if is_complete {
                return Err(Failure::Empty);
            }
            tokio::time::sleep(INDEX_AGE_MAX).await;
        }
    }

    /// Of the parts of a file, at the keyframe that is decoded at `time` or before it.
    fn enter(
        description: &Recording,
        parts: &[Part],
        is_last: bool,
        time: Time,
        until: Until,
    ) -> Result<(Self, Opened), Failure> {
        let begun = parts.iter().rev().find(|part| part.start() <= time);
        let (part, last) = begun.or(parts.first()).zip(parts.last()).ok_or(Failure::Empty)?;
        let listed = Duration::from_millis(description.duration_ms);
        // To the last message and no further: rtmpdump takes it for a failure if none comes at the time that it was told.
        let ends = last.start() + last.span.last().since(Time::ZERO);
        let length = if is_last { ends.since(Time::ZERO) } else { listed };
        let local = part.local(&(time..time)).start;
        let mut walk = Walk::from(&part.span, local);
        if let (Until::Frame, Some(main)) = (until, part.span.main()) {
            walk.retain(main.media.id);
        }
        let first = walk.peek(&part.span).map(|frame| frame.decoded).unwrap_or_default();
        let at = to_millis(first, part.start().nanos());
        let opened = Opened {
            metadata: flv::metadata(&part.span, length.as_secs_f64()),
            at,
            length,
            until: match until {
                // From what was asked for on, where that is there.
                Until::After(time_long) => {
                    Until::At(if local <= part.span.end() { time } else { at } + time_long)
                }
                until => until,
            },
            is_behind: is_last && time > last.end(),
        };
        Ok((Self { part: part.clone(), walk }, opened))
    }

    /// The next frame without its bytes, and where they are.
    fn next(&self) -> Option<(Packet, u64, u32)> {
        let span = &self.part.span;
        let frame = self.walk.peek(span).filter(|frame| frame.decoded < settled(span))?;
        Some((frame.packet(self.part.start().nanos()), frame.sample.position, frame.sample.size))
    }

    /// What decoders have to know before the next frame.
    fn configurations(&self) -> Vec<Packet> {
        let first = self.walk.peek(&self.part.span).map(|frame| frame.decoded).unwrap_or_default();
        let at = to_millis(first, self.part.start().nanos());
        self.part.span.tracks.iter().filter_map(|track| track.media.config_packet(at)).collect()
    }

    /// Looks at the file again. Returns whether it is another than before, or has grown.
    async fn renew(&mut self, indexes: &Arc<Indexes>, entry: &Arc<Entry>) -> io::Result<bool> {
        let (description, at) = self.file(entry)?;
        let parts = timeline::parts(indexes, entry, &description, at).await?;
        let before = self.part.file.version;
        let was_closed = self.part.span.closed;
        if let Some(part) = parts.into_iter().find(|part| part.id == self.part.id) {
            let now = self.walk.peek(&self.part.span).map_or(self.part.span.end(), |frame| frame.decoded);
            self.part = part;
            self.walk.grow(&self.part.span, now);
        }
        Ok(self.part.file.version != before || self.part.span.closed != was_closed)
    }

    /// The description, and which file of it this is.
    fn file(&self, entry: &Entry) -> io::Result<(Recording, usize)> {
        let description = entry.describe();
        let is_this = |file: &api::RecordedFile| {
            FileName::parse(&file.name).and_then(|name| timeline::number(&name)) == Some(self.part.id.file)
        };
        let at = description.files.iter().position(is_this).ok_or(io::ErrorKind::NotFound)?;
        Ok((description, at))
    }

    /// Goes on where all that was known has been given.
    async fn go_on(&mut self, indexes: &Arc<Indexes>, entry: &Arc<Entry>) -> io::Result<Step> {
        if !self.part.span.closed {
            self.renew(indexes, entry).await?;
            match (self.next(), self.part.span.closed) {
                (Some(_), _) => return Ok(Step::More),
                (None, false) => return Ok(Step::Wait),
                (None, true) => {}
            }
        }
        let (description, at) = self.file(entry)?;
        for at in at..description.files.len() {
            let parts = match timeline::parts(indexes, entry, &description, at).await {
                Ok(parts) => parts,
                // One that is being made may have nothing yet, and one that failed has nothing any more.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let next = |part: &Part| (part.id.file, part.id.span) > (self.part.id.file, self.part.id.span);
            if let Some(part) = parts.into_iter().find(next) {
                self.walk = Walk::from(&part.span, Time::ZERO);
                self.part = part;
                return Ok(Step::Entered);
            }
        }
        Ok(if timeline::is_complete(&description) { Step::Over } else { Step::Wait })
    }
}

/// The last file that has something and begins at `time` or before, else the first one, with its place in the list.
async fn find(
    indexes: &Arc<Indexes>,
    entry: &Arc<Entry>,
    description: &Recording,
    time: Time,
) -> io::Result<Option<(usize, Vec<Part>)>> {
    let begun = description.files.partition_point(|file| timeline::start(file.start_ms) <= time);
    for at in (0..begun).rev().chain(begun..description.files.len()) {
        match timeline::parts(indexes, entry, description, at).await {
            Ok(parts) if !parts.is_empty() => return Ok(Some((at, parts))),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
