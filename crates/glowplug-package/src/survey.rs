//! A zip from outside, looked at as a whole before anything of it is written.
//!
//! What Lambda's unpacker would put elsewhere, twice or not at all is refused with its name, and
//! what is only odd is remarked on. Sizes are what the zip says of itself: whoever unpacks counts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Error, Result, format_bytes};
use zip::read::ZipFile;
use zip::{CompressionMethod, System, ZipArchive};

/// Entries that one archive may have. Lambda gives no limit; the largest packages that fit its
/// 250 MB have some ten thousand.
const MOST_ENTRIES: usize = 500_000;
/// Bytes of one part of a path, and of a whole one: `NAME_MAX` and `PATH_MAX` of Linux.
const MOST_NAME_BYTES: usize = 255;
const MOST_PATH_BYTES: usize = 4095;
/// Links that may lie on the way to one file, as on Linux (`path_resolution(7)`).
const MOST_LINKS: usize = 40;
/// How many names a remark gives.
const NAMED: usize = 3;
/// Type bits of a mode, `inode(7)`.
const TYPE_BITS: u32 = 0o170_000;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File { executable: bool },
    Link { target: String },
}

/// What is to be written.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Index in the archive, path and kind, in the archive's order.
    pub(crate) entries: Vec<(usize, Utf8PathBuf, Kind)>,
    /// What is odd and harmless on Linux.
    pub(crate) remarks: Vec<String>,
}

/// Looks at all entries of `archive`.
///
/// Errors (input): an encrypted entry, one compressed in a way that Lambda does not read, a name
/// that leads out, is too long or comes twice, a link that leads out or in a circle, a device, more
/// contents than `most` or entries than a package can have, entries that overlap.
pub(crate) fn survey<R: Read + Seek>(
    zip: &Utf8Path,
    archive: &mut ZipArchive<R>,
    most: u64,
) -> Result<Survey> {
    if archive.len() > MOST_ENTRIES {
        return Err(refused(zip, format!("the zip has {} entries", archive.len()))
            .cause(format!("a package may have {MOST_ENTRIES}")));
    }
    let declared = archive.decompressed_size().unwrap_or(0);
    if declared > u128::from(most) {
        return Err(too_large(zip, u64::try_from(declared).unwrap_or(u64::MAX), most));
    }
    if archive.has_duplicate_names() {
        return Err(refused(zip, "the zip holds two entries of one name".to_owned())
            .hint("make it again: unpackers differ in which of them they keep"));
    }
    let mut survey = Survey::default();
    let mut taken = Taken::default();
    for index in 0..archive.len() {
        let mut entry = archive.by_index_raw(index).map_err(|error| damaged(zip, &error))?;
        let path = checked_name(zip, &entry)?;
        readable(zip, &entry, &path)?;
        let kind = match kind(zip, &entry, &path)? {
            Kind::Link { .. } => {
                drop(entry);
                entry = archive.by_index(index).map_err(|error| damaged(zip, &error))?;
                Kind::Link { target: link_target(zip, &mut entry, &path)? }
            }
            other => other,
        };
        taken.add(zip, &path, &kind)?;
        survey.entries.push((index, path, kind));
    }
    if archive.has_overlapping_entries().map_err(|error| damaged(zip, &error))? {
        return Err(refused(zip, "entries of the zip overlap".to_owned())
            .hint("make it again: no tool for packages writes such a zip"));
    }
    taken.check_links(zip)?;
    survey.remarks = remarks(&survey.entries);
    Ok(survey)
}

pub(crate) fn damaged(zip: &Utf8Path, error: &dyn std::fmt::Display) -> Error {
    Error::input("cannot read the zip").cause(error).place(zip.as_str()).hint("make it again")
}

pub(crate) fn too_large(zip: &Utf8Path, bytes: u64, most: u64) -> Error {
    refused(zip, format!("the zip unpacks to {}", format_bytes(bytes)))
        .cause(format!(
            "Lambda takes at most {}, and glowplug unpacks {} to see what could go",
            format_bytes(crate::UNZIPPED_LIMIT),
            format_bytes(most)
        ))
        .hint("remove what the function does not need from it")
}

fn refused(zip: &Utf8Path, message: String) -> Error {
    Error::input(message).place(zip.as_str())
}

/// A name as a message shows it: on one line.
fn shown(name: &str) -> String {
    let one = |character: char| match character {
        _ if character.is_control() => character.escape_default().to_string(),
        _ => character.to_string(),
    };
    name.chars().map(one).collect()
}

