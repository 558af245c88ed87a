//! Starts an interpreter in an environment of its own: view of the files, namespaces, limits, filter.
//!
//! ```text
//! engine ──clone──► keeper ──clone──► interpreter
//!    ▲  control socket │ builds the view    joins cgroups, limits itself, installs the filter,
//!    └─────────────────┘ waits, ends all    waits for the engine's word, executes
//! ```

mod child;
pub(crate) mod filter;
mod interpreter;
pub(crate) mod steps;

use std::ffi::CString;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use glowplug_core::{Error, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType,
};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions};

pub(crate) use child::Stage;
use child::tag;

use crate::limits::{LAUNCH_TIMEOUT, PROCESSES};
use crate::spec::Network;
use steps::Step;

/// Which namespaces an environment gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Its own view of files and processes; with `user`, by way of a user namespace, which needs no privilege.
    Namespaces { user: bool },
    /// None: the host allows neither.
    Plain,
}

/// What is to be executed, and in which surroundings.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) isolation: Isolation,
    pub(crate) steps: Vec<Step>,
    pub(crate) root: Option<CString>,
    pub(crate) directory: CString,
    pub(crate) program: Option<Program>,
    /// `cgroup.procs` files.
    pub(crate) cgroups: Vec<OwnedFd>,
    /// The file of a group of version 1 by which processes go on.
    pub(crate) thaw: Option<OwnedFd>,
    /// The filter of this policy.
    pub(crate) filter: Option<Network>,
}

/// The interpreter with its arguments, variables and descriptors.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) path: CString,
    pub(crate) arguments: Vec<CString>,
    pub(crate) variables: Vec<CString>,
    pub(crate) settings: OwnedFd,
    pub(crate) agent_output: Option<OwnedFd>,
    pub(crate) forks: Option<OwnedFd>,
    /// Programs that are started before it, as [`accompany`] asks for them.
    pub(crate) companions: Vec<Companion>,
}

/// A program that runs beside the interpreter, and its variables.
#[derive(Debug, Clone)]
pub(crate) struct Companion {
    pub(crate) path: CString,
    pub(crate) variables: Vec<CString>,
}

/// Why a launch failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// `None`: before or outside the stages.
    pub(crate) stage: Option<Stage>,
    pub(crate) what: String,
}

impl Failure {
    fn outside(what: impl Into<String>) -> Self {
        Self { stage: None, what: what.into() }
    }

    /// The filter's questions cannot be answered about a process that `/proc` does not show.
    pub(crate) fn hidden_process() -> Self {
        Self { stage: Some(Stage::Filter), what: "the host's `/proc` does not show new processes".to_owned() }
    }

    /// As an error for people.
    pub(crate) fn into_error(self) -> Error {
        Error::surroundings("cannot start an execution environment").cause(self.what)
    }
}

/// A process that waits for the word to execute the interpreter.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) keeper: Keeper,
    /// Messages of the two processes.
    pub(crate) control: OwnedFd,
    /// Where the filter asks.
    pub(crate) listener: Option<OwnedFd>,
    /// Standard output and error; does not block.
    pub(crate) output: OwnedFd,
    /// The same of companions.
    pub(crate) companions_output: OwnedFd,
    /// The clock points of the end of the phase "runtime"; does not block.
    pub(crate) mark: OwnedFd,
    /// The interpreter's process in the engine's count; 0 where unknown.
    pub(crate) pid: i32,
}

/// A message after the launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The interpreter is about to be executed: clock points in ns.
    Started { at_ns: u64, cpu_ns: u64 },
    /// It ended: status word, processor time in ns, largest resident size in KiB.
    Ended { status: i32, cpu_ns: u64, peak_memory_kib: u64 },
    /// A companion was started, with this number as the interpreter counts, or 0.
    Companion { index: usize, pid: i32 },
    /// A process ended that was no child of the interpreter's any more.
    Orphan { pid: i32, status: i32 },
    /// The launch failed after all.
    Failed { stage: Stage, index: usize, errno: i32 },
    /// The keeper is gone.
    Closed,
}

fn system(error: rustix::io::Errno) -> Failure {
    Failure::outside(error.to_string())
}

/// The ends that the engine keeps, and those that the child gets.
struct Channels {
    control: OwnedFd,
    control_child: OwnedFd,
    life: OwnedFd,
    life_child: OwnedFd,
    output: OwnedFd,
    output_child: OwnedFd,
    companions: OwnedFd,
    companions_child: OwnedFd,
    mark: OwnedFd,
    mark_child: OwnedFd,
    handoff: (OwnedFd, OwnedFd),
    null: OwnedFd,
}

impl Channels {
    fn open() -> Result<Self, Failure> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(system);
        let (control, control_child) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(system)?;
        let (life_child, life) = pipe()?;
        let (output, output_child) = pipe()?;
        let (companions, companions_child) = pipe()?;
        let (mark, mark_child) = pipe()?;
        for reader in [&output, &companions, &mark] {
            rustix::io::ioctl_fionbio(reader, true).map_err(system)?;
        }
        let null =
            rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(system)?;
        let handoff = pipe()?;
        Ok(Self {
            control,
            control_child,
            life,
            life_child,
            output,
            output_child,
            companions,
            companions_child,
            mark,
            mark_child,
            handoff,
            null,
        })
    }
}

