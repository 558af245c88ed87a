//! What memory costs and what it gains: runs at memory tiers in, the best tier out.
//!
//! Nothing here starts a function: whoever can ([`Probe`]) is asked for runs, one tier at a time.

mod probe;

pub use probe::{Ask, ColdStart, Invoke, Outcome, Probe, Round, Variant};
