//! How the account changes: one change after the other, on the disk before anybody sees it, and while invokes go on.
//!
//! Two locks make that. The turn orders changes: who has it reads a record, changes a copy, and writes it down. The state,
//! which invokes read too, is locked only to read the record and to publish the copy, never while the disk is waited for.

use std::sync::{MutexGuard, PoisonError};

use crate::error::ApiError;
use crate::model::{Layers, Record};
use crate::names::Named;
use crate::service::{Service, State};

/// The right to change the account; one has it at a time.
pub(crate) struct Turn<'s> {
    service: &'s Service,
    _held: MutexGuard<'s, ()>,
}

impl Service {
    /// Waits for the turn. Nobody who holds the state may do that.
    pub(crate) fn turn(&self) -> Turn<'_> {
        let held = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Turn { service: self, _held: held }
    }

    /// Changes a function, and ends environments of the version that `retires` names. `change` gets a copy, and may look
    /// at the rest of the account; what it refuses leaves all as it was.
    pub(crate) fn change<T>(
        &self,
        named: &Named,
        retires: Option<&str>,
        change: impl FnOnce(&mut Record) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let turn = self.turn();
        let mut record = self.look(named, |record| Ok(record.clone()))?;
        let value = change(&mut record)?;
        let mut state = turn.put(&named.function, Some(record))?;
        let retired = retires.map(|version| state.retire(&named.function, Some(version)));
        drop(state);
        drop(turn);
        self.end(retired.unwrap_or_default());
        Ok(value)
    }
}

impl Turn<'_> {
    /// Puts a record in the place of a function's, or, without one, removes the function. Gives the state, in which nobody
    /// has seen that yet.
    pub(crate) fn put(
        &self,
        function: &str,
        record: Option<Record>,
    ) -> Result<MutexGuard<'_, State>, ApiError> {
        let Service(inner) = self.service;
        match &record {
            Some(record) if self.service.lock().local_files(&record.latest).is_some() => {
                inner.store.put_local(function, record)?;
            }
            record => inner.store.put(function, record.as_ref())?,
        }
        let mut state = self.service.lock();
        match record {
            Some(record) => state.functions.insert(function.to_owned(), record),
            None => state.functions.remove(function),
        };
        Ok(state)
    }

    /// Puts versions in the place of a layer's.
    pub(crate) fn put_layers(&self, name: &str, layers: Layers) -> Result<(), ApiError> {
        self.service.0.store.put_layers(name, &layers)?;
        self.service.lock().layers.insert(name.to_owned(), layers);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use glowplug_engine::{Cpu, Engine, Network};

    use super::*;
    use crate::model::tests::configuration;
    use crate::service::Options;

    /// After this nothing comes any more.
    const HANGS: Duration = Duration::from_mins(1);

    fn service() -> Service {
        let options = Options {
            state: None,
            idle: Duration::from_mins(1),
            concurrency: 10,
            cpu: Cpu::Unlimited,
            network: Network::Allow,
            credentials: None,
            prices: glowplug_capacity::Prices::built_in().unwrap(),
            priced_region: String::new(),
            told_version: None,
            private: Vec::new(),
            snapshot: None,
        };
        let runtimes = Box::new(|_| Err(glowplug_core::Error::defect("nothing is run here")));
        Service::open(Engine::new().unwrap(), options, runtimes, Box::new(|_, _, _| {})).unwrap()
    }

    #[test]
    fn invokes_go_on_while_a_change_waits_for_the_disk() {
        let service = service();
        let named = Named::parse("report", None).unwrap();
        let record = Record::new(configuration("$LATEST"), BTreeMap::new());
        drop(service.turn().put("report", Some(record)).unwrap());
        // Nobody else can write as long as this is there.
        let slow_disk = service.0.store.hold();
        let (tell, hear) = channel();
        let changing = std::thread::spawn({
            let (service, named, tell) = (service.clone(), named.clone(), tell.clone());
            move || {
                service.change(&named, None, |record| {
                    record.reserved = Some(1);
                    tell.send("changes").unwrap();
                    Ok(())
                })
            }
        });
        assert_eq!(hear.recv_timeout(HANGS), Ok("changes"));
        std::thread::spawn({
            let (service, named) = (service.clone(), named.clone());
            move || {
                let admitted = service.admit(&named);
                assert!(admitted.is_ok() && reserved_is_none(&service, &named));
                tell.send("invoked").unwrap();
            }
        });
        assert_eq!(hear.recv_timeout(HANGS), Ok("invoked"));
        drop(slow_disk);
        changing.join().unwrap().unwrap();
        assert!(!reserved_is_none(&service, &named));
    }

    /// Nobody sees what is not on the disk yet.
    fn reserved_is_none(service: &Service, named: &Named) -> bool {
        service.look(named, |record| Ok(record.reserved.is_none())).unwrap()
    }

    #[test]
    fn changes_at_once_are_all_made() {
        let service = service();
        let named = Named::parse("report", None).unwrap();
        let record = Record::new(configuration("$LATEST"), BTreeMap::new());
        drop(service.turn().put("report", Some(record)).unwrap());
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (service, named) = (&service, &named);
                scope.spawn(move || {
                    service.change(named, None, |record| {
                        record.tags.insert(number.to_string(), String::new());
                        Ok(())
                    })
                });
            }
        });
        assert_eq!(service.look(&named, |record| Ok(record.tags.len())).unwrap(), 8);
        assert_eq!(service.0.store.functions().unwrap()["report"].tags.len(), 8);
        let refused = service.change(&named, None, |record| {
            record.tags.clear();
            Err::<(), _>(ApiError::invalid("no"))
        });
        assert!(refused.is_err());
        assert_eq!(service.look(&named, |record| Ok(record.tags.len())).unwrap(), 8);
    }
}
