//! The engine: finds out once what the host can enforce, and starts environments.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use camino::Utf8PathBuf;
use glowplug_core::{Error, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::cgroup::{Controller, Group, Hierarchies};
use crate::disks::Disks;
use crate::environment::Environment;
use crate::guard::Ports;
use crate::launch::{Isolation, Stage};
use crate::outcome::Init;
use crate::places::Places;
use crate::process::rehearse;
use crate::spec::{Cpu, EnvironmentSpec, Network};
use crate::start_code::StartCode;
use crate::view::{self, Sources};
use crate::workshop::Workshop;

/// Threads that may wait at once: more than an account may have invokes.
const THREADS: usize = 2048;

/// Threads of the engine's own tasks: half of the processors, since functions need the others.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).max(1))
}

/// What this host lets the engine enforce. Where something is missing, `notes` say why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// The function sees its tree at `/var/task`, layers at `/opt` and a `/tmp` of its own, the rest read-only.
    /// Otherwise it sees the host's files, and the paths in its messages are those of the host.
    pub mounts: bool,
    /// Processes that a function leaves behind are found for certain.
    pub process_namespace: bool,
    /// The network policy [`Network::Deny`], and in either policy that functions do not reach the engine's own ports.
    pub network_policy: bool,
    /// The memory limit.
    pub memory_limit: bool,
    /// [`Cpu::Share`].
    pub cpu_share: bool,
    /// The limit on the number of processes.
    pub process_limit: bool,
    /// Environments stand still between events.
    pub freezer: bool,
    /// One sentence for each thing that is missing.
    pub notes: Vec<String>,
}

impl Capabilities {
    /// Whether forks of one process can be kept apart here.
    ///
    /// # Errors
    /// What is missing for that.
    pub fn forks(&self) -> std::result::Result<(), &'static str> {
        let groups = self.memory_limit || self.cpu_share || self.process_limit || self.freezer;
        match (self.mounts, self.network_policy, groups) {
            (false, ..) => Err("it needs namespaces"),
            (_, false, _) => Err("it needs system call notifications"),
            (.., false) => Err("it needs control groups"),
            (true, true, true) => Ok(()),
        }
    }
}

/// Starts execution environments; may be shared between threads.
#[derive(Debug, Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

/// What all environments of an engine share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) workshop: Workshop,
    pub(crate) hierarchies: Hierarchies,
    pub(crate) isolation: Isolation,
    /// Set by [`Engine::stop`].
    pub(crate) stop: Arc<AtomicBool>,
    /// Environments that there are.
    pub(crate) environments: Arc<AtomicUsize>,
    pub(crate) capabilities: Capabilities,
    pub(crate) places: Places,
    pub(crate) disks: Disks,
    pub(crate) start_code: StartCode,
    /// Ports that functions do not reach.
    pub(crate) ports: Arc<Ports>,
    runtime: Option<tokio::runtime::Runtime>,
    handle: tokio::runtime::Handle,
}

impl Engine {
    /// Makes an engine and tries out what the kernel and this user's rights allow, which takes some milliseconds.
    pub fn new() -> Result<Self> {
        Self::with(&[
            Isolation::Namespaces { user: false },
            Isolation::Namespaces { user: true },
            Isolation::Plain,
        ])
    }

    /// An engine that uses no more rights than an ordinary user has, even if this one has more.
    pub fn unprivileged() -> Result<Self> {
        Self::with(&[Isolation::Namespaces { user: true }, Isolation::Plain])
    }

    /// An engine that uses no namespaces: what a host gets that forbids them. The function sees the host's files.
    pub fn plain() -> Result<Self> {
        Self::with(&[Isolation::Plain])
    }

    fn with(isolations: &[Isolation]) -> Result<Self> {
        let workshop = Workshop::open()?;
        let mut hierarchies = Hierarchies::find(&workshop.unique_name());
        workshop.note_groups(&hierarchies.folders())?;
        workshop.remove_stale();
        let mut capabilities = Capabilities::default();
        let isolation = probe(isolations, &workshop, &mut hierarchies, &mut capabilities)?;
        capabilities.memory_limit = hierarchies.has(Controller::Memory);
        capabilities.cpu_share = hierarchies.has(Controller::Cpu);
        capabilities.process_limit = hierarchies.has(Controller::Pids);
        capabilities.freezer = hierarchies.has(Controller::Freezer);
        for (enforced, what) in [
            (capabilities.memory_limit, "the memory limit"),
            (capabilities.cpu_share, "the processor share"),
            (capabilities.process_limit, "the limit on processes"),
        ] {
            if !enforced {
                capabilities
                    .notes
                    .push(format!("{what} is not enforced: no control group for it can be made here"));
            }
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers())
            .max_blocking_threads(THREADS)
            .thread_name("glowplug-engine")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| Error::surroundings("cannot start the engine's threads").cause(error))?;
        let handle = runtime.handle().clone();
        let runtime = Some(runtime);
        let (stop, environments, ports) = (Arc::default(), Arc::default(), Arc::default());
        Ok(Self(Arc::new(Inner {
            workshop,
            hierarchies,
            isolation,
            stop,
            environments,
            capabilities,
            places: Places::default(),
            disks: Disks::default(),
            start_code: StartCode::default(),
            ports,
            runtime,
            handle,
        })))
    }

    /// What the host lets this engine enforce.
    pub fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    /// Environments that there are, those too that are just ending.
    pub fn environments(&self) -> usize {
        self.0.environments.load(Ordering::SeqCst)
    }

    /// Lets this process have as many open files as it may: each environment needs several. Functions get Lambda's limit.
    pub fn raise_open_files() {
        let limit = getrlimit(Resource::Nofile);
        // Where that is refused, fewer environments run at once.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }

    /// Closes a port on loopback to functions, where the host lets it, but for those with
    /// [`EnvironmentSpec::service_access`].
    pub fn guard(&self, port: u16) {
        self.0.ports.service(port);
    }

    /// Where the engine's own tasks run: a server in front of it spares the way between threads.
    pub fn handle(&self) -> &tokio::runtime::Handle {
        self.0.runtime()
    }

    /// Stops for good: whoever waits for a function, or starts one from now on, gets [`Error::interrupted`] within
    /// a fraction of a second. May be called from any thread.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
        self.0.disks.finish();
    }

    /// Starts an environment and runs its init, which may take at most 10 s, as on Lambda.
    ///
    /// Whatever the function does is in [`Init::outcome`]; an error is the specification's or the host's fault: a
    /// folder that is not there, or a policy that cannot be enforced.
    pub fn start(&self, spec: &EnvironmentSpec) -> Result<(Environment, Init)> {
        self.0.go_on()?;
        let capabilities = self.capabilities();
        if spec.network == Network::Deny && !capabilities.network_policy {
            return Err(Error::surroundings("cannot keep the function away from the network on this host")
                .cause(capabilities.notes.join("; "))
                .hint("set `[verify] network = \"allow\"` if the function may reach the network while it is replayed"));
        }
        if spec.cpu != Cpu::Unlimited && !capabilities.cpu_share {
            return Err(Error::surroundings("cannot limit the processor share on this host")
                .cause(capabilities.notes.join("; "))
                .hint("use `--cpu unlimited`"));
        }
        Environment::start(&self.0, spec)
    }
}

