//! The seccomp filter behind the network policy: which system calls go to the supervisor.
//!
//! Calls that can reach another machine are held and asked about ([`crate::network`] answers); sockets that no
//! function needs, and what would go round the filter (`io_uring`, connecting by sending), are refused here. Where the
//! network is open, connecting alone is asked about: the engine's own ports stay closed.

use crate::spec::Network;

/// Operation codes of classic BPF, combined as the filter needs them (`linux/bpf_common.h`).
const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
#[cfg(target_arch = "x86_64")]
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// The oldest way to raw packets, obsolete for long (`SOCK_PACKET`).
const SOCK_PACKET: u32 = 10;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// `AUDIT_ARCH_X86_64` and `AUDIT_ARCH_AARCH64` of `linux/audit.h`.
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xC000_00B7;

/// Calls of the x32 interface have this bit (`__X32_SYSCALL_BIT`).
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const ASK: u32 = libc::SECCOMP_RET_USER_NOTIF;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

const fn fail(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}

const fn argument_low(index: u32) -> u32 {
    16 + 8 * index
}

const fn argument_high(index: u32) -> u32 {
    20 + 8 * index
}

fn instruction(code: u16, operand: u32, when: u8, otherwise: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt: when, jf: otherwise, k: operand }
}

fn load(offset: u32) -> libc::sock_filter {
    instruction(LOAD, offset, 0, 0)
}

fn done(action: u32) -> libc::sock_filter {
    instruction(RETURN, action, 0, 0)
}

/// What to do where the loaded word equals a value: return an action.
fn when(value: u32, action: u32) -> [libc::sock_filter; 2] {
    [instruction(EQUAL, value, 0, 1), done(action)]
}

/// Rules for one system call; they must end in a return.
fn call(program: &mut Vec<libc::sock_filter>, number: i64, rules: &[libc::sock_filter]) {
    program.push(instruction(EQUAL, number as u32, 0, rules.len() as u8));
    program.extend_from_slice(rules);
}

/// Internet sockets: streams and datagrams only.
fn internet_types() -> Vec<libc::sock_filter> {
    let mut rules = vec![load(argument_low(1)), instruction(AND, 0xf, 0, 0)];
    rules.extend(when(libc::SOCK_RAW as u32, fail(libc::EPERM)));
    rules.extend(when(SOCK_PACKET, fail(libc::EPERM)));
    rules.push(done(ALLOW));
    rules
}

/// Families: local, netlink (the interfaces' addresses) and the internet.
fn socket_rules() -> Vec<libc::sock_filter> {
    let mut rules = vec![load(argument_low(0))];
    rules.extend(when(libc::AF_UNIX as u32, ALLOW));
    rules.extend(when(libc::AF_NETLINK as u32, ALLOW));
    rules.push(instruction(EQUAL, libc::AF_INET as u32, 2, 0));
    rules.push(instruction(EQUAL, libc::AF_INET6 as u32, 1, 0));
    rules.push(done(fail(libc::EAFNOSUPPORT)));
    rules.extend(internet_types());
    rules
}

/// Sending does not connect (`MSG_FASTOPEN`); the flags are the argument of this number.
fn no_fast_open(flags: u32) -> [libc::sock_filter; 4] {
    [
        load(argument_low(flags)),
        instruction(AND, libc::MSG_FASTOPEN as u32, 0, 0),
        instruction(EQUAL, 0, 1, 0),
        done(fail(libc::EOPNOTSUPP)),
    ]
}

