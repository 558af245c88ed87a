//! The interpreter's process between the fork and the interpreter: limits itself, installs the filter, executes.
//!
//! The rules of [`super::child`] hold: no allocation, no lock, no panic.
#![expect(unsafe_code, reason = "system calls in a forked copy, where nothing of the library is safe to use")]

use std::os::fd::RawFd;
use std::ptr::null_mut;

use super::child::{Orders, Stage, close_from, exit, fail, send, tag};
use super::steps::errno;
use crate::limits::OPEN_FILES;

/// Numbers of the descriptors that the interpreter starts with, besides 0, 1 and 2; `bootstrap.py` knows them.
const SETTINGS: RawFd = 3;
const MARK: RawFd = 4;
const AGENT_OUTPUT: RawFd = 5;
const FORKS: RawFd = 6;
/// Open until the interpreter is executed.
const CONTROL: RawFd = 7;
const COMPANIONS: RawFd = 8;
/// Where descriptors are moved out of the way of these.
const PARKING: RawFd = 64;

/// The interpreter's process until it is executed.
pub(super) fn interpreter(orders: &Orders<'_>) -> ! {
    let control = orders.control;
    // SAFETY: no pointers.
    unsafe { libc::setsid() };
    for &procs in orders.cgroups {
        // SAFETY: the text outlives the call; "0" is the process that writes.
        if unsafe { libc::write(procs, c"0".as_ptr().cast(), 1) } < 0 {
            let error = errno();
            hand_over(orders, -1);
            fail(control, Stage::Cgroup, 0, error);
        }
    }
    limit(orders);
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if let Some(filter) = orders.filter {
        match install(filter) {
            Ok(listener) => hand_over(orders, listener),
            Err(error) => {
                hand_over(orders, -1);
                fail(control, Stage::Filter, 0, error);
            }
        }
    } else {
        hand_over(orders, -1);
    }
    // SAFETY: no pointers; from here on the descriptors are this process's own.
    if unsafe { libc::unshare(libc::CLONE_FILES) } < 0 {
        fail(control, Stage::Descriptors, 0, errno());
    }
    hand_over(orders, 0);
    if let Err(error) = arrange(orders) {
        fail(control, Stage::Descriptors, 1, error);
    }
    // Not before: those of an engine with many environments have higher numbers.
    limit_one(libc::RLIMIT_NOFILE, OPEN_FILES);
    await_acknowledgement(orders);
    execute(orders)
}

/// Tells the keeper a number.
fn hand_over(orders: &Orders<'_>, number: i32) {
    // SAFETY: the number outlives the call.
    unsafe { libc::write(orders.handoff.1, (&raw const number).cast(), size_of::<i32>()) };
}

/// Waits for the engine's word, and starts companions before it as they are asked for; without it there is no engine any
/// more.
fn await_acknowledgement(orders: &Orders<'_>) {
    let mut byte = 0_u8;
    let mut next = 0;
    loop {
        // SAFETY: the byte outlives the call.
        let read = unsafe { libc::read(CONTROL, (&raw mut byte).cast(), 1) };
        match read {
            1 if byte == super::COMPANION_WORD => {
                accompany(orders, next);
                next += 1;
            }
            1 => return,
            -1 if errno() == libc::EINTR => {}
            _ => exit(1),
        }
    }
}

/// Starts one companion, as a child of the keeper and under everything that limits this process.
fn accompany(orders: &Orders<'_>, index: usize) {
    let Some(companion) = orders.companions.get(index) else { return };
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: like `fork`, but for the parent; no stack and no pointers are given.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(flags), 0, 0, 0, 0) };
    if child != 0 {
        send(CONTROL, &[tag::COMPANION, index as u64, child.max(0) as u64, 0]);
        return;
    }
    // SAFETY: no pointers but to C strings and vectors that end in null pointers, which outlive the calls; nothing but the
    // first three descriptors is used afterwards.
    unsafe {
        libc::setsid();
        libc::dup2(COMPANIONS, 1);
        libc::dup2(COMPANIONS, 2);
        close_from(3, RawFd::MAX);
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, null_mut());
        libc::execve(companion.path.as_ptr(), companion.arguments.as_ptr(), companion.variables.as_ptr());
    }
    // As a shell says that it cannot execute something.
    exit(127)
}

