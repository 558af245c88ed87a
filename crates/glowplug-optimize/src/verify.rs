//! Replays the result until it equals the original: guilty decisions are found, undone and named.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use glowplug_core::{Error, Progress, Result, Verdict};

use glowplug_package::goes_by_evidence;

use crate::bisect::culprits_of_runs;
use crate::effects;
use crate::folders::materialise;
use crate::quiet::Quiet;
use crate::replay::{Baseline, Deviation, Replayer, Run, Unproved};
use crate::subject::Subject;
use crate::variant::Recipe;

/// Rounds of bisection before everything that may be undone is undone.
pub(crate) const ROUNDS: usize = 6;

/// Guilty files of folders that are looked for one by one, before the folders are undone whole: each costs some replays.
const SINGLE_FILES: usize = 8;

/// Id of the decision on valid bytecode.
pub(crate) const BYTECODE: &str = "bytecode";

/// What is undone together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Valid bytecode; without it nothing can be deferred.
    Bytecode,
    /// One deferred import, by id.
    Lazy(String),
    /// Files that one rule leaves out of one distribution.
    Drop(Vec<Utf8PathBuf>),
    /// Stripped copies.
    Strip(Utf8PathBuf),
    /// Sources of one distribution whose bytecode lacks columns.
    Columns(Vec<Utf8PathBuf>),
}

impl Unit {
    /// The ids of its decisions.
    pub(crate) fn ids(&self) -> Vec<String> {
        match self {
            Self::Bytecode => vec![BYTECODE.to_owned()],
            Self::Lazy(id) => vec![id.clone()],
            Self::Drop(paths) => paths.iter().map(|path| format!("drop:{path}")).collect(),
            Self::Strip(path) => vec![format!("strip:{path}")],
            Self::Columns(paths) => paths.iter().map(|path| format!("strip:{path}")).collect(),
        }
    }
}

/// Guilty decision's id → what differed.
pub(crate) type Pinned = BTreeMap<String, String>;

/// Result of the verification.
#[derive(Debug)]
pub(crate) struct Proof {
    /// What is left of the recipe.
    pub(crate) recipe: Recipe,
    /// Its tree.
    pub(crate) tree: Utf8PathBuf,
    /// For the report; differences carry the guilty ids.
    pub(crate) verdict: Verdict,
    /// What was undone, and why.
    pub(crate) pinned: Pinned,
}

impl Proof {
    /// This proof and the one of what it left: the later result, and what was learnt on the way to both.
    pub(crate) fn followed_by(mut self, later: Self) -> Self {
        self.verdict.differences.extend(later.verdict.differences);
        self.pinned.extend(later.pinned);
        // What is said about the result as it is now comes from the later replays, what was noted before stays.
        self.verdict.not_proved.retain(|note| !later.verdict.not_proved.contains(note));
        self.verdict.not_proved.extend(later.verdict.not_proved);
        let verdict = Verdict {
            replays: self.verdict.replays + later.verdict.replays,
            differences: self.verdict.differences,
            not_proved: self.verdict.not_proved,
            ..later.verdict
        };
        Self { recipe: later.recipe, tree: later.tree, verdict, pinned: self.pinned }
    }
}

/// Restricts a recipe to the kept units.
fn keep(recipe: &Recipe, units: &[Unit], kept: &BTreeSet<usize>) -> Recipe {
    let mut kept_recipe = Recipe { linked: recipe.linked.clone(), ..Recipe::default() };
    for index in kept {
        match &units[*index] {
            Unit::Bytecode => kept_recipe.bytecode = true,
            Unit::Lazy(id) => {
                kept_recipe.lazy.insert(id.clone());
            }
            Unit::Drop(paths) => {
                let dropped = paths.iter().filter_map(|path| recipe.dropped.get_key_value(path));
                kept_recipe.dropped.extend(dropped.map(|(path, rule)| (path.clone(), rule.clone())));
            }
            Unit::Columns(paths) => kept_recipe.lean.extend(paths.iter().cloned()),
            Unit::Strip(path) => {
                if let Some(bytes) = recipe.stripped.get(path) {
                    kept_recipe.stripped.insert(path.clone(), bytes.clone());
                }
            }
        }
    }
    if !kept_recipe.bytecode {
        kept_recipe.lazy.clear();
        kept_recipe.lean.clear();
    }
    kept_recipe
}

