//! The demo channel: a bundled clip, published over and over inside the process.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use gateway::Env;
use gateway::metrics::{self, Outcome};
use gateway::sessions::NewSession;
use hub::Feedback;
use media::container::flv::Demuxer;
use media::{Kind, Malformed, Packet, Role, StreamName, Time};
use tokio::time::Instant;
use tracing::{info, warn};

/// How it is made stands in `assets/README.md`.
const CLIP: &[u8] = include_bytes!("../assets/demo.flv");
/// How long to wait before the channel is tried again, when somebody else publishes to it.
const RETRY: Duration = Duration::from_secs(5);
/// After a pause of the process (a suspended laptop) the clip goes on from now instead of catching up.
const BEHIND_MAX: Duration = Duration::from_secs(2);

/// Publishes the clip to `name` until the node shuts down. Makes way for others and comes back after them.
pub(crate) async fn run(env: Arc<Env>, name: StreamName) {
    let clip = match Clip::read(CLIP) {
        Ok(clip) => clip,
        Err(error) => return warn!(%error, "the demo clip cannot be read"),
    };
    while !env.shutdown.is_triggered() {
        publish(&env, &name, &clip).await;
        let _ = tokio::time::timeout(RETRY, env.shutdown.triggered()).await;
    }
}

async fn publish(env: &Env, name: &StreamName, clip: &Clip) {
    let mut publisher = match env.origin.publish(name, Instant::now().into_std()) {
        Ok(publisher) => publisher,
        Err(reason) => return info!(stream = %name, %reason, "the demo channel waits"),
    };
    let counters = env.metrics.protocol("demo");
    let new = NewSession {
        role: metrics::Role::Publish,
        stream: name.clone(),
        address: ([127, 0, 0, 1], 0).into(),
        user_agent: Some("bundled clip"),
        started: Instant::now().into_std(),
    };
    let Ok(mut session) = env.sessions.open(new, &counters) else { return };
    info!(session = %session.id(), stream = %name, "demo channel is live");

    let mut begin = Instant::now();
    for (after, packet) in clip.repeated() {
        let due = begin + after;
        if due.elapsed() > BEHIND_MAX {
            begin += due.elapsed();
        }
        loop {
            let flush_at = publisher.flush_at().map(Instant::from_std);
            let until = flush_at.map_or(due, |flush| flush.min(due));
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = env.shutdown.triggered() => {
                    session.set_outcome(Outcome::Shutdown);
                    return publisher.finish();
                }
                () = poll_fn(|cx| loop {
                    match publisher.poll_feedback(cx) {
                        Poll::Ready(Feedback::TakenOver) => return Poll::Ready(()),
                        // A clip has its keyframes where it has them.
                        Poll::Ready(_) => {}
                        Poll::Pending => return Poll::Pending,
                    }
                }) => {
                    info!(session = %session.id(), stream = %name, "the demo channel makes way for a publisher");
                    return session.set_outcome(Outcome::TakenOver);
                }
            }
            if flush_at.is_some_and(|flush| flush <= Instant::now()) {
                publisher.flush();
            }
            if due <= Instant::now() {
                break;
            }
        }
        session.add_bytes_in(packet.payload.len() as u64);
        counters.packets_in.inc();
        if publisher.write(packet, Instant::now().into_std()).is_err() {
            // Taken over; the branch above has not run yet.
            return session.set_outcome(Outcome::TakenOver);
        }
    }
}

/// A clip that can be repeated without a seam.
#[derive(Debug)]
struct Clip {
    /// What comes first and once: configurations and metadata.
    head: Vec<Packet>,
    /// Frames of one round, in the order of their decoding times.
    frames: Vec<Packet>,
    /// The length of a round: that of its video.
    length: Duration,
}

