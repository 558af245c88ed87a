//! Plain unpacking of a zip, our own or from outside: complete and inside its folder, or not at all.

use std::io::{self, Read, Write};
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::{Error, Result};
use zip::ZipArchive;

use crate::survey::{Kind, damaged, survey, too_large};

/// Contents that may come out of one archive, in bytes: ten times Lambda's limit for a package.
const MOST_BYTES: u64 = 10 * crate::UNZIPPED_LIMIT;
/// Contents in memory at once, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;

/// What came of unpacking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// How long it took, on the monotonic clock: the provisioning phase of a cold start.
    pub took: Duration,
    /// What is odd about the zip and harmless on Linux, for a person to read.
    pub remarks: Vec<String>,
}

/// Unpacks `zip` as the folder `into`, entry after entry on one thread as a plain unpacker does.
/// `into` is not there yet, or is empty; after an error it is as it was.
///
/// Errors: not a zip, or a damaged one; an encrypted entry or one that is neither stored nor
/// deflated; a path or a link that leads out, links in a circle, a device, a name that comes twice
/// or that Linux does not take; entries that overlap, contents beyond ten times Lambda's limit
/// (all input). A disk that is full, a folder that cannot be written (surroundings).
pub fn unpack(zip: &Utf8Path, into: &Utf8Path) -> Result<Unpacked> {
    unpack_at_most(zip, into, MOST_BYTES)
}

