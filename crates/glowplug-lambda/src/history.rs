//! What has happened since the start: invokes by function, what they would be billed, and the last of them one by one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{MutexGuard, PoisonError};

use glowplug_capacity::Prices;
use glowplug_core::Architecture;
use glowplug_engine::{Init, Invocation, Outcome};

use crate::model::Configuration;
use crate::service::Service;
use crate::time;

/// Invokes that are known one by one.
const LAST: usize = 50;

/// What the invokes of a function would be billed, provisioned concurrency and free tier apart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bill {
    /// How many there were.
    pub invokes: u64,
    /// Billed duration in ms, all together.
    pub billed_ms: u64,
    /// US dollars.
    pub usd: f64,
}

/// What is counted of a function.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Counts {
    pub(crate) bill: Bill,
    /// Invokes that had to wait for an init.
    pub(crate) cold: u64,
    /// Invokes that did not succeed.
    pub(crate) errors: u64,
    /// Invokes for which there was no room.
    pub(crate) throttles: u64,
    /// Invokes on provisioned environments, and those of versions that have some but had none free
    /// (`ProvisionedConcurrencyInvocations` and `ProvisionedConcurrencySpilloverInvocations` of CloudWatch).
    pub(crate) provisioned: u64,
    pub(crate) spillover: u64,
}

/// On which kind of environment an invoke ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    OnDemand,
    Provisioned,
    /// On demand, since all provisioned ones were busy.
    Spilled,
}

/// One invoke.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    pub(crate) function: String,
    pub(crate) version: String,
    pub(crate) request_id: String,
    /// When it was over, in ms since 1970.
    pub(crate) ended_ms: u64,
    pub(crate) status: &'static str,
    pub(crate) duration_ms: f64,
    /// Of the init that it had to wait for.
    pub(crate) init_ms: Option<f64>,
    pub(crate) memory_mb: u64,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    counts: BTreeMap<String, Counts>,
    /// The newest last.
    last: VecDeque<Run>,
}

impl History {
    pub(crate) fn counts(&self, function: &str) -> Counts {
        self.counts.get(function).cloned().unwrap_or_default()
    }

    /// The newest first.
    pub(crate) fn last(&self) -> impl Iterator<Item = &Run> {
        self.last.iter().rev()
    }

    fn add(&mut self, run: Run, place: Place, usd: f64, billed_ms: u64) {
        let counts = self.counts.entry(run.function.clone()).or_default();
        counts.provisioned += u64::from(place == Place::Provisioned);
        counts.spillover += u64::from(place == Place::Spilled);
        counts.bill.invokes += 1;
        counts.bill.billed_ms += billed_ms;
        counts.bill.usd += usd;
        counts.cold += u64::from(run.init_ms.is_some());
        counts.errors += u64::from(run.status != "success");
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(run);
    }
}

impl Service {
    /// What has happened. Nobody who holds this waits for the state.
    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.0.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all invokes so far would be billed, by function.
    pub fn bills(&self) -> BTreeMap<String, Bill> {
        let history = self.history();
        let invoked = history.counts.iter().filter(|(_, counts)| counts.bill.invokes > 0);
        invoked.map(|(function, counts)| (function.clone(), counts.bill.clone())).collect()
    }

    /// The prices by which they are, and the region whose they are.
    pub fn prices(&self) -> (&Prices, &str) {
        (&self.0.options.prices, &self.0.options.priced_region)
    }

    /// An invoke is over; `init` is what it had to wait for.
    pub(crate) fn remember(
        &self,
        configuration: &Configuration,
        (init, place): (Option<&Init>, Place),
        invocation: &Invocation,
        billed_ms: u64,
    ) {
        let arm = configuration.architecture == Architecture::Arm64.to_string();
        let architecture = if arm { Architecture::Arm64 } else { Architecture::X86_64 };
        let billed_at = glowplug_capacity::Place {
            architecture,
            region: self.0.options.priced_region.clone(),
            ephemeral_mb: configuration.ephemeral_mb,
        };
        let usd = self.0.options.prices.invocation(&billed_at, configuration.memory_mb, billed_ms as f64);
        let run = Run {
            function: configuration.function_name.clone(),
            version: configuration.version.clone(),
            request_id: invocation.request_id.clone(),
            ended_ms: time::now().as_millis() as u64,
            status: match invocation.outcome {
                Outcome::Success(_) => "success",
                Outcome::HandlerError(_) => "error",
                Outcome::Exited(_) => "exited",
                Outcome::TimedOut(_) => "timeout",
            },
            duration_ms: invocation.duration_ms,
            init_ms: init.map(|init| init.runtime_ms + init.init_ms),
            memory_mb: invocation.peak_memory_kib.div_ceil(1024),
        };
        self.history().add(run, place, usd, billed_ms);
    }

    /// There was no room for an invoke.
    pub(crate) fn throttled(&self, function: &str) {
        self.history().counts.entry(function.to_owned()).or_default().throttles += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invokes_are_counted_and_the_last_are_known() {
        let mut history = History::default();
        for number in 0..=LAST {
            let run = Run {
                function: "f".to_owned(),
                version: "$LATEST".to_owned(),
                request_id: number.to_string(),
                ended_ms: 0,
                status: if number == 1 { "timeout" } else { "success" },
                duration_ms: 1.0,
                init_ms: (number == 0).then_some(100.0),
                memory_mb: 64,
            };
            history.add(run, Place::OnDemand, 0.5, 2);
        }
        let counts = history.counts("f");
        let invokes = LAST as u64 + 1;
        assert_eq!((counts.bill.invokes, counts.bill.billed_ms), (invokes, 2 * invokes));
        assert_eq!((counts.cold, counts.errors, counts.throttles), (1, 1, 0));
        let ids: Vec<&str> = history.last().map(|run| run.request_id.as_str()).collect();
        assert_eq!((ids.len(), ids[0], ids[LAST - 1]), (LAST, "50", "1"));
        assert_eq!(history.counts("g"), Counts::default());
    }
}
