//! A function in a folder of its own, the program run on it, and what is left afterwards.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use regex::Regex;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The minor version that `python3` is.
pub(crate) static PYTHON: LazyLock<String> = LazyLock::new(|| {
    let code = "import sys; print('%d.%d' % sys.version_info[:2])";
    let output = Command::new("python3").args(["-c", code]).output().expect("the tests need a `python3`");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
});

/// What the program said and how it ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Standard output as the one JSON document that it has to be.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self:?}"))
    }

    /// Standard error without progress lines, and with what differs from run to run masked.
    pub(crate) fn errors(&self, project: &Project) -> String {
        static PROGRESS: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"(?m)^[A-Z][^\n]*( \.\.\.|: \d+\.\d s)\n").unwrap());
        let text =
            self.stderr.replace(project.root.as_str(), "[ROOT]").replace(project.python.as_str(), "[PYTHON]");
        PROGRESS.replace_all(&text, "").into_owned()
    }
}

/// A folder with a function in `function/`, and an output folder of an earlier build in `out/`.
pub(crate) struct Project {
    _guard: TempDir,
    pub(crate) root: Utf8PathBuf,
    pub(crate) python: String,
    token: String,
}

impl Project {
    /// A function with this handler module, and nothing else.
    pub(crate) fn new(app: &str) -> Self {
        let project = Self::empty();
        project.write("function/app.py", app);
        project.configure("");
        project
    }

    /// No function at all.
    pub(crate) fn empty() -> Self {
        let guard = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(guard.path().canonicalize().unwrap()).unwrap();
        let token = root.file_name().unwrap().to_owned();
        let project = Self { _guard: guard, root, python: PYTHON.clone(), token };
        project.write("out/.glowplug-output", "made by glowplug: safe to delete\n");
        project.write("out/earlier.txt", "from an earlier build");
        project
    }

    /// A copy of one of the shipped examples.
    pub(crate) fn example(name: &str) -> Self {
        let project = Self::empty();
        let from = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
        for entry in walkdir::WalkDir::new(&from) {
            let entry = entry.unwrap();
            let path = Utf8Path::from_path(entry.path()).unwrap();
            let target = project.root.join("function").join(path.strip_prefix(&from).unwrap());
            if entry.file_type().is_dir() {
                fs::create_dir_all(target).unwrap();
            } else {
                fs::copy(path, target).unwrap();
            }
        }
        project
    }

    /// Writes `glowplug.toml`, with `more` after what every test needs. The function's processes carry a token
    /// by which they are found.
    pub(crate) fn configure(&self, more: &str) {
        let head = format!("name = \"demo\"\nhandler = \"app.handler\"\npython = \"{}\"\n", self.python);
        let (top, tables): (Vec<&str>, Vec<&str>) = {
            let at = more.find('[').unwrap_or(more.len());
            (vec![&more[..at]], vec![&more[at..]])
        };
        let text = format!(
            "{head}{}\n[environment]\nGLOWPLUG_TEST_TOKEN = \"{}\"\n{}\n",
            top.concat(),
            self.token,
            tables.concat()
        );
        self.write("function/glowplug.toml", &text);
    }

    /// Writes a file below the root.
    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The bytes of a file below the root.
    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.root.join(path)).unwrap()
    }

    /// Adds an event and its table in the configuration's form.
    pub(crate) fn event(&self, name: &str, payload: &str) -> String {
        self.write(&format!("function/events/{name}.json"), payload);
        format!("[[event]]\npath = \"events/{name}.json\"\n")
    }

    /// The program with these arguments, in the root, with a cache that all tests share.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("glowplug"));
        command.args(arguments).current_dir(&self.root).env("NO_COLOR", "1").env_remove("RUST_BACKTRACE");
        command
    }

    /// Runs it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        let output = self.command(arguments).stdin(Stdio::null()).output().unwrap();
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Builds `function/` into `out/` with few runs.
    pub(crate) fn build(&self, more: &[&str]) -> Outcome {
        self.run(&Self::arguments(more))
    }

    fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
        let runs: &[&str] = if more.contains(&"--runs") { &[] } else { &["--runs", "2"] };
        [&["build", "function", "--out", "out"], runs, more].concat()
    }

    /// A build's report.
    pub(crate) fn report(&self, more: &[&str]) -> Value {
        self.build(&[&["--format", "json"], more].concat()).json()
    }

    /// Builds, expects the exit code, and that nothing else has changed and nothing is left running. Gives what
    /// the user reads.
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let before = self.files();
        let outcome = self.run(arguments);
        assert_eq!(outcome.code, Some(code), "{outcome:?}");
        assert_eq!(outcome.stdout, "", "data although it failed");
        assert_eq!(self.files(), before, "a failing command has changed files");
        assert_eq!(self.running(), Vec::<i32>::new(), "processes are left");
        outcome.errors(self)
    }

    /// [`Self::fails`] for a build of `function/`.
    pub(crate) fn build_fails(&self, code: i32, more: &[&str]) -> String {
        self.fails(code, &Self::arguments(more))
    }

    /// Every path below the root and what it holds.
    pub(crate) fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for entry in walkdir::WalkDir::new(&self.root).min_depth(1) {
            let entry = entry.unwrap();
            let path = entry.path().strip_prefix(&self.root).unwrap().to_str().unwrap().to_owned();
            let holds = if entry.file_type().is_file() {
                digest(&fs::read(entry.path()).unwrap())
            } else {
                format!("{:?}", entry.file_type())
            };
            files.insert(path, holds);
        }
        files
    }

    /// Process ids of the function that are still there.
    pub(crate) fn running(&self) -> Vec<i32> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            if String::from_utf8_lossy(&environment).contains(&format!("GLOWPLUG_TEST_TOKEN={}", self.token))
            {
                found.push(pid);
            }
        }
        found
    }

    /// Starts the program and waits until the function runs.
    pub(crate) fn start_until_running(&self, arguments: &[&str]) -> Child {
        let child = self
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        while self.running().is_empty() {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("it ended before the function ran: {status}: {:?}", child.wait_with_output());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        child
    }

    /// A file of the output folder.
    pub(crate) fn made(&self, name: &str) -> Vec<u8> {
        fs::read(self.root.join("out").join(name)).unwrap()
    }
}

/// SHA-256 as hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Sends a signal.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// A handler that answers every event with the same.
pub(crate) const PLAIN: &str = "def handler(event, context):\n    return {\"answer\": 42}\n";

/// A disk of a given size in the project's folder `small`; gone when this is dropped.
pub(crate) struct SmallDisk(pub(crate) Utf8PathBuf);

impl SmallDisk {
    /// Nothing where it cannot be mounted, which is said.
    pub(crate) fn mount(project: &Project, size: &str) -> Option<Self> {
        let at = project.root.join("small");
        fs_err::create_dir_all(&at).unwrap();
        let size = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs", at.as_str()]).status();
        if !mounted.is_ok_and(|status| status.success()) {
            println!("skipped: only root can mount a small disk");
            return None;
        }
        Some(Self(at))
    }

    /// The names of what lies on it.
    pub(crate) fn holds(&self) -> Vec<String> {
        let entries = fs_err::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", self.0.as_str()]).status();
    }
}
