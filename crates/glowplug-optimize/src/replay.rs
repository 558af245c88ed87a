//! Runs events in fresh processes and keeps what the outside could see.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use camino::Utf8Path;
use rayon::prelude::*;

use glowplug_core::{Error, Progress, Result};
use glowplug_engine::{Cpu, Engine, EnvironmentSpec, InitOutcome, Outcome};
use glowplug_function::Event;
use serde_json_path::JsonPath;

use crate::compare::{Answer, Found, Transcript, Varying, compare, compare_without, leaves};
use crate::ground::Ground;
use crate::mask::Mask;

/// Hash seeds under which the original is replayed to find out what varies by itself.
const SEEDS: [u32; 3] = [0, 1, 4242];

/// How many of them the result is replayed under.
const COMPARED: usize = 2;

/// One fresh process and the events that it serves, in order.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    /// For people: `health, cold then warm`.
    pub(crate) name: String,
    /// Indices into the events.
    pub(crate) events: Vec<usize>,
}

/// Each event cold and then warm, and all of them in order, in reverse and shuffled.
pub(crate) fn sequences(events: &[Event]) -> Vec<Sequence> {
    let mut all: Vec<Sequence> = events
        .iter()
        .enumerate()
        .map(|(index, event)| Sequence {
            name: format!("{}, cold then warm", event.name),
            events: vec![index, index],
        })
        .collect();
    if events.len() > 1 {
        let forward: Vec<usize> = (0..events.len()).collect();
        let backward: Vec<usize> = forward.iter().rev().copied().collect();
        all.push(Sequence { name: "all events in order".to_owned(), events: forward });
        all.push(Sequence { name: "all events in reverse".to_owned(), events: backward });
    }
    if events.len() > 2 {
        all.push(Sequence { name: "all events shuffled".to_owned(), events: shuffled(events) });
    }
    all
}

/// An order that is neither that of `events` nor its reverse. Their names and payloads decide it: the same events are
/// replayed in the same order every time.
fn shuffled(events: &[Event]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..events.len()).collect();
    order.sort_by_cached_key(|index| {
        // Always with the same keys.
        let mut hasher = DefaultHasher::new();
        (&events[*index].name, &events[*index].payload).hash(&mut hasher);
        hasher.finish()
    });
    if order.is_sorted() || order.iter().rev().is_sorted() {
        order.rotate_left(1);
    }
    order
}

/// One sequence under one of the seeds that results are compared under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    sequence: usize,
    seed: usize,
}

/// A difference and the run that showed it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deviation {
    pub(crate) run: Run,
    pub(crate) found: Found,
}

/// Replays events on trees.
pub(crate) struct Replayer<'s> {
    pub(crate) ground: &'s Ground<'s>,
    pub(crate) events: &'s [Event],
    pub(crate) sequences: Vec<Sequence>,
    pub(crate) ignore: &'s [JsonPath],
}

/// Why an event's payload proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unproved {
    /// All of it varies from run to run.
    Varies,
    /// The user leaves all of it out of the comparison.
    Ignored,
}

/// What the original does, and what of it varies by itself.
#[derive(Debug)]
pub(crate) struct Baseline {
    /// By seed and sequence.
    transcripts: [Vec<Transcript>; COMPARED],
    /// Places that vary.
    pub(crate) varying: Varying,
    /// Lines of the log that deferred values write while they are made, whenever that is.
    pub(crate) told: BTreeSet<String>,
    /// Events whose payload proves nothing.
    pub(crate) unproved: BTreeMap<String, Unproved>,
    /// Event → outcome and payload, for events that fail in the original.
    pub(crate) failing: BTreeMap<String, String>,
    /// Event → `timeout` or `init-timeout`, for events that took too long in some replay of the original.
    pub(crate) late: BTreeMap<String, &'static str>,
    /// Refused connections, `event: address`.
    pub(crate) blocked: BTreeSet<String>,
    /// Processes started.
    pub(crate) replays: usize,
}

