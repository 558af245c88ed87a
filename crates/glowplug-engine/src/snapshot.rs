//! Snapshot start: environments that are forks of an initialised process, and what a process must be like for that.
//!
//! The process waits in its runtime client's restore call (`python/glowplug_agent/snapshot.py`). A fork shares its memory
//! until it writes; it gets control groups, a `/tmp`, output and a Runtime API of its own before the function's code
//! goes on. It knows only the address of the Runtime API that it was initialised with: its connections there are led to
//! its own ([`crate::guard`]).

use std::sync::Arc;
use std::time::Duration;

use glowplug_core::{Error, Result};
use serde::Deserialize;

use crate::engine::{Engine, Inner};
use crate::environment::Environment;
use crate::forks::Forks;
use crate::launch::Isolation;
use crate::outcome::Init;
use crate::process::{Process, broken};
use crate::spec::{EnvironmentSpec, Identity, Initialization, SnapshotSpec};
use crate::view;

/// Restoring with its hooks may take 10 s ("Lambda SnapStart" in the developer guide).
pub(crate) const RESTORE_TIMEOUT: Duration = Duration::from_secs(10);

/// An initialised process, and its forks as long as there are any.
#[derive(Debug)]
pub struct Template {
    environment: Environment,
    forks: Arc<Forks>,
    notes: Vec<String>,
}

/// What became of a process that was to be forked.
#[derive(Debug)]
pub enum Started {
    /// It waits to be forked.
    Template(Arc<Template>),
    /// It cannot be, for these reasons, or its init failed; it is an environment like any other.
    Alone {
        /// The environment.
        environment: Box<Environment>,
        /// One for each thing that forks cannot share.
        reasons: Vec<String>,
    },
}

/// What the process says once it is initialised.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Said {
    #[serde(default)]
    pub(crate) ready: bool,
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    #[serde(default)]
    pub(crate) refused: Vec<String>,
}

impl Engine {
    /// Starts a process that is to be forked, as [`Self::start`] does; the [`Init`] is that of the process itself.
    ///
    /// # Errors
    /// As [`Self::start`], and where this host does not allow forks to be kept apart.
    pub fn start_template(
        &self,
        spec: &EnvironmentSpec,
        snapshot: &SnapshotSpec,
    ) -> Result<(Started, Init, Vec<u8>)> {
        self.inner().forkable()?;
        let identity = Identity {
            initialization: Initialization::SnapStart,
            log_stream: None,
            version: spec.identity.version.clone(),
        };
        let spec = EnvironmentSpec { snapshot: Some(snapshot.clone()), identity, ..spec.clone() };
        let (mut environment, init) = self.start(&spec)?;
        let output = environment.take_output();
        let said = std::mem::take(&mut environment.said);
        let forks = environment.process.as_ref().and_then(|process| process.forks.clone());
        let started = match forks {
            Some(forks) if said.ready => {
                Started::Template(Arc::new(Template { environment, forks, notes: said.notes }))
            }
            _ => Started::Alone { environment: Box::new(environment), reasons: said.refused },
        };
        Ok((started, init, output))
    }
}

impl Inner {
    /// Whether forks can be kept apart here.
    fn forkable(&self) -> Result<()> {
        let missing = if self.is_plain() {
            Some("it needs namespaces")
        } else if !self.capabilities.network_policy {
            Some("it needs system call notifications")
        } else if self.hierarchies.folders().is_empty() {
            Some("it needs control groups")
        } else {
            None
        };
        match missing {
            None => Ok(()),
            Some(missing) => Err(Error::surroundings("cannot start from snapshots on this host")
                .cause(missing)
                .cause(self.capabilities.notes.join("; "))),
        }
    }
}

/// The isolation of a process that is forked: a fork gets mounts of its own by way of a user namespace in its own.
pub(crate) const ISOLATION: Isolation = Isolation::Namespaces { user: true };

impl Template {
    /// What a fork should know: state that is the same in every environment, in words.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// A new environment with the memory of this one. `identity` is its own; it is initialised from a snapshot.
    ///
    /// # Errors
    /// The process is gone, or the host has no room for another.
    pub fn fork(self: &Arc<Self>, identity: Identity) -> Result<(Environment, Init)> {
        let identity = Identity { initialization: Initialization::SnapStart, ..identity };
        let spec = EnvironmentSpec { identity, snapshot: None, ..self.environment.spec.clone() };
        Environment::fork(&self.environment.engine, &spec, self)
    }

    /// Where the folders of its forks are.
    pub(crate) fn folder(&self) -> camino::Utf8PathBuf {
        self.environment.room.forks()
    }

    /// Makes a process for an environment.
    pub(crate) fn process(&self, environment: &Environment) -> Result<Process> {
        let temporary = format!("{}/{}/tmp", view::FORKS, environment.room.folder_name());
        let process = self.environment.process.as_ref().ok_or_else(|| broken("the snapshot is gone"))?;
        process.fork(environment, &self.forks, &temporary)
    }
}
