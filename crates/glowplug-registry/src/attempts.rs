//! Trying again: what passes by itself is tried again after a wait, a bounded number of times.

use std::time::{Duration, Instant};

use glowplug_core::{Error, Result};

use crate::access::Patience;
use crate::http::Watch;

/// Between two looks at whether to go on waiting.
const TICK: Duration = Duration::from_millis(50);

/// Attempts in all, as a multiple of those in a row: what brings a little each time ends too.
const IN_ALL: u32 = 20;

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may pass: another attempt makes sense, not before the wait that the registry asked for.
    Passing { error: Error, wait: Option<Duration> },
    /// It would fail again.
    Final(Error),
}

impl Failure {
    /// One that may pass.
    pub(crate) fn passing(error: Error) -> Self {
        Self::Passing { error, wait: None }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// Counts attempts at one thing.
pub(crate) struct Attempts<'a> {
    patience: &'a Patience,
    watch: Watch<'a>,
    in_a_row: u32,
    in_all: u32,
}

impl<'a> Attempts<'a> {
    /// None made yet.
    pub(crate) fn new(patience: &'a Patience, watch: Watch<'a>) -> Self {
        Self { patience, watch, in_a_row: 0, in_all: 0 }
    }

    /// An attempt failed; `further` where it brought something that is kept. Returns when the next one is due.
    ///
    /// # Errors
    /// There is to be no next one: the failure's own error, with the number of attempts.
    pub(crate) fn failed(&mut self, failure: Failure, further: bool) -> Result<()> {
        self.watch.check()?;
        let (error, wait) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Passing { error, wait } => (error, wait),
        };
        self.in_a_row = if further { 1 } else { self.in_a_row + 1 };
        self.in_all += 1;
        let most = self.patience.attempts.max(1);
        if self.in_a_row >= most || self.in_all >= most.saturating_mul(IN_ALL) {
            let error = match self.in_all {
                1 => error,
                made => error.cause(format!("gave up after {made} attempts")),
            };
            return Err(error.hint("try again later; what has been moved so far is not moved again"));
        }
        let longest = self.patience.longest_wait;
        if let Some(asked) = wait.filter(|asked| *asked > longest) {
            return Err(error
                .cause(format!(
                    "the registry asks to wait {} s, more than the {} s that are waited here",
                    asked.as_secs(),
                    longest.as_secs()
                ))
                .hint("try again later, or log in: registries allow more to whom they know"));
        }
        let doubled = self.patience.first_wait.saturating_mul(1 << (self.in_a_row - 1).min(16));
        self.pause(wait.unwrap_or_default().max(doubled.min(longest)))
    }

    fn pause(&self, wait: Duration) -> Result<()> {
        let started = Instant::now();
        while let Some(left) = wait.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) {
            self.watch.check()?;
            std::thread::sleep(left.min(TICK));
        }
        Ok(())
    }
}

/// Tries until it works, fails for good or there were too many attempts.
pub(crate) fn retry<T>(
    patience: &Patience,
    watch: Watch<'_>,
    mut attempt: impl FnMut() -> Result<T, Failure>,
) -> Result<T> {
    let mut attempts = Attempts::new(patience, watch);
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(failure) => attempts.failed(failure, false)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use glowplug_core::NoProgress;

    use super::*;

    fn patience() -> Patience {
        let moment = Duration::from_millis(1);
        Patience { attempts: 3, first_wait: moment, longest_wait: moment * 5, ..Patience::default() }
    }

    fn tried(mut next: impl FnMut(u32) -> (Failure, bool), stop: bool) -> (u32, Error) {
        let stop = AtomicBool::new(stop);
        let (patience, watch) = (patience(), Watch { progress: &NoProgress, stop: &stop });
        let mut attempts = Attempts::new(&patience, watch);
        for made in 1.. {
            let (failure, further) = next(made);
            if let Err(error) = attempts.failed(failure, further) {
                return (made, error);
            }
        }
        unreachable!("the loop has no end of its own");
    }

    fn passing(wait: Option<Duration>) -> Failure {
        Failure::Passing { error: Error::surroundings("busy"), wait }
    }

    #[test]
    fn attempts_are_bounded_in_a_row_and_in_all() {
        let (made, error) = tried(|_| (passing(None), false), false);
        assert_eq!(made, 3);
        assert!(error.to_string().contains("gave up after 3 attempts"), "{error}");
        assert_eq!(tried(|made| (passing(None), made == 2), false).0, 4);
        assert_eq!(tried(|_| (passing(None), true), false).0, 60);
    }

    #[test]
    fn what_is_final_or_interrupted_or_asks_too_much_is_not_tried_again() {
        assert_eq!(tried(|_| (Failure::Final(Error::input("no")), false), false).0, 1);
        let (made, error) = tried(|_| (passing(Some(Duration::from_hours(1))), false), false);
        assert_eq!(made, 1);
        assert!(error.to_string().contains("asks to wait 3600 s"), "{error}");
        let (made, error) = tried(|_| (passing(None), false), true);
        assert_eq!((made, error.class()), (1, glowplug_core::ErrorClass::Interrupted));
    }
}
