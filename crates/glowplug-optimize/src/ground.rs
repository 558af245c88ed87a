//! Where a function runs: its tree, its runtime, the engine, and a folder for scratch files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use glowplug_core::{Architecture, Cache, Libc, Progress, Result};
use glowplug_engine::{AgentSpec, Cpu, EXEC_WRAPPER, Engine, EnvironmentSpec, Identity};
use glowplug_function::{Event, Function, Runtime, Tree};
use glowplug_package::PackageTree;

use crate::workspace::Workspace;

/// A replayed handler gets at least this long, whatever its own timeout is: this machine may be busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same for a handler with an agent, which slows it down many times.
const AGENT_PATIENCE: Duration = Duration::from_mins(15);

/// How often the user's wish to stop is looked for while a function runs.
const GLANCE: Duration = Duration::from_millis(50);

/// Everything that it takes to run a function.
pub(crate) struct Ground<'a> {
    pub(crate) function: &'a Function,
    pub(crate) engine: Engine,
    pub(crate) runtime: Runtime,
    pub(crate) tree: Tree,
    pub(crate) package: PackageTree,
    /// The function's events, or one empty event where it has none.
    pub(crate) events: Vec<Event>,
    /// Trees of the function that are seen with shared layers → all layers of each, in their order.
    attached: Mutex<BTreeMap<Utf8PathBuf, Vec<Utf8PathBuf>>>,
    workspace: Workspace,
}

impl<'a> Ground<'a> {
    /// Finds the interpreter, installs and assembles.
    ///
    /// # Errors
    /// As [`glowplug_function::runtime`] and [`glowplug_function::assemble`].
    pub(crate) fn prepare(
        function: &'a Function,
        requested_python: Option<&str>,
        cache: &Cache,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let engine = Engine::new()?;
        let runtime = glowplug_function::runtime(function.python, requested_python, cache, progress)?;
        let workspace = Workspace::open(cache)?;
        let tree = glowplug_function::assemble(function, &runtime, workspace.path(), cache, progress)?;
        let package = PackageTree::scan(&tree.root)?;
        let events = events_of(function);
        Ok(Self { function, engine, runtime, tree, package, events, attached: Mutex::default(), workspace })
    }

    /// A folder for scratch files.
    pub(crate) fn work(&self) -> &Utf8Path {
        self.workspace.path()
    }

    /// The tree, and what holds it as long as it lives.
    pub(crate) fn into_tree(self) -> (Tree, Workspace) {
        (self.tree, self.workspace)
    }

    /// Whether this machine can run the function.
    pub(crate) fn runs_here(&self) -> bool {
        runs_here(self.function)
    }

    /// An environment on `tree`, for replays and measurements.
    pub(crate) fn spec(&self, tree: &Utf8Path, cpu: Cpu) -> EnvironmentSpec {
        let function = self.function;
        EnvironmentSpec {
            python: self.runtime.python.clone(),
            packages: self.runtime.packages.clone(),
            own_runtime: false,
            image: None,
            tree: tree.to_owned(),
            layers: self.layers_of(tree),
            handler: function.handler.clone(),
            function_name: function.name.clone(),
            identity: Identity::default(),
            python_version: function.python,
            architecture: function.architecture,
            memory_mb: function.memory_mb,
            temporary_mb: None,
            log_group: None,
            timeout: Duration::from_secs(u64::from(function.timeout_s)).max(PATIENCE),
            environment: self.environment(tree),
            cpu,
            network: match function.verify.network {
                glowplug_function::Network::Deny => glowplug_engine::Network::Deny,
                glowplug_function::Network::Allow => glowplug_engine::Network::Allow,
            },
            service_access: false,
            hidden: Vec::new(),
            hash_seed: Some(0),
            extensions: false,
            snapshot: None,
            agent: None,
            write_bytecode: false,
        }
    }

    /// Has `tree` be seen with these layers over the function's own.
    pub(crate) fn attach(&self, tree: &Utf8Path, shared: &[Utf8PathBuf]) {
        let all = self.tree.layers.iter().chain(shared).cloned().collect();
        self.attached.lock().unwrap_or_else(PoisonError::into_inner).insert(tree.to_owned(), all);
    }

    /// Whether `tree` is seen with shared layers.
    pub(crate) fn is_attached(&self, tree: &Utf8Path) -> bool {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner).contains_key(tree)
    }

    fn layers_of(&self, tree: &Utf8Path) -> Vec<Utf8PathBuf> {
        let attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        attached.get(tree).unwrap_or(&self.tree.layers).clone()
    }

    /// The function's variables. A wrapper that is in no folder of ours, since its layer is known by its ARN alone, would end
    /// every start: the function is looked at without it.
    fn environment(&self, tree: &Utf8Path) -> BTreeMap<String, String> {
        let mut environment = self.function.environment.clone();
        let wrapper = environment.get(EXEC_WRAPPER).map(Utf8Path::new);
        let is_there = |wrapper: &Utf8Path| {
            let layers = self.tree.layers.iter().map(|layer| ("/opt", layer.as_path()));
            let mut places = layers.chain([(glowplug_core::TASK_ROOT, tree)]);
            places.any(|(seen, real)| wrapper.strip_prefix(seen).is_ok_and(|rest| real.join(rest).exists()))
        };
        if wrapper.is_some_and(|wrapper| !is_there(wrapper)) {
            environment.remove(EXEC_WRAPPER);
        }
        environment
    }

    /// The same with room for an agent's slowness, and the agent in it if it is not added later.
    pub(crate) fn spec_for_agent(&self, tree: &Utf8Path, agent: Option<AgentSpec>) -> EnvironmentSpec {
        EnvironmentSpec { agent, timeout: AGENT_PATIENCE, ..self.spec(tree, Cpu::Unlimited) }
    }

    /// Files of the user's own, relative to the tree.
    pub(crate) fn user_files(&self) -> &BTreeSet<Utf8PathBuf> {
        &self.tree.user_files
    }

    /// Does `work`, and ends what the engine runs as soon as the user wants to stop.
    pub(crate) fn guarded<T>(&self, progress: &dyn Progress, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    if progress.interrupted() {
                        self.engine.stop();
                        return;
                    }
                    std::thread::sleep(GLANCE);
                }
            });
            let _signal = Signal(&over);
            work()
        })
    }
}

/// Ends the watching thread, however the work ends.
struct Signal<'a>(&'a AtomicBool);

impl Drop for Signal<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether this machine is of the function's type, and has its C library.
pub(crate) fn runs_here(function: &Function) -> bool {
    Architecture::host() == Some(function.architecture) && Libc::host() == function.package.libc
}

/// What a message calls the system that this machine cannot run.
pub(crate) fn target(function: &Function) -> String {
    match function.package.libc {
        Libc::Glibc => function.architecture.to_string(),
        Libc::Musl => format!("{} with musl", function.architecture),
    }
}

/// One empty event where the function has none.
fn events_of(function: &Function) -> Vec<Event> {
    if function.events.is_empty() {
        return vec![Event { name: "empty".to_owned(), path: None, payload: b"{}".to_vec(), weight: 1.0 }];
    }
    function.events.clone()
}
