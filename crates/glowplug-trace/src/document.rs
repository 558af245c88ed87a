//! The document `glowplug.trace/1`. What was not measured is `null`, never 0.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use glowplug_core::{Architecture, PythonVersion, Stat};
use serde::{Deserialize, Serialize};

use crate::records::{Bytecode, CachedImport, Phase, Status};

/// Where a function's cold start goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Always [`glowplug_core::SCHEMA_TRACE`].
    pub schema: String,
    /// What was traced.
    pub function: FunctionUse,
    /// Under which conditions.
    pub environment: Environment,
    /// The phases, from starts without an agent.
    pub phases: Phases,
    /// Imports in the order in which they began, medians over the starts with the agent; at the end those of the user's
    /// own code that found their module loaded, which cost nothing.
    pub imports: Vec<Import>,
    /// Top-level statements of the user's own code; their time is part of their module's.
    pub statements: Vec<Statement>,
    /// What each distribution costs, the dearest first.
    pub distributions: Vec<DistributionUse>,
    /// Where the package's bytes are; `None` where only the function's start was looked at.
    #[serde(default)]
    pub package: Option<PackageUse>,
    /// Files opened in init and in the first invoke, in order.
    pub files: Vec<FileUse>,
    /// Where the user's own code asks for other people's: what each of its lines brings in, the dearest first.
    #[serde(default)]
    pub lines: Vec<Line>,
    /// Init by kind of work, in ms; each moment counts once.
    #[serde(default)]
    pub kinds: Kinds,
    /// Modules that were compiled because the tree has no bytecode that the interpreter accepts.
    #[serde(default)]
    pub compiled: Compiled,
    /// Init that is in no import, in ms.
    pub unexplained_ms: Option<f64>,
    /// Names looked up and connections opened by Python code, in init and in the first invoke.
    #[serde(default)]
    pub connections: Vec<ConnectionUse>,
    /// Processes that the function started.
    pub subprocesses: Vec<TraceSubprocess>,
    /// Events that hang or end the process: what they use is not known.
    #[serde(default)]
    pub cut_off: Vec<String>,
    /// Why there is not more: the phase, the error's type and its message.
    pub failure: Option<String>,
    /// What to do next, what saves most first.
    #[serde(default)]
    pub advice: Vec<Advice>,
}

/// The function's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionUse {
    /// Its name.
    pub name: String,
    /// As Lambda writes it.
    pub handler: String,
    /// The minor version.
    pub python: PythonVersion,
    /// The machine.
    pub architecture: Architecture,
    /// The memory size.
    pub memory_mb: u32,
    /// Whether `glowplug build` made it and deferred imports in it: what has not been imported may still be needed.
    #[serde(default)]
    pub built: bool,
}

/// The conditions of the measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The minor version.
    pub python: PythonVersion,
    /// The memory size, which decides the CPU share.
    pub memory_mb: u32,
    /// `unlimited` or `share`.
    pub cpu: String,
    /// Whether init had one vCPU; false where the CPU is not limited.
    pub init_boost: bool,
    /// `warm`: one start went before those that count.
    pub page_cache: String,
    /// What the agent adds to init, in ms, from neighbouring starts.
    pub agent_overhead: Option<Stat>,
    /// The same in processor time, as a part of init's: 0.03 is 3 %.
    #[serde(default)]
    pub agent_overhead_cpu: Option<Stat>,
    /// The bandwidth behind [`Phases::fetch`], in Mbit/s (1e6 bits a second).
    #[serde(default)]
    pub bandwidth_mbit: Option<f64>,
}

/// Durations in ms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// Fetching and unpacking the package: the two parts below, where both are known; else unpacking alone.
    pub provision: Option<Stat>,
    /// Fetching, modelled: the zip's bytes at the bandwidth that was asked for.
    #[serde(default)]
    pub fetch: Option<Stat>,
    /// Unpacking, measured.
    #[serde(default)]
    pub unpack: Option<Stat>,
    /// Process start until the handler's module is looked for.
    pub runtime: Option<Stat>,
    /// What [`Phases::runtime`] is made of.
    #[serde(default)]
    pub runtime_parts: RuntimeParts,
    /// From there until the first event is asked for.
    pub init: Option<Stat>,
    /// The first invoke, by event.
    pub first_invoke: BTreeMap<String, Option<Stat>>,
    /// What the first invoke is made of, by event, from starts with the agent.
    #[serde(default)]
    pub first_invoke_parts: BTreeMap<String, InvokeParts>,
    /// The second invoke with the same event, by event.
    pub warm_invoke: BTreeMap<String, Option<Stat>>,
    /// The same phases where the package's files are not in the page cache; `None` unless asked for.
    #[serde(default)]
    pub cold_cache: Option<ColdCache>,
}

