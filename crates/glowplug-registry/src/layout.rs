//! An OCI layout folder: `oci-layout`, `index.json`, `blobs/sha256`. Valid at every moment, for several processes too.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Result};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::digest::Digest;
use crate::limits::MAX_MANIFEST_BYTES;
use crate::manifest::{Descriptor, Manifest, OCI_INDEX};

/// The annotation that names an entry of the index, by the image specification.
pub(crate) const NAME: &str = "org.opencontainers.image.ref.name";

/// How temporary files begin, which stand beside the blobs until they are whole.
const PARTIAL: &str = ".glowplug-partial-";

/// A layout on disk.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: Utf8PathBuf,
}

impl Layout {
    /// One that is there, to be read.
    ///
    /// # Errors
    /// Input: the folder is none.
    pub(crate) fn open(root: &Utf8Path) -> Result<Self> {
        let none = |cause: &str| {
            Error::input("the folder is not an OCI layout")
                .place(root.as_str())
                .cause(cause)
                .hint("a layout has `oci-layout`, `index.json` and `blobs/sha256`")
        };
        if !root.is_dir() {
            return Err(none("there is no such folder"));
        }
        let marker = root.join("oci-layout");
        let text = fs::read_to_string(&marker).map_err(|_| none("it has no readable `oci-layout`"))?;
        let version = serde_json::from_str::<Value>(&text).ok();
        match version.as_ref().and_then(|value| value["imageLayoutVersion"].as_str()) {
            Some("1.0.0") => Ok(Self { root: root.to_owned() }),
            Some(_) => Err(none("it is of another version than 1.0.0")),
            None => Err(none("`oci-layout` has no `imageLayoutVersion`")),
        }
    }

    /// One to write into, made where there is none.
    ///
    /// # Errors
    /// Input: the folder holds something else. Surroundings: it cannot be made.
    pub(crate) fn create(root: &Utf8Path) -> Result<Self> {
        let layout = Self { root: root.to_owned() };
        if root.join("oci-layout").exists() {
            Self::open(root)?;
            fs::create_dir_all(root.join("blobs/sha256"))?;
            return Ok(layout);
        }
        if root.exists() {
            for entry in fs::read_dir(root)? {
                // What one has that is being made at this moment, or whose making was ended.
                if !matches!(entry?.file_name().to_str(), Some("blobs" | "index.json")) {
                    return Err(Error::input("the folder is not an OCI layout, and not empty")
                        .place(root.as_str())
                        .hint("choose an empty folder, or one that does not exist"));
                }
            }
        }
        fs::create_dir_all(root.join("blobs/sha256"))?;
        let _lock = layout.lock()?;
        if !root.join("index.json").exists() {
            layout.write("index.json", &bytes_of(&empty_index()))?;
        }
        // Last, since it is what makes the folder a layout.
        layout.write("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(layout)
    }

    /// Where a blob is, or would be.
    pub(crate) fn path(&self, digest: &Digest) -> Utf8PathBuf {
        self.root.join("blobs/sha256").join(digest.digits())
    }

    /// Whether a blob is there with the right length and the right bytes.
    pub(crate) fn has(&self, blob: &Descriptor, check: &dyn Fn() -> Result<()>) -> Result<bool> {
        let path = self.path(&blob.digest);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.len() == blob.size => {
                Ok(Digest::of_file(&path, check)?.0 == blob.digest)
            }
            _ => Ok(false),
        }
    }

    /// A file for a blob that is on its way. It is deleted unless it is kept.
    pub(crate) fn partial(&self) -> Result<NamedTempFile> {
        let folder = self.root.join("blobs/sha256");
        tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempfile_in(&folder)
            .map_err(|error| Error::from(error).place(folder.as_str()))
    }

    /// Gives a whole file the name of its digest.
    pub(crate) fn keep(&self, file: NamedTempFile, digest: &Digest) -> Result<()> {
        persist(file, &self.path(digest))
    }

    /// Stores a manifest among the blobs.
    pub(crate) fn store(&self, manifest: &Manifest) -> Result<()> {
        let path = format!("blobs/sha256/{}", manifest.digest.digits());
        self.write(&path, &manifest.bytes)
    }

    /// Reads a manifest, and sees that it is the one that is meant.
    ///
    /// # Errors
    /// Input: it is not there, not whole, or no manifest.
    pub(crate) fn manifest(&self, wanted: &Descriptor) -> Result<Manifest> {
        let path = self.path(&wanted.digest);
        let bad = |cause: String| {
            Error::input(format!("the layout has no whole manifest {}", wanted.digest))
                .place(path.as_str())
                .cause(cause)
        };
        let length = fs::metadata(&path).map_err(|error| bad(error.kind().to_string()))?.len();
        if length > MAX_MANIFEST_BYTES {
            return Err(bad(format!("it has more than {MAX_MANIFEST_BYTES} bytes")));
        }
        let bytes = fs::read(&path)?;
        let manifest =
            Manifest::read(bytes, Some(&wanted.media_type)).map_err(|error| error.place(path.as_str()))?;
        if manifest.digest != wanted.digest {
            return Err(bad("its bytes have another digest".to_owned()));
        }
        Ok(manifest)
    }

    /// The document `index.json`.
    pub(crate) fn index(&self) -> Result<Value> {
        let path = self.root.join("index.json");
        let wrong = |cause: String| {
            Error::input("`index.json` of the layout cannot be understood").place(path.as_str()).cause(cause)
        };
        let index: Value =
            serde_json::from_str(&fs::read_to_string(&path)?).map_err(|error| wrong(error.to_string()))?;
        if index["manifests"].is_array() {
            Ok(index)
        } else {
            Err(wrong("it has no list `manifests`".to_owned()))
        }
    }

