//! Reads a folder with a root file system.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Progress, Result};
use walkdir::WalkDir;

use crate::node::{self, Data, Kind, Node};
use crate::request::Ownership;
use crate::tree::{check_symlink, set_source_times};

/// The one extended attribute that changes what a program may do: file capabilities.
const CAPABILITY: &str = "security.capability";
/// The longest value of it, in bytes (`struct vfs_ns_cap_data`, linux/capability.h, has 24).
const CAPABILITY_BYTES: usize = 64;

/// A folder, read.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// Every entry, with folders.
    pub nodes: Vec<Node>,
    /// Devices, pipes and sockets below `dev`, which are left out: whoever runs the image makes its own.
    pub devices: usize,
    /// Files that lost a set-uid or set-gid bit of somebody else than root.
    pub dropped: Vec<String>,
}

/// Every entry of the folder, with folders.
///
/// Errors (input): no folder, a device, a socket or a pipe elsewhere than below `dev`, a name that is no UTF-8 or that means something to
/// container runtimes, a link that climbs over the root.
pub(crate) fn scan(root: &Utf8Path, ownership: Ownership, progress: &dyn Progress) -> Result<Scanned> {
    let top = fs::metadata(root)?;
    if !top.is_dir() {
        return Err(Error::input("a root file system is a folder, and this is none").place(root.as_str()));
    }
    let mut nodes = Vec::new();
    let mut dropped = Vec::new();
    let mut devices = 0;
    let mut twins: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for entry in WalkDir::new(root).min_depth(1).sort_by_file_name() {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        let entry = entry.map_err(|error| {
            Error::surroundings("cannot read the root file system").cause(error).place(root.as_str())
        })?;
        let full = Utf8PathBuf::from_path_buf(entry.path().to_owned()).map_err(|path| {
            Error::input("a name of the root file system is no UTF-8, and tables of contents are JSON")
                .place(path.to_string_lossy())
                .hint("rename it, or leave it out")
        })?;
        let metadata = fs::symlink_metadata(&full)?;
        let path = full.strip_prefix(root).map_err(|_| Error::defect("a folder lists what is not in it"))?;
        node::check_reserved(path.as_str(), full.as_str())?;
        let Some(kind) = kind(path, &full, &metadata, &mut twins)? else {
            devices += 1;
            continue;
        };
        let (mode, lost) = mode(&metadata, &top, ownership);
        if lost {
            dropped.push(path.to_string());
        }
        let is_file = matches!(kind, Kind::File { .. });
        let mut made = Node::new(path.as_str(), kind, mode);
        if ownership == Ownership::Kept {
            (made.uid, made.gid) = (u64::from(metadata.uid()), u64::from(metadata.gid()));
        }
        if is_file && mode & 0o111 != 0 && !lost {
            made.xattrs = capability(&full)?;
        }
        nodes.push(made);
    }
    set_source_times(&mut nodes)?;
    Ok(Scanned { nodes, devices, dropped })
}

/// `None` for what is left out.
fn kind(
    path: &Utf8Path,
    full: &Utf8Path,
    metadata: &std::fs::Metadata,
    twins: &mut BTreeMap<(u64, u64), u64>,
) -> Result<Option<Kind>> {
    let what = metadata.file_type();
    if what.is_dir() {
        return Ok(Some(Kind::Dir));
    }
    if what.is_symlink() {
        let target = fs::read_link(full)?;
        let target = target
            .to_str()
            .ok_or_else(|| Error::input("the target of a link is no UTF-8").place(full.as_str()))?;
        check_symlink(path.as_str(), target, full.as_str())?;
        return Ok(Some(Kind::Symlink(target.to_owned())));
    }
    if what.is_file() {
        let twin = (metadata.nlink() > 1).then(|| {
            let next = twins.len() as u64;
            *twins.entry((metadata.dev(), metadata.ino())).or_insert(next)
        });
        return Ok(Some(Kind::File { data: Data::Path(full.to_owned()), size: metadata.len(), twin }));
    }
    // What debootstrap and its like make there.
    if node::is_device_place(path.as_str()) {
        return Ok(None);
    }
    let name = if what.is_socket() {
        "a socket"
    } else if what.is_fifo() {
        "a named pipe"
    } else {
        "a device"
    };
    Err(Error::input(format!("the root file system holds {name}: `{path}`"))
        .place(full.as_str())
        .hint("remove it; what a container needs of devices, its runtime makes below `/dev`"))
}

/// The mode in the image, and whether a bit was left out that would have become root's.
fn mode(metadata: &std::fs::Metadata, top: &std::fs::Metadata, ownership: Ownership) -> (u32, bool) {
    let mut mode = metadata.mode() & 0o7777;
    if metadata.file_type().is_symlink() {
        return (0o777, false);
    }
    let mut lost = 0;
    if ownership == Ownership::Root && metadata.is_file() {
        // Whoever owns the folder itself stands for root: an unprivileged user's copy is all his.
        if metadata.uid() != 0 && metadata.uid() != top.uid() {
            lost |= mode & 0o4000;
        }
        if metadata.gid() != 0 && metadata.gid() != top.gid() {
            lost |= mode & 0o2000;
        }
    }
    mode &= !lost;
    (mode, lost != 0)
}

