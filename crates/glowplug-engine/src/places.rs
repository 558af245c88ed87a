//! The folders and control groups of environments, some of which are made before they are needed.

use std::sync::{Arc, Mutex, PoisonError};

use glowplug_core::Result;

use crate::cgroup::Group;
use crate::disk::Disk;
use crate::engine::Inner;
use crate::workshop::Room;

/// Places that are kept ready: making one takes a millisecond, which a cold start need not wait for.
const READY: usize = 2;

/// Where an environment goes: its folders and its control group, which have the same name.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) room: Room,
    pub(crate) group: Group,
}

/// Those that nobody has yet.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<Vec<Place>>);

impl Inner {
    /// One that is ready, or a new one, with a limit of memory and what is to be seen as `/tmp`.
    pub(crate) fn place(&self, memory_mb: u32, disk: Option<Arc<Disk>>) -> Result<Place> {
        let ready = self.places.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let place = ready.map_or_else(|| self.made_place(self.workshop.room()?), Ok)?;
        place.furnished(memory_mb, disk)
    }

    /// One in folders that are there, with the same.
    pub(crate) fn place_in(&self, room: Room, memory_mb: u32, disk: Option<Arc<Disk>>) -> Result<Place> {
        self.made_place(room)?.furnished(memory_mb, disk)
    }

    fn made_place(&self, room: Room) -> Result<Place> {
        let group = self.hierarchies.make(&room.name)?;
        Ok(Place { room, group })
    }

    /// Makes some where there are too few. Where that cannot be done, the next environment says why.
    pub(crate) fn fill_places(&self) {
        let ready = || self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        while ready().len() < READY {
            let Ok(place) = self.workshop.room().and_then(|room| self.made_place(room)) else { return };
            ready().push(place);
        }
    }
}

impl Place {
    fn furnished(mut self, memory_mb: u32, disk: Option<Arc<Disk>>) -> Result<Self> {
        self.group.limit_memory(memory_mb)?;
        self.room.furnish(disk);
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::*;
    use crate::engine::Engine;

    #[test]
    fn ready_places_are_taken_first_and_are_gone_with_their_engine() {
        let engine = Engine::new().unwrap();
        let ready = || -> Vec<Utf8PathBuf> {
            engine.0.places.0.lock().unwrap().iter().map(|place| place.room.root()).collect()
        };
        engine.0.fill_places();
        let made = ready();
        assert!(made.len() == READY && made.iter().all(|root| root.is_dir()), "{made:?}");
        let taken: Vec<Place> = (0..=READY).map(|_| engine.0.place(128, None).unwrap()).collect();
        let roots: Vec<Utf8PathBuf> = taken.iter().map(|place| place.room.root()).collect();
        assert!(ready().is_empty() && made.iter().all(|root| roots.contains(root)), "{made:?} {roots:?}");
        assert!(!made.contains(&roots[READY]), "one more is made when there are none");
        drop(taken);
        assert!(!roots.iter().any(|root| root.exists()));
        engine.0.fill_places();
        let left = ready();
        drop(engine);
        assert!(left.len() == READY && !left.iter().any(|root| root.exists()), "{left:?}");
    }
}
