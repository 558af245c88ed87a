//! The network policy: answers what the filter asks.
//!
//! The address is read from the process's memory while its system call is held. A thread could change it between our
//! reading and the kernel's (the kernel's own manual says so): sockets are therefore connected here, with the address that
//! was judged. Datagrams with an address go on in the kernel: with those the policy protects from accidents, not from
//! attacks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::process::{Pid, PidfdFlags};

use crate::guard::{Guard, lineage};
use crate::spec::Network;

/// Largest socket address (`struct sockaddr_storage`).
const ADDRESS_BYTES: usize = 128;
/// Most messages that one `sendmmsg` takes (`UIO_MAXIOV`).
const MAX_MESSAGES: u64 = 1024;
/// Name service: over loopback it leads outside all the same.
const DNS: u16 = 53;

/// Sockets of services that reach outside for their callers or change the host. A local database's socket is none.
const SERVICES: [&str; 12] = [
    "/run/nscd/",
    "/run/systemd/",
    "/run/dbus/",
    "/run/avahi-daemon/",
    "/run/docker.sock",
    "/run/containerd/",
    "/run/podman/",
    "/run/snapd",
    "/run/user/",
    "/run/unscd/",
    "/run/sssd/",
    "/dev/log",
];

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Judgement {
    Allow,
    /// The error number, and what is listed, without the protocol.
    Deny {
        errno: i32,
        to: Target,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Internet(IpAddr, u16),
    Service(String),
    /// Every program asks the name service cache: what it wants is listed when it asks the network.
    Unlisted,
}

/// How the address is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Connect,
    Send,
}

/// Judges a socket address.
fn judge(address: &[u8], purpose: Use) -> Judgement {
    let Some(family) = family(address) else { return Judgement::Allow };
    match family {
        libc::AF_UNIX => judge_local(&address[2..]),
        // A connect without a family disconnects.
        libc::AF_UNSPEC if purpose == Use::Connect => Judgement::Allow,
        // Shorter ones the kernel refuses itself.
        libc::AF_INET | libc::AF_INET6 | libc::AF_UNSPEC => {
            internet(address).map_or(Judgement::Allow, |(ip, port)| judge_ip(ip, port))
        }
        libc::AF_NETLINK => Judgement::Allow,
        _ => Judgement::Deny { errno: libc::ENETUNREACH, to: Target::Unlisted },
    }
}

fn family(address: &[u8]) -> Option<i32> {
    address.first_chunk().map(|family| i32::from(u16::from_ne_bytes(*family)))
}

/// Where an address leads, if it is one of the internet. A datagram's without a family counts as IPv4.
fn internet(address: &[u8]) -> Option<(IpAddr, u16)> {
    let ip = match family(address)? {
        libc::AF_INET | libc::AF_UNSPEC => {
            IpAddr::V4(Ipv4Addr::from(*address.get(4..8)?.first_chunk::<4>()?))
        }
        libc::AF_INET6 => Ipv6Addr::from(*address.get(8..24)?.first_chunk::<16>()?).to_canonical(),
        _ => return None,
    };
    Some((ip, u16::from_be_bytes([address[2], address[3]])))
}

/// The unspecified address means this machine.
fn judge_ip(ip: IpAddr, port: u16) -> Judgement {
    if (ip.is_loopback() || ip.is_unspecified()) && port != DNS {
        Judgement::Allow
    } else {
        Judgement::Deny { errno: libc::ENETUNREACH, to: Target::Internet(ip, port) }
    }
}

fn judge_local(path: &[u8]) -> Judgement {
    let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
    let path = String::from_utf8_lossy(&path[..end]);
    let plain = path.strip_prefix("/var").unwrap_or(&path);
    if !SERVICES.iter().any(|service| plain.starts_with(service)) {
        return Judgement::Allow;
    }
    // As if the service did not run: its clients then do without it.
    let cache = plain.starts_with("/run/nscd/") || plain.starts_with("/run/systemd/");
    let to = if cache { Target::Unlisted } else { Target::Service(path.into_owned()) };
    Judgement::Deny { errno: libc::ENOENT, to }
}

/// What was refused, each once, in order; shared by all processes of an environment.
#[derive(Debug, Default)]
pub(crate) struct Blocked(Mutex<Vec<String>>);

impl Blocked {
    fn add(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }

    /// The list so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers for one process and its children.
#[derive(Debug)]
pub(crate) struct Policy {
    listener: Arc<OwnedFd>,
    network: Network,
    guard: Guard,
    blocked: Arc<Blocked>,
}

impl Policy {
    pub(crate) fn new(listener: OwnedFd, network: Network, guard: Guard, blocked: Arc<Blocked>) -> Self {
        Self { listener: Arc::new(listener), network, guard, blocked }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.listener.as_fd()
    }

