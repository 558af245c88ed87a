//! A function in AWS Lambda as something that can be run at a memory size, and left as it was.
//!
//! ```text
//!  AwsTarget ── inspect ──► Inspection ──► Estimate          (reads only)
//!      └────── begin ─────► Session: Probe ──► CleanUp       (publishes versions, invokes them, deletes them)
//! ```
//!
//! - [`AwsTarget`] is a function that was found with the user's credentials, profile and region. It speaks through the
//!   AWS SDK; no other room does.
//! - [`Session`] runs it: each run is the first invoke of a version that was published for it.
//! - [`Session::finish`] takes everything back; [`AwsTarget::clean`] does so for a session that could not.
//!
//! Invariants: an alias or a version that is not ours is never changed; `$LATEST` differs from what the user has in its
//! memory size and one marked variable alone, and only while versions are being published; what somebody else changes
//! meanwhile stays changed.

mod calls;
mod clean;
mod connect;
mod estimate;
mod fault;
mod inspect;
mod invoke;
mod journal;
mod latest;
mod mark;
mod name;
mod report;
mod round;
mod session;
mod shape;

pub use clean::CleanUp;
pub use connect::{AwsTarget, Interrupt, Options};
pub use estimate::{Estimate, Runs};
pub use inspect::{Inspection, Provisioned};
pub use session::{Plan, Session};