fn unpack_at_most(zip: &Utf8Path, into: &Utf8Path, most: u64) -> Result<Unpacked> {
    let started = Instant::now();
    let mut archive = open_zip(zip)?;
    let survey = survey(zip, &mut archive, most)?;
    let parent = into.parent().filter(|f| !f.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    fs::create_dir_all(parent)?;
    let made = tempfile::Builder::new()
        .prefix(".glowplug-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir_in(parent)
        .map_err(|error| Error::from(error).place(parent.as_str()))?;
    let folder = Utf8Path::from_path(made.path())
        .ok_or_else(|| Error::surroundings("the folder's path is not UTF-8").place(parent.as_str()))?;
    let mut left = most;
    let mut buffer = vec![0; BUFFER_BYTES];
    for (index, path, kind) in &survey.entries {
        let target = folder.join(path);
        if *kind == Kind::Folder {
            fs::create_dir_all(&target)?;
            continue;
        }
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        match kind {
            Kind::Link { target: link } => {
                symlink(link, &target).map_err(|error| Error::from(error).place(target.as_str()))?;
            }
            Kind::File { executable } => {
                let mut entry = archive.by_index(*index).map_err(|error| damaged(zip, &error))?;
                let written = write(zip, &mut entry, &target, left, *executable, &mut buffer)?;
                left = left.checked_sub(written).ok_or_else(|| too_large(zip, most + 1, most))?;
            }
            Kind::Folder => {}
        }
    }
    let made = made.keep();
    if let Err(error) = fs::rename(&made, into) {
        let _ = fs::remove_dir_all(&made);
        return Err(error.into());
    }
    Ok(Unpacked { took: started.elapsed(), remarks: survey.remarks })
}

/// Opens the zip at `path` to read single files of it.
///
/// Errors: it is none, or its directory is damaged (input); it cannot be read (surroundings).
pub fn open_zip(path: &Utf8Path) -> Result<ZipArchive<io::BufReader<fs::File>>> {
    ZipArchive::new(io::BufReader::new(fs::File::open(path)?)).map_err(|error| damaged(path, &error))
}

/// Writes one file, and gives its size: at most one byte more than `left`.
fn write(
    zip: &Utf8Path,
    entry: &mut impl Read,
    target: &Utf8Path,
    left: u64,
    executable: bool,
    buffer: &mut [u8],
) -> Result<u64> {
    let mut out = fs::OpenOptions::new().write(true).create_new(true).open(target)?;
    let mut source = entry.take(left.saturating_add(1));
    let mut total = 0;
    loop {
        let count = source.read(buffer).map_err(|error| damaged(zip, &error))?;
        if count == 0 {
            break;
        }
        out.write_all(&buffer[..count])?;
        total += count as u64;
    }
    if executable {
        out.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{ArchiveEntry, Contents, write_zip};
    use camino::Utf8PathBuf;
    use glowplug_core::{ErrorClass, NoProgress};
    use std::os::unix::fs::PermissionsExt;

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::try_from(folder.path().to_owned()).unwrap();
        (folder, path)
    }

    #[test]
    fn contents_modes_and_links_come_back() {
        let (_keep, root) = folder();
        let zip = root.join("a.zip");
        let entry = |path: &str, source, executable| ArchiveEntry { path: path.into(), source, executable };
        let entries = [
            entry("bin/run", Contents::Bytes(b"#!/bin/sh\n".to_vec()), true),
            entry("a/data.txt", Contents::Bytes(b"hello".to_vec()), false),
            entry("a/link.txt", Contents::Symlink("data.txt".into()), false),
        ];
        write_zip(&entries, &zip, &NoProgress).unwrap();
        let took = unpack(&zip, &root.join("out")).unwrap();
        assert!(took.took > Duration::ZERO && took.remarks.is_empty());
        assert_eq!(fs::read_to_string(root.join("out/a/link.txt")).unwrap(), "hello");
        assert_eq!(fs::read_link(root.join("out/a/link.txt")).unwrap().to_str(), Some("data.txt"));
        let mode =
            |path: &str| fs::metadata(root.join("out").join(path)).unwrap().permissions().mode() & 0o111;
        assert_ne!(mode("bin/run"), 0);
        assert_eq!(mode("a/data.txt"), 0);
    }

    #[test]
    fn what_leads_out_is_refused() {
        let (_keep, root) = folder();
        for (name, link) in
            [("../evil", None), ("a/../../evil", None), ("a", Some("/etc")), ("a/b", Some("../../x"))]
        {
            let zip = root.join("evil.zip");
            let mut writer = zip::ZipWriter::new(std::fs::File::create(&zip).unwrap());
            let options = zip::write::SimpleFileOptions::default();
            if let Some(target) = link {
                writer.add_symlink(name, target, options).unwrap();
            } else {
                writer.start_file(name, options).unwrap();
                writer.write_all(b"x").unwrap();
            }
            writer.finish().unwrap();
            let error = unpack(&zip, &root.join("out")).unwrap_err();
            assert_eq!(error.class(), ErrorClass::Input, "{name}: {error}");
            assert!(!root.join("evil").exists());
        }
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let (_keep, root) = folder();
        let zip = root.join("evil.zip");
        let mut writer = zip::ZipWriter::new(std::fs::File::create(&zip).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        writer.add_symlink("a/b/up", "..", options).unwrap();
        writer.add_symlink("out", "a/b/up/../..", options).unwrap();
        writer.start_file("out/evil", options).unwrap();
        writer.finish().unwrap();
        let error = unpack(&zip, &root.join("into")).unwrap_err();
        assert!(error.message().contains("through a link"), "{error}");
        assert!(!root.join("evil").exists());
    }

    #[test]
    fn what_comes_out_counts_not_what_the_zip_says() {
        let (_keep, root) = folder();
        let zip = root.join("a.zip");
        let entry =
            ArchiveEntry { path: "a".into(), source: Contents::Bytes(vec![b'a'; 5000]), executable: false };
        write_zip(&[entry], &zip, &NoProgress).unwrap();
        assert!(unpack_at_most(&zip, &root.join("fits"), 5000).is_ok());
        let refused = |zip: &Utf8Path, into: &str| {
            let error = unpack_at_most(zip, &root.join(into), 4999).unwrap_err();
            (error.message().to_owned(), root.join(into).exists())
        };
        assert_eq!(refused(&zip, "said"), ("the zip unpacks to 5.0 kB".to_owned(), false));
        // The central directory's entry says 10 bytes; the stream has more.
        let mut bytes = fs::read(&zip).unwrap();
        let at = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap() + 24;
        bytes[at..at + 4].copy_from_slice(&10_u32.to_le_bytes());
        fs::write(&zip, bytes).unwrap();
        let error = unpack_at_most(&zip, &root.join("lied"), 4999).unwrap_err();
        assert_eq!((error.class(), error.message()), (ErrorClass::Input, "cannot read the zip"));
        assert_eq!(fs::read_dir(&root).unwrap().count(), 2, "nothing half-written");
    }

    #[test]
    fn a_truncated_zip_is_an_input_error() {
        let (_keep, root) = folder();
        let zip = root.join("a.zip");
        fs::write(&zip, b"PK\x03\x04 and then nothing").unwrap();
        assert_eq!(unpack(&zip, &root.join("out")).unwrap_err().class(), ErrorClass::Input);
    }
}