/// Starts the two processes; the interpreter waits for [`go`].
pub(crate) fn launch(plan: &Launch) -> Result<Launched, Failure> {
    let channels = Channels::open()?;
    let pid = fork(plan, &channels)?;
    let sweeps = plan.isolation == Isolation::Plain;
    let Channels { control, life, output, companions, mark, .. } = channels;
    let keeper = Keeper { pid, life: Some(life), sweeps, over: false };
    let companions_output = companions;
    let mut launched = Launched { keeper, control, listener: None, output, companions_output, mark, pid: 0 };
    launched.await_forked(&plan.steps)?;
    Ok(launched)
}

/// Makes everything that the child needs and forks.
fn fork(plan: &Launch, channels: &Channels) -> Result<Pid, Failure> {
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let program = plan.program.as_ref();
    let arguments = pointers(program.map_or(&[], |program| &program.arguments));
    let variables = pointers(program.map_or(&[], |program| &program.variables));
    let cgroups: Vec<RawFd> = plan.cgroups.iter().map(AsRawFd::as_raw_fd).collect();
    let filter = plan.filter.map(filter::program);
    let companions: Vec<child::Companion<'_>> = program
        .map_or(&[][..], |program| &program.companions)
        .iter()
        .map(|companion| child::Companion {
            path: &companion.path,
            arguments: pointers(std::slice::from_ref(&companion.path)),
            variables: pointers(&companion.variables),
        })
        .collect();
    let user = plan.isolation == Isolation::Namespaces { user: true };
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let maps = [
        (c"/proc/self/setgroups", "deny".to_owned()),
        (c"/proc/self/uid_map", format!("{uid} {uid} 1")),
        (c"/proc/self/gid_map", format!("{gid} {gid} 1")),
    ];
    let identity: Vec<_> =
        maps.iter().filter(|_| user).map(|(path, text)| (*path, text.as_bytes())).collect();
    let namespaces = match plan.isolation {
        Isolation::Namespaces { user: true } => libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID,
        Isolation::Namespaces { user: false } => libc::CLONE_NEWNS | libc::CLONE_NEWPID,
        Isolation::Plain => 0,
    };
    let orders = child::Orders {
        identity: &identity,
        steps: &plan.steps,
        root: plan.root.as_deref(),
        directory: &plan.directory,
        program: program.map(|program| program.path.as_c_str()),
        arguments: &arguments,
        variables: &variables,
        control: channels.control_child.as_raw_fd(),
        life: channels.life_child.as_raw_fd(),
        null: channels.null.as_raw_fd(),
        output: channels.output_child.as_raw_fd(),
        settings: program.map_or(channels.null.as_raw_fd(), |program| program.settings.as_raw_fd()),
        mark: channels.mark_child.as_raw_fd(),
        agent_output: program.and_then(|program| program.agent_output.as_ref()).map(AsRawFd::as_raw_fd),
        forks: program.and_then(|program| program.forks.as_ref()).map(AsRawFd::as_raw_fd),
        companions: &companions,
        companions_output: channels.companions_child.as_raw_fd(),
        cgroups: &cgroups,
        thaw: plan.thaw.as_ref().map(AsRawFd::as_raw_fd),
        filter: filter.as_deref(),
        handoff: (channels.handoff.0.as_raw_fd(), channels.handoff.1.as_raw_fd()),
        sweep: plan.isolation == Isolation::Plain,
        // The kernel counts a user's processes for each user namespace; elsewhere it would count the host's.
        processes: user.then_some(PROCESSES),
    };
    let pid = child::fork_keeper(&orders, namespaces)
        .map_err(|errno| Failure { stage: Some(Stage::Fork), what: describe(Stage::Fork, 0, errno, &[]) })?;
    Pid::from_raw(pid).ok_or_else(|| Failure::outside("the kernel gave no process"))
}

/// A failed stage in words.
pub(crate) fn describe(stage: Stage, index: usize, errno: i32, steps: &[Step]) -> String {
    let what = match stage {
        Stage::Identity => "cannot map the user into a user namespace".to_owned(),
        Stage::View => steps
            .get(index)
            .map_or_else(|| "cannot build the view of the files".to_owned(), |step| format!("cannot {step}")),
        Stage::Root => "cannot enter the new root".to_owned(),
        Stage::Fork => "cannot start a process in new namespaces".to_owned(),
        Stage::Cgroup => "cannot join the control group".to_owned(),
        Stage::Filter => "cannot install the network filter".to_owned(),
        Stage::Descriptors => "cannot arrange the descriptors".to_owned(),
        Stage::Directory => "cannot enter the function's folder".to_owned(),
        Stage::Execute => "cannot execute the interpreter".to_owned(),
    };
    format!("{what}: {}", std::io::Error::from_raw_os_error(errno))
}

