//! Which files of the user's folder ship, and where its links lead.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, OUTPUT_MARKER, Progress, Result, format_bytes};
use glowplug_package::UNZIPPED_LIMIT;
use walkdir::{DirEntry, WalkDir};

/// Folders and files that never ship, wherever they are: what tools of development keep for themselves.
const NEVER: [&str; 18] = [
    ".git",
    ".hg",
    ".svn",
    ".bzr",
    ".aws-sam",
    ".serverless",
    ".terraform",
    ".glowplug",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
    ".idea",
    ".vscode",
    ".DS_Store",
    "node_modules",
];
/// A folder that holds more than this is no function: ten times what Lambda takes.
const MOST_BYTES: u64 = 10 * UNZIPPED_LIMIT;

/// A file or a link that ships.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserFile {
    /// Relative to the folder.
    pub(crate) path: Utf8PathBuf,
    pub(crate) executable: bool,
    /// A link's target, relative to the link.
    pub(crate) link: Option<Utf8PathBuf>,
}

/// The walk over one folder.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    /// The folder, links resolved.
    pub(crate) folder: &'a Utf8Path,
    /// Paths relative to it that do not ship.
    pub(crate) excluded: BTreeSet<&'a Utf8Path>,
    /// Whether `__pycache__` ships: in a folder that was built, it is part of what ships; beside sources, it is what
    /// running them left.
    pub(crate) built: bool,
}

impl Selection<'_> {
    /// The files that ship, sorted by path.
    ///
    /// # Errors
    /// Input: a link that leads out, nowhere or into itself, a socket or device, a name that is not UTF-8, far too
    /// much. Interrupted.
    pub(crate) fn files(&self, progress: &dyn Progress) -> Result<Vec<UserFile>> {
        let mut files = Vec::new();
        let mut bytes = 0;
        let walk = WalkDir::new(self.folder).follow_links(false).sort_by_file_name();
        for entry in walk.into_iter().filter_entry(|entry| entry.depth() == 0 || !self.skips_entry(entry)) {
            if progress.interrupted() {
                return Err(Error::interrupted());
            }
            let entry = entry.map_err(|error| {
                let place = error.path().map(|path| path.display().to_string()).unwrap_or_default();
                Error::surroundings("cannot read the function's folder").cause(error).place(place)
            })?;
            if entry.file_type().is_dir() {
                continue;
            }
            let absolute = Utf8Path::from_path(entry.path()).ok_or_else(|| {
                Error::input("a file name is not valid UTF-8")
                    .place(entry.path().display().to_string())
                    .hint("rename the file: a zip for Lambda holds UTF-8 names only")
            })?;
            let (file, size) = self.file(absolute, &entry)?;
            files.push(file);
            bytes += size;
            if bytes > MOST_BYTES {
                return Err(too_much(self.folder));
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    fn file(&self, absolute: &Utf8Path, entry: &DirEntry) -> Result<(UserFile, u64)> {
        use std::os::unix::fs::PermissionsExt;
        let path = absolute.strip_prefix(self.folder).unwrap_or(absolute).to_owned();
        if entry.path_is_symlink() {
            let link = Some(self.link(absolute)?);
            return Ok((UserFile { path, executable: false, link }, 0));
        }
        let metadata = fs::symlink_metadata(absolute)?;
        if !metadata.is_file() {
            return Err(Error::input(
                "the function's folder holds something that is neither file, folder nor link",
            )
            .place(absolute.as_str())
            .hint("remove the device, socket or pipe: a zip cannot hold it"));
        }
        let executable = metadata.permissions().mode() & 0o100 != 0;
        Ok((UserFile { path, executable, link: None }, metadata.len()))
    }

    /// Where a link leads, relative to it.
    fn link(&self, link: &Utf8Path) -> Result<Utf8PathBuf> {
        let bad = |message: &str| Error::input(format!("a link {message}")).place(link.as_str());
        let target = Utf8PathBuf::try_from(fs::read_link(link)?)
            .map_err(|_| bad("has a target that is not valid UTF-8"))?;
        let led = format!("it points to `{target}`");
        let real = match link.canonicalize_utf8() {
            Ok(real) => real,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(bad("leads nowhere").cause(led).hint("remove it, or put back what it points to"));
            }
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Err(bad("leads in a circle").cause(led).hint("remove it"));
            }
            Err(error) => return Err(Error::from(error).place(link.as_str())),
        };
        let Ok(inside) = real.strip_prefix(self.folder) else {
            return Err(bad("leads out of the function's folder")
                .cause(led)
                .hint("replace it by a copy of what it points to: the rest of this machine does not ship"));
        };
        if link.starts_with(&real) {
            return Err(bad("leads in a circle").cause(led).hint("remove it"));
        }
        let mut upwards = inside.ancestors();
        if upwards.any(|path| !path.as_str().is_empty() && self.skips(path)) {
            return Err(bad("leads to something that does not ship").cause(led).hint("replace it by a copy"));
        }
        Ok(if target.is_absolute() { relative(link, &real) } else { target })
    }

    fn skips_entry(&self, entry: &DirEntry) -> bool {
        let path = Utf8Path::from_path(entry.path()).and_then(|path| path.strip_prefix(self.folder).ok());
        path.is_some_and(|path| self.skips(path))
    }

    /// Whether the file or folder at `path`, relative, stays behind.
    fn skips(&self, path: &Utf8Path) -> bool {
        let name = path.file_name().unwrap_or_default();
        self.excluded.contains(path)
            || (name == "__pycache__" && !self.built)
            || never_ships(&self.folder.join(path))
    }
}