impl Clip {
    fn read(flv: &[u8]) -> Result<Self, Malformed> {
        let mut input = BytesMut::from(flv);
        let mut demuxer = Demuxer::new();
        let (mut head, mut frames) = (Vec::new(), Vec::new());
        while let Some(packet) = demuxer.push(&mut input)? {
            match packet.role {
                Role::Frame => frames.push(packet),
                role if role.is_kept() => head.push(packet),
                // The end of the sequence is none: it goes on.
                _ => {}
            }
        }
        frames.sort_by_key(|packet| packet.dts);
        let video: Vec<_> = frames.iter().filter(|p| p.track.kind == Kind::Video).map(|p| p.dts).collect();
        let (Some(&first), Some(&last)) = (video.first(), video.last()) else {
            return Err(Malformed("a clip without video"));
        };
        let between = u32::try_from(video.len() - 1).unwrap_or(u32::MAX).max(1);
        let length = last.since(first) + last.since(first) / between;
        // Sound that reaches over the end of the round would lie over the beginning of the next.
        let start = frames.first().map_or(first, |packet| packet.dts);
        frames.retain(|packet| packet.dts < start + length);
        for packet in &mut frames {
            let reordered = packet.pts.since(packet.dts);
            packet.dts = Time::ZERO + packet.dts.since(start);
            packet.pts = packet.dts + reordered;
        }
        Ok(Self { head, frames, length })
    }

    /// All packets for ever, with the time after the beginning at which each is due. Times run on across rounds.
    fn repeated(&self) -> impl Iterator<Item = (Duration, Packet)> + '_ {
        let head = self.head.iter().map(|packet| {
            let packet = Packet { dts: Time::ZERO, pts: Time::ZERO, ..packet.clone() };
            (Duration::ZERO, packet)
        });
        let rounds = (0u32..).flat_map(move |round| {
            let offset = self.length * round;
            self.frames.iter().map(move |packet| {
                let packet = Packet { dts: packet.dts + offset, pts: packet.pts + offset, ..packet.clone() };
                (packet.dts.since(Time::ZERO), packet)
            })
        });
        head.chain(rounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clip_starts_fast_and_repeats_without_a_seam() {
        let clip = Clip::read(CLIP).unwrap();
        assert_eq!(clip.length.as_millis().div_ceil(100), 192);
        let configurations = clip.head.iter().filter(|p| p.role == Role::Config).count();
        assert_eq!(configurations, 2, "one for video and one for audio, before any frame");
        let video: Vec<_> = clip.frames.iter().filter(|p| p.track.kind == Kind::Video).collect();
        assert!(video[0].flags.keyframe && video.iter().all(|p| p.pts == p.dts), "no reordering");
        let keyframes: Vec<_> = video.iter().filter(|p| p.flags.keyframe).map(|p| p.dts).collect();
        assert!(keyframes.windows(2).all(|pair| pair[1].since(pair[0]) < Duration::from_millis(1250)));
    }

    #[test]
    fn times_run_on_across_rounds() {
        let clip = Clip::read(CLIP).unwrap();
        let count = clip.head.len() + 3 * clip.frames.len();
        let mut newest = std::collections::HashMap::new();
        for (due, packet) in clip.repeated().take(count).skip(clip.head.len()) {
            assert_eq!(due, packet.dts.since(Time::ZERO));
            let earlier = newest.insert(packet.track, packet.dts);
            let step = earlier.map_or(Duration::ZERO, |earlier| packet.dts.since(earlier));
            assert!(earlier.is_none_or(|earlier| packet.dts > earlier), "{} goes on", packet.track);
            assert!(step < Duration::from_millis(60), "{} has a hole of {step:?}", packet.track);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_channel_is_published_until_the_node_shuts_down() {
        let (trigger, shutdown) = net::Shutdown::new();
        let config = gateway::Config::default();
        let policy = config.access.to_policy(None, None);
        let env = Env::new(config, policy, 1, shutdown);
        let name = StreamName::parse("live", "demo").unwrap();
        let task = tokio::spawn(run(env.clone(), name.clone()));
        // Virtual time: two rounds of the clip.
        tokio::time::sleep(Duration::from_secs(40)).await;
        let stream = env.origin.stream(&name).unwrap();
        assert!(stream.live && (39.0..41.0).contains(&(stream.last_dts.unwrap().millis() as f64 / 1000.0)));
        assert_eq!(env.sessions.snapshot(9)[0].protocol, "demo");
        trigger.trigger();
        task.await.unwrap();
        assert!(env.sessions.is_empty() && env.origin.stream(&name).is_none_or(|stream| !stream.live));
    }
}