impl Replayer<'_> {
    /// For people: which replay it was.
    pub(crate) fn name(&self, run: Run) -> &str {
        &self.sequences[run.sequence].name
    }

    /// Every sequence under every seed that results are compared under.
    pub(crate) fn every(&self) -> Vec<Run> {
        (0..COMPARED)
            .flat_map(|seed| (0..self.sequences.len()).map(move |sequence| Run { sequence, seed }))
            .collect()
    }

    fn one(&self, tree: &Utf8Path, seed: u32, sequence: usize) -> Result<Transcript> {
        let mut spec = self.ground.spec(tree, Cpu::Unlimited);
        spec.hash_seed = Some(seed);
        let mask = Mask { tree: tree.as_str(), ignore: self.ignore, layered: self.ground.is_attached(tree) };
        replay(&self.ground.engine, &spec, self.events, &self.sequences[sequence], &mask)
    }

    /// Replays, a few at a time, results in the order asked for.
    fn run_all(
        &self,
        tree: &Utf8Path,
        runs: &[(u32, usize)],
        progress: &dyn Progress,
    ) -> Result<Vec<Transcript>> {
        runs.par_iter()
            .map(|(seed, sequence)| {
                if progress.interrupted() {
                    return Err(Error::interrupted());
                }
                let transcript = self.one(tree, *seed, *sequence);
                progress.advance(1);
                transcript
            })
            .collect()
    }

    fn all_under(&self, tree: &Utf8Path, seed: u32, progress: &dyn Progress) -> Result<Vec<Transcript>> {
        let runs: Vec<(u32, usize)> = (0..self.sequences.len()).map(|sequence| (seed, sequence)).collect();
        self.run_all(tree, &runs, progress)
    }

    /// Replays the original: `shipped` is the tree as the user's tools make it, `original` the same
    /// with valid bytecode, on which the other seeds run (it starts faster).
    pub(crate) fn baseline(
        &self,
        shipped: &Utf8Path,
        original: &Utf8Path,
        progress: &dyn Progress,
    ) -> Result<Baseline> {
        let count = self.sequences.len();
        progress.start("Replaying the original", Some((count * SEEDS.len()) as u64));
        let first = self.all_under(shipped, SEEDS[0], progress)?;
        let mut second = self.all_under(original, SEEDS[1], progress)?;
        let third = self.all_under(original, SEEDS[2], progress)?;
        let mut replays = count * SEEDS.len();
        let mut varying = Varying::new();
        for sequence in 0..count {
            note(&second[sequence], &third[sequence], &mut varying);
            if bytecode_may_differ(&first[sequence], &second[sequence], &third[sequence]) {
                second[sequence] = self.one(shipped, SEEDS[1], sequence)?;
                replays += 1;
            }
            note(&first[sequence], &second[sequence], &mut varying);
        }
        progress.finish();
        let late = late([&first, &second, &third].into_iter().flatten());
        let mut baseline = Baseline {
            transcripts: [first, second],
            varying,
            told: BTreeSet::new(),
            unproved: BTreeMap::new(),
            failing: BTreeMap::new(),
            late,
            blocked: BTreeSet::new(),
            replays,
        };
        baseline.read();
        Ok(baseline)
    }

    /// Differences of `tree` from the original in the given runs.
    pub(crate) fn differences(
        &self,
        baseline: &Baseline,
        tree: &Utf8Path,
        runs: &[Run],
        progress: &dyn Progress,
    ) -> Result<Vec<Deviation>> {
        let wanted: Vec<(u32, usize)> = runs.iter().map(|run| (SEEDS[run.seed], run.sequence)).collect();
        let transcripts = self.run_all(tree, &wanted, progress)?;
        let differing = runs.iter().zip(&transcripts).flat_map(|(run, transcript)| {
            let original = &baseline.transcripts[run.seed][run.sequence];
            let found = compare_without(original, transcript, &baseline.varying, &baseline.told);
            found.into_iter().map(|found| Deviation { run: *run, found })
        });
        Ok(differing.collect())
    }
}

impl Baseline {
    /// What the first transcripts say about each event.
    fn read(&mut self) {
        for transcript in &self.transcripts[0] {
            for answer in transcript.answers.iter().filter(|answer| answer.outcome != "success") {
                self.failing.entry(answer.event.clone()).or_insert_with(|| answer.payload.to_string());
            }
            self.blocked
                .extend(transcript.blocked.iter().map(|(event, address)| format!("{event}: {address}")));
        }
        self.judge();
    }

    /// Adds places that have turned out to vary.
    pub(crate) fn add_varying(&mut self, deviations: &[Deviation]) {
        self.varying.extend(deviations.iter().flat_map(|deviation| deviation.found.keys()));
        self.judge();
    }

    /// Which payloads prove nothing, as far as is known.
    fn judge(&mut self) {
        for answer in self.transcripts[0].iter().flat_map(|transcript| &transcript.answers) {
            let varies = |path: &str| self.varying.contains(&format!("{}: {path}", answer.event));
            let leaves = leaves(&answer.payload);
            let why = if leaves.is_empty() {
                Unproved::Ignored
            } else if leaves.iter().all(|path| varies(path))
                || ["$", "outcome", "invocations"].iter().any(|p| varies(p))
            {
                Unproved::Varies
            } else {
                continue;
            };
            self.unproved.insert(answer.event.clone(), why);
        }
    }
}

