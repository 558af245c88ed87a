//! What happens by itself: environments that nobody uses end, provisioned ones are made, events that are due run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use glowplug_core::{Error, Result};
use glowplug_engine::InitOutcome;
use tokio::sync::Semaphore;

use crate::model::Configuration;
use crate::service::{Inner, Service};
use crate::time;

/// How often it looks.
const GLANCE: Duration = Duration::from_millis(50);

/// Events that run at once: the others wait their turn.
const EVENTS_AT_ONCE: usize = 256;

/// What is told of provisioned environments whose init fails (`StatusReason` of the service model), until their
/// configuration is put again or another version is meant.
const FAILURE: &str = "FUNCTION_ERROR_INIT_FAILURE";

/// Starts the thread; it ends with the service.
pub(crate) fn start(service: &Service) -> Result<()> {
    let weak = Arc::downgrade(&service.0);
    std::thread::Builder::new()
        .name("glowplug-keeper".to_owned())
        .spawn(move || keep(&weak))
        .map(|_| ())
        .map_err(|error| Error::surroundings("cannot start a thread").cause(error))
}

fn keep(service: &Weak<Inner>) {
    let providing = Arc::new(AtomicBool::new(false));
    let running = Arc::new(Semaphore::new(EVENTS_AT_ONCE));
    loop {
        std::thread::sleep(GLANCE);
        let Some(inner) = service.upgrade() else { return };
        if inner.stopping.load(Ordering::SeqCst) {
            return;
        }
        let service = Service(inner);
        let handle = service.0.engine.handle().clone();
        service.end_surplus();
        for event in service.due(running.available_permits()) {
            let Ok(permit) = Arc::clone(&running).try_acquire_owned() else { break };
            let service = service.clone();
            handle.spawn(async move {
                service.run_event(event).await;
                drop(permit);
            });
        }
        // Making environments takes long: not in the way of the others, and one after the other.
        let missing = !service.unprovided().is_empty() || !service.unprepared().is_empty();
        if missing && !providing.swap(true, Ordering::SeqCst) {
            let done = Done(Arc::clone(&providing));
            handle.spawn_blocking(move || {
                for wanted in service.unprepared() {
                    service.prepare(wanted);
                }
                for wanted in service.unprovided() {
                    service.provide(wanted);
                }
                drop(done);
            });
        }
    }
}

/// Says that something is over, however it ends.
struct Done(Arc<AtomicBool>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Service {
    /// How many environments of a version are to be ready.
    fn wanted(&self, function: &str, version: &str) -> u32 {
        self.lock().functions.get(function).map_or(0, |record| record.provisioned_for(version))
    }

    fn end_surplus(&self) {
        let pools: Vec<_> =
            self.lock().pools.iter().map(|(key, pool)| (key.clone(), Arc::clone(pool))).collect();
        for ((function, version), pool) in pools {
            pool.freeze();
            let surplus = pool.surplus(self.0.options.idle, self.wanted(&function, &version));
            if !surplus.is_empty() {
                self.0.engine.handle().spawn_blocking(move || drop(surplus));
            }
        }
    }

    /// Configurations of which more environments are to be ready than there are.
    fn unprovided(&self) -> Vec<Configuration> {
        let state = self.lock();
        let mut all = Vec::new();
        for (function, record) in &state.functions {
            for qualifier in record.provisioned.keys() {
                let Some(configuration) = record.resolve(Some(qualifier), 1.0) else { continue };
                let key = (function.clone(), configuration.version.clone());
                let there = state.pools.get(&key).map_or(0, |pool| pool.provisioned());
                let failed = state.unready.contains_key(&configuration.revision);
                if there < record.provisioned_for(&key.1) && !failed {
                    all.push(configuration.clone());
                }
            }
        }
        all
    }

    /// Configurations whose environments are to be forks, and for which there is no snapshot yet.
    fn unprepared(&self) -> Vec<Configuration> {
        let state = self.lock();
        // Those that somebody names; the others when they are invoked.
        let all = state.functions.values().flat_map(|record| {
            let names = record.aliases.keys().chain(record.provisioned.keys());
            names.filter_map(|name| record.resolve(Some(name), 1.0)).chain([&record.latest])
        });
        let wanted = all.filter(|configuration| self.snapshot(configuration).is_some());
        wanted.filter(|configuration| !state.prepared.contains(&configuration.revision)).cloned().collect()
    }

    /// Makes a snapshot ahead of events; what cannot be forked starts as ever.
    fn prepare(&self, configuration: Configuration) {
        let (name, revision) = (configuration.function_name.clone(), configuration.revision.clone());
        if let Ok(pool) = self.pool(configuration) {
            let text = pool.prepare(&self.0.engine);
            if !text.is_empty() {
                (self.0.log)(
                    &name,
                    &glowplug_engine::log_stream(&pool.configuration.version, time::now()),
                    &text,
                );
            }
        }
        self.lock().prepared.insert(revision);
    }

    /// Makes one; where that fails, the qualifier says so until its configuration is put again.
    fn provide(&self, configuration: Configuration) {
        let revision = configuration.revision.clone();
        let made = self.pool(configuration).and_then(|pool| {
            let (kept, cold) = pool.start(&self.0.engine, true)?;
            Ok((pool, kept, cold))
        });
        match made {
            Ok((pool, kept, cold)) if cold.init.outcome == InitOutcome::Ready => pool.provide(kept),
            Ok(_) => {
                self.lock().unready.insert(revision, FAILURE.to_owned());
            }
            Err(error) => {
                self.lock().unready.insert(revision, error.message);
            }
        }
    }
}
