//! A function's tree, ready to be served: installed, assembled, and with valid bytecode where the user's tools would
//! still make it.

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use glowplug_core::{Cache, Progress, Result, TASK_ROOT};
use glowplug_function::{Function, Runtime};
use glowplug_package::{CompileJob, CompileResult, Compiler, PackageTree, bytecode_path};

use crate::subject::WORKERS;
use crate::workspace::Workspace;

/// The tree, there as long as this lives.
#[derive(Debug)]
pub struct Ready {
    /// Its interpreter and runtime client.
    pub runtime: Runtime,
    /// What the function sees as `/var/task`.
    pub tree: Utf8PathBuf,
    /// What it sees as `/opt`.
    pub layers: Vec<Utf8PathBuf>,
    /// SHA-256 of tree and layers as the user has them, in hex.
    pub digest: String,
    /// Size of the tree's files in bytes.
    pub bytes: u64,
    _workspace: Workspace,
}

/// Makes the tree of a function. A zip is served as it is; a folder gets the bytecode that it lacks, since only its first
/// start would go without.
///
/// # Errors
/// As [`glowplug_function::runtime`] and [`glowplug_function::assemble`].
pub fn ready(
    function: &Function,
    requested_python: Option<&str>,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Ready> {
    let runtime = glowplug_function::runtime(function.python, requested_python, cache, progress)?;
    let workspace = Workspace::open(cache)?;
    let tree = glowplug_function::assemble(function, &runtime, workspace.path(), cache, progress)?;
    let package = PackageTree::scan(&tree.root)?;
    let bytes = package.total_bytes();
    if !function.code.is_file() {
        compile(function, &runtime, &package, &tree.root, cache, progress)?;
    }
    let glowplug_function::Tree { root, layers, digest, .. } = tree;
    Ok(Ready { runtime, tree: root, layers, digest, bytes, _workspace: workspace })
}

/// Puts bytecode beside the sources; one that does not compile goes without.
pub(crate) fn compile(
    function: &Function,
    runtime: &Runtime,
    package: &PackageTree,
    root: &Utf8Path,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<()> {
    let modules = package.modules();
    let sources: Vec<Utf8PathBuf> =
        modules.into_values().filter(|file| !file.native).map(|file| file.path).collect();
    let jobs = sources.iter().map(|path| CompileJob {
        source: root.join(path),
        task_path: format!("{TASK_ROOT}/{path}"),
        edits: None,
    });
    let compiler = Compiler::new(&runtime.python, function.python, cache, WORKERS)?;
    let results = compiler.compile(jobs.collect(), progress)?;
    for (path, result) in sources.iter().zip(results) {
        let CompileResult::Done(made) = result else { continue };
        let target = root.join(bytecode_path(path, function.python));
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        // One that is there may share its storage with the cache.
        let _ = fs::remove_file(&target);
        fs::copy(made, target)?;
    }
    Ok(())
}
