//! The tuning pipeline: a function's tree before and after a build, ready to be run at any memory size.
//!
//! ```text
//!  Function ──► build, or what the cache remembers of one ──► after ─┐
//!          └──► tree with valid bytecode ──► before ─────────────────┴─► Local (a Probe) ──► whoever chooses
//! ```

mod local;
mod report;
mod scale;

use camino::{Utf8Path, Utf8PathBuf};
use indexmap::IndexMap;

use glowplug_capacity::{FULL_CPU_MB, Variant};
use glowplug_core::{Cache, Error, ErrorClass, Progress, Result};
use glowplug_engine::{Cpu, InitOutcome, Outcome};
use glowplug_function::Function;
use glowplug_package::unpack;

use crate::build::{move_file, with_finished};
use crate::ground::{Ground, runs_here, target};
use crate::options::BuildOptions;
use crate::ready::compile;
use crate::setup::Setup;
use crate::trial::init_failed;
use crate::workspace::Workspace;

pub use local::Local;
pub use report::{ChoiceOptions, ROUNDS, Tuned, WARM, choose, tune_report};

/// Lambda's largest memory size in MB ("Configure Lambda function memory" in the developer guide).
const LARGEST_MB: u32 = 10_240;

/// How to run a function at memory sizes.
#[derive(Debug, Clone)]
pub struct TuneOptions {
    /// How the tree after is built; without it only the tree before is run.
    pub build: Option<BuildOptions>,
    /// A version or an interpreter, instead of the function's own.
    pub python: Option<String>,
    /// Whether a run gets the processor share of its memory size. Otherwise it gets all there is, and its times are
    /// scaled from the processor time that it used.
    pub share: bool,
    /// Whether init gets one whole vCPU where the share is less.
    pub init_boost: bool,
}

/// What is there to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Bench {
    /// Names of the events with their shares of first requests, in the order of [`glowplug_capacity::Ask::event`].
    pub events: Vec<(String, f64)>,
    /// The forms of the function.
    pub variants: Vec<Variant>,
    /// The largest memory size in MB whose processor share this machine has.
    pub most_mb: u32,
    /// Whether times are scaled from processor time.
    pub scaled: bool,
    /// Why something is not as it was asked for, a sentence each.
    pub notes: Vec<String>,
}

/// Makes the trees, and has `choose` ask for runs of them.
///
/// A build that fails by the function's fault leaves the tree before alone, with a note.
///
/// # Errors
/// As [`crate::build`] and [`glowplug_function::assemble`]; input where this machine cannot run the function or it does
/// not start however much memory it gets; those of `choose`.
pub fn tune<T>(
    function: &Function,
    options: &TuneOptions,
    cache: &Cache,
    progress: &dyn Progress,
    choose: impl FnOnce(&Bench, &mut Local) -> Result<T>,
) -> Result<T> {
    if !runs_here(function) {
        return Err(Error::input(format!("this machine cannot run {}", target(function)))
            .hint("tune it on a machine of that type, or set `architecture` to this one's"));
    }
    let mut notes = Vec::new();
    let built = match &options.build {
        None => None,
        Some(build) => built(function, options, build, cache, progress, &mut notes)?,
    };
    let ground = Ground::prepare(function, options.python.as_deref(), cache, progress)?;
    let root = ground.tree.root.clone();
    compile(function, &ground.runtime, &ground.package, &root, cache, progress)?;
    let mut trees = IndexMap::from([(Variant::Before, root)]);
    trees.extend(built.as_ref().map(|built| (Variant::After, built.tree.clone())));
    ground.guarded(progress, || {
        let _setup = Setup::start(function, progress)?;
        for tree in trees.values() {
            first_start(&ground, tree)?;
        }
        let enforced = ground.engine.capabilities().cpu_share;
        if options.share && !enforced {
            notes.extend(ground.engine.capabilities().notes.iter().cloned());
        }
        let limited = options.share && enforced;
        if !limited {
            notes.push(
                "runs get the whole processor; their times are scaled from the processor time".to_owned(),
            );
        }
        let bench = Bench {
            events: ground.events.iter().map(|event| (event.name.clone(), event.weight)).collect(),
            variants: trees.keys().copied().collect(),
            most_mb: most_mb(),
            scaled: !limited,
            notes,
        };
        choose(&bench, &mut Local::new(&ground, trees, limited, options.init_boost, progress))
    })
}

/// The tree of a build, there as long as this lives.
struct Built {
    tree: Utf8PathBuf,
    _workspace: Workspace,
}

/// What a build makes of the function, unless it is the function's fault that there is none.
fn built(
    function: &Function,
    options: &TuneOptions,
    build: &BuildOptions,
    cache: &Cache,
    progress: &dyn Progress,
    notes: &mut Vec<String>,
) -> Result<Option<Built>> {
    let workspace = Workspace::open(cache)?;
    let zip = workspace.path().join("after.zip");
    let python = options.python.as_deref();
    let made =
        with_finished(function, python, build, cache, progress, |_, finished| move_file(&finished.zip, &zip));
    match made {
        Ok(()) => {}
        Err(error) if error.class() == ErrorClass::Input => {
            notes.push(format!("there is nothing to measure after a build: {error}"));
            return Ok(None);
        }
        Err(error) => return Err(error),
    }
    let tree = workspace.path().join("after");
    unpack(&zip, &tree)?;
    Ok(Some(Built { tree, _workspace: workspace }))
}

/// Starts a tree once with all the memory that Lambda has: that fills the page cache, and a function that does not start
/// then has another fault. One whose init takes too long is started again by its first event, as on Lambda.
fn first_start(ground: &Ground, tree: &Utf8Path) -> Result<()> {
    let mut spec = ground.spec(tree, Cpu::Unlimited);
    spec.memory_mb = LARGEST_MB;
    let (mut environment, init) = ground.engine.start(&spec)?;
    let takes_long = matches!(init.outcome, InitOutcome::TimedOut { .. });
    let failed = || Err(init_failed(&init.outcome, Some((ground, tree))));
    if init.outcome != InitOutcome::Ready && !takes_long {
        return failed();
    }
    if let Some(event) = ground.events.first() {
        let first = environment.invoke(&event.payload)?;
        if takes_long && matches!(first.outcome, Outcome::TimedOut(_) | Outcome::Exited(_)) {
            return failed();
        }
    }
    environment.finish()?;
    Ok(())
}

/// The largest memory size whose share of processors there is.
fn most_mb() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u32;
    processors.saturating_mul(FULL_CPU_MB as u32).min(LARGEST_MB)
}