/// What a verification works with.
pub(crate) struct Verification<'a> {
    pub(crate) subject: &'a Subject<'a>,
    pub(crate) replayer: &'a Replayer<'a>,
    /// The tree as shipped.
    pub(crate) shipped: &'a Utf8Path,
    pub(crate) recipe: &'a Recipe,
    /// The order in which they are suspected: the first ones are taken for innocent first.
    pub(crate) units: &'a [Unit],
    pub(crate) progress: &'a dyn Progress,
}

impl Verification<'_> {
    /// Replays, bisects, pins, and replays again until the result equals the original.
    ///
    /// # Errors
    /// An input error where the original differs from itself in a new place again and again.
    pub(crate) fn run(&self, baseline: &mut Baseline) -> Result<Proof> {
        let mut units = self.units.to_vec();
        let mut kept: BTreeSet<usize> = (0..units.len()).collect();
        // A baseline that serves a second verification is counted once.
        let mut verdict = Verdict { replays: std::mem::take(&mut baseline.replays), ..Verdict::default() };
        let mut pinned = Pinned::new();
        let every = self.replayer.every();
        let mut flaky_rounds = 0;
        for round in 0.. {
            let mut recipe = keep(self.recipe, &units, &kept);
            // What hangs on a value that was undone is not deferred either.
            recipe.lazy = self.subject.candidates.effective(&recipe.lazy);
            let tree = materialise(self.subject, &recipe, "after")?;
            baseline.told = effects::told(self.subject, &tree, &recipe.lazy)?;
            self.progress.start("Replaying the result", Some(every.len() as u64));
            let found = self.replayer.differences(baseline, &tree, &every, self.progress)?;
            self.progress.finish();
            verdict.replays += every.len();
            let Some(first) = found.first() else {
                finish(&mut verdict, baseline, self.replayer);
                pin_what_needs_bytecode(self.recipe, &recipe, &mut pinned);
                return Ok(Proof { recipe, tree, verdict, pinned });
            };
            let runs: Vec<Run> =
                found.iter().map(|deviation| deviation.run).collect::<BTreeSet<_>>().into_iter().collect();
            if self.original_varies(baseline, &runs, &mut verdict)? {
                flaky_rounds += 1;
                if flaky_rounds > ROUNDS {
                    return Err(unsteady(first));
                }
                continue;
            }
            let order: Vec<usize> = kept.iter().copied().collect();
            if order.is_empty() {
                return Err(unsteady(first));
            }
            let guilty = if round >= ROUNDS + flaky_rounds {
                self.last_resort(&units, &order)
            } else {
                let guilty = self.bisect(baseline, &units, &order, &runs, &mut verdict)?;
                self.single_out(baseline, &mut units, &mut kept, guilty, &runs, &mut verdict)?
            };
            let ids: Vec<String> = guilty.iter().flat_map(|unit| units[*unit].ids()).collect();
            blame(self.replayer, first, ids, &mut verdict, &mut pinned);
            kept.retain(|unit| !guilty.contains(unit));
        }
        Err(Error::defect("the verification did not end"))
    }

    /// Replays the original once more where the result differed: what differs there too varies by itself.
    fn original_varies(&self, baseline: &mut Baseline, runs: &[Run], verdict: &mut Verdict) -> Result<bool> {
        let again = self.replayer.differences(baseline, self.shipped, runs, &Quiet(self.progress))?;
        verdict.replays += runs.len();
        baseline.add_varying(&again);
        Ok(!again.is_empty())
    }

    /// The units to undo of those in `order`. Each of `runs` differs.
    fn bisect(
        &self,
        baseline: &Baseline,
        units: &[Unit],
        order: &[usize],
        runs: &[Run],
        verdict: &mut Verdict,
    ) -> Result<BTreeSet<usize>> {
        self.progress.start("Finding the guilty decision", None);
        let guilty = culprits_of_runs(order.len(), usize::MAX, runs, |chosen, runs| {
            let chosen = chosen.iter().map(|index| order[*index]).collect();
            self.differing(baseline, &keep(self.recipe, units, &chosen), runs, verdict)
        })?;
        self.progress.finish();
        Ok(guilty.into_iter().map(|index| order[index]).collect())
    }

    /// Of guilty folders, whose files go by evidence, the files that are guilty: they become units of their own, and
    /// the innocent ones stay left out. Folders with many are undone whole.
    fn single_out(
        &self,
        baseline: &Baseline,
        units: &mut Vec<Unit>,
        kept: &mut BTreeSet<usize>,
        guilty: BTreeSet<usize>,
        runs: &[Run],
        verdict: &mut Verdict,
    ) -> Result<BTreeSet<usize>> {
        let (folders, others): (BTreeSet<usize>, BTreeSet<usize>) = guilty
            .iter()
            .partition(|unit| self.files_by_evidence(&units[**unit]).is_some_and(|f| f.len() > 1));
        if folders.is_empty() {
            return Ok(guilty);
        }
        let files = folders.iter().filter_map(|unit| self.files_by_evidence(&units[*unit])).flatten();
        let files: Vec<Unit> = files.cloned().map(|file| Unit::Drop(vec![file])).collect();
        let first = units.len();
        units.extend(files);
        let parts = first..units.len();
        let rest: BTreeSet<usize> = kept.iter().filter(|unit| !guilty.contains(unit)).copied().collect();
        let with =
            |chosen: BTreeSet<usize>| keep(self.recipe, units, &rest.union(&chosen).copied().collect());
        self.progress.start("Finding the guilty file", None);
        let open = self.differing(baseline, &with(parts.clone().collect()), runs, verdict)?;
        let found = culprits_of_runs(parts.len(), SINGLE_FILES, &open, |chosen, runs| {
            let chosen = chosen.iter().map(|index| first + index).collect();
            self.differing(baseline, &with(chosen), runs, verdict)
        })?;
        self.progress.finish();
        if found.len() >= SINGLE_FILES {
            return Ok(guilty);
        }
        kept.retain(|unit| !folders.contains(unit));
        kept.extend(parts);
        Ok(found.into_iter().map(|index| first + index).chain(others).collect())
    }

    /// The files of a unit that leaves files out for no other reason than that nothing was seen to need them.
    fn files_by_evidence<'u>(&self, unit: &'u Unit) -> Option<&'u [Utf8PathBuf]> {
        let Unit::Drop(files) = unit else { return None };
        let rule = self.recipe.dropped.get(files.first()?)?;
        goes_by_evidence(rule).then_some(files)
    }

    /// When the rounds are over: what was left out by evidence alone, else everything that may be undone.
    fn last_resort(&self, units: &[Unit], order: &[usize]) -> BTreeSet<usize> {
        let by_evidence = |unit: &&usize| self.files_by_evidence(&units[**unit]).is_some();
        let files: BTreeSet<usize> = order.iter().filter(by_evidence).copied().collect();
        if files.is_empty() { order.iter().copied().collect() } else { files }
    }

    /// Which of `runs` differ with this recipe.
    fn differing(
        &self,
        baseline: &Baseline,
        recipe: &Recipe,
        runs: &[Run],
        verdict: &mut Verdict,
    ) -> Result<Vec<Run>> {
        let tree = materialise(self.subject, recipe, "bisect")?;
        verdict.replays += runs.len();
        let found = self.replayer.differences(baseline, &tree, runs, &Quiet(self.progress))?;
        let differing: BTreeSet<Run> = found.iter().map(|deviation| deviation.run).collect();
        Ok(differing.into_iter().collect())
    }
}

