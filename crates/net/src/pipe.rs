//! A byte stream inside this process.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

/// One end of a byte stream between two tasks, which may run on different threads.
///
/// It behaves as a socket does, so that a session that is carried by something else than a socket (RTMP in HTTP requests)
/// is served by the same code. What the other end has written is kept here until it is taken, up to a limit; buffers that
/// are handed over whole ([`Pipe::try_give`]) are not copied. Dropping an end ends both directions: the other end reads
/// what was written before, then the end of the stream, and can write no more.
///
/// Each direction has one waiter per end: the task that polled last is the one that is woken.
#[derive(Debug)]
pub struct Pipe {
    lanes: Arc<Mutex<[Lane; 2]>>,
    /// The lane that this end writes; it reads the other.
    out: usize,
    bytes_max: usize,
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    buffers: VecDeque<Bytes>,
    bytes: usize,
    /// Nothing more is written.
    ended: bool,
    /// Reading fails with this, whatever was written.
    failed: Option<io::ErrorKind>,
    /// Nobody reads any more.
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The reader found nothing, and nothing was written since.
    starved: bool,
}

/// What can be taken from a [`Pipe`], or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Bytes in the buffers.
    pub bytes: usize,
    /// Whether nothing follows.
    pub ended: bool,
}

/// Both ends of a new stream. Each direction takes bytes while fewer than `bytes_max` wait in it.
pub fn pipe(bytes_max: usize) -> (Pipe, Pipe) {
    let lanes = Arc::<Mutex<[Lane; 2]>>::default();
    (Pipe { lanes: lanes.clone(), out: 0, bytes_max }, Pipe { lanes, out: 1, bytes_max })
}

