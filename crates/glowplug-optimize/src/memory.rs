//! What a build asks of the builds before it: whether one of them had the same inputs, and to keep it for the next.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use glowplug_core::{Cache, Error, Plan, Result};
use glowplug_function::Event;

use crate::build::{Finished, zip_place};
use crate::ground::Ground;
use crate::key::{Inputs, Planned};
use crate::options::BuildOptions;
use crate::remembered::{Builds, Remembered, moment};

/// The builds before this one, as far as they had its inputs.
#[derive(Debug)]
pub(crate) struct Memory {
    inputs: Inputs,
    builds: Builds,
}

impl Memory {
    /// `None` where the outcome depends on what we cannot see.
    pub(crate) fn open(
        ground: &Ground,
        options: &BuildOptions,
        holdout: &[Event],
        cache: &Cache,
    ) -> Option<Self> {
        let inputs = Inputs::of(ground, options, holdout)?;
        Some(Self { inputs, builds: Builds::new(cache) })
    }

    /// The outcome of an earlier build of the same, unless it is to be done anew.
    pub(crate) fn find(&self, ground: &Ground, options: &BuildOptions) -> Option<Finished> {
        if options.fresh {
            return None;
        }
        let planned = Planned::of(ground, &options.plan)?;
        let zip = zip_place(ground);
        let Remembered { when, mut report, plan, traces } =
            self.builds.find(&self.inputs.key(&planned), &zip)?;
        report.verdict.remembered = Some(when);
        Some(Finished { report, plan, zip, traces })
    }

    /// Keeps a build for those that plan as it did, from traced starts or from the plan `given`, and for those that
    /// are given the plan that it has made.
    ///
    /// # Errors
    /// Surroundings, where the cache cannot be written.
    pub(crate) fn keep(&self, given: Option<&Plan>, finished: &Finished) -> Result<()> {
        let planned = match given {
            None => Some(Planned::Profiled),
            Some(plan) => Planned::given(plan),
        };
        let all = [planned, Some(Planned::Given(finished.plan.clone()))];
        let keys: BTreeSet<String> = all.iter().flatten().map(|planned| self.inputs.key(planned)).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let when = moment(now.map_err(|e| Error::surroundings("the clock stands before 1970").cause(e))?);
        let build = Remembered {
            when,
            report: finished.report.clone(),
            plan: finished.plan.clone(),
            traces: finished.traces.clone(),
        };
        self.builds.keep(&keys, &build, &finished.zip)
    }
}
