//! The network policy: answers what the filter asks.
//!
//! The address is read from the process's memory while its system call is held. A thread that changes it between
//! our reading and the kernel's could pass (the kernel's own manual says so): the policy protects against
//! accidents, a replay that writes to a real database, not against attacks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, PidfdFlags};

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
    let Some(family) = address.get(..2) else { return Judgement::Allow };
    let family = i32::from(u16::from_ne_bytes([family[0], family[1]]));
    match family {
        libc::AF_UNIX => judge_local(&address[2..]),
        libc::AF_INET => judge_inet(address),
        // A datagram's address without a family counts as IPv4; a connect without one disconnects.
        libc::AF_UNSPEC if purpose == Use::Send => judge_inet(address),
        libc::AF_INET6 => judge_inet6(address),
        libc::AF_UNSPEC | libc::AF_NETLINK => Judgement::Allow,
        _ => Judgement::Deny { errno: libc::ENETUNREACH, to: Target::Unlisted },
    }
}

fn port(address: &[u8]) -> u16 {
    u16::from_be_bytes([address[2], address[3]])
}

fn judge_inet(address: &[u8]) -> Judgement {
    // Shorter ones the kernel refuses itself.
    let Some(ip) = address.get(4..8) else { return Judgement::Allow };
    judge_ip(IpAddr::V4(Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3])), port(address))
}

fn judge_inet6(address: &[u8]) -> Judgement {
    let Some(ip) = address.get(8..24) else { return Judgement::Allow };
    let mut bytes = [0; 16];
    bytes.copy_from_slice(ip);
    judge_ip(Ipv6Addr::from(bytes).to_canonical(), port(address))
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
    listener: OwnedFd,
    blocked: Arc<Blocked>,
}

impl Policy {
    pub(crate) fn new(listener: OwnedFd, blocked: Arc<Blocked>) -> Self {
        Self { listener, blocked }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.listener.as_fd()
    }

    /// Answers one question; call when there is one to read.
    pub(crate) fn answer(&self) {
        let Some(question) = receive(&self.listener) else { return };
        let judgement = self.judge(&question);
        // The process may be gone, and its number another's: then nothing of the above counts.
        if !still_valid(&self.listener, question.id) {
            return;
        }
        let (error, flags) = match judgement {
            Judgement::Allow => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
            Judgement::Deny { errno, to } => {
                if let Some(line) = line(&to, &question) {
                    self.blocked.add(line);
                }
                (-errno, 0)
            }
        };
        respond(&self.listener, libc::seccomp_notif_resp { id: question.id, val: 0, error, flags });
    }

    #[expect(clippy::unused_self, reason = "reads as what it is")]
    fn judge(&self, question: &libc::seccomp_notif) -> Judgement {
        let arguments = question.data.args;
        let pid = question.pid.cast_signed();
        match libc::c_long::from(question.data.nr) {
            libc::SYS_connect => judge_at(pid, arguments[1], arguments[2], Use::Connect),
            libc::SYS_sendto => judge_at(pid, arguments[4], arguments[5], Use::Send),
            libc::SYS_sendmsg => judge_header(pid, arguments[1]),
            libc::SYS_sendmmsg => (0..arguments[2].min(MAX_MESSAGES))
                .map(|index| judge_header(pid, arguments[1].wrapping_add(index * MESSAGE_BYTES)))
                .find(|judgement| *judgement != Judgement::Allow)
                .unwrap_or(Judgement::Allow),
            _ => Judgement::Allow,
        }
    }
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
    let status = fs_err::read_to_string(format!("/proc/{}/status", question.pid)).ok()?;
    let group = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()?;
    let process = rustix::process::pidfd_open(Pid::from_raw(group)?, PidfdFlags::empty()).ok()?;
    let socket = take_descriptor(&process, question.data.args[0] as i32)?;
    match rustix::net::sockopt::socket_type(&socket).ok()? {
        rustix::net::SocketType::DGRAM => Some("udp"),
        _ => Some("tcp"),
    }
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
fn respond(listener: &OwnedFd, mut response: libc::seccomp_notif_resp) {
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
