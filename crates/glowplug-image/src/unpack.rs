//! Unpacks an image of a layout into a folder, as the root file system that a container would see.
//!
//! Owners, set-user bits and extended attributes are left out: whoever runs the files runs them as himself. The folder
//! gets the mount points that a container runtime would make.

use std::collections::{BTreeMap, VecDeque};
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, Error, Progress, Result};
use serde::{Deserialize, Serialize};

use crate::layout::{Image, Layout};
use crate::limits::IMAGE_LIMIT;
use crate::node::{Data, Kind, Node, OPAQUE, WHITEOUT};
use crate::oci::Digest;
use crate::unlayer::{Reading, read_layer};

/// Bytes copied at once.
const COPY_BYTES: u64 = 1024 * 1024;
/// Links followed in one path, as many as Linux follows (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;
/// Folders and files that are mounted over.
const MOUNT_FOLDERS: [&str; 5] = ["dev", "etc", "proc", "sys", "tmp"];
const MOUNT_FILES: [&str; 2] = ["hosts", "resolv.conf"];

/// How a container of an image starts: `config` of the OCI image configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StartConfig {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Arguments after it; the program itself where there is no entry point.
    pub cmd: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// The folder it starts in.
    pub working_dir: Option<String>,
}

/// An image that was found in a layout, its documents read and checked, its layers not yet.
#[derive(Debug)]
pub struct LayoutImage {
    layout: Layout,
    image: Image,
}

impl LayoutImage {
    /// Finds the image that a tag or a digest names, or the only one, for a machine.
    ///
    /// # Errors
    /// Input: no OCI layout, no such image or several, another machine, a document that is missing or damaged.
    pub fn open(layout: &Utf8Path, wanted: Option<&str>, architecture: Architecture) -> Result<Self> {
        let layout = Layout::open(layout)?;
        let image = layout.image(wanted, &[architecture])?;
        Ok(Self { layout, image })
    }

    /// The digest of its manifest, which names all of it.
    pub fn digest(&self) -> &Digest {
        &self.image.descriptor.digest
    }

    /// A label of the configuration.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.image.config["config"]["Labels"][name].as_str()
    }

    /// How it starts.
    ///
    /// # Errors
    /// Input: the configuration says it in another form than OCI's.
    pub fn start(&self) -> Result<StartConfig> {
        let config = &self.image.config["config"];
        let list = |name: &str| -> Result<Vec<String>> {
            serde_json::from_value::<Option<Vec<String>>>(config[name].clone())
                .map(Option::unwrap_or_default)
                .map_err(|error| {
                    Error::input(format!("`{name}` of the image's configuration cannot be read"))
                        .cause(error)
                        .place(self.layout.blob(&self.image.manifest.config.digest).as_str())
                })
        };
        let pair = |line: String| line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        let folder = config["WorkingDir"].as_str().filter(|folder| !folder.is_empty());
        Ok(StartConfig {
            entrypoint: list("Entrypoint")?,
            cmd: list("Cmd")?,
            env: list("Env")?.into_iter().filter_map(pair).collect(),
            working_dir: folder.map(str::to_owned),
        })
    }

    /// Unpacks all layers into an empty folder; gives the bytes of their archives.
    ///
    /// # Errors
    /// Input: a blob is missing or damaged, a layer holds what no image can, more than Lambda's 10 GB. Surroundings: the
    /// disk. The folder is half filled then.
    pub fn unpack(&self, root: &Utf8Path, progress: &dyn Progress) -> Result<u64> {
        let mut total = 0;
        for (layer, diff_id) in self.image.manifest.layers.iter().zip(&self.image.diff_ids) {
            let spool = tempfile::tempfile_in(root)?;
            let left = IMAGE_LIMIT - total;
            let read =
                read_layer(&self.layout, layer, Some(diff_id), left, Some(spool), Reading::Whole, progress)?;
            total += read.bytes;
            apply(root, &read.nodes, progress)?;
        }
        mount_points(root)?;
        Ok(total)
    }
}

