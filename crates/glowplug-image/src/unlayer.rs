//! Reads a layer of an image: checks what it says of itself, lists what is in it, keeps the contents if asked to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use camino::Utf8Path;
use flate2::read::MultiGzDecoder;
use glowplug_core::{Error, ErrorClass, Progress, Result, format_bytes};
use tar::EntryType;

use crate::header::{self, BLOCK, XATTR};
use crate::layout::{Layout, check_digest};
use crate::limits::{ENTRY_LIMIT, EXTENSION_LIMIT, LATEST, PATH_LIMIT};
use crate::node::{self, Data, Kind, NO_PREFETCH, Node, PREFETCH, TOC_NAME};
use crate::oci::{Compression, Descriptor, Digest};
use crate::tree::check_symlink;
use crate::verified::Verified;

/// Bytes read from the disk at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// What a layer is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It will be part of an image: what an image cannot have is refused.
    Whole,
    /// Somebody looks at its files: what is none of them, a device or a name that is no text, is passed over. A hard
    /// link to a lower layer's file stays one.
    Files,
}

/// What is in a layer.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub nodes: Vec<Node>,
    /// Devices, pipes and sockets below `dev`, which are no nodes: whoever runs the image makes its own.
    pub devices: usize,
    /// Size of the tar archive.
    pub bytes: u64,
}

/// Reads a layer whole. `diff_id` is what its configuration promises of the uncompressed archive, `most` how much it
/// may unpack to, `spool` where that goes for those who need contents.
///
/// Errors (input): another digest or size than promised, damaged compression or archive, entries that an image
/// cannot have, more than `most` bytes.
pub(crate) fn read_layer(
    layout: &Layout,
    layer: &Descriptor,
    diff_id: Option<&Digest>,
    most: u64,
    spool: Option<File>,
    reading: Reading,
    progress: &dyn Progress,
) -> Result<Unpacked> {
    let path = layout.blob(&layer.digest);
    let mut raw = Verified::new(layout.open_blob(layer)?, layer.size);
    let data = match &spool {
        Some(file) => Some(Arc::new(file.try_clone()?)),
        None => None,
    };
    let (listed, bytes, is) = {
        let buffered = BufReader::with_capacity(BUFFER_BYTES, &mut raw);
        let mut unpacked = Verified::copying(decoder(layer, buffered, &path)?, most, spool);
        let mut reader = LayerReader {
            place: &path,
            spool: data.as_ref(),
            found: Found::default(),
            end: 0,
            reading,
            progress,
        };
        // Some tools leave out the end of an archive, even the padding of its last entry, and every runtime takes
        // that; the digests say whether it is complete.
        let mut listed = reader.read(&mut (&mut unpacked).chain(io::repeat(0).take(3 * BLOCK as u64 - 1)));
        let (found, end) = (reader.found, reader.end);
        if listed.is_ok() {
            listed = unpacked.drain().map_err(|error| broken(&path, &error));
        }
        if listed.is_ok() && end > unpacked.length() {
            listed = Err(broken(&path, &"the archive ends within a file"));
        }
        if let Some(error) = unpacked.copy_error.take() {
            return Err(error.into());
        }
        if unpacked.over {
            return Err(Error::input(format!("the layer unpacks to more than {}", format_bytes(most)))
                .place(path.as_str())
                .hint("an image has at most 10 GB on Lambda; this may be a decompression bomb"));
        }
        (listed.map(|()| found), unpacked.length(), unpacked.digest())
    };
    if let Err(error) = &listed
        && error.class() == ErrorClass::Interrupted
    {
        return Err(error.clone());
    }
    // A damaged blob shows as some error of decompression: that its digest is wrong says more.
    raw.drain().map_err(|error| broken(&path, &error))?;
    check_digest(raw.digest(), layer, &path)?;
    let found = listed?;
    if diff_id.is_some_and(|promised| *promised != is) {
        return Err(Error::input("the layer unpacks to something else than the configuration promises")
            .cause(format!("it is {is}"))
            .place(path.as_str()));
    }
    let devices = found.devices;
    Ok(Unpacked { nodes: found.nodes(&path, reading)?, devices, bytes })
}

