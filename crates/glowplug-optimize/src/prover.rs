//! Proves what a build has drafted: the original is replayed once, the result as often as something is undone.

use camino::Utf8Path;
use serde_json_path::JsonPath;

use std::collections::BTreeSet;

use glowplug_core::{Decision, Error, Progress, Result, Verdict};
use glowplug_function::Function;

use crate::decisions;
use crate::effects;
use crate::quiet::Quiet;
use crate::replay::{Baseline, Deviation, Replayer, Unproved, sequences};
use crate::subject::Subject;
use crate::variant::Recipe;
use crate::verify::{Pinned, Proof, ROUNDS, Verification, finish, unsteady};

/// What a draft is compared with, and how.
pub(crate) struct Prover<'a> {
    subject: &'a Subject<'a>,
    /// The tree as shipped.
    shipped: &'a Utf8Path,
    replayer: Replayer<'a>,
    baseline: Baseline,
    progress: &'a dyn Progress,
}

impl<'a> Prover<'a> {
    /// Replays the original.
    ///
    /// # Errors
    /// An input error where an event cannot be proved and the function does not accept that.
    pub(crate) fn begin(
        subject: &'a Subject<'a>,
        [shipped, before]: [&'a Utf8Path; 2],
        ignore: &'a [JsonPath],
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let ground = &subject.ground;
        let replayer =
            Replayer { ground, events: &ground.events, sequences: sequences(&ground.events), ignore };
        let baseline = replayer.baseline(shipped, before, progress)?;
        refuse_unproved(ground.function, &baseline)?;
        Ok(Self { subject, shipped, replayer, baseline, progress })
    }

    /// Replays until what is left of the recipe equals the original. `trimming` tells which rule left out which file;
    /// what is `pinned` is not in the recipe any more.
    ///
    /// # Errors
    /// As [`Verification::run`], and as [`Self::begin`] with what has turned out to vary since.
    pub(crate) fn prove(&mut self, recipe: &Recipe, trimming: &[Decision], pinned: &Pinned) -> Result<Proof> {
        let subject = self.subject;
        let function = subject.ground.function;
        let mut units = decisions::units(subject, &recipe.lazy, trimming);
        units.retain(|unit| unit.ids().iter().all(|id| !pinned.contains_key(id)));
        let verification = Verification {
            subject,
            replayer: &self.replayer,
            shipped: self.shipped,
            recipe,
            units: &units,
            progress: self.progress,
        };
        let mut proof = verification.run(&mut self.baseline)?;
        refuse_unproved(function, &self.baseline)?;
        without_events(function, &mut proof.verdict);
        Ok(proof)
    }

    /// Replays a finished tree, in which `lazy` is deferred: the verdict, or the first difference from the original.
    ///
    /// # Errors
    /// As [`Verification::run`].
    pub(crate) fn check(
        &mut self,
        tree: &Utf8Path,
        lazy: &BTreeSet<String>,
    ) -> Result<std::result::Result<Verdict, Deviation>> {
        let mut verdict =
            Verdict { replays: std::mem::take(&mut self.baseline.replays), ..Verdict::default() };
        self.baseline.told = effects::told(self.subject, tree, lazy)?;
        let every = self.replayer.every();
        for round in 0.. {
            self.progress.start("Replaying with layers", Some(every.len() as u64));
            let found = self.replayer.differences(&self.baseline, tree, &every, self.progress)?;
            self.progress.finish();
            verdict.replays += every.len();
            let Some(first) = found.first() else { break };
            let runs: Vec<_> =
                found.iter().map(|deviation| deviation.run).collect::<BTreeSet<_>>().into_iter().collect();
            let again =
                self.replayer.differences(&self.baseline, self.shipped, &runs, &Quiet(self.progress))?;
            if again.is_empty() {
                return Ok(Err(first.clone()));
            }
            if round >= ROUNDS {
                return Err(unsteady(first));
            }
            // What differs in the original too varies by itself.
            verdict.replays += runs.len();
            self.baseline.add_varying(&again);
        }
        finish(&mut verdict, &self.baseline, &self.replayer);
        refuse_unproved(self.subject.ground.function, &self.baseline)?;
        without_events(self.subject.ground.function, &mut verdict);
        Ok(Ok(verdict))
    }
}

/// Without events a replay shows too little to speak of.
fn without_events(function: &Function, verdict: &mut Verdict) {
    if function.events.is_empty() {
        verdict.equal = None;
        verdict.events = 0;
        let why = "the function has no events: only a start and one empty event were compared";
        verdict.not_proved.insert(0, why.to_owned());
    }
}

fn refuse_unproved(function: &Function, baseline: &Baseline) -> Result<()> {
    let varies = baseline.unproved.iter().find(|(_, why)| **why == Unproved::Varies);
    match varies {
        Some((event, _)) if !function.verify.accept_unproved && !function.events.is_empty() => {
            if let Some(what) = baseline.late.get(event) {
                return Err(too_late(event, what, function.timeout_s));
            }
            Err(Error::input(format!(
                "event `{event}` cannot be proved: its whole payload varies from run to run"
            ))
            .hint("name what varies in `[verify] ignore`, for example `ignore = [\"$.requestId\"]`")
            .hint("or set `[verify] accept_unproved = true` to go on without it"))
        }
        _ => Ok(()),
    }
}

/// The error for an event whose replays did not all end in time; `what` was too long, an invoke may take `timeout_s`.
fn too_late(event: &str, what: &str, timeout_s: u32) -> Error {
    let cause = if what == "init-timeout" {
        "init took longer than the 10 s that Lambda gives it".to_owned()
    } else {
        format!("the invoke took longer than the function's timeout, {timeout_s} s")
    };
    Error::input(format!(
        "event `{event}` cannot be proved: the original answers it in time in some replays only"
    ))
    .cause(cause)
    .hint("run the build again with nothing else on the machine; `glowplug trace` shows where the time goes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_is_late_is_told_with_the_limit() {
        let invoke = too_late("report", "timeout", 7);
        assert!(invoke.to_string().contains("`report`"), "{invoke}");
        assert!(invoke.causes()[0].contains("timeout, 7 s"), "{invoke}");
        assert!(too_late("report", "init-timeout", 7).causes()[0].contains("10 s"));
    }
}
