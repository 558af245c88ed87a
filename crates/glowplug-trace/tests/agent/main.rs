//! The agents in real interpreters: alone, to show that they are invisible, and through the engine.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail loudly and say what they skip")]

mod effects;
mod fixtures;
mod invisible;
mod observing;
mod support;
mod tracing;
mod using;
mod work;
