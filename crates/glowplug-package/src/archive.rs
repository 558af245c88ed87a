//! A zip whose bytes depend on nothing but names, contents and executable bits.
//!
//! Entries are sorted, carry the oldest time that the format knows and one of two modes, and are
//! compressed each on its own, so that the number of threads cannot show.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::sync::Mutex;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Progress, Result, format_bytes, format_hex};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use zip::ZipWriter;

use crate::deflate::{Effort, Encoders};
use crate::entry::{Body, Data, add};

/// Contents whose compressed forms are held in memory at once, in bytes: bounds memory, yet keeps
/// every core busy.
const BATCH_BYTES: u64 = 64 * 1024 * 1024;
/// Contents of one entry, in bytes: beyond, a zip needs an extension (ZIP64) that only archives
/// far over Lambda's limit have a use for.
const MOST_ENTRY_BYTES: u64 = u32::MAX as u64 - 1;

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// The file at this absolute path.
    File(Utf8PathBuf),
    /// These bytes.
    Bytes(Vec<u8>),
    /// A symbolic link to this target.
    Symlink(Utf8PathBuf),
}

/// One entry of an archive to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// Name in the archive, relative, with `/`.
    pub path: Utf8PathBuf,
    /// What it holds.
    pub source: Contents,
    /// Mode 0755 instead of 0644.
    pub executable: bool,
}

