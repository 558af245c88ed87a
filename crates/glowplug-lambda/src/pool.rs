//! The environments of one version: those that wait for an event, and room for new ones.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use glowplug_core::Result;
use glowplug_engine::{
    Engine, Environment, EnvironmentSpec, Identity, Init, Initialization, SnapshotSpec, log_stream,
};
use tokio::sync::Notify;

use crate::journal;
use crate::model::Configuration;
use crate::template::Snapshots;
use crate::time;

/// How long a new event waits for an environment that has answered and has not asked for its next event yet: less than
/// any cold start takes.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long an environment waits before it stands still: events that come one after the other are not held up.
const STILL_AFTER: Duration = Duration::from_millis(100);

/// An environment, and what is known of it.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) environment: Environment,
    /// Its log stream.
    pub(crate) stream: String,
    /// Made ahead of events, and never given up while it is asked for.
    pub(crate) provisioned: bool,
    since: Instant,
}

/// A new environment with its init and what was written meanwhile.
#[derive(Debug)]
pub(crate) struct Cold {
    pub(crate) init: Init,
    pub(crate) output: Vec<u8>,
    /// It was forked from a snapshot.
    pub(crate) restored: bool,
    /// What there is to say of the snapshot.
    pub(crate) said: Vec<String>,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Kept>,
    /// Environments that have answered and will be idle in a moment.
    returning: usize,
    /// Provisioned environments that there are, busy ones too.
    provisioned: u32,
}

impl State {
    /// Takes out those whose snapshot is gone: they have gone with it.
    fn orphans(&mut self) -> Vec<Kept> {
        let lost: Vec<Kept> = self.idle.extract_if(.., |kept| kept.environment.is_orphaned()).collect();
        let provisioned = lost.iter().filter(|kept| kept.provisioned).count();
        self.provisioned = self.provisioned.saturating_sub(provisioned as u32);
        lost
    }
}

/// The environments of one version with one configuration.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) configuration: Configuration,
    spec: EnvironmentSpec,
    state: Mutex<State>,
    returned: Notify,
    /// Where environments are forked.
    snapshots: Option<Snapshots>,
    /// The configuration or the code is another one now.
    retired: AtomicBool,
    /// What the tree lives by.
    _keeps: Option<Arc<dyn Any + Send + Sync>>,
}

impl Pool {
    pub(crate) fn new(
        configuration: Configuration,
        spec: EnvironmentSpec,
        keeps: Option<Arc<dyn Any + Send + Sync>>,
        snapshot: Option<SnapshotSpec>,
    ) -> Self {
        Self {
            configuration,
            spec,
            state: Mutex::default(),
            returned: Notify::new(),
            snapshots: snapshot.map(Snapshots::new),
            retired: AtomicBool::new(false),
            _keeps: keeps,
        }
    }

    /// The version as functions and logs tell it.
    pub(crate) fn told_version(&self) -> &str {
        &self.spec.identity.version
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An environment that waits, the one that was used last first; provisioned ones before others.
    pub(crate) async fn take(&self) -> Option<Kept> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut returned = std::pin::pin!(self.returned.notified());
            // Registered before the look, so that none that returns in between is missed.
            returned.as_mut().enable();
            {
                let mut state = self.lock();
                let lost = state.orphans();
                if !lost.is_empty() {
                    // Clearing up after them takes a moment.
                    tokio::task::spawn_blocking(move || drop(lost));
                }
                let provisioned = state.idle.iter().rposition(|kept| kept.provisioned);
                if let Some(at) = provisioned.or_else(|| state.idle.len().checked_sub(1)) {
                    return Some(state.idle.remove(at));
                }
                if state.returning == 0 || Instant::now() >= deadline {
                    return None;
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let _ = tokio::time::timeout(left, returned).await;
        }
    }

    /// Starts a new one, from a snapshot where that is wanted and possible.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub(crate) fn start(&self, engine: &Engine, provisioned: bool) -> Result<(Kept, Cold)> {
        let Some(snapshots) = &self.snapshots else {
            return self.start_alone(engine, provisioned, Vec::new());
        };
        let mut asked = snapshots.ask(engine, &self.spec);
        let stream = log_stream(self.told_version(), time::now());
        if let Some(template) = &asked.template {
            let identity = Identity {
                version: self.told_version().to_owned(),
                initialization: Initialization::SnapStart,
                log_stream: Some(stream.clone()),
            };
            match snapshots.fork(template, identity) {
                Ok((mut environment, init)) => {
                    let output = environment.take_output();
                    let kept = Kept { environment, stream, provisioned, since: Instant::now() };
                    return Ok((kept, Cold { init, output, restored: true, said: asked.said }));
                }
                Err(error) => asked.said.push(format!("no snapshot: {error}")),
            }
        }
        self.start_alone(engine, provisioned, asked.said)
    }

