//! The entries of a part of the image: package trees and root file systems alike become nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::{Error, Result};
use glowplug_package::{ArchiveEntry, Contents};

use crate::node::{self, Data, Kind, Node};
use crate::request::Part;
use crate::view::{View, What};

/// The nodes of one layer's parts, files and links only. `seen` holds the paths of the layers before it.
pub(crate) fn nodes(parts: &[Part], seen: &mut BTreeSet<String>) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    for part in parts {
        let at = place(&part.at)?;
        for entry in &part.entries {
            let made = node(&at, entry)?;
            if !seen.insert(made.path.clone()) {
                return Err(Error::defect("two entries of an image have one path").place(made.path));
            }
            nodes.push(made);
        }
    }
    set_source_times(&mut nodes)?;
    Ok(nodes)
}

/// A place as a prefix: without the slash before it, with one after it.
fn place(at: &Utf8Path) -> Result<String> {
    let inner = at.as_str().strip_prefix('/').map(|path| path.trim_end_matches('/'));
    match inner {
        Some("") => Ok(String::new()),
        Some(path) if node::check_parts(path).is_ok() => Ok(format!("{path}/")),
        _ => Err(Error::usage("a place in the image is not an absolute path, plainly written")
            .place(at.as_str())
            .hint("write for example `/var/task`")),
    }
}

fn node(at: &str, entry: &ArchiveEntry) -> Result<Node> {
    node::check_parts(entry.path.as_str())
        .map_err(|wrong| Error::defect(format!("an entry's name {wrong}")).place(entry.path.as_str()))?;
    let path = format!("{at}{}", entry.path);
    node::check_reserved(&path, &format!("/{path}"))?;
    let mode = if entry.executable { 0o755 } else { 0o644 };
    Ok(match &entry.source {
        Contents::File(file) => {
            let found = fs::metadata(file)?;
            if !found.is_file() {
                return Err(Error::input(format!("`{path}` is to be a file, and is none on the disk"))
                    .place(file.as_str()));
            }
            let size = found.len();
            Node::new(path, Kind::File { data: Data::Path(file.clone()), size, twin: None }, mode)
        }
        Contents::Bytes(bytes) => {
            let data = Data::Bytes(Arc::from(bytes.as_slice()));
            Node::new(path, Kind::File { data, size: bytes.len() as u64, twin: None }, mode)
        }
        Contents::Symlink(target) => {
            check_symlink(&path, target.as_str(), &format!("/{path}"))?;
            Node::new(path, Kind::Symlink(target.to_string()), 0o777)
        }
    })
}

/// Refuses links that nothing can follow or that climb over the image's root.
pub(crate) fn check_symlink(path: &str, target: &str, place: &str) -> Result<()> {
    if target.is_empty() || target.contains('\0') || node::climbs(path, target) {
        return Err(Error::input(format!("the link `{path}` leads out of the image, to `{target}`"))
            .place(place)
            .hint("let it point to where its target is in the image"));
    }
    Ok(())
}

/// Adds the folders above each entry, once, and checks that nothing hides what the layers below have there.
///
/// A folder of theirs keeps its owner and mode: what an upper layer says of a folder counts.
pub(crate) fn add_folders(nodes: &mut Vec<Node>, below: &View) -> Result<()> {
    for node in nodes.iter() {
        if below.get(&node.path).is_some_and(|seen| matches!(seen.what, What::Dir { .. })) {
            return Err(
                Error::input("a file would hide a folder of a layer below").place(format!("/{}", node.path))
            );
        }
    }
    let added = missing_folders(nodes, |path| match below.get(path).map(|seen| &seen.what) {
        Some(What::Symlink(target)) => {
            Err(Error::input(format!("`/{path}` is a link to `{target}` in a layer below"))
                .place(format!("/{path}"))
                .hint("name the folder that it leads to, since a layer cannot write through a link"))
        }
        Some(What::File) => Err(Error::input("a folder would take the place of a file of a layer below")
            .place(format!("/{path}"))),
        _ => Ok(Some(folder(path, below))),
    })?;
    nodes.extend(added);
    Ok(())
}

/// The same for a layer that others made, whose entries may go through links and hide what they like: where it does
/// not mention a folder, a snapshotter that reads its table would else make one up.
pub(crate) fn complete_folders(nodes: &mut Vec<Node>, below: &View) -> Result<()> {
    let added = missing_folders(nodes, |path| match below.get(path).map(|seen| &seen.what) {
        Some(What::Symlink(_) | What::File) => Ok(None),
        _ => Ok(Some(folder(path, below))),
    })?;
    nodes.extend(added);
    Ok(())
}

/// What `make` gives for each folder that is above an entry and is none itself.
fn missing_folders(nodes: &[Node], make: impl Fn(&str) -> Result<Option<Node>>) -> Result<Vec<Node>> {
    let known: BTreeMap<&str, bool> =
        nodes.iter().map(|node| (node.path.as_str(), matches!(node.kind, Kind::Dir))).collect();
    let mut folders: BTreeMap<&str, Option<Node>> = BTreeMap::new();
    for node in nodes {
        for parent in node::parents(&node.path) {
            match known.get(parent) {
                Some(true) => {}
                Some(false) => {
                    return Err(
                        Error::defect("an entry of an image is below a file or a link").place(&node.path)
                    );
                }
                None if folders.contains_key(parent) => {}
                None => {
                    folders.insert(parent, make(parent)?);
                }
            }
        }
    }
    Ok(folders.into_values().flatten().collect())
}