impl ArchiveEntry {
    /// Size of the contents; of a link, the length of its target.
    ///
    /// Errors: a file that is not there (surroundings).
    pub fn bytes(&self) -> Result<u64> {
        Ok(match &self.source {
            Contents::File(path) => fs::metadata(path)?.len(),
            Contents::Bytes(bytes) => bytes.len() as u64,
            Contents::Symlink(target) => target.as_str().len() as u64,
        })
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZipSummary {
    /// Size of the archive.
    pub bytes: u64,
    /// Of the whole archive, as hex; empty where it was only measured.
    pub sha256: String,
    /// Sizes of all entries added up, as Lambda counts its limit.
    pub unzipped_bytes: u64,
    /// How many entries.
    pub files: usize,
}

/// Writes and measures archives, and remembers what each file came to, so that one that is in
/// several packages is compressed once. Files must not change while it is in use.
#[derive(Debug)]
pub struct Zipper {
    effort: Effort,
    /// Compressed size and method by the file's path.
    known: Mutex<BTreeMap<Utf8PathBuf, (u64, bool)>>,
}

/// Writes the archive `out`, replacing it in one step at the end, as small as [`Effort::Best`] makes it.
///
/// Errors: as [`Zipper::write`].
pub fn write_zip(entries: &[ArchiveEntry], out: &Utf8Path, progress: &dyn Progress) -> Result<ZipSummary> {
    Zipper::new(Effort::Best).write(entries, out, progress)
}

/// The size that [`write_zip`] would give, without keeping anything; `sha256` is empty.
pub fn zip_size(entries: &[ArchiveEntry], progress: &dyn Progress) -> Result<ZipSummary> {
    Zipper::new(Effort::Best).size(entries, progress)
}

impl Zipper {
    /// One that knows no file yet.
    pub fn new(effort: Effort) -> Self {
        Self { effort, known: Mutex::default() }
    }

    /// Writes the archive `out`, replacing it in one step at the end.
    ///
    /// Errors: two entries with one name or a name that leaves the archive (defect), contents of 4 GB
    /// (input), a file that cannot be read or written (surroundings), interruption.
    pub fn write(
        &self,
        entries: &[ArchiveEntry],
        out: &Utf8Path,
        progress: &dyn Progress,
    ) -> Result<ZipSummary> {
        let folder = out.parent().filter(|f| !f.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new()
            .prefix(".glowplug-")
            .suffix(".zip")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)
            .map_err(|error| Error::from(error).place(folder.as_str()))?;
        progress.start("compressing", Some(total_bytes(entries)?));
        let written = self.pack(entries, BufWriter::new(file.as_file_mut()), true, progress);
        progress.finish();
        let (unzipped_bytes, _) = written?;
        let (bytes, sha256) =
            digest(file.as_file_mut()).map_err(|error| Error::from(error).place(out.as_str()))?;
        file.persist(out).map_err(|error| Error::from(error.error).place(out.as_str()))?;
        Ok(ZipSummary { bytes, sha256, unzipped_bytes, files: entries.len() })
    }

    /// The size that [`Self::write`] would give, without keeping anything; `sha256` is empty. Files
    /// that were in an earlier archive are not read again.
    ///
    /// Errors: as [`Self::write`], writing apart.
    pub fn size(&self, entries: &[ArchiveEntry], progress: &dyn Progress) -> Result<ZipSummary> {
        progress.start("measuring the zip", Some(total_bytes(entries)?));
        let written = self.pack(entries, Counter::default(), false, progress);
        progress.finish();
        let (unzipped_bytes, counter) = written?;
        Ok(ZipSummary { bytes: counter.end, sha256: String::new(), unzipped_bytes, files: entries.len() })
    }

    /// Writes all entries and gives the uncompressed size and the sink back. Without `keep`, zeros
    /// stand for what is known to come to so many bytes.
    fn pack<W: Write + Seek>(
        &self,
        entries: &[ArchiveEntry],
        sink: W,
        keep: bool,
        progress: &dyn Progress,
    ) -> Result<(u64, W)> {
        let sorted = checked(entries)?;
        let mut writer = ZipWriter::new(sink);
        let mut unzipped = 0;
        let mut rest = sorted.as_slice();
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(batch_length(rest)?);
            rest = after;
            for (entry, body) in batch.iter().zip(self.compress(batch, keep, progress)?) {
                unzipped += body.bytes;
                add(&mut writer, entry, body)?;
            }
        }
        let mut sink =
            writer.finish().map_err(|error| Error::surroundings("cannot finish the zip").cause(error))?;
        sink.flush().map_err(Error::from)?;
        Ok((unzipped, sink))
    }

    /// The bodies of a batch, in its order. The largest are begun first, so that no core is left
    /// with one of them at the end.
    fn compress(&self, batch: &[&ArchiveEntry], keep: bool, progress: &dyn Progress) -> Result<Vec<Body>> {
        let mut order = batch
            .iter()
            .enumerate()
            .map(|(at, entry)| Ok((entry.bytes()?, at)))
            .collect::<Result<Vec<_>>>()?;
        order.sort_by(|a, b| (b.0, a.1).cmp(&(a.0, b.1)));
        let mut bodies: Vec<(usize, Body)> = order
            .into_iter()
            .par_bridge()
            .map_init(Encoders::default, |encoders, (_, at)| {
                if progress.interrupted() {
                    return Err(Error::interrupted());
                }
                let body = self.body(batch[at], keep, encoders)?;
                progress.advance(body.bytes);
                Ok((at, body))
            })
            .collect::<Result<_>>()?;
        bodies.sort_by_key(|(at, _)| *at);
        Ok(bodies.into_iter().map(|(_, body)| body).collect())
    }

    fn body(&self, entry: &ArchiveEntry, keep: bool, encoders: &mut Encoders) -> Result<Body> {
        let contents = match &entry.source {
            Contents::Symlink(target) => return Ok(Body::link(target)),
            Contents::File(path) => {
                let bytes = entry.bytes()?;
                let known = self.known().get(path).copied();
                if let Some((length, deflated)) = known.filter(|_| !keep) {
                    return Ok(Body { deflated, crc32: 0, bytes, data: Data::Zeros(length) });
                }
                fs::read(path)?
            }
            Contents::Bytes(bytes) => bytes.clone(),
        };
        let bytes = contents.len() as u64;
        if bytes > MOST_ENTRY_BYTES {
            return Err(Error::input(format!("a zip entry would hold {}", format_bytes(bytes)))
                .cause("a zip for Lambda holds less than 4 GB in one file")
                .place(entry.path.as_str()));
        }
        let crc32 = crc32fast::hash(&contents);
        let packed = encoders.pack(contents, self.effort)?;
        let length = packed.body.len() as u64;
        if let Contents::File(path) = &entry.source {
            self.known().insert(path.clone(), (length, packed.deflated));
        }
        let data = if keep { Data::Bytes(packed.body) } else { Data::Zeros(length) };
        Ok(Body { deflated: packed.deflated, crc32, bytes, data })
    }

    /// A thread that panicked while it held the map leaves it whole.
    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<Utf8PathBuf, (u64, bool)>> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn total_bytes(entries: &[ArchiveEntry]) -> Result<u64> {
    entries.iter().map(ArchiveEntry::bytes).sum()
}

/// Sorted by the bytes of the name; names must be unique and stay inside.
fn checked(entries: &[ArchiveEntry]) -> Result<Vec<&ArchiveEntry>> {
    let mut names = BTreeSet::new();
    for entry in entries {
        let inside = !entry.path.as_str().is_empty()
            && entry.path.as_str().split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !inside {
            return Err(Error::defect("a zip entry's name leaves the archive").place(entry.path.as_str()));
        }
        if !names.insert(entry.path.as_str()) {
            return Err(Error::defect("two zip entries have one name").place(entry.path.as_str()));
        }
    }
    let mut sorted: Vec<&ArchiveEntry> = entries.iter().collect();
    sorted.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
    Ok(sorted)
}

/// How many of the first entries fit into one batch; at least one.
fn batch_length(entries: &[&ArchiveEntry]) -> Result<usize> {
    let mut bytes = 0;
    for (index, entry) in entries.iter().enumerate() {
        bytes += entry.bytes()?;
        if bytes > BATCH_BYTES {
            return Ok(index.max(1));
        }
    }
    Ok(entries.len())
}

fn digest(file: &mut std::fs::File) -> io::Result<(u64, String)> {
    file.flush()?;
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, format_hex(&hasher.finalize())));
        }
        bytes += read as u64;
        hasher.update(&buffer[..read]);
    }
}

