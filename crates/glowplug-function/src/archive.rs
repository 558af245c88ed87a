//! Zips from outside: what is refused before anything is written.

use std::io::BufReader;

use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::{Error, ErrorClass, Result, format_bytes};
use glowplug_package::UNZIPPED_LIMIT;
use zip::ZipArchive;

/// Contents that a zip may declare: ten times Lambda's limit.
const MOST_BYTES: u64 = 10 * UNZIPPED_LIMIT;

/// An open zip.
pub(crate) type Archive = ZipArchive<BufReader<fs::File>>;

/// Opens the zip at `path`.
///
/// # Errors
/// Input: it is none, or it is damaged.
pub(crate) fn open(path: &Utf8Path) -> Result<Archive> {
    ZipArchive::new(BufReader::new(fs::File::open(path)?)).map_err(|error| damaged(path).cause(error))
}

/// Unpacks `zip` into the folder `into`.
///
/// # Errors
/// Input: damaged, encrypted, far too large, a path or a link that leads out.
pub(crate) fn unpack(zip: &Utf8Path, into: &Utf8Path) -> Result<()> {
    let mut archive = open(zip)?;
    let mut declared: u64 = 0;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|error| damaged(zip).cause(error))?;
        if entry.encrypted() {
            return Err(Error::input("the zip is encrypted")
                .place(zip.as_str())
                .hint("make it without a password"));
        }
        declared = declared.saturating_add(entry.size());
    }
    if declared > MOST_BYTES {
        return Err(Error::input(format!("the zip unpacks to {}", format_bytes(declared)))
            .cause(format!("Lambda takes at most {}", format_bytes(UNZIPPED_LIMIT)))
            .place(zip.as_str())
            .hint("remove what the function does not need from it"));
    }
    match glowplug_package::unpack(zip, into) {
        Ok(_) => Ok(()),
        Err(error) if error.class() == ErrorClass::Surroundings && says_damage(&error) => {
            Err(error.causes().iter().fold(damaged(zip), Error::cause))
        }
        Err(error) => Err(error),
    }
}

/// Whether a file operation failed because of what was in the zip.
fn says_damage(error: &Error) -> bool {
    let words = ["checksum", "corrupt", "deflate", "invalid", "unexpected end", "failed to fill"];
    let text = error.to_string().to_lowercase();
    words.iter().any(|word| text.contains(word))
}

fn damaged(path: &Utf8Path) -> Error {
    Error::input("cannot read the zip").place(path.as_str()).hint("make it again")
}
