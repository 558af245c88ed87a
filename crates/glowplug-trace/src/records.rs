//! What happened in one process, in milliseconds and in paths of the tree.

use camino::Utf8PathBuf;
use glowplug_core::Extents;
use serde::{Deserialize, Serialize};

/// Which part of the environment's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Until the runtime client asks for its first event.
    Init,
    /// While it handles that event.
    FirstInvoke,
}

impl Phase {
    pub(crate) fn of(number: i64) -> Self {
        if number == 0 { Self::Init } else { Self::FirstInvoke }
    }
}

/// How an import ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The module was loaded.
    Ok,
    /// It was not found, or its body raised.
    Failed,
    /// It was there already.
    Cached,
}

/// What the interpreter found beside a module's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bytecode {
    /// Bytecode that it used.
    Valid,
    /// Bytecode that it did not accept: the source was compiled.
    Stale,
    /// None: the source was compiled.
    Missing,
    /// The module needs none: native, built in, frozen, or a namespace.
    None,
}

/// One import that did more than find the module loaded. What was not measured is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportRecord {
    /// The module's full name.
    pub module: String,
    /// The module whose import was running on the same thread; a package that is imported for its
    /// submodule has the submodule's parent.
    pub parent: Option<String>,
    /// `file:line` of the import statement or call, relative to the tree where it is in it; empty where
    /// no Python code asked.
    pub importer: String,
    /// Name of the module that this place is in.
    pub importer_module: String,
    /// How it ended.
    pub status: Status,
    /// When.
    pub phase: Phase,
    /// In which event, for [`Phase::FirstInvoke`].
    pub event: Option<String>,
    /// The thread's name.
    pub thread: String,
    /// From the start of the process, in ms; in an invoke as if the event had been there at once.
    pub start_ms: f64,
    /// Wall time without the imports within, in ms. Statements of the body are part of it.
    pub self_ms: f64,
    /// Wall time with them, in ms.
    pub total_ms: f64,
    /// Processor time of the thread without the imports within, in ms; in a memory pass.
    pub cpu_ms: Option<f64>,
    /// Looking for it, in ms.
    pub find_ms: Option<f64>,
    /// Stat and read of its files, in ms.
    pub read_ms: Option<f64>,
    /// Compiling its source, in ms; for missing or stale bytecode.
    pub compile_ms: Option<f64>,
    /// Making code objects of its bytecode, in ms.
    pub unmarshal_ms: Option<f64>,
    /// Running its body without the imports within, in ms.
    pub exec_ms: Option<f64>,
    /// Loading and initialising its native library, in ms.
    pub native_ms: Option<f64>,
    /// Garbage collections in the meantime, in ms; part of the other times.
    pub gc_ms: Option<f64>,
    /// Compiling regular expressions, in ms; part of the other times.
    pub regex_ms: Option<f64>,
    /// Waiting for disk, network or locks without the imports within, in ms: neither running nor ready to run. Part
    /// of the other times; in a memory pass.
    pub io_ms: Option<f64>,
    /// Growth of resident memory without the imports within, in KiB; in a memory pass.
    pub memory_kib: Option<i64>,
    /// Bytes of source and bytecode read.
    pub bytes_read: Option<u64>,
    /// What it found beside the source.
    pub bytecode: Bytecode,
    /// Loaded by the runtime before the handler's module, or for its own needs: user code gets it free.
    pub runtime_provided: bool,
    /// Its file, relative to the tree where it is in it, else absolute.
    pub file: Option<Utf8PathBuf>,
}

impl ImportRecord {
    /// Whether the module was there afterwards.
    pub fn loaded(&self) -> bool {
        self.status != Status::Failed
    }
}

/// An import of a module that was loaded already, each place once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedImport {
    /// The module's full name.
    pub module: String,
    /// `file:line`, relative to the tree where it is in it.
    pub importer: String,
    /// Name of the module that this place is in.
    pub importer_module: String,
    /// When.
    pub phase: Phase,
    /// The thread's name.
    pub thread: String,
}

/// One top-level statement of the user's own code.
#[derive(Debug, Clone, PartialEq)]
pub struct StatementRecord {
    /// Relative to the tree.
    pub file: Utf8PathBuf,
    /// First line.
    pub line: u32,
    /// Last line.
    pub end_line: u32,
    /// The first line as it is in the file, trimmed.
    pub text: String,
    /// The module it is in.
    pub module: String,
    /// When.
    pub phase: Phase,
    /// In which event, for [`Phase::FirstInvoke`].
    pub event: Option<String>,
    /// As [`ImportRecord::start_ms`].
    pub start_ms: f64,
    /// Wall time without imports, in ms.
    pub self_ms: f64,
    /// Processor time of the thread without imports, in ms; in a memory pass.
    pub cpu_ms: Option<f64>,
    /// Wall time of the imports within, in ms.
    pub imports_ms: f64,
}

/// A deferred import that was needed.
#[derive(Debug, Clone, PartialEq)]
pub struct LazyLoad {
    /// As the support module reports it: the module that the name is in.
    pub module: String,
    /// The name.
    pub name: String,
    /// When.
    pub phase: Phase,
    /// In which event, for [`Phase::FirstInvoke`].
    pub event: Option<String>,
    /// The file of the first use, relative to the tree where it is in it.
    pub file: String,
    /// Its line.
    pub line: u32,
}

/// A file that was opened or, as a native library, mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// Relative to the tree where it is in it, else absolute.
    pub path: Utf8PathBuf,
    /// 0 is the first.
    pub order: usize,
    /// Its size.
    pub bytes: u64,
    /// Which parts of a file that was only ever mapped were touched, by pages; `None` where all of it counts: it was
    /// read, the pages cannot be seen, or a process was started that may have touched others.
    pub parts: Option<Extents>,
    /// When it was first opened.
    pub phase: Phase,
}

/// A name looked up or a connection opened by Python code.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// `resolve` or `connect`.
    pub kind: String,
    /// `host:port`, or a socket's path.
    pub address: String,
    /// When.
    pub phase: Phase,
    /// In which event, for [`Phase::FirstInvoke`].
    pub event: Option<String>,
    /// As [`ImportRecord::start_ms`].
    pub start_ms: f64,
    /// How long it took, failed ones included, in ms.
    pub duration_ms: f64,
    /// Whether the thread that handles events waited for it.
    pub main: bool,
}

/// A process that the function started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subprocess {
    /// Python's audit event, for example `subprocess.Popen`.
    pub event: String,
    /// What was started.
    pub what: String,
    /// When.
    pub phase: Phase,
}
