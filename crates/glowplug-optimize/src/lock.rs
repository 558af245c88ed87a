//! `glowplug.lock`: reading a plan, and whether it fits the tree at hand.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use glowplug_core::{DecisionKind, Error, Plan, Result, SCHEMA_PLAN};
use glowplug_function::Function;

use crate::columns::COLUMNS;
use crate::options::PlanSource;
use crate::subject::Subject;
use crate::variant::Recipe;

/// Name of the plan file in the project and in the output folder.
pub(crate) const LOCK: &str = "glowplug.lock";

/// The plan to use instead of a profiling run, if the options and the project have one that fits.
pub(crate) fn find(subject: &Subject, source: &PlanSource) -> Result<Option<Plan>> {
    let project = project_lock(&subject.ground.function.root);
    match source {
        PlanSource::Update => Ok(None),
        PlanSource::Auto => match project {
            Some(path) if path.is_file() => {
                Ok(Some(read(&path)?).filter(|plan| misfit(subject, plan).is_none()))
            }
            _ => Ok(None),
        },
        PlanSource::File(path) => fitting(subject, path).map(Some),
        PlanSource::Locked => match project {
            Some(path) => fitting(subject, &path).map(Some),
            None => Ok(None),
        },
    }
}

/// Refuses early what [`find`] would refuse only when everything is installed.
pub(crate) fn check(function: &Function, source: &PlanSource) -> Result<()> {
    match source {
        PlanSource::Auto => Ok(()),
        PlanSource::File(path) => read(path).map(drop),
        PlanSource::Locked => match project_lock(&function.root).filter(|path| path.is_file()) {
            Some(path) => read(&path).map(drop),
            None => Err(Error::input("`--locked` needs a `glowplug.lock` in the project")
                .place(function.root.as_str())
                .hint("run `glowplug build --update-lock` once and commit the file")),
        },
        PlanSource::Update => project_lock(&function.root).map(drop).ok_or_else(|| {
            Error::usage("`--update-lock` needs a source folder")
                .hint("a zip has no place for a `glowplug.lock`")
        }),
    }
}

/// Replaces the project's lock in one step.
pub(crate) fn update(function: &Function, text: &str) -> Result<()> {
    let Some(path) = project_lock(&function.root) else { return Ok(()) };
    let staged = path.with_extension("lock.new");
    fs::write(&staged, text)?;
    fs::rename(&staged, &path)?;
    Ok(())
}

/// Where the project keeps its lock: beside the source; a zip has none.
pub(crate) fn project_lock(root: &Utf8Path) -> Option<Utf8PathBuf> {
    root.is_dir().then(|| root.join(LOCK))
}

fn fitting(subject: &Subject, path: &Utf8Path) -> Result<Plan> {
    let plan = read(path)?;
    match misfit(subject, &plan) {
        None => Ok(plan),
        Some(why) => Err(Error::input("the plan is stale")
            .cause(why)
            .place(path.as_str())
            .hint("run `glowplug build --update-lock` to make it anew")),
    }
}

fn misfit(subject: &Subject, plan: &Plan) -> Option<String> {
    let function = subject.ground.function;
    if plan.function.tree != subject.ground.tree.digest {
        return Some("the source or the dependencies have changed since it was made".to_owned());
    }
    if plan.function.python != function.python {
        return Some(format!("it was made for Python {}, not {}", plan.function.python, function.python));
    }
    if plan.function.handler != function.handler {
        return Some(format!("it was made for `{}`, not `{}`", plan.function.handler, function.handler));
    }
    let known: BTreeSet<&str> = subject.candidates.ids().collect();
    plan.applied()
        .find(|d| {
            matches!(d.kind, DecisionKind::Lazy | DecisionKind::Global) && !known.contains(d.id.as_str())
        })
        .map(|d| format!("`{}` is nothing that can be deferred", d.id))
}

/// Reads a plan file.
///
/// # Errors
/// An input error where it is not JSON of our schema.
pub(crate) fn read(path: &Utf8Path) -> Result<Plan> {
    let text = fs::read_to_string(path)
        .map_err(|e| Error::input("cannot read the plan").cause(e).place(path.as_str()))?;
    let plan: Plan = serde_json::from_str(&text).map_err(|e| {
        Error::input("the plan is not valid")
            .cause(e)
            .place(path.as_str())
            .hint("delete it, or restore it from version control")
    })?;
    if plan.schema != SCHEMA_PLAN {
        return Err(Error::input(format!("the plan has schema `{}`, not `{SCHEMA_PLAN}`", plan.schema))
            .place(path.as_str())
            .hint("make it anew with `glowplug build --update-lock`"));
    }
    Ok(plan)
}

/// The plan as its file holds it.
pub(crate) fn to_text(plan: &Plan) -> Result<String> {
    let mut text =
        serde_json::to_string_pretty(plan).map_err(|e| Error::defect("a plan has no JSON").cause(e))?;
    text.push('\n');
    Ok(text)
}

/// What the plan's applied decisions do to the tree; stripped contents are made anew by their rule.
pub(crate) fn recipe(plan: &Plan) -> Recipe {
    let mut recipe = Recipe::before();
    for decision in plan.applied() {
        match decision.kind {
            DecisionKind::Lazy | DecisionKind::Global => {
                recipe.lazy.insert(decision.id.clone());
            }
            DecisionKind::Strip if decision.subject == COLUMNS => {
                recipe.lean.insert(Utf8PathBuf::from(&decision.place));
            }
            DecisionKind::Drop => {
                recipe.dropped.insert(Utf8PathBuf::from(&decision.place), decision.subject.clone());
            }
            _ => {}
        }
    }
    recipe
}
