//! Images as others see them.
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

mod formats;
mod support;
mod verify;
