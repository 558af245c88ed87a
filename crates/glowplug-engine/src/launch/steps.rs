//! The steps that build an environment's view of the files, each one system call or two.
//!
//! A step is made before the fork and performed after it, where nothing may allocate or lock.
#![expect(unsafe_code, reason = "system calls without a safe wrapper, made where nothing may allocate")]

use std::ffi::{CStr, CString};
use std::fmt;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::null;

use glowplug_core::{Error, Result};

/// One step; all paths are absolute and of the host's view.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing mounted from here on is seen outside.
    Private,
    /// An empty file system in memory.
    Memory(CString),
    /// A folder or a file seen at another place, with what is mounted below it. Only what is `needed` may not fail.
    Bind { from: CString, to: CString, needed: bool },
    /// A mount that is in no namespace yet.
    Attach { mount: OwnedFd, at: CString },
    /// A folder; one that is there is good.
    Directory(CString),
    /// An empty file, to mount another over it.
    File(CString),
    /// A symbolic link.
    Link { at: CString, target: CString },
    /// The processes of the new process namespace.
    Processes(CString),
    /// Everything below may only be read.
    ReadOnly(CString),
    /// This mount alone may be written again.
    Writable(CString),
}

/// The mount is that of the descriptor (linux/mount.h).
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 4;

/// A path as the system takes it.
pub(crate) fn c_string(text: impl Into<Vec<u8>>) -> Result<CString> {
    let text = text.into();
    CString::new(text).map_err(|error| Error::input("a path or a variable contains a zero byte").cause(error))
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &CStr| value.to_string_lossy().into_owned();
        match self {
            Self::Private => f.write_str("make the mounts private"),
            Self::Memory(at) => write!(f, "mount memory at `{}`", text(at)),
            Self::Bind { from, to, .. } => write!(f, "mount `{}` at `{}`", text(from), text(to)),
            Self::Attach { at, .. } => write!(f, "mount a disk at `{}`", text(at)),
            Self::Directory(at) => write!(f, "make the folder `{}`", text(at)),
            Self::File(at) => write!(f, "make the file `{}`", text(at)),
            Self::Link { at, .. } => write!(f, "make the link `{}`", text(at)),
            Self::Processes(at) => write!(f, "mount processes at `{}`", text(at)),
            Self::ReadOnly(at) => write!(f, "make `{}` read-only", text(at)),
            Self::Writable(at) => write!(f, "make `{}` writable", text(at)),
        }
    }
}

/// The number of the last system call's error.
pub(super) fn errno() -> i32 {
    // SAFETY: the location belongs to this thread and is always valid.
    unsafe { *libc::__errno_location() }
}

fn check(result: libc::c_int) -> std::result::Result<(), i32> {
    if result < 0 { Err(errno()) } else { Ok(()) }
}

fn mount(
    from: Option<&CStr>,
    to: &CStr,
    kind: Option<&CStr>,
    flags: libc::c_ulong,
    data: Option<&CStr>,
) -> i32 {
    let pointer = |text: Option<&CStr>| text.map_or(null(), CStr::as_ptr);
    // SAFETY: every pointer is null or a C string that outlives the call.
    unsafe { libc::mount(pointer(from), to.as_ptr(), pointer(kind), flags, pointer(data).cast()) }
}

fn set_attributes(path: &CStr, recursive: bool, set: u64, clear: u64) -> std::result::Result<(), i32> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    let flags = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: path and attributes outlive the call, and the size is the structure's own.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result < 0 { Err(errno()) } else { Ok(()) }
}

fn attach(mount: &OwnedFd, at: &CStr) -> std::result::Result<(), i32> {
    // SAFETY: both paths are C strings that outlive the call; the first is empty and means the descriptor.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            at.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    if result < 0 { Err(errno()) } else { Ok(()) }
}

impl Step {
    /// Does it; the error is a system error number. Allocates nothing.
    pub(super) fn perform(&self) -> std::result::Result<(), i32> {
        match self {
            Self::Private => check(mount(None, c"/", None, libc::MS_REC | libc::MS_PRIVATE, None)),
            Self::Memory(at) => {
                let flags = libc::MS_NOSUID | libc::MS_NODEV;
                check(mount(Some(c"tmpfs"), at, Some(c"tmpfs"), flags, Some(c"mode=755,size=1m")))
            }
            Self::Bind { from, to, needed } => {
                let done = check(mount(Some(from), to, None, libc::MS_BIND | libc::MS_REC, None));
                if *needed { done } else { Ok(()) }
            }
            Self::Attach { mount, at } => attach(mount, at),
            // SAFETY: the path is a C string that outlives the call.
            Self::Directory(at) => match check(unsafe { libc::mkdir(at.as_ptr(), 0o755) }) {
                Err(libc::EEXIST) => Ok(()),
                other => other,
            },
            Self::File(at) => {
                // SAFETY: the path is a C string that outlives the call; the new descriptor is closed at once.
                let descriptor = unsafe {
                    libc::open(at.as_ptr(), libc::O_CREAT | libc::O_WRONLY | libc::O_CLOEXEC, 0o644)
                };
                check(descriptor)?;
                // SAFETY: the descriptor was opened above and nobody else knows it.
                check(unsafe { libc::close(descriptor) })
            }
            // SAFETY: both paths are C strings that outlive the call.
            Self::Link { at, target } => check(unsafe { libc::symlink(target.as_ptr(), at.as_ptr()) }),
            Self::Processes(at) => {
                let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
                check(mount(Some(c"proc"), at, Some(c"proc"), flags, None))
            }
            Self::ReadOnly(at) => set_attributes(at, true, libc::MOUNT_ATTR_RDONLY, 0),
            Self::Writable(at) => set_attributes(at, false, 0, libc::MOUNT_ATTR_RDONLY),
        }
    }
}