    /// The entries of `index.json` with their names.
    pub(crate) fn entries(&self) -> Result<Vec<(Descriptor, Option<String>)>> {
        let place = self.root.join("index.json");
        let index = self.index()?;
        let entries = index["manifests"].as_array().map(Vec::as_slice).unwrap_or_default();
        let read = |entry: &Value| {
            let name = entry["annotations"][NAME].as_str().map(str::to_owned);
            Ok((Descriptor::read(entry).map_err(|error| error.place(place.as_str()))?, name))
        };
        entries.iter().map(read).collect()
    }

    /// Enters a manifest into `index.json` under a name. Who had that name keeps the entry and loses the name.
    pub(crate) fn enter(&self, mut entry: Value, name: Option<&str>) -> Result<()> {
        let _lock = self.lock()?;
        let mut index = self.index()?;
        let Some(entries) = index["manifests"].as_array_mut() else { return Ok(()) };
        if let Some(name) = name {
            for other in entries.iter_mut().filter(|other| other["annotations"][NAME] == name) {
                if let Some(annotations) = other["annotations"].as_object_mut() {
                    annotations.remove(NAME);
                }
            }
            entry["annotations"][NAME] = name.into();
        }
        if name.is_some() || !entries.iter().any(|other| other["digest"] == entry["digest"]) {
            entries.push(entry);
        }
        // An entry that tells nothing besides what another tells of the same manifest is not missed.
        let plain = |entry: &Value| entry["annotations"].as_object().is_none_or(serde_json::Map::is_empty);
        let told: Vec<Value> =
            entries.iter().filter(|entry| !plain(entry)).map(|entry| entry["digest"].clone()).collect();
        entries.retain(|entry| !plain(entry) || !told.contains(&entry["digest"]));
        self.write("index.json", &bytes_of(&index))
    }

    /// Keeps other processes of ours from `index.json` until it is dropped.
    fn lock(&self) -> Result<fs::File> {
        let folder = fs::File::open(&self.root)?;
        folder.file().lock().map_err(|error| Error::from(error).place(self.root.as_str()))?;
        Ok(folder)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let mut file = self.partial()?;
        file.write_all(bytes).map_err(|error| Error::from(error).place(self.root.join(path).as_str()))?;
        persist(file, &self.root.join(path))
    }
}

/// Gives a temporary file its name.
fn persist(file: NamedTempFile, path: &Utf8Path) -> Result<()> {
    let failed = |error: std::io::Error| Error::from(error).place(path.as_str());
    // Temporary files are for their owner alone; a layout is for whoever may read the folder.
    file.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn empty_index() -> Value {
    json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] })
}

fn bytes_of(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("layout");
        (folder, path)
    }

    fn entry(bytes: &[u8]) -> Value {
        let descriptor = Descriptor::example(bytes);
        json!({"mediaType": descriptor.media_type, "digest": descriptor.digest.as_str(), "size": descriptor.size})
    }

    #[test]
    fn a_name_moves_and_nothing_is_lost() {
        let (_folder, path) = folder();
        let layout = Layout::create(&path).unwrap();
        for (bytes, name) in
            [(b"a", Some("1")), (b"a", Some("2")), (b"b", Some("1")), (b"b", None), (b"c", None)]
        {
            layout.enter(entry(bytes), name).unwrap();
        }
        let names: Vec<_> =
            layout.entries().unwrap().into_iter().map(|(entry, name)| (entry.digest, name)).collect();
        let digest = |bytes: &[u8]| Digest::of(bytes);
        assert_eq!(
            names,
            [(digest(b"a"), Some("2".into())), (digest(b"b"), Some("1".into())), (digest(b"c"), None)]
        );
    }

    #[test]
    fn folders_that_are_no_layout_are_told() {
        let (_folder, path) = folder();
        assert!(Layout::open(&path).unwrap_err().to_string().contains("no such folder"));
        fs::create_dir_all(&path).unwrap();
        assert!(Layout::open(&path).unwrap_err().to_string().contains("no readable `oci-layout`"));
        fs::write(path.join("mine"), "x").unwrap();
        assert!(Layout::create(&path).unwrap_err().to_string().contains("not empty"));
        assert!(!path.join("blobs").exists());
        fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
        assert!(Layout::create(&path).unwrap_err().to_string().contains("another version"));
    }

    #[test]
    fn several_may_make_one_and_a_beginning_is_no_obstacle() {
        let (_folder, path) = folder();
        std::thread::scope(|scope| {
            for number in 0..8_u8 {
                let path = &path;
                scope.spawn(move || {
                    let name = number.to_string();
                    Layout::create(path).unwrap().enter(entry(&[number]), Some(&name)).unwrap();
                });
            }
        });
        assert_eq!(Layout::open(&path).unwrap().entries().unwrap().len(), 8);
        fs::remove_file(path.join("oci-layout")).unwrap();
        assert_eq!(Layout::create(&path).unwrap().entries().unwrap().len(), 8);
    }

    #[test]
    fn a_blob_is_there_only_with_its_own_bytes() {
        let (_folder, path) = folder();
        let layout = Layout::create(&path).unwrap();
        let blob = Descriptor::example(b"abc");
        let has = || layout.has(&blob, &|| Ok(())).unwrap();
        assert!(!has());
        for (bytes, right) in [(b"abd".as_slice(), false), (b"ab", false), (b"abc", true)] {
            fs::write(layout.path(&blob.digest), bytes).unwrap();
            assert_eq!(has(), right);
        }
        assert!(layout.manifest(&blob).unwrap_err().to_string().contains("not JSON"));
    }
}
