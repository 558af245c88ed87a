//! What a build works on: the function's ground, its bytecode, and what the static analysis says about it.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use glowplug_core::{Cache, Error, Progress, Result, SUPPORT_MODULE, TASK_ROOT};
use glowplug_function::Function;
use glowplug_imports::ModuleAnalysis;
use glowplug_lazy::Candidates;
use glowplug_package::{CompileJob, CompileResult, Compiler, ModuleFile};

use crate::folders::Folders;
use crate::ground::Ground;
use crate::summaries::summaries;

/// Compile workers at a time: each is one busy core.
pub(crate) const WORKERS: usize = 2;

/// Everything that stays the same while a plan is searched for.
pub(crate) struct Subject<'a> {
    pub(crate) ground: Ground<'a>,
    pub(crate) modules: BTreeMap<String, ModuleFile>,
    pub(crate) analyses: BTreeMap<String, ModuleAnalysis>,
    pub(crate) candidates: Candidates,
    pub(crate) compiler: Compiler,
    /// Relative source path → bytecode without edits, in the cache.
    pub(crate) plain: BTreeMap<Utf8PathBuf, Utf8PathBuf>,
    /// Name of the private module that lazy imports need.
    pub(crate) support: String,
    /// The trees that were made of it.
    pub(crate) folders: Folders,
}

impl<'a> Subject<'a> {
    /// Installs, assembles, compiles and analyses.
    pub(crate) fn prepare(
        function: &'a Function,
        requested_python: Option<&str>,
        cache: &Cache,
        progress: &dyn Progress,
    ) -> Result<Self> {
        Self::of(Ground::prepare(function, requested_python, cache, progress)?, cache, progress)
    }

    /// Compiles and analyses what has been assembled.
    pub(crate) fn of(ground: Ground<'a>, cache: &Cache, progress: &dyn Progress) -> Result<Self> {
        let function = ground.function;
        let modules = ground.package.modules();
        let compiler = Compiler::new(&ground.runtime.python, function.python, cache, WORKERS)?;
        let plain = compile_all(&compiler, &ground.tree.root, &modules, progress)?;
        progress.start("Reading imports", None);
        let mut analyses = summaries(&ground.package, &modules, function.python, cache)?;
        let text = |analysis: &ModuleAnalysis| fs::read_to_string(ground.tree.root.join(&analysis.path)).ok();
        glowplug_imports::settle(&mut analyses, function.python, &text);
        let user: BTreeSet<String> = modules
            .iter()
            .filter(|(_, file)| ground.user_files().contains(&file.path))
            .map(|(name, _)| name.clone())
            .collect();
        let candidates = Candidates::find(&analyses, &user, &modules.keys().cloned().collect());
        progress.finish();
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        let support = support_name(&modules)?;
        Ok(Self {
            ground,
            modules,
            analyses,
            candidates,
            compiler,
            plain,
            support,
            folders: Folders::default(),
        })
    }

    /// The module that holds the handler.
    pub(crate) fn handler_module(&self) -> String {
        let module = self.ground.function.handler.rsplit_once('.').map_or("", |(module, _)| module);
        module.replace('/', ".")
    }

    /// Whether the module is the user's own.
    pub(crate) fn is_user(&self, module: &str) -> bool {
        self.modules.get(module).is_some_and(|file| self.ground.user_files().contains(&file.path))
    }
}

/// A name for the private module that nothing in the tree has.
fn support_name(modules: &BTreeMap<String, ModuleFile>) -> Result<String> {
    std::iter::once(SUPPORT_MODULE.to_owned())
        .chain((2..100).map(|number| format!("{SUPPORT_MODULE}_{number}")))
        .find(|name| !modules.contains_key(name))
        .ok_or_else(|| Error::input(format!("the tree holds modules named `{SUPPORT_MODULE}_…`")))
}

fn compile_all(
    compiler: &Compiler,
    root: &Utf8Path,
    modules: &BTreeMap<String, ModuleFile>,
    progress: &dyn Progress,
) -> Result<BTreeMap<Utf8PathBuf, Utf8PathBuf>> {
    let sources: BTreeSet<&Utf8PathBuf> =
        modules.values().filter(|file| !file.native).map(|file| &file.path).collect();
    let jobs = sources.iter().map(|path| CompileJob {
        source: root.join(path),
        task_path: format!("{TASK_ROOT}/{path}"),
        edits: None,
    });
    let results = compiler.compile(jobs.collect(), progress)?;
    // A file that does not compile (a template, another Python's syntax) ships as it is, without bytecode.
    Ok(sources
        .into_iter()
        .zip(results)
        .filter_map(|(path, result)| match result {
            CompileResult::Done(bytecode) => Some((path.clone(), bytecode)),
            CompileResult::Failed { .. } => None,
        })
        .collect())
}
