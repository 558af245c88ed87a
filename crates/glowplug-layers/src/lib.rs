//! Which distributions of a fleet of functions go into shared layers, and which functions attach which layer.
//!
//! ```text
//!  Fleet ──► Problem ──► local search ──► Russian dolls ──► Plan, lower bound
//!  what each  items with   a good plan     proof that no
//!  needs      equal rules                  better one exists
//! ```
//!
//! Everything here is arithmetic on values: nothing is read, written or run. [`optimise`] minimises the one objective
//! that [`Cost`] states. A layer holds whole distributions, a distribution is in one layer at most, and a function
//! attaches a layer only if it may have everything that is in it: unless [`Options::unneeded`] says otherwise, that is
//! what it needs, since `try: import x` behaves differently where `x` is there after all. [`tangles`] tells which
//! distributions of one function cannot be told apart by `sys.path`, and so stay together.

mod cost;
mod exact;
mod local;
mod model;
mod plan;
mod problem;
mod tangles;

pub use model::{
    Distribution, Fleet, Function, LAYERS_PER_FUNCTION, Options, UNZIPPED_LIMIT, UPDATE_BYTES, Weights,
};
pub use plan::{Baseline, Cost, Layer, Plan, baseline_everything, baseline_none, optimise, price};
pub use tangles::{Part, tangles};
