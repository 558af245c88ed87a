//! Which dotted module name each file of a tree answers to.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use crate::tree::FileEntry;

/// The file behind a module name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleFile {
    /// Relative to the tree's root.
    pub path: Utf8PathBuf,
    /// Whether it is a package's `__init__`.
    pub is_package: bool,
    /// Whether it is an extension module.
    pub native: bool,
}

/// A file name split as the import system does: the module's own name and whether it is native.
fn split(name: &str) -> Option<(&str, bool)> {
    let (stem, native) = if let Some(stem) = name.strip_suffix(".py") {
        (stem, false)
    } else {
        (name.strip_suffix(".so")?, true)
    };
    // An extension's tag (`.cpython-312-x86_64-linux-gnu`, `.abi3`) follows the first dot.
    let stem = if native { stem.split('.').next().unwrap_or(stem) } else { stem };
    is_identifier(stem).then_some((stem, native))
}

fn is_identifier(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|c| c == '_' || c.is_alphabetic())
        && characters.all(|c| c == '_' || c.is_alphanumeric())
}

/// The dotted name under which `path` could be imported; a package's `__init__` gives the package.
/// `None` where no import statement can reach it: not a module, or a folder that is no identifier.
pub(crate) fn dotted(path: &Utf8Path) -> Option<String> {
    let (stem, _) = split(path.file_name()?)?;
    let mut name = folder_dotted(path.parent()?)?;
    if stem != "__init__" {
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(stem);
    }
    (!name.is_empty()).then_some(name)
}

/// The dotted name of a folder; empty for the root.
pub(crate) fn folder_dotted(folder: &Utf8Path) -> Option<String> {
    let parts: Vec<&str> = folder.components().map(|part| part.as_str()).collect();
    parts.iter().all(|part| is_identifier(part)).then(|| parts.join("."))
}

/// All modules among `files`. Precedence is that of `importlib.machinery.FileFinder`: packages,
/// then extension modules, then source.
pub(crate) fn of(files: &[FileEntry]) -> BTreeMap<String, ModuleFile> {
    let rank = |m: &ModuleFile| (m.is_package, m.native);
    let mut found: BTreeMap<String, ModuleFile> = BTreeMap::new();
    for file in files {
        let Some((stem, native)) = split(file.name()) else { continue };
        let Some(name) = dotted(&file.path) else { continue };
        let module = ModuleFile { path: file.path.clone(), is_package: stem == "__init__", native };
        match found.get(&name) {
            Some(known) if rank(known) >= rank(&module) => {}
            _ => {
                found.insert(name, module);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::FileKind;

    #[test]
    fn names_are_those_of_import_statements() {
        for (path, name) in [
            ("app.py", Some("app")),
            ("a/__init__.py", Some("a")),
            ("a/b.py", Some("a.b")),
            ("a/b.cpython-312-x86_64-linux-gnu.so", Some("a.b")),
            ("a/b.abi3.so", Some("a.b")),
            ("my-folder/b.py", None),
            ("a/libx.so.1", None),
            ("a/b.txt", None),
            ("a/test-me.py", None),
        ] {
            assert_eq!(dotted(Utf8Path::new(path)).as_deref(), name, "{path}");
        }
    }

    #[test]
    fn the_first_that_the_import_system_finds_wins() {
        let file = |path: &str| FileEntry {
            path: path.into(),
            bytes: 0,
            executable: false,
            symlink: None,
            kind: FileKind::Code,
            distribution: None,
        };
        let files = ["m.py", "m/__init__.py", "n.cpython-312-x86_64-linux-gnu.so", "n.py"].map(file);
        let modules = of(&files);
        assert_eq!(modules["m"].path, "m/__init__.py");
        assert!(modules["m"].is_package && !modules["m"].native);
        assert_eq!(modules["n"].path, "n.cpython-312-x86_64-linux-gnu.so");
        assert!(modules["n"].native);
    }
}
