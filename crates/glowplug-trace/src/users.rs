//! Who uses what an import line brings in: events, by their share of first requests; and whether the line can wait.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::{Line, Trace};
use crate::records::{Phase, Status};

/// Memory size that has one whole vCPU, MB (AWS Lambda developer guide, "Configure Lambda function memory").
const FULL_VCPU_MB: f64 = 1769.0;
/// From this share on all first requests use it: weights add up to 1 only nearly.
const ALL: f64 = 0.999;

/// What static analysis says of an import statement of the user's own code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// The build may defer it.
    MayWait,
    /// This line of the same file uses it while the module loads.
    UsedAt(u32),
    /// It stands within another statement.
    Nested,
    /// Another reason why the build leaves it, in words.
    Refused(String),
}

/// Rulings by place, `file:line` relative to the tree.
pub type Rulings = BTreeMap<String, Ruling>;

/// The ruling on a line; `None` where nobody has looked. What another statement loads anyway does not wait either.
pub(crate) fn ruling(trace: &Trace, rulings: &Rulings, line: &Line) -> Option<Ruling> {
    let own = rulings.get(&line.place)?;
    let loads_too = trace.imports.iter().find(|import| {
        import.status == Status::Cached
            && import.phase == Phase::Init
            && import.importer != line.place
            && line.asks_for.contains(&import.module)
            && rulings.get(&import.importer) != Some(&Ruling::MayWait)
    });
    Some(match (own, loads_too) {
        (Ruling::MayWait, Some(other)) => Ruling::Refused(format!("{} imports it too", other.importer)),
        _ => own.clone(),
    })
}

/// Names of the events that a trace speaks of, those included that ended before anybody saw what they use.
pub fn event_names(trace: &Trace) -> BTreeSet<&str> {
    trace.phases.first_invoke.keys().chain(&trace.cut_off).map(String::as_str).collect()
}

/// Whether every event was seen to its end: only then unused is more than not known. One that fails in an orderly way
/// was.
pub fn is_usage_known(trace: &Trace) -> bool {
    let ended = trace.failure.as_deref().is_none_or(|failure| failure.starts_with("first invoke, "));
    let invoked = &trace.phases.first_invoke;
    ended && trace.cut_off.is_empty() && !invoked.is_empty() && invoked.values().all(Option::is_some)
}

/// The events of a trace and their shares of first requests.
#[derive(Debug)]
pub(crate) struct Events<'a> {
    weights: BTreeMap<&'a str, f64>,
    /// Whether somebody has said what each weighs.
    weighted: bool,
    /// How many times slower a handler's CPU is than init's.
    slowdown: f64,
}

/// How deferring pays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Deferral {
    /// Which part of its time is saved of the weighted cold start.
    pub(crate) saved_part: f64,
    /// Whether only the middle request gains, and all together lose: handlers have less CPU than init.
    pub(crate) for_speed: bool,
}

impl<'a> Events<'a> {
    /// The events that the trace speaks of, none where it does not know what all of them use; without weights all
    /// weigh the same.
    pub(crate) fn of(trace: &'a Trace, weights: &BTreeMap<String, f64>) -> Self {
        let names = if is_usage_known(trace) { event_names(trace) } else { BTreeSet::new() };
        let given =
            |name: &str| if weights.is_empty() { 1.0 } else { weights.get(name).copied().unwrap_or(0.0) };
        let sum: f64 = names.iter().map(|name| given(name)).sum();
        let share = (f64::from(trace.environment.memory_mb) / FULL_VCPU_MB).min(1.0);
        // Unless the boost is turned off, init has it on Lambda, whatever CPU was measured with.
        let boost = trace.environment.cpu != "share" || trace.environment.init_boost;
        Self {
            weighted: !weights.is_empty(),
            weights: names.into_iter().map(|name| (name, given(name) / sum.max(f64::MIN_POSITIVE))).collect(),
            slowdown: if boost { 1.0 / share.max(f64::MIN_POSITIVE) } else { 1.0 },
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.weights.len()
    }

    /// Whether the build defers what `used` events wait for in their first request; `None` where it does not, or
    /// nobody knows who uses it. The rule is the build's own.
    pub(crate) fn deferral(&self, used: &BTreeSet<&str>) -> Option<Deferral> {
        if self.weights.is_empty() {
            return None;
        }
        let weight: f64 = used.iter().filter_map(|event| self.weights.get(event)).sum();
        let by_default = !self.weighted || weight * self.slowdown < 1.0;
        (weight < ALL && (by_default || weight < 0.5))
            .then_some(Deferral { saved_part: 1.0 - weight, for_speed: !by_default })
    }

    /// `used by 1 of 3 events`. That nothing of it ran is all that is known of what no event uses: its names may have
    /// been read.
    pub(crate) fn usage(&self, used: &BTreeSet<&str>) -> String {
        let count = used.iter().filter(|event| self.weights.contains_key(**event)).count();
        match (count, self.weights.len()) {
            (0, 1) => {
                let name = self.weights.keys().next().copied().unwrap_or_default();
                format!("the only event, `{name}`, ran nothing of it")
            }
            (0, all) => format!("none of {all} events ran anything of it"),
            (count, all) => format!("used by {count} of {all} events"),
        }
    }
}
