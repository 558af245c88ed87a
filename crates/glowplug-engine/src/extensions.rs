//! Extensions of one process: who has registered, for which events, and what each of them is doing.
//!
//! States, errors and their words as in "Lambda Extensions API" of the developer guide and AWS's runtime interface emulator.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::clock::epoch;
use crate::payload::uuid;

/// Extensions that may register ("Lambda quotas").
pub(crate) const MOST: usize = 10;

/// Why a call is refused: type and message.
pub(crate) type Refusal = (&'static str, String);

/// What an extension is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Started by the engine, not heard of yet.
    Started,
    Registered,
    /// Waits for an event.
    Ready,
    /// Has one.
    Running,
    Ended,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::Registered => "Registered",
            Self::Ready => "Ready",
            Self::Running => "Running",
            Self::Ended => "Exited",
        }
    }
}

#[derive(Debug)]
struct Extension {
    name: String,
    id: String,
    /// A program of its own, in `/opt/extensions`; otherwise a part of the runtime's process.
    external: bool,
    /// Its number as its parent counts.
    pid: i32,
    events: Vec<String>,
    phase: Phase,
    pending: Option<Value>,
}

/// Why the environment cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) error_type: &'static str,
    pub(crate) reason: String,
}

#[derive(Debug, Default)]
struct State {
    all: Vec<Extension>,
    /// Init is over: nobody registers any more.
    closed: bool,
    /// They have been told to end.
    ending: bool,
    failure: Option<Failure>,
}

/// The extensions of one process.
#[derive(Debug, Default)]
pub(crate) struct Extensions {
    state: Mutex<State>,
    /// Wakes those that wait for an event.
    offered: Notify,
}

impl Extensions {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Programs that are about to be started, by the names of their files.
    pub(crate) fn expect(&self, names: &[String]) {
        let mut state = self.lock();
        state.all.extend(names.iter().map(|name| Extension {
            name: name.clone(),
            id: uuid(),
            external: true,
            pid: 0,
            events: Vec::new(),
            phase: Phase::Started,
            pending: None,
        }));
    }

    /// The program with this number in the list was started.
    pub(crate) fn started(&self, index: usize, pid: i32) {
        if let Some(extension) = self.lock().all.get_mut(index) {
            extension.pid = pid;
        }
    }

    /// A process has ended; whether it was an extension.
    pub(crate) fn ended(&self, pid: i32, how: String) -> bool {
        let mut state = self.lock();
        let ending = state.ending;
        let Some(extension) = state.all.iter_mut().find(|extension| extension.pid == pid) else {
            return false;
        };
        let launched = extension.phase != Phase::Started;
        extension.phase = Phase::Ended;
        if !ending && state.failure.is_none() {
            let error_type = if launched { "Extension.Crash" } else { "Extension.LaunchError" };
            state.failure = Some(Failure { error_type, reason: how });
        }
        true
    }

    /// Whether there are any, and all programs have registered.
    pub(crate) fn all_registered(&self) -> bool {
        let state = self.lock();
        state.failure.is_some() || state.all.iter().all(|extension| extension.phase != Phase::Started)
    }

    /// Whether none of them is at work.
    pub(crate) fn ready(&self) -> bool {
        let idle = |extension: &Extension| matches!(extension.phase, Phase::Ready | Phase::Ended);
        self.lock().all.iter().all(idle)
    }

