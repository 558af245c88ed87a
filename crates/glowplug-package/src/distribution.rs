//! Installed distributions: which files each one brought, read from `*.dist-info` and `*.egg-info`.
//!
//! Format: "Recording installed projects",
//! <https://packaging.python.org/en/latest/specifications/recording-installed-packages/>.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::Result;

use crate::tree::FileEntry;

/// One installed distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// As its metadata spells it.
    pub name: String,
    /// As its metadata spells it; empty where the metadata gives none.
    pub version: String,
    /// How many files of the tree are its own.
    pub files: usize,
    /// Their sizes added up.
    pub bytes: u64,
    /// Its metadata folder, relative to the tree's root.
    pub dist_info: Utf8PathBuf,
    /// Names of its modules and packages at the root, sorted.
    pub top_level: Vec<String>,
}

/// The form in which distribution names are compared (PEP 503): lower case, one `-` for any run of `-_.`.
pub fn normalise_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for character in name.trim().chars() {
        if matches!(character, '-' | '_' | '.') {
            if !out.ends_with('-') {
                out.push('-');
            }
        } else {
            out.extend(character.to_lowercase());
        }
    }
    out
}

/// Finds the distributions at the root and marks their files.
pub(crate) fn read_all(root: &Utf8Path, files: &mut [FileEntry]) -> Result<Vec<Distribution>> {
    let folders: BTreeSet<Utf8PathBuf> = files
        .iter()
        .filter_map(|f| f.path.components().next().filter(|_| f.path.parent() != Some(Utf8Path::new(""))))
        .map(|part| Utf8PathBuf::from(part.as_str()))
        .filter(|folder| matches!(folder.extension(), Some("dist-info" | "egg-info")))
        .collect();
    let mut found = folders.into_iter().map(|folder| read_one(root, folder)).collect::<Result<Vec<_>>>()?;
    found.sort_by(|a, b| {
        (normalise_name(&a.0.name), &a.0.dist_info).cmp(&(normalise_name(&b.0.name), &b.0.dist_info))
    });

    let mut owner: BTreeMap<Utf8PathBuf, usize> = BTreeMap::new();
    for (index, (_, recorded)) in found.iter().enumerate() {
        for path in recorded {
            owner.entry(path.clone()).or_insert(index);
        }
    }
    let infos: BTreeMap<String, usize> =
        found.iter().enumerate().map(|(i, (d, _))| (d.dist_info.to_string(), i)).collect();
    for file in files.iter_mut() {
        let first = file.path.components().next().map(|part| part.as_str().to_owned());
        file.distribution = infos
            .get(first.as_deref().unwrap_or_default())
            .or_else(|| owner.get(&file.path))
            .or_else(|| source_of_bytecode(&file.path).and_then(|source| owner.get(&source)))
            .copied();
    }
    let mut distributions: Vec<Distribution> = found.into_iter().map(|(d, _)| d).collect();
    count(files, &mut distributions);
    Ok(distributions)
}

fn count(files: &[FileEntry], distributions: &mut [Distribution]) {
    let mut tops: Vec<BTreeSet<String>> = vec![BTreeSet::new(); distributions.len()];
    for file in files {
        let Some(index) = file.distribution else { continue };
        distributions[index].files += 1;
        distributions[index].bytes += file.bytes;
        let dotted = crate::modules::dotted(&file.path);
        if let Some(top) = dotted.as_deref().and_then(|name| name.split('.').next()) {
            tops[index].insert(top.to_owned());
        }
    }
    for (distribution, top) in distributions.iter_mut().zip(tops) {
        distribution.top_level = top.into_iter().collect();
    }
}

/// Name, version and recorded paths of one metadata folder.
fn read_one(root: &Utf8Path, folder: Utf8PathBuf) -> Result<(Distribution, Vec<Utf8PathBuf>)> {
    let stem = folder.file_stem().unwrap_or_default();
    let (mut name, mut version) = match stem.split_once('-') {
        Some((name, version)) => (name.to_owned(), version.to_owned()),
        None => (stem.to_owned(), String::new()),
    };
    for file in ["METADATA", "PKG-INFO"] {
        let path = root.join(&folder).join(file);
        if !path.exists() {
            continue;
        }
        let text = fs::read(&path)?;
        let text = String::from_utf8_lossy(&text);
        // Headers end at the first empty line; the description follows.
        for line in text.lines().take_while(|line| !line.is_empty()) {
            if let Some(value) = line.strip_prefix("Name:") {
                value.trim().clone_into(&mut name);
            } else if let Some(value) = line.strip_prefix("Version:") {
                value.trim().clone_into(&mut version);
            }
        }
        break;
    }
    let recorded = recorded_paths(root, &folder)?;
    let distribution =
        Distribution { name, version, files: 0, bytes: 0, dist_info: folder, top_level: Vec::new() };
    Ok((distribution, recorded))
}

