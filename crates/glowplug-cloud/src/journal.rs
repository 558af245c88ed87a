//! What is noted in the cache folder before the function is changed, so that a session that was killed is cleaned up by the
//! next one.
//!
//! One file a function: what was ours can be found by its mark, so the file says only that there is something to find,
//! and the memory sizes, in case somebody has overwritten the mark. It holds no environment variables. The lock lies
//! beside it and keeps two sessions of one function apart.

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Cache, Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The folder in the cache.
const FOLDER: &str = "tune-aws";

/// Bytes of the hash that names a file.
const NAME_BYTES: usize = 8;

/// What is noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    /// For a person who looks into the folder.
    pub(crate) function: String,
    pub(crate) region: String,
    pub(crate) session: String,
    /// The memory size that the user has set, in MB.
    pub(crate) original_mb: u32,
    /// What `$LATEST` was last set to, in MB; nothing before the first change.
    pub(crate) set_mb: Option<u32>,
}

/// The file of one function, locked.
#[derive(Debug)]
pub(crate) struct Journal {
    path: Utf8PathBuf,
    /// Locked for as long as it is open.
    _lock: fs_err::File,
}

impl Journal {
    /// Opens that of the function with this ARN behind this endpoint.
    pub(crate) fn open(cache: &Cache, arn: &str, endpoint: Option<&str>) -> Result<Self> {
        let folder = cache.root().join(FOLDER);
        fs_err::create_dir_all(&folder)?;
        let digest = Sha256::digest(format!("{arn}\n{}", endpoint.unwrap_or_default()));
        let name = glowplug_core::format_hex(&digest[..NAME_BYTES]);
        let lock = fs_err::File::create(folder.join(format!("{name}.lock")))?;
        lock.file().try_lock().map_err(|error| {
            Error::surroundings(format!("`{arn}` is being tuned by another glowplug"))
                .cause(error)
                .hint("wait for it to end")
        })?;
        Ok(Self { path: folder.join(format!("{name}.json")), _lock: lock })
    }

    /// What an earlier session has left; a damaged file says nothing, marks say the rest.
    pub(crate) fn left(&self) -> Result<Option<Note>> {
        match fs_err::read(&self.path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a note over the last one, whole or not at all.
    pub(crate) fn write(&self, note: &Note) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(note)
            .map_err(|error| Error::defect("a note cannot be written").cause(error))?;
        let folder = self.path.parent().unwrap_or(Utf8Path::new("."));
        let file = tempfile::NamedTempFile::new_in(folder)?;
        fs_err::write(file.path(), bytes)?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Everything is taken back.
    pub(crate) fn forget(&self) -> Result<()> {
        match fs_err::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back_and_two_sessions_are_kept_apart() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(Utf8Path::from_path(folder.path()).unwrap(), false);
        let journal = Journal::open(&cache, "arn:f", None).unwrap();
        assert_eq!(journal.left().unwrap(), None);
        let note = Note {
            function: "f".to_owned(),
            region: "us-east-1".to_owned(),
            session: "0123abcd".to_owned(),
            original_mb: 512,
            set_mb: Some(128),
        };
        journal.write(&note).unwrap();
        assert_eq!(journal.left().unwrap(), Some(note));
        let busy = Journal::open(&cache, "arn:f", None).unwrap_err();
        assert!(busy.message().contains("another glowplug"), "{busy}");
        assert!(
            Journal::open(&cache, "arn:f", Some("http://127.0.0.1:1")).is_ok(),
            "another account's function"
        );
        fs_err::write(&journal.path, "{").unwrap();
        assert_eq!(journal.left().unwrap(), None);
        journal.forget().unwrap();
        journal.forget().unwrap();
        drop(journal);
        assert!(Journal::open(&cache, "arn:f", None).is_ok());
    }
}
