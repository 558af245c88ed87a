//! One tuning of a function in Lambda: versions with a memory size are published, each is invoked, all are deleted.
//!
//! A version that was just published has no environment, so its first invoke is a cold start. Lambda publishes only what
//! has changed, hence the marked variable. Several versions are published together: between them and the next ones
//! `$LATEST` is what the user has made it.

use std::collections::{BTreeMap, VecDeque};

use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::State;
use glowplug_capacity::{Ask, Probe, Round, Variant};
use glowplug_core::{Cache, Error, Result};

use crate::calls::Version;
use crate::clean::CleanUp;
use crate::connect::AwsTarget;
use crate::fault::{Refusal, changed};
use crate::inspect::Inspection;
use crate::journal::{Journal, Note};
use crate::latest::{Owner, Patience};
use crate::mark::{Mark, VARIABLE, new_session};
use crate::round::{outcome, round};
use crate::shape::Shape;

/// How many versions are tried for one run where a first invoke was no cold start.
const TRIES: u32 = 3;

/// What a session needs to know.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The payloads, in the order in which they are asked for.
    pub events: Vec<Vec<u8>>,
    /// How many versions of a memory size are published together; at least 1. Those of the same size that are asked for
    /// later find them.
    pub together: u32,
}

/// A tuning under way. Whoever drops it without [`Session::finish`] has it cleaned up too, as far as that succeeds.
#[derive(Debug)]
pub struct Session<'t> {
    target: &'t AwsTarget,
    plan: Plan,
    timeout_s: u32,
    journal: Journal,
    note: Note,
    /// What the user has set.
    original: Shape,
    spare: BTreeMap<u32, VecDeque<Version>>,
    published: u32,
    is_over: bool,
}

impl AwsTarget {
    /// Prepares to run the function, once an earlier session's rest is taken back. Nothing else is changed before the first
    /// run.
    ///
    /// # Errors
    /// Surroundings where another session runs, or an earlier one cannot be cleaned up; input where the function was
    /// changed since it was inspected.
    pub fn begin(&self, inspection: &Inspection, plan: Plan, cache: &Cache) -> Result<Session<'_>> {
        let journal = Journal::open(cache, &inspection.arn, self.endpoint.as_deref())?;
        if journal.left()?.is_some() {
            self.clean_noted(&journal)?;
        }
        let note = Note {
            function: inspection.arn.clone(),
            region: self.region.clone(),
            session: new_session(),
            original_mb: inspection.memory_mb,
            set_mb: None,
        };
        let session = Session {
            target: self,
            plan,
            timeout_s: inspection.timeout_s,
            journal,
            note,
            original: inspection.shape.clone(),
            spare: BTreeMap::new(),
            published: 0,
            is_over: false,
        };
        session.latest(&session.original)?;
        Ok(session)
    }
}

impl Probe for Session<'_> {
    fn run(&mut self, ask: Ask) -> Result<Round, Error> {
        if ask.variant != Variant::Before {
            return Err(Error::usage("only the function as it is in Lambda can be run there"));
        }
        let none = || Error::defect(format!("there is no event {}", ask.event));
        let payload = self.plan.events.get(ask.event).ok_or_else(none)?.clone();
        let mut left = TRIES;
        loop {
            left -= 1;
            let version = self.version(ask.memory_mb)?;
            let done = self.run_version(&version, &payload, ask.warm);
            self.target.drop_version(&version);
            let round = done?;
            // Where Lambda had an environment ready, another version may have none.
            if round.cold.is_some() || !round.outcome.is_served() || left == 0 {
                return Ok(round);
            }
        }
    }
}