/// The whole program for this machine.
pub(crate) fn program(network: Network) -> Vec<libc::sock_filter> {
    // The numbers of another architecture mean other calls: nothing can be said about them.
    let mut program = vec![load(ARCH), instruction(EQUAL, NATIVE, 1, 0), done(KILL), load(NUMBER)];
    #[cfg(target_arch = "x86_64")]
    program.extend([instruction(AT_LEAST, X32, 0, 1), done(fail(libc::ENOSYS))]);
    call(&mut program, libc::SYS_connect, &[done(ASK)]);
    call(&mut program, libc::SYS_io_uring_setup, &[done(fail(libc::ENOSYS))]);
    // Opens files by their numbers, whatever the view shows.
    call(&mut program, libc::SYS_open_by_handle_at, &[done(fail(libc::EPERM))]);
    let sending = match network {
        Network::Deny => ASK,
        Network::Allow => ALLOW,
    };
    for (number, flags) in [(libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        call(&mut program, number, &[no_fast_open(flags).as_slice(), &[done(sending)]].concat());
    }
    // Without an address it goes where the socket is connected to, which has been asked about.
    let addressed = [
        load(argument_low(4)),
        instruction(EQUAL, 0, 0, 3),
        load(argument_high(4)),
        instruction(EQUAL, 0, 0, 1),
        done(ALLOW),
        done(sending),
    ];
    call(&mut program, libc::SYS_sendto, &[no_fast_open(3).as_slice(), &addressed].concat());
    if network == Network::Deny {
        call(&mut program, libc::SYS_socket, &socket_rules());
    }
    program.push(done(ALLOW));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel does.
    fn run(network: Network, number: i64, arch: u32, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend((number as u32).to_le_bytes());
        data.extend(arch.to_le_bytes());
        data.extend(0_u64.to_le_bytes());
        for argument in arguments {
            data.extend(argument.to_le_bytes());
        }
        let program = program(network);
        let (mut at, mut word) = (0, 0);
        loop {
            let step = &program[at];
            at += 1;
            let jump = |yes: bool| usize::from(if yes { step.jt } else { step.jf });
            match step.code {
                LOAD => {
                    let k = step.k as usize;
                    word = u32::from_le_bytes(data[k..k + 4].try_into().unwrap());
                }
                AND => word &= step.k,
                EQUAL => at += jump(word == step.k),
                RETURN => return step.k,
                _ => at += jump(word >= step.k),
            }
        }
    }

    fn native(number: i64, arguments: [u64; 6]) -> u32 {
        run(Network::Deny, number, NATIVE, arguments)
    }

    #[test]
    fn calls_that_reach_out_are_asked_about() {
        for number in [libc::SYS_connect, libc::SYS_sendmsg, libc::SYS_sendmmsg] {
            assert_eq!(native(number, [0; 6]), ASK);
        }
        assert_eq!(native(libc::SYS_sendto, [3, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(native(libc::SYS_sendto, [3, 0, 0, 0, 0x1000, 16]), ASK);
        assert_eq!(native(libc::SYS_sendto, [3, 0, 0, 0, 0x1_0000_0000, 16]), ASK);
        assert_eq!(native(libc::SYS_write, [0; 6]), ALLOW);
    }

    #[test]
    fn sockets_are_of_known_kinds() {
        let socket = |family: i32, kind: i32| {
            native(libc::SYS_socket, [family as u64, (kind | libc::SOCK_CLOEXEC) as u64, 0, 0, 0, 0])
        };
        assert_eq!(socket(libc::AF_UNIX, libc::SOCK_STREAM), ALLOW);
        assert_eq!(socket(libc::AF_NETLINK, libc::SOCK_RAW), ALLOW);
        assert_eq!(socket(libc::AF_INET, libc::SOCK_STREAM), ALLOW);
        assert_eq!(socket(libc::AF_INET6, libc::SOCK_DGRAM), ALLOW);
        assert_eq!(socket(libc::AF_INET, libc::SOCK_RAW), fail(libc::EPERM));
        assert_eq!(socket(libc::AF_PACKET, libc::SOCK_RAW), fail(libc::EAFNOSUPPORT));
        assert_eq!(socket(libc::AF_VSOCK, libc::SOCK_STREAM), fail(libc::EAFNOSUPPORT));
    }

    #[test]
    fn ways_round_the_filter_are_closed() {
        assert_eq!(native(libc::SYS_io_uring_setup, [0; 6]), fail(libc::ENOSYS));
        assert_eq!(native(libc::SYS_open_by_handle_at, [0; 6]), fail(libc::EPERM));
        assert_eq!(run(Network::Deny, libc::SYS_write, 0x4000_0003, [0; 6]), KILL);
    }
    #[test]
    fn sending_does_not_connect() {
        let fast = libc::MSG_FASTOPEN as u64;
        for network in [Network::Deny, Network::Allow] {
            let native = |number, arguments| run(network, number, NATIVE, arguments);
            for (number, arguments) in [
                (libc::SYS_sendto, [3, 0, 0, fast, 0x1000, 16]),
                (libc::SYS_sendmsg, [3, 0, fast, 0, 0, 0]),
                (libc::SYS_sendmmsg, [3, 0, 1, fast, 0, 0]),
            ] {
                assert_eq!(native(number, arguments), fail(libc::EOPNOTSUPP));
            }
        }
    }

    #[test]
    fn an_open_network_asks_about_connecting_alone() {
        let native = |number, arguments| run(Network::Allow, number, NATIVE, arguments);
        assert_eq!(native(libc::SYS_connect, [0; 6]), ASK);
        assert_eq!(native(libc::SYS_sendto, [3, 0, 0, 0, 0x1000, 16]), ALLOW);
        assert_eq!(native(libc::SYS_sendmsg, [0; 6]), ALLOW);
        assert_eq!(native(libc::SYS_socket, [libc::AF_PACKET as u64, 3, 0, 0, 0, 0]), ALLOW);
        assert_eq!(native(libc::SYS_io_uring_setup, [0; 6]), fail(libc::ENOSYS));
    }
}