impl Inner {
    /// An interruption, once the engine is stopped.
    pub(crate) fn go_on(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(Error::interrupted()) } else { Ok(()) }
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.isolation == Isolation::Plain
    }

    pub(crate) fn runtime(&self) -> &tokio::runtime::Handle {
        &self.handle
    }

    /// Paths below `/tmp` that are not the function's doing.
    pub(crate) fn hidden_in_tmp(&self, sources: &Sources) -> BTreeSet<Utf8PathBuf> {
        match &sources.runtime {
            Some(runtime) if !self.is_plain() => view::hidden_in_tmp(&runtime.python),
            _ => BTreeSet::new(),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waited for: an engine may be dropped where waiting is not allowed.
            runtime.shutdown_background();
        }
    }
}

/// Whether the host lets no ordinary user look into the processes that it has started (the kernel's "Yama" guide).
fn children_are_closed() -> bool {
    let scope = fs_err::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let scope: u32 = scope.trim().parse().unwrap_or(0);
    scope >= 3 || scope == 2 && !rustix::process::geteuid().is_root()
}

/// Finds the best isolation that works, by rehearsal. What turns out not to work is taken out.
fn probe(
    isolations: &[Isolation],
    workshop: &Workshop,
    hierarchies: &mut Hierarchies,
    capabilities: &mut Capabilities,
) -> Result<Isolation> {
    capabilities.network_policy = !children_are_closed();
    if !capabilities.network_policy {
        let told = "the network policy is not enforced: the host lets nobody look into processes (Yama's `ptrace_scope`)";
        capabilities.notes.push(told.to_owned());
    }
    let mut reasons = Vec::new();
    for &isolation in isolations {
        loop {
            let Err(failure) = attempt(workshop, hierarchies, isolation, capabilities.network_policy)? else {
                let namespaces = isolation != Isolation::Plain;
                capabilities.mounts = namespaces;
                capabilities.process_namespace = namespaces;
                if !namespaces {
                    reasons.insert(0, "the function sees the host's files".to_owned());
                    capabilities.notes.push(reasons.join("; "));
                }
                return Ok(isolation);
            };
            match failure.stage {
                Some(Stage::Filter) | None if capabilities.network_policy => {
                    capabilities.network_policy = false;
                    capabilities.notes.push(format!("the network policy is not enforced: {}", failure.what));
                }
                Some(Stage::Cgroup) => *hierarchies = Hierarchies::default(),
                _ => {
                    reasons.push(failure.what);
                    break;
                }
            }
        }
    }
    Err(Error::surroundings("cannot start processes on this host").cause(reasons.join("; ")))
}

fn attempt(
    workshop: &Workshop,
    hierarchies: &Hierarchies,
    isolation: Isolation,
    filter: bool,
) -> Result<Result<(), crate::launch::Failure>> {
    let room = workshop.room()?;
    let group: Group = hierarchies.make(&room.name)?;
    group.limit_memory(128)?;
    let entrances = group.entrances()?;
    let (steps, root) = match isolation {
        Isolation::Plain => (Vec::new(), None),
        Isolation::Namespaces { .. } => {
            let sources = Sources::trial(workshop, &room)?;
            let view = view::own(&sources, &room.root())?;
            (view.steps, view.root)
        }
    };
    Ok(rehearse(isolation, steps, root, entrances, filter))
}

impl Sources {
    /// Folders of ours in the places of a function's.
    pub(crate) fn trial(workshop: &Workshop, room: &crate::workshop::Room) -> Result<Self> {
        let empty = workshop.empty_home();
        Ok(Self {
            tree: empty.clone(),
            opt: workshop.layers(&[])?,
            temporary: room.temporary(),
            disk: room.disk().cloned(),
            home: empty,
            runtime: None,
            tree_writable: false,
            hosts: None,
            forks: None,
            hidden: Vec::new(),
        })
    }
}
