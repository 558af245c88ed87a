//! Interpreters, the runtime client, and functions made from source texts.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, PythonVersion};
use glowplug_engine::{Cpu, Engine, EnvironmentSpec, Network};
use tempfile::TempDir;

/// An interpreter, an empty virtual environment of it, and the runtime client for it.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    pub(crate) version: PythonVersion,
    pub(crate) interpreter: Utf8PathBuf,
    venv: Utf8PathBuf,
    packages: Utf8PathBuf,
}

pub(crate) fn engine() -> &'static Engine {
    static SHARED: OnceLock<Engine> = OnceLock::new();
    SHARED.get_or_init(|| Engine::new().unwrap())
}

/// All interpreters from 3.9 to 3.13 that work here; says which are missing.
pub(crate) fn all_pythons() -> Vec<Python> {
    let all: Vec<Python> = (9..=13).filter_map(|minor| python(PythonVersion::new(3, minor))).collect();
    let versions: Vec<String> = all.iter().map(|python| python.version.to_string()).collect();
    println!("interpreters: {} of 3.9 to 3.13", versions.join(", "));
    assert!(!all.is_empty(), "no Python from 3.9 to 3.13 works here");
    all
}

/// The newest one that works here.
pub(crate) fn any_python() -> Python {
    all_pythons().pop().unwrap()
}

fn python(version: PythonVersion) -> Option<Python> {
    static MADE: Mutex<BTreeMap<PythonVersion, Option<Python>>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(version).or_insert_with(|| make(version)).clone()
}

fn make(version: PythonVersion) -> Option<Python> {
    let interpreter = find(version)?;
    let folder = cache().join(format!("trace-tests/{version}"));
    let python = Python {
        version,
        venv: folder.join("venv/bin/python"),
        packages: folder.join("packages"),
        interpreter: interpreter.clone(),
    };
    if !folder.join("complete").exists() {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        run(Command::new(&interpreter).args(["-m", "venv", "--without-pip"]).arg(folder.join("venv")));
        let mut pip = Command::new(&interpreter);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
        run(pip.arg(&python.packages).arg("awslambdaric"));
        fs::write(folder.join("complete"), "").unwrap();
    }
    Some(python)
}

pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn cache() -> Utf8PathBuf {
    match std::env::var("GLOWPLUG_CACHE_DIR") {
        Ok(folder) => Utf8PathBuf::from(folder),
        Err(_) => Utf8PathBuf::from(std::env::var("HOME").unwrap()).join(".cache/glowplug"),
    }
}

/// An interpreter that really runs: names on the path may be stubs that do not.
fn find(version: PythonVersion) -> Option<Utf8PathBuf> {
    let mut candidates = vec![Utf8PathBuf::from(format!("python{version}"))];
    let home = Utf8PathBuf::from(std::env::var("HOME").unwrap_or_default());
    if let Ok(entries) = home.join(".pyenv/versions").read_dir_utf8() {
        candidates.extend(entries.flatten().map(|entry| entry.path().join("bin/python3")));
    }
    candidates.into_iter().find_map(|candidate| {
        let script = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)";
        let output = Command::new(&candidate).args(["-c", script]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let (found, path) = text.trim().split_once(' ')?;
        (found == version.to_string()).then(|| Utf8PathBuf::from(path))
    })
}

/// A folder of files, and how to start it as a function.
pub(crate) struct Function {
    _folder: TempDir,
    pub(crate) spec: EnvironmentSpec,
}

impl Function {
    /// The handler is `app.handler`.
    pub(crate) fn new(python: &Python, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tree = Utf8Path::from_path(folder.path()).unwrap().canonicalize_utf8().unwrap();
        write(&tree, files);
        let spec = EnvironmentSpec {
            python: python.venv.clone(),
            packages: python.packages.clone(),
            tree,
            layers: Vec::new(),
            handler: "app.handler".to_owned(),
            function_name: "tested".to_owned(),
            python_version: python.version,
            architecture: Architecture::host().unwrap(),
            memory_mb: 512,
            timeout: Duration::from_secs(30),
            environment: BTreeMap::new(),
            cpu: Cpu::Unlimited,
            network: Network::Deny,
            hash_seed: None,
            agent: None,
            write_bytecode: false,
        };
        Self { _folder: folder, spec }
    }
}

pub(crate) fn write(folder: &Utf8Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

pub(crate) fn paths(names: &[&str]) -> BTreeSet<Utf8PathBuf> {
    names.iter().map(Utf8PathBuf::from).collect()
}
