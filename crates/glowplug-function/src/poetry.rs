//! Reads `poetry.lock` into requirement lines: every package of the main group, pinned, with its hashes.
//!
//! Only locks that name groups and markers themselves can be read alone: those of Poetry 2 (`lock-version` 2.1).

use std::fmt::Write;

use camino::Utf8Path;
use glowplug_core::{Error, Result};
use serde::Deserialize;

/// The group of what the function needs at run time.
const MAIN: &str = "main";

#[derive(Debug, Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(default)]
    optional: bool,
    groups: Option<Vec<String>>,
    markers: Option<Markers>,
    #[serde(default)]
    files: Vec<File>,
    source: Option<Source>,
}

/// One marker for all groups, or one for each.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Markers {
    All(String),
    Each(std::collections::BTreeMap<String, String>),
}

#[derive(Debug, Deserialize)]
struct File {
    hash: String,
}

#[derive(Debug, Deserialize)]
struct Source {
    r#type: String,
}

/// The lock's packages as lines that pip and uv read.
///
/// # Errors
/// Input: no lock, one of an older Poetry, a package from elsewhere than an index.
pub(crate) fn lines(text: &str, path: &Utf8Path) -> Result<String> {
    let lock: Lock = toml::from_str(text)
        .map_err(|error| Error::input("cannot read the lock").cause(error.message()).place(path.as_str()))?;
    let export = "export it with `poetry export --output requirements.txt`, and set `requirements = \"requirements.txt\"`";
    let mut lines = String::new();
    for package in lock.package {
        let Some(groups) = package.groups else {
            return Err(Error::input("a lock of Poetry 1 does not say what is needed at run time")
                .place(path.as_str())
                .hint("write it anew with Poetry 2 (`poetry lock`)")
                .hint(export));
        };
        if package.optional || !groups.iter().any(|group| group == MAIN) {
            continue;
        }
        if let Some(source) = package.source.filter(|source| source.r#type != "legacy") {
            return Err(Error::input(format!(
                "`{}` comes from a {}, not from an index",
                package.name, source.r#type
            ))
            .place(path.as_str())
            .hint(export));
        }
        let _ = write!(lines, "{}=={}", package.name, package.version);
        let marker = match &package.markers {
            Some(Markers::All(marker)) => Some(marker),
            Some(Markers::Each(markers)) => markers.get(MAIN),
            None => None,
        };
        if let Some(marker) = marker {
            let _ = write!(lines, " ; {marker}");
        }
        for file in package.files {
            let _ = write!(lines, " --hash={}", file.hash);
        }
        lines.push('\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String> {
        lines(text, Utf8Path::new("poetry.lock"))
    }

    #[test]
    fn the_main_group_is_pinned() {
        let text = r#"
[[package]]
name = "six"
version = "1.17.0"
optional = false
groups = ["main", "dev"]
files = [{file = "six.whl", hash = "sha256:aa"}, {file = "six.tar.gz", hash = "sha256:bb"}]
[[package]]
name = "tzdata"
version = "2025.2"
optional = false
groups = ["main"]
markers = "sys_platform == \"win32\""
files = []
[[package]]
name = "colorama"
version = "0.4.6"
optional = false
groups = ["main", "dev"]
markers = {main = "os_name == \"nt\"", dev = "python_version < \"3.12\""}
files = []
[[package]]
name = "pytest"
version = "8.0.0"
optional = false
groups = ["dev"]
files = []
[[package]]
name = "extra"
version = "1"
optional = true
groups = ["main"]
files = []
[metadata]
lock-version = "2.1"
"#;
        let expected = "six==1.17.0 --hash=sha256:aa --hash=sha256:bb\n\
                        tzdata==2025.2 ; sys_platform == \"win32\"\n\
                        colorama==0.4.6 ; os_name == \"nt\"\n";
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_read_says_how_to_export_it() {
        let old = "[[package]]\nname = \"six\"\nversion = \"1\"\n[metadata]\nlock-version = \"2.0\"\n";
        let error = read(old).unwrap_err();
        assert!(
            error.message().contains("Poetry 1") && error.hints()[1].contains("poetry export"),
            "{error:?}"
        );
        let git = "[[package]]\nname = \"x\"\nversion = \"1\"\ngroups = [\"main\"]\n[package.source]\ntype = \"git\"\nurl = \"u\"\n";
        assert_eq!(read(git).unwrap_err().message(), "`x` comes from a git, not from an index");
        assert!(read("nonsense").is_err());
    }
}
