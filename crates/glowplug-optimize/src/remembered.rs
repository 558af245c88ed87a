//! Finished builds in the cache: where nothing has changed, the artifact, its plan and its report are there already.
//!
//! ```text
//!  builds/KEY.json     hash of the rest, name of the artifact, then report, plan, traces and the time
//!  builds/SHA256.zip   the artifact that such a file names
//! ```
//!
//! Both kinds are written whole or not at all, and checked when they are read; what is not as it should be counts as
//! not there. The least used go when there are too many.

use std::collections::BTreeSet;
use std::io::Read;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use glowplug_core::{Cache, Error, Result, civil_date, format_hex};
use glowplug_report::Report;
use glowplug_trace::Trace;

/// Artifacts beyond this many bytes together are forgotten.
const MOST_BYTES: u64 = 2 << 30;

/// So are builds beyond this many.
const MOST_BUILDS: usize = 500;

/// Length of a hash as hex.
const HEX: usize = 64;

/// A finished build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// When it was proved and measured: `2026-11-28T22:20:01Z`.
    pub(crate) when: String,
    /// Its report, as it was.
    pub(crate) report: Report,
    /// The text of its plan.
    pub(crate) plan: String,
    /// The traces that were asked for.
    pub(crate) traces: Option<[Trace; 2]>,
}

impl Remembered {
    /// Name of the artifact in the cache.
    fn artifact(&self) -> Option<&str> {
        match self.report.artifacts.as_slice() {
            [only] if only.sha256.len() == HEX => Some(&only.sha256),
            _ => None,
        }
    }
}

/// Where they are.
#[derive(Debug)]
pub(crate) struct Builds {
    folder: Utf8PathBuf,
}

impl Builds {
    /// Those in `cache`.
    pub(crate) fn new(cache: &Cache) -> Self {
        Self { folder: cache.root().join("builds") }
    }

    /// The build of this key, with its artifact copied to `zip`.
    pub(crate) fn find(&self, key: &str, zip: &Utf8Path) -> Option<Remembered> {
        let path = self.document(key);
        let text = fs::read(&path).ok()?;
        let (hash, rest) = text.split_at_checked(HEX)?;
        if hash != digest(rest).as_bytes() {
            return None;
        }
        let found: Remembered = serde_json::from_slice(rest.get(HEX..)?).ok()?;
        let name = found.artifact()?;
        fs::copy(self.zip(name), zip).ok()?;
        if digest(&fs::read(zip).ok()?) != name {
            return None;
        }
        // It has been of use; where that cannot be noted, it is forgotten a little earlier.
        let _ = fs::File::open(&path).and_then(|file| file.file().set_modified(SystemTime::now()));
        Some(found)
    }

    /// Keeps a build, whose artifact is at `zip`, under each of `keys`.
    pub(crate) fn keep(&self, keys: &BTreeSet<String>, build: &Remembered, zip: &Utf8Path) -> Result<()> {
        let Some(name) = build.artifact() else { return Ok(()) };
        fs::create_dir_all(&self.folder)?;
        let json = serde_json::to_string(build).map_err(|e| Error::defect("a build has no JSON").cause(e))?;
        let rest = format!("{name}{json}");
        self.put(&self.zip(name), &mut |place| {
            fs::copy(zip, place)?;
            Ok(())
        })?;
        for key in keys {
            let text = format!("{}{rest}", digest(rest.as_bytes()));
            self.put(&self.document(key), &mut |place| Ok(fs::write(place, &text)?))?;
        }
        self.forget(MOST_BYTES, MOST_BUILDS)
    }

    /// Makes a file beside its place and moves it there.
    fn put(&self, place: &Utf8Path, make: &mut dyn FnMut(&Utf8Path) -> Result<()>) -> Result<()> {
        let staged = tempfile::Builder::new().prefix(".new-").tempdir_in(&self.folder)?;
        let path = crate::workspace::utf8(staged.path())?.join("file");
        make(&path)?;
        Ok(fs::rename(path, place)?)
    }

