//! Several transfers at once, and the one progress display that they share.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use glowplug_core::{Error, ErrorClass, Progress, Result};

use crate::limits::TRANSFERS;

/// Does the work for each item, [`TRANSFERS`] at a time, and gives the results in the items' order.
///
/// # Errors
/// The first failure; `stop` is set then, and the others end at their next look at it.
pub(crate) fn all<I: Sync, T: Send>(
    items: &[I],
    stop: &AtomicBool,
    work: impl Fn(&I) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, T)>> = Mutex::default();
    let failed: Mutex<Option<Error>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..TRANSFERS.min(items.len()) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    match work(item) {
                        Ok(value) => done.lock().unwrap_or_else(PoisonError::into_inner).push((at, value)),
                        Err(error) => remember(&failed, error, stop),
                    }
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, value)| value).collect())
}

/// Keeps the error that tells most: those that were stopped because of another say that they were interrupted.
fn remember(failed: &Mutex<Option<Error>>, error: Error, stop: &AtomicBool) {
    stop.store(true, Ordering::Relaxed);
    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
    let tells = |error: &Error| error.class() != ErrorClass::Interrupted;
    if failed.as_ref().is_none_or(|known| !tells(known) && tells(&error)) {
        *failed = Some(error);
    }
}

/// What one transfer has told the display. What is moved a second time is not told again.
pub(crate) struct Told<'a> {
    progress: &'a dyn Progress,
    bytes: Cell<u64>,
}

impl<'a> Told<'a> {
    /// Nothing yet.
    pub(crate) fn new(progress: &'a dyn Progress) -> Self {
        Self { progress, bytes: Cell::new(0) }
    }

    /// So many bytes have been moved by now.
    pub(crate) fn now(&self, bytes: u64) {
        let before = self.bytes.get();
        if bytes > before {
            self.progress.advance(bytes - before);
            self.bytes.set(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_and_the_telling_error_wins() {
        let stop = AtomicBool::new(false);
        assert_eq!(all(&[3, 1, 2, 9, 5], &stop, |n| Ok(n * 2)).unwrap(), [6, 2, 4, 18, 10]);
        assert!(all::<u8, u8>(&[], &stop, |_| Ok(1)).unwrap().is_empty());
        let error = all(&[0, 1, 2], &stop, |n| -> Result<()> {
            if *n == 2 {
                return Err(Error::input("the reason"));
            }
            while !stop.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            Err(Error::interrupted())
        });
        assert_eq!(error.unwrap_err().message(), "the reason");
    }
}