    /// Answers one question; call when there is one to read.
    pub(crate) fn answer(&self) {
        let Some(question) = receive(&self.listener) else { return };
        let connects = libc::c_long::from(question.data.nr) == libc::SYS_connect;
        let address = connects.then(|| address_at(&question, 1)).flatten();
        let judgement = match (connects, &address) {
            (false, _) => judge_sent(&question),
            (true, Some(address)) => self.judge_connect(&question, address),
            // The kernel's own look would be a later one.
            (true, None) => Judgement::Deny { errno: libc::EFAULT, to: Target::Unlisted },
        };
        // The process may be gone, and its number another's: then nothing of the above counts.
        if !still_valid(&self.listener, question.id) {
            return;
        }
        match judgement {
            Judgement::Allow => match address {
                Some(address) => self.connect(&question, address),
                None => respond(&self.listener, question.id, Verdict::GoOn),
            },
            Judgement::Deny { errno, to } => {
                if let Some(line) = line(&to, &question) {
                    self.blocked.add(line);
                }
                respond(&self.listener, question.id, Verdict::Done(errno));
            }
        }
    }

    fn judge_connect(&self, question: &libc::seccomp_notif, address: &[u8]) -> Judgement {
        let leads = internet(address).filter(|_| family(address) != Some(libc::AF_UNSPEC));
        let refuses = |(ip, port)| self.guard.refuses(question.pid.cast_signed(), ip, port);
        if leads.is_some_and(refuses) {
            return Judgement::Deny { errno: libc::ECONNREFUSED, to: Target::Unlisted };
        }
        match self.network {
            Network::Deny => judge(address, Use::Connect),
            Network::Allow => Judgement::Allow,
        }
    }

    /// Connects a socket in the place of the process, which could exchange socket and address if it did that itself.
    fn connect(&self, question: &libc::seccomp_notif, mut address: Vec<u8>) {
        let (listener, id) = (Arc::clone(&self.listener), question.id);
        let pid = question.pid.cast_signed();
        if let Some((ip, port)) = internet(&address)
            && let Some(port) = self.guard.route(pid, ip, port)
        {
            address[2..4].copy_from_slice(&port.to_be_bytes());
        }
        let found = socket(question).ok_or(libc::EBADF).and_then(|socket| {
            let place = if family(&address) == Some(libc::AF_UNIX) { local(pid, &address)? } else { None };
            Ok((socket, place))
        });
        let (socket, place) = match found {
            Ok(found) => found,
            Err(errno) => return respond(&listener, id, Verdict::Done(errno)),
        };
        let waits = rustix::fs::fcntl_getfl(&socket).is_ok_and(|flags| !flags.contains(OFlags::NONBLOCK));
        let connect = move || {
            let address = place.as_ref().map_or(address, LocalPlace::address);
            let errno = connect_to(&socket, &address).err().unwrap_or(0);
            respond(&listener, id, Verdict::Done(errno));
        };
        if !waits {
            return connect();
        }
        // It may take minutes, and there are other questions.
        let thread = std::thread::Builder::new().name("glowplug-connect".to_owned()).stack_size(64 * 1024);
        if thread.spawn(connect).is_err() {
            respond(&self.listener, id, Verdict::Done(libc::EAGAIN));
        }
    }
}

/// What becomes of a held call.
enum Verdict {
    /// The kernel does it.
    GoOn,
    /// It is over, with this error or with none (0).
    Done(i32),
}

/// Judges a call that sends.
fn judge_sent(question: &libc::seccomp_notif) -> Judgement {
    let arguments = question.data.args;
    let pid = question.pid.cast_signed();
    match libc::c_long::from(question.data.nr) {
        libc::SYS_sendto => judge_at(pid, arguments[4], arguments[5], Use::Send),
        libc::SYS_sendmsg => judge_header(pid, arguments[1]),
        libc::SYS_sendmmsg => (0..arguments[2].min(MAX_MESSAGES))
            .map(|index| judge_header(pid, arguments[1].wrapping_add(index * MESSAGE_BYTES)))
            .find(|judgement| *judgement != Judgement::Allow)
            .unwrap_or(Judgement::Allow),
        _ => Judgement::Allow,
    }
}

/// The address of a held call, by the number of the argument that points to it; its length is the next one.
fn address_at(question: &libc::seccomp_notif, argument: usize) -> Option<Vec<u8>> {
    let arguments = question.data.args;
    let length = (arguments[argument + 1] as u32 as usize).min(ADDRESS_BYTES);
    let mut address = vec![0; length];
    read_memory(question.pid.cast_signed(), arguments[argument], &mut address).then_some(address)
}

/// Size of `struct mmsghdr`: a header, a length and padding.
const MESSAGE_BYTES: u64 = size_of::<libc::mmsghdr>() as u64;

/// Memory that cannot be read is the kernel's to refuse.
fn judge_at(pid: i32, pointer: u64, length: u64, purpose: Use) -> Judgement {
    let length = (length as u32 as usize).min(ADDRESS_BYTES);
    let mut address = [0; ADDRESS_BYTES];
    if read_memory(pid, pointer, &mut address[..length]) {
        judge(&address[..length], purpose)
    } else {
        Judgement::Allow
    }
}

/// A `struct msghdr` begins with the address's pointer and length.
fn judge_header(pid: i32, pointer: u64) -> Judgement {
    let mut header = [0; 12];
    if !read_memory(pid, pointer, &mut header) {
        return Judgement::Allow;
    }
    let [name @ .., a, b, c, d] = header;
    let name = u64::from_ne_bytes(name);
    if name == 0 {
        return Judgement::Allow;
    }
    judge_at(pid, name, u32::from_ne_bytes([a, b, c, d]).into(), Use::Send)
}

/// What the list says about a refused call.
fn line(to: &Target, question: &libc::seccomp_notif) -> Option<String> {
    let (ip, port) = match to {
        Target::Unlisted => return None,
        Target::Service(path) => return Some(format!("unix {path}")),
        Target::Internet(ip, port) => (ip, *port),
    };
    let protocol = protocol(question).unwrap_or("tcp");
    let place = std::net::SocketAddr::new(*ip, port);
    let note = if port == DNS { " (dns)" } else { "" };
    Some(format!("{protocol} {place}{note}"))
}

/// Whether the socket of a held call is one of datagrams.
fn protocol(question: &libc::seccomp_notif) -> Option<&'static str> {
    match rustix::net::sockopt::socket_type(socket(question)?).ok()? {
        rustix::net::SocketType::DGRAM => Some("udp"),
        _ => Some("tcp"),
    }
}