    /// More programs than there may be: none of them is started.
    pub(crate) fn too_many(&self, count: usize) {
        let reason = format!("{count} extensions, where {MOST} may be");
        self.lock().failure = Some(Failure { error_type: "Extension.TooManyExtensions", reason });
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().all.iter().map(|extension| extension.name.clone()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().all.is_empty()
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }

    /// Nobody registers from now on; gives name, state and events of each.
    pub(crate) fn close(&self) -> Vec<Value> {
        let mut state = self.lock();
        if std::mem::replace(&mut state.closed, true) {
            return Vec::new();
        }
        let told = |extension: &Extension| json!({"name": extension.name, "state": extension.phase.name(), "events": extension.events});
        state.all.iter().map(told).collect()
    }

    /// An extension registers; gives its id.
    pub(crate) fn register(&self, name: &str, events: Vec<String>) -> Result<String, Refusal> {
        if name.is_empty() {
            return Err(("Extension.InvalidExtensionName", "Empty extension name".to_owned()));
        }
        let mut state = self.lock();
        let known = state.all.iter().position(|extension| extension.external && extension.name == name);
        let allowed: &[&str] = if known.is_some() { &["INVOKE", "SHUTDOWN"] } else { &["INVOKE"] };
        if let Some(event) = events.iter().find(|event| !allowed.contains(&event.as_str())) {
            let why = if event == "SHUTDOWN" {
                "ShutdownEventNotSupportedForInternalExtension"
            } else {
                "InvalidEventType"
            };
            return Err(("Extension.InvalidEventType", format!("{event}: {why}")));
        }
        let at = match known {
            Some(at) => at,
            None => state.join(name)?,
        };
        let extension = &mut state.all[at];
        if extension.phase != Phase::Started {
            return Err(transition(extension, "Registered"));
        }
        extension.phase = Phase::Registered;
        extension.events = events;
        Ok(extension.id.clone())
    }

    /// The name of the extension with this id.
    pub(crate) fn name(&self, id: &str) -> Option<String> {
        self.lock().all.iter().find(|extension| extension.id == id).map(|extension| extension.name.clone())
    }

    /// An extension asks for its next event: waits for one. `arrived` is called once it counts as ready.
    pub(crate) async fn next(&self, id: &str, arrived: impl FnOnce()) -> Result<Value, Refusal> {
        self.arrive(id)?;
        arrived();
        loop {
            let mut offered = std::pin::pin!(self.offered.notified());
            // Registered before the look, so that an event offered in between is not missed.
            offered.as_mut().enable();
            if let Some(event) = self.take(id) {
                return Ok(event);
            }
            offered.await;
        }
    }

    fn arrive(&self, id: &str) -> Result<(), Refusal> {
        let mut state = self.lock();
        let extension = state.find(id)?;
        match extension.phase {
            Phase::Registered | Phase::Ready | Phase::Running => {
                // What was offered before it asked is still to come.
                if extension.pending.is_none() {
                    extension.phase = Phase::Ready;
                }
                Ok(())
            }
            Phase::Started | Phase::Ended => Err(transition(extension, "Ready")),
        }
    }

    fn take(&self, id: &str) -> Option<Value> {
        self.lock().find(id).ok()?.pending.take()
    }

    /// An extension says that it cannot go on.
    pub(crate) fn fails(&self, id: &str, error_type: &'static str, told: &str) -> Result<(), Refusal> {
        let mut state = self.lock();
        let extension = state.find(id)?;
        let allowed = match error_type {
            "Extension.InitError" => extension.phase == Phase::Registered,
            _ => extension.phase != Phase::Started,
        };
        if !allowed {
            let to = if error_type == "Extension.InitError" { "InitError" } else { "ExitError" };
            return Err(transition(extension, to));
        }
        extension.phase = Phase::Ended;
        if !state.ending {
            state.failure.get_or_insert(Failure { error_type, reason: told.to_owned() });
        }
        Ok(())
    }

    /// An event is on its way to the runtime: those who want to know of it do.
    pub(crate) fn invoke(&self, event: &Value) {
        self.tell("INVOKE", event);
    }

    /// The environment ends: gives whether somebody was told.
    pub(crate) fn shut_down(&self, reason: &str, patience: Duration) -> bool {
        let deadline_ms = (epoch() + patience).as_millis() as u64;
        self.lock().ending = true;
        self.tell(
            "SHUTDOWN",
            &json!({"eventType": "SHUTDOWN", "shutdownReason": reason, "deadlineMs": deadline_ms}),
        )
    }

    fn tell(&self, kind: &str, event: &Value) -> bool {
        let mut told = false;
        for extension in &mut self.lock().all {
            let wants = extension.events.iter().any(|event| event == kind);
            if wants && matches!(extension.phase, Phase::Ready | Phase::Running) {
                extension.pending = Some(event.clone());
                extension.phase = Phase::Running;
                told = true;
            }
        }
        self.offered.notify_waiters();
        told
    }

    /// Waits until all programs have ended.
    pub(crate) fn wait_ended(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let alive = |extension: &Extension| extension.external && extension.phase != Phase::Ended;
        while self.lock().all.iter().any(alive) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl State {
    fn find(&mut self, id: &str) -> Result<&mut Extension, Refusal> {
        let unknown = || ("Extension.UnknownExtensionIdentifier", format!("Unknown extension {id}"));
        self.all.iter_mut().find(|extension| extension.id == id).ok_or_else(unknown)
    }

    /// A part of the runtime's process becomes one.
    fn join(&mut self, name: &str) -> Result<usize, Refusal> {
        if self.closed {
            return Err(("Extension.RegistrationClosed", "Extension registration closed already".to_owned()));
        }
        if self.all.iter().any(|extension| extension.name == name) {
            let told = "Extension with this name already registered".to_owned();
            return Err(("Extension.InvalidExtensionState", told));
        }
        if self.all.len() >= MOST {
            return Err(("Extension.TooManyExtensions", format!("Extension limit ({MOST}) reached")));
        }
        self.all.push(Extension {
            name: name.to_owned(),
            id: uuid(),
            external: false,
            pid: 0,
            events: Vec::new(),
            phase: Phase::Started,
            pending: None,
        });
        Ok(self.all.len() - 1)
    }
}

fn transition(extension: &Extension, to: &str) -> Refusal {
    let told = format!(
        "State transition from {} to {to} failed for extension {}. Error: State transition is not allowed",
        extension.phase.name(),
        extension.name
    );
    ("Extension.InvalidExtensionState", told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn programs_register_once_and_by_their_names() {
        let extensions = Extensions::default();
        extensions.expect(&events(&["one"]));
        assert!(!extensions.all_registered() && !extensions.ready());
        assert_eq!(extensions.register("", Vec::new()).unwrap_err().0, "Extension.InvalidExtensionName");
        let refused = extensions.register("one", events(&["SLEEP"])).unwrap_err();
        assert_eq!(refused, ("Extension.InvalidEventType", "SLEEP: InvalidEventType".to_owned()));
        let one = extensions.register("one", events(&["INVOKE", "SHUTDOWN"])).unwrap();
        assert_eq!(extensions.register("one", Vec::new()).unwrap_err().0, "Extension.InvalidExtensionState");
        // One within the runtime ends with it, and is not told.
        let refused = extensions.register("inner", events(&["SHUTDOWN"])).unwrap_err();
        assert!(refused.1.ends_with("NotSupportedForInternalExtension"), "{refused:?}");
        extensions.register("inner", events(&["INVOKE"])).unwrap();
        assert!(extensions.all_registered() && !extensions.ready());
        assert_eq!(extensions.name(&one).as_deref(), Some("one"));
        assert_eq!(extensions.close().len(), 2);
        assert_eq!(extensions.register("late", Vec::new()).unwrap_err().0, "Extension.RegistrationClosed");
    }

    #[test]
    fn events_wait_for_those_who_want_them() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let extensions = Extensions::default();
        let one = extensions.register("one", events(&["INVOKE"])).unwrap();
        assert_eq!(
            runtime.block_on(extensions.next("nobody", || {})).unwrap_err().0,
            "Extension.UnknownExtensionIdentifier"
        );
        extensions.arrive(&one).unwrap();
        assert!(extensions.ready());
        extensions.invoke(&json!(1));
        assert!(!extensions.ready());
        assert_eq!(runtime.block_on(extensions.next(&one, || {})).unwrap(), json!(1));
        assert!(!extensions.ready(), "it has the event");
        extensions.arrive(&one).unwrap();
        assert!(extensions.ready());
        assert!(!extensions.shut_down("spindown", Duration::ZERO), "nobody wants to know");
    }

    #[test]
    fn programs_that_end_too_early_are_failures() {
        let extensions = Extensions::default();
        extensions.expect(&events(&["one", "two"]));
        extensions.started(0, 7);
        extensions.started(1, 8);
        extensions.register("two", Vec::new()).unwrap();
        assert!(!extensions.ended(9, String::new()));
        assert!(extensions.ended(7, "exit status 3".to_owned()));
        let failure = Failure { error_type: "Extension.LaunchError", reason: "exit status 3".to_owned() };
        assert_eq!(extensions.failure(), Some(failure));
        let calm = Extensions::default();
        calm.expect(&events(&["one"]));
        calm.started(0, 7);
        calm.register("one", events(&["SHUTDOWN"])).unwrap();
        calm.shut_down("spindown", Duration::ZERO);
        calm.ended(7, "exit status 0".to_owned());
        assert_eq!(calm.failure(), None);
    }
}
