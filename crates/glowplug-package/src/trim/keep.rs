//! What the user wants kept: patterns that override every rule.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use glowplug_core::{Error, Result};

use crate::distribution::normalise_name;
use crate::tree::{FileEntry, PackageTree};

/// Compiled keep patterns.
#[derive(Debug)]
pub(super) struct Keep {
    globs: GlobSet,
    modules: Vec<String>,
    distributions: Vec<String>,
}

impl Keep {
    /// Reads patterns, each a glob on a path or a folder (`numpy/**`, `pandas/tests`), a dotted
    /// module (`pandas.tests.io`), or the name of a distribution.
    pub(super) fn new(patterns: &[String]) -> Result<Self> {
        let mut globs = GlobSetBuilder::new();
        for pattern in patterns {
            let trimmed = pattern.trim_start_matches("./").trim_end_matches('/');
            // A pattern that names a folder keeps all that is in it.
            for text in [trimmed.to_owned(), format!("{trimmed}/**")] {
                let glob = GlobBuilder::new(&text).literal_separator(true).build().map_err(|error| {
                    Error::input(format!("`{pattern}` is not a pattern of files to keep"))
                        .cause(error.kind())
                        .hint("write a path, a glob such as `pandas/tests/**`, a module such as `pandas.tests`, or a distribution")
                })?;
                globs.add(glob);
            }
        }
        let globs = globs
            .build()
            .map_err(|error| Error::input("the patterns of files to keep are too large").cause(error))?;
        Ok(Self {
            globs,
            modules: patterns
                .iter()
                .filter(|p| !p.contains(['/', '*']))
                .map(|p| p.replace('.', "/"))
                .collect(),
            distributions: patterns.iter().map(|p| normalise_name(p)).collect(),
        })
    }

    /// Whether `file`, of the distribution with that name, has to stay.
    pub(super) fn matches(&self, file: &FileEntry, distribution: Option<&str>) -> bool {
        self.globs.is_match(&file.path)
            || self.modules.iter().any(|module| {
                let after = file.path.as_str().strip_prefix(module.as_str());
                after.is_some_and(|rest| rest.starts_with(['/', '.']))
            })
            || distribution.is_some_and(|name| self.distributions.contains(&normalise_name(name)))
    }
}

/// The files of a tree that one of the patterns keeps.
///
/// # Errors
/// Input: a pattern that is no glob.
pub fn kept_by_pattern(tree: &PackageTree, patterns: &[String]) -> Result<BTreeSet<Utf8PathBuf>> {
    let keep = Keep::new(patterns)?;
    let name = |file: &FileEntry| file.distribution.map(|index| tree.distributions[index].name.as_str());
    Ok(tree.files.iter().filter(|file| keep.matches(file, name(file))).map(|f| f.path.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::FileKind;

    fn kept(pattern: &str, path: &str, distribution: Option<&str>) -> bool {
        let file = FileEntry {
            path: path.into(),
            bytes: 0,
            executable: false,
            symlink: None,
            kind: FileKind::Data,
            distribution: None,
        };
        Keep::new(&[pattern.to_owned()]).unwrap().matches(&file, distribution)
    }

    #[test]
    fn patterns_are_globs_folders_modules_or_distributions() {
        for (pattern, path, expected) in [
            ("numpy/tests", "numpy/tests/test_a.py", true),
            ("numpy/tests/", "numpy/tests/a/b.txt", true),
            ("numpy/**/*.h", "numpy/_core/include/a.h", true),
            ("**/*.pyi", "a/b.pyi", true),
            ("numpy.tests", "numpy/tests/test_a.py", true),
            ("numpy.random._mt", "numpy/random/_mt.cpython-312-x86_64-linux-gnu.so", true),
            ("numpy.random", "numpy/random_other.py", false),
            ("numpy/*.h", "numpy/a/b.h", false),
            ("numpy", "numpy.libs/x.so", true),
        ] {
            assert_eq!(kept(pattern, path, None), expected, "{pattern} {path}");
        }
        assert!(kept("Ruamel_Yaml", "other/place.txt", Some("ruamel.yaml")));
        assert!(!kept("Ruamel_Yaml", "other/place.txt", Some("numpy")));
    }

    #[test]
    fn a_broken_pattern_is_an_input_error() {
        let error = Keep::new(&["a[".to_owned()]).unwrap_err();
        assert_eq!(error.class(), glowplug_core::ErrorClass::Input);
        assert!(error.message().contains("`a[`"), "{error}");
    }
}
