//! Lines on their way to where they are kept: a bounded queue and one thread that writes.
//!
//! Standard error may be a pipe that nobody reads just then, or a disk that is full. Who logs never waits for it: that may be a
//! thread that carries the media of thousands. Lines that find no room are dropped and counted.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// What may wait, in bytes: some ten thousand lines, more than a node writes in a minute.
const QUEUE_BYTES_MAX: usize = 1 << 20;
/// The longest line, in bytes. What peers choose (the names of their programs) may be longer than anybody reads.
const LINE_BYTES_MAX: usize = 8 << 10;

/// A queue of lines. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is a line.
    more: Condvar,
    /// All lines are written.
    drained: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    /// Bytes of `waiting` and of what is being written.
    bytes: usize,
    /// Lines that found no room since somebody was told so.
    dropped: u64,
}

impl Lines {
    /// Writes the lines to `out`, for ever. `tell` is called with the number of lines that were dropped, when there is room
    /// again.
    pub(super) fn write_to(&self, mut out: impl Write, tell: impl Fn(u64)) {
        loop {
            let (lines, dropped) = {
                let mut state = self.state();
                while state.waiting.is_empty() {
                    state = self.0.more.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                (std::mem::take(&mut state.waiting), std::mem::take(&mut state.dropped))
            };
            let mut written = 0;
            for line in &lines {
                // There is nowhere to say that this fails.
                let _ = out.write_all(line);
                written += line.len();
            }
            let _ = out.flush();
            self.state().bytes -= written;
            self.0.drained.notify_all();
            if dropped > 0 {
                tell(dropped);
            }
        }
    }

    /// Waits until all lines are written, for `wait` at most.
    pub(super) fn flush(&self, wait: Duration) {
        let unwritten = |state: &mut State| state.bytes > 0;
        let _ = self.0.drained.wait_timeout_while(self.state(), wait, unwritten);
    }

    fn push(&self, line: &[u8]) {
        let mut kept = line[..line.len().min(LINE_BYTES_MAX)].to_vec();
        if kept.len() < line.len() {
            kept.push(b'\n');
        }
        let mut state = self.state();
        if state.bytes + kept.len() > QUEUE_BYTES_MAX {
            state.dropped += 1;
            return;
        }
        state.bytes += kept.len();
        state.waiting.push_back(kept);
        drop(state);
        self.0.more.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one line at a time, as the formatter writes them.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> &'a Lines {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    /// Takes a line only when somebody reads it.
    struct Pipe(SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A queue whose lines go into a pipe, and the numbers of those that were dropped.
    fn start() -> (Lines, Receiver<Vec<u8>>, Receiver<u64>) {
        let lines = Lines::default();
        let (pipe, read) = sync_channel(0);
        let (tell, told) = sync_channel(8);
        let writer = lines.clone();
        std::thread::spawn(move || {
            writer.write_to(Pipe(pipe), move |dropped| tell.send(dropped).unwrap_or(()))
        });
        (lines, read, told)
    }

    #[test]
    fn who_logs_does_not_wait_for_a_pipe_that_nobody_reads() {
        let (lines, read, told) = start();
        let line = [b'x'; 1024];
        let room = QUEUE_BYTES_MAX / line.len();
        for _ in 0..2 * room {
            lines.push(&line);
        }
        for _ in 0..room {
            assert_eq!(read.recv().unwrap(), line);
        }
        lines.flush(Duration::MAX);
        lines.push(b"next\n");
        assert_eq!(read.recv().unwrap(), b"next\n");
        // In two numbers, where the writer began while lines were being dropped.
        let mut dropped = 0;
        while dropped < room as u64 {
            dropped += told.recv().unwrap();
        }
        assert_eq!(dropped, room as u64, "those that found no room are told");
    }

    #[test]
    fn a_line_of_any_length_is_cut() {
        let (lines, read, _told) = start();
        lines.push(&vec![b'x'; 1 << 20]);
        let line = read.recv().unwrap();
        assert_eq!((line.len(), line.last()), (LINE_BYTES_MAX + 1, Some(&b'\n')));
    }

    #[test]
    fn the_end_of_the_program_waits_for_its_lines_but_not_for_ever() {
        let (lines, read, _told) = start();
        lines.push(b"last\n");
        lines.flush(Duration::ZERO);
        assert_eq!(read.recv().unwrap(), b"last\n");
        lines.flush(Duration::MAX);
        assert_eq!(lines.state().bytes, 0);
    }
}
