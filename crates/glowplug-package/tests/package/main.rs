//! What becomes of a tree: trimmed, compiled, zipped, and still what it was.
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

mod archive;
mod bytecode;
mod copies;
mod levels;
mod native;
mod support;
mod trimming;
mod unpacking;
mod weighing;
