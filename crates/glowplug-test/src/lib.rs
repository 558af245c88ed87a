//! What the tests of several rooms need: the interpreters that work here, the runtime client for each, and the
//! documents as they are promised.
//!
//! Interpreters are looked for by name on the path and among those of pyenv. The runtime client is fetched from PyPI
//! once and kept in the cache folder (`GLOWPLUG_CACHE_DIR`, else `~/.cache/glowplug`).
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail loudly and say what they ran")]

mod contract;
mod tools;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::PythonVersion;

pub use contract::{REPORT, TRACE, TUNE, lacks};
pub use tools::{npm_package, python_with, wheel};

/// Minor versions of Python 3 that the tests run on.
const MINORS: std::ops::RangeInclusive<u8> = 9..=13;

/// An interpreter that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Its minor version.
    pub version: PythonVersion,
    /// The executable.
    pub path: Utf8PathBuf,
}

/// An interpreter's empty virtual environment, and the runtime client for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The interpreter's minor version.
    pub version: PythonVersion,
    /// The interpreter itself.
    pub interpreter: Utf8PathBuf,
    /// `python` of the virtual environment.
    pub python: Utf8PathBuf,
    /// The folder that holds `awslambdaric` and what it needs.
    pub packages: Utf8PathBuf,
}

/// Every interpreter from 3.9 to 3.13 at hand, oldest first; says which there are and which are missing.
///
/// # Panics
/// Where there is none.
pub fn interpreters() -> &'static [Interpreter] {
    static FOUND: OnceLock<Vec<Interpreter>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let found = find();
        let has = |version: &PythonVersion| found.iter().any(|interpreter| interpreter.version == *version);
        let all = || MINORS.map(|minor| PythonVersion::new(3, minor));
        let list = |versions: Vec<PythonVersion>| {
            versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let (here, missing) = all().partition(has);
        println!("ran on {}; not here: {}", list(here), list(missing));
        assert!(!found.is_empty(), "no Python from 3.9 to 3.13 works here");
        found
    })
}

/// The newest interpreter at hand.
pub fn newest() -> &'static Interpreter {
    interpreters().last().unwrap()
}

/// Every interpreter at hand with the runtime client for it, oldest first.
pub fn clients() -> Vec<Client> {
    interpreters().iter().map(client).collect()
}

/// The runtime client for one interpreter, fetched where it is not in the cache.
///
/// # Panics
/// Where it cannot be fetched.
pub fn client(interpreter: &Interpreter) -> Client {
    client_of(interpreter, "", "awslambdaric")
}

/// The same of the major version before.
///
/// # Panics
/// Where it cannot be fetched.
pub fn client_before(interpreter: &Interpreter) -> Client {
    client_of(interpreter, "-before", "awslambdaric==3.*")
}

fn client_of(interpreter: &Interpreter, kind: &str, requirement: &str) -> Client {
    let home = cache().join("test-clients");
    let name = format!("{}{kind}", interpreter.version);
    let folder = home.join(&name);
    let client = Client {
        version: interpreter.version,
        interpreter: interpreter.path.clone(),
        python: folder.join("venv/bin/python"),
        packages: folder.join("packages"),
    };
    fs::create_dir_all(&home).unwrap();
    // Test processes run side by side: one fetches, the others wait. A killed one leaves no lock.
    let lock = fs::File::create(home.join(format!("{name}.lock"))).unwrap();
    lock.file().lock().unwrap();
    if !folder.join("complete").exists() {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fetch(&client, &folder, requirement);
        fs::write(folder.join("complete"), "").unwrap();
    }
    client
}

fn fetch(client: &Client, folder: &Utf8Path, requirement: &str) {
    run(Command::new(&client.interpreter).args(["-m", "venv", "--without-pip"]).arg(folder.join("venv")));
    let has_pip = Command::new(&client.interpreter)
        .args(["-m", "pip", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    let installer = if has_pip {
        client.interpreter.clone()
    } else {
        // Debian's interpreters have no pip of their own, but their virtual environments do.
        run(Command::new(&client.interpreter).args(["-m", "venv"]).arg(folder.join("installer")));
        folder.join("installer/bin/python")
    };
    let mut pip = Command::new(installer);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
    run(pip.arg(&client.packages).arg(requirement));
}

/// Runs a command to its end and gives its output.
///
/// # Panics
/// Where it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The folder for what is fetched.
pub fn cache() -> Utf8PathBuf {
    match std::env::var("GLOWPLUG_CACHE_DIR") {
        Ok(folder) if !folder.is_empty() => Utf8PathBuf::from(folder),
        _ => Utf8PathBuf::from(std::env::var("HOME").unwrap()).join(".cache/glowplug"),
    }
}

/// Names on the path may be stubs that do not run: each candidate is asked, all at once.
fn find() -> Vec<Interpreter> {
    let mut candidates: Vec<Utf8PathBuf> =
        MINORS.map(|minor| Utf8PathBuf::from(format!("python3.{minor}"))).collect();
    candidates.push(Utf8PathBuf::from("python3"));
    let home = Utf8PathBuf::from(std::env::var("HOME").unwrap_or_default());
    if let Ok(entries) = home.join(".pyenv/versions").read_dir_utf8() {
        let threes = entries.flatten().filter(|entry| entry.file_name().starts_with("3."));
        candidates.extend(threes.map(|entry| entry.path().join("bin/python3")));
    }
    let asked: Vec<Option<Interpreter>> = std::thread::scope(|scope| {
        let threads: Vec<_> = candidates.iter().map(|candidate| scope.spawn(|| ask(candidate))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut found: BTreeMap<PythonVersion, Interpreter> = BTreeMap::new();
    for interpreter in asked.into_iter().flatten() {
        found.entry(interpreter.version).or_insert(interpreter);
    }
    found.into_values().filter(|interpreter| MINORS.contains(&interpreter.version.minor)).collect()
}

fn ask(candidate: &Utf8Path) -> Option<Interpreter> {
    let script = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)";
    let output = Command::new(candidate).args(["-c", script]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (version, path) = text.trim().split_once(' ')?;
    Some(Interpreter { version: version.parse().ok()?, path: path.into() })
}
