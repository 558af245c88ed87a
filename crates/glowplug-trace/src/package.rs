//! Which distribution a file of the tree belongs to, and what a distribution weighs.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

/// An installed distribution, as the caller found it in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its files, relative to the tree; a folder stands for everything below it.
    pub files: Vec<Utf8PathBuf>,
}

/// Finds owners by path; the longest prefix wins.
#[derive(Debug)]
pub(crate) struct Owners<'a> {
    by_path: BTreeMap<&'a Utf8Path, usize>,
}

impl<'a> Owners<'a> {
    pub(crate) fn new(distributions: &'a [Distribution]) -> Self {
        let entries = distributions.iter().enumerate();
        let by_path =
            entries.flat_map(|(index, d)| d.files.iter().map(move |file| (file.as_path(), index))).collect();
        Self { by_path }
    }

    /// Index of the distribution that a file is in. Bytecode belongs to its source's.
    pub(crate) fn of(&self, path: &Utf8Path) -> Option<usize> {
        path.ancestors().find_map(|prefix| self.by_path.get(prefix)).copied()
    }
}

/// Bytes of a distribution's files by kind; what is not there weighs nothing.
pub(crate) fn bytes_by_kind(tree: &Utf8Path, distribution: &Distribution) -> BTreeMap<String, u64> {
    let mut kinds = BTreeMap::new();
    let mut pending: Vec<Utf8PathBuf> = distribution.files.clone();
    while let Some(path) = pending.pop() {
        let Ok(metadata) = fs::symlink_metadata(tree.join(&path)) else { continue };
        if metadata.is_dir() {
            let entries = fs::read_dir(tree.join(&path)).into_iter().flatten().flatten();
            pending.extend(entries.filter_map(|entry| Some(path.join(entry.file_name().to_str()?))));
        } else {
            *kinds.entry(kind(&path).to_owned()).or_insert(0) += metadata.len();
        }
    }
    kinds
}

fn kind(path: &Utf8Path) -> &'static str {
    let in_metadata = path.components().any(|part| {
        Utf8Path::new(part.as_str())
            .extension()
            .is_some_and(|e| matches!(e, "dist-info" | "egg-info" | "data"))
    });
    match path.extension() {
        _ if in_metadata => "metadata",
        Some("py" | "pyi") => "code",
        Some("pyc") => "bytecode",
        Some("so") => "native",
        _ if path.file_name().is_some_and(|name| name.contains(".so.")) => "native",
        _ => "data",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distribution(name: &str, files: &[&str]) -> Distribution {
        Distribution {
            name: name.to_owned(),
            version: "1".to_owned(),
            files: files.iter().map(Utf8PathBuf::from).collect(),
        }
    }

    #[test]
    fn a_file_belongs_to_the_longest_prefix() {
        let all = [distribution("a", &["space"]), distribution("b", &["space/b", "six.py"])];
        let owners = Owners::new(&all);
        assert_eq!(owners.of("space/x.py".into()), Some(0));
        assert_eq!(owners.of("space/b/x.py".into()), Some(1));
        assert_eq!(owners.of("six.py".into()), Some(1));
        assert_eq!(owners.of("app.py".into()), None);
    }

    #[test]
    fn bytes_are_told_by_kind() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        fs::create_dir_all(root.join("p/__pycache__")).unwrap();
        fs::create_dir_all(root.join("p-1.dist-info")).unwrap();
        for (path, size) in [
            ("p/a.py", 10),
            ("p/__pycache__/a.cpython-312.pyc", 20),
            ("p/b.so", 30),
            ("p/lib.so.3", 1),
            ("p/x.json", 40),
            ("p-1.dist-info/LICENSE.py", 5),
        ] {
            fs::write(root.join(path), vec![b'x'; size]).unwrap();
        }
        let kinds = bytes_by_kind(root, &distribution("p", &["p", "p-1.dist-info", "absent"]));
        let expected = [("bytecode", 20), ("code", 10), ("data", 40), ("metadata", 5), ("native", 31)];
        assert_eq!(kinds, expected.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
    }
}
