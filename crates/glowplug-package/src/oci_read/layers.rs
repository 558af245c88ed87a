//! Applies layers to a folder, one over the other: files of upper ones replace those of lower ones, whiteouts delete
//! them ("layer.md" of the image specification). Only folders and files are made, so that no path leads out.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read, Write};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use flate2::read::MultiGzDecoder;
use fs_err as fs;
use glowplug_core::{Error, Progress, Result, format_bytes, format_hex};
use sha2::{Digest, Sha256};
use tar::{Archive, EntryType};

use super::manifest::differs;

/// Contents that may come out of all layers, in bytes: twice what Lambda takes.
const MOST_BYTES: u64 = 20_000_000_000;
/// Entries of all layers.
const MOST_ENTRIES: usize = 4_000_000;
/// Contents that are kept, in bytes.
const MOST_KEPT: u64 = 4_000_000_000;
/// Files of text that are kept, in bytes.
const MOST_TEXT: u64 = 1024 * 1024;
/// What a whiteout's name starts with, and that of an opaque folder.
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// Unpacks what is wanted of layers.
pub(super) struct Unpacker<'a, W: Fn(&Utf8Path) -> bool> {
    into: &'a Utf8Path,
    wanted: W,
    read: u64,
    entries: usize,
    kept: u64,
    links: BTreeSet<Utf8PathBuf>,
}

impl<'a, W: Fn(&Utf8Path) -> bool> Unpacker<'a, W> {
    pub(super) fn new(into: &'a Utf8Path, wanted: W) -> Self {
        Self { into, wanted, read: 0, entries: 0, kept: 0, links: BTreeSet::new() }
    }

    /// How many wanted paths are links.
    pub(super) fn links(&self) -> usize {
        self.links.len()
    }

    /// Applies the layer in the blob at `path`.
    pub(super) fn layer(&mut self, path: &Utf8Path, digest: &str, progress: &dyn Progress) -> Result<()> {
        let mut blob = Hashing { inner: fs::File::open(path)?, hash: Sha256::new() };
        let room = MOST_BYTES - self.read;
        let damaged = |error: &dyn std::fmt::Display| {
            Error::input("cannot read a layer of the image").cause(error).place(path.as_str())
        };
        let mut reader =
            Counting { inner: decompressed(&mut blob).map_err(|e| damaged(&e))?, count: 0, room };
        let mut archive = Archive::new(&mut reader);
        let mut own = BTreeSet::new();
        for entry in archive.entries().map_err(|error| damaged(&error))? {
            if progress.interrupted() {
                return Err(Error::interrupted());
            }
            let mut entry = entry.map_err(|error| damaged(&error))?;
            self.entries += 1;
            if self.entries > MOST_ENTRIES {
                return Err(Error::input("the image holds too many files").place(path.as_str()));
            }
            let name = entry.path_bytes().into_owned();
            // A name that is not UTF-8 is none that Python code is imported by.
            let Ok(name) = std::str::from_utf8(&name) else { continue };
            let Some(name) = inside(name, path)? else { continue };
            self.entry(&name, &mut entry, &mut own, &damaged)?;
        }
        let read = &mut reader;
        io::copy(read, &mut io::sink()).map_err(|error| damaged(&error))?;
        let count = reader.count;
        drop(reader);
        self.read += count;
        io::copy(&mut blob, &mut io::sink()).map_err(|error| damaged(&error))?;
        let found = format!("sha256:{}", format_hex(&blob.hash.finalize()));
        if found == digest { Ok(()) } else { Err(differs(path)) }
    }

