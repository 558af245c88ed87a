//! The build pipeline: function → trace → plan → artifact → verdict → report.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde_json_path::JsonPath;

use glowplug_core::{Cache, Decision, Error, Plan, PlanFunction, Progress, Result, TASK_ROOT, Verdict};
use glowplug_function::{Event, Function};
use glowplug_package::{check_limits, verify_bytecode, write_zip, zip_size};
use glowplug_report::{Artifact, ArtifactKind, Report};
use glowplug_trace::Trace;

use crate::decisions;
use crate::ground::runs_here;
use crate::holdout;
use crate::lock;
use crate::mask::parse_ignores;
use crate::options::{BuildOptions, PlanSource};
use crate::output::{self, Output};
use crate::plan::{Draft, draft};
use crate::replay::{Baseline, Replayer, Unproved, sequences};
use crate::results::{Figures, Sizes};
use crate::settle::settle;
use crate::setup::Setup;
use crate::subject::Subject;
use crate::trace::{TraceOptions, trace_tree};
use crate::trial::require_fit;
use crate::variant::{Recipe, entries, materialise, support_path, unzipped_bytes};
use crate::verify::{Proof, Verification};

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
    lock::check(function, &options.plan)?;
    let ignore = parse_ignores(&function.verify.ignore)?;
    let holdout = holdout::read(&options.holdout)?;
    let subject = Subject::prepare(function, requested_python, cache, progress)?;
    subject.ground.guarded(progress, || {
        let _setup = Setup::start(function, progress)?;
        let made = make(&subject, options, &holdout, &ignore, progress)?;
        let traces = traced(&subject, options, &made, progress)?;
        let report = write(&subject, options, made, progress)?;
        Ok(Built { report, traces })
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
    before: Utf8PathBuf,
    proof: Proof,
    decisions: Vec<Decision>,
    figures: Figures,
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
    let draft = draft(subject, options, &before, replayed, progress)?;
    // Nobody has to wait for a replay of what Lambda refuses.
    check_limits(0, unzipped_bytes(&entries(subject, &draft.recipe)?)?, &ground.package.distributions)?;
    let mut proof = if replayed {
        prove(subject, &draft, None, [&shipped, &before], ignore, progress)?
    } else {
        let tree = materialise(subject, &draft.recipe, "after")?;
        let verdict = Verdict { not_proved: vec![why_unproved(ground.function)], ..Verdict::default() };
        Proof { recipe: draft.recipe.clone(), tree, verdict, pinned: BTreeMap::new() }
    };
    if draft.lowered {
        let why = "no replay supports more than `--lazy safe`, so that is how far imports were deferred";
        proof.verdict.not_proved.push(why.to_owned());
    }
    let replayed_edits = proof.recipe.lazy.clone();
    let (mut proof, mut figures) = settle(subject, options, &draft, proof, [&shipped, &before], progress)?;
    if replayed && proof.recipe.lazy != replayed_edits {
        // Fewer edits make another tree, and what ships is what was replayed.
        let again = prove(subject, &draft, Some(&proof), [&shipped, &before], ignore, progress)?;
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
    Ok(Made { before, proof, decisions, figures })
}

/// Replays until the result equals the original: the draft, or what an earlier proof has left of it.
fn prove(
    subject: &Subject,
    draft: &Draft,
    left: Option<&Proof>,
    [shipped, before]: [&Utf8Path; 2],
    ignore: &[JsonPath],
    progress: &dyn Progress,
) -> Result<Proof> {
    let ground = &subject.ground;
    let function = ground.function;
    let replayer = Replayer { ground, events: &ground.events, sequences: sequences(&ground.events), ignore };
    let mut baseline = replayer.baseline(shipped, before, progress)?;
    refuse_unproved(function, &baseline)?;
    let recipe = left.map_or(&draft.recipe, |proof| &proof.recipe);
    let mut units = decisions::units(subject, &recipe.lazy, &draft.trimming);
    if let Some(proof) = left {
        units.retain(|unit| unit.ids().iter().all(|id| !proof.pinned.contains_key(id)));
    }
    let verification =
        Verification { subject, replayer: &replayer, shipped, recipe, units: &units, progress };
    let mut proof = verification.run(&mut baseline)?;
    refuse_unproved(function, &baseline)?;
    if function.events.is_empty() {
        proof.verdict.equal = None;
        proof.verdict.events = 0;
        let why = "the function has no events: only a start and one empty event were compared";
        proof.verdict.not_proved.insert(0, why.to_owned());
    }
    Ok(proof)
}

/// The interpreter must load what ships.
fn check_bytecode(subject: &Subject, proof: &Proof) -> Result<()> {
    if !proof.recipe.bytecode {
        return Ok(());
    }
    let mut sources: Vec<Utf8PathBuf> =
        subject.plain.keys().filter(|path| !proof.recipe.dropped.contains(*path)).cloned().collect();
    if !proof.recipe.lazy.is_empty() {
        sources.push(support_path(subject));
    }
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

/// Makes the zip among the scratch files and checks the sizes; then puts it, the plan and the report in place in one
/// step.
fn write(subject: &Subject, options: &BuildOptions, made: Made, progress: &dyn Progress) -> Result<Report> {
    let ground = &subject.ground;
    let function = ground.function;
    let Made { proof, decisions, figures, .. } = made;
    let name = format!("{}.zip", function.name);
    let zip = ground.work().join(&name);
    let sizes = Sizes {
        shipped: zip_size(&entries(subject, &Recipe::default())?, progress)?,
        before: zip_size(&entries(subject, &Recipe::before())?, progress)?,
        after: write_zip(&entries(subject, &proof.recipe)?, &zip, progress)?,
    };
    for remark in check_limits(sizes.after.bytes, sizes.after.unzipped_bytes, &ground.package.distributions)?
    {
        progress.note(&remark);
    }
    let output = Output::begin(&options.out)?;
    move_file(&zip, &output.path().join(&name))?;
    let artifact = Artifact {
        kind: ArtifactKind::Zip,
        path: options.out.join(&name).to_string(),
        bytes: sizes.after.bytes,
        sha256: sizes.after.sha256.clone(),
    };
    let plan = Plan::new(plan_function(subject), decisions.clone());
    let text = lock::to_text(&plan)?;
    fs::write(output.path().join(lock::LOCK), &text)?;
    let report = figures.report(subject, options, &sizes, decisions, proof.verdict, artifact);
    let json =
        serde_json::to_string_pretty(&report).map_err(|e| Error::defect("a report has no JSON").cause(e))?;
    fs::write(output.path().join("report.json"), json + "\n")?;
    if progress.interrupted() {
        return Err(Error::interrupted());
    }
    output.publish()?;
    if options.plan == PlanSource::Update {
        lock::update(function, &text)?;
    }
    Ok(report)
}

/// Renames where both places are on one disk.
fn move_file(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
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
        format!("nothing was replayed: this machine cannot run {}", function.architecture)
    }
}

fn refuse_unproved(function: &Function, baseline: &Baseline) -> Result<()> {
    let varies = baseline.unproved.iter().find(|(_, why)| **why == Unproved::Varies);
    match varies {
        Some((event, _)) if !function.verify.accept_unproved && !function.events.is_empty() => {
            Err(Error::input(format!(
                "event `{event}` cannot be proved: its whole payload varies from run to run"
            ))
            .hint("name what varies in `[verify] ignore`, for example `ignore = [\"$.requestId\"]`")
            .hint("or set `[verify] accept_unproved = true` to go on without it"))
        }
        _ => Ok(()),
    }
}
