//! Bytecode made by the target's own interpreter, by a pool of worker processes, kept in the cache.
//!
//! What a worker is asked and answers is described in `worker`. A result is named by the hash of
//! everything that it depends on, so that it never has to be looked at again.

mod check;
mod settle;
mod silent;
mod worker;

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Cache, Error, Progress, PythonVersion, Result, format_hex};
use serde::Serialize;
use sha2::{Digest, Sha256};

pub use check::{BytecodeFault, verify_bytecode};
pub use silent::silent_sources;

use worker::{Answer, Worker};

/// Source of the program that compiles modules, edited or not, inside the target's interpreter.
pub const COMPILER_SOURCE: &str = concat!(
    include_str!("../../../../python/glowplug_agent/edits.py"),
    "\n\n",
    include_str!("../../../../python/glowplug_agent/annotations.py"),
    "\n\n",
    include_str!("../../../../python/glowplug_agent/compiler.py"),
);
/// Changes with what is done to a worker's result before it is kept.
const FORM: &str = "settled";
/// Length of a `.pyc` header in bytes, from Python 3.7 on (PEP 552).
const HEADER: usize = 16;
/// Flags of an unchecked-hash `.pyc` (PEP 552): hash-based, source not checked.
const UNCHECKED_HASH: u32 = 0b01;

/// Compiles sources for one interpreter.
#[derive(Debug)]
pub struct Compiler {
    python: Utf8PathBuf,
    version: PythonVersion,
    cache: Utf8PathBuf,
    workers: usize,
    /// Everything about the interpreter and the compiler that a result depends on.
    identity: String,
    /// The first four bytes of the interpreter's bytecode files.
    magic: Vec<u8>,
    /// Whether bytecode says in which columns of a line an instruction stands.
    columns: bool,
    /// Holds the compiler as a file for as long as workers may start.
    script: tempfile::NamedTempFile,
}

/// One module to compile.
#[derive(Debug, Clone, PartialEq)]
pub struct CompileJob {
    /// Absolute path of the source.
    pub source: Utf8PathBuf,
    /// The path that the code will carry, for example `/var/task/pandas/core/frame.py`.
    pub task_path: String,
    /// Edits to apply, in the form that the compiler reads; `None` compiles the source as it is.
    pub edits: Option<serde_json::Value>,
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompileResult {
    /// An unchecked-hash `.pyc` at this path in the cache.
    Done(Utf8PathBuf),
    /// No bytecode.
    Failed {
        /// Whose fault it is.
        kind: FailureKind,
        /// In the interpreter's or the compiler's words.
        message: String,
    },
}

/// Why a job gave no bytecode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The interpreter does not take the source: importing the module would fail as well.
    Syntax,
    /// The edits do not fit the source.
    Edit,
    /// The source cannot be read, the result cannot be written, or the worker died.
    Io,
}

/// Where the interpreter looks for the bytecode of a source: `pkg/__pycache__/mod.cpython-312.pyc`
/// for `pkg/mod.py` (PEP 3147).
pub fn bytecode_path(source_relative: &Utf8Path, version: PythonVersion) -> Utf8PathBuf {
    let folder = source_relative.parent().unwrap_or(Utf8Path::new(""));
    let stem = source_relative.file_stem().unwrap_or_default();
    folder.join("__pycache__").join(format!("{stem}.{}.pyc", version.cache_tag()))
}