/// The socket of a held call.
fn socket(question: &libc::seccomp_notif) -> Option<OwnedFd> {
    let (group, _) = lineage(question.pid.cast_signed())?;
    let process = rustix::process::pidfd_open(Pid::from_raw(group)?, PidfdFlags::empty()).ok()?;
    take_descriptor(&process, question.data.args[0] as i32)
}

/// A local socket's file, found in the view of the process.
struct LocalPlace(OwnedFd);

impl LocalPlace {
    /// An address of ours for it.
    fn address(&self) -> Vec<u8> {
        let mut address = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
        address.extend(format!("/proc/self/fd/{}\0", self.0.as_raw_fd()).into_bytes());
        address
    }
}

/// Finds the file that a local address names for a process; nothing for one without a file (unix(7)).
fn local(pid: i32, address: &[u8]) -> Result<Option<LocalPlace>, i32> {
    let path = address.get(2..).unwrap_or_default();
    let path = &path[..path.iter().position(|byte| *byte == 0).unwrap_or(path.len())];
    if path.is_empty() {
        return Ok(None);
    }
    let number = |error: rustix::io::Errno| error.raw_os_error();
    // Relative to where it works, and in either case never above its root.
    let open = |link: &str, flags| {
        rustix::fs::open(format!("/proc/{pid}/{link}"), flags | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
    };
    let root = open("root", OFlags::DIRECTORY).map_err(number)?;
    let whole = if path.starts_with(b"/") {
        path.to_vec()
    } else {
        let at = rustix::fs::readlink(format!("/proc/{pid}/cwd"), Vec::new()).map_err(number)?;
        [at.as_bytes(), b"/", path].concat()
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found = rustix::fs::openat2(&root, whole.as_slice(), flags, Mode::empty(), ResolveFlags::IN_ROOT);
    found.map(|found| Some(LocalPlace(found))).map_err(number)
}

/// Connects a socket; gives the number of the error.
#[expect(unsafe_code, reason = "the address is the process's own bytes, of any shape")]
fn connect_to(socket: &OwnedFd, address: &[u8]) -> Result<(), i32> {
    // SAFETY: the address outlives the call, which reads no more than its length.
    let result = unsafe {
        libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), address.len() as libc::socklen_t)
    };
    if result == 0 {
        return Ok(());
    }
    Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

#[expect(unsafe_code, reason = "no safe wrapper that needs no privilege")]
fn take_descriptor(process: &OwnedFd, number: i32) -> Option<OwnedFd> {
    // SAFETY: no pointers; the new descriptor belongs to nobody else.
    unsafe {
        let taken = libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0);
        (taken >= 0).then(|| OwnedFd::from_raw_fd(taken as i32))
    }
}

