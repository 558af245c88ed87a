//! A service with an address, and Python programs that are its clients.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::PythonVersion;
use glowplug_engine::{Cpu, Engine, Network, SnapshotSpec};
use glowplug_lambda::{
    ACCOUNT_CONCURRENCY, Credentials, LocalFunction, Options, RuntimeFolder, Server, Service,
};
use glowplug_test::Client;
use tempfile::TempDir;

/// Lines of the functions' logs that a failure shows.
const SHOWN: usize = 20;

/// A running service.
pub(crate) struct Running {
    service: Service,
    /// Gone before the service is stopped, which waits for who holds it.
    server: Option<Server>,
    pub(crate) address: SocketAddr,
    /// What functions have logged.
    pub(crate) logged: Arc<Mutex<Vec<u8>>>,
}

/// The newest interpreter at or below 3.12 with the runtime client for it.
pub(crate) fn python() -> Client {
    let interpreters = glowplug_test::interpreters();
    let fits = interpreters.iter().rev().find(|found| found.version <= PythonVersion::new(3, 12));
    glowplug_test::client(fits.unwrap_or(glowplug_test::newest()))
}

impl Running {
    /// One that keeps its state in a folder, or nowhere.
    pub(crate) fn start(state: Option<&Utf8Path>) -> Self {
        Self::with(state, ACCOUNT_CONCURRENCY)
    }

    /// The same with this many invokes at once.
    pub(crate) fn with(state: Option<&Utf8Path>, concurrency: u32) -> Self {
        Self::made(state, concurrency, None)
    }

    /// One whose environments are forks.
    pub(crate) fn from_snapshots() -> Self {
        Self::made(None, ACCOUNT_CONCURRENCY, Some(SnapshotSpec::default()))
    }

    fn made(state: Option<&Utf8Path>, concurrency: u32, snapshot: Option<SnapshotSpec>) -> Self {
        let logged: Arc<Mutex<Vec<u8>>> = Arc::default();
        let log = Arc::clone(&logged);
        let options = Options {
            state: state.map(Utf8Path::to_owned),
            idle: Duration::from_mins(10),
            concurrency,
            cpu: Cpu::Unlimited,
            network: Network::Allow,
            private: Vec::new(),
            snapshot,
            told_version: None,
            credentials: Some(Credentials {
                key_id: "AKIDUSER".to_owned(),
                secret: "secret".to_owned(),
                token: None,
            }),
            prices: glowplug_capacity::Prices::built_in().unwrap(),
            priced_region: "us-east-1".to_owned(),
        };
        let service = Service::open(
            Engine::new().unwrap(),
            options,
            Box::new(|version| {
                let known = glowplug_test::interpreters();
                let found =
                    known.iter().find(|found| found.version == version).unwrap_or(glowplug_test::newest());
                let Client { python, packages, .. } = glowplug_test::client(found);
                Ok(RuntimeFolder { python, packages })
            }),
            Box::new(move |_, _, text| log.lock().unwrap().extend_from_slice(text)),
        )
        .unwrap();
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(service.clone(), anywhere, Some("f".to_owned())).unwrap();
        let address = server.address;
        Self { service, server: Some(server), address, logged }
    }
}

impl Running {
    /// Adds a function as `serve` does.
    pub(crate) fn add_function(&self, function: LocalFunction) {
        self.service.add(function);
    }

    /// Adds a function that is a folder with `app.py`; the digest stands for what it holds.
    pub(crate) fn add(&self, name: &str, folder: &Utf8Path, digest: &str) {
        self.add_for(python().version, name, folder, digest);
    }

    /// The same for another version of Python.
    pub(crate) fn add_for(&self, version: PythonVersion, name: &str, folder: &Utf8Path, digest: &str) {
        self.service.add(LocalFunction {
            name: name.to_owned(),
            handler: "app.handler".to_owned(),
            python: version,
            architecture: glowplug_core::Architecture::host().unwrap(),
            memory_mb: 128,
            timeout_s: 3,
            environment: std::collections::BTreeMap::new(),
            source: folder.to_owned(),
            tree: folder.to_owned(),
            layers: Vec::new(),
            digest: digest.repeat(64),
            bytes: 1,
            image: None,
            keeps: Arc::new(()),
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server = None;
        self.service.stop();
    }
}

/// Runs a scenario of `scenarios.py` against a service of its own.
pub(crate) fn scenario(name: &str) {
    let running = Running::start(None);
    scenario_on(&running, name, &[]);
}

/// The same against one that runs, with more variables.
pub(crate) fn scenario_on(running: &Running, name: &str, more: &[(&str, &str)]) {
    let folder = TempDir::new().unwrap();
    let python = glowplug_test::python_with(glowplug_test::newest(), "aws", &["boto3", "awscli"]);
    let script = Utf8PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lambda/scenarios.py"));
    let done = Command::new(python)
        .arg(script)
        .arg(format!("http://{}", running.address))
        .arg(self::python().version.to_string())
        .arg(name)
        .env("SCENARIO_FOLDER", folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(more.iter().copied())
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&running.logged.lock().unwrap()).into_owned();
    let last: Vec<&str> = log.lines().rev().take(SHOWN).collect();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}\n{said}", last.into_iter().rev().collect::<Vec<_>>().join("\n"));
}