/// Paths from `RECORD`, or from `installed-files.txt` of the egg format; empty where there is neither. `folder` is the
/// metadata folder, relative to `root`.
pub fn recorded_paths(root: &Utf8Path, folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let record = root.join(folder).join("RECORD");
    if record.exists() {
        let contents = fs::read(&record)?;
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(contents.as_slice());
        // A damaged line costs that line only: its file then counts as nobody's and is never dropped.
        let rows = reader.byte_records().flatten();
        return Ok(rows
            .filter_map(|row| row.get(0).and_then(|field| std::str::from_utf8(field).ok().map(placed)))
            .collect());
    }
    let installed = root.join(folder).join("installed-files.txt");
    if installed.exists() {
        let text = fs::read(&installed)?;
        let text = String::from_utf8_lossy(&text);
        return Ok(text
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| placed(&folder.join(line).into_string()))
            .collect());
    }
    Ok(Vec::new())
}

/// Where a recorded path is in the tree. Installers that are given a target folder write
/// `../../bin/x` for what they put into `bin/x`, so that leading `..` go.
fn placed(recorded: &str) -> Utf8PathBuf {
    let mut parts: Vec<&str> = Vec::new();
    for part in recorded.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.iter().collect()
}

/// `pkg/mod.py` for `pkg/__pycache__/mod.cpython-312.pyc`; `None` for anything else.
pub fn source_of_bytecode(path: &Utf8Path) -> Option<Utf8PathBuf> {
    let folder = path.parent()?;
    if folder.file_name() != Some("__pycache__") || !matches!(path.extension(), Some("pyc" | "pyo")) {
        return None;
    }
    let stem = path.file_name()?.split('.').next()?;
    Some(folder.parent()?.join(format!("{stem}.py")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PackageTree;

    #[test]
    fn names_compare_as_pep_503_says() {
        assert_eq!(normalise_name("Ruamel.Yaml__clib"), "ruamel-yaml-clib");
        assert_eq!(normalise_name("PyYAML"), "pyyaml");
    }

    #[test]
    fn files_belong_to_the_distribution_that_records_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        for (path, text) in [
            ("app.py", ""),
            ("bin/tool", "#!/usr/bin/python3\n"),
            ("lib_a/__init__.py", "x = 1\n"),
            ("lib_a/__pycache__/__init__.cpython-312.pyc", ""),
            ("lib_a/with,comma.txt", ""),
            (
                "Lib.A-1.2.dist-info/METADATA",
                "Metadata-Version: 2.1\nName: Lib.A\nVersion: 1.2\n\nName: not this\n",
            ),
            (
                "Lib.A-1.2.dist-info/RECORD",
                "../../bin/tool,,\nlib_a/__init__.py,sha256=x,6\n\"lib_a/with,comma.txt\",,\n",
            ),
            ("Lib.A-1.2.dist-info/licenses/LICENSE", "free"),
        ] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        let tree = PackageTree::scan(root).unwrap();
        let owned: Vec<&str> =
            tree.files.iter().filter(|f| f.distribution.is_some()).map(|f| f.path.as_str()).collect();
        assert_eq!(
            owned,
            [
                "Lib.A-1.2.dist-info/METADATA",
                "Lib.A-1.2.dist-info/RECORD",
                "Lib.A-1.2.dist-info/licenses/LICENSE",
                "bin/tool",
                "lib_a/__init__.py",
                "lib_a/__pycache__/__init__.cpython-312.pyc",
                "lib_a/with,comma.txt",
            ]
        );
        let found = tree.distribution_of(Utf8Path::new("bin/tool")).unwrap();
        assert_eq!((found.name.as_str(), found.version.as_str(), found.files), ("Lib.A", "1.2", 7));
        assert_eq!(found.top_level, ["lib_a"]);
        assert!(tree.distribution_of(Utf8Path::new("app.py")).is_none());
    }
}
