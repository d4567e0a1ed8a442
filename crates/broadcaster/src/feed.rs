//! Packets on their way from a source to the network.

use crate::source::Source;
use crate::{Error, limits};
use media::Packet;
use tokio::sync::mpsc;

/// Where [`crate::push`] takes its packets from.
pub struct Feed(Kind);

enum Kind {
    Inline(Box<dyn Source>),
    Thread(mpsc::Receiver<Result<Packet, Error>>),
}

impl Feed {
    /// Reads `source` on the network thread. Only for sources that never block, such as [`crate::source::Replay`].
    pub fn inline(source: impl Source + 'static) -> Self {
        Self(Kind::Inline(Box::new(source)))
    }

    /// Reads `source` on a thread of its own, a few packets ahead. The thread ends with the source, or after the next
    /// packet once the feed is dropped.
    pub fn threaded(mut source: impl Source + 'static) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(limits::READ_AHEAD_PACKETS_MAX);
        std::thread::Builder::new().name("source".into()).spawn(move || {
            while let Some(item) = source.next().transpose() {
                let failed = item.is_err();
                if sender.blocking_send(item).is_err() || failed {
                    return;
                }
            }
        })?;
        Ok(Self(Kind::Thread(receiver)))
    }

    /// The next packet if it is there already: `Err` when it has to be waited for.
    pub(crate) fn try_next(&mut self) -> Result<Result<Option<Packet>, Error>, Pending> {
        match &mut self.0 {
            Kind::Inline(source) => Ok(source.next()),
            Kind::Thread(receiver) => match receiver.try_recv() {
                Ok(item) => Ok(item.map(Some)),
                Err(mpsc::error::TryRecvError::Disconnected) => Ok(Ok(None)),
                Err(mpsc::error::TryRecvError::Empty) => Err(Pending),
            },
        }
    }

    /// Waits for the next packet; `None` at the end of the source. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Option<Packet>, Error> {
        match &mut self.0 {
            Kind::Inline(source) => source.next(),
            Kind::Thread(receiver) => receiver.recv().await.transpose(),
        }
    }
}

/// The source has not delivered yet.
#[derive(Debug)]
pub(crate) struct Pending;
