//! The trace pipeline: the function as the user's own tools ship it, measured phase by phase.

use std::time::Duration;

use camino::Utf8Path;
use fs_err as fs;

use glowplug_core::{Cache, Error, Progress, Result, SUPPORT_MODULE};
use glowplug_engine::Cpu;
use glowplug_function::Function;
use glowplug_package::{ArchiveEntry, Contents, Effort, PackageTree, Zipper, unpack};
use glowplug_trace::{Bytecode, Distribution, Trace, TraceContext};

use crate::ground::{Ground, runs_here, target};
use crate::package_use::describe;
use crate::rulings::rulings;
use crate::setup::Setup;
use crate::trial::trial;

/// Unpackings behind the figure for provisioning.
const UNPACKINGS: usize = 3;

/// Starts with the agent for each event, which is enough for the order and the shares of imports.
const AGENT_RUNS: usize = 5;

/// How to trace.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceOptions {
    /// A version or an interpreter, instead of the function's own.
    pub python: Option<String>,
    /// Starts behind each median.
    pub runs: usize,
    /// How much processor time the function gets.
    pub cpu: Cpu,
    /// The bandwidth at which the package is fetched, in Mbit/s.
    pub bandwidth_mbit: Option<f64>,
    /// Measure too with the package's files out of the page cache.
    pub cold_cache: bool,
}