/// A sink that only knows how far it was written.
#[derive(Debug, Default)]
struct Counter {
    position: u64,
    end: u64,
}

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.position += bytes.len() as u64;
        self.end = self.end.max(self.position);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Counter {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let moved = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.end.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = moved.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glowplug_core::NoProgress;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use zip::CompressionMethod;

    fn bytes(path: &str, contents: &[u8], executable: bool) -> ArchiveEntry {
        ArchiveEntry { path: path.into(), source: Contents::Bytes(contents.to_vec()), executable }
    }

    fn written(entries: &[ArchiveEntry]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let out = Utf8PathBuf::try_from(folder.path().join("a.zip")).unwrap();
        let summary = write_zip(entries, &out, &NoProgress).unwrap();
        let contents = fs::read(&out).unwrap();
        assert_eq!(summary.bytes, contents.len() as u64);
        assert_eq!(summary.sha256, format_hex(&Sha256::digest(&contents)));
        assert_eq!(zip_size(entries, &NoProgress).unwrap().bytes, summary.bytes);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the temporary file is gone");
        contents
    }

    #[test]
    fn a_name_that_leaves_the_archive_or_comes_twice_is_refused() {
        for path in ["../x", "/x", "a//b", "a/./b", ""] {
            assert!(zip_size(&[bytes(path, b"", false)], &NoProgress).is_err(), "{path}");
        }
        assert!(zip_size(&[bytes("a", b"", false), bytes("a", b"", false)], &NoProgress).is_err());
    }

    #[test]
    fn a_missing_file_leaves_the_old_archive_alone() {
        let folder = tempfile::tempdir().unwrap();
        let out = Utf8PathBuf::try_from(folder.path().join("a.zip")).unwrap();
        fs::write(&out, "old").unwrap();
        let missing = ArchiveEntry {
            path: "a".into(),
            source: Contents::File(out.with_file_name("missing")),
            executable: false,
        };
        let error = write_zip(&[missing], &out, &NoProgress).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
        assert_eq!(fs::read_to_string(&out).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn interruption_stops_before_the_next_batch() {
        struct Stop;
        impl Progress for Stop {
            fn start(&self, _: &str, _: Option<u64>) {}
            fn advance(&self, _: u64) {}
            fn finish(&self) {}
            fn note(&self, _: &str) {}
            fn interrupted(&self) -> bool {
                true
            }
        }
        let error = zip_size(&[bytes("a", b"x", false)], &Stop).unwrap_err();
        assert_eq!(error.class(), glowplug_core::ErrorClass::Interrupted);
    }

    #[test]
    fn what_deflate_does_not_shorten_is_stored() {
        let noise: Vec<u8> = Sha256::digest(b"seed").to_vec();
        let contents = written(&[bytes("a", &noise, false), bytes("b", &[7; 5000], false)]);
        let mut archive = zip::ZipArchive::new(io::Cursor::new(contents)).unwrap();
        assert_eq!(archive.by_name("a").unwrap().compression(), CompressionMethod::Stored);
        assert_eq!(archive.by_name("b").unwrap().compression(), CompressionMethod::Deflated);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_order_gives_the_same_bytes_and_they_read_back(
            files in prop::collection::btree_map(
                "[a-zé]{1,6}(/[a-z_.0-9]{1,8}x){0,2}",
                (prop::collection::vec(any::<u8>(), 0..600), any::<bool>()),
                0..12,
            ),
            seed in any::<u64>(),
        ) {
            let entries: Vec<_> = files.iter().map(|(path, (data, mode))| bytes(path, data, *mode)).collect();
            let mut shuffled = entries.clone();
            shuffled.sort_by_key(|e| Sha256::digest(format!("{seed}{}", e.path)).to_vec());
            let first = written(&entries);
            prop_assert_eq!(&first, &written(&shuffled));
            let mut archive = zip::ZipArchive::new(io::Cursor::new(first)).unwrap();
            let mut read = BTreeMap::new();
            for index in 0..archive.len() {
                let mut file = archive.by_index(index).unwrap();
                let mut data = Vec::new();
                file.read_to_end(&mut data).unwrap();
                let executable = file.unix_mode().unwrap() & 0o100 != 0;
                read.insert(file.name().unwrap().into_owned(), (data, executable));
            }
            prop_assert_eq!(read, files);
        }
    }
}