/// The entry's path, if it stays inside and Linux can have it.
fn checked_name<R: Read>(zip: &Utf8Path, entry: &ZipFile<R>) -> Result<Utf8PathBuf> {
    let raw = entry.name_raw();
    // Other systems have code pages, which the archive does not name; Linux has bytes.
    if entry.system() == System::Unix && std::str::from_utf8(raw).is_err() {
        return Err(refused(
            zip,
            format!("a name in the zip is not valid UTF-8: `{}`", shown(&String::from_utf8_lossy(raw))),
        )
        .hint("rename the file: a function's files have UTF-8 names"));
    }
    let name = entry.name().map_err(|error| damaged(zip, &error))?;
    let trimmed = name.strip_suffix('/').unwrap_or(&name);
    let climbs = trimmed.split('/').any(|part| matches!(part, "" | "." | ".."));
    if climbs || trimmed.contains('\0') {
        return Err(refused(zip, format!("the zip holds a path that leads out of it: `{}`", shown(&name))));
    }
    let too_long =
        trimmed.len() > MOST_PATH_BYTES || trimmed.split('/').any(|part| part.len() > MOST_NAME_BYTES);
    if too_long {
        let start: String = trimmed.chars().take(60).collect();
        return Err(refused(zip, format!("a name in the zip is too long: `{}…`", shown(&start))).cause(
            format!("Linux takes {MOST_NAME_BYTES} bytes between two slashes and {MOST_PATH_BYTES} in all"),
        ));
    }
    Ok(Utf8PathBuf::from(trimmed))
}

/// Whether Lambda's unpacker can read the entry at all.
fn readable<R: Read>(zip: &Utf8Path, entry: &ZipFile<R>, path: &Utf8Path) -> Result<()> {
    if entry.encrypted() {
        return Err(refused(zip, "the zip is encrypted".to_owned())
            .cause(format!("`{}` asks for a password", shown(path.as_str())))
            .hint("make it without a password"));
    }
    let method = entry.compression();
    if matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Ok(());
    }
    Err(refused(
        zip,
        format!("`{}` in the zip is compressed with {}", shown(path.as_str()), method_name(method)),
    )
    .cause("Lambda reads stored and deflated files")
    .hint("make it again with deflate, which zip tools use unless told otherwise"))
}

/// Numbers: APPNOTE 6.3.10, section 4.4.5.
fn method_name(method: CompressionMethod) -> String {
    let named = [
        (CompressionMethod::DEFLATE64, "deflate64"),
        (CompressionMethod::BZIP2, "bzip2"),
        (CompressionMethod::LZMA, "LZMA"),
        (CompressionMethod::ZSTD, "zstd"),
        (CompressionMethod::XZ, "xz"),
    ];
    let known = named.into_iter().find(|(known, _)| *known == method);
    known.map_or_else(|| format!("another method ({method:?})"), |(_, name)| name.to_owned())
}

/// What the entry is; the target of a link is not read yet.
fn kind<R: Read>(zip: &Utf8Path, entry: &ZipFile<R>, path: &Utf8Path) -> Result<Kind> {
    let mode = entry.unix_mode().unwrap_or(0);
    match mode & TYPE_BITS {
        _ if entry.name_raw().ends_with(b"/") => Ok(Kind::Folder),
        0o040_000 => Ok(Kind::Folder),
        0o120_000 => Ok(Kind::Link { target: String::new() }),
        0 | 0o100_000 => Ok(Kind::File { executable: mode & 0o111 != 0 }),
        _ => Err(refused(
            zip,
            format!("`{}` in the zip is neither file, folder nor link", shown(path.as_str())),
        )
        .hint("remove the device, socket or pipe")),
    }
}

fn link_target<R: Read>(zip: &Utf8Path, entry: &mut ZipFile<R>, path: &Utf8Path) -> Result<String> {
    let mut target = Vec::new();
    entry
        .by_ref()
        .take(MOST_PATH_BYTES as u64 + 1)
        .read_to_end(&mut target)
        .map_err(|error| damaged(zip, &error))?;
    let target = String::from_utf8(target)
        .ok()
        .filter(|target| !target.is_empty() && target.len() <= MOST_PATH_BYTES && !target.contains('\0'));
    target.ok_or_else(|| {
        refused(zip, format!("the link `{}` in the zip has no target that Linux takes", shown(path.as_str())))
    })
}

