//! Plain unpacking of our own zip, timed: the provisioning phase of a cold start.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Result};
use zip::ZipArchive;

/// Contents that may come out of one archive, in bytes: ten times Lambda's limit for a package.
const MOST_BYTES: u64 = 10 * crate::UNZIPPED_LIMIT;
/// Contents in memory at once, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;

/// Unpacks `zip` into the folder `into`, made where missing, entry after entry on one thread as a
/// plain unpacker does, and gives the time on the monotonic clock.
///
/// Errors (input): not a zip, an entry or a link that leads out of `into`, contents beyond ten
/// times Lambda's limit.
pub fn unpack(zip: &Utf8Path, into: &Utf8Path) -> Result<Duration> {
    unpack_at_most(zip, into, MOST_BYTES)
}

fn unpack_at_most(zip: &Utf8Path, into: &Utf8Path, most: u64) -> Result<Duration> {
    let started = Instant::now();
    let too_large = || Error::input("the zip unpacks to more than a package can hold").place(zip.as_str());
    let file = io::BufReader::new(fs::File::open(zip)?);
    let mut archive = ZipArchive::new(file).map_err(|error| damaged(zip, &error))?;
    // What it says of itself first: then nothing is written.
    if archive.decompressed_size().is_some_and(|size| size > u128::from(most)) {
        return Err(too_large());
    }
    fs::create_dir_all(into)?;
    let mut total = 0;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut links: BTreeSet<Utf8PathBuf> = BTreeSet::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| damaged(zip, &error))?;
        let path = inside(zip, &entry.name().map_err(|error| damaged(zip, &error))?)?;
        if path.ancestors().skip(1).any(|folder| links.contains(folder)) {
            return Err(Error::input(format!("the zip writes through a link of its own: `{path}`"))
                .place(zip.as_str()));
        }
        let target = into.join(&path);
        if entry.is_dir() {
            fs::create_dir_all(&target)?;
            continue;
        }
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        if entry.is_symlink() {
            let mut link = String::new();
            entry.by_ref().take(4096).read_to_string(&mut link).map_err(|error| damaged(zip, &error))?;
            check_link(zip, &path, &link)?;
            symlink(&link, &target).map_err(|error| Error::from(error).place(target.as_str()))?;
            links.insert(path);
            continue;
        }
        let mut out = fs::OpenOptions::new().write(true).create_new(true).open(&target)?;
        let mut source = entry.by_ref().take(most - total + 1);
        loop {
            let count = source.read(&mut buffer).map_err(|error| damaged(zip, &error))?;
            if count == 0 {
                break;
            }
            out.write_all(&buffer[..count])?;
            total += count as u64;
        }
        if total > most {
            return Err(too_large());
        }
        if entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0) {
            out.set_permissions(std::fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(started.elapsed())
}

fn damaged(zip: &Utf8Path, error: &dyn std::fmt::Display) -> Error {
    Error::input("cannot read the zip").cause(error).place(zip.as_str())
}

/// The entry's path, if it stays inside.
fn inside(zip: &Utf8Path, name: &str) -> Result<Utf8PathBuf> {
    let trimmed = name.trim_end_matches('/');
    let climbs = trimmed.is_empty() || trimmed.split('/').any(|part| matches!(part, "" | "." | ".."));
    if climbs || trimmed.contains('\0') {
        return Err(
            Error::input(format!("the zip holds a path that leads out of it: `{name}`")).place(zip.as_str())
        );
    }
    Ok(Utf8PathBuf::from(trimmed))
}

/// A link may point anywhere below the folder that is unpacked into.
fn check_link(zip: &Utf8Path, path: &Utf8Path, link: &str) -> Result<()> {
    let mut depth = path.components().count().cast_signed() - 1;
    let mut out = link.starts_with('/') || link.is_empty();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        out |= depth < 0;
    }
    if out {
        return Err(Error::input(format!("the zip holds a link that leads out of it: `{path}` to `{link}`"))
            .place(zip.as_str()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{ArchiveEntry, Contents, write_zip};
    use glowplug_core::{ErrorClass, NoProgress};

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
        assert!(took > Duration::ZERO);
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
        let message = "the zip unpacks to more than a package can hold".to_owned();
        assert_eq!(refused(&zip, "said"), (message, false));
        // The central directory's entry says 10 bytes; the stream has more.
        let mut bytes = fs::read(&zip).unwrap();
        let at = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap() + 24;
        bytes[at..at + 4].copy_from_slice(&10_u32.to_le_bytes());
        fs::write(&zip, bytes).unwrap();
        let error = unpack_at_most(&zip, &root.join("lied"), 4999).unwrap_err();
        assert_eq!((error.class(), error.message()), (ErrorClass::Input, "cannot read the zip"));
    }

    #[test]
    fn a_truncated_zip_is_an_input_error() {
        let (_keep, root) = folder();
        let zip = root.join("a.zip");
        fs::write(&zip, b"PK\x03\x04 and then nothing").unwrap();
        assert_eq!(unpack(&zip, &root.join("out")).unwrap_err().class(), ErrorClass::Input);
    }
}