    /// Makes the snapshot ahead of events, where one is wanted; gives what is to be logged of it.
    pub(crate) fn prepare(&self, engine: &Engine) -> Vec<u8> {
        let Some(snapshots) = &self.snapshots else { return Vec::new() };
        let asked = snapshots.ask(engine, &self.spec);
        let mut text = Vec::new();
        if let Some((init, output)) = &asked.made {
            text.extend(journal::snapshot(&self.configuration.runtime, init, output));
        }
        for line in &asked.said {
            text.extend(format!("{line}\n").into_bytes());
        }
        text
    }

    fn start_alone(&self, engine: &Engine, provisioned: bool, said: Vec<String>) -> Result<(Kept, Cold)> {
        let stream = log_stream(self.told_version(), time::now());
        let initialization =
            if provisioned { Initialization::ProvisionedConcurrency } else { Initialization::OnDemand };
        let identity = Identity {
            version: self.told_version().to_owned(),
            initialization,
            log_stream: Some(stream.clone()),
        };
        let (mut environment, init) = engine.start(&EnvironmentSpec { identity, ..self.spec.clone() })?;
        let output = environment.take_output();
        let kept = Kept { environment, stream, provisioned, since: Instant::now() };
        Ok((kept, Cold { init, output, restored: false, said }))
    }

    /// One environment has answered and comes back in a moment.
    pub(crate) fn announce(&self) {
        self.lock().returning += 1;
    }

    /// It is back, announced before or not. One that was made ahead and has lost its process is given up: the next one is
    /// to be ready. Gives what nobody wants any more, which ends when it is dropped.
    pub(crate) fn give_back(&self, kept: Kept, announced: bool) -> Option<Kept> {
        let mut state = self.lock();
        state.returning = state.returning.saturating_sub(usize::from(announced));
        let broken = kept.provisioned && !kept.environment.is_warm();
        let surplus = if self.retired.load(Ordering::SeqCst) || broken {
            if broken {
                state.provisioned = state.provisioned.saturating_sub(1);
            }
            Some(kept)
        } else {
            state.idle.push(Kept { since: Instant::now(), ..kept });
            None
        };
        drop(state);
        self.returned.notify_waiters();
        surplus
    }

    /// It is broken, and nobody gets it again.
    pub(crate) fn give_up(&self, kept: Kept, announced: bool) -> Kept {
        let mut state = self.lock();
        state.returning = state.returning.saturating_sub(usize::from(announced));
        if kept.provisioned {
            state.provisioned = state.provisioned.saturating_sub(1);
        }
        drop(state);
        self.returned.notify_waiters();
        kept
    }

    /// Adds one that was made ahead of events.
    pub(crate) fn provide(&self, kept: Kept) {
        let mut state = self.lock();
        state.provisioned += 1;
        state.idle.push(kept);
        drop(state);
        self.returned.notify_waiters();
    }

    /// How many wait for an event.
    pub(crate) fn idle(&self) -> usize {
        self.lock().idle.len()
    }

    /// How many of those that wait were made ahead of events.
    pub(crate) fn idle_provisioned(&self) -> u32 {
        self.lock().idle.iter().filter(|kept| kept.provisioned).count() as u32
    }

    /// How many were made ahead of events and are there.
    pub(crate) fn provisioned(&self) -> u32 {
        self.lock().provisioned
    }

    /// Takes out what nobody has used for `idle`, and provisioned ones beyond `wanted`; they end when they are dropped.
    pub(crate) fn surplus(&self, idle: Duration, wanted: u32) -> Vec<Kept> {
        let mut state = self.lock();
        let mut surplus = Vec::new();
        let mut kept = Vec::new();
        for environment in std::mem::take(&mut state.idle) {
            if environment.provisioned && state.provisioned > wanted {
                state.provisioned -= 1;
                surplus.push(environment);
            } else if !environment.provisioned && environment.since.elapsed() >= idle {
                surplus.push(environment);
            } else {
                kept.push(environment);
            }
        }
        state.idle = kept;
        surplus
    }

    /// Has those that have waited for a while stand still.
    pub(crate) fn freeze(&self) {
        let mut state = self.lock();
        for kept in state.idle.iter_mut().filter(|kept| kept.since.elapsed() >= STILL_AFTER) {
            // Where that fails it goes on running, which does no harm.
            let _ = kept.environment.freeze();
        }
    }

    /// Gives up all of them: those that wait at once, the others when they come back.
    pub(crate) fn retire(&self) -> Vec<Kept> {
        self.retired.store(true, Ordering::SeqCst);
        let mut state = self.lock();
        state.provisioned = 0;
        std::mem::take(&mut state.idle)
    }
}
