//! What a build would do, without building: `--diff` and `--explain`.

use std::collections::BTreeMap;

use camino::Utf8Path;

use glowplug_core::{Cache, Decision, Progress, Result};
use glowplug_function::Function;
use glowplug_report::ModuleSummary;

use crate::decisions;
use crate::explain::summary;
use crate::folders::materialise;
use crate::lock;
use crate::options::BuildOptions;
use crate::plan::draft;
use crate::setup::Setup;
use crate::subject::Subject;
use crate::trial::require_fit;
use crate::variant::Recipe;

/// A plan that is not applied.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The deferred imports, as a diff of the sources that a person would read.
    pub diff: String,
    /// The decisions, none of them proved by replay, with every refusal.
    pub decisions: Vec<Decision>,
    /// What is known of the module that was asked about, where the tree has it.
    pub module: Option<ModuleSummary>,
}

/// Plans `function` and changes nothing; `module` is asked about.
///
/// # Errors
/// As [`crate::build`], replays apart.
pub fn preview(
    function: &Function,
    requested_python: Option<&str>,
    options: &BuildOptions,
    module: Option<&str>,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Preview> {
    lock::check(function, &options.plan)?;
    let subject = Subject::prepare(function, requested_python, cache, progress)?;
    subject.ground.guarded(progress, || {
        let _setup = Setup::start(function, progress)?;
        let before = materialise(&subject, &Recipe::before(), "before")?;
        require_fit(&subject.ground, &before, progress)?;
        let draft = draft(&subject, options, &before, options.verify, progress)?;
        let source =
            |path: &Utf8Path| fs_err::read_to_string(subject.ground.tree.root.join(path)).unwrap_or_default();
        let diff = subject.candidates.diff(&draft.recipe.lazy, &source);
        let bytecode = decisions::bytecode(subject.plain.len(), None, None);
        let decisions = draft.decisions(&subject, bytecode, &BTreeMap::new(), true);
        let module = module.and_then(|module| summary(&subject, &draft.explored, &decisions, module));
        Ok(Preview { diff, decisions, module })
    })
}
