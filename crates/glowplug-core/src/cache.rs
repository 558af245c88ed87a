//! Where things that can be made again are kept between runs.

use camino::{Utf8Path, Utf8PathBuf};

/// The cache folder and the names of the rooms in it. Creating the folders is the writer's task.
#[derive(Debug, Clone)]
pub struct Cache {
    root: Utf8PathBuf,
    offline: bool,
}

impl Cache {
    /// A cache at `root`; with `offline`, nobody may fetch what is missing from it.
    pub fn new(root: impl Into<Utf8PathBuf>, offline: bool) -> Self {
        Self { root: root.into(), offline }
    }

    /// The folder itself.
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// Whether fetching is forbidden (`--offline`).
    pub fn offline(&self) -> bool {
        self.offline
    }

    /// Tools fetched by name: uv, one folder a version.
    pub fn tools(&self) -> Utf8PathBuf {
        self.root.join("tools")
    }

    /// Runtime clients and empty virtual environments, one folder an interpreter.
    pub fn runtimes(&self) -> Utf8PathBuf {
        self.root.join("runtimes")
    }

    /// Dependency trees, one folder a set of requirements and target.
    pub fn trees(&self) -> Utf8PathBuf {
        self.root.join("trees")
    }

    /// Bytecode files by the hash of source, path, edits and interpreter.
    pub fn bytecode(&self) -> Utf8PathBuf {
        self.root.join("bytecode")
    }

    /// Images that others are made on, one OCI layout a reference.
    pub fn images(&self) -> Utf8PathBuf {
        self.root.join("images")
    }

    /// Results of static analysis by content hash.
    pub fn analysis(&self) -> Utf8PathBuf {
        self.root.join("analysis")
    }
}