    fn document(&self, key: &str) -> Utf8PathBuf {
        self.folder.join(format!("{key}.json"))
    }

    fn zip(&self, sha256: &str) -> Utf8PathBuf {
        self.folder.join(format!("{sha256}.zip"))
    }

    /// Removes the builds that were used longest ago, as long as there are more than these, and artifacts that no
    /// build names. A build that another process keeps at this moment may lose its artifact: it is made again.
    fn forget(&self, most_bytes: u64, most_builds: usize) -> Result<()> {
        let mut documents = Vec::new();
        let mut zips = Vec::new();
        for entry in self.folder.read_dir_utf8()?.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            match entry.path().extension() {
                Some("json") => {
                    documents.push((metadata.modified().unwrap_or(UNIX_EPOCH), entry.into_path()));
                }
                Some("zip") => zips.push((entry.into_path(), metadata.len())),
                _ => {}
            }
        }
        documents.sort();
        let (mut named, mut bytes) = (BTreeSet::new(), 0);
        for (count, (_, path)) in documents.into_iter().rev().enumerate() {
            let zip = named_in(&path).map(|name| self.zip(&name));
            let known = zip.as_ref().and_then(|zip| zips.iter().find(|(path, _)| path == zip));
            if let (Some((zip, size)), true) = (known, count < most_builds) {
                let more = if named.contains(zip) { 0 } else { *size };
                if bytes + more <= most_bytes {
                    bytes += more;
                    named.insert(zip.clone());
                    continue;
                }
            }
            // Another build may be removing it too.
            let _ = fs::remove_file(path);
        }
        for (zip, _) in zips.iter().filter(|(zip, _)| !named.contains(zip)) {
            let _ = fs::remove_file(zip);
        }
        Ok(())
    }
}

/// The artifact that a build's file names.
fn named_in(path: &Utf8Path) -> Option<String> {
    let mut head = [0; 2 * HEX];
    fs::File::open(path).ok()?.read_exact(&mut head).ok()?;
    String::from_utf8(head[HEX..].to_vec()).ok()
}

fn digest(bytes: &[u8]) -> String {
    format_hex(&Sha256::digest(bytes))
}

