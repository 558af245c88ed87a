//! One entry on its way into a zip: its body, compressed before, behind the writer's own headers.

use std::io::{self, Read, Seek, Write};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Error, Result};
use zip::write::SimpleFileOptions;
use zip::{DateTime, ZipWriter};

use crate::archive::ArchiveEntry;

/// What goes into the archive for one entry.
pub(crate) struct Body {
    pub(crate) deflated: bool,
    /// Of the contents; 0 where only the size is asked for.
    pub(crate) crc32: u32,
    /// Of the contents.
    pub(crate) bytes: u64,
    pub(crate) data: Data,
}

pub(crate) enum Data {
    Bytes(Vec<u8>),
    /// As many zeros as there would be bytes: only the size is asked for.
    Zeros(u64),
    Link(Utf8PathBuf),
}

impl Body {
    pub(crate) fn link(target: &Utf8Path) -> Self {
        let bytes = target.as_str().len() as u64;
        Self { deflated: false, crc32: 0, bytes, data: Data::Link(target.to_owned()) }
    }
}

/// Appends an entry whose body is ready. The writer takes compressed bodies only from an archive
/// that is read, so that it is given the first part of one: a local header and the body.
pub(crate) fn add<W: Write + Seek>(
    writer: &mut ZipWriter<W>,
    entry: &ArchiveEntry,
    body: Body,
) -> Result<()> {
    let name = entry.path.as_str();
    let (length, data): (u64, Box<dyn Read + '_>) = match &body.data {
        Data::Link(target) => {
            let options =
                SimpleFileOptions::default().last_modified_time(DateTime::DEFAULT).unix_permissions(0o644);
            return writer.add_symlink(name, target, options).map_err(|error| failed(entry, &error));
        }
        Data::Bytes(bytes) => (bytes.len() as u64, Box::new(bytes.as_slice())),
        Data::Zeros(length) => (*length, Box::new(io::repeat(0).take(*length))),
    };
    let header = local_header(name, &body, length)
        .ok_or_else(|| Error::input("a file's name is too long for a zip").place(name))?;
    let mut start = header.chain(data);
    let file = zip::read::read_zipfile_from_stream(&mut start)
        .map_err(|error| failed(entry, &error))?
        .ok_or_else(|| Error::defect("a zip entry was not prepared").place(name))?;
    let mode = if entry.executable { 0o755 } else { 0o644 };
    writer.raw_copy_file_touch(file, DateTime::DEFAULT, Some(mode)).map_err(|error| failed(entry, &error))
}

/// A local file header; `None` where a number does not fit. Layout: APPNOTE 6.3.10, section 4.3.7,
/// <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>.
fn local_header(name: &str, body: &Body, length: u64) -> Option<io::Cursor<Vec<u8>>> {
    /// Made by Unix (high byte), to be read by version 2.0; the writer takes the system from here.
    const VERSION: u16 = 0x0314;
    /// The name is UTF-8.
    const UTF_8: u16 = 1 << 11;
    let time = DateTime::DEFAULT;
    let mut header = b"PK\x03\x04".to_vec();
    let flags = if name.is_ascii() { 0 } else { UTF_8 };
    let method = if body.deflated { 8 } else { 0 };
    for word in [VERSION, flags, method, time.timepart(), time.datepart()] {
        header.extend(word.to_le_bytes());
    }
    for long in [body.crc32, u32::try_from(length).ok()?, u32::try_from(body.bytes).ok()?] {
        header.extend(long.to_le_bytes());
    }
    for word in [u16::try_from(name.len()).ok()?, 0] {
        header.extend(word.to_le_bytes());
    }
    header.extend(name.as_bytes());
    Some(io::Cursor::new(header))
}

fn failed(entry: &ArchiveEntry, error: &zip::result::ZipError) -> Error {
    let failed = Error::surroundings("cannot write the zip").cause(error).place(entry.path.as_str());
    match error {
        zip::result::ZipError::Io(cause) if cause.kind() == io::ErrorKind::StorageFull => {
            failed.hint("free some disk space, or point `--out` at another disk")
        }
        _ => failed,
    }
}
