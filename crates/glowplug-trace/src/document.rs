//! The document `glowplug.trace/1`. What was not measured is `null`, never 0.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use glowplug_core::{Architecture, PythonVersion, Stat};
use serde::Serialize;

use crate::records::{Bytecode, Phase, Status};

/// Where a function's cold start goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trace {
    /// Always [`glowplug_core::SCHEMA_TRACE`].
    pub schema: String,
    /// What was traced.
    pub function: FunctionUse,
    /// Under which conditions.
    pub environment: Environment,
    /// The phases, from starts without an agent.
    pub phases: Phases,
    /// Imports in the order in which they began, medians over the starts with the agent.
    pub imports: Vec<Import>,
    /// Top-level statements of the user's own code; their time is part of their module's.
    pub statements: Vec<Statement>,
    /// What each distribution costs, the dearest first.
    pub distributions: Vec<DistributionUse>,
    /// Files opened in init and in the first invoke, in order.
    pub files: Vec<FileUse>,
    /// Init that is in no import, in ms.
    pub unexplained_ms: Option<f64>,
    /// Processes that the function started.
    pub subprocesses: Vec<TraceSubprocess>,
    /// Why there is not more: the phase, the error's type and its message.
    pub failure: Option<String>,
}

/// The function's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
}

/// The conditions of the measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
}

/// Durations in ms.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Phases {
    /// Unpacking, as the caller measured it.
    pub provision: Option<Stat>,
    /// Process start until the handler's module is looked for.
    pub runtime: Option<Stat>,
    /// From there until the first event is asked for.
    pub init: Option<Stat>,
    /// The first invoke, by event.
    pub first_invoke: BTreeMap<String, Option<Stat>>,
    /// The second invoke with the same event, by event.
    pub warm_invoke: BTreeMap<String, Option<Stat>>,
}

/// One import; [`crate::ImportRecord`] describes the fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    pub cpu_ms: f64,
    pub find_ms: Option<f64>,
    pub read_ms: Option<f64>,
    pub compile_ms: Option<f64>,
    pub unmarshal_ms: Option<f64>,
    pub exec_ms: Option<f64>,
    pub native_ms: Option<f64>,
    pub gc_ms: Option<f64>,
    /// Not measured yet.
    pub regex_ms: Option<f64>,
    /// Not measured yet.
    pub io_ms: Option<f64>,
    pub memory_kib: Option<f64>,
    pub bytes_read: Option<u64>,
    pub runtime_provided: bool,
    pub bytecode: Bytecode,
    /// Events that imported it or ran functions of it.
    pub used_by: Vec<String>,
    pub file: Option<Utf8PathBuf>,
}

/// One top-level statement.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    pub cpu_ms: f64,
}

/// One distribution's share.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    /// The same by kind: `python`, `bytecode`, `native`, `metadata`, `data`.
    pub bytes_by_kind: BTreeMap<String, u64>,
    /// Events that imported it or ran functions of it.
    pub used_by: Vec<String>,
}

/// A file that was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileUse {
    /// Relative to the tree where it is in it, else absolute.
    pub path: Utf8PathBuf,
    /// 0 is the first.
    pub order: usize,
    /// Its size.
    pub bytes: u64,
}

/// A process that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TraceSubprocess {
    /// Python's audit event, for example `subprocess.Popen`.
    pub event: String,
    /// What was started.
    pub what: String,
    /// When.
    pub phase: Phase,
}