/// Traces `function` with each of its events, on its tree as shipped: with the bytecode that it has, and no other.
/// An event that hangs or ends the process is left out and named as the trace's failure, as is a function that
/// does not start.
///
/// # Errors
/// As [`glowplug_function::assemble`]; input where this machine cannot run the function; interruption.
pub fn trace(
    function: &Function,
    options: &TraceOptions,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Trace> {
    if !runs_here(function) {
        return Err(Error::input(format!("this machine cannot run {}", target(function)))
            .hint("trace it on a machine of that type, or set `architecture` to this one's"));
    }
    let ground = Ground::prepare(function, options.python.as_deref(), cache, progress)?;
    ground.guarded(progress, || {
        let _setup = Setup::start(function, progress)?;
        let mut trace = measured(&ground, options, progress)?;
        describe(&ground, &mut trace, cache)?;
        Ok(trace)
    })
}

/// Traces what is prepared.
pub(crate) fn measured(ground: &Ground, options: &TraceOptions, progress: &dyn Progress) -> Result<Trace> {
    let tree = &ground.tree.root;
    let (package_bytes, unpack_ms) = provision(ground, &ground.package, progress)?;
    // A function that does not start is worth a trace up to there; one failed start shows it.
    let unfit = trial(ground, tree, progress).or_else(|error| match error.class() {
        glowplug_core::ErrorClass::Input => Ok(Vec::new()),
        _ => Err(error),
    })?;
    let (mut events, mut cut_off) = (Vec::new(), Vec::new());
    for (index, event) in ground.events.iter().enumerate() {
        let kind = if unfit.iter().any(|(other, _)| *other == index) { &mut cut_off } else { &mut events };
        kind.push((event.name.clone(), event.payload.clone()));
    }
    let edited = is_edited(&ground.package);
    if edited {
        progress.note("the bytecode of this package was edited by `glowplug build`, so that the statements of your code are not told apart");
    }
    let context = TraceContext {
        edited,
        unpack_ms,
        package_bytes: Some(package_bytes),
        unfit: cut_off,
        ..context(ground, &ground.package, options)
    };
    let mut trace =
        glowplug_trace::trace(&ground.engine, &ground.spec(tree, options.cpu), &events, &context, progress)?;
    if let Some((_, error)) = unfit.into_iter().next() {
        trace.failure = Some(error.to_string());
    }
    advise(ground, &mut trace);
    note_bytecode(&trace, progress);
    Ok(trace)
}

/// Traces another tree of the same function, whose events are known to end well. Where its bytecode is `edited`, the
/// statements of the user's code are not told apart.
pub(crate) fn trace_tree(
    ground: &Ground,
    tree: &Utf8Path,
    edited: bool,
    options: &TraceOptions,
    progress: &dyn Progress,
) -> Result<Trace> {
    let package = PackageTree::scan(tree)?;
    let (package_bytes, unpack_ms) = provision(ground, &package, progress)?;
    let events: Vec<_> =
        ground.events.iter().map(|event| (event.name.clone(), event.payload.clone())).collect();
    let context = TraceContext {
        unpack_ms,
        package_bytes: Some(package_bytes),
        edited,
        ..context(ground, &package, options)
    };
    let spec = ground.spec(tree, options.cpu);
    let mut trace = glowplug_trace::trace(&ground.engine, &spec, &events, &context, progress)?;
    advise(ground, &mut trace);
    Ok(trace)
}

/// Whether a build has deferred imports in it: what it ships brings the module that loads them.
fn is_edited(package: &PackageTree) -> bool {
    package
        .files
        .iter()
        .any(|file| file.path.file_name().is_some_and(|name| name.starts_with(SUPPORT_MODULE)))
}

fn context(ground: &Ground, package: &PackageTree, options: &TraceOptions) -> TraceContext {
    TraceContext {
        user_files: ground
            .user_files()
            .iter()
            .filter(|path| path.extension() == Some("py"))
            .cloned()
            .collect(),
        edited: false,
        distributions: distributions(package),
        runs: options.runs,
        agent_runs: options.runs.min(AGENT_RUNS),
        unpack_ms: Vec::new(),
        package_bytes: None,
        bandwidth_mbit: options.bandwidth_mbit,
        cold_cache: options.cold_cache,
        unfit: Vec::new(),
        timeout: Duration::from_secs(u64::from(ground.function.timeout_s)),
    }
}

fn advise(ground: &Ground, trace: &mut Trace) {
    let weights = ground.events.iter().map(|event| (event.name.clone(), event.weight)).collect();
    trace.advice = glowplug_trace::advise(trace, &weights, &rulings(ground));
}

/// Zips the tree as other tools do, and unpacks it as a plain unpacker does: the zip's bytes, and the times in ms.
fn provision(ground: &Ground, package: &PackageTree, progress: &dyn Progress) -> Result<(u64, Vec<f64>)> {
    let zip = ground.work().join("provision.zip");
    Zipper::new(Effort::Plain).write(&as_it_is(package), &zip, progress)?;
    progress.start("Unpacking", Some(UNPACKINGS as u64));
    let mut times = Vec::with_capacity(UNPACKINGS);
    let folder = ground.work().join("provision");
    for _ in 0..UNPACKINGS {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        times.push(unpack(&zip, &folder)?.took.as_secs_f64() * 1e3);
        fs::remove_dir_all(&folder)?;
        progress.advance(1);
    }
    progress.finish();
    let bytes = fs::metadata(&zip)?.len();
    fs::remove_file(&zip)?;
    Ok((bytes, times))
}

/// Every file of a tree as an entry.
fn as_it_is(package: &PackageTree) -> Vec<ArchiveEntry> {
    let entry = |file: &glowplug_package::FileEntry| ArchiveEntry {
        path: file.path.clone(),
        source: match &file.symlink {
            Some(target) => Contents::Symlink(target.clone()),
            None => Contents::File(package.root.join(&file.path)),
        },
        executable: file.executable,
    };
    package.files.iter().map(entry).collect()
}

fn distributions(package: &PackageTree) -> Vec<Distribution> {
    let mut all: Vec<Distribution> = package
        .distributions
        .iter()
        .map(|found| Distribution {
            name: found.name.clone(),
            version: found.version.clone(),
            files: Vec::new(),
        })
        .collect();
    for file in &package.files {
        if let Some(index) = file.distribution {
            all[index].files.push(file.path.clone());
        }
    }
    all
}

/// Where bytecode is missing, compiling is part of every figure, and that has to be said.
fn note_bytecode(trace: &Trace, progress: &dyn Progress) {
    let own = || trace.imports.iter().filter(|import| !import.runtime_provided);
    let without = own().filter(|i| matches!(i.bytecode, Bytecode::Missing | Bytecode::Stale)).count();
    if without > 0 {
        progress.note(&format!(
            "{without} of {} imports have no valid bytecode and were compiled in every start, as they will be on Lambda; \
             `glowplug build` ships it",
            own().count()
        ));
    }
}
