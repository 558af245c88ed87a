//! What memory costs and what it gains: runs at memory sizes in, the best size out.
//!
//! ```text
//!  Probe ──► Round ──► Times ──► Model ──► what to run next ──► Tiers ──► choice
//!  a run     times     at one    time by   until the choice     measured   best, Pareto front
//!                      speed     share     is measured          or modelled
//! ```
//!
//! Nothing here starts a function: whoever can ([`Probe`]) is asked for runs, one at a time.

mod choice;
mod evidence;
mod figures;
mod model;
mod notes;
mod prices;
mod probe;
mod seen;
mod speed;
mod throttle;
mod tune;

pub use choice::{Best, Objective};
pub use figures::{EventTimes, Percentiles, Tier};
pub use model::{FULL_CPU_MB, MOST_CPUS, Model, Phase, Point, share};
pub use prices::{FREE_EPHEMERAL_MB, Free, Place, Prices, Provisioned, SnapStart};
pub use probe::{Ask, ColdStart, Invoke, Outcome, Probe, Round, Variant};
pub use throttle::{PERIOD_MS, spread};
pub use tune::{Settings, TIERS, Tuning, Watcher, tune};
