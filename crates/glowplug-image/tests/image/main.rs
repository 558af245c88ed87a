//! Images as others see them: verifiers written from the formats' specifications, `skopeo`, `umoci`, `runc`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail loudly and say what they skip")]

mod bases;
mod contents;
mod fetching;
mod formats;
mod python;
mod refusals;
mod running;
mod support;
mod verify;