/// Whether a file or folder is no part of a function, wherever it is: what tools keep for themselves, a virtual
/// environment, what a build wrote.
pub fn never_ships(path: &Utf8Path) -> bool {
    NEVER.contains(&path.file_name().unwrap_or_default())
        || [OUTPUT_MARKER, "pyvenv.cfg"].iter().any(|mark| path.join(mark).is_file())
}

fn too_much(folder: &Utf8Path) -> Error {
    Error::input(format!("the function's folder holds more than {}", format_bytes(MOST_BYTES)))
        .place(folder.as_str())
        .cause(format!("Lambda takes at most {}", format_bytes(UNZIPPED_LIMIT)))
        .hint("name the folder of the function alone, without its data and its virtual environment")
}

/// `real` as seen from the folder of `link`; both are absolute and below one folder.
fn relative(link: &Utf8Path, real: &Utf8Path) -> Utf8PathBuf {
    let from: Vec<&str> = link.parent().unwrap_or(link).iter().collect();
    let to: Vec<&str> = real.iter().collect();
    let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    std::iter::repeat_n("..", from.len() - same).chain(to[same..].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs::os::unix::fs::symlink;
    use glowplug_core::{ErrorClass, NoProgress};

    fn folder(files: &[&str]) -> (tempfile::TempDir, Utf8PathBuf) {
        let keep = tempfile::tempdir().unwrap();
        let root = crate::store::utf8(keep.path()).unwrap().canonicalize_utf8().unwrap();
        for path in files {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), "").unwrap();
        }
        (keep, root)
    }

    fn select(root: &Utf8Path, excluded: &[&str], built: bool) -> Result<Vec<String>> {
        let excluded = excluded.iter().map(|path| Utf8Path::new(*path)).collect();
        let files = Selection { folder: root, excluded, built }.files(&NoProgress)?;
        Ok(files.into_iter().map(|file| file.path.into_string()).collect())
    }

    #[test]
    fn what_tools_keep_for_themselves_stays_behind() {
        let (_keep, root) = folder(&[
            "app.py",
            "lib/b.py",
            "lib/__pycache__/b.cpython-312.pyc",
            ".git/config",
            "env/pyvenv.cfg",
            "env/bin/python",
            "out/report.zip",
            "older-out/.glowplug-output",
            "older-out/report.zip",
            "lib/.pytest_cache/x",
            ".env",
        ]);
        assert_eq!(select(&root, &["out"], false).unwrap(), [".env", "app.py", "lib/b.py"]);
        let built = select(&root, &["out"], true).unwrap();
        assert!(built.contains(&"lib/__pycache__/b.cpython-312.pyc".to_owned()), "{built:?}");
    }

    #[test]
    fn links_inside_are_kept_and_made_relative() {
        let (_keep, root) = folder(&["lib/deep/a.py"]);
        symlink("lib/deep", root.join("short")).unwrap();
        symlink(root.join("lib/deep/a.py"), root.join("lib/b.py")).unwrap();
        let selection = Selection { folder: &root, excluded: BTreeSet::new(), built: false };
        let links: Vec<(String, String)> = selection
            .files(&NoProgress)
            .unwrap()
            .into_iter()
            .filter_map(|file| Some((file.path.into_string(), file.link?.into_string())))
            .collect();
        assert_eq!(links, [("lib/b.py".into(), "deep/a.py".into()), ("short".into(), "lib/deep".into())]);
    }

    #[test]
    fn links_that_cannot_ship_are_refused() {
        for (link, target, message) in [
            ("a", "/etc/passwd", "a link leads out of the function's folder"),
            ("a", "../elsewhere", "a link leads nowhere"),
            ("a", "a", "a link leads in a circle"),
            ("lib/up", "..", "a link leads in a circle"),
            ("a", ".git/config", "a link leads to something that does not ship"),
        ] {
            let (_keep, root) = folder(&["app.py", "lib/b.py", ".git/config"]);
            symlink(target, root.join(link)).unwrap();
            let error = select(&root, &[], false).unwrap_err();
            assert_eq!((error.message(), error.class()), (message, ErrorClass::Input));
            assert_eq!(error.where_(), Some(root.join(link).as_str()));
        }
    }

    #[test]
    fn sockets_are_refused() {
        let (_keep, root) = folder(&["app.py"]);
        let _socket = std::os::unix::net::UnixListener::bind(root.join("s")).unwrap();
        assert!(select(&root, &[], false).unwrap_err().message().contains("neither file"));
    }
}