/// The archive that a layer's bytes hold.
fn decoder<'a>(
    layer: &Descriptor,
    bytes: impl io::BufRead + 'a,
    place: &Utf8Path,
) -> Result<Box<dyn Read + 'a>> {
    Ok(match layer.compression() {
        Some(Compression::None) => Box::new(bytes),
        Some(Compression::Gzip) => Box::new(MultiGzDecoder::new(bytes)),
        Some(Compression::Zstd) => Box::new(
            zstd::Decoder::with_buffer(bytes)
                .map_err(|error| Error::surroundings("cannot start zstd").cause(error))?,
        ),
        None => return Err(Error::defect("a layer of an unknown type").place(place.as_str())),
    })
}

/// What PAX and GNU extensions say of the entry after them.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<u64>,
    xattrs: BTreeMap<String, Vec<u8>>,
}

#[derive(Default)]
struct Found {
    nodes: Vec<Node>,
    /// Where each path is among them.
    at: BTreeMap<String, usize>,
    devices: usize,
}

struct LayerReader<'a> {
    place: &'a Utf8Path,
    spool: Option<&'a Arc<File>>,
    found: Found,
    /// Where the contents that were listed end.
    end: u64,
    reading: Reading,
    progress: &'a dyn Progress,
}

impl LayerReader<'_> {
    fn read(&mut self, reader: &mut impl Read) -> Result<()> {
        let mut archive = tar::Archive::new(reader);
        let mut next = Extensions::default();
        // Raw entries: the library would read a name of any length into memory.
        let entries = archive.entries().map_err(|error| broken(self.place, &error))?.raw(true);
        for entry in entries {
            if self.progress.interrupted() {
                return Err(Error::interrupted());
            }
            let mut entry = entry.map_err(|error| broken(self.place, &error))?;
            match entry.header().entry_type() {
                EntryType::XHeader => {
                    let bytes = self.small(&mut entry)?;
                    self.pax(&bytes, &mut next)?;
                }
                EntryType::XGlobalHeader => {}
                EntryType::GNULongName => next.path = Some(until_zero(self.small(&mut entry)?)),
                EntryType::GNULongLink => next.link = Some(until_zero(self.small(&mut entry)?)),
                _ => {
                    let extensions = std::mem::take(&mut next);
                    self.entry(&mut entry, extensions)?;
                }
            }
        }
        Ok(())
    }

    /// Contents of an extension.
    fn small(&self, entry: &mut impl Read) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        entry
            .take(EXTENSION_LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| broken(self.place, &error))?;
        if bytes.len() as u64 > EXTENSION_LIMIT {
            let limit = format_bytes(EXTENSION_LIMIT);
            return Err(Error::input(format!("a header in the layer has more than {limit}"))
                .place(self.place.as_str()));
        }
        Ok(bytes)
    }

    fn pax(&self, bytes: &[u8], next: &mut Extensions) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (key, value, after) =
                header::split_record(rest).ok_or_else(|| broken(self.place, &"a damaged PAX header"))?;
            rest = after;
            let number = || {
                let text = std::str::from_utf8(value).ok()?;
                text.split('.').next()?.parse::<u64>().ok()
            };
            match key {
                "path" => next.path = Some(value.to_vec()),
                "linkpath" => next.link = Some(value.to_vec()),
                "uid" => next.uid = number(),
                "gid" => next.gid = number(),
                "mtime" => next.mtime = number(),
                "size" => {
                    return Err(
                        Error::input("the layer holds a file of more than 8 GB").place(self.place.as_str())
                    );
                }
                _ if key.starts_with("GNU.sparse") && self.reading == Reading::Whole => {
                    return Err(self.refused("a sparse file", bytes));
                }
                _ => {
                    if let Some(name) = key.strip_prefix(XATTR) {
                        next.xattrs.insert(name.to_owned(), value.to_vec());
                    }
                }
            }
        }
        Ok(())
    }

    fn refused(&self, what: &str, path: &[u8]) -> Error {
        let path: String = String::from_utf8_lossy(path).chars().take(200).collect();
        Error::input(format!("the layer holds {what}: `{}`", path.escape_debug())).place(self.place.as_str())
    }

    fn entry<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>, next: Extensions) -> Result<()> {
        let raw = next.path.unwrap_or_else(|| entry.path_bytes().into_owned());
        let Some(path) = self.path(&raw)? else { return Ok(()) };
        let header = entry.header();
        let place = self.place;
        let damaged = |error: io::Error| broken(place, &error);
        let link = next.link.or_else(|| entry.link_name_bytes().map(Cow::into_owned));
        let link = String::from_utf8(link.unwrap_or_default())
            .map_err(|_| self.refused("a link whose target is no UTF-8", &raw))?;
        if link.len() > PATH_LIMIT {
            return Err(self.refused("a link that Linux has no room for", &raw));
        }
        let kind = match header.entry_type() {
            EntryType::Directory => Kind::Dir,
            EntryType::Regular | EntryType::Continuous if raw.ends_with(b"/") => Kind::Dir,
            EntryType::Regular | EntryType::Continuous => {
                let data = self.spool.map(|file| Data::Spool(file.clone(), entry.raw_file_position()));
                let size = header.entry_size().map_err(damaged)?;
                self.end = self.end.max(entry.raw_file_position().saturating_add(size));
                Kind::File { data: data.unwrap_or(Data::Gone), size, twin: None }
            }
            EntryType::Symlink => {
                check_symlink(&path, &link, self.place.as_str())?;
                Kind::Symlink(link)
            }
            EntryType::Link => Kind::Link(self.hard_link(&raw, &link)?),
            EntryType::Char | EntryType::Block | EntryType::Fifo if node::is_device_place(&path) => {
                self.found.devices += 1;
                return Ok(());
            }
            EntryType::GNUSparse if self.reading == Reading::Files => {
                Kind::File { data: Data::Gone, size: header.entry_size().map_err(damaged)?, twin: None }
            }
            _ if self.reading == Reading::Files => return Ok(()),
            EntryType::Char | EntryType::Block => return Err(self.refused("a device", &raw)),
            EntryType::Fifo => return Err(self.refused("a named pipe", &raw)),
            EntryType::GNUSparse => return Err(self.refused("a sparse file", &raw)),
            _ => return Err(self.refused("an entry of an unknown kind", &raw)),
        };
        // Whoever looks at files does not ask whose they are.
        let looking = self.reading == Reading::Files;
        let number = |known: Option<u64>, field: io::Result<u64>| match known {
            _ if looking => Ok(0),
            Some(known) => Ok(known),
            None => field.map_err(damaged),
        };
        let uid = number(next.uid, header.uid())?;
        let gid = number(next.gid, header.gid())?;
        let mtime = number(next.mtime, header.mtime())?;
        if uid.max(gid) > u64::from(u32::MAX) || mtime > LATEST {
            return Err(self.refused("an owner or a time that Linux has no room for", &raw));
        }
        let mode = number(None, header.mode().map(u64::from))? as u32 & 0o7777;
        let made = Node { path, kind, mode, uid, gid, mtime, xattrs: next.xattrs };
        self.add(made)
    }

    /// The path of an entry that the container sees: not the root itself, nor what makes the layer an eStargz one.
    fn path(&self, raw: &[u8]) -> Result<Option<String>> {
        let files = self.reading == Reading::Files;
        let Ok(name) = std::str::from_utf8(raw) else {
            if files {
                return Ok(None);
            }
            return Err(self.refused("a name that is no UTF-8", raw));
        };
        let mut trimmed = name.strip_prefix("./").unwrap_or(name).trim_end_matches('/');
        if files {
            trimmed = trimmed.trim_start_matches('/');
        }
        // Some tools write the root as `/`.
        if matches!(trimmed, "" | ".") {
            return Ok(None);
        }
        if trimmed.len() > PATH_LIMIT {
            return Err(self.refused("a path that Linux has no room for", raw));
        }
        if node::check_parts(trimmed).is_err() {
            return Err(self.refused("an absolute path or one that climbs out", raw));
        }
        let of_estargz = matches!(trimmed, TOC_NAME | PREFETCH | NO_PREFETCH);
        Ok((!of_estargz).then(|| trimmed.to_owned()))
    }

    /// The target of a hard link, which is an entry of this layer.
    fn hard_link(&self, path: &[u8], link: &str) -> Result<String> {
        let target = link.strip_prefix("./").unwrap_or(link).trim_start_matches('/');
        if node::check_parts(target).is_err() {
            return Err(self.refused("a hard link that leads out of it", path));
        }
        Ok(target.to_owned())
    }

    fn add(&mut self, node: Node) -> Result<()> {
        if self.found.nodes.len() >= ENTRY_LIMIT {
            return Err(Error::input(format!("the layer has more than {ENTRY_LIMIT} entries"))
                .place(self.place.as_str()));
        }
        let Some(&earlier) = self.found.at.get(&node.path) else {
            self.found.at.insert(node.path.clone(), self.found.nodes.len());
            self.found.nodes.push(node);
            return Ok(());
        };
        // Folders may come again; what was said last counts.
        let folders = matches!((&self.found.nodes[earlier].kind, &node.kind), (Kind::Dir, Kind::Dir));
        if !folders && self.reading == Reading::Whole {
            return Err(self.refused("one path twice", node.path.as_bytes()));
        }
        self.found.nodes[earlier] = node;
        Ok(())
    }
}

