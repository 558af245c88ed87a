//! A tree of small modules, edited and run on every interpreter at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{PythonVersion, SUPPORT_MODULE};
use glowplug_imports::{ModuleAnalysis, ModuleId, analyse};
use glowplug_lazy::{Candidates, FileEdits, SUPPORT_SOURCE};
use glowplug_package::COMPILER_SOURCE;

pub(crate) use glowplug_test::{Interpreter as Python, interpreters as pythons};

/// A tree of sources in a folder of its own.
#[derive(Debug)]
pub(crate) struct Tree {
    folder: tempfile::TempDir,
    files: BTreeMap<String, String>,
}

impl Tree {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files: BTreeMap<String, String> =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let tree = Self { folder, files };
        for (path, text) in &tree.files {
            let path = tree.root().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::write(tree.root().join(format!("{SUPPORT_MODULE}.py")), SUPPORT_SOURCE).unwrap();
        fs::write(tree.root().join("compiler.script"), COMPILER_SOURCE).unwrap();
        tree
    }

    pub(crate) fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.folder.path()).unwrap()
    }

    pub(crate) fn analyses(&self, python: PythonVersion) -> BTreeMap<String, ModuleAnalysis> {
        self.files
            .iter()
            .filter(|(path, _)| is_source(path))
            .filter_map(|(path, source)| {
                let is_package = path.ends_with("/__init__.py");
                let stem = path.trim_end_matches(".py").trim_end_matches("/__init__");
                let id = ModuleId { name: stem.replace('/', "."), is_package, path: path.into() };
                Some((id.name.clone(), analyse(source, &id, python).ok()?))
            })
            .collect()
    }

    /// The candidates, with `app` as the user's own module.
    pub(crate) fn candidates(&self, python: PythonVersion) -> Candidates {
        let natives = self.files.keys().filter_map(|path| path.strip_suffix(".so"));
        let natives = natives.map(|path| path.replace('/', ".")).collect();
        Candidates::find(&self.analyses(python), &BTreeSet::from(["app".to_owned()]), &natives)
    }

    /// Defers these names (`module:name`), or everything that may be deferred.
    pub(crate) fn edits(
        &self,
        python: PythonVersion,
        names: Option<&[&str]>,
    ) -> BTreeMap<Utf8PathBuf, FileEdits> {
        let candidates = self.candidates(python);
        let chosen: BTreeSet<String> = match names {
            None => candidates.ids().map(str::to_owned).collect(),
            Some(names) => names
                .iter()
                .map(|name| {
                    let (module, bound) = name.split_once(':').unwrap();
                    let candidate = candidates.named(module, bound).unwrap();
                    assert!(candidate.refusal.is_none(), "{name}: {:?}", candidate.refusal);
                    candidate.id.clone()
                })
                .collect(),
        };
        candidates.edits(&chosen, SUPPORT_MODULE)
    }

    /// Writes bytecode for every source, edited where there are edits.
    pub(crate) fn compile(&self, python: &Python, edits: &BTreeMap<Utf8PathBuf, FileEdits>) {
        let mut jobs = String::new();
        for path in self.files.keys().filter(|path| is_source(path)) {
            let source = self.root().join(path);
            let out = source.parent().unwrap().join("__pycache__").join(format!(
                "{}.{}.pyc",
                source.file_stem().unwrap(),
                python.version.cache_tag()
            ));
            fs::create_dir_all(out.parent().unwrap()).unwrap();
            let job = serde_json::json!({
                "id": 1, "source": source, "filename": source, "out": out, "edits": edits.get(Utf8Path::new(path)),
            });
            jobs += &format!("{job}\n");
        }
        let file = self.root().join("jobs");
        fs::write(&file, jobs).unwrap();
        let output = Command::new(&python.path)
            .args(["-S", "-s", "-B"])
            .arg(self.root().join("compiler.script"))
            .env("PYTHONHASHSEED", "0")
            .stdin(fs::File::open(&file).unwrap().into_file())
            .output()
            .unwrap();
        let answers = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!answers.contains("\"ok\": false"), "Python {}: {answers}", python.version);
    }

    pub(crate) fn run(&self, python: &Python, script: &str) -> Output {
        self.start(python, &["-S", "-s", "-B", "-c", script])
    }

    /// As `run`, with the packages of the interpreter's environment.
    pub(crate) fn run_with_packages(&self, python: &Python, script: &str) -> Output {
        self.start(python, &["-s", "-B", "-c", script])
    }

    fn start(&self, python: &Python, arguments: &[&str]) -> Output {
        Command::new(&python.path)
            .args(arguments)
            .current_dir(self.root())
            .env_remove("PYTHONDONTWRITEBYTECODE")
            .output()
            .unwrap()
    }

    /// What `script` prints on the tree as it is and on the edited one, on each interpreter; both must succeed.
    pub(crate) fn compare(&self, names: Option<&[&str]>, script: &str) -> Vec<(String, String)> {
        pythons()
            .iter()
            .map(|python| {
                self.compile(python, &BTreeMap::new());
                let before = printed(self.run(python, script));
                self.compile(python, &self.edits(python.version, names));
                (before, printed(self.run(python, script)))
            })
            .collect()
    }

    /// The edited tree prints the same as the original.
    pub(crate) fn same(&self, names: Option<&[&str]>, script: &str) {
        for (before, after) in self.compare(names, script) {
            assert_eq!(before, after);
        }
    }
}

/// Standard output of a run that succeeded.
pub(crate) fn printed(output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

fn is_source(path: &str) -> bool {
    Utf8Path::new(path).extension() == Some("py")
}