fn limit_one(resource: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the limit outlives the call.
    unsafe { libc::setrlimit(resource, &raw const limit) };
}

/// Resource limits and capabilities. What the host forbids to set is not there to be limited.
fn limit(orders: &Orders<'_>) {
    limit_one(libc::RLIMIT_CORE, 0);
    // The kernel counts the processes of forks with those of the process that they come from.
    if let Some(processes) = orders.processes.filter(|_| orders.forks.is_none()) {
        limit_one(libc::RLIMIT_NPROC, processes);
    }
    // A function has no capabilities; the one that only opens files stays, since the host's root may have to read a tree
    // that belongs to somebody else (CAP_DAC_OVERRIDE; not CAP_DAC_READ_SEARCH, with which files are opened that no view
    // shows, open_by_handle_at(2)). Forks have user namespaces of their
    // own, into which root is mapped by its CAP_SETFCAP alone (user_namespaces(7)).
    for capability in 0..=63 {
        let kept = capability == 1 || capability == 31 && orders.forks.is_some();
        if !kept {
            // SAFETY: no pointers; unknown numbers are refused.
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability as libc::c_ulong, 0, 0, 0) };
        }
    }
}

/// Installs the filter; gives the descriptor on which it asks.
fn install(filter: &[libc::sock_filter]) -> Result<RawFd, i32> {
    /// Requests that a signal does not interrupt (Linux 5.19).
    const WAIT_KILLABLE: libc::c_ulong = 1 << 5;
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // Without SPEC_ALLOW older kernels slow every process with a filter down.
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    for flags in [flags | WAIT_KILLABLE, flags] {
        // SAFETY: the program outlives the call; the kernel copies it.
        let listener = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::c_ulong::from(libc::SECCOMP_SET_MODE_FILTER),
                flags,
                &raw const program,
            )
        };
        if listener >= 0 {
            return Ok(listener as RawFd);
        }
    }
    Err(errno())
}

/// Gives every descriptor its number and closes all others.
fn arrange(orders: &Orders<'_>) -> Result<(), i32> {
    let sources = [
        (orders.null, 0),
        (orders.output, 1),
        (orders.output, 2),
        (orders.settings, SETTINGS),
        (orders.mark, MARK),
        (orders.agent_output.unwrap_or(orders.null), AGENT_OUTPUT),
        (orders.forks.unwrap_or(orders.null), FORKS),
        (orders.control, CONTROL),
        (orders.companions_output, COMPANIONS),
    ];
    let mut parked = [0; 9];
    for (place, (source, _)) in parked.iter_mut().zip(sources) {
        // SAFETY: no pointers.
        *place = unsafe { libc::fcntl(source, libc::F_DUPFD_CLOEXEC, PARKING) };
        if *place < 0 {
            return Err(errno());
        }
    }
    for (source, (_, number)) in parked.into_iter().zip(sources) {
        // SAFETY: no pointers; every source is out of the numbers' way.
        if unsafe { libc::dup2(source, number) } < 0 {
            return Err(errno());
        }
    }
    // SAFETY: no pointers; nothing above is needed any more.
    unsafe {
        libc::fcntl(CONTROL, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::fcntl(COMPANIONS, libc::F_SETFD, libc::FD_CLOEXEC);
        if orders.agent_output.is_none() {
            libc::close(AGENT_OUTPUT);
        }
        if orders.forks.is_none() {
            libc::close(FORKS);
        }
        close_from(COMPANIONS + 1, RawFd::MAX);
    }
    Ok(())
}

fn execute(orders: &Orders<'_>) -> ! {
    // SAFETY: the set and the two times outlive the calls; the vectors end in null pointers and hold C strings.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, null_mut());
        let (mut wall, mut cpu): (libc::timespec, libc::timespec) = (std::mem::zeroed(), std::mem::zeroed());
        libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut cpu);
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut wall);
        send(CONTROL, &[tag::STARTED, nanoseconds(&wall), nanoseconds(&cpu), 0]);
        let Some(program) = orders.program else { exit(0) };
        libc::execve(program.as_ptr(), orders.arguments.as_ptr(), orders.variables.as_ptr());
    }
    fail(CONTROL, Stage::Execute, 0, errno())
}

fn nanoseconds(time: &libc::timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