impl Launched {
    fn await_forked(&mut self, steps: &[Step]) -> Result<(), Failure> {
        let deadline = Instant::now() + LAUNCH_TIMEOUT;
        if !readable(self.control.as_fd(), deadline) {
            return Err(Failure::outside("the new process did not report in time"));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [0_u8; size_of::<child::Message>()];
        let received = rustix::net::recvmsg(
            &self.control,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
        .map_err(system)?;
        let message = decode(&bytes[..received.bytes]);
        if let Some([tag::FAILED, stage, index, errno]) = message {
            let stage = Stage::from_number(stage);
            let what = describe(stage, index as usize, errno as i32, steps);
            return Err(Failure { stage: Some(stage), what });
        }
        if message.is_none_or(|message| message[0] != tag::FORKED) {
            return Err(Failure::outside("the new process ended before it was ready"));
        }
        let mut descriptors = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        let mut descriptors = descriptors.next().into_iter().flatten();
        let process =
            descriptors.next().ok_or_else(|| Failure::outside("the new process has no descriptor"))?;
        self.listener = descriptors.next();
        self.pid = pid_of(process.as_fd());
        Ok(())
    }
}

/// The byte that asks for a companion.
const COMPANION_WORD: u8 = b'e';

/// Has the next companion started.
pub(crate) fn accompany(control: &OwnedFd) {
    let _ = rustix::net::send(control, &[COMPANION_WORD], rustix::net::SendFlags::NOSIGNAL);
}

/// Lets the interpreter be executed.
pub(crate) fn go(control: &OwnedFd) {
    // Where the other side is gone, its end is reported in another way.
    let _ = rustix::net::send(control, b"g", rustix::net::SendFlags::NOSIGNAL);
}

/// Reads one message of the control socket; blocks until there is one.
pub(crate) fn word(control: BorrowedFd<'_>) -> Word {
    let mut bytes = [0_u8; size_of::<child::Message>()];
    let count = loop {
        match rustix::io::read(control, &mut bytes) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other.unwrap_or(0),
        }
    };
    match decode(&bytes[..count]) {
        Some([tag::STARTED, at_ns, cpu_ns, _]) => Word::Started { at_ns, cpu_ns },
        Some([tag::COMPANION, index, pid, _]) => Word::Companion { index: index as usize, pid: pid as i32 },
        Some([tag::ORPHAN, pid, status, _]) => {
            Word::Orphan { pid: pid as i32, status: (status as u32).cast_signed() }
        }
        Some([tag::ENDED, status, cpu_ns, peak_memory_kib]) => {
            Word::Ended { status: (status as u32).cast_signed(), cpu_ns, peak_memory_kib }
        }
        Some([tag::FAILED, stage, index, errno]) => {
            Word::Failed { stage: Stage::from_number(stage), index: index as usize, errno: errno as i32 }
        }
        _ => Word::Closed,
    }
}

fn decode(bytes: &[u8]) -> Option<child::Message> {
    let mut message: child::Message = [0; 4];
    if bytes.len() != size_of::<child::Message>() {
        return None;
    }
    for (value, chunk) in message.iter_mut().zip(bytes.chunks_exact(8)) {
        *value = u64::from_ne_bytes(chunk.try_into().ok()?);
    }
    Some(message)
}

/// The number of a process in our count, from its descriptor; 0 where the host does not show it.
fn pid_of(process: BorrowedFd<'_>) -> i32 {
    let info =
        fs_err::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).unwrap_or_default();
    info.lines()
        .find_map(|line| line.strip_prefix("Pid:"))
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

/// Waits until a descriptor has something to read or is closed.
pub(crate) fn readable(descriptor: BorrowedFd<'_>, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = rustix::time::Timespec {
            tv_sec: left.as_secs().cast_signed(),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) | Err(_) => return false,
            Ok(_) => return true,
        }
    }
}

/// Our child, which holds all processes of an environment; they end with it, at the latest when this is dropped.
#[derive(Debug)]
pub(crate) struct Keeper {
    pid: Pid,
    life: Option<OwnedFd>,
    /// It has to find the descendants itself, and must not be killed before it has.
    sweeps: bool,
    over: bool,
}

impl Keeper {
    /// Ends all processes and waits until they are gone.
    pub(crate) fn end(&mut self) {
        if self.over {
            return;
        }
        self.over = true;
        drop(self.life.take());
        if self.sweeps {
            let deadline = Instant::now() + Duration::from_secs(5);
            while Instant::now() < deadline {
                match rustix::process::waitpid(Some(self.pid), WaitOptions::NOHANG) {
                    Ok(None) | Err(rustix::io::Errno::INTR) => std::thread::sleep(Duration::from_millis(1)),
                    Ok(Some(_)) | Err(_) => return,
                }
            }
        }
        // Its namespace ends with it, and the kernel lets it end only after all others in there.
        let _ = rustix::process::kill_process(self.pid, Signal::KILL);
        while matches!(
            rustix::process::waitpid(Some(self.pid), WaitOptions::empty()),
            Err(rustix::io::Errno::INTR)
        ) {}
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
    }
}
