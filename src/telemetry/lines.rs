//! The lines of the log on their way out: a bounded queue, and one thread that writes.
//!
//! Whoever logs never waits: what finds no room, or can't be written, is lost and counted. The
//! `non_blocking` writer of `tracing-appender` does not count what can't be written, and at its end
//! prints to standard output, which may be the very pipe that nobody reads.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The most lines that wait to be written.
const MOST_LINES: usize = 8192;

/// The most bytes of them: a line may be long.
const MOST_BYTES: usize = 4 << 20;

/// Lines that wait for the thread that writes them.
#[derive(Debug, Default)]
pub(super) struct Lines {
    queue: Mutex<Queue>,
    arrival: Condvar,
    written: Condvar,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    is_writing: bool,
}

impl Lines {
    /// Starts the thread that writes to `out`. It ends with the process.
    ///
    /// # Errors
    /// The machine starts no thread.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Arc<Self>> {
        let lines = Arc::new(Self::default());
        let own = Arc::clone(&lines);
        thread::Builder::new().name("log".to_owned()).spawn(move || own.write_to(out))?;
        Ok(lines)
    }

    /// Adds a line, its end included. Where there is no room it is lost.
    pub(super) fn push(&self, line: &[u8]) {
        let mut queue = self.queue();
        if queue.lines.len() >= MOST_LINES || queue.bytes + line.len() > MOST_BYTES {
            drop(queue);
            self.lose();
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line.to_owned());
        drop(queue);
        self.arrival.notify_one();
    }

    /// Waits until all lines are written or lost, but no longer than this.
    pub(super) fn finish(&self, within: Duration) {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.lines.is_empty();
        // Whether it is over in time or not: there is nothing left to do.
        drop(self.written.wait_timeout_while(self.queue(), within, is_busy));
    }

    /// How many lines were lost.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut out: impl Write) {
        loop {
            let line = self.next();
            // A disk that is full today may have room tomorrow: each line is tried.
            if out.write_all(&line).and_then(|()| out.flush()).is_err() {
                self.lose();
            }
            self.queue().is_writing = false;
            self.written.notify_all();
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut queue = self.queue();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                queue.bytes -= line.len();
                queue.is_writing = true;
                return line;
            }
            queue = self.arrival.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Takes a whole line at each call, as the formatter of `tracing` hands it over. Never fails.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    /// Hands on what is written once it is let.
    struct Gate {
        open: Receiver<io::Result<()>>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.open.recv().unwrap_or(Ok(()))?;
            drop(self.written.send(line.to_owned()));
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gate() -> (Arc<Lines>, Sender<io::Result<()>>, Receiver<Vec<u8>>) {
        let ((opener, open), (written, read)) = (channel(), channel());
        (Lines::start(Gate { open, written }).unwrap(), opener, read)
    }

    #[test]
    fn writes_lines_in_their_order_and_waits_for_the_last() {
        let (lines, opener, read) = gate();
        drop(opener);
        for number in 0..100 {
            lines.push(format!("{number}\n").as_bytes());
        }
        lines.finish(LONG);
        let written: Vec<_> =
            read.try_iter().map(|line| String::from_utf8(line).unwrap()).collect();
        let pushed: Vec<_> = (0..100).map(|number| format!("{number}\n")).collect();
        assert_eq!((written, lines.lost()), (pushed, 0));
    }

    #[test]
    fn loses_and_counts_what_finds_no_room_and_goes_on_when_there_is_some() {
        let (lines, opener, read) = gate();
        let beyond = 10;
        for _ in 0..=MOST_LINES + beyond {
            lines.push(b"x\n");
        }
        // One more may be on its way out.
        let lost = lines.lost();
        assert!((beyond as u64..=beyond as u64 + 1).contains(&lost), "{lost}");
        lines.finish(Duration::ZERO);
        drop(opener);
        lines.finish(LONG);
        assert_eq!(read.try_iter().count() as u64 + lost, MOST_LINES as u64 + beyond as u64 + 1);
        lines.push(b"again\n");
        lines.finish(LONG);
        assert_eq!((read.try_iter().count(), lines.lost()), (1, lost));
    }

    #[test]
    fn bounds_the_bytes_of_what_waits() {
        let (lines, _opener, _read) = gate();
        let line = vec![b'x'; MOST_BYTES / 4 + 1];
        for _ in 0..5 {
            lines.push(&line);
        }
        assert!((1..=2).contains(&lines.lost()), "{}", lines.lost());
    }

    #[test]
    fn counts_what_can_not_be_written_and_tries_the_next() {
        let (lines, opener, read) = gate();
        for outcome in [Err(io::ErrorKind::BrokenPipe.into()), Ok(()), Err(io::Error::other("x"))] {
            opener.send(outcome).unwrap();
            lines.push(b"x\n");
        }
        lines.finish(LONG);
        assert_eq!((read.try_iter().count(), lines.lost()), (1, 2));
    }
}
