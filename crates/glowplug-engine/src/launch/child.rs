//! What runs between the fork and the interpreter.
//!
//! Two processes: the *keeper*, which builds the view, becomes the first process of the namespace, waits for the
//! interpreter and takes everything down with it; and the interpreter's own, which limits itself and executes.
//! Both are copies of a process with many threads: until the interpreter is executed nothing here may allocate,
//! lock or panic. Everything they need has been made before, in [`Orders`].
#![expect(unsafe_code, reason = "system calls in a forked copy, where nothing of the library is safe to use")]

use std::ffi::CStr;
use std::os::fd::RawFd;
use std::ptr::{null, null_mut};

use super::interpreter::interpreter;
use super::steps::{Step, errno};

/// Tags of the messages to the engine.
pub(super) mod tag {
    pub(in crate::launch) const FAILED: u64 = 1;
    pub(in crate::launch) const FORKED: u64 = 2;
    pub(in crate::launch) const STARTED: u64 = 3;
    pub(in crate::launch) const ENDED: u64 = 4;
    pub(in crate::launch) const COMPANION: u64 = 5;
    pub(in crate::launch) const ORPHAN: u64 = 6;
}

/// A message: the tag and three values.
pub(super) type Message = [u64; 4];

/// Where a launch can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Stage {
    Identity = 1,
    View = 2,
    Root = 3,
    Fork = 4,
    Cgroup = 5,
    Filter = 6,
    Descriptors = 7,
    Directory = 8,
    Execute = 9,
}

impl Stage {
    pub(super) fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Identity,
            2 => Self::View,
            3 => Self::Root,
            4 => Self::Fork,
            5 => Self::Cgroup,
            6 => Self::Filter,
            7 => Self::Descriptors,
            8 => Self::Directory,
            _ => Self::Execute,
        }
    }
}

/// A program that runs beside the interpreter.
pub(super) struct Companion<'a> {
    pub(super) path: &'a CStr,
    /// Both end in a null pointer.
    pub(super) arguments: Vec<*const libc::c_char>,
    pub(super) variables: Vec<*const libc::c_char>,
}

/// Everything the two processes need, borrowed from the engine's memory, of which they have a copy.
pub(super) struct Orders<'a> {
    /// Files of the user namespace and what to write to them.
    pub(super) identity: &'a [(&'a CStr, &'a [u8])],
    pub(super) steps: &'a [Step],
    /// The new root, if there is one.
    pub(super) root: Option<&'a CStr>,
    pub(super) directory: &'a CStr,
    /// `None`: a trial that ends before the interpreter.
    pub(super) program: Option<&'a CStr>,
    /// Both end in a null pointer.
    pub(super) arguments: &'a [*const libc::c_char],
    pub(super) variables: &'a [*const libc::c_char],
    pub(super) control: RawFd,
    /// Ends when the engine does.
    pub(super) life: RawFd,
    pub(super) null: RawFd,
    pub(super) output: RawFd,
    pub(super) settings: RawFd,
    pub(super) mark: RawFd,
    pub(super) agent_output: Option<RawFd>,
    /// Where forks of the interpreter are asked for.
    pub(super) forks: Option<RawFd>,
    pub(super) companions: &'a [Companion<'a>],
    /// Standard output and error of these.
    pub(super) companions_output: RawFd,
    /// `cgroup.procs` files to join.
    pub(super) cgroups: &'a [RawFd],
    /// A file of a group of version 1 by which processes go on that stand still: otherwise they could not even die.
    pub(super) thaw: Option<RawFd>,
    pub(super) filter: Option<&'a [libc::sock_filter]>,
    /// A pipe between the two processes.
    pub(super) handoff: (RawFd, RawFd),
    /// Without a process namespace the keeper must find the descendants itself.
    pub(super) sweep: bool,
    /// Limit on processes where it counts this environment alone.
    pub(super) processes: Option<u64>,
}

pub(super) fn exit(status: i32) -> ! {
    // SAFETY: ends this process at once.
    unsafe { libc::_exit(status) }
}

pub(super) fn send(control: RawFd, message: &Message) {
    // SAFETY: the message outlives the call. `write`, because the filter asks about other ways of sending.
    unsafe { libc::write(control, message.as_ptr().cast(), size_of::<Message>()) };
}

pub(super) fn fail(control: RawFd, stage: Stage, index: usize, error: i32) -> ! {
    send(control, &[tag::FAILED, stage as u64, index as u64, error as u64]);
    exit(1)
}

