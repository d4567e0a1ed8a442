//! Bytes that are read on their way to a peer: a piece at a time, as the peer takes them.

use bytes::Bytes;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::time::Duration;
use tokio::sync::mpsc;

/// What can be read in pieces.
pub(crate) trait ReadPieces: Send + 'static {
    /// Reads some of `range` from its start on; nothing where there is no more.
    fn read_piece(&mut self, range: Range<u64>) -> impl Future<Output = io::Result<Bytes>> + Send;
}

/// What is in memory already is one piece.
impl ReadPieces for Bytes {
    async fn read_piece(&mut self, range: Range<u64>) -> io::Result<Bytes> {
        let end = range.end.min(self.len() as u64) as usize;
        Ok(self.slice((range.start as usize).min(end)..end))
    }
}

/// Reads `range` until it is sent, or the peer takes nothing for `write_timeout`. One piece waits for it.
pub(crate) fn feed(
    mut source: impl ReadPieces,
    range: Range<u64>,
    write_timeout: Duration,
    shutdown: net::Shutdown,
) -> mpsc::Receiver<Bytes> {
    let (pieces, received) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut position = range.start;
        while position < range.end {
            // Where less comes than it was told, the peer sees it.
            let Ok(piece) = source.read_piece(position..range.end).await else { return };
            if piece.is_empty() {
                return;
            }
            position += piece.len() as u64;
            tokio::select! {
                biased;
                sent = tokio::time::timeout(write_timeout, pieces.send(piece)) => {
                    if !matches!(sent, Ok(Ok(()))) {
                        return;
                    }
                }
                () = shutdown.triggered() => return,
            }
        }
    });
    received
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred bytes, which are read ten at a time and end earlier than they should.
    struct Tens(u64);

    impl ReadPieces for Tens {
        async fn read_piece(&mut self, range: Range<u64>) -> io::Result<Bytes> {
            let end = range.end.min(range.start + 10).min(self.0);
            Ok((range.start..end).map(|byte| byte as u8).collect())
        }
    }

    async fn all(mut pieces: mpsc::Receiver<Bytes>) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = pieces.recv().await {
            all.extend_from_slice(&piece);
        }
        all
    }

    #[tokio::test(start_paused = true)]
    async fn a_range_is_read_to_its_end_or_to_where_there_is_no_more() {
        let (_trigger, shutdown) = net::Shutdown::new();
        let fed = |end, range| feed(Tens(end), range, Duration::from_secs(1), shutdown.clone());
        assert_eq!(all(fed(100, 5..37)).await, (5..37).collect::<Vec<u8>>());
        assert_eq!(all(fed(20, 5..37)).await, (5..20).collect::<Vec<u8>>());
        let slow = fed(100, 0..100);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(all(slow).await.len(), 10, "what waited for who took too long");
    }

    #[tokio::test]
    async fn nothing_is_read_any_more_when_the_program_ends() {
        let (trigger, shutdown) = net::Shutdown::new();
        trigger.trigger();
        let pieces = feed(Tens(100), 0..100, Duration::from_secs(600), shutdown);
        assert!(all(pieces).await.len() < 100);
    }
}