/// The paths that entries take up.
#[derive(Default)]
struct Taken {
    /// Files and links.
    leaves: BTreeSet<Utf8PathBuf>,
    /// Folders, those included that only entries below them tell of.
    folders: BTreeSet<Utf8PathBuf>,
    links: BTreeMap<Utf8PathBuf, String>,
}

impl Taken {
    fn add(&mut self, zip: &Utf8Path, path: &Utf8Path, kind: &Kind) -> Result<()> {
        let above: Vec<&Utf8Path> =
            path.ancestors().skip(1).filter(|folder| !folder.as_str().is_empty()).collect();
        if let Some(leaf) = above.iter().find(|folder| self.leaves.contains(**folder)) {
            let what =
                if self.links.contains_key(*leaf) { "through a link of its own" } else { "below a file" };
            return Err(refused(zip, format!("the zip writes {what}: `{}`", shown(path.as_str()))));
        }
        let folder = *kind == Kind::Folder;
        if self.leaves.contains(path) || (!folder && self.folders.contains(path)) {
            let linked = self.links.contains_key(path) || matches!(kind, Kind::Link { .. });
            let message = if linked {
                format!("the zip writes through a link of its own: `{}`", shown(path.as_str()))
            } else {
                format!("the zip holds `{}` twice", shown(path.as_str()))
            };
            return Err(refused(zip, message));
        }
        self.folders.extend(above.into_iter().map(Utf8Path::to_owned));
        if folder {
            self.folders.insert(path.to_owned());
            return Ok(());
        }
        self.leaves.insert(path.to_owned());
        if let Kind::Link { target } = kind {
            self.links.insert(path.to_owned(), target.clone());
        }
        Ok(())
    }

    /// Every link, followed through the others, stays inside and ends.
    fn check_links(&self, zip: &Utf8Path) -> Result<()> {
        for (path, target) in &self.links {
            let what = match self.follow(path) {
                Followed::Inside => continue,
                Followed::Out => "a link that leads out of it",
                Followed::Circle => "links that lead in a circle",
            };
            return Err(refused(
                zip,
                format!("the zip holds {what}: `{}` to `{}`", shown(path.as_str()), shown(target)),
            ));
        }
        Ok(())
    }

    /// As the kernel resolves the path, in a tree whose root nothing may leave.
    fn follow(&self, link: &Utf8Path) -> Followed {
        let mut at: Vec<&str> = Vec::new();
        let mut todo: Vec<&str> = link.as_str().split('/').rev().collect();
        let mut followed = 0;
        while let Some(part) = todo.pop() {
            match part {
                "" | "." => {}
                ".." => {
                    if at.pop().is_none() {
                        return Followed::Out;
                    }
                }
                name => {
                    at.push(name);
                    let Some(target) = self.links.get(Utf8Path::new(&at.join("/"))) else { continue };
                    if target.starts_with('/') {
                        return Followed::Out;
                    }
                    followed += 1;
                    if followed > MOST_LINKS {
                        return Followed::Circle;
                    }
                    at.pop();
                    todo.extend(target.split('/').rev());
                }
            }
        }
        Followed::Inside
    }
}

enum Followed {
    Inside,
    Out,
    Circle,
}

/// What is odd and harmless on Linux.
fn remarks(entries: &[(usize, Utf8PathBuf, Kind)]) -> Vec<String> {
    let mut by_case: BTreeMap<String, &str> = BTreeMap::new();
    let (mut case, mut backslash, mut control) = (Vec::new(), Vec::new(), Vec::new());
    for (_, path, _) in entries {
        let name = path.as_str();
        if let Some(other) = by_case.insert(name.to_lowercase(), name) {
            case.push(format!("`{}` and `{}`", shown(other), shown(name)));
        }
        if name.contains('\\') {
            backslash.push(format!("`{}`", shown(name)));
        } else if name.contains(char::is_control) {
            control.push(format!("`{}`", shown(name)));
        }
    }
    [
        (case, "differ in case alone: Linux keeps them apart, other systems do not"),
        (
            backslash,
            "with a backslash in the name: on Lambda that is no folder, and nothing is imported from it",
        ),
        (control, "with characters in the name that no terminal shows"),
    ]
    .into_iter()
    .filter(|(found, _)| !found.is_empty())
    .map(|(found, what)| {
        let more = found.len().saturating_sub(NAMED);
        let names = found.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!("in the zip: {names}{more} {what}")
    })
    .collect()
}