/// The function that answers differently from run to run, beyond what can be excused.
pub(crate) fn unsteady(first: &Deviation) -> Error {
    let found = &first.found;
    Error::input("the function answers differently from run to run")
        .cause(format!(
            "unchanged, event `{}` differs at `{}`: {} became {}",
            found.event, found.path, found.before, found.after
        ))
        .hint("name what varies in `[verify] ignore`, or build with `--no-verify`")
}

/// Enters a difference and its guilty decisions.
fn blame(
    replayer: &Replayer,
    first: &Deviation,
    ids: Vec<String>,
    verdict: &mut Verdict,
    pinned: &mut Pinned,
) {
    let mut difference = first.found.clone().into_difference(replayer.name(first.run));
    let why = format!(
        "a replay of `{}` differed at `{}`: {} became {}",
        difference.event, difference.path, difference.before, difference.after
    );
    pinned.extend(ids.iter().map(|id| (id.clone(), why.clone())));
    difference.decisions = ids;
    verdict.differences.push(difference);
}

/// Deferred imports live in the bytecode: where that was undone they are undone too.
fn pin_what_needs_bytecode(wanted: &Recipe, kept: &Recipe, pinned: &mut Pinned) {
    if wanted.bytecode && !kept.bytecode {
        for id in &wanted.lazy {
            pinned
                .entry(id.clone())
                .or_insert_with(|| "it lives in the bytecode, which was undone".to_owned());
        }
    }
}