    fn entry(
        &mut self,
        name: &Utf8Path,
        entry: &mut tar::Entry<'_, impl Read>,
        own: &mut BTreeSet<Utf8PathBuf>,
        damaged: &dyn Fn(&dyn std::fmt::Display) -> Error,
    ) -> Result<()> {
        let base = name.file_name().unwrap_or_default();
        if base == OPAQUE {
            return self.clear(name.parent().unwrap_or(Utf8Path::new("")), own);
        }
        if let Some(hidden) = base.strip_prefix(WHITEOUT) {
            return self.remove(&name.with_file_name(hidden));
        }
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            if self.into.join(name).is_file() {
                self.remove(name)?;
            }
            return Ok(());
        }
        // Whatever it is, it takes the place of what was there.
        if self.into.join(name).exists() {
            self.remove(name)?;
        }
        self.links.remove(name);
        if !(self.wanted)(name) {
            return Ok(());
        }
        own.insert(name.to_owned());
        match kind {
            EntryType::Symlink => {
                self.links.insert(name.to_owned());
                Ok(())
            }
            EntryType::Link => self.copy(name, entry, damaged),
            _ if kind.is_file() || kind == EntryType::Continuous || kind == EntryType::GNUSparse => {
                self.file(name, entry, damaged)
            }
            // Devices and pipes are not for Python.
            _ => Ok(()),
        }
    }

    /// A second name of a file.
    fn copy(
        &self,
        name: &Utf8Path,
        entry: &tar::Entry<'_, impl Read>,
        damaged: &dyn Fn(&dyn std::fmt::Display) -> Error,
    ) -> Result<()> {
        let target = entry.link_name_bytes().unwrap_or_default().into_owned();
        let target = std::str::from_utf8(&target).map_err(|error| damaged(&error))?;
        let Some(target) = inside(target, name)? else { return Ok(()) };
        let source = self.into.join(&target);
        if target != name && source.is_file() {
            let place = self.place(name)?;
            fs::copy(source, place)?;
        }
        Ok(())
    }

    fn file(
        &mut self,
        name: &Utf8Path,
        entry: &mut tar::Entry<'_, impl Read>,
        damaged: &dyn Fn(&dyn std::fmt::Display) -> Error,
    ) -> Result<()> {
        let bytes = entry.size();
        let place = self.place(name)?;
        let mut out = fs::File::create(&place)?;
        if !is_read(name, bytes) {
            return Ok(out.set_len(bytes)?);
        }
        self.kept = self.kept.saturating_add(bytes);
        if self.kept > MOST_KEPT {
            return Err(Error::input(format!(
                "the image holds more than {} of code and libraries",
                format_bytes(MOST_KEPT)
            )));
        }
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = entry.read(&mut buffer).map_err(|error| damaged(&error))?;
            if count == 0 {
                return Ok(());
            }
            out.write_all(&buffer[..count])?;
        }
    }

    /// Where a file goes, its folders made; a file in the way of a folder is replaced by it.
    fn place(&self, name: &Utf8Path) -> Result<Utf8PathBuf> {
        let place = self.into.join(name);
        let Some(parent) = name.parent() else { return Ok(place) };
        for folder in parent.ancestors().filter(|folder| !folder.as_str().is_empty()) {
            if self.into.join(folder).is_file() {
                self.remove(folder)?;
            }
        }
        fs::create_dir_all(self.into.join(parent))?;
        Ok(place)
    }

    fn remove(&self, name: &Utf8Path) -> Result<()> {
        let path = self.into.join(name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Ok(fs::remove_dir_all(path)?),
            Ok(_) => Ok(fs::remove_file(path)?),
            Err(_) => Ok(()),
        }
    }

    /// Removes what lower layers put into a folder.
    fn clear(&self, folder: &Utf8Path, own: &BTreeSet<Utf8PathBuf>) -> Result<()> {
        let path = self.into.join(folder);
        let files = walkdir::WalkDir::new(&path).follow_links(false).into_iter().filter_map(Result::ok);
        for file in files.filter(|entry| !entry.file_type().is_dir()) {
            let relative =
                Utf8Path::from_path(file.path()).and_then(|path| path.strip_prefix(self.into).ok());
            if relative.is_some_and(|relative| !own.contains(relative)) {
                fs::remove_file(file.path())?;
            }
        }
        Ok(())
    }
}

/// Whether the contents of a file are read; else its size is enough.
fn is_read(name: &Utf8Path, bytes: u64) -> bool {
    let base = name.file_name().unwrap_or_default();
    let code = matches!(name.extension(), Some("py" | "pyc" | "pyi" | "so")) || base.contains(".so.");
    let metadata = name.as_str().contains(".dist-info/") || name.as_str().contains(".egg-info/");
    let text = matches!(name.extension(), Some("txt" | "json" | "toml" | "yaml" | "yml" | "cfg" | "ini"));
    code || metadata || (text && bytes <= MOST_TEXT)
}

/// The path below the image's root; `None` for the root itself.
fn inside(name: &str, place: &Utf8Path) -> Result<Option<Utf8PathBuf>> {
    let mut path = Utf8PathBuf::new();
    for part in Utf8Path::new(name).components() {
        match part {
            Utf8Component::Normal(part) => path.push(part),
            Utf8Component::CurDir | Utf8Component::RootDir => {}
            _ => {
                return Err(Error::input(format!("a layer holds a path that leads out of it: `{name}`"))
                    .place(place.as_str()));
            }
        }
    }
    Ok(Some(path).filter(|path| !path.as_str().is_empty() && !name.contains('\0')))
}

/// By the first bytes: media types say the same, and some are wrong.
fn decompressed<'r>(blob: &'r mut Hashing) -> io::Result<Box<dyn Read + 'r>> {
    let mut start = [0; 4];
    let mut length = 0;
    while length < start.len() {
        match blob.read(&mut start[length..])? {
            0 => break,
            count => length += count,
        }
    }
    let whole = io::Cursor::new(start[..length].to_vec()).chain(blob);
    let whole = BufReader::with_capacity(256 * 1024, whole);
    Ok(match start {
        [0x1F, 0x8B, ..] => Box::new(MultiGzDecoder::new(whole)),
        [0x28, 0xB5, 0x2F, 0xFD] => Box::new(zstd::Decoder::with_buffer(whole)?),
        _ => Box::new(whole),
    })
}

/// Hashes what is read through it.
struct Hashing {
    inner: fs::File,
    hash: Sha256,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

/// Counts what is read through it, and ends in an error beyond `room`.
struct Counting<R> {
    inner: R,
    count: u64,
    room: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        if self.count > self.room {
            return Err(io::Error::other(format!(
                "the image unpacks to more than {}",
                format_bytes(MOST_BYTES)
            )));
        }
        Ok(count)
    }
}
