//! A disk: a file system of a given size in a file without a name, which an environment sees as `/tmp`.
//!
//! It is formatted once for each size; of what that wrote, some kilobytes, each disk gets a copy. The kernel holds file,
//! loop device and mount as long as there is a descriptor or a mount namespace with it, and no longer: nothing is left to
//! clear up after an engine that was killed, and none of it is seen among the host's mounts.
#![expect(unsafe_code, reason = "requests to loop devices, which have no safe wrapper")]

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Result};
use rustix::fs::{Mode, OFlags, SeekFrom};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::effects::remove;

/// Where the program that formats is, should the `PATH` of an ordinary user be in force.
const FORMATTERS: [&str; 3] = ["mke2fs", "/usr/sbin/mke2fs", "/sbin/mke2fs"];
/// What the file system needs: no journal, since it does not outlive a crash, and tables that are zero unwritten.
const FEATURES: &str = "none,dir_index,dir_nlink,extent,extra_isize,filetype,flex_bg,huge_file,large_file,sparse_super,uninit_bg";
/// No thread that writes those tables afterwards, no waiting for the host's disk.
const OPTIONS: [&str; 2] = ["noinit_itable", "nobarrier"];
const BLOCK: u64 = 4096;
/// One inode, and how many bytes of the disk have one.
const INODE: (u64, u64) = (256, 16384);
/// What the kernel keeps back for its own: a fiftieth, at most 4096 blocks (`ext4_calculate_resv_clusters`).
const KEPT_BACK: (u64, u64) = (50, 4096 * BLOCK);
const MB: u64 = 1024 * 1024;
/// Often enough for a size that is found by trying.
const ATTEMPTS: usize = 4;
/// Free devices that somebody else may take before us.
const RIVALS: usize = 64;

/// What formatting wrote.
#[derive(Debug)]
pub(crate) struct Formatted {
    bytes: u64,
    extents: Vec<(u64, Vec<u8>)>,
}

/// A mounted disk; its content is gone when this and every namespace that shows it are.
#[derive(Debug)]
pub(crate) struct Disk {
    device: String,
    mount: OwnedFd,
}

fn cannot(cause: impl std::fmt::Display) -> Error {
    Error::surroundings("cannot make a disk for `/tmp`").cause(cause.to_string())
}

impl Formatted {
    /// Formats for so many MB that the function can use. `folder` is where files of disks lie.
    pub(crate) fn new(size_mb: u32, folder: &Utf8Path) -> Result<Self> {
        let wanted = u64::from(size_mb) * MB;
        let mut bytes = wanted + wanted * INODE.0 / INODE.1 + (wanted / KEPT_BACK.0).min(KEPT_BACK.1) + MB;
        for _ in 0..ATTEMPTS {
            bytes = bytes.next_multiple_of(BLOCK);
            let file = tempfile::Builder::new().prefix("format-").tempfile_in(folder)?;
            file.as_file().set_len(bytes)?;
            format(file.path())?;
            let usable = tidy(file.as_file())?;
            if usable >= wanted {
                return Ok(Self { bytes, extents: extents(file.as_file())? });
            }
            bytes += wanted - usable;
        }
        Err(cannot(format!("no file system of {size_mb} MB could be made")))
    }
}

impl Formatted {
    /// A file that holds the same.
    fn copied(&self, folder: &Utf8Path) -> std::io::Result<File> {
        let file = tempfile::tempfile_in(folder)?;
        file.set_len(self.bytes)?;
        for (at, bytes) in &self.extents {
            file.write_all_at(bytes, *at)?;
        }
        Ok(file)
    }
}

/// Has the file system formatted.
fn format(path: &std::path::Path) -> Result<()> {
    let (block, size, ratio) = (BLOCK.to_string(), INODE.0.to_string(), INODE.1.to_string());
    let arguments = ["-t", "ext4", "-F", "-q", "-m", "0", "-b", &block, "-I", &size, "-i", &ratio, "-O"];
    for program in FORMATTERS {
        let ran = Command::new(program)
            .args(arguments)
            .args([FEATURES, "-E", "lazy_itable_init=1,nodiscard"])
            .arg(path)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output();
        match ran {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(cannot(format!("`{program}`: {error}"))),
            Ok(ran) if ran.status.success() => return Ok(()),
            Ok(ran) => {
                return Err(cannot(format!("`{program}`: {}", String::from_utf8_lossy(&ran.stderr).trim())));
            }
        }
    }
    Err(cannot("there is no `mke2fs`, which is part of e2fsprogs"))
}

