//! Folders made for one test, the shipped examples, and the cache that all tests share.

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Cache, Error, NoProgress, Result};
use glowplug_function::{Function, LoadOptions, Runtime, Tree};
use tempfile::TempDir;

/// A folder that is gone after the test.
pub(crate) struct Project {
    _keep: TempDir,
    pub(crate) root: Utf8PathBuf,
}

impl Project {
    /// A folder `project` with these files.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let keep = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(keep.path()).unwrap().canonicalize_utf8().unwrap().join("project");
        fs::create_dir(&root).unwrap();
        let project = Self { _keep: keep, root };
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    /// `app.py` with a handler, and these files.
    pub(crate) fn with_app(files: &[(&str, &str)]) -> Self {
        let project = Self::new(&[("app.py", "def handler(event, context):\n    return event\n")]);
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        self.write_bytes(path, text.as_bytes());
    }

    pub(crate) fn write_bytes(&self, path: &str, bytes: &[u8]) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn load(&self) -> Result<Function> {
        self.load_with(&LoadOptions::default())
    }

    pub(crate) fn load_with(&self, options: &LoadOptions) -> Result<Function> {
        glowplug_function::load(&self.root, options)
    }

    /// The error of loading it, its place relative to the folder.
    pub(crate) fn refused(&self) -> (String, String) {
        described(&self.load().unwrap_err(), &self.root)
    }

    /// A folder beside the project for [`assemble`].
    pub(crate) fn work(&self) -> Utf8PathBuf {
        self.root.with_file_name("work")
    }
}

/// Message and place of an error, the place relative to `root`.
pub(crate) fn described(error: &Error, root: &Utf8Path) -> (String, String) {
    let place = error.where_().unwrap_or_default();
    let relative = place.strip_prefix(&format!("{root}/")).unwrap_or(place);
    (error.message().to_owned(), relative.to_owned())
}

/// A shipped example.
pub(crate) fn example(name: &str) -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name).canonicalize_utf8().unwrap()
}

/// The user's cache, so that what is fetched is fetched once.
pub(crate) fn cache() -> Cache {
    let folder = match std::env::var("GLOWPLUG_CACHE_DIR") {
        Ok(folder) => Utf8PathBuf::from(folder),
        Err(_) => Utf8PathBuf::from(std::env::var("HOME").unwrap()).join(".cache/glowplug"),
    };
    Cache::new(folder, false)
}

pub(crate) fn runtime(function: &Function) -> Runtime {
    glowplug_function::runtime(function.python, None, &cache(), &NoProgress).unwrap()
}

pub(crate) fn assemble(function: &Function, work: &Utf8Path) -> Result<Tree> {
    glowplug_function::assemble(function, &runtime(function), work, &cache(), &NoProgress)
}
