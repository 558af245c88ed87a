//! Snapshot start: environments that are forks of an initialised process, and what a process must be like for that.
//!
//! The process waits in its runtime client's restore call (`python/glowplug_agent/snapshot.py`). A fork shares its memory
//! until it writes; it gets control groups, a `/tmp`, output and a Runtime API of its own before the function's code
//! goes on. It knows only the address of the Runtime API that it was initialised with: its connections there are led to
//! its own ([`crate::guard`]).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use glowplug_core::{Error, Result};
use serde::Deserialize;

use crate::engine::Engine;
use crate::environment::Environment;
use crate::forks::Forks;
use crate::launch::Isolation;
use crate::outcome::Init;
use crate::process::{Process, broken};
use crate::spec::{EnvironmentSpec, Identity, Initialization, SnapshotSpec};
use crate::view;
use crate::workshop::merge;

/// Forks that are kept ready: a fork takes as long as its restore does.
const SPARES: usize = 2;

/// How long new ones wait, so that the one that was given away has the processors.
const AFTER: Duration = Duration::from_millis(100);

/// Restoring with its hooks may take 10 s ("Lambda SnapStart" in the developer guide).
pub(crate) const RESTORE_TIMEOUT: Duration = Duration::from_secs(10);

/// An initialised process, and its forks as long as there are any.
#[derive(Debug)]
pub struct Template {
    /// Forks that wait for somebody who needs one.
    spares: Mutex<Vec<Environment>>,
    environment: Environment,
    forks: Arc<Forks>,
    notes: Vec<String>,
}

/// What became of a process that was to be forked.
#[derive(Debug)]
pub enum Started {
    /// It waits to be forked.
    Template(Arc<Template>),
    /// It cannot be, for these reasons: a line for each thing that forks cannot share. It has ended.
    Refused(Vec<String>),
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
        let can = self.capabilities();
        can.forks().map_err(|missing| {
            let error = Error::surroundings("cannot start from snapshots on this host").cause(missing);
            can.notes.iter().fold(error, Error::cause)
        })?;
        let identity = Identity {
            initialization: Initialization::SnapStart,
            log_stream: None,
            version: spec.identity.version.clone(),
        };
        let spec = EnvironmentSpec { snapshot: Some(snapshot.clone()), identity, ..spec.clone() };
        let (mut environment, init) = self.start(&spec)?;
        let output = environment.take_output();
        let mut said = std::mem::take(&mut environment.said);
        if let Some(process) = &environment.process {
            let names = process.exchange.extensions.names();
            said.ready &= names.is_empty();
            said.refused.extend(names.into_iter().map(|name| format!("an extension, `{name}`")));
        }
        let forks = environment.process.as_ref().and_then(|process| process.forks.clone());
        let started = match forks {
            Some(forks) if said.ready => {
                // What forks need for a moment counts with this process; its own init has been measured.
                environment.group.unlimit_memory()?;
                let spares = Mutex::default();
                let template = Arc::new(Template { spares, environment, forks, notes: said.notes });
                template.refill(self.handle(), Duration::ZERO);
                Started::Template(template)
            }
            _ => Started::Refused(said.refused),
        };
        Ok((started, init, output))
    }
}

/// The isolation of a process that is forked: a fork gets mounts of its own by way of a user namespace in its own.
pub(crate) const ISOLATION: Isolation = Isolation::Namespaces { user: true };

impl Template {
    /// Whether the process has ended, and its forks with it.
    pub fn is_gone(&self) -> bool {
        self.environment.process.as_ref().is_none_or(|process| process.exchange.ending().is_some())
    }

    /// What a fork should know: state that is the same in every environment, in words.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// A new environment with the memory of this one. `identity` is its own; it is initialised from a snapshot.
    ///
    /// # Errors
    /// The process is gone, or the host has no room for another.
    pub fn fork(self: &Arc<Self>, identity: Identity) -> Result<(Environment, Init)> {
        if self.is_gone() {
            return Err(broken("the snapshot is gone"));
        }
        let identity = Identity { initialization: Initialization::SnapStart, ..identity };
        let spare = self.spares.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let spare = match spare {
            Some(spare) if spare.is_ready_to_go() => spare,
            _ => self.spare()?,
        };
        let restored = spare.restore(identity, self);
        self.refill(self.environment.engine.runtime(), AFTER);
        restored
    }

    /// A fork that waits.
    fn spare(&self) -> Result<Environment> {
        let engine = &self.environment.engine;
        let room = engine.workshop.room_in(&self.environment.room.forks())?;
        let spec = EnvironmentSpec { snapshot: None, ..self.environment.spec.clone() };
        let place = engine.place_in(room, spec.memory_mb, engine.disk(&spec)?)?;
        let mut spare = Environment::make(engine, &spec, place)?;
        // What init wrote there is part of the snapshot.
        merge(&self.environment.room.temporary(), &spare.room.temporary())?;
        spare.wait_to_go(self.process(&spare)?);
        Ok(spare)
    }

    /// Makes forks that wait, in a while, where there are too few.
    fn refill(self: &Arc<Self>, runtime: &tokio::runtime::Handle, after: Duration) {
        let template = Arc::downgrade(self);
        runtime.spawn_blocking(move || {
            std::thread::sleep(after);
            while let Some(template) = template.upgrade() {
                let count = template.spares.lock().unwrap_or_else(PoisonError::into_inner).len();
                if count >= SPARES || template.environment.engine.go_on().is_err() {
                    return;
                }
                // Without one, the next environment waits for its own fork and says what is wrong.
                let Ok(spare) = template.spare() else { return };
                template.spares.lock().unwrap_or_else(PoisonError::into_inner).push(spare);
            }
        });
    }

    /// Makes a process for an environment.
    pub(crate) fn process(&self, environment: &Environment) -> Result<Process> {
        let temporary = format!("{}/{}/tmp", view::FORKS, environment.room.folder_name());
        let process = self.environment.process.as_ref().ok_or_else(|| broken("the snapshot is gone"))?;
        process.fork(environment, &self.forks, &temporary)
    }
}
