//! The engine's own ports on this machine, which no function reaches but the one that a port is for.
//!
//! A Runtime API port belongs to one process: another that reached it would take its events. The port of the Lambda API is
//! for clients, and for functions that are configured to use it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

#[derive(Debug, Default)]
struct Known {
    runtime: BTreeSet<u16>,
    service: BTreeSet<u16>,
}

/// The ports; shared by all environments of an engine.
#[derive(Debug, Default)]
pub(crate) struct Ports(RwLock<Known>);

impl Ports {
    /// Adds the port of a process's Runtime API; it is the engine's as long as the result lives.
    pub(crate) fn runtime(self: &Arc<Self>, port: u16) -> RuntimePort {
        self.0.write().unwrap_or_else(PoisonError::into_inner).runtime.insert(port);
        RuntimePort { ports: Arc::clone(self), port }
    }

    /// Adds a port of the Lambda API, for good.
    pub(crate) fn service(&self, port: u16) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).service.insert(port);
    }
}

/// A Runtime API's port.
#[derive(Debug)]
pub(crate) struct RuntimePort {
    ports: Arc<Ports>,
    port: u16,
}

impl Drop for RuntimePort {
    fn drop(&mut self) {
        self.ports.0.write().unwrap_or_else(PoisonError::into_inner).runtime.remove(&self.port);
    }
}

/// What one process may reach of them.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    ports: Arc<Ports>,
    /// Its own Runtime API.
    own: u16,
    /// Whether the Lambda API is open to it.
    service: bool,
    /// The Runtime APIs of its forks, which know of its own alone.
    routes: Arc<Routes>,
}

/// Process → the port that it means when it connects to that of the process which it was forked from.
#[derive(Debug, Default)]
pub(crate) struct Routes(RwLock<BTreeMap<i32, u16>>, AtomicI32);

impl Routes {
    pub(crate) fn add(&self, process: i32, port: u16) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(process, port);
    }

    /// Names the process that is forked.
    pub(crate) fn root(&self, process: i32) {
        self.1.store(process, Ordering::SeqCst);
    }

    /// Whether there are forks, and this process belongs to none of them and is not the one that is forked.
    fn is_strange(&self, process: i32) -> bool {
        let forked = !self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty();
        forked
            && self.of(process).is_none()
            && lineage(process).map(|found| found.0) != Some(self.1.load(Ordering::SeqCst))
    }

    pub(crate) fn remove(&self, process: i32) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&process);
    }

    /// The port of a process or of the next one above it that has one.
    fn of(&self, process: i32) -> Option<u16> {
        let routes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if routes.is_empty() {
            return None;
        }
        let mut at = process;
        for _ in 0..MOST_ANCESTORS {
            if let Some(port) = routes.get(&at) {
                return Some(*port);
            }
            // A thread's parent is its process's.
            let (group, parent) = lineage(at)?;
            at = if group == at { parent } else { group };
        }
        None
    }
}

/// How far above a process its fork is looked for.
const MOST_ANCESTORS: usize = 64;

/// A task's process and that one's parent (`Tgid` and `PPid` of proc_pid_status(5)).
pub(crate) fn lineage(task: i32) -> Option<(i32, i32)> {
    let status = fs_err::read_to_string(format!("/proc/{task}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok();
    Some((field("Tgid:")?, field("PPid:")?))
}

impl Guard {
    pub(crate) fn new(ports: &Arc<Ports>, own: u16, service: bool) -> Self {
        Self { ports: Arc::clone(ports), own, service, routes: Arc::default() }
    }

    /// Whether a port on loopback is one of the engine's own: nothing is delivered there.
    pub(crate) fn is_closed(&self, port: u16) -> bool {
        let known = self.ports.0.read().unwrap_or_else(PoisonError::into_inner);
        known.runtime.contains(&port) || known.service.contains(&port) && !self.service
    }

    /// The routes of its forks.
    pub(crate) fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// The port that a process means by one, if it is another.
    pub(crate) fn route(&self, process: i32, ip: IpAddr, port: u16) -> Option<u16> {
        let is_own = port == self.own && (ip.is_loopback() || ip.is_unspecified());
        if is_own { self.routes.of(process) } else { None }
    }

    /// Whether a connection would reach a port of the engine's that is not this process's. They are all on loopback, which
    /// the unspecified address means too.
    /// The one of a process that is forked is for itself and its forks alone.
    pub(crate) fn refuses(&self, process: i32, ip: IpAddr, port: u16) -> bool {
        if !(ip.is_loopback() || ip.is_unspecified()) {
            return false;
        }
        if port == self.own {
            return self.routes.is_strange(process);
        }
        self.is_closed(port)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn ports_of_others_are_refused_as_long_as_they_are_there() {
        let ports = Arc::new(Ports::default());
        let (_own, other) = (ports.runtime(1), ports.runtime(2));
        ports.service(9);
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let (closed, open) = (Guard::new(&ports, 1, false), Guard::new(&ports, 1, true));
        let refused = |guard: &Guard| {
            [1, 2, 3, 9].into_iter().filter(|&port| guard.refuses(0, loopback, port)).collect::<Vec<_>>()
        };
        assert_eq!(refused(&closed), [2, 9]);
        assert_eq!(refused(&open), [2]);
        assert!(closed.refuses(0, IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9));
        assert!(!closed.refuses(0, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9));
        drop(other);
        assert_eq!(refused(&closed), [9]);
    }
}
