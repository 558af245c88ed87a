//! The build pipeline: function → trace → plan → artifact → verdict → report.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde_json_path::JsonPath;

use glowplug_core::{Cache, Decision, Error, Plan, PlanFunction, Progress, Result, TASK_ROOT, Verdict};
use glowplug_function::{Event, Function};
use glowplug_package::{Effort, Zipper, check_limits, verify_bytecode};
use glowplug_report::{Artifact, ArtifactKind, Report};
use glowplug_trace::Trace;

use crate::folders::materialise;
use crate::ground::{Ground, runs_here, target};
use crate::holdout;
use crate::image::{self, Image};
use crate::lock;
use crate::mask::parse_ignores;
use crate::memory::Memory;
use crate::options::{BuildOptions, PlanSource};
use crate::output::{self, Output};
use crate::plan::{Draft, draft};
use crate::prover::Prover;
use crate::results::{Figures, Sizes};
use crate::room;
use crate::settle::settle;
use crate::setup::Setup;
use crate::subject::Subject;
use crate::trace::{TraceOptions, trace_tree};
use crate::trial::require_fit;
use crate::variant::{Recipe, entries, private_sources};
use crate::verify::{Pinned, Proof};

/// How often imports are planned again around guilty ones.
const PLANS: usize = 3;

/// Starts behind the figures of the traces; those of the report have their own.
const TRACE_RUNS: usize = 5;

