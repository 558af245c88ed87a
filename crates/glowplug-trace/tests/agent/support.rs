//! Interpreters, the runtime client, and functions made from source texts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::Architecture;
use glowplug_engine::{Cpu, Engine, EnvironmentSpec, Identity, Network};
use glowplug_test::Client;
use tempfile::TempDir;

pub(crate) fn engine() -> &'static Engine {
    static SHARED: OnceLock<Engine> = OnceLock::new();
    SHARED.get_or_init(|| Engine::new().unwrap())
}

/// The newest interpreter that works here.
pub(crate) fn any_python() -> Client {
    glowplug_test::client(glowplug_test::newest())
}

/// A folder of files, and how to start it as a function.
pub(crate) struct Function {
    _folder: TempDir,
    pub(crate) spec: EnvironmentSpec,
}

impl Function {
    /// The handler is `app.handler`.
    pub(crate) fn new(python: &Client, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tree = Utf8Path::from_path(folder.path()).unwrap().canonicalize_utf8().unwrap();
        write(&tree, files);
        let spec = EnvironmentSpec {
            python: python.python.clone(),
            packages: python.packages.clone(),
            own_runtime: false,
            image: None,
            tree,
            layers: Vec::new(),
            handler: "app.handler".to_owned(),
            function_name: "tested".to_owned(),
            identity: Identity::default(),
            python_version: python.version,
            architecture: Architecture::host().unwrap(),
            memory_mb: 512,
            temporary_mb: None,
            log_group: None,
            timeout: Duration::from_secs(30),
            environment: BTreeMap::new(),
            cpu: Cpu::Unlimited,
            network: Network::Deny,
            service_access: false,
            hidden: Vec::new(),
            hash_seed: None,
            extensions: false,
            snapshot: None,
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