fn capability(path: &Utf8Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut buffer = [0_u8; CAPABILITY_BYTES];
    match rustix::fs::lgetxattr(path.as_str(), CAPABILITY, &mut buffer[..]) {
        Ok(length) => Ok(BTreeMap::from([(CAPABILITY.to_owned(), buffer[..length].to_vec())])),
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::NOTSUP) => Ok(BTreeMap::new()),
        Err(error) => {
            Err(Error::surroundings("cannot read file capabilities").cause(error).place(path.as_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glowplug_core::NoProgress;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::try_from(folder.path().to_owned()).unwrap();
        (folder, path)
    }

    #[test]
    fn files_links_hard_links_and_modes_are_read() {
        let (_keep, root) = folder();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("usr/bin/a"), "x").unwrap();
        fs::hard_link(root.join("usr/bin/a"), root.join("usr/bin/b")).unwrap();
        fs::set_permissions(root.join("usr/bin/a"), std::fs::Permissions::from_mode(0o4755)).unwrap();
        symlink("usr/bin", root.join("bin")).unwrap();
        let nodes = scan(&root, Ownership::Root, &NoProgress).unwrap().nodes;
        let rows: Vec<String> = nodes.iter().map(|n| format!("{} {:o}", n.path, n.mode)).collect();
        assert_eq!(rows, ["bin 777", "usr 755", "usr/bin 755", "usr/bin/a 4755", "usr/bin/b 4755"]);
        let twins: Vec<Option<u64>> = nodes
            .iter()
            .filter_map(|n| if let Kind::File { twin, .. } = n.kind { Some(twin) } else { None })
            .collect();
        assert_eq!(twins, [Some(0), Some(0)]);
    }

    #[test]
    fn what_an_image_cannot_hold_is_named() {
        let refused = |make: &dyn Fn(&Utf8Path)| {
            let (_keep, root) = folder();
            make(&root);
            scan(&root, Ownership::Root, &NoProgress).unwrap_err().message().to_owned()
        };
        let socket = refused(&|root| {
            std::os::unix::net::UnixListener::bind(root.join("s")).unwrap();
        });
        assert_eq!(socket, "the root file system holds a socket: `s`");
        let pipe = refused(&|root| {
            assert!(std::process::Command::new("mkfifo").arg(root.join("p")).status().unwrap().success());
        });
        assert_eq!(pipe, "the root file system holds a named pipe: `p`");
        let whiteout = refused(&|root| fs::write(root.join(".wh.gone"), "").unwrap());
        assert!(whiteout.contains("`.wh.gone` would delete a file"), "{whiteout}");
        let climbing = refused(&|root| symlink("../../etc/passwd", root.join("l")).unwrap());
        assert!(climbing.contains("leads out of the image"), "{climbing}");
        let bytes = refused(&|root| {
            use std::os::unix::ffi::OsStrExt;
            let name = std::ffi::OsStr::from_bytes(b"\xff");
            fs::write(root.as_std_path().join(name), "").unwrap();
        });
        assert!(bytes.contains("no UTF-8"), "{bytes}");
    }

    #[test]
    fn what_debootstrap_makes_below_dev_is_left_out() {
        let (_keep, root) = folder();
        fs::create_dir_all(root.join("dev/pts")).unwrap();
        symlink("/proc/self/fd", root.join("dev/fd")).unwrap();
        fs::write(root.join("dev/notes"), "x").unwrap();
        std::os::unix::net::UnixListener::bind(root.join("dev/log")).unwrap();
        let made = |path: &str, kind: &[&str]| {
            let mut command = std::process::Command::new("mknod");
            command.arg(root.join(path)).args(kind).output().is_ok_and(|output| output.status.success())
        };
        assert!(made("dev/initctl", &["p"]));
        // Only root may make devices.
        let device = made("dev/null", &["c", "1", "3"]);
        let scanned = scan(&root, Ownership::Root, &NoProgress).unwrap();
        let paths: Vec<&str> = scanned.nodes.iter().map(|node| node.path.as_str()).collect();
        assert_eq!(paths, ["dev", "dev/fd", "dev/notes", "dev/pts"]);
        assert_eq!(scanned.devices, 2 + usize::from(device));
        if device {
            assert!(made("null", &["c", "1", "3"]));
            let error = scan(&root, Ownership::Root, &NoProgress).unwrap_err();
            assert_eq!(error.message(), "the root file system holds a device: `null`");
        }
    }

    #[test]
    fn a_bit_of_another_user_does_not_become_roots() {
        let (_keep, root) = folder();
        fs::write(root.join("a"), "x").unwrap();
        if std::os::unix::fs::chown(root.join("a"), Some(4711), Some(4711)).is_err() {
            return; // Only root may give files away.
        }
        fs::set_permissions(root.join("a"), std::fs::Permissions::from_mode(0o6755)).unwrap();
        let read = |ownership| {
            let nodes = scan(&root, ownership, &NoProgress).unwrap().nodes;
            (nodes[0].mode, nodes[0].uid)
        };
        assert_eq!(read(Ownership::Root), (0o755, 0));
        assert_eq!(read(Ownership::Kept), (0o6755, 4711));
    }
}
