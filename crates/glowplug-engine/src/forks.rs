//! The channel to a process that is forked: forks are asked for by it, and the status of those that have ended.
//!
//! Messages are JSON in packets of a local socket; descriptors go with them. One question at a time.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use glowplug_core::Result;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::launch::readable;
use crate::process::broken;

/// How long the process gets for one answer: it does nothing else.
const PATIENCE: Duration = Duration::from_secs(5);

/// Descriptors of one message: three, and a file of each control group.
const MOST_DESCRIPTORS: usize = 16;

/// Longest answer.
const MOST_BYTES: usize = 4096;

/// The engine's end.
#[derive(Debug)]
pub(crate) struct Forks(Mutex<OwnedFd>);

/// How a fork ended: status word, processor time, largest resident size.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Reaped {
    pub(crate) status: i32,
    pub(crate) cpu_ns: u64,
    pub(crate) peak_kib: u64,
}

/// A fork that waits for the word to run the function's code.
#[derive(Debug)]
pub(crate) struct Born {
    /// The engine's end of a socket of its own.
    socket: OwnedFd,
    /// Its number as the engine counts.
    pub(crate) pid: i32,
    /// Its number as its parent counts.
    pub(crate) inner_pid: i32,
}

/// Two ends of a local socket.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd)> {
    let made =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    Ok(made.map_err(std::io::Error::from)?)
}

impl Forks {
    pub(crate) fn new(channel: OwnedFd) -> Self {
        Self(Mutex::new(channel))
    }

    /// Asks for a fork with a `/tmp`, which is a folder of its view or a disk, an output and control groups.
    ///
    /// # Errors
    /// The process is gone, or the fork could not be made an environment.
    pub(crate) fn fork(
        &self,
        (temporary, disk): (&str, Option<OwnedFd>),
        output: &OwnedFd,
        cgroups: &[OwnedFd],
    ) -> Result<Born> {
        let (socket, theirs) = pair()?;
        rustix::net::sockopt::set_socket_passcred(&socket, true).map_err(std::io::Error::from)?;
        let mut descriptors = vec![theirs.as_fd(), output.as_fd()];
        descriptors.extend(disk.iter().chain(cgroups).map(AsFd::as_fd));
        let channel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        send(&channel, &json!({"tmp": temporary, "disk": disk.is_some()}), &descriptors)?;
        drop(channel);
        // It has a copy; without this one its end is heard.
        drop(theirs);
        let (said, sender) = receive(&socket)?;
        let said = String::from_utf8_lossy(&said).into_owned();
        match (said.strip_prefix("here ").and_then(|pid| pid.parse().ok()), sender) {
            (Some(inner_pid), Some(pid)) => Ok(Born { socket, pid, inner_pid }),
            _ => Err(broken(&format!("the process could not be forked: {said}"))),
        }
    }

    /// How a fork ended, which has.
    pub(crate) fn reap(&self, inner_pid: i32) -> Option<Reaped> {
        let channel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        send(&channel, &json!({"reap": inner_pid}), &[]).ok()?;
        let (answer, _) = receive(&channel).ok()?;
        serde_json::from_slice(&answer).ok()
    }
}

impl Born {
    /// Lets it leave what made it.
    pub(crate) fn go(self) {
        // Where it is gone, its end is reported in another way.
        let _ = rustix::net::send(&self.socket, b"g", SendFlags::NOSIGNAL);
    }
}

fn send(channel: &OwnedFd, message: &Value, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let message = message.to_string();
    let sent = rustix::net::sendmsg(
        channel,
        &[IoSlice::new(message.as_bytes())],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    );
    sent.map(|_| ()).map_err(|error| broken(&format!("the snapshot is gone: {error}")))
}

/// One message, and which process it is from.
fn receive(socket: &OwnedFd) -> Result<(Vec<u8>, Option<i32>)> {
    if !readable(socket.as_fd(), Instant::now() + PATIENCE) {
        return Err(broken("the snapshot does not answer"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; MOST_BYTES];
    let received = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    );
    let received = received.map_err(|error| broken(&format!("the snapshot is gone: {error}")))?;
    bytes.truncate(received.bytes);
    let sender = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(sender) => Some(sender.pid.as_raw_nonzero().get()),
        _ => None,
    });
    Ok((bytes, sender))
}