impl Pipe {
    /// Waits until a read may bring bytes, the end or an error.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_readable(cx).map(|_| Ok(()))
    }

    /// Reads into the spare capacity of `buffer`, which must not be zero; 0 is the end of the stream.
    pub fn poll_read_buf(&self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        let mut lanes = ready!(self.poll_readable(cx))?;
        let lane = &mut lanes[1 - self.out];
        let before = buffer.len();
        while let Some(first) = lane.buffers.front_mut() {
            let room = buffer.capacity() - buffer.len();
            let count = first.len().min(room);
            buffer.put_slice(&first[..count]);
            first.advance(count);
            if !first.is_empty() {
                break;
            }
            lane.buffers.pop_front();
        }
        let count = buffer.len() - before;
        let waker = lane.taken(count);
        drop(lanes);
        wake(waker);
        Poll::Ready(Ok(count))
    }

    /// Waits for the first byte that a read would bring; `None` is the end.
    pub(crate) fn poll_peek(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<u8>>> {
        let lanes = ready!(self.poll_readable(cx))?;
        let first = lanes[1 - self.out].buffers.front();
        Poll::Ready(Ok(first.and_then(|buffer| buffer.first().copied())))
    }

    /// What [`Pipe::try_take`] would find.
    pub fn waiting(&self) -> Taken {
        let lane = &self.lock()[1 - self.out];
        Taken { bytes: lane.bytes, ended: lane.ended || lane.failed.is_some() }
    }

    /// Takes all that waits without copying it.
    ///
    /// # Errors
    /// As the other end said with [`Pipe::fail`].
    pub fn try_take(&self, out: &mut Vec<Bytes>) -> io::Result<Taken> {
        let mut lanes = self.lock();
        let lane = &mut lanes[1 - self.out];
        if let Some(kind) = lane.failed {
            return Err(kind.into());
        }
        let taken = Taken { bytes: lane.bytes, ended: lane.ended };
        out.extend(std::mem::take(&mut lane.buffers));
        let waker = lane.taken(taken.bytes);
        drop(lanes);
        wake(waker);
        Ok(taken)
    }

    /// Waits until a write may be taken, or fails.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut lanes = self.lock();
        let lane = &mut lanes[self.out];
        if lane.bytes < self.bytes_max || lane.is_shut() {
            return Poll::Ready(Ok(()));
        }
        register(&mut lane.writer, cx);
        Poll::Pending
    }

    /// Copies bytes from the front of `slices` and returns how many; `WouldBlock` when there is no room.
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(|lane| {
            let offered: usize = slices.iter().map(|slice| slice.len()).sum();
            let mut left = offered.min(self.bytes_max.saturating_sub(lane.bytes));
            let mut buffer = BytesMut::with_capacity(left);
            for slice in slices {
                let count = slice.len().min(left);
                buffer.put_slice(&slice[..count]);
                left -= count;
            }
            let count = buffer.len();
            lane.push(buffer.freeze());
            (offered, count)
        })
    }

    /// As [`Pipe::try_write_vectored`], and waits for room.
    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_write_ready(cx))?;
            match self.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Takes whole buffers from the front of `buffers` without copying them and returns how many. The last of them may go
    /// over the limit, so that a large one needs not be cut.
    pub fn try_give(&self, buffers: &[Bytes]) -> io::Result<usize> {
        self.write(|lane| {
            let mut count = 0;
            while count < buffers.len() && lane.bytes < self.bytes_max {
                lane.push(buffers[count].clone());
                count += 1;
            }
            (buffers.len(), count)
        })
    }

    /// Says that nothing more is written.
    pub fn finish(&self) {
        let waker = {
            let lane = &mut self.lock()[self.out];
            lane.ended = true;
            lane.reader.take()
        };
        wake(waker);
    }

    /// Breaks the stream: the other end's reads and writes fail with this error, what was written before is dropped.
    pub fn fail(&self, kind: io::ErrorKind) {
        let wakers = {
            let mut lanes = self.lock();
            lanes[1 - self.out].closed = true;
            let lane = &mut lanes[self.out];
            lane.failed = Some(kind);
            lane.buffers = VecDeque::new();
            lane.bytes = 0;
            [lanes[0].reader.take(), lanes[0].writer.take(), lanes[1].reader.take(), lanes[1].writer.take()]
        };
        wakers.into_iter().for_each(wake);
    }

    /// Waits until the other end has read everything and wants more: it has acted on all that was written. Also ready when
    /// it is gone.
    pub fn poll_starved(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut lanes = self.lock();
        let lane = &mut lanes[self.out];
        if lane.starved || lane.closed {
            return Poll::Ready(());
        }
        register(&mut lane.writer, cx);
        Poll::Pending
    }

    /// Runs `write` on the lane unless it is full or shut. `write` returns what it was offered and what it took.
    fn write(&self, write: impl FnOnce(&mut Lane) -> (usize, usize)) -> io::Result<usize> {
        let (reader, count) = {
            let lane = &mut self.lock()[self.out];
            if lane.is_shut() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let (offered, count) = write(lane);
            if count == 0 {
                return if offered == 0 { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
            }
            lane.starved = false;
            (lane.reader.take(), count)
        };
        wake(reader);
        Ok(count)
    }

    /// Ready when there is something to read, the end included.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<MutexGuard<'_, [Lane; 2]>>> {
        let mut lanes = self.lock();
        let lane = &mut lanes[1 - self.out];
        if let Some(kind) = lane.failed {
            return Poll::Ready(Err(kind.into()));
        }
        if lane.bytes > 0 || lane.ended {
            return Poll::Ready(Ok(lanes));
        }
        register(&mut lane.reader, cx);
        let starved = std::mem::replace(&mut lane.starved, true);
        let waker = if starved { None } else { lane.writer.take() };
        drop(lanes);
        wake(waker);
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, [Lane; 2]> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn push(&mut self, buffer: Bytes) {
        if !buffer.is_empty() {
            self.bytes += buffer.len();
            self.buffers.push_back(buffer);
        }
    }

    /// Notes that bytes were read; returns who waits for room.
    fn taken(&mut self, bytes: usize) -> Option<Waker> {
        self.bytes -= bytes;
        if self.buffers.is_empty() {
            // A burst may have needed a long list; an idle stream keeps none.
            self.buffers = VecDeque::new();
        }
        if bytes > 0 { self.writer.take() } else { None }
    }

    fn is_shut(&self) -> bool {
        self.closed || self.ended || self.failed.is_some()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let wakers = {
            let mut lanes = self.lock();
            lanes[self.out].ended = true;
            let lane = &mut lanes[1 - self.out];
            lane.closed = true;
            lane.buffers = VecDeque::new();
            lane.bytes = 0;
            let writer = lane.writer.take();
            [lanes[self.out].reader.take(), writer]
        };
        wakers.into_iter().for_each(wake);
    }
}