/// A moment as RFC 3339 has it, to the second.
pub(crate) fn moment(since_1970: Duration) -> String {
    let (days, seconds) = (since_1970.as_secs() / 86_400, since_1970.as_secs() % 86_400);
    let (year, month, day) = civil_date(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::utf8;
    use glowplug_core::{Architecture, PythonVersion};
    use glowplug_report::{Artifact, ArtifactKind, Environment, ReportFunction};

    fn report(sha256: &str) -> Report {
        let function = ReportFunction {
            name: "demo".into(),
            handler: "app.handler".into(),
            python: PythonVersion::new(3, 12),
            architecture: Architecture::X86_64,
            memory_mb: 512,
        };
        let environment = Environment {
            python: "3.12.1".into(),
            memory_mb: 512,
            cpu: "unlimited".into(),
            init_boost: false,
            page_cache: "warm".into(),
            tool: "glowplug".into(),
            not_enforced: Vec::new(),
        };
        let artifact =
            Artifact { kind: ArtifactKind::Zip, path: "out".into(), bytes: 1, sha256: sha256.into() };
        Report { artifacts: vec![artifact], ..Report::new(function, environment) }
    }

    struct Sandbox {
        _guard: tempfile::TempDir,
        root: Utf8PathBuf,
        builds: Builds,
    }

    impl Sandbox {
        fn new() -> Self {
            let guard = tempfile::tempdir().unwrap();
            let root = utf8(guard.path()).unwrap().to_owned();
            let builds = Builds::new(&Cache::new(&root, true));
            Self { _guard: guard, root, builds }
        }

        /// Keeps a build with this artifact, used so many seconds after 1970.
        fn keep(&self, keys: &[&str], contents: &str, used: u64) -> Remembered {
            let zip = self.root.join("made.zip");
            fs::write(&zip, contents).unwrap();
            let build = Remembered {
                when: moment(Duration::from_secs(used)),
                report: report(&digest(contents.as_bytes())),
                plan: "plan".into(),
                traces: None,
            };
            self.builds.keep(&keys.iter().map(|key| (*key).to_owned()).collect(), &build, &zip).unwrap();
            for key in keys {
                let file = fs::File::open(self.builds.document(key)).unwrap();
                file.file().set_modified(UNIX_EPOCH + Duration::from_secs(used)).unwrap();
            }
            build
        }

        fn find(&self, key: &str) -> Option<(Remembered, String)> {
            let zip = self.root.join("found.zip");
            let found = self.builds.find(key, &zip)?;
            Some((found, fs::read_to_string(zip).unwrap()))
        }

        fn files(&self) -> usize {
            fs::read_dir(&self.builds.folder).unwrap().count()
        }
    }

    #[test]
    fn a_build_is_found_under_each_of_its_keys() {
        let sandbox = Sandbox::new();
        assert_eq!(sandbox.find("a"), None);
        let kept = sandbox.keep(&["a", "b"], "one", 1);
        assert_eq!(sandbox.find("a"), Some((kept.clone(), "one".into())));
        assert_eq!(sandbox.find("b"), Some((kept, "one".into())));
        assert_eq!((sandbox.find("c"), sandbox.files()), (None, 3));
    }

    #[test]
    fn what_is_corrupt_is_not_there_and_is_made_again() {
        let sandbox = Sandbox::new();
        let kept = sandbox.keep(&["a"], "one", 1);
        let (document, zip) = (sandbox.builds.document("a"), sandbox.builds.zip(kept.artifact().unwrap()));
        for path in [&document, &zip] {
            let whole = fs::read(path).unwrap();
            for damaged in [&whole[..whole.len() - 1], b"", &[b"x", &whole[1..]].concat()] {
                fs::write(path, damaged).unwrap();
                assert_eq!(sandbox.find("a"), None, "{path}");
            }
            fs::remove_file(path).unwrap();
            assert_eq!(sandbox.find("a"), None, "{path}");
            sandbox.keep(&["a"], "one", 1);
            assert!(sandbox.find("a").is_some());
        }
        // Sound, but of another form.
        let rest = format!("{}{{}}", kept.artifact().unwrap());
        fs::write(&document, digest(rest.as_bytes()) + &rest).unwrap();
        assert_eq!(sandbox.find("a"), None);
    }

    #[test]
    fn the_least_used_are_forgotten_and_their_artifacts_go_with_them() {
        let sandbox = Sandbox::new();
        sandbox.keep(&["a"], "one", 1);
        sandbox.keep(&["b", "c"], "two", 2);
        sandbox.keep(&["d"], "one", 3);
        sandbox.builds.forget(100, 3).unwrap();
        assert!(sandbox.find("a").is_none() && sandbox.find("b").is_some() && sandbox.find("d").is_some());
        // `find` has used them now.
        sandbox.keep(&["e"], "three", 1);
        sandbox.builds.forget(6, 100).unwrap();
        assert!(sandbox.find("e").is_none() && sandbox.find("c").is_some());
        sandbox.builds.forget(0, 100).unwrap();
        assert_eq!(sandbox.files(), 0);
    }

    #[test]
    fn moments_are_written_as_everybody_writes_them() {
        let text = |seconds| moment(Duration::from_secs(seconds));
        assert_eq!(text(0), "1970-01-01T00:00:00Z");
        assert_eq!(text(951_868_799), "2000-02-29T23:59:59Z");
        assert_eq!(text(1_795_904_401), "2026-11-28T22:20:01Z");
    }
}