/// The start of the runtime, in ms: together they are [`Phases::runtime`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RuntimeParts {
    /// The process and the interpreter, until it could run code of ours if it had no `site`.
    pub interpreter: Option<Stat>,
    /// Python's `site` module.
    pub site: Option<Stat>,
    /// The runtime client (`awslambdaric`) and what it imports.
    pub client: Option<Stat>,
}

/// The first invoke, in ms: together they are the invoke with the agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InvokeParts {
    /// Imports that waited for it, on the thread that handles the event.
    pub imports_ms: Option<f64>,
    /// Looking up names and opening connections.
    pub connect_ms: Option<f64>,
    /// The rest: the handler's own work and the runtime client's.
    pub handler_ms: Option<f64>,
}

/// The phases with a cold page cache, in ms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ColdCache {
    /// As [`Phases::runtime`].
    pub runtime: Option<Stat>,
    /// As [`Phases::init`].
    pub init: Option<Stat>,
    /// As [`Phases::first_invoke`].
    pub first_invoke: BTreeMap<String, Option<Stat>>,
}

/// One import; [`crate::ImportRecord`] describes the fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named and described as in `ImportRecord`")]
pub struct Import {
    pub module: String,
    pub parent: Option<String>,
    /// The installed distribution that the module's file is in.
    pub distribution: Option<String>,
    pub importer: String,
    pub importer_module: String,
    pub status: Status,
    pub phase: Phase,
    pub event: Option<String>,
    pub thread: String,
    pub start_ms: f64,
    pub self_ms: f64,
    pub total_ms: f64,
    pub cpu_ms: Option<f64>,
    pub find_ms: Option<f64>,
    pub read_ms: Option<f64>,
    pub compile_ms: Option<f64>,
    pub unmarshal_ms: Option<f64>,
    pub exec_ms: Option<f64>,
    pub native_ms: Option<f64>,
    pub gc_ms: Option<f64>,
    pub regex_ms: Option<f64>,
    pub io_ms: Option<f64>,
    pub memory_kib: Option<f64>,
    pub bytes_read: Option<u64>,
    pub runtime_provided: bool,
    pub bytecode: Bytecode,
    /// Events that imported it or ran functions of it.
    pub used_by: Vec<String>,
    pub file: Option<Utf8PathBuf>,
}

impl Import {
    /// An import that found its module loaded.
    pub(crate) fn cached(found: &CachedImport, event: Option<String>) -> Self {
        Self {
            module: found.module.clone(),
            parent: None,
            distribution: None,
            importer: found.importer.clone(),
            importer_module: found.importer_module.clone(),
            status: Status::Cached,
            phase: found.phase,
            event,
            thread: found.thread.clone(),
            start_ms: 0.0,
            self_ms: 0.0,
            total_ms: 0.0,
            cpu_ms: None,
            find_ms: None,
            read_ms: None,
            compile_ms: None,
            unmarshal_ms: None,
            exec_ms: None,
            native_ms: None,
            gc_ms: None,
            regex_ms: None,
            io_ms: None,
            memory_kib: None,
            bytes_read: None,
            runtime_provided: false,
            bytecode: Bytecode::None,
            used_by: Vec::new(),
            file: None,
        }
    }
}

/// One top-level statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// `file:line`, relative to the tree.
    pub place: String,
    /// Its first line.
    pub text: String,
    /// As [`crate::ImportRecord::start_ms`].
    pub start_ms: f64,
    /// Wall time without imports, in ms.
    pub self_ms: f64,
    /// Processor time without imports, in ms.
    pub cpu_ms: Option<f64>,
    /// Wall time of the imports within, in ms.
    #[serde(default)]
    pub imports_ms: Option<f64>,
    /// When.
    #[serde(default = "init")]
    pub phase: Phase,
    /// In which event, for [`Phase::FirstInvoke`].
    #[serde(default)]
    pub event: Option<String>,
}

/// The phase of documents that do not tell it.
fn init() -> Phase {
    Phase::Init
}

