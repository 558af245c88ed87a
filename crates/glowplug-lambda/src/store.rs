//! What outlives the program: functions in an embedded database, their zips beside it.
//!
//! A record is committed to the disk before a client is told that it exists; a zip is there before the record that names
//! it. After a crash the database is what the last commit left, and zips that no record names are removed.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, NoProgress, Result, format_hex};
use glowplug_image::LayoutImage;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::events::Event;
use crate::folder;
use crate::model::{Code, Layers, Record};

type Table = TableDefinition<'static, &'static str, &'static [u8]>;

/// Name of a function → its record, as JSON.
const FUNCTIONS: Table = TableDefinition::new("functions/1");

/// Name of a function that was given as a path → its record, as JSON. Its `$LATEST` is what it was when this was written;
/// what counts is the path.
const LOCAL: Table = TableDefinition::new("local/1");

/// Request id → the event, as JSON.
const EVENTS: Table = TableDefinition::new("events/1");

/// Name of a layer → its versions, as JSON.
const LAYERS: Table = TableDefinition::new("layers/1");

/// What the names of folders begin with that are being filled.
const UNPACKING: &str = "unpacking-";

/// The folder, beside the tree, of what lies over it.
const LAYERS_OF_TREE: &str = "layers";

/// The folder of one account.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
    folder: Utf8PathBuf,
    code: Utf8PathBuf,
}

impl Store {
    /// Opens the folder, made where it is missing, and removes what no function needs.
    ///
    /// # Errors
    /// Surroundings: it cannot be made or read, another program has it open, or its format is a newer one.
    pub(crate) fn open(folder: &Utf8Path) -> Result<Self> {
        let code = folder.join("code");
        fs::create_dir_all(&code)?;
        let file = folder.join("lambda.redb");
        let database = Database::create(&file).map_err(|error| {
            Error::surroundings("cannot open the functions of this folder")
                .cause(error)
                .place(file.as_str())
                .hint("another `glowplug serve` may have it open; `--state DIR` takes another folder")
        })?;
        let transaction = database.begin_write().map_err(failed)?;
        transaction.open_table(FUNCTIONS).map_err(failed)?;
        transaction.open_table(LOCAL).map_err(failed)?;
        transaction.open_table(EVENTS).map_err(failed)?;
        transaction.open_table(LAYERS).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        Ok(Self { database, folder: folder.to_owned(), code })
    }

    /// Where everything of the account lies.
    pub(crate) fn folder(&self) -> &Utf8PathBuf {
        &self.folder
    }

    /// All functions.
    ///
    /// # Errors
    /// Surroundings: the database cannot be read, or was written by a newer version.
    pub(crate) fn functions(&self) -> Result<BTreeMap<String, Record>> {
        self.all(FUNCTIONS)
    }

    /// All functions that were ever given as paths, and changed.
    ///
    /// # Errors
    /// As [`Self::functions`].
    pub(crate) fn local_functions(&self) -> Result<BTreeMap<String, Record>> {
        self.all(LOCAL)
    }

    /// All events that were accepted and are not done.
    ///
    /// # Errors
    /// As [`Self::functions`].
    pub(crate) fn events(&self) -> Result<BTreeMap<String, Event>> {
        self.all(EVENTS)
    }

    /// All layers.
    ///
    /// # Errors
    /// As [`Self::functions`].
    pub(crate) fn layers(&self) -> Result<BTreeMap<String, Layers>> {
        self.all(LAYERS)
    }

    /// Writes the versions of a layer. They are on the disk when this returns.
    pub(crate) fn put_layers(&self, name: &str, layers: &Layers) -> Result<()> {
        self.write(LAYERS, name, Some(layers))
    }

    /// Writes one function; `None` removes it. It is on the disk when this returns.
    pub(crate) fn put(&self, name: &str, record: Option<&Record>) -> Result<()> {
        let transaction = self.database.begin_write().map_err(failed)?;
        set(&transaction, FUNCTIONS, name, record)?;
        // What was given as a path is made of something else now.
        set::<Record>(&transaction, LOCAL, name, None)?;
        transaction.commit().map_err(failed)
    }

    /// Writes one that was given as a path; a function of its name that was made through the API stays.
    pub(crate) fn put_local(&self, name: &str, record: &Record) -> Result<()> {
        self.write(LOCAL, name, Some(record))
    }

    /// Writes one event; `None` removes it. It is on the disk when this returns.
    pub(crate) fn put_event(&self, id: &str, event: Option<&Event>) -> Result<()> {
        self.write(EVENTS, id, event)
    }

    /// Keeps all others from writing, as a slow disk does.
    #[cfg(test)]
    pub(crate) fn hold(&self) -> WriteTransaction {
        self.database.begin_write().unwrap()
    }

