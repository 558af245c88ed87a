//! What a tuning may cost, told before it starts: a value, the question is the command's.
//!
//! Billed is memory size × billed duration of every invoke, plus a fee for each ("AWS Lambda pricing"). Publishing and
//! deleting versions costs nothing. How long an invoke takes is not known before it was measured, hence two figures: one
//! for an assumed duration, and the most that it can be, since no invoke outlasts the function's timeout and no init its
//! own limit.

use crate::inspect::Inspection;

/// The longest init that is billed before it is tried again within the invoke, in ms ("Lambda execution environment
/// lifecycle" in the developer guide).
const LONGEST_INIT_MS: u64 = 10_000;

/// What is going to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    /// Memory sizes in MB.
    pub tiers: Vec<u32>,
    /// Cold starts at each of them, all events together.
    pub runs: u32,
    /// Warm invokes after each.
    pub warm: u32,
    /// What a cold start, init included, and a warm invoke are thought to be billed, in ms.
    pub assumed_ms: (u64, u64),
}

/// What it comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Versions that are published and deleted again.
    pub versions: u64,
    pub invokes: u64,
    /// GB-seconds for the assumed durations.
    pub gb_seconds: f64,
    /// GB-seconds where every invoke takes as long as it may.
    pub most_gb_seconds: f64,
}

impl Estimate {
    /// That of these runs of a function.
    pub fn of(inspection: &Inspection, runs: &Runs) -> Self {
        Self::at(inspection.timeout_s, runs)
    }

    fn at(timeout_s: u32, runs: &Runs) -> Self {
        let cold = u64::from(runs.runs);
        let warm = cold * u64::from(runs.warm);
        let tiers = runs.tiers.len() as u64;
        let gb: f64 = runs.tiers.iter().map(|memory_mb| f64::from(*memory_mb) / 1024.0).sum();
        let most_ms = u64::from(timeout_s) * 1000;
        let seconds = |cold_ms: u64, warm_ms: u64| (cold * cold_ms + warm * warm_ms) as f64 / 1000.0;
        let (cold_ms, warm_ms) = runs.assumed_ms;
        Self {
            versions: tiers * cold,
            invokes: tiers * (cold + warm),
            gb_seconds: gb * seconds(cold_ms.min(most_ms + LONGEST_INIT_MS), warm_ms.min(most_ms)),
            most_gb_seconds: gb * seconds(most_ms + LONGEST_INIT_MS, most_ms),
        }
    }

    /// Dollars for the assumed durations, and at most, at these prices of a GB-second and of an invoke.
    pub fn usd(&self, per_gb_second: f64, per_invoke: f64) -> (f64, f64) {
        let fees = self.invokes as f64 * per_invoke;
        (self.gb_seconds * per_gb_second + fees, self.most_gb_seconds * per_gb_second + fees)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_invoke_is_billed_by_its_memory_size() {
        let runs = Runs { tiers: vec![512, 1536], runs: 10, warm: 2, assumed_ms: (900, 100) };
        let estimate = Estimate::at(3, &runs);
        assert_eq!((estimate.versions, estimate.invokes), (20, 60));
        // 2 GB for 10 × (0.9 + 2 × 0.1) s; at most 10 × (13 + 2 × 3) s.
        assert!((estimate.gb_seconds - 22.0).abs() < 1e-9, "{estimate:?}");
        assert!((estimate.most_gb_seconds - 380.0).abs() < 1e-9, "{estimate:?}");
        let (likely, most) = estimate.usd(0.000_016_666_7, 0.000_000_2);
        assert!((likely - 0.000_378_667_4).abs() < 1e-9 && most > likely, "{likely} {most}");
    }

    #[test]
    fn no_invoke_outlasts_its_timeout() {
        let runs = Runs { tiers: vec![1024], runs: 1, warm: 1, assumed_ms: (60_000, 60_000) };
        let estimate = Estimate::at(1, &runs);
        assert!((estimate.gb_seconds - 12.0).abs() < 1e-9, "{estimate:?}");
        assert!((estimate.gb_seconds - estimate.most_gb_seconds).abs() < 1e-9);
    }
}
