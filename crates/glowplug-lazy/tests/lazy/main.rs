//! Deferred imports on real interpreters: what the edited module does, what is refused, what never changes.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail loudly and say what they ran on")]

mod classes;
mod corpus;
mod costly;
mod globals;
mod properties;
mod pyodide;
mod refusals;
mod semantics;
mod signatures;
mod support;
mod texts;
mod unseen;