    fn all<T: DeserializeOwned>(&self, table: Table) -> Result<BTreeMap<String, T>> {
        let transaction = self.database.begin_read().map_err(failed)?;
        let table = transaction.open_table(table).map_err(failed)?;
        let mut all = BTreeMap::new();
        for entry in table.iter().map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            all.insert(key.value().to_owned(), serde_json::from_slice(value.value()).map_err(failed)?);
        }
        Ok(all)
    }

    fn write<T: Serialize>(&self, table: Table, key: &str, value: Option<&T>) -> Result<()> {
        let transaction = self.database.begin_write().map_err(failed)?;
        set(&transaction, table, key, value)?;
        transaction.commit().map_err(failed)
    }

    /// Keeps a zip, and unpacks it: what runs of it is [`Self::tree`].
    ///
    /// # Errors
    /// Input: it is no zip, leads out of its folder, or is too large. Surroundings: the disk.
    pub(crate) fn keep(&self, zip: &[u8]) -> Result<Code> {
        let sha256 = format_hex(&Sha256::digest(zip));
        let code = Code { sha256, bytes: zip.len() as u64 };
        let tree = self.tree(&code);
        if tree.exists() {
            return Ok(code);
        }
        self.fill(&code, |folder| {
            let (file, task) = (folder.join("code.zip"), folder.join("task"));
            fs::write(&file, zip)?;
            fs::create_dir(&task)?;
            glowplug_package::unpack(&file, &task).map(|_| ())
        })?;
        Ok(code)
    }

    /// Keeps the root file system of an image, under the image's digest.
    ///
    /// # Errors
    /// As [`LayoutImage::unpack`].
    pub(crate) fn keep_image(&self, image: &LayoutImage) -> Result<Code> {
        let code = Code { sha256: image.digest().hex().to_owned(), bytes: 0 };
        if !self.tree(&code).exists() {
            self.fill(&code, |folder| {
                let task = folder.join("task");
                fs::create_dir(&task)?;
                image.unpack(&task, &NoProgress).map(|_| ())
            })?;
        }
        Ok(code)
    }

    /// Keeps a copy of a folder, and of those that lie over it.
    ///
    /// # Errors
    /// As [`folder::copy`].
    pub(crate) fn keep_tree(&self, code: &Code, tree: &Utf8Path, layers: &[Utf8PathBuf]) -> Result<()> {
        if self.tree(code).exists() {
            return Ok(());
        }
        self.fill(code, |folder| {
            folder::copy(tree, &folder.join("task"))?;
            let kept = folder.join(LAYERS_OF_TREE);
            fs::create_dir(&kept)?;
            for (number, layer) in layers.iter().enumerate() {
                folder::copy(layer, &kept.join(number.to_string()))?;
            }
            Ok(())
        })
    }

    /// Has the folder of some code filled, and there all at once.
    fn fill(&self, code: &Code, fill: impl FnOnce(&Utf8Path) -> Result<()>) -> Result<()> {
        let work = tempfile::Builder::new().prefix(UNPACKING).tempdir_in(&self.code)?;
        let folder = Utf8Path::from_path(work.path())
            .ok_or_else(|| Error::surroundings("the state folder's path is not UTF-8"))?;
        fill(folder)?;
        match fs::rename(folder, self.code.join(&code.sha256)) {
            Ok(()) => {
                // The folder is where it belongs now.
                let _ = work.keep();
            }
            // Somebody else was quicker.
            Err(_) if self.tree(code).exists() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The folder with the files of a zip.
    pub(crate) fn tree(&self, code: &Code) -> Utf8PathBuf {
        self.code.join(&code.sha256).join("task")
    }

    /// The folders that lie over it, where it was given as a path.
    pub(crate) fn layers_of_tree(&self, code: &Code) -> Vec<Utf8PathBuf> {
        let kept = self.code.join(&code.sha256).join(LAYERS_OF_TREE);
        let count = fs::read_dir(&kept).map_or(0, Iterator::count);
        (0..count).map(|number| kept.join(number.to_string())).collect()
    }

    /// The zip itself.
    pub(crate) fn zip(&self, code: &Code) -> Utf8PathBuf {
        self.code.join(&code.sha256).join("code.zip")
    }

    /// Removes the code that is not among `used`.
    pub(crate) fn remove_unused(&self, used: &BTreeSet<&str>) -> Result<()> {
        for entry in fs::read_dir(&self.code)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_ours(&name) && !used.contains(name.as_str()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

fn set<T: Serialize>(
    transaction: &WriteTransaction,
    table: Table,
    key: &str,
    value: Option<&T>,
) -> Result<()> {
    let mut table = transaction.open_table(table).map_err(failed)?;
    match value {
        Some(value) => {
            let text = serde_json::to_vec(value).map_err(failed)?;
            table.insert(key, text.as_slice()).map_err(failed)?;
        }
        None => {
            table.remove(key).map_err(failed)?;
        }
    }
    Ok(())
}

/// Whether a name in the folder of code is one that we give: a hash, or what a killed program was unpacking.
fn is_ours(name: &str) -> bool {
    let is_hash = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash || name.starts_with(UNPACKING)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::surroundings("cannot use the database of functions").cause(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::configuration;

    #[test]
    fn functions_outlive_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let record = Record::new(configuration("$LATEST"), BTreeMap::new());
        {
            let store = Store::open(folder).unwrap();
            store.put("report", Some(&record)).unwrap();
            store.put("other", Some(&record)).unwrap();
            store.put("other", None).unwrap();
            assert!(Store::open(folder).is_err(), "one program at a time");
        }
        let store = Store::open(folder).unwrap();
        assert_eq!(store.functions().unwrap(), BTreeMap::from([("report".to_owned(), record)]));
    }

    #[test]
    fn code_is_kept_once_and_removed_when_nobody_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let store = Store::open(folder).unwrap();
        assert!(store.keep(b"no zip").is_err());
        let empty = [&b"PK\x05\x06"[..], &[0; 18]].concat();
        let code = store.keep(&empty).unwrap();
        assert_eq!(store.keep(&empty).unwrap(), code);
        assert!(store.tree(&code).is_dir() && store.zip(&code).is_file());
        store.remove_unused(&BTreeSet::from([code.sha256.as_str()])).unwrap();
        assert_eq!(fs::read_dir(folder.join("code")).unwrap().count(), 1);
        fs::create_dir(folder.join("code/src")).unwrap();
        fs::write(folder.join("code/notes.txt"), "mine").unwrap();
        store.remove_unused(&BTreeSet::new()).unwrap();
        assert!(folder.join("code/src").exists() && folder.join("code/notes.txt").exists(), "not ours");
        assert!(!store.tree(&code).exists());
    }
}
