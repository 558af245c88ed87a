//! What the levels of trimming beyond `safe` go by: what is reachable, and the modules and files that traced starts
//! touched.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;

use glowplug_core::{Error, Progress, Result};
use glowplug_engine::InitOutcome;
use glowplug_package::{Reached, TrimLevel, source_of_bytecode};
use glowplug_trace::{ObserveOptions, Phase};

use crate::explore::{Explored, loaded, observe};
use crate::reach::file_names;
use crate::subject::Subject;
use crate::trial::init_failed;

/// What a level beyond safe keeps. `tree` has everything that the events could touch, with its imports deferred.
///
/// # Errors
/// Input: a pattern that is no glob, a function that does not start. Surroundings: a file that cannot be read.
pub(crate) fn reached(
    subject: &Subject,
    level: TrimLevel,
    explored: &Explored,
    tree: &Utf8Path,
    progress: &dyn Progress,
) -> Result<Reached> {
    let code = subject.code();
    let mut starts: BTreeSet<String> = [subject.handler_module()].into();
    let touched = touched(subject, tree, &mut starts, progress)?;
    if level == TrimLevel::Observed {
        starts.extend(code.roots()?);
        let modules = code.with_packages(&starts);
        let texts = modules.par_iter().filter_map(|name| code.names_of(name));
        let names = texts.flat_map_iter(|names| file_names(&names)).collect();
        Ok(Reached { modules, names, touched })
    } else {
        starts.extend(explored.loaded.iter().cloned());
        starts.extend(named(subject)?);
        code.reachable(starts, touched)
    }
}

/// What the function's variables and events name, as far as that could be modules.
fn named(subject: &Subject) -> Result<BTreeSet<String>> {
    let variables = serde_json::to_string(&subject.ground.function.environment)
        .map_err(|error| Error::defect("the variables have no JSON").cause(error))?;
    let events =
        subject.ground.events.iter().map(|event| String::from_utf8_lossy(&event.payload).into_owned());
    // JSON is read as the expressions of Python that it is, too.
    let texts = events.chain([variables]).filter_map(|text| glowplug_imports::names(&text));
    Ok(texts.flat_map(|names| names.texts).collect())
}

/// The files that first requests opened; what they loaded goes to `modules`.
fn touched(
    subject: &Subject,
    tree: &Utf8Path,
    modules: &mut BTreeSet<String>,
    progress: &dyn Progress,
) -> Result<BTreeSet<Utf8PathBuf>> {
    let mut touched = BTreeSet::new();
    let in_tree = |path: &Utf8PathBuf| subject.ground.package.file(path).is_some();
    let options = ObserveOptions { files: true, ..ObserveOptions::default() };
    for event in &subject.ground.events {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        let observation = observe(subject, tree, Some(event), &options)?;
        if !matches!(observation.init.outcome, InitOutcome::Ready) {
            return Err(init_failed(&observation.init.outcome, Some((&subject.ground, tree))));
        }
        modules.extend(loaded(&observation, Phase::FirstInvoke));
        for file in &observation.files {
            // Bytecode of ours stands for its source.
            let source = source_of_bytecode(&file.path);
            touched.extend([Some(file.path.clone()), source].into_iter().flatten().filter(|p| in_tree(p)));
        }
    }
    Ok(touched)
}
