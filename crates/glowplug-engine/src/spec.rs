//! What a caller asks for: which function, which interpreter, under which limits.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::Utf8PathBuf;
use glowplug_core::{Architecture, PythonVersion};

/// How much processor time an environment gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cpu {
    /// As much as the host has.
    Unlimited,
    /// The share that Lambda gives to the memory size: 1769 MB are one vCPU.
    Share {
        /// One whole vCPU until the function asks for its first event, as Lambda does, where the share is less.
        init_boost: bool,
    },
}

/// What the environment may reach over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Loopback alone; everything else fails at once as unreachable and is listed.
    Deny,
    /// Whatever the host reaches.
    Allow,
}

/// A Python file that is loaded before everything else.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentSpec {
    /// The file; it defines `install(config: dict)`. It is read on the host: the environment does not see it.
    pub source: Utf8PathBuf,
    /// The argument of `install`. Where it has a text `output`, that is the path of a file on the host, which
    /// the engine creates or empties and opens at each start of the process; the agent finds the number of the
    /// open descriptor in its place, so that `open(config["output"], "w")` works in either case. The descriptor
    /// can be opened once.
    pub config: serde_json::Value,
}

/// How a process is made ready to be forked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotSpec {
    /// An event that is served once before, as JSON text.
    pub warm_event: Option<String>,
}

/// How an environment came to be initialised, as `AWS_LAMBDA_INITIALIZATION_TYPE` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Initialization {
    /// For an event that waits.
    #[default]
    OnDemand,
    /// Ahead of events.
    ProvisionedConcurrency,
    /// From a snapshot.
    SnapStart,
}

impl Initialization {
    /// Lambda's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::ProvisionedConcurrency => "provisioned-concurrency",
            Self::SnapStart => "snap-start",
        }
    }
}

/// Which environment of which version of the function it is, as the function sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `$LATEST` or a number.
    pub version: String,
    /// Why it is there.
    pub initialization: Initialization,
    /// `AWS_LAMBDA_LOG_STREAM_NAME`; `None` gives each process a new one.
    pub log_stream: Option<String>,
}

impl Default for Identity {
    fn default() -> Self {
        Self { version: LATEST.to_owned(), initialization: Initialization::default(), log_stream: None }
    }
}

/// The version that is not published.
pub const LATEST: &str = "$LATEST";

/// A function that is a whole image: its tree is the root file system, and it brings its own runtime.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageSpec {
    /// What is executed, with its arguments: entry point and command. A name without a slash is looked for in the `PATH` of
    /// the variables.
    pub program: Vec<String>,
    /// The folder in which it starts, as the image sees it.
    pub working_dir: String,
    /// The image's own variables; those of the function stand above them.
    pub variables: BTreeMap<String, String>,
}

/// Everything that one execution environment needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvironmentSpec {
    /// The interpreter: the `python` of an empty virtual environment, so that nothing of the host is importable.
    pub python: Utf8PathBuf,
    /// The folder that holds the runtime client and what it needs, apart from the function's tree.
    pub packages: Utf8PathBuf,
    /// Whether the function brings its own `bootstrap`, in its tree or a layer, as with Lambda's runtimes `provided.…`:
    /// the interpreter and the runtime client are not used then.
    pub own_runtime: bool,
    /// Set where [`EnvironmentSpec::tree`] is an image's root file system.
    pub image: Option<ImageSpec>,
    /// What the function sees as `/var/task`, or as `/` where it is an image.
    pub tree: Utf8PathBuf,
    /// What it sees as `/opt`, later ones over earlier ones.
    pub layers: Vec<Utf8PathBuf>,
    /// `module.function`, as Lambda writes it.
    pub handler: String,
    /// The function's name, in its variables and its ARN.
    pub function_name: String,
    /// Which of its environments it is.
    pub identity: Identity,
    /// The minor version, for the paths of layers and for `AWS_EXECUTION_ENV`.
    pub python_version: PythonVersion,
    /// The machine type that the function is meant for.
    pub architecture: Architecture,
    /// The memory size: the memory limit where the host can enforce one, and the processor share.
    pub memory_mb: u32,
    /// The size of `/tmp`, in MB, where the host can enforce one ([`crate::Engine::temporary_limit`]); `None` leaves it open.
    pub temporary_mb: Option<u32>,
    /// The longest time one invoke may take.
    pub timeout: Duration,
    /// The function's own environment variables.
    pub environment: BTreeMap<String, String>,
    /// Processor time.
    pub cpu: Cpu,
    /// Network policy.
    pub network: Network,
    /// Whether it reaches the ports that [`crate::Engine::guard`] closes.
    pub service_access: bool,
    /// The log group, where it is not `/aws/lambda/` and the function's name.
    pub log_group: Option<String>,
    /// Folders and files of the host that it does not see, wherever its own lie.
    pub hidden: Vec<Utf8PathBuf>,
    /// `PYTHONHASHSEED`, for runs that must be repeatable; the function can see it.
    pub hash_seed: Option<u32>,
    /// Whether extensions in its layers are started.
    pub extensions: bool,
    /// Whether its process, once initialised, is to be forked for other environments: [`crate::Engine::start_template`].
    pub snapshot: Option<SnapshotSpec>,
    /// An agent, loaded first.
    pub agent: Option<AgentSpec>,
    /// Whether the interpreter may write bytecode; the tree is writable then.
    pub write_bytecode: bool,
}
