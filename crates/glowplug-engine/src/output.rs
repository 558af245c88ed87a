//! What the processes of an environment write to standard output and standard error, kept whole up to a bound.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::LOG_BYTES;
use crate::telemetry::{Kind, Telemetry};

/// The most that can wait in a pipe of default size: what a drain must read to have all that was written before.
const PIPE_BYTES: usize = 64 * 1024;

/// Longest line that is told as one; ours.
const LONGEST_LINE: usize = 256 * 1024;

/// The output of an environment over all its processes.
#[derive(Debug, Default)]
pub(crate) struct Output {
    kept: Mutex<Vec<u8>>,
    /// How much was taken away from before what is kept.
    taken: AtomicUsize,
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything so far, but what was taken.
    pub(crate) fn all(&self) -> Vec<u8> {
        self.lock().clone()
    }

    /// How much there was so far.
    pub(crate) fn len(&self) -> usize {
        let kept = self.lock();
        self.taken.load(Ordering::Relaxed) + kept.len()
    }

    /// What came after a length.
    pub(crate) fn since(&self, length: usize) -> Vec<u8> {
        let kept = self.lock();
        let from = length.saturating_sub(self.taken.load(Ordering::Relaxed));
        kept.get(from..).unwrap_or_default().to_vec()
    }

    /// Keeps what came before a length no longer.
    pub(crate) fn forget(&self, length: usize) {
        let mut kept = self.lock();
        let taken = self.taken.load(Ordering::Relaxed);
        let told = length.saturating_sub(taken).min(kept.len());
        kept.drain(..told);
        self.taken.store(taken + told, Ordering::Relaxed);
    }

    /// Takes away what is kept: there is room for as much again.
    pub(crate) fn take(&self) -> Vec<u8> {
        let mut kept = self.lock();
        self.taken.fetch_add(kept.len(), Ordering::Relaxed);
        std::mem::take(&mut kept)
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    if kept.len() >= LOG_BYTES {
        return;
    }
    let room = LOG_BYTES - kept.len();
    if bytes.len() < room {
        kept.extend_from_slice(bytes);
        return;
    }
    kept.extend_from_slice(&bytes[..room]);
    kept.extend_from_slice(format!("\n[glowplug: output beyond {LOG_BYTES} bytes is left out]\n").as_bytes());
}

/// The reading end of one process's output; never blocks.
#[derive(Debug)]
pub(crate) struct OutputPipe {
    pipe: OwnedFd,
    output: Arc<Output>,
    telemetry: Arc<Telemetry>,
    kind: Kind,
    /// The beginning of a line that goes on.
    begun: Mutex<Vec<u8>>,
}

impl OutputPipe {
    pub(crate) fn new(pipe: OwnedFd, output: Arc<Output>, telemetry: Arc<Telemetry>, kind: Kind) -> Self {
        Self { pipe, output, telemetry, kind, begun: Mutex::default() }
    }

    /// Tells subscribers of whole lines.
    fn tell(&self, bytes: &[u8]) {
        if !self.telemetry.is_heard() {
            return;
        }
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let before = begun.len();
        begun.extend_from_slice(bytes);
        // The beginning has been looked at.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| before + at + 1);
        // A line without an end is told in pieces.
        let told = if begun.len() > LONGEST_LINE { begun.len() } else { whole };
        let lines: Vec<u8> = begun.drain(..told).collect();
        drop(begun);
        self.telemetry.tell_output(self.kind, &lines);
    }

    /// Tells the beginning of a line that did not come to its end.
    pub(crate) fn finish_line(&self) {
        let begun = std::mem::take(&mut *self.begun.lock().unwrap_or_else(PoisonError::into_inner));
        self.telemetry.tell_output(self.kind, &begun);
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Keeps what waits in the pipe now: all that was written before the call. False at its end.
    pub(crate) fn drain(&self) -> bool {
        let mut buffer = [0_u8; 16 * 1024];
        let mut read = 0;
        // Held while reading, so that two drains cannot mix up the order.
        let mut kept = self.output.lock();
        while read <= PIPE_BYTES {
            match rustix::io::read(&self.pipe, &mut buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    keep(&mut kept, &buffer[..count]);
                    self.tell(&buffer[..count]);
                    read += count;
                    if count < buffer.len() {
                        // Nothing more waits (pipe(7): a read takes all that there is).
                        return true;
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return true,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_bounded_and_says_so() {
        let mut kept = vec![b'x'; LOG_BYTES - 1];
        keep(&mut kept, b"yz");
        keep(&mut kept, b"never");
        let tail = String::from_utf8_lossy(&kept[LOG_BYTES..]).into_owned();
        assert_eq!(kept[LOG_BYTES - 1], b'y');
        assert_eq!(tail, "\n[glowplug: output beyond 16777216 bytes is left out]\n");
    }

    #[test]
    fn a_drain_keeps_what_was_written_before_it() {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let output = Arc::new(Output::default());
        let pipe = OutputPipe::new(reader, Arc::clone(&output), Arc::default(), Kind::Function);
        rustix::io::write(&writer, b"one").unwrap();
        assert!(pipe.drain());
        let mark = output.len();
        rustix::io::write(&writer, b"two").unwrap();
        assert!(pipe.drain());
        assert_eq!(output.since(mark), b"two");
        assert_eq!(output.take(), b"onetwo");
        assert_eq!((output.len(), output.since(mark)), (6, Vec::new()));
        rustix::io::write(&writer, b"three").unwrap();
        assert!(pipe.drain());
        assert_eq!((output.len(), output.since(6)), (11, b"three".to_vec()));
        drop(writer);
        assert!(!pipe.drain());
        output.forget(8);
        assert_eq!(output.all(), b"ree");
    }
}