/// Lays one layer over what is there.
fn apply(root: &Utf8Path, nodes: &[Node], progress: &dyn Progress) -> Result<()> {
    // Whiteouts hide what lower layers have, never what their own layer has, wherever they stand in it.
    for node in nodes {
        let (folder, name) = split(&node.path);
        let Some(hidden) = name.strip_prefix(WHITEOUT) else { continue };
        let folder = inside(root, folder)?;
        if name == OPAQUE {
            for entry in fs::read_dir(&folder)? {
                clear(&folder.join(entry?.file_name().to_string_lossy().as_ref()))?;
            }
        } else if !matches!(hidden, "" | "." | "..") {
            clear(&folder.join(hidden))?;
        }
    }
    let mut files: BTreeMap<u64, Utf8PathBuf> = BTreeMap::new();
    for node in nodes {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        let (folder, name) = split(&node.path);
        if !name.starts_with(WHITEOUT) {
            let at = inside(root, folder)?.join(name);
            put(&at, node, &mut files)?;
        }
    }
    Ok(())
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Puts one entry in its place.
fn put(at: &Utf8Path, node: &Node, files: &mut BTreeMap<u64, Utf8PathBuf>) -> Result<()> {
    let there = fs::symlink_metadata(at).ok();
    if matches!(node.kind, Kind::Dir) && there.as_ref().is_some_and(std::fs::Metadata::is_dir) {
        return mode(at, node.mode | 0o700);
    }
    if there.is_some() {
        clear(at)?;
    }
    match &node.kind {
        Kind::Dir => {
            fs::create_dir(at)?;
            // Whoever unpacks has to be able to fill it, and to remove it.
            mode(at, node.mode | 0o700)
        }
        Kind::Symlink(target) => Ok(fs::os::unix::fs::symlink(target, at)?),
        Kind::File { data, size, twin } => {
            if let Some(first) = twin.and_then(|twin| files.get(&twin)) {
                return Ok(fs::hard_link(first, at)?);
            }
            if let Some(twin) = twin {
                files.insert(*twin, at.to_owned());
            }
            file(at, node, data, *size)
        }
        Kind::Link(_) => Err(Error::defect("a hard link of a layer was not resolved").place(at.as_str())),
    }
}

fn file(at: &Utf8Path, node: &Node, data: &Data, size: u64) -> Result<()> {
    let mut out = fs::OpenOptions::new().write(true).create_new(true).open(at)?;
    let mut offset = 0;
    while offset < size {
        let length = COPY_BYTES.min(size - offset);
        out.write_all(&data.read(offset, length as usize)?)?;
        offset += length;
    }
    // Bytecode that lies beside a source names the time of its change.
    out.set_modified(UNIX_EPOCH + Duration::from_secs(node.mtime))?;
    mode(at, node.mode | 0o400)
}

fn mode(at: &Utf8Path, mode: u32) -> Result<()> {
    Ok(fs::set_permissions(at, Permissions::from_mode(mode & 0o777))?)
}

/// Removes what is there.
fn clear(at: &Utf8Path) -> Result<()> {
    match fs::symlink_metadata(at) {
        Ok(found) if found.is_dir() => Ok(fs::remove_dir_all(at)?),
        Ok(_) => Ok(fs::remove_file(at)?),
        Err(_) => Ok(()),
    }
}

/// Where a folder of the image is, its links followed as in a container, made where it is missing.
fn inside(root: &Utf8Path, folder: &str) -> Result<Utf8PathBuf> {
    let mut rest: VecDeque<String> = folder.split('/').map(str::to_owned).collect();
    let mut at = root.to_owned();
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                if at != root {
                    at.pop();
                }
                continue;
            }
            part => at.push(part),
        }
        match fs::symlink_metadata(&at) {
            Err(_) => fs::create_dir(&at)?,
            Ok(found) if found.is_dir() => {}
            Ok(found) if found.is_symlink() && links < MOST_LINKS => {
                links += 1;
                let target = at.read_link_utf8()?;
                if target.is_absolute() {
                    at = root.to_owned();
                } else {
                    at.pop();
                }
                for part in target.as_str().split('/').rev() {
                    rest.push_front(part.to_owned());
                }
            }
            Ok(_) => {
                return Err(Error::input("a layer holds an entry below what is no folder")
                    .place(folder.to_owned())
                    .cause(format!("`{}`", at.strip_prefix(root).unwrap_or(&at))));
            }
        }
    }
    Ok(at)
}

/// Makes what is mounted over, where the image has nothing there.
fn mount_points(root: &Utf8Path) -> Result<()> {
    for folder in MOUNT_FOLDERS {
        if fs::symlink_metadata(root.join(folder)).is_err() {
            fs::create_dir(root.join(folder))?;
        }
    }
    let etc = inside(root, "etc")?;
    for name in MOUNT_FILES {
        if fs::symlink_metadata(etc.join(name)).is_err() {
            fs::write(etc.join(name), "")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use glowplug_core::NoProgress;

    use super::*;

    fn bytes(path: &str, text: &str) -> Node {
        let data = Data::Bytes(Arc::from(text.as_bytes()));
        Node::new(path, Kind::File { data, size: text.len() as u64, twin: None }, 0o4644)
    }

    fn link(path: &str, target: &str) -> Node {
        Node::new(path, Kind::Symlink(target.into()), 0o777)
    }

    #[test]
    fn layers_hide_replace_and_write_through_links_but_never_out() {
        let keep = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(keep.path()).unwrap().join("root");
        fs::create_dir(&root).unwrap();
        let dir = |path: &str| Node::new(path, Kind::Dir, 0o555);
        let lower = [
            dir("usr"),
            dir("usr/lib"),
            link("lib", "usr/lib"),
            link("out", "/../../outside"),
            bytes("usr/lib/a", "1"),
            bytes("gone", "1"),
            dir("opaque"),
            bytes("opaque/old", "1"),
            dir("becomes"),
        ];
        apply(&root, &lower, &NoProgress).unwrap();
        let upper = [
            bytes(".wh.gone", ""),
            bytes("opaque/.wh..wh..opq", ""),
            bytes("opaque/new", "2"),
            bytes("lib/b", "2"),
            bytes("out/c", "2"),
            bytes("becomes", "file"),
        ];
        apply(&root, &upper, &NoProgress).unwrap();
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
        assert_eq!((read("usr/lib/a").as_str(), read("usr/lib/b").as_str()), ("1", "2"));
        assert_eq!((read("becomes").as_str(), read("outside/c").as_str()), ("file", "2"));
        assert!(!keep.path().join("outside").exists() && !root.join("gone").exists());
        let names: Vec<String> = root
            .join("opaque")
            .read_dir_utf8()
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_owned())
            .collect();
        assert_eq!(names, ["new"]);
        let mode = fs::metadata(root.join("usr/lib/a")).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o644, "no set-user bits");
        let error = apply(&root, &[bytes("becomes/x", "")], &NoProgress).unwrap_err();
        assert_eq!(error.message(), "a layer holds an entry below what is no folder");
    }
}
