//! Interpreters, the runtime client, and functions made from source texts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, PythonVersion};
use glowplug_engine::{
    Cpu, Engine, Environment, EnvironmentSpec, Finished, Identity, Init, InitOutcome, Invocation, Network,
    Outcome,
};
use glowplug_test::Client;
use serde_json::Value;
use tempfile::TempDir;

/// One engine for all tests that run at a time, as a build has one for all environments; the last one drops it.
pub(crate) fn engine() -> Arc<Engine> {
    static SHARED: Mutex<Weak<Engine>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let engine = Arc::new(Engine::new().unwrap());
        *shared = Arc::downgrade(&engine);
        engine
    })
}

/// The newest one at or below 3.12, on which most tests run.
pub(crate) fn any_python() -> Client {
    let interpreters = glowplug_test::interpreters();
    let fits = interpreters.iter().rev().find(|found| found.version <= PythonVersion::new(3, 12));
    glowplug_test::client(fits.unwrap_or(glowplug_test::newest()))
}

/// A function in a folder of its own.
pub(crate) struct Function {
    _folder: TempDir,
    pub(crate) engine: Arc<Engine>,
    pub(crate) root: Utf8PathBuf,
    pub(crate) spec: EnvironmentSpec,
}

impl Function {
    /// `app.py` with this source and the handler `app.handler`.
    pub(crate) fn new(source: &str) -> Self {
        Self::on(&any_python(), source)
    }

    pub(crate) fn on(python: &Client, source: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap().canonicalize_utf8().unwrap();
        let tree = root.join("tree");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("app.py"), source).unwrap();
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
            extensions: true,
            snapshot: None,
            agent: None,
            write_bytecode: false,
        };
        Self { _folder: folder, engine: engine(), root, spec }
    }

    pub(crate) fn file(self, path: &str, content: &str) -> Self {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut EnvironmentSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// On another engine than the shared one.
    pub(crate) fn by(mut self, engine: &Arc<Engine>) -> Self {
        self.engine = Arc::clone(engine);
        self
    }

    pub(crate) fn start(&self) -> (Environment, Init) {
        self.engine.start(&self.spec).unwrap()
    }

    /// Starts it; init must succeed.
    pub(crate) fn ready(&self) -> Environment {
        let (environment, init) = self.start();
        let outcome = init.outcome;
        assert!(
            outcome == InitOutcome::Ready,
            "{outcome:?}\n{}",
            String::from_utf8_lossy(&environment.log())
        );
        environment
    }

    /// One event from start to end: its answer and what is left.
    pub(crate) fn once(&self, event: &str) -> (Invocation, Finished) {
        let mut environment = self.ready();
        let invocation = environment.invoke(event.as_bytes()).unwrap();
        (invocation, environment.finish().unwrap())
    }

    /// The answer to one event; it must be a success.
    pub(crate) fn answer(&self, event: &str) -> Value {
        let (invocation, finished) = self.once(event);
        success(&invocation, &finished.log)
    }
}

/// The payload of a success.
pub(crate) fn success(invocation: &Invocation, log: &[u8]) -> Value {
    match &invocation.outcome {
        Outcome::Success(payload) => serde_json::from_slice(payload).unwrap(),
        other => panic!("{}\n{}", describe(other), String::from_utf8_lossy(log)),
    }
}

fn describe(outcome: &Outcome) -> String {
    let (kind, payload) = match outcome {
        Outcome::Success(payload) => ("success", payload),
        Outcome::HandlerError(payload) => ("handler error", payload),
        Outcome::Exited(payload) => ("exited", payload),
        Outcome::TimedOut(payload) => ("timed out", payload),
    };
    format!("{kind}: {}", String::from_utf8_lossy(payload))
}

/// The payload of a handler's error.
pub(crate) fn handler_error(invocation: &Invocation) -> Value {
    match &invocation.outcome {
        Outcome::HandlerError(payload) => serde_json::from_slice(payload).unwrap(),
        other => panic!("{}", describe(other)),
    }
}

/// The payload of an exit, as text.
pub(crate) fn exit(invocation: &Invocation) -> String {
    match &invocation.outcome {
        Outcome::Exited(payload) => String::from_utf8(payload.clone()).unwrap(),
        other => panic!("{}", describe(other)),
    }
}

/// How many processes have this variable.
pub(crate) fn with_variable(name: &str) -> usize {
    let entries = std::path::Path::new("/proc").read_dir().unwrap().flatten();
    entries
        .filter(|entry| {
            let environ = fs_err::read(entry.path().join("environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|variable| variable.starts_with(name.as_bytes()))
        })
        .count()
}
