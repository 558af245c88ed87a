//! Functions as people have them, from loading to the assembled tree, with what bad input gets.
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

mod assembling;
mod bad_input;
mod loading;
mod runtimes;
mod support;