fn register(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn read(pipe: &Pipe) -> Poll<io::Result<Vec<u8>>> {
        let mut buffer = BytesMut::with_capacity(4);
        let read = pipe.poll_read_buf(&mut Context::from_waker(Waker::noop()), &mut buffer);
        read.map_ok(|count| {
            assert_eq!(count, buffer.len());
            buffer.to_vec()
        })
    }

    #[track_caller]
    fn assert_reads(pipe: &Pipe, expected: &[u8]) {
        assert!(matches!(read(pipe), Poll::Ready(Ok(bytes)) if bytes == expected));
    }

    #[test]
    fn bytes_pass_in_order_up_to_the_limit() {
        let (a, b) = pipe(6);
        assert_eq!(a.try_write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cdefgh")]).unwrap(), 6);
        let full = a.try_write_vectored(&[IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        assert_reads(&b, b"abcd");
        let given = [Bytes::from_static(b"large one"), Bytes::from_static(b"next")];
        assert_eq!(a.try_give(&given).unwrap(), 1, "whole, and then it is full");
        assert_eq!(a.try_give(&given[1..]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_reads(&b, b"efla");
        let mut rest = Vec::new();
        let all = Taken { bytes: 7, ended: false };
        assert_eq!((b.waiting(), b.try_take(&mut rest).unwrap()), (all, all));
        assert_eq!(rest, [Bytes::from_static(b"rge one")]);
        assert!(read(&b).is_pending());
    }

    #[test]
    fn an_end_that_is_dropped_is_the_end_of_the_stream_behind_what_it_wrote() {
        let (a, b) = pipe(6);
        a.try_give(&[Bytes::from_static(b"last")]).unwrap();
        drop(a);
        assert_reads(&b, b"last");
        assert_reads(&b, b"");
        assert_eq!(b.try_take(&mut Vec::new()).unwrap(), Taken { bytes: 0, ended: true });
        let broken = b.try_give(&[Bytes::from_static(b"x")]).unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn one_direction_may_end_before_the_other() {
        let (a, b) = pipe(6);
        a.finish();
        assert_reads(&b, b"");
        b.try_give(&[Bytes::from_static(b"more")]).unwrap();
        assert_reads(&a, b"more");
    }

    #[test]
    fn a_stream_that_is_broken_fails_at_the_other_end() {
        let (a, b) = pipe(6);
        a.try_give(&[Bytes::from_static(b"lost")]).unwrap();
        a.fail(io::ErrorKind::TimedOut);
        assert!(matches!(read(&b), Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut));
        assert_eq!(b.try_take(&mut Vec::new()).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let broken = b.try_give(&[Bytes::from_static(b"x")]).unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn each_wait_is_woken_once_by_what_it_waits_for() {
        let (a, b) = pipe(2);
        let woken = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let woken = || woken.0.swap(0, Ordering::Relaxed);
        assert!(a.poll_starved(&mut cx).is_pending());
        assert!(b.poll_read_ready(&mut cx).is_pending());
        assert_eq!(woken(), 1, "the reader waits");
        assert!(a.poll_starved(&mut cx).is_ready());
        a.try_give(&[Bytes::from_static(b"ab")]).unwrap();
        assert_eq!(woken(), 1, "there is something to read");
        assert!(a.poll_starved(&mut cx).is_pending());
        assert!(a.poll_write_ready(&mut cx).is_pending());
        assert_reads(&b, b"ab");
        assert_eq!(woken(), 1, "there is room");
        assert!(a.poll_write_ready(&mut cx).is_ready());
        assert!(a.poll_starved(&mut cx).is_pending(), "read, but not yet acted on");
        assert!(b.poll_read_ready(&mut cx).is_pending());
        assert_eq!(woken(), 1);
        drop(a);
        assert_eq!(woken(), 1, "the end");
    }

    #[tokio::test]
    async fn a_reader_and_a_writer_meet_across_threads() {
        let (a, b) = pipe(1000);
        let expected: Vec<u8> = (0..100_000u32).map(|i| i as u8).collect();
        let bytes = Bytes::from(expected.clone());
        let writer = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut left = bytes;
                while !left.is_empty() {
                    poll_fn(|cx| a.poll_write_ready(cx)).await.unwrap();
                    match a.try_write_vectored(&[IoSlice::new(&left)]) {
                        Ok(count) => left.advance(count),
                        Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                    }
                }
            });
        });
        let mut got = BytesMut::new();
        loop {
            got.reserve(777);
            if poll_fn(|cx| b.poll_read_buf(cx, &mut got)).await.unwrap() == 0 {
                break;
            }
        }
        writer.join().unwrap();
        assert!(got[..] == expected[..]);
    }
}
