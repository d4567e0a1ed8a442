//! Bytes on their way to a socket.

use crate::Stream;
use crate::limits::WRITE_BUFFERS_MAX;
use bytes::{Buf, Bytes};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

/// What could not be written yet, in order.
///
/// Empty most of the time and then without any allocation, so that an idle viewer costs nothing here. It is filled
/// only by one batch at a time: the caller picks the next batch when the last one has left.
#[derive(Debug, Default)]
pub struct Outbox {
    rest: VecDeque<Bytes>,
    waiting: usize,
    written: u64,
    /// The stream has accepted bytes that it has not sent.
    unflushed: bool,
}

thread_local! {
    /// The buffers of the batch being written: one allocation per thread instead of one per viewer.
    static BATCH: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
}

impl Outbox {
    /// Whether everything was written, and sent by the stream.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty() && !self.unflushed
    }

    /// Bytes that wait.
    pub fn bytes_waiting(&self) -> usize {
        self.waiting
    }

    /// Bytes written since the connection began.
    pub fn bytes_written(&self) -> u64 {
        self.written
    }

    /// Appends a buffer behind everything that waits.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.waiting += bytes.len();
            self.rest.push_back(bytes);
        }
    }

    /// Writes until nothing waits (`Ready`) or the socket is full (`Pending`, the waker is registered).
    pub fn poll_flush(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            ready!(stream.poll_write_ready(cx))?;
            let given = stream.try_give(self.rest.make_contiguous());
            if given > 0 {
                let bytes: usize = self.rest.drain(..given).map(|buffer| buffer.len()).sum();
                self.waiting -= bytes;
                self.written += bytes as u64;
                continue;
            }
            let mut slices = [IoSlice::new(&[]); WRITE_BUFFERS_MAX];
            let count = fill(&mut slices, self.rest.iter());
            match stream.try_write_vectored(&slices[..count]) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(sent) => {
                    self.written += sent as u64;
                    self.advance(sent);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        // A stalled viewer may have needed a long list once; an idle one keeps none.
        self.rest = VecDeque::new();
        self.unflushed = !stream.is_flushed();
        if self.unflushed {
            ready!(stream.poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes a batch straight from this thread's shared list; only what the socket does not take is kept. Must be called
    /// with nothing waiting. `fill_batch` appends the buffers in order.
    pub fn try_write_batch(
        &mut self,
        stream: &mut Stream,
        fill_batch: impl FnOnce(&mut Vec<Bytes>),
    ) -> io::Result<()> {
        debug_assert!(self.is_empty());
        BATCH.with_borrow_mut(|batch| {
            batch.clear();
            fill_batch(batch);
            let mut first = stream.try_give(batch);
            self.written += batch[..first].iter().map(|buffer| buffer.len() as u64).sum::<u64>();
            while first < batch.len() {
                let mut slices = [IoSlice::new(&[]); WRITE_BUFFERS_MAX];
                let count = fill(&mut slices, batch[first..].iter());
                let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
                let mut sent = match stream.try_write_vectored(&slices[..count]) {
                    Ok(0) if offered > 0 => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(sent) => sent,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                    Err(error) => return Err(error),
                };
                self.written += sent as u64;
                let full = sent < offered;
                while first < batch.len() && sent >= batch[first].len() {
                    sent -= batch[first].len();
                    first += 1;
                }
                if sent > 0 {
                    batch[first].advance(sent);
                }
                if full {
                    break;
                }
            }
            self.rest.extend(batch.drain(first..));
            self.waiting = self.rest.iter().map(Bytes::len).sum();
            batch.clear();
            self.unflushed = !stream.is_flushed();
            Ok(())
        })
    }

    fn advance(&mut self, mut sent: usize) {
        self.waiting -= sent;
        while let Some(first) = self.rest.front_mut() {
            if sent < first.len() {
                first.advance(sent);
                return;
            }
            sent -= first.len();
            self.rest.pop_front();
        }
    }
}

fn fill<'a>(
    slices: &mut [IoSlice<'a>; WRITE_BUFFERS_MAX],
    buffers: impl Iterator<Item = &'a Bytes>,
) -> usize {
    let mut count = 0;
    for (slot, bytes) in slices.iter_mut().zip(buffers) {
        *slot = IoSlice::new(bytes);
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_pipe_gets_the_buffers_themselves() {
        let (ours, theirs) = crate::pipe(1000);
        let mut stream = Stream::Pipe(ours);
        let buffers: Vec<Bytes> = (0..20u8).map(|i| Bytes::from(vec![i; 300])).collect();
        let mut outbox = Outbox::default();
        outbox.try_write_batch(&mut stream, |batch| batch.extend(buffers.iter().cloned())).unwrap();
        assert_eq!((outbox.bytes_written(), outbox.bytes_waiting()), (4 * 300, 16 * 300));
        let mut got = Vec::new();
        while got.len() < buffers.len() {
            theirs.try_take(&mut got).unwrap();
            let flushed = poll_fn(|cx| Poll::Ready(outbox.poll_flush(cx, &mut stream))).await;
            assert_eq!(flushed.is_ready(), outbox.is_empty());
        }
        assert!(
            got.iter().zip(&buffers).all(|(got, sent)| got.as_ptr() == sent.as_ptr()),
            "nothing is copied"
        );
        assert_eq!(outbox.bytes_written(), 20 * 300);
    }

    #[tokio::test]
    async fn a_batch_larger_than_the_socket_arrives_whole_and_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut server = Stream::Tcp(listener.accept().await.unwrap().0);
        let buffers: Vec<Bytes> =
            (0..600u32).map(|i| Bytes::from(vec![i as u8; 20_000 + i as usize])).collect();
        let expected: Vec<u8> = buffers.iter().flatten().copied().collect();
        let mut outbox = Outbox::default();
        outbox.try_write_batch(&mut server, |batch| batch.extend(buffers)).unwrap();
        assert!(!outbox.is_empty(), "12 MB do not fit a socket at once");
        assert_eq!(outbox.bytes_waiting() as u64 + outbox.bytes_written(), expected.len() as u64);
        outbox.push(Bytes::from_static(b"last"));
        let length = expected.len() + 4;
        let reader = tokio::spawn(async move {
            let mut got = vec![0; length];
            client.read_exact(&mut got).await.unwrap();
            got
        });
        poll_fn(|cx| outbox.poll_flush(cx, &mut server)).await.unwrap();
        let got = reader.await.unwrap();
        assert_eq!(outbox.bytes_written() as usize, length);
        assert!(got[..expected.len()] == expected[..] && &got[expected.len()..] == b"last");
        assert!(outbox.is_empty());
    }
}