/// The whole life of the keeper.
pub(super) fn keep(orders: &Orders<'_>) -> ! {
    reset_signals();
    // SAFETY: no pointers.
    unsafe {
        libc::setsid();
        if orders.sweep {
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        }
    }
    if let Err(error) = identify(orders) {
        fail(orders.control, Stage::Identity, 0, error);
    }
    for (index, step) in orders.steps.iter().enumerate() {
        if let Err(error) = step.perform() {
            fail(orders.control, Stage::View, index, error);
        }
    }
    if let Some(root) = orders.root
        && let Err(error) = enter(root)
    {
        fail(orders.control, Stage::Root, 0, error);
    }
    // SAFETY: the path is a C string that outlives the call.
    if unsafe { libc::chdir(orders.directory.as_ptr()) } < 0 {
        fail(orders.control, Stage::Directory, 0, errno());
    }
    let flags = libc::CLONE_FILES | libc::SIGCHLD;
    // SAFETY: like `fork`, but for the descriptors, which stay shared until the child parts from them; no stack
    // and no pointers are given.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(flags), 0, 0, 0, 0) };
    match child {
        0 => interpreter(orders),
        child if child < 0 => fail(orders.control, Stage::Fork, 0, errno()),
        child => guard(orders, child as libc::pid_t),
    }
}

fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: sets a default; numbers that cannot be set are refused and stay as they are.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

