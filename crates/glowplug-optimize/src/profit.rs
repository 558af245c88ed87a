//! Whether deferring pays: time saved in init against time spent in the first requests that need it.

use crate::options::Objective;

/// Memory size that has one whole vCPU, MB (AWS Lambda developer guide, "Configure Lambda function memory").
const FULL_VCPU_MB: f64 = 1769.0;

/// From this share on all first requests need it: weights add up to 1 only nearly.
const ALL: f64 = 0.999;

/// How far beyond breaking even the requests together may lose by the rule, as a part of what init saves: the rule
/// knows no better. A share of a CPU is handed out in periods of 20 ms, the first of which a request has in full.
const NEARLY_EVEN: f64 = 0.1;

/// The rule on profit for one function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Profit {
    /// How many times slower a handler's CPU is than init's.
    pub(crate) slowdown: f64,
    /// What counts.
    pub(crate) objective: Objective,
}

impl Profit {
    /// The rule at a memory size. With the boost init has a whole vCPU and the handler its share; without it
    /// both have the same.
    pub(crate) fn new(memory_mb: u32, init_boost: bool, objective: Objective) -> Self {
        let share = (f64::from(memory_mb) / FULL_VCPU_MB).min(1.0);
        Self { slowdown: if init_boost { 1.0 / share } else { 1.0 }, objective }
    }

    /// Whether to defer what the share `weight` of first requests needs. What all of them need stays eager.
    ///
    /// Cost counts what all first requests take together. Speed counts the one in the middle: what fewer than half
    /// of them need, the middle one does not wait for. Balance goes by cost, and where that is nearly even, by speed:
    /// what is measured in the end still counts them together.
    pub(crate) fn defers(self, weight: f64) -> bool {
        let together = weight * self.slowdown;
        let middle_gains = weight < 0.5;
        let pays = match self.objective {
            Objective::Cost => together < 1.0,
            Objective::Balanced => together < 1.0 || (middle_gains && together < 1.0 + NEARLY_EVEN),
            Objective::Speed => together < 1.0 || middle_gains,
        };
        weight < ALL && pays
    }

    /// Why what `weight` of first requests needs is not deferred.
    pub(crate) fn reason(self, weight: f64) -> String {
        if weight >= ALL {
            return "every event's first request needs it, or init itself does".to_owned();
        }
        format!(
            "{:.0} % of first requests need it, and a handler's CPU is {:.1} times slower than init's",
            weight * 100.0,
            self.slowdown
        )
    }

    /// What the first requests cost: init, and the weighted invoke at the handler's CPU. Both in ms.
    pub(crate) fn cost(self, init_ms: f64, weighted_invoke_ms: f64) -> f64 {
        match self.objective {
            Objective::Speed => init_ms + weighted_invoke_ms,
            Objective::Cost | Objective::Balanced => init_ms + self.slowdown * weighted_invoke_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowdown_is_the_inverse_of_the_share_and_never_below_one() {
        let slowdown = |memory, boost| Profit::new(memory, boost, Objective::Balanced).slowdown;
        assert!((slowdown(512, true) - 3.455).abs() < 0.01);
        assert!((slowdown(3008, true) - 1.0).abs() < 1e-9);
        assert!((slowdown(128, false) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_all_need_is_never_deferred_and_speed_and_near_ties_look_at_the_middle() {
        let of = |objective| Profit::new(512, true, objective);
        for objective in [Objective::Cost, Objective::Speed, Objective::Balanced] {
            assert!(!of(objective).defers(0.6 + 0.3 + 0.1));
            let even = Profit::new(3008, true, objective);
            assert!(!even.defers(0.6 + 0.3 + 0.1));
            assert!(of(objective).defers(0.1));
        }
        assert!(!of(Objective::Balanced).defers(0.4) && of(Objective::Speed).defers(0.4));
        // 0.3 of the requests, each 3.455 times as slow: 1.04 of what init saves.
        assert!(!of(Objective::Cost).defers(0.3) && of(Objective::Balanced).defers(0.3));
        assert!(!Profit::new(1024, true, Objective::Balanced).defers(0.59));
        assert!(of(Objective::Balanced).reason(0.4).contains("40 %"));
    }
}