impl Session<'_> {
    /// Takes everything back: `$LATEST` as it was, all versions of the session deleted. Cannot be interrupted.
    ///
    /// # Errors
    /// Surroundings where Lambda cannot be reached or does not permit it; the next session, or [`AwsTarget::clean`], then
    /// does what is left.
    pub fn finish(mut self) -> Result<CleanUp> {
        self.take_back()
    }

    fn take_back(&mut self) -> Result<CleanUp> {
        self.is_over = true;
        self.spare.clear();
        if self.note.set_mb.is_none() {
            return Ok(CleanUp::default());
        }
        let done = self.target.take_back(&self.owner())?;
        self.journal.forget()?;
        Ok(done)
    }

    fn owner(&self) -> Owner {
        let Note { session, original_mb, set_mb, .. } = self.note.clone();
        Owner::Session { name: session, original_mb, set_mb }
    }

    fn run_version(&self, version: &Version, payload: &[u8], warm: u32) -> Result<Round> {
        let mut answers = Vec::new();
        for _ in 0..=warm {
            self.target.check()?;
            let answer = self.target.invoke(version, payload, self.timeout_s)?;
            let is_served = outcome(&answer).is_served();
            answers.push(answer);
            if !is_served {
                break;
            }
        }
        Ok(round(&answers))
    }

    /// A version with this memory size that nobody has invoked.
    fn version(&mut self, memory_mb: u32) -> Result<Version> {
        if self.spare.get(&memory_mb).is_none_or(VecDeque::is_empty) {
            let done = self.publish_some(memory_mb);
            let restored = self.target.restore_latest(&self.owner());
            done?;
            restored.map_err(Refusal::error)?;
        }
        let spare = self.spare.get_mut(&memory_mb).and_then(VecDeque::pop_front);
        let version = spare.ok_or_else(|| Error::defect("no version was published"))?;
        self.ready(&version)?;
        Ok(version)
    }

    fn publish_some(&mut self, memory_mb: u32) -> Result<()> {
        let mut expected = self.original.clone();
        for _ in 0..self.plan.together.max(1) {
            self.target.check()?;
            self.publish(memory_mb, &expected)?;
            expected = self.original.at(memory_mb);
        }
        Ok(())
    }

    /// Publishes one version from `$LATEST`, which is to be as expected.
    fn publish(&mut self, memory_mb: u32, expected: &Shape) -> Result<()> {
        let shown = self.latest(expected)?;
        self.published += 1;
        let mark = Mark {
            session: self.note.session.clone(),
            number: self.published,
            original_mb: self.note.original_mb,
            set_mb: memory_mb,
        };
        self.note.set_mb = Some(memory_mb);
        self.journal.write(&self.note)?;
        let mut variables = self.original.variables.clone();
        variables.insert(VARIABLE.to_owned(), mark.to_string());
        let update = |shown: &GetFunctionConfigurationOutput| {
            self.target.update(memory_mb, &variables, shown.revision_id.as_deref())
        };
        match update(&shown) {
            // Somebody else changes the function: what it is now is told by what it becomes.
            Err(Refusal::Busy(_)) => update(&self.latest(expected)?),
            done => done,
        }
        .map_err(Refusal::error)?;
        let shown = self.latest(&self.original.at(memory_mb))?;
        let version = self.target.publish(&shown, &mark).map_err(Refusal::error)?;
        self.spare.entry(memory_mb).or_default().push_back(version);
        Ok(())
    }

    /// `$LATEST`, if nobody else has changed it.
    fn latest(&self, expected: &Shape) -> Result<GetFunctionConfigurationOutput> {
        let shown = self.target.settled(None, Patience::UntilInterrupted).map_err(Refusal::error)?;
        let differences = expected.differences(&Shape::of(&shown));
        if differences.is_empty() { Ok(shown) } else { Err(changed(&differences)) }
    }

    /// Waits until a version can be invoked.
    fn ready(&self, version: &Version) -> Result<()> {
        let shown = self
            .target
            .settled(Some(version.as_str()), Patience::UntilInterrupted)
            .map_err(Refusal::error)?;
        if shown.state != Some(State::Failed) {
            return Ok(());
        }
        let reason = shown.state_reason.unwrap_or_else(|| "Lambda gives no reason".to_owned());
        Err(Error::input(format!(
            "Lambda could not make version {version} of `{}` ready",
            self.target.function()
        ))
        .cause(reason))
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            // Whoever wants to know calls `finish`; what fails here is in the journal.
            let _ = self.take_back();
        }
    }
}