/// A folder as the layers below have it, or else root's.
fn folder(path: &str, below: &View) -> Node {
    let mut made = Node::new(path, Kind::Dir, 0o755);
    if let Some(What::Dir { mode, uid, gid }) = below.get(path).map(|seen| &seen.what) {
        (made.mode, made.uid, made.gid) = (*mode, *uid, *gid);
    }
    made
}

/// Gives sources the time that the bytecode beside them was made for.
///
/// With one fixed time for everything, Python would find each timestamp in its bytecode wrong, compile the source at
/// every start and have no place to keep the result. The time is read from the bytecode (PEP 552), hence the same
/// wherever the tree came from.
pub(crate) fn set_source_times(nodes: &mut [Node]) -> Result<()> {
    let mut times: BTreeMap<String, (u64, u32)> = BTreeMap::new();
    let with_source = |node| source_of(node).map(|source| (node, source));
    let mut compiled: Vec<(&Node, String)> = nodes.iter().filter_map(with_source).collect();
    compiled.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    for (node, source) in compiled {
        let Kind::File { data, size: 16.., .. } = &node.kind else { continue };
        let head = data.read(0, 16)?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if word(4) == 0 {
            times.entry(source).or_insert((u64::from(word(8)), word(12)));
        }
    }
    for node in nodes.iter_mut() {
        if let Some((time, size)) = times.get(&node.path)
            && node.size() as u32 == *size
        {
            node.mtime = *time;
        }
    }
    Ok(())
}

/// `a/b.py` for `a/__pycache__/b.cpython-312.opt-1.pyc`.
fn source_of(node: &Node) -> Option<String> {
    let (folder, name) = node.path.strip_suffix(".pyc")?.rsplit_once('/')?;
    let folder = folder.strip_suffix("__pycache__")?;
    let stem = &name[..name.rfind(".cpython-")?];
    Some(format!("{folder}{stem}.py"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(path: &str, contents: &[u8]) -> ArchiveEntry {
        ArchiveEntry { path: path.into(), source: Contents::Bytes(contents.to_vec()), executable: false }
    }

    fn made(at: &str, entries: Vec<ArchiveEntry>) -> Result<Vec<Node>> {
        nodes(&[Part { at: at.into(), entries }], &mut BTreeSet::new())
    }

    #[test]
    fn places_are_absolute_and_plain() {
        for at in ["var/task", "", "/var/../task", "/var//task", "/./x"] {
            assert!(made(at, vec![bytes("a", b"")]).is_err(), "{at}");
        }
        for (at, path) in [("/", "a"), ("/var/task", "var/task/a"), ("/var/task/", "var/task/a")] {
            assert_eq!(made(at, vec![bytes("a", b"")]).unwrap()[0].path, path);
        }
    }

    #[test]
    fn a_path_comes_once_in_all_layers_of_ours() {
        let mut seen = BTreeSet::new();
        let part = |entry| [Part { at: "/x".into(), entries: vec![entry] }];
        nodes(&part(bytes("a", b"")), &mut seen).unwrap();
        assert!(nodes(&part(bytes("a", b"")), &mut seen).is_err());
        assert!(nodes(&part(bytes("A", b"")), &mut seen).is_ok(), "Linux tells these apart");
    }

    #[test]
    fn folders_of_the_base_keep_their_mode_and_its_links_are_not_written_through() {
        let mut base = View::default();
        let mut tmp = Node::new("tmp", Kind::Dir, 0o1777);
        tmp.gid = 7;
        let link = Node::new("lib", Kind::Symlink("usr/lib".into()), 0o777);
        base.add_layer(&[tmp, link]);
        let mut inner = made("/tmp/x", vec![bytes("a", b"")]).unwrap();
        add_folders(&mut inner, &base).unwrap();
        let modes: Vec<_> = inner.iter().map(|n| (n.path.as_str(), n.mode, n.gid)).collect();
        assert_eq!(modes, [("tmp/x/a", 0o644, 0), ("tmp", 0o1777, 7), ("tmp/x", 0o755, 0)]);
        let mut through = made("/lib", vec![bytes("a", b"")]).unwrap();
        let error = add_folders(&mut through, &base).unwrap_err();
        assert_eq!(error.message(), "`/lib` is a link to `usr/lib` in a layer below");
        let mut hiding = made("/", vec![bytes("tmp", b"")]).unwrap();
        assert!(add_folders(&mut hiding, &base).is_err());
    }

    #[test]
    fn an_entry_below_a_file_is_refused() {
        let mut below = made("/", vec![bytes("a", b""), bytes("a/b", b"")]).unwrap();
        assert!(add_folders(&mut below, &View::default()).is_err());
    }

    #[test]
    fn sources_have_the_time_that_their_bytecode_was_made_for() {
        let code = |flags: u32, time: u32, size: u32| {
            [1, flags, time, size].iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>()
        };
        let nodes = made(
            "/lib",
            vec![
                bytes("a.py", b"x = 1"),
                bytes("__pycache__/a.cpython-312.pyc", &code(0, 1234, 5)),
                bytes("hashed.py", b"x = 1"),
                bytes("__pycache__/hashed.cpython-312.pyc", &code(1, 1234, 5)),
                bytes("other.py", b"x = 12"),
                bytes("__pycache__/other.cpython-312.pyc", &code(0, 1234, 5)),
                bytes("__pycache__/short.cpython-312.pyc", b"x"),
            ],
        )
        .unwrap();
        let late: Vec<_> =
            nodes.iter().filter(|n| n.mtime != 0).map(|n| (n.path.as_str(), n.mtime)).collect();
        assert_eq!(late, [("lib/a.py", 1234)]);
    }
}
