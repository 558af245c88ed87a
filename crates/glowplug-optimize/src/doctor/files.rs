//! Every file with its size, as it is and in a zip.

use std::collections::BTreeSet;
use std::io::{self, Read};

use camino::{Utf8Path, Utf8PathBuf};
use flate2::Compression;
use flate2::read::DeflateEncoder;
use fs_err as fs;
use glowplug_core::{Error, Progress, Result, format_bytes};
use glowplug_doctor::{File, FileUse, Kind};
use glowplug_package::FileKind;
use rayon::prelude::*;

use super::distributions::Distributions;
use super::prepare::Prepared;

/// More than this is not compressed for an estimate, in bytes.
const MOST_BYTES: u64 = 800_000_000;
/// What an entry takes in a zip beside its name, twice, and its contents, in bytes (APPNOTE.TXT, 4.3.7 and 4.3.12).
const ENTRY: u64 = 76;

/// All files, by folder and path.
pub(super) fn read(
    prepared: &Prepared,
    distributions: &Distributions,
    progress: &dyn Progress,
    not_seen: &mut Vec<String>,
) -> Result<Vec<File>> {
    let all: u64 = prepared.folders.iter().map(|folder| folder.tree.total_bytes()).sum();
    let sized = prepared.subject.kind != Kind::Image && all <= MOST_BYTES;
    if !sized && prepared.subject.kind != Kind::Image {
        not_seen.push(format!("sizes in a zip are not estimated for more than {}", format_bytes(MOST_BYTES)));
    }
    let mut files = Vec::new();
    for (root, folder) in prepared.folders.iter().enumerate() {
        for file in &folder.tree.files {
            files.push(File {
                root,
                path: file.path.clone(),
                bytes: file.bytes,
                zip_bytes: None,
                used_as: match file.kind {
                    FileKind::Code => FileUse::Code,
                    FileKind::Native => FileUse::Native,
                    FileKind::Data => FileUse::Data,
                    _ => FileUse::Other,
                },
                distribution: distributions.global(root, file.distribution),
            });
        }
    }
    if sized {
        progress.start("Estimating the zip", Some(files.len() as u64));
        let links: BTreeSet<(usize, &Utf8PathBuf)> = links(prepared);
        files.par_iter_mut().try_for_each(|file| {
            if progress.interrupted() {
                return Err(Error::interrupted());
            }
            let path = prepared.folders[file.root].tree.root.join(&file.path);
            let packed = if links.contains(&(file.root, &file.path)) { file.bytes } else { deflated(&path)? };
            file.zip_bytes = Some(packed + ENTRY + 2 * file.path.as_str().len() as u64);
            progress.advance(1);
            Ok(())
        })?;
        progress.finish();
    }
    Ok(files)
}

fn links(prepared: &Prepared) -> BTreeSet<(usize, &Utf8PathBuf)> {
    let folders = prepared.folders.iter().enumerate();
    folders
        .flat_map(|(root, folder)| {
            folder.tree.files.iter().filter(|file| file.symlink.is_some()).map(move |file| (root, &file.path))
        })
        .collect()
}

/// Size of a file's contents once deflated.
fn deflated(path: &Utf8Path) -> Result<u64> {
    let mut encoder = DeflateEncoder::new(fs::File::open(path)?, Compression::new(6));
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        match encoder.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => total += count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}