fn identify(orders: &Orders<'_>) -> Result<(), i32> {
    for (path, content) in orders.identity {
        // SAFETY: path and content outlive the calls; the descriptor is closed by nobody else.
        unsafe {
            let descriptor = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
            if descriptor < 0 {
                return Err(errno());
            }
            let written = libc::write(descriptor, content.as_ptr().cast(), content.len());
            let error = errno();
            libc::close(descriptor);
            if written < 0 {
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Makes a folder the root and lets go of the old one.
fn enter(root: &CStr) -> Result<(), i32> {
    // SAFETY: all paths are C strings that outlive the calls.
    unsafe {
        if libc::chdir(root.as_ptr()) < 0 {
            return Err(errno());
        }
        // Old and new root at one place: the old one lies on top and is taken off (pivot_root(2), notes).
        if libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) == 0 {
            return if libc::umount2(c".".as_ptr(), libc::MNT_DETACH) < 0 { Err(errno()) } else { Ok(()) };
        }
        // The host runs from its boot image, which cannot be exchanged.
        if libc::chroot(c".".as_ptr()) < 0 {
            return Err(errno());
        }
    }
    Ok(())
}

/// Closes the descriptors of a range.
///
/// # Safety
/// Nobody may use them afterwards.
pub(super) unsafe fn close_from(first: RawFd, last: RawFd) {
    if first > last {
        return;
    }
    // SAFETY: no pointers; the caller has no use for them.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } < 0 {
        for descriptor in first..=last.min(65_536) {
            // SAFETY: as above.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// The keeper once the interpreter's process is there.
fn guard(orders: &Orders<'_>, child: libc::pid_t) -> ! {
    // SAFETY: no pointers.
    let process = unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) } as RawFd;
    if process < 0 {
        fail(orders.control, Stage::Fork, 1, errno());
    }
    let listener = receive(orders, process);
    announce(orders.control, process, listener);
    if listener >= 0 {
        // SAFETY: the listener in the shared table; the engine has its own now.
        unsafe { libc::close(listener) };
    }
    receive(orders, process);
    let mut kept = [orders.control, orders.life, process, orders.thaw.unwrap_or(process)];
    kept.sort_unstable();
    let mut next = 0;
    for descriptor in kept {
        // SAFETY: this process uses these alone, and the table is its own since the other has parted from it.
        unsafe { close_from(next, descriptor - 1) };
        next = descriptor + 1;
    }
    // SAFETY: as above.
    unsafe { close_from(next, RawFd::MAX) };
    watch(orders, child, process)
}

/// A number from the interpreter's process; if it ends instead, so does everything.
fn receive(orders: &Orders<'_>, process: RawFd) -> i32 {
    let mut polled = [poll_for(orders.handoff.0), poll_for(process)];
    loop {
        // SAFETY: the array outlives the call.
        unsafe { libc::poll(polled.as_mut_ptr(), 2, -1) };
        if polled[0].revents != 0 {
            let mut number = -1_i32;
            // SAFETY: the number outlives the call.
            unsafe { libc::read(orders.handoff.0, (&raw mut number).cast(), size_of::<i32>()) };
            return number;
        }
        if polled[1].revents != 0 {
            exit(1);
        }
    }
}

fn poll_for(descriptor: RawFd) -> libc::pollfd {
    libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 }
}

/// Sends the engine the process and the filter's listener as descriptors.
fn announce(control: RawFd, process: RawFd, listener: RawFd) {
    #[repr(C, align(8))]
    struct Space([u8; 64]);
    let mut message: Message = [tag::FORKED, 0, 0, 0];
    let mut space = Space([0; 64]);
    let descriptors = [process, listener];
    let count = if listener >= 0 { 2 } else { 1 };
    let bytes = (count * size_of::<RawFd>()) as u32;
    // SAFETY: all parts outlive the call; the space is aligned and larger than one header with two descriptors.
    unsafe {
        let mut part = libc::iovec { iov_base: message.as_mut_ptr().cast(), iov_len: size_of::<Message>() };
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = space.0.as_mut_ptr().cast();
        header.msg_controllen = libc::CMSG_SPACE(bytes) as _;
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        (*first).cmsg_level = libc::SOL_SOCKET;
        (*first).cmsg_type = libc::SCM_RIGHTS;
        (*first).cmsg_len = libc::CMSG_LEN(bytes) as _;
        std::ptr::copy_nonoverlapping(descriptors.as_ptr().cast(), libc::CMSG_DATA(first), bytes as usize);
        libc::sendmsg(control, &raw const header, libc::MSG_NOSIGNAL);
    }
}

/// Waits for the end of the interpreter or of the engine, collecting orphans, and takes everything down.
fn watch(orders: &Orders<'_>, child: libc::pid_t, process: RawFd) -> ! {
    let mut polled = [poll_for(process), poll_for(orders.life)];
    // The end of a companion is news, the one of an orphan is not.
    let glance = if orders.companions.is_empty() { 1000 } else { 20 };
    loop {
        // Wakes now and then to collect orphans, which are the first process's to collect.
        // SAFETY: the array outlives the call.
        unsafe { libc::poll(polled.as_mut_ptr(), 2, glance) };
        if polled[0].revents != 0 {
            report(orders.control, child);
            if orders.companions.is_empty() {
                break;
            }
            // They are told of it first; the engine ends them.
            polled[0].fd = -1;
            polled[0].revents = 0;
        }
        if polled[1].revents != 0 {
            thaw(orders);
            break;
        }
        collect(orders, child);
    }
    if orders.sweep {
        sweep(child);
    }
    exit(0)
}

/// Has those go on that stand still: the engine cannot any more, if it was killed.
fn thaw(orders: &Orders<'_>) {
    if let Some(state) = orders.thaw {
        // SAFETY: the text outlives the call.
        unsafe { libc::write(state, c"THAWED".as_ptr().cast(), 6) };
    }
}

/// Tells the engine how the interpreter ended and what it used.
fn report(control: RawFd, child: libc::pid_t) {
    let mut status = 0;
    // SAFETY: all-zero is a valid value of the structure of counters; both outlive the call.
    let used = unsafe {
        let mut used: libc::rusage = std::mem::zeroed();
        libc::wait4(child, &raw mut status, 0, &raw mut used);
        used
    };
    let ns = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000;
    let cpu = ns(used.ru_utime) + ns(used.ru_stime);
    send(control, &[tag::ENDED, u64::from(status.cast_unsigned()), cpu, used.ru_maxrss as u64]);
}

/// Collects ended orphans; leaves the interpreter for [`report`].
fn collect(orders: &Orders<'_>, child: libc::pid_t) {
    loop {
        // SAFETY: all-zero is a valid value; it outlives the call.
        let ended = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            if libc::waitid(libc::P_ALL, 0, &raw mut info, options) < 0 { 0 } else { info.si_pid() }
        };
        if ended <= 0 || ended == child {
            return;
        }
        let mut status = 0;
        // SAFETY: the status outlives the call.
        unsafe { libc::waitpid(ended, &raw mut status, libc::WNOHANG) };
        if !orders.companions.is_empty() {
            send(orders.control, &[tag::ORPHAN, ended as u64, u64::from(status.cast_unsigned()), 0]);
        }
    }
}

/// Kills every descendant: ended parents hand their children to the keeper, which goes on until there are none.
fn sweep(child: libc::pid_t) {
    // SAFETY: no pointers; the session's group is the interpreter's.
    unsafe { libc::kill(-child, libc::SIGKILL) };
    for _ in 0..2000 {
        let mut list = [0_u8; 4096];
        // SAFETY: path and list outlive the calls; the descriptor is closed at once.
        let read = unsafe {
            let descriptor = libc::open(c"/proc/thread-self/children".as_ptr(), libc::O_RDONLY);
            let read = libc::read(descriptor, list.as_mut_ptr().cast(), list.len());
            libc::close(descriptor);
            usize::try_from(read).unwrap_or(0)
        };
        let mut pid: libc::pid_t = 0;
        for &byte in list.get(..read).unwrap_or_default() {
            if byte.is_ascii_digit() {
                pid = pid.wrapping_mul(10).wrapping_add(libc::pid_t::from(byte - b'0'));
            } else if pid > 0 {
                // SAFETY: no pointers; a child that has not been waited for keeps its number.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                pid = 0;
            }
        }
        // SAFETY: no pointers that are used; the pause outlives its call.
        unsafe {
            while libc::waitpid(-1, null_mut(), libc::WNOHANG) > 0 {}
            if libc::waitpid(-1, null_mut(), libc::WNOHANG) < 0 {
                return;
            }
            let pause = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
            libc::nanosleep(&raw const pause, null_mut());
        }
    }
}

/// Starts the keeper; gives its number, or the error's.
pub(super) fn fork_keeper(orders: &Orders<'_>, namespaces: i32) -> Result<libc::pid_t, i32> {
    let flags = libc::c_long::from(namespaces | libc::SIGCHLD);
    // SAFETY: like `fork`: the child has a copy of this memory and never returns from `keep`, which respects the
    // rules for a copy of a process with threads. No stack and no pointers are given.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone, flags, null::<u8>(), null::<u8>(), null::<u8>(), null::<u8>())
    };
    match pid {
        0 => keep(orders),
        pid if pid < 0 => Err(errno()),
        pid => Ok(pid as libc::pid_t),
    }
}
