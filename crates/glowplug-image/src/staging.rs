//! An OCI layout in the making: in a folder beside its place, which it takes in one step when it is complete.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Progress, Result};
use tempfile::{NamedTempFile, TempDir};

use crate::layout::{Layout, check_digest};
use crate::oci::{Descriptor, Digest, Index, to_bytes};
use crate::verified::Verified;

/// Bytes copied between two looks at whether to stop.
const COPY_BYTES: usize = 1024 * 1024;

/// The folder, which is removed with all that is in it unless it is finished.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: TempDir,
    root: Utf8PathBuf,
    target: Utf8PathBuf,
}

impl Staging {
    /// Begins. Error (usage): the place is taken by something that is no OCI layout.
    pub(crate) fn begin(target: &Utf8Path) -> Result<Self> {
        check_place(target)?;
        let parent = target.parent().filter(|f| !f.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        fs::create_dir_all(parent)?;
        let folder = tempfile::Builder::new()
            .prefix(".glowplug-image-")
            .tempdir_in(parent)
            .map_err(|error| Error::from(error).place(parent.as_str()))?;
        let inside = Utf8Path::from_path(folder.path())
            .ok_or_else(|| Error::input("the path of the layout is no UTF-8").place(target.as_str()))?;
        let root = inside.join("layout");
        fs::create_dir_all(root.join("blobs/sha256"))?;
        Ok(Self { folder, root, target: target.to_owned() })
    }

    /// A file for what is not kept, on the same disk.
    pub(crate) fn scratch(&self) -> Result<std::fs::File> {
        tempfile::tempfile_in(self.folder.path()).map_err(Error::from)
    }

    /// A file that will become a blob.
    pub(crate) fn new_blob(&self) -> Result<NamedTempFile> {
        let mode = PermissionsExt::from_mode(0o644);
        tempfile::Builder::new().permissions(mode).tempfile_in(self.folder.path()).map_err(Error::from)
    }

    /// Puts a complete file among the blobs.
    pub(crate) fn adopt(&self, file: NamedTempFile, digest: &Digest) -> Result<()> {
        let path = self.blob(digest);
        file.persist(&path).map_err(|error| Error::from(error.error).place(path.as_str()))?;
        Ok(())
    }

    /// Writes a small blob.
    pub(crate) fn put(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor> {
        let digest = Digest::of(bytes);
        let mut file = self.new_blob()?;
        file.write_all(bytes)?;
        self.adopt(file, &digest)?;
        Ok(Descriptor::new(media_type, digest, bytes.len() as u64))
    }

    /// Copies a blob of another layout, checked while it is read.
    pub(crate) fn copy(&self, from: &Layout, blob: &Descriptor, progress: &dyn Progress) -> Result<()> {
        if self.blob(&blob.digest).exists() {
            return Ok(());
        }
        let mut source = Verified::new(from.open_blob(blob)?, blob.size);
        let mut file = self.new_blob()?;
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            if progress.interrupted() {
                return Err(Error::interrupted());
            }
            let count = io::Read::read(&mut source, &mut buffer)?;
            if count == 0 {
                break;
            }
            file.write_all(&buffer[..count])?;
            progress.advance(count as u64);
        }
        check_digest(source.digest(), blob, &from.blob(&blob.digest))?;
        self.adopt(file, &blob.digest)
    }

    fn blob(&self, digest: &Digest) -> Utf8PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// Completes the layout and takes its place, with the file beside it where there is one.
    ///
    /// An earlier layout in that place is put aside first, and put back if this does not go well.
    pub(crate) fn finish(self, index: &Index, beside: Option<(&Utf8Path, &[u8])>) -> Result<()> {
        fs::write(self.root.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        fs::write(self.root.join("index.json"), to_bytes(index)?)?;
        let beside = match beside {
            Some((path, bytes)) => {
                let mut file = self.new_blob()?;
                file.write_all(bytes)?;
                Some((path, file))
            }
            None => None,
        };
        let old = self.folder.path().join("old");
        let had = match fs::rename(&self.target, &old) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error.into()),
        };
        if let Err(error) = fs::rename(&self.root, &self.target) {
            if had {
                fs::rename(&old, &self.target)?;
            }
            return Err(error.into());
        }
        if let Some((path, file)) = beside {
            file.persist(path).map_err(|error| Error::from(error.error).place(path.as_str()))?;
        }
        Ok(())
    }
}

/// A layout may take the place of a layout, of an empty folder or of nothing.
fn check_place(target: &Utf8Path) -> Result<()> {
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(found) if !found.is_dir() => {}
        Ok(_) => {
            if target.join("oci-layout").exists() || fs::read_dir(target)?.next().is_none() {
                return Ok(());
            }
        }
    }
    Err(Error::usage("the place for the image is taken by something that is no OCI layout")
        .place(target.as_str())
        .hint("name another folder, or remove that one"))
}
