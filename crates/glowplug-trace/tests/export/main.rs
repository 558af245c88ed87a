//! Exports: what they hold, how they are sent, and what programs that others wrote make of them.
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

mod collector;
mod consumers;
mod formats;
mod samples;
mod sending;