impl Compiler {
    /// A compiler that starts at most `workers` processes of the interpreter `python`, which must
    /// be of `version`, and keeps its results in `cache`.
    ///
    /// Errors (surroundings): the interpreter does not start or is of another version.
    pub fn new(python: &Utf8Path, version: PythonVersion, cache: &Cache, workers: usize) -> Result<Self> {
        let (tag, magic, full_version) = ask_identity(python)?;
        if tag != version.cache_tag() {
            return Err(Error::surroundings(format!("the interpreter is not Python {version}"))
                .cause(format!("it says `{tag}`"))
                .place(python.as_str())
                .hint(format!("name one with `--python`, for example `--python /usr/bin/python{version}`")));
        }
        let mut file = tempfile::Builder::new().prefix("glowplug-compiler-").suffix(".py").tempfile()?;
        std::io::Write::write_all(&mut file, COMPILER_SOURCE.as_bytes())?;
        let identity =
            format!("{FORM}\n{magic}\n{full_version}\n{}", format_hex(&Sha256::digest(COMPILER_SOURCE)));
        let magic = magic.as_bytes().chunks(2).filter_map(|pair| {
            std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok())
        });
        Ok(Self {
            python: python.to_owned(),
            version,
            cache: cache.bytecode(),
            workers: workers.max(1),
            identity,
            magic: magic.collect(),
            columns: true,
            script: file,
        })
    }

    /// The same, for bytecode that knows lines but no columns; from Python 3.11 on, which first had them.
    pub fn without_columns(mut self) -> Self {
        self.columns = false;
        self.identity += "\nwithout columns";
        self
    }

    /// Compiles all jobs and gives their results in the same order. What the cache holds is not
    /// compiled again.
    ///
    /// A source that does not compile is a result, not an error. Errors: workers that cannot be
    /// started (surroundings), interruption.
    pub fn compile(&self, jobs: Vec<CompileJob>, progress: &dyn Progress) -> Result<Vec<CompileResult>> {
        fs::create_dir_all(&self.cache)?;
        progress.start("compiling", Some(jobs.len() as u64));
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let results = Mutex::new(vec![None; jobs.len()]);
        let count = self.workers.min(jobs.len());
        let outcome: Result<()> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..count)
                .map(|_| {
                    scope.spawn(|| {
                        let done = self.work(&jobs, &next, &stop, &results, progress);
                        stop.fetch_or(done.is_err(), Ordering::Relaxed);
                        done
                    })
                })
                .collect();
            // All are joined, whatever one of them says.
            let done: Vec<Result<()>> = threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err(Error::defect("a compile thread failed"))))
                .collect();
            done.into_iter().collect()
        });
        progress.finish();
        outcome?;
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results
            .into_iter()
            .map(|result| result.ok_or_else(|| Error::defect("a module was not compiled")))
            .collect()
    }

    /// One thread: takes jobs until none is left. Its worker process starts with the first job
    /// that the cache cannot answer, and anew after one that killed it.
    fn work(
        &self,
        jobs: &[CompileJob],
        next: &AtomicUsize,
        stop: &AtomicBool,
        results: &Mutex<Vec<Option<CompileResult>>>,
        progress: &dyn Progress,
    ) -> Result<()> {
        let mut worker: Option<Worker> = None;
        while !stop.load(Ordering::Relaxed) {
            if progress.interrupted() {
                return Err(Error::interrupted());
            }
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(index) else { return Ok(()) };
            let result = self.one(job, &mut worker, progress)?;
            results.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(result);
            progress.advance(1);
        }
        Ok(())
    }

    fn one(
        &self,
        job: &CompileJob,
        worker: &mut Option<Worker>,
        progress: &dyn Progress,
    ) -> Result<CompileResult> {
        let source = match fs::read(&job.source) {
            Ok(source) => source,
            Err(error) => {
                return Ok(CompileResult::Failed { kind: FailureKind::Io, message: error.to_string() });
            }
        };
        let out = self.place_of(&source, job);
        if self.is_bytecode(&out) {
            return Ok(CompileResult::Done(out));
        }
        let folder = out.parent().unwrap_or(&self.cache);
        fs::create_dir_all(folder)?;
        // The worker's result takes its place only when it is settled.
        let raw = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?.into_temp_path();
        let raw_path =
            Utf8Path::from_path(&raw).ok_or_else(|| Error::defect("a name in the cache is not UTF-8"))?;
        let running = match worker {
            Some(running) => running,
            None => worker.insert(Worker::start(&self.python, self.script.path(), self.columns)?),
        };
        let failed = |kind, message| Ok(CompileResult::Failed { kind, message });
        match running.ask(job, raw_path, progress)? {
            Answer::Done if self.is_bytecode(raw_path) => {
                let mut bytes = fs::read(raw_path)?;
                settle::settle(&mut bytes[HEADER..], self.version);
                fs::write(raw_path, bytes)?;
                fs::rename(raw_path, &out)?;
                Ok(CompileResult::Done(out))
            }
            Answer::Done => failed(FailureKind::Io, "the compiler left no bytecode".to_owned()),
            Answer::Failed { kind, message } => failed(kind, message),
            Answer::Died { message } => {
                *worker = None;
                failed(FailureKind::Io, message)
            }
        }
    }

    /// The cache's file for a job, named by all that the result depends on.
    fn place_of(&self, source: &[u8], job: &CompileJob) -> Utf8PathBuf {
        let edits = job.edits.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut hasher = Sha256::new();
        for part in [self.identity.as_bytes(), job.task_path.as_bytes(), edits.as_bytes(), source] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let name = format_hex(&hasher.finalize());
        self.cache.join(&name[..2]).join(format!("{name}.pyc"))
    }

    /// Whether `path` is an unchecked-hash bytecode file of this interpreter.
    fn is_bytecode(&self, path: &Utf8Path) -> bool {
        use std::io::Read;
        let mut header = [0; HEADER + 1];
        let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
        read.is_ok() && header[..4] == self.magic[..] && header[4..8] == UNCHECKED_HASH.to_le_bytes()
    }
}

