//! The thread that watches over one process: its output, its network questions, its end.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use glowplug_core::{Error, Result};
use rustix::event::{PollFd, PollFlags, poll};

use crate::clock::{Stamp, monotonic_ns};
use crate::exchange::{Ending, Exchange};
use crate::forks::Forks;
use crate::launch::{Word, describe, word};
use crate::network::Policy;
use crate::output::OutputPipe;
use crate::payload::Exit;

/// When the interpreter was executed; set before its first request.
pub(crate) type Started = Arc<Mutex<Option<Stamp>>>;

/// What a supervisor watches.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) control: OwnedFd,
    pub(crate) policy: Option<Policy>,
    pub(crate) output: Arc<OutputPipe>,
    /// What companions write, as long as there may be more of it.
    pub(crate) companions: Option<Arc<OutputPipe>>,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) started: Started,
    /// Where a process says whether it can be forked, until it has.
    pub(crate) forks: Option<OwnedFd>,
}

/// Starts the thread; it ends with the keeper.
pub(crate) fn supervise(watched: Watched) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("glowplug-supervisor".to_owned())
        .stack_size(256 * 1024)
        .spawn(move || watch(watched))
        .map_err(|error| Error::surroundings("cannot start a thread").cause(error))
}

fn watch(mut watched: Watched) {
    let mut output_open = true;
    loop {
        let Happened { control_ready, output_ready, policy_event, forks_ready, companions_ready } =
            wait(&watched, output_open);
        if companions_ready && watched.companions.as_ref().is_some_and(|companions| !companions.drain()) {
            watched.companions = None;
        }
        if forks_ready && let Some(forks) = watched.forks.take() {
            watched.exchange.snapshot(first_message(&forks));
        }
        if output_ready {
            output_open = watched.output.drain();
        }
        if policy_event.contains(PollFlags::IN)
            && let Some(policy) = &watched.policy
        {
            policy.answer();
        } else if !policy_event.is_empty() {
            watched.policy = None;
        }
        if control_ready && !hear(&watched) {
            break;
        }
    }
    watched.output.drain();
    if let Some(companions) = &watched.companions {
        companions.drain();
    }
}

/// What there is to do.
struct Happened {
    control_ready: bool,
    output_ready: bool,
    policy_event: PollFlags,
    forks_ready: bool,
    companions_ready: bool,
}

/// Waits for something to happen; what is over is not polled any more.
fn wait(watched: &Watched, output_open: bool) -> Happened {
    let mut polled = vec![PollFd::new(&watched.control, PollFlags::IN)];
    let output = watched.output.as_fd();
    let policy = watched.policy.as_ref().map(Policy::as_fd);
    if output_open {
        polled.push(PollFd::new(&output, PollFlags::IN));
    }
    if let Some(policy) = &policy {
        polled.push(PollFd::new(policy, PollFlags::IN));
    }
    if let Some(forks) = &watched.forks {
        polled.push(PollFd::new(forks, PollFlags::IN));
    }
    let companions = watched.companions.as_ref().map(|companions| companions.as_fd());
    if let Some(companions) = &companions {
        polled.push(PollFd::new(companions, PollFlags::IN));
    }
    // Interrupted: the events are empty, and the caller comes again.
    let _ = poll(&mut polled, None);
    let mut events = polled.iter().map(PollFd::revents);
    let control = events.next().unwrap_or(PollFlags::empty());
    let output = if output_open { events.next() } else { None };
    let policy = if policy.is_some() { events.next() } else { None };
    let forks = if watched.forks.is_some() { events.next() } else { None };
    let companions = events.next();
    let happened = |events: Option<PollFlags>| events.is_some_and(|events| !events.is_empty());
    Happened {
        control_ready: !control.is_empty(),
        output_ready: happened(output),
        policy_event: policy.unwrap_or(PollFlags::empty()),
        forks_ready: happened(forks),
        companions_ready: happened(companions),
    }
}

/// What a process says that is to be forked; nothing where it has ended instead.
fn first_message(forks: &OwnedFd) -> Vec<u8> {
    let mut said = vec![0; 64 * 1024];
    let count = rustix::io::read(forks, &mut said).unwrap_or(0);
    said.truncate(count);
    said
}

/// Starts the thread that watches over a fork: its output, and its end, about which its parent is asked.
pub(crate) fn watch_fork(
    process: OwnedFd,
    inner_pid: i32,
    output: Arc<OutputPipe>,
    exchange: Arc<Exchange>,
    forks: Arc<Forks>,
) -> Result<JoinHandle<()>> {
    let watch = move || {
        let mut output_open = true;
        loop {
            let pipe = output.as_fd();
            let mut polled = vec![PollFd::new(&process, PollFlags::IN)];
            if output_open {
                polled.push(PollFd::new(&pipe, PollFlags::IN));
            }
            let _ = poll(&mut polled, None);
            let (ended, readable) = (!polled[0].revents().is_empty(), polled.get(1).map(PollFd::revents));
            if readable.is_some_and(|events| !events.is_empty()) {
                output_open = output.drain();
            }
            if ended {
                break;
            }
        }
        output.drain();
        let reaped = forks.reap(inner_pid);
        let exit = reaped.map_or(Exit::Signal(libc::SIGKILL), |reaped| Exit::from_wait(reaped.status));
        let stamp = Stamp { at_ns: monotonic_ns(), cpu_ns: reaped.map(|reaped| reaped.cpu_ns) };
        exchange.ended(Ending { exit, stamp, peak_memory_kib: reaped.map_or(0, |reaped| reaped.peak_kib) });
    };
    std::thread::Builder::new()
        .name("glowplug-fork".to_owned())
        .stack_size(256 * 1024)
        .spawn(watch)
        .map_err(|error| Error::surroundings("cannot start a thread").cause(error))
}

/// Takes one message; false when there will be no more.
fn hear(watched: &Watched) -> bool {
    let exchange = &watched.exchange;
    match word(watched.control.as_fd()) {
        Word::Started { at_ns, cpu_ns } => {
            *watched.started.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Stamp { at_ns, cpu_ns: Some(cpu_ns) });
        }
        Word::Ended { status, cpu_ns, peak_memory_kib } => {
            let stamp = Stamp { at_ns: monotonic_ns(), cpu_ns: Some(cpu_ns) };
            watched.output.drain();
            exchange.ended(Ending { exit: Exit::from_wait(status), stamp, peak_memory_kib });
        }
        Word::Companion { index, pid: 0 } => {
            exchange.extensions.started(index, -1);
            exchange.extensions.ended(-1, "it could not be started".to_owned());
            exchange.look_again();
        }
        Word::Companion { index, pid } => exchange.extensions.started(index, pid),
        Word::Orphan { pid, status } => {
            if exchange.extensions.ended(pid, Exit::from_wait(status).describe()) {
                exchange.look_again();
            }
        }
        Word::Failed { stage, index, errno } => exchange.launch_failed(describe(stage, index, errno, &[])),
        Word::Closed => {
            // The keeper never goes first, unless somebody kills it: us, or the host when it is out of memory.
            let stamp = Stamp { at_ns: monotonic_ns(), cpu_ns: None };
            exchange.ended(Ending { exit: Exit::Signal(libc::SIGKILL), stamp, peak_memory_kib: 0 });
            return false;
        }
    }
    true
}