#[expect(unsafe_code, reason = "no safe wrapper reads another process's memory")]
fn read_memory(pid: i32, pointer: u64, into: &mut [u8]) -> bool {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: pointer as *mut libc::c_void, iov_len: into.len() };
    // SAFETY: writes to `into` alone and at most its length; the remote address is checked by the kernel.
    let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(read) == Ok(into.len())
}

#[expect(unsafe_code, reason = "no safe wrapper for seccomp notifications")]
fn receive(listener: &OwnedFd) -> Option<libc::seccomp_notif> {
    // SAFETY: the kernel wants the structure zeroed, which is a valid value, and writes no more than its size.
    unsafe {
        let mut question: libc::seccomp_notif = std::mem::zeroed();
        let result = libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut question);
        (result == 0).then_some(question)
    }
}

#[expect(unsafe_code, reason = "no safe wrapper for seccomp notifications")]
fn still_valid(listener: &OwnedFd, id: u64) -> bool {
    // SAFETY: the id outlives the call, which only reads it.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) == 0 }
}

#[expect(unsafe_code, reason = "no safe wrapper for seccomp notifications")]
fn respond(listener: &OwnedFd, id: u64, verdict: Verdict) {
    let (error, flags) = match verdict {
        Verdict::GoOn => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
        Verdict::Done(errno) => (-errno, 0),
    };
    let mut response = libc::seccomp_notif_resp { id, val: 0, error, flags };
    // SAFETY: the response outlives the call. A process that is gone meanwhile needs none.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inet(ip: [u8; 4], port: u16) -> Vec<u8> {
        let mut address = (libc::AF_INET as u16).to_ne_bytes().to_vec();
        address.extend(port.to_be_bytes());
        address.extend(ip);
        address.extend([0; 8]);
        address
    }

    fn inet6(ip: &str, port: u16) -> Vec<u8> {
        let mut address = (libc::AF_INET6 as u16).to_ne_bytes().to_vec();
        address.extend(port.to_be_bytes());
        address.extend([0; 4]);
        address.extend(ip.parse::<Ipv6Addr>().unwrap().octets());
        address.extend([0; 4]);
        address
    }

    fn local(path: &str) -> Vec<u8> {
        let mut address = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
        address.extend(path.as_bytes());
        address.push(0);
        address
    }

    fn denied(address: &[u8]) -> Option<Target> {
        match judge(address, Use::Connect) {
            Judgement::Allow => None,
            Judgement::Deny { to, .. } => Some(to),
        }
    }

    #[test]
    fn loopback_is_allowed_in_all_its_spellings() {
        for address in [
            inet([127, 0, 0, 1], 8080),
            inet([127, 9, 9, 9], 80),
            inet([0, 0, 0, 0], 80),
            inet6("::1", 80),
            inet6("::", 80),
            inet6("::ffff:127.0.0.1", 80),
        ] {
            assert_eq!(denied(&address), None, "{address:?}");
        }
    }

    #[test]
    fn everything_else_is_refused_and_named() {
        let target = |ip: &str, port| Some(Target::Internet(ip.parse().unwrap(), port));
        assert_eq!(denied(&inet([93, 184, 216, 34], 443)), target("93.184.216.34", 443));
        assert_eq!(denied(&inet([127, 0, 0, 53], 53)), target("127.0.0.53", 53));
        assert_eq!(denied(&inet6("2001:db8::1", 443)), target("2001:db8::1", 443));
        assert_eq!(denied(&inet6("::ffff:10.0.0.1", 80)), target("10.0.0.1", 80));
    }

    #[test]
    fn an_address_without_a_family_is_an_internet_one_only_for_datagrams() {
        let mut address = inet([8, 8, 8, 8], 53);
        address[0..2].copy_from_slice(&[0, 0]);
        assert_eq!(judge(&address, Use::Connect), Judgement::Allow);
        assert_ne!(judge(&address, Use::Send), Judgement::Allow);
    }

    #[test]
    fn local_services_that_lead_outside_are_refused() {
        for path in ["/run/docker.sock", "/var/run/dbus/system_bus_socket"] {
            assert_eq!(denied(&local(path)), Some(Target::Service(path.to_owned())));
        }
        assert_eq!(denied(&local("/var/run/nscd/socket")), Some(Target::Unlisted));
        assert_eq!(denied(&local("/tmp/own.sock")), None);
        assert_eq!(denied(&local("/var/run/postgresql/.s.PGSQL.5432")), None);
        assert_eq!(denied(&local("\0abstract")), None);
    }

    proptest! {
        #[test]
        fn no_address_makes_it_panic(address in proptest::collection::vec(any::<u8>(), 0..ADDRESS_BYTES)) {
            let _ = judge(&address, Use::Connect);
            let _ = judge(&address, Use::Send);
        }
    }
}