/// What the verdict says of a result that equals the original.
pub(crate) fn finish(verdict: &mut Verdict, baseline: &Baseline, replayer: &Replayer) {
    let proved = replayer
        .events
        .iter()
        .filter(|event| {
            !baseline.unproved.contains_key(&event.name) && !baseline.failing.contains_key(&event.name)
        })
        .count();
    verdict.equal = (proved > 0).then_some(true);
    verdict.events = proved;
    verdict.varying = baseline.varying.iter().cloned().collect();
    verdict.moved_logs = baseline.told.iter().cloned().collect();
    verdict.blocked = baseline.blocked.iter().cloned().collect();
    verdict.not_proved.extend(not_proved(baseline));
}

/// What the replay of a baseline's events does not prove, each with its reason.
pub(crate) fn not_proved(baseline: &Baseline) -> Vec<String> {
    let unproved = baseline.unproved.iter().map(|(event, why)| match why {
        Unproved::Varies => format!("event `{event}`: its whole payload varies from run to run"),
        Unproved::Ignored => format!("event `{event}`: `[verify] ignore` leaves all of its payload out"),
    });
    let failing = baseline
        .failing
        .iter()
        .map(|(event, payload)| format!("event `{event}` fails in the original too: {}", in_words(payload)));
    unproved.chain(failing).collect()
}

/// An error payload as a person reads it: `ValueError: no such row`.
fn in_words(payload: &str) -> String {
    let error: serde_json::Value = serde_json::from_str(payload).unwrap_or_default();
    let part = |name: &str| error.get(name).and_then(serde_json::Value::as_str);
    match (part("errorType"), part("errorMessage")) {
        (Some(kind), Some("")) => kind.to_owned(),
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        _ => payload.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_in_words() {
        let payload =
            r#"{"errorMessage": "Unauthorized", "errorType": "Exception", "stackTrace": ["  File"]}"#;
        assert_eq!(in_words(payload), "Exception: Unauthorized");
        assert_eq!(in_words(r#"{"errorType": "KeyError", "errorMessage": ""}"#), "KeyError");
        assert_eq!(in_words("Task timed out"), "Task timed out");
    }

    #[test]
    fn a_later_proof_speaks_for_the_result_and_the_earlier_one_is_not_forgotten() {
        let proof = |replays, note: &str, id: &str, lazy: &[&str]| Proof {
            recipe: Recipe { lazy: lazy.iter().map(|id| (*id).to_owned()).collect(), ..Recipe::default() },
            tree: "after".into(),
            verdict: Verdict {
                equal: Some(id == "b"),
                replays,
                not_proved: vec!["both".to_owned(), note.to_owned()],
                ..Verdict::default()
            },
            pinned: BTreeMap::from([(id.to_owned(), "why".to_owned())]),
        };
        let all = proof(3, "first", "a", &["x", "y"]).followed_by(proof(4, "second", "b", &["x"]));
        assert_eq!((all.verdict.equal, all.verdict.replays), (Some(true), 7));
        assert_eq!(all.verdict.not_proved, ["first", "both", "second"]);
        assert_eq!(all.recipe.lazy, BTreeSet::from(["x".to_owned()]));
        assert_eq!(all.pinned.keys().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn without_bytecode_nothing_is_deferred_and_the_rest_stays() {
        let recipe = Recipe {
            bytecode: true,
            lazy: BTreeSet::from(["lazy:a".to_owned()]),
            dropped: BTreeMap::from([("x".into(), "tests".to_owned())]),
            ..Recipe::default()
        };
        let units = [Unit::Bytecode, Unit::Lazy("lazy:a".to_owned()), Unit::Drop(vec!["x".into()])];
        let kept = keep(&recipe, &units, &BTreeSet::from([1, 2]));
        assert!(!kept.bytecode && kept.lazy.is_empty() && kept.dropped.len() == 1);
        let mut pinned = BTreeMap::new();
        pin_what_needs_bytecode(&recipe, &kept, &mut pinned);
        assert!(pinned["lazy:a"].contains("bytecode"));
        let all = keep(&recipe, &units, &(0..3).collect());
        assert_eq!((all.bytecode, all.lazy, all.dropped), (recipe.bytecode, recipe.lazy, recipe.dropped));
    }
}
