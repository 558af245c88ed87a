//! What a build works on: the function's ground, its bytecode, and what the static analysis says about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use glowplug_core::{ABSENT_MODULE, Cache, Error, Progress, Result, SUPPORT_MODULE, TASK_ROOT};
use glowplug_function::Function;
use glowplug_imports::ModuleAnalysis;
use glowplug_lazy::Candidates;
use glowplug_package::{CompileJob, CompileResult, Compiler, ModuleFile};

use crate::code::Code;
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
    cache: Cache,
    /// Relative source path → bytecode without edits, in the cache.
    pub(crate) plain: BTreeMap<Utf8PathBuf, Utf8PathBuf>,
    /// The same without columns, once it is asked for.
    lean: OnceLock<Lean>,
    /// Name of the private module that lazy imports need.
    pub(crate) support: String,
    /// Name of the one that tells why modules are not there.
    pub(crate) absent: String,
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
        let support = free_name(&modules, SUPPORT_MODULE)?;
        let absent = free_name(&modules, ABSENT_MODULE)?;
        Ok(Self {
            ground,
            modules,
            analyses,
            candidates,
            compiler,
            cache: cache.clone(),
            plain,
            lean: OnceLock::new(),
            support,
            absent,
            folders: Folders::default(),
        })
    }

    /// Bytecode that knows no columns, which only the marks under the lines of tracebacks are drawn from.
    ///
    /// # Errors
    /// As [`Compiler::compile`].
    pub(crate) fn lean(&self, progress: &dyn Progress) -> Result<&Lean> {
        if let Some(lean) = self.lean.get() {
            return Ok(lean);
        }
        let (ground, cache) = (&self.ground, &self.cache);
        let compiler = Compiler::new(&ground.runtime.python, ground.function.python, cache, WORKERS)?;
        let compiler = compiler.without_columns();
        let bytecode = compile_all(&compiler, &ground.tree.root, &self.modules, progress)?;
        Ok(self.lean.get_or_init(|| Lean { compiler, bytecode }))
    }

    /// What of it needs no function.
    pub(crate) fn code(&self) -> Code<'_> {
        Code {
            package: &self.ground.package,
            modules: &self.modules,
            analyses: &self.analyses,
            user_files: self.ground.user_files(),
            keep: &self.ground.function.package.keep,
        }
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

/// A compiler that leaves columns out, and what it makes of the tree.
#[derive(Debug)]
pub(crate) struct Lean {
    pub(crate) compiler: Compiler,
    /// Relative source path → bytecode in the cache.
    pub(crate) bytecode: BTreeMap<Utf8PathBuf, Utf8PathBuf>,
}

/// A name for a private module that nothing in the tree has.
fn free_name(modules: &BTreeMap<String, ModuleFile>, wanted: &str) -> Result<String> {
    std::iter::once(wanted.to_owned())
        .chain((2..100).map(|number| format!("{wanted}_{number}")))
        .find(|name| !modules.contains_key(name))
        .ok_or_else(|| Error::input(format!("the tree holds modules named `{wanted}_…`")))
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
