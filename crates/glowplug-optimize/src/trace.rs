//! The trace pipeline: the function as the user's own tools ship it, measured phase by phase.

use fs_err as fs;

use glowplug_core::{Cache, Error, Progress, Result};
use glowplug_engine::Cpu;
use glowplug_function::Function;
use glowplug_package::{ArchiveEntry, Contents, PackageTree, unpack, write_zip};
use glowplug_trace::{Bytecode, Distribution, Trace, TraceContext};

use crate::ground::{Ground, runs_here};
use crate::setup::Setup;
use crate::trial::trial;

/// Unpackings behind the figure for provisioning.
const UNPACKINGS: usize = 3;

/// Starts with the agent for each event, which is enough for the order and the shares of imports.
const AGENT_RUNS: usize = 5;

/// Traces `function` with each of its events, on its tree as shipped: with the bytecode that it has, and no other.
/// An event that hangs or ends the process is left out and named as the trace's failure, as is a function that
/// does not start.
///
/// # Errors
/// As [`glowplug_function::assemble`]; input where this machine cannot run the function; interruption.
pub fn trace(
    function: &Function,
    requested_python: Option<&str>,
    runs: usize,
    cpu: Cpu,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Trace> {
    if !runs_here(function) {
        return Err(Error::input(format!("this machine cannot run {}", function.architecture))
            .hint("trace it on a machine of that type, or set `architecture` to this one's"));
    }
    let ground = Ground::prepare(function, requested_python, cache, progress)?;
    ground.guarded(progress, || {
        let _setup = Setup::start(function, progress)?;
        measured(&ground, runs, cpu, progress)
    })
}

fn measured(ground: &Ground, runs: usize, cpu: Cpu, progress: &dyn Progress) -> Result<Trace> {
    let provision_ms = provision(ground, progress)?;
    let tree = &ground.tree.root;
    // A function that does not start is worth a trace up to there; one failed start shows it.
    let unfit = trial(ground, tree, progress).or_else(|error| match error.class() {
        glowplug_core::ErrorClass::Input => Ok(Vec::new()),
        _ => Err(error),
    })?;
    let fit =
        ground.events.iter().enumerate().filter(|(index, _)| unfit.iter().all(|(other, _)| other != index));
    let events: Vec<(String, Vec<u8>)> =
        fit.map(|(_, event)| (event.name.clone(), event.payload.clone())).collect();
    let context = TraceContext {
        user_files: ground
            .user_files()
            .iter()
            .filter(|path| path.extension() == Some("py"))
            .cloned()
            .collect(),
        distributions: distributions(&ground.package),
        runs,
        agent_runs: runs.min(AGENT_RUNS),
        provision_ms,
    };
    let mut trace =
        glowplug_trace::trace(&ground.engine, &ground.spec(tree, cpu), &events, &context, progress)?;
    if let Some((_, error)) = unfit.into_iter().next() {
        trace.failure = Some(error.to_string());
    }
    note_bytecode(&trace, progress);
    Ok(trace)
}

/// Zips the tree and unpacks it as a plain unpacker does, in ms.
fn provision(ground: &Ground, progress: &dyn Progress) -> Result<Vec<f64>> {
    let zip = ground.work().join("provision.zip");
    write_zip(&as_it_is(&ground.package), &zip, progress)?;
    progress.start("Unpacking", Some(UNPACKINGS as u64));
    let mut times = Vec::with_capacity(UNPACKINGS);
    let folder = ground.work().join("provision");
    for _ in 0..UNPACKINGS {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        times.push(unpack(&zip, &folder)?.as_secs_f64() * 1e3);
        fs::remove_dir_all(&folder)?;
        progress.advance(1);
    }
    progress.finish();
    fs::remove_file(&zip)?;
    Ok(times)
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