/// Makes a new file system look like a new `/tmp`; how many bytes can be used of it.
fn tidy(file: &File) -> Result<u64> {
    let disk = Disk::mount(file)?;
    let at = disk.path();
    remove(&at.join("lost+found"));
    fs::set_permissions(&at, std::fs::Permissions::from_mode(0o1777))?;
    let root = fs::File::open(&at)?;
    let usable = rustix::fs::fstatvfs(&root).map_err(cannot)?;
    rustix::fs::syncfs(&root).map_err(cannot)?;
    Ok(usable.f_bavail * usable.f_frsize)
}

/// What of a file is not zero.
fn extents(file: &File) -> Result<Vec<(u64, Vec<u8>)>> {
    const PIECE: u64 = 16 * BLOCK;
    let mut found = Vec::new();
    let mut at = 0;
    // Where there is no more data, the kernel has no such address.
    while let Ok(start) = rustix::fs::seek(file, SeekFrom::Data(at)) {
        let end = rustix::fs::seek(file, SeekFrom::Hole(start)).map_err(cannot)?;
        let mut from = start;
        while from < end {
            let mut piece = vec![0; PIECE.min(end - from) as usize];
            file.read_exact_at(&mut piece, from)?;
            if piece.iter().any(|&byte| byte != 0) {
                found.push((from, piece));
            }
            from += PIECE;
        }
        at = end;
    }
    Ok(found)
}

impl Disk {
    /// A new, empty one.
    pub(crate) fn new(formatted: &Formatted, folder: &Utf8Path) -> Result<Self> {
        let file = formatted.copied(folder).map_err(|error| {
            cannot(format!("a file in `{folder}`: {error}")).hint("set `TMPDIR` to a folder with room")
        })?;
        Self::mount(&file)
    }

    fn mount(file: &File) -> Result<Self> {
        let (device, held) = attach(file)?;
        let mount = mounted(&device).map_err(|error| cannot(format!("cannot mount `{device}`: {error}")))?;
        // The mount holds the device from here on.
        drop(held);
        Ok(Self { device, mount })
    }

    /// Its root, for this process.
    pub(crate) fn path(&self) -> Utf8PathBuf {
        // The last part makes it a folder and no link to one.
        format!("/proc/self/fd/{}/.", self.mount.as_raw_fd()).into()
    }

    /// Another mount of it, to be put into a namespace.
    pub(crate) fn entrance(&self) -> Result<OwnedFd> {
        mounted(&self.device).map_err(|error| cannot(format!("cannot mount `{}`: {error}", self.device)))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is removed need not be written out before the kernel lets go of the disk.
        for entry in self.path().read_dir_utf8().into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove(entry.path());
            } else {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Mounts the file system on a device, in no namespace at all.
fn mounted(device: &str) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(context.as_fd(), "source", device)?;
    for option in OPTIONS {
        rustix::mount::fsconfig_set_flag(context.as_fd(), option)?;
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// `struct loop_config` with `struct loop_info64` in it (linux/loop.h).
#[repr(C)]
struct LoopConfig {
    file: u32,
    block_size: u32,
    unused: [u64; 5],
    number_and_encryption: [u32; 3],
    flags: u32,
    names_and_key: [u8; 64 + 64 + 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
/// The device is free again when nobody has it open or mounted.
const AUTOCLEAR: u32 = 4;
/// What is written is in the page cache once: the function's, not the host's too.
const DIRECT_IO: u32 = 16;

/// A loop device for a file; free again when nothing holds it.
fn attach(file: &File) -> Result<(String, OwnedFd)> {
    /// Threads of ours do not take free devices from each other.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let open = |path: &str| {
        rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| cannot(format!("cannot open `{path}`: {error}")))
    };
    let control = open("/dev/loop-control")?;
    for _ in 0..RIVALS {
        // SAFETY: the request has no argument.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
        if number < 0 {
            let error = std::io::Error::last_os_error();
            return Err(cannot(format!("there is no free loop device: {error}")));
        }
        let path = format!("/dev/loop{number}");
        let device = open(&path)?;
        let config = LoopConfig {
            file: file.as_raw_fd().cast_unsigned(),
            block_size: BLOCK as u32,
            unused: [0; 5],
            number_and_encryption: [0; 3],
            flags: AUTOCLEAR | DIRECT_IO,
            names_and_key: [0; 160],
            init: [0; 2],
            reserved: [0; 8],
        };
        // SAFETY: the structure is the request's own and outlives the call, which only reads it.
        let done = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) };
        if done == 0 {
            return Ok((path, device));
        }
        let error = std::io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EBUSY) {
            return Err(cannot(format!("cannot set up `{path}`: {error}")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(cannot("no loop device stayed free"))
}