/// An interpreter that sees nothing of the user's environment. `-E` would ignore the hash seed as
/// well, on which the order of constant sets in bytecode depends before Python 3.11.
pub(crate) fn clean_python(python: &Utf8Path) -> Command {
    let mut command = Command::new(python);
    command
        .args(["-S", "-s", "-B"])
        .env_clear()
        .env("PYTHONHASHSEED", "0")
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

/// What `script` answers inside the interpreter `python` when it is given `question` as JSON.
fn asked(python: &Utf8Path, script: &str, question: &impl Serialize) -> Result<String> {
    let question = serde_json::to_vec(question)
        .map_err(|error| Error::defect("cannot write a question to the interpreter").cause(error))?;
    let mut input = tempfile::tempfile()?;
    std::io::Write::write_all(&mut input, &question)?;
    std::io::Seek::rewind(&mut input)?;
    output_of(python, clean_python(python).args(["-c", script]).stdin(input))
}

/// Runs `command` of the interpreter `python` to its end and gives its output.
pub(crate) fn output_of(python: &Utf8Path, command: &mut Command) -> Result<String> {
    let failed = |cause: String| {
        Error::surroundings("the interpreter does not work")
            .cause(cause)
            .place(python.as_str())
            .hint("check it with `--version`; another one can be named with `--python`")
    };
    let output =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!(
            "{} ({})",
            error.lines().last().unwrap_or("it said nothing"),
            output.status
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Cache tag, magic number as hex, full version.
fn ask_identity(python: &Utf8Path) -> Result<(String, String, String)> {
    let code = "import sys, importlib.util as u; print(sys.implementation.cache_tag, u.MAGIC_NUMBER.hex(), sys.version.replace('\\n', ' '), sep='\\n')";
    let text = output_of(python, clean_python(python).args(["-c", code]))?;
    let mut lines = text.lines().map(str::to_owned);
    match (lines.next(), lines.next(), lines.next()) {
        (Some(tag), Some(magic), Some(version)) if magic.len() == 8 => Ok((tag, magic, version)),
        _ => Err(Error::surroundings("the interpreter does not say what it is").place(python.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytecode_goes_where_the_interpreter_looks() {
        let version = PythonVersion::new(3, 12);
        for (source, path) in [
            ("app.py", "__pycache__/app.cpython-312.pyc"),
            ("a/b/__init__.py", "a/b/__pycache__/__init__.cpython-312.pyc"),
            ("a/b.c.py", "a/__pycache__/b.c.cpython-312.pyc"),
        ] {
            assert_eq!(bytecode_path(Utf8Path::new(source), version), path);
        }
    }
}