impl Found {
    /// Hard links become further names of one file; nothing may lie below a file or a link.
    fn nodes(self, place: &Utf8Path, reading: Reading) -> Result<Vec<Node>> {
        let Self { mut nodes, at, devices: _ } = self;
        // For each entry the file that it is a name of, which is itself or an earlier one.
        let mut files: Vec<usize> = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let inside_file =
                |parent| at.get(parent).is_some_and(|&above| !matches!(nodes[above].kind, Kind::Dir));
            if node::parents(&node.path).any(inside_file) {
                return Err(Error::input(format!(
                    "the layer holds an entry below a link or a file: `{}`",
                    node.path
                ))
                .place(place.as_str()));
            }
            let Kind::Link(target) = &node.kind else {
                files.push(index);
                continue;
            };
            let file = at.get(target).and_then(|&earlier| files.get(earlier)).copied();
            let file = file.filter(|&file| matches!(nodes[file].kind, Kind::File { .. }));
            if file.is_none() && reading == Reading::Files {
                files.push(index);
                continue;
            }
            files.push(file.ok_or_else(|| {
                Error::input(format!(
                    "the layer holds a hard link to what is not before it: `{}` to `{target}`",
                    node.path
                ))
                .place(place.as_str())
            })?);
        }
        for (index, file) in files.into_iter().enumerate().filter(|(index, file)| index != file) {
            if let Kind::File { twin, .. } = &mut nodes[file].kind {
                *twin = Some(file as u64);
            }
            let path = std::mem::take(&mut nodes[index].path);
            nodes[index] = Node { path, ..nodes[file].clone() };
        }
        Ok(nodes)
    }
}

fn until_zero(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn broken(path: &Utf8Path, error: &dyn std::fmt::Display) -> Error {
    Error::input("a layer cannot be unpacked").cause(error).place(path.as_str())
}
