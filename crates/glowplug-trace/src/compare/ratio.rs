//! Whether two figures differ by more than measuring varies.

use glowplug_core::Stat;
use serde::{Deserialize, Serialize};

use crate::document::Trace;

/// Medians of fewer runs have no interval to speak of.
const FEWEST_RUNS: usize = 3;
/// A change of a module's or statement's own time below this is not worth a line, in ms.
const FLOOR_MS: f64 = 0.5;
/// Own times of single modules vary by this part at least.
const VARIES_BY: f64 = 0.1;

/// Now by before, with the 95 % interval that the two intervals give.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Of the medians; below 1 is better.
    pub median: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What the intervals say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// Less now.
    Faster,
    /// More now.
    Slower,
    /// The interval of the ratio holds 1.
    None,
    /// Either was not measured, or in too few runs.
    Unknown,
}

impl Ratio {
    /// The interval of a ratio of two independent figures from their own intervals: on the scale of logarithms
    /// distances add up as squares (method of variance estimates recovery: Zou and Donner, 2008).
    pub fn of(old: Stat, new: Stat) -> Option<Self> {
        if old.median <= 0.0 || new.median <= 0.0 {
            return None;
        }
        // An end at or below 0 is as far as a logarithm goes: far away.
        let distance =
            |far: f64, near: f64| if far > 0.0 && near > 0.0 { (near / far).ln().abs() } else { f64::MAX };
        let down = distance(new.low, new.median).hypot(distance(old.high, old.median));
        let up = distance(new.high, new.median).hypot(distance(old.low, old.median));
        let median = new.median / old.median;
        let high = (median.ln() + up).exp();
        Some(Self { median, low: (median.ln() - down).exp(), high: high.min(f64::MAX) })
    }

    /// Whether the two figures differ.
    pub fn difference(self) -> Difference {
        if self.high < 1.0 {
            Difference::Faster
        } else if self.low > 1.0 {
            Difference::Slower
        } else {
            Difference::None
        }
    }
}

/// The ratio and what it says of two figures that may be missing.
pub(super) fn ratio(old: Option<Stat>, new: Option<Stat>) -> (Option<Ratio>, Difference) {
    let Some((old, new)) = old.zip(new) else { return (None, Difference::Unknown) };
    let ratio = Ratio::of(old, new);
    let enough = old.runs.min(new.runs) >= FEWEST_RUNS;
    (ratio, ratio.filter(|_| enough).map_or(Difference::Unknown, Ratio::difference))
}

/// How much single figures vary that have no interval of their own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noise {
    part: f64,
}

impl Noise {
    /// As init does in these two traces, and no less than single modules do.
    pub(super) fn of(old: &Trace, new: &Trace) -> Self {
        let width = |trace: &Trace| {
            trace
                .phases
                .init
                .filter(|init| init.median > 0.0)
                .map_or(0.0, |init| (init.high - init.low) / init.median)
        };
        Self { part: width(old).max(width(new)).max(VARIES_BY) }
    }

    /// Whether a change is more than that. What is missing on one side counts as nothing.
    pub(super) fn is_exceeded(self, old: Option<f64>, new: Option<f64>) -> bool {
        let (old, new) = (old.unwrap_or(0.0), new.unwrap_or(0.0));
        let change = (new - old).abs();
        change >= FLOOR_MS && change > self.part * old.abs().max(new.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(median: f64, half: f64) -> Stat {
        Stat { median, low: median - half, high: median + half, spread: half, runs: 8 }
    }

    #[test]
    fn intervals_that_overlap_a_little_may_still_differ_and_wide_ones_do_not() {
        let told = |old, new| ratio(Some(old), Some(new)).1;
        assert_eq!(told(stat(100.0, 5.0), stat(108.0, 5.0)), Difference::Slower);
        assert_eq!(told(stat(100.0, 5.0), stat(104.0, 5.0)), Difference::None);
        assert_eq!(told(stat(100.0, 5.0), stat(50.0, 5.0)), Difference::Faster);
        assert_eq!(told(stat(100.0, 120.0), stat(50.0, 5.0)), Difference::None);
        assert_eq!(told(stat(100.0, 0.0), Stat { runs: 1, ..stat(50.0, 0.0) }), Difference::Unknown);
        assert_eq!(ratio(None, Some(stat(1.0, 0.1))), (None, Difference::Unknown));
        let ratio = Ratio::of(stat(100.0, 5.0), stat(50.0, 1.0)).unwrap();
        assert!(ratio.low < 0.5 && 0.5 < ratio.high && ratio.high < 0.6, "{ratio:?}");
    }
}
