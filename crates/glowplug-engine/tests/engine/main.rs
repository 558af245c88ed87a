//! The engine with the real runtime client: every test starts environments on small functions written on the spot.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail loudly and say what they skip")]

mod api;
mod extensions;
mod failures;
mod limits;
mod network;
mod snapshot;
mod start;
mod support;
mod temporary;