/// Events that took too long.
fn late<'t>(transcripts: impl Iterator<Item = &'t Transcript>) -> BTreeMap<String, &'static str> {
    let answers = transcripts.flat_map(|transcript| &transcript.answers);
    let late = answers.filter(|answer| matches!(answer.outcome, "timeout" | "init-timeout"));
    late.map(|answer| (answer.event.clone(), answer.outcome)).collect()
}

/// Remembers where two transcripts differ.
fn note(one: &Transcript, other: &Transcript, varying: &mut Varying) {
    varying.extend(compare(one, other, &Varying::new()).iter().flat_map(Found::keys));
}

/// Whether the tree with bytecode agrees with itself where it differs from the tree as shipped: then the
/// bytecode may be the reason, and not chance.
fn bytecode_may_differ(shipped: &Transcript, second: &Transcript, third: &Transcript) -> bool {
    let mut by_chance = Varying::new();
    note(second, third, &mut by_chance);
    !compare(shipped, second, &by_chance).is_empty()
}

impl Transcript {
    /// Files what is new among the refused connections under `when`.
    fn note_blocked(&mut self, when: &str, all: &[String]) {
        let new = all.iter().skip(self.blocked.len());
        self.blocked.extend(new.map(|address| (when.to_owned(), address.clone())));
    }
}

/// When a process is over: what a thread did after the last answer.
const END: &str = "after the last event";

fn replay(
    engine: &Engine,
    spec: &EnvironmentSpec,
    events: &[Event],
    sequence: &Sequence,
    mask: &Mask,
) -> Result<Transcript> {
    let mut transcript = Transcript::default();
    let (mut environment, init) = engine.start(spec)?;
    let failed = match &init.outcome {
        InitOutcome::Ready => None,
        InitOutcome::Error { payload, .. } => Some(("init-error", payload)),
        InitOutcome::Exited { payload } => Some(("init-exit", payload)),
        InitOutcome::TimedOut { payload } => Some(("init-timeout", payload)),
    };
    let init_log = mask.log(&environment.log());
    transcript.note_blocked("init", &environment.blocked());
    if let Some((outcome, payload)) = failed {
        transcript.answers.push(Answer {
            event: events[sequence.events[0]].name.clone(),
            outcome,
            payload: mask.failure(payload),
            log: init_log,
        });
    } else {
        let mut before = init_log;
        for index in &sequence.events {
            let event = &events[*index];
            let invocation = environment.invoke(&event.payload)?;
            let (outcome, payload) = match &invocation.outcome {
                Outcome::Success(payload) => ("success", payload),
                Outcome::HandlerError(payload) => ("error", payload),
                Outcome::Exited(payload) => ("exit", payload),
                Outcome::TimedOut(payload) => ("timeout", payload),
            };
            // What init printed is compared with the first answer: a deferred import may print later.
            let mut log = std::mem::take(&mut before);
            log.extend(mask.log(&invocation.log));
            transcript.answers.push(Answer {
                event: event.name.clone(),
                outcome,
                payload: match &invocation.outcome {
                    Outcome::Success(_) => mask.payload(payload, &invocation.request_id),
                    _ => mask.error(payload, &invocation.request_id),
                },
                log,
            });
            transcript.note_blocked(&event.name, &environment.blocked());
        }
    }
    let finished = environment.finish()?;
    transcript.tmp = Mask::files(finished.tmp);
    transcript.note_blocked(END, &finished.blocked);
    Ok(transcript)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_runs_cold_warm_and_in_several_orders() {
        let event =
            |name: &str| Event { name: name.into(), path: None, payload: b"{}".to_vec(), weight: 0.5 };
        let names: Vec<String> = sequences(&[event("a"), event("b")]).into_iter().map(|s| s.name).collect();
        assert_eq!(
            names,
            ["a, cold then warm", "b, cold then warm", "all events in order", "all events in reverse"]
        );
        assert_eq!(sequences(&[event("a")]).len(), 1);
        for letters in ["abc", "cba", "xyzw", "qrstu"] {
            let events: Vec<Event> = letters.chars().map(|letter| event(&letter.to_string())).collect();
            let all = sequences(&events);
            let last = all.last().unwrap();
            assert_eq!((all.len(), last.name.as_str()), (events.len() + 3, "all events shuffled"));
            assert_eq!(last.events, sequences(&events).last().unwrap().events);
            assert_eq!(last.events.iter().collect::<BTreeSet<_>>().len(), events.len());
            let orders: BTreeSet<&Vec<usize>> = all[events.len()..].iter().map(|s| &s.events).collect();
            assert_eq!(orders.len(), 3, "{all:?}");
        }
    }
}
