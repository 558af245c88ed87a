//! Disks for `/tmp`: whether this host can have them, and some that are made before they are needed.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use camino::Utf8Path;
use glowplug_core::Result;

use crate::disk::{Disk, Formatted};
use crate::engine::{Engine, Inner};
use crate::launch::Isolation;
use crate::process::rehearse;
use crate::spec::EnvironmentSpec;
use crate::view::{self, Sources};

/// Least size, which functions have that do not ask for another ("Lambda quotas" in the developer guide).
const USUAL_MB: u32 = 512;

/// Disks of a size that are kept ready: making one takes some milliseconds, which a cold start need not wait for.
const READY: usize = 2;

/// How long new ones wait, so that the environment that has taken one has the processors.
const AFTER: Duration = Duration::from_millis(100);

/// The disks of an engine.
#[derive(Debug, Default)]
pub(crate) struct Disks {
    /// Why there can be none; `Some(None)` where there can.
    refused: OnceLock<Option<String>>,
    formatted: Mutex<BTreeMap<u32, Arc<Formatted>>>,
    ready: Mutex<BTreeMap<u32, Vec<Disk>>>,
    /// Held while the background makes one: the engine is not gone before.
    filling: Arc<Mutex<()>>,
}

impl Disks {
    /// Waits until nothing is made in the background; the engine is stopped.
    pub(crate) fn finish(&self) {
        drop(self.filling.lock());
    }

    /// One that is ready, or a new one.
    fn take(&self, size_mb: u32, folder: &Utf8Path) -> Result<Disk> {
        let ready =
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&size_mb).and_then(Vec::pop);
        ready.map_or_else(|| self.make(size_mb, folder), Ok)
    }

    fn make(&self, size_mb: u32, folder: &Utf8Path) -> Result<Disk> {
        Disk::new(&*self.formatted(size_mb, folder)?, folder)
    }

    /// What disks of a size are copies of; made once.
    fn formatted(&self, size_mb: u32, folder: &Utf8Path) -> Result<Arc<Formatted>> {
        let mut formatted = self.formatted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = formatted.get(&size_mb) {
            return Ok(Arc::clone(found));
        }
        let made = Arc::new(Formatted::new(size_mb, folder)?);
        formatted.insert(size_mb, Arc::clone(&made));
        Ok(made)
    }

    /// Makes one more where there are too few; whether there still are.
    fn fill(&self, size_mb: u32, folder: &Utf8Path) -> bool {
        let count = || {
            let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
            ready.get(&size_mb).map_or(0, Vec::len)
        };
        if count() >= READY {
            return false;
        }
        // Without it, the next environment makes its own and says what is wrong.
        let Ok(disk) = self.make(size_mb, folder) else { return false };
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).entry(size_mb).or_default().push(disk);
        count() < READY
    }
}

impl Engine {
    /// Whether the size of `/tmp` ([`EnvironmentSpec::temporary_mb`]) is enforced here. Tried out when it is asked for the
    /// first time, which takes some tens of milliseconds: [`Engine::prepare_temporary`] does it in the background.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn temporary_limit(&self) -> std::result::Result<(), String> {
        self.0.temporary_limit()
    }

    /// Tries out in the background whether the size of `/tmp` can be enforced, and keeps disks ready where it can.
    pub fn prepare_temporary(&self) {
        refill(&self.0, USUAL_MB, Duration::ZERO);
    }
}

impl Inner {
    fn temporary_limit(&self) -> std::result::Result<(), String> {
        let refused = self.disks.refused.get_or_init(|| {
            let refused = self.try_disk().err()?;
            Some(format!("the size of `/tmp` is not enforced: {refused}"))
        });
        refused.clone().map_or(Ok(()), Err)
    }

    /// Has a process see a disk as `/tmp`.
    fn try_disk(&self) -> std::result::Result<(), String> {
        if self.isolation != (Isolation::Namespaces { user: false }) {
            return Err("only root may mount a disk, and needs a mount namespace".to_owned());
        }
        let why = |error: glowplug_core::Error| error.causes().first().cloned().unwrap_or(error.to_string());
        let disk = self.disks.make(USUAL_MB, self.workshop.folder()).map_err(why)?;
        let mut room = self.workshop.room().map_err(why)?;
        room.furnish(Some(Arc::new(disk)));
        let view = Sources::trial(&self.workshop, &room)
            .and_then(|sources| view::own(&sources, &room.root()))
            .map_err(why)?;
        rehearse(self.isolation, view.steps, view.root, Vec::new(), false).map_err(|failure| failure.what)
    }

    /// The disk of a new environment, where it is to have one and this host can.
    pub(crate) fn disk(self: &Arc<Self>, spec: &EnvironmentSpec) -> Result<Option<Arc<Disk>>> {
        let Some(size_mb) = spec.temporary_mb else { return Ok(None) };
        let disk = match self.temporary_limit() {
            Ok(()) => Some(Arc::new(self.disks.take(size_mb, self.workshop.folder())?)),
            Err(_) => None,
        };
        refill(self, size_mb, AFTER);
        Ok(disk)
    }
}

/// Makes places, and disks of a size where this host can have them, in a while, where there are too few.
fn refill(engine: &Arc<Inner>, size_mb: u32, after: Duration) {
    let waiting = Arc::downgrade(engine);
    let (stop, filling) = (Arc::clone(&engine.stop), Arc::clone(&engine.disks.filling));
    engine.runtime().spawn_blocking(move || {
        std::thread::sleep(after);
        loop {
            let _held = filling.lock();
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let Some(engine) = waiting.upgrade() else { return };
            engine.fill_places();
            if engine.temporary_limit().is_err() || !engine.disks.fill(size_mb, engine.workshop.folder()) {
                return;
            }
        }
    });
}
