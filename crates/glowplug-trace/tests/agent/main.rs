//! The agents in real interpreters: alone, to show that they are invisible, and through the engine.
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

mod effects;
mod fixtures;
mod invisible;
mod observing;
mod support;
mod tracing;
mod using;
mod work;