/// One distribution's share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DistributionUse {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Own time of its modules, in ms: in init, and in the first invoke of the event where that is most.
    pub total_ms: f64,
    /// Memory of its modules, summed up in the same way.
    pub memory_kib: Option<f64>,
    /// Bytes of its files in the tree.
    pub bytes: u64,
    /// The same by kind: see [`PackagePart::bytes_by_kind`].
    pub bytes_by_kind: BTreeMap<String, u64>,
    /// Events that imported it or ran functions of it.
    pub used_by: Vec<String>,
}

/// Where the bytes of a package are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageUse {
    /// All files.
    pub files: usize,
    /// The whole.
    pub total: PackagePart,
    /// By distribution, the largest first; the user's own files have no name.
    pub parts: Vec<PackagePart>,
}

/// A part of a package, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagePart {
    /// The distribution's name; empty for the user's own files, and for the whole.
    pub name: String,
    /// Its version.
    pub version: String,
    /// All its files.
    pub bytes: u64,
    /// The same by kind: `code`, `bytecode`, `native`, `symbols` (of native libraries, for debuggers alone), `tests`,
    /// `docs`, `data`, `metadata`, `stubs`, `headers`; kinds of which there is nothing are left out.
    pub bytes_by_kind: BTreeMap<String, u64>,
    /// Files that a traced start opened or imported.
    pub touched_bytes: u64,
    /// Modules, with their bytecode, that no import statement leads to from the handler or from what a start loaded.
    pub unreachable_bytes: u64,
}

/// A file that was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileUse {
    /// Relative to the tree where it is in it, else absolute.
    pub path: Utf8PathBuf,
    /// 0 is the first.
    pub order: usize,
    /// Its size.
    pub bytes: u64,
    /// How much of it any start touched: of libraries that are only mapped the pages, of others all. `None` in traces
    /// of before this was told.
    #[serde(default)]
    pub touched_bytes: Option<u64>,
}

/// A name that was looked up or a connection that was opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionUse {
    /// `resolve` or `connect`.
    pub kind: String,
    /// `host:port`, or a socket's path.
    pub address: String,
    /// When.
    pub phase: Phase,
    /// In which event, for [`Phase::FirstInvoke`].
    pub event: Option<String>,
    /// How long it took altogether, in ms.
    pub total_ms: f64,
}

/// A process that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceSubprocess {
    /// Python's audit event, for example `subprocess.Popen`.
    pub event: String,
    /// What was started.
    pub what: String,
    /// When.
    pub phase: Phase,
}

/// A line of the user's own code that brings in modules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// `file:line`, relative to the tree.
    pub place: String,
    /// The modules that it asks for, in order.
    pub asks_for: Vec<String>,
    /// How many modules it loads, with all that those import.
    pub modules: usize,
    /// Their time, in ms.
    pub total_ms: f64,
    /// Growth of memory, in KiB.
    pub memory_kib: Option<f64>,
    /// When.
    pub phase: Phase,
    /// In which event, for [`Phase::FirstInvoke`].
    pub event: Option<String>,
    /// Events that used a module that the line asks for, or one of its distributions.
    pub used_by: Vec<String>,
}

/// Init by kind of work, in ms. Each moment counts once: collections, patterns and waits are taken out of the kind
/// in which they happened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Kinds {
    /// Looking for modules.
    pub find: Option<f64>,
    /// Reading their files.
    pub read: Option<f64>,
    /// Compiling sources, where bytecode is missing or stale.
    pub compile: Option<f64>,
    /// Making code objects of bytecode.
    pub unmarshal: Option<f64>,
    /// Running module bodies.
    pub exec: Option<f64>,
    /// Loading and initialising native libraries.
    pub native: Option<f64>,
    /// Garbage collections.
    pub gc: Option<f64>,
    /// Compiling regular expressions.
    pub regex: Option<f64>,
    /// Waiting: disk, network, locks.
    pub io: Option<f64>,
    /// The importer's own work between these.
    pub rest: Option<f64>,
}

/// Modules without valid bytecode, the runtime's own left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Compiled {
    /// Without any.
    pub missing: usize,
    /// With bytecode that the interpreter does not accept.
    pub stale: usize,
    /// What compiling them costs every start, in ms.
    pub compile_ms: f64,
}

/// One thing to do next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    /// What it is about: a distribution, a statement's place, `bytecode`.
    pub subject: String,
    /// One sentence for people: what costs, who uses it, what to do.
    pub text: String,
    /// What it would save of a cold start, in ms; estimated from the trace.
    pub saves_ms: f64,
    /// The command that does it, where there is one.
    pub command: Option<String>,
}
