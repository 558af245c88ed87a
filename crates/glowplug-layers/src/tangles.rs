//! Which parts of one package cannot be told apart by `sys.path`, and so have to stay together.
//!
//! In one folder everything of a package lies together. With shared layers there are two places, `/var/task` and
//! `/opt/python`, the first of which wins: a regular package (with an `__init__`) is found in one of them alone, and so
//! is a module of which both have a file. A namespace package (PEP 420) is found in both.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

/// A part of a package: a distribution, or what is nobody's.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// Its files, relative to the place in `sys.path`.
    pub files: BTreeSet<Utf8PathBuf>,
}

/// Sets of parts, by their indices, that have to stay in one place; sorted, those of one part left out.
pub fn tangles(parts: &[Part]) -> Vec<BTreeSet<usize>> {
    let mut root = Folder::default();
    for (index, part) in parts.iter().enumerate() {
        for path in &part.files {
            root.add(path, index);
        }
    }
    let mut sets = Sets((0..parts.len()).collect());
    root.visit(true, &mut sets);
    let mut groups: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for index in 0..parts.len() {
        groups.entry(sets.of(index)).or_default().insert(index);
    }
    groups.into_values().filter(|set| set.len() > 1).collect()
}

#[derive(Debug, Default)]
struct Folder {
    /// All parts with a file in it or below.
    parts: BTreeSet<usize>,
    folders: BTreeMap<String, Self>,
    /// Name → those who have a file of it.
    files: BTreeMap<String, BTreeSet<usize>>,
}

impl Folder {
    fn add(&mut self, path: &Utf8Path, part: usize) {
        self.parts.insert(part);
        let mut names = path.iter();
        let Some(first) = names.next() else { return };
        let rest = names.as_path();
        if rest.as_str().is_empty() {
            self.files.entry(first.to_owned()).or_default().insert(part);
        } else {
            self.folders.entry(first.to_owned()).or_default().add(rest, part);
        }
    }

    /// Joins what is tangled here and below. The place itself is never a package.
    fn visit(&self, place: bool, sets: &mut Sets) {
        if self.parts.len() < 2 {
            return;
        }
        if !place && self.files.keys().any(|name| stem(name) == "__init__") {
            sets.join(&self.parts);
            return;
        }
        let mut named: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for (name, parts) in &self.files {
            named.entry(stem(name)).or_default().extend(parts);
            // The same path, whatever it is, can have one content only.
            sets.join(parts);
        }
        for (name, parts) in named {
            let package = self.folders.get(name).map(|folder| &folder.parts);
            let module = self.files.keys().any(|file| stem(file) == name && is_module(file));
            if module {
                sets.join(&parts.union(package.unwrap_or(&BTreeSet::new())).copied().collect());
            }
        }
        for (name, folder) in &self.folders {
            if name == "__pycache__" {
                sets.join_each(folder);
            } else {
                folder.visit(false, sets);
            }
        }
    }
}

/// `x` of `x.py`, `x.cpython-312-x86_64-linux-gnu.so`.
fn stem(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn is_module(name: &str) -> bool {
    let extension = Utf8Path::new(name).extension();
    matches!(extension, Some("py" | "pyc" | "so"))
}

/// Which part belongs to which set, by its first.
struct Sets(Vec<usize>);

impl Sets {
    fn of(&self, mut part: usize) -> usize {
        while self.0[part] != part {
            part = self.0[part];
        }
        part
    }

    fn join(&mut self, parts: &BTreeSet<usize>) {
        let Some(first) = parts.first().map(|part| self.of(*part)) else { return };
        for part in parts {
            let (one, other) = (self.of(first), self.of(*part));
            let (low, high) = (one.min(other), one.max(other));
            self.0[high] = low;
        }
    }

    /// Files of one name in a folder of bytecode.
    fn join_each(&mut self, folder: &Folder) {
        for parts in folder.files.values() {
            self.join(parts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(parts: &[&[&str]]) -> Vec<Vec<usize>> {
        let parts: Vec<Part> = parts
            .iter()
            .map(|files| Part { files: files.iter().map(|path| Utf8PathBuf::from(*path)).collect() })
            .collect();
        tangles(&parts).into_iter().map(|set| set.into_iter().collect()).collect()
    }

    #[test]
    fn parts_that_share_no_name_are_apart() {
        assert!(found(&[&["a/__init__.py", "bin/a"], &["b/__init__.py", "bin/b"], &["c.py"]]).is_empty());
    }

    #[test]
    fn a_regular_package_of_two_stays_together_and_a_namespace_does_not() {
        assert_eq!(found(&[&["g/__init__.py", "g/a.py"], &["g/b.py"], &["h.py"]]), [[0, 1]]);
        assert!(found(&[&["g/cloud/a/__init__.py"], &["g/cloud/b/__init__.py"]]).is_empty());
        assert_eq!(found(&[&["g/a/__init__.py"], &["g/a/more.py"]]), [[0, 1]]);
    }

    #[test]
    fn a_module_and_a_package_of_one_name_stay_together() {
        assert_eq!(found(&[&["x.py"], &["x/y.py"]]), [[0, 1]]);
        assert_eq!(found(&[&["x.py"], &["x.cpython-312-x86_64-linux-gnu.so"]]), [[0, 1]]);
        assert_eq!(found(&[&["n/x.py"], &["n/x/__init__.py"], &["n/z.py"]]), [[0, 1]]);
    }

    #[test]
    fn one_path_of_two_stays_together_and_tangles_pass_on() {
        assert_eq!(found(&[&["LICENSE", "a.py"], &["LICENSE", "b.py"]]), [[0, 1]]);
        assert_eq!(found(&[&["t/__init__.py"], &["t/a.py", "u/__init__.py"], &["u/b.py"]]), [[0, 1, 2]]);
    }

    #[test]
    fn data_of_one_stem_is_no_module() {
        assert!(found(&[&["share/x.txt"], &["share/x.json"]]).is_empty());
    }
}