/// Builds the artifact of `function` into `options.out`.
///
/// # Errors
/// Input errors where the function, its dependencies or the plan are at fault, or where a replay cannot
/// prove what it must; surroundings where the machine lacks something; interruption. The output folder is
/// then as it was, and no process is left.
pub fn build(
    function: &Function,
    requested_python: Option<&str>,
    options: &BuildOptions,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Built> {
    output::check(&options.out)?;
    let mut ready =
        options.image.as_ref().map(|asked| image::ready(function, asked, cache, progress)).transpose()?;
    with_finished(function, requested_python, options, cache, progress, |ground, mut finished| {
        let image = match ready.take() {
            Some(ready) => Some(image::make(ground, ready, options, &mut finished, cache, progress)?),
            None => None,
        };
        let mut built = publish(function, options, finished, image.as_ref(), progress)?;
        if let Some(image) = &image {
            image.push(options, &mut built.report, progress)?;
        }
        Ok(built)
    })
}

/// Does all of a build but write its output: `take` gets what is finished, as long as it is there.
pub(crate) fn with_finished<T>(
    function: &Function,
    requested_python: Option<&str>,
    options: &BuildOptions,
    cache: &Cache,
    progress: &dyn Progress,
    take: impl FnOnce(&Ground, Finished) -> Result<T>,
) -> Result<T> {
    lock::check(function, &options.plan)?;
    let ignore = parse_ignores(&function.verify.ignore)?;
    let holdout = holdout::read(&options.holdout)?;
    let ground = Ground::prepare(function, requested_python, cache, progress)?;
    let memory = Memory::open(&ground, options, &holdout, cache);
    if let Some(finished) = memory.as_ref().and_then(|memory| memory.find(&ground, options)) {
        if options.zip {
            note_limits(&ground, &finished, progress)?;
        }
        return take(&ground, finished);
    }
    let subject = Subject::of(ground, cache, progress)?;
    subject.ground.guarded(progress, || {
        let _setup = Setup::start(function, progress)?;
        let made = make(&subject, options, &holdout, &ignore, progress)?;
        let traces = traced(&subject, options, &made, progress)?;
        let given = made.given.clone();
        let finished = finish(&subject, options, made, traces, progress)?;
        let kept = memory.as_ref().map_or(Ok(()), |memory| memory.keep(given.as_ref(), &finished));
        if let Err(error) = kept {
            progress.note(&format!("the next build will do all this again: {error}"));
        }
        take(&subject.ground, finished)
    })
}

/// What a build gives.
#[derive(Debug, Clone)]
pub struct Built {
    /// The report, as it is in the output folder.
    pub report: Report,
    /// The tree with valid bytecode and the result, where traces were asked for and this machine can run them.
    pub traces: Option<[Trace; 2]>,
}

/// A finished tree and all that is known about it; nothing is written yet.
struct Made {
    /// The plan that was given.
    given: Option<Plan>,
    before: Utf8PathBuf,
    proof: Proof,
    decisions: Vec<Decision>,
    figures: Figures,
    /// Every module that a traced start has loaded.
    loaded: BTreeSet<String>,
}

fn make(
    subject: &Subject,
    options: &BuildOptions,
    holdout: &[Event],
    ignore: &[JsonPath],
    progress: &dyn Progress,
) -> Result<Made> {
    let ground = &subject.ground;
    let shipped = materialise(subject, &Recipe::default(), "shipped")?;
    let before = materialise(subject, &Recipe::before(), "before")?;
    require_fit(ground, &before, progress)?;
    let replayed = options.verify && ground.runs_here();
    let mut draft = draft(subject, options, &before, replayed, progress)?;
    let mut prover =
        if replayed { Some(Prover::begin(subject, [&shipped, &before], ignore, progress)?) } else { None };
    let mut proof = if let Some(prover) = &mut prover {
        prove(subject, &mut draft, prover, progress)?
    } else {
        let tree = materialise(subject, &draft.recipe, "after")?;
        let verdict = Verdict { not_proved: vec![why_unproved(ground.function)], ..Verdict::default() };
        Proof { recipe: draft.recipe.clone(), tree, verdict, pinned: Pinned::new() }
    };
    proof.verdict.not_proved.extend(draft.lowered.iter().map(|why| (*why).to_owned()));
    let replayed_edits = proof.recipe.lazy.clone();
    let (mut proof, mut figures) =
        settle(subject, options, &mut draft, proof, [&shipped, &before], progress)?;
    if let Some(prover) = prover.as_mut().filter(|_| proof.recipe.lazy != replayed_edits) {
        // Fewer edits make another tree, and what ships is what was replayed.
        let again = prover.prove(&proof.recipe, &draft.trimming, &proof.pinned)?;
        let changed = again.recipe != proof.recipe;
        proof = proof.followed_by(again);
        if changed {
            figures = figures.again(subject, options, [&before, &proof.tree], progress)?;
        }
    }
    if replayed {
        holdout::check(ground, holdout, [&shipped, &before], &mut proof, ignore, progress)?;
    }
    holdout::user_tests(ground, &mut proof, progress)?;
    check_bytecode(subject, &proof)?;
    let bytecode = figures.bytecode_decision(subject.plain.len());
    let decisions = draft.decisions(subject, bytecode, &proof.pinned, false);
    Ok(Made { given: draft.given, before, proof, decisions, figures, loaded: draft.explored.loaded })
}

/// Proves the draft. Where imports turn out guilty, the others are planned again around them, unless the plan was given.
fn prove(
    subject: &Subject,
    draft: &mut Draft,
    prover: &mut Prover,
    progress: &dyn Progress,
) -> Result<Proof> {
    let mut proof = prover.prove(&draft.recipe, &draft.trimming, &Pinned::new())?;
    let mut known = BTreeSet::new();
    for _ in 0..PLANS {
        let guilty: BTreeSet<String> = draft.recipe.lazy.difference(&proof.recipe.lazy).cloned().collect();
        if draft.given.is_some() || !proof.recipe.bytecode || guilty.is_subset(&known) {
            break;
        }
        known.extend(guilty);
        proof.pinned = draft.with_dependants(subject, &proof.pinned);
        draft.plan_around(subject, &proof.pinned, progress)?;
        if draft.recipe.lazy != proof.recipe.lazy {
            let recipe = Recipe { lazy: draft.recipe.lazy.clone(), ..proof.recipe.clone() };
            let again = prover.prove(&recipe, &draft.trimming, &proof.pinned)?;
            proof = proof.followed_by(again);
        }
    }
    Ok(proof)
}

/// The interpreter must load what ships.
fn check_bytecode(subject: &Subject, proof: &Proof) -> Result<()> {
    if !proof.recipe.bytecode {
        return Ok(());
    }
    let ships = |path: &&Utf8PathBuf| proof.recipe.ships_bytecode(path, subject.ground.function.python);
    let mut sources: Vec<Utf8PathBuf> = subject.plain.keys().filter(ships).cloned().collect();
    sources.extend(private_sources(subject, &proof.recipe));
    let faults = verify_bytecode(&subject.ground.runtime.python, &proof.tree, TASK_ROOT, &sources)?;
    match faults.first() {
        None => Ok(()),
        Some(fault) => Err(Error::defect(format!(
            "the interpreter would not load {} of our bytecode files",
            faults.len()
        ))
        .cause(&fault.reason)
        .place(fault.path.as_str())),
    }
}

/// Both trees as `glowplug trace` shows them.
fn traced(
    subject: &Subject,
    options: &BuildOptions,
    made: &Made,
    progress: &dyn Progress,
) -> Result<Option<[Trace; 2]>> {
    let ground = &subject.ground;
    if !options.traces || !ground.runs_here() {
        return Ok(None);
    }
    let how = TraceOptions {
        python: None,
        runs: options.runs.unwrap_or(TRACE_RUNS).min(TRACE_RUNS),
        cpu: options.cpu,
        bandwidth_mbit: options.bandwidth_mbit,
        cold_cache: false,
    };
    let edited = !made.proof.recipe.lazy.is_empty();
    Ok(Some([
        trace_tree(ground, &made.before, false, &how, progress)?,
        trace_tree(ground, &made.proof.tree, edited, &how, progress)?,
    ]))
}

/// All that goes into the output folder, among the scratch files; nothing is there yet.
pub(crate) struct Finished {
    pub(crate) report: Report,
    /// The plan's text.
    pub(crate) plan: String,
    pub(crate) zip: Utf8PathBuf,
    pub(crate) traces: Option<[Trace; 2]>,
}

/// Makes the zip, the plan and the report.
fn finish(
    subject: &Subject,
    options: &BuildOptions,
    made: Made,
    traces: Option<[Trace; 2]>,
    progress: &dyn Progress,
) -> Result<Finished> {
    let ground = &subject.ground;
    let Made { proof, decisions, figures, loaded, .. } = made;
    let zip = zip_place(ground);
    let packed = entries(subject, &proof.recipe)?;
    // A replay may have brought files back since the draft was held against the limit.
    if options.zip {
        room::require(subject, &packed, options.trim, &loaded)?;
    }
    // Written first: what it has compressed is known when the others are measured.
    let zipper = Zipper::new(Effort::Best);
    let after = zipper.write(&packed, &zip, progress)?;
    if options.zip {
        room::note(subject, &packed, options.trim, &loaded, after.bytes, progress)?;
    }
    let sizes = Sizes {
        shipped: zipper.size(&entries(subject, &Recipe::default())?, progress)?,
        before: zipper.size(&entries(subject, &Recipe::before())?, progress)?,
        after,
    };
    let artifact = Artifact {
        kind: ArtifactKind::Zip,
        path: String::new(),
        bytes: sizes.after.bytes,
        sha256: sizes.after.sha256.clone(),
    };
    let plan = lock::to_text(&Plan::new(plan_function(subject), decisions.clone()))?;
    let report = figures.report(subject, options, &sizes, decisions, proof.verdict, artifact);
    Ok(Finished { report, plan, zip, traces })
}

/// Where the zip is until it is published.
pub(crate) fn zip_place(ground: &Ground) -> Utf8PathBuf {
    ground.work().join(format!("{}.zip", ground.function.name))
}

/// Of a build that is remembered: refuses what Lambda does not take, and says what it takes only in some ways.
fn note_limits(ground: &Ground, finished: &Finished, progress: &dyn Progress) -> Result<()> {
    let zip = finished.report.artifacts.first().map_or(0, |artifact| artifact.bytes);
    let unzipped = finished.report.after.unzipped_bytes.unwrap_or(0);
    for remark in check_limits(zip, unzipped, &room::unexamined(&ground.package))? {
        progress.note(&remark);
    }
    Ok(())
}

/// Puts the artifact, the plan and the report in place in one step.
fn publish(
    function: &Function,
    options: &BuildOptions,
    finished: Finished,
    image: Option<&Image>,
    progress: &dyn Progress,
) -> Result<Built> {
    let plan = finished.plan.clone();
    let output = Output::begin(&options.out)?;
    let built = fill_with(function, options, finished, image, output.path())?;
    if progress.interrupted() {
        return Err(Error::interrupted());
    }
    output.publish()?;
    if options.plan == PlanSource::Update {
        lock::update(function, &plan)?;
    }
    Ok(built)
}

/// Puts what was asked for into `folder`, which will be `options.out`: the image too, and the zip only if it is wanted.
pub(crate) fn fill_with(
    function: &Function,
    options: &BuildOptions,
    mut finished: Finished,
    image: Option<&Image>,
    folder: &Utf8Path,
) -> Result<Built> {
    if let Some(image) = image {
        image.place(&options.out, folder, &mut finished.report)?;
    }
    if !options.zip {
        finished.report.artifacts.retain(|artifact| artifact.kind != ArtifactKind::Zip);
    }
    fill(function, &options.out, finished, folder)
}

/// Puts all of it into `folder`, which will be `out`.
pub(crate) fn fill(
    function: &Function,
    out: &Utf8Path,
    finished: Finished,
    folder: &Utf8Path,
) -> Result<Built> {
    let Finished { mut report, plan, zip, traces } = finished;
    let name = format!("{}.zip", function.name);
    for artifact in report.artifacts.iter_mut().filter(|artifact| artifact.kind == ArtifactKind::Zip) {
        artifact.path = out.join(&name).to_string();
        move_file(&zip, &folder.join(&name))?;
    }
    fs::write(folder.join(lock::LOCK), &plan)?;
    write_report(&report, folder)?;
    Ok(Built { report, traces })
}

/// Writes a report beside the artifact.
pub(crate) fn write_report(report: &Report, folder: &Utf8Path) -> Result<()> {
    let json =
        serde_json::to_string_pretty(report).map_err(|e| Error::defect("a report has no JSON").cause(e))?;
    Ok(fs::write(folder.join("report.json"), json + "\n")?)
}

/// Renames where both places are on one disk.
pub(crate) fn move_file(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    if fs::rename(from, to).is_err() {
        fs::copy(from, to)?;
    }
    Ok(())
}

fn plan_function(subject: &Subject) -> PlanFunction {
    let function = subject.ground.function;
    PlanFunction {
        name: function.name.clone(),
        handler: function.handler.clone(),
        python: function.python,
        tree: subject.ground.tree.digest.clone(),
    }
}

fn why_unproved(function: &Function) -> String {
    if runs_here(function) {
        "nothing was replayed: `--no-verify`".to_owned()
    } else {
        format!("nothing was replayed: this machine cannot run {}", target(function))
    }
}
