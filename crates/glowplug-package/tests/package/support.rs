//! Interpreters, and trees made of texts.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::PythonVersion;
use glowplug_package::PackageTree;
use tempfile::TempDir;

/// Every interpreter at hand.
pub(crate) fn pythons() -> Vec<(PythonVersion, Utf8PathBuf)> {
    glowplug_test::interpreters().iter().map(|found| (found.version, found.path.clone())).collect()
}

/// A tree in a folder of its own.
pub(crate) struct Tree {
    _folder: TempDir,
    pub(crate) root: Utf8PathBuf,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap().canonicalize_utf8().unwrap();
        Self { _folder: folder, root }
    }

    /// A file of the user's own.
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// An installed distribution with these files.
    pub(crate) fn distribution(mut self, name: &str, files: &[(&str, &[u8])]) -> Self {
        let info = format!("{name}-1.0.dist-info");
        let mut record = String::new();
        for (path, content) in files {
            record.push_str(&format!("{path},,\n"));
            self = self.file(path, content);
        }
        self.file(&format!("{info}/METADATA"), format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"))
            .file(&format!("{info}/RECORD"), record)
    }

    pub(crate) fn scan(&self) -> PackageTree {
        PackageTree::scan(&self.root).unwrap()
    }
}

/// Runs a script and gives what it prints.
pub(crate) fn python(interpreter: &Utf8Path, script: &str, arguments: &[&str]) -> String {
    glowplug_test::run(Command::new(interpreter).args(["-S", "-c", script]).args(arguments)).trim().to_owned()
}
