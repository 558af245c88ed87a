//! What a distribution's own code says about its files: the textual evidence that some are read.
//!
//! A cheap scan of the sources, not a parse: it errs on the side of finding a mention, and a
//! mention keeps the file.

use std::collections::BTreeSet;

use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::Result;
use rayon::prelude::*;

use crate::tree::{COMPILED_SOURCES, DOCS_FOLDERS, FileKind, PackageTree, TEST_FOLDERS};

/// How far before a name a `://` makes it a part of an address, in bytes.
const ADDRESS_REACH: usize = 120;

/// Names found in the sources of one distribution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mentions {
    /// File names such as `api.h` or `core.pyi`.
    files: BTreeSet<String>,
    /// Extensions that are mentioned without a name, as in `"*.pyi"` or `path + ".h"`.
    extensions: BTreeSet<String>,
    /// Names of test and documentation folders in strings, in lower case.
    folders: BTreeSet<String>,
    /// Whether `lazy_loader.attach_stub` is used: it reads `.pyi` files at run time.
    pub(super) attach_stub: bool,
}

impl Mentions {
    /// Scans all code of the distribution with that index, tests left out.
    pub(super) fn of(tree: &PackageTree, distribution: usize) -> Result<Self> {
        let sources: Vec<&Utf8Path> = tree
            .files
            .iter()
            .filter(|f| {
                f.distribution == Some(distribution) && f.kind == FileKind::Code && f.symlink.is_none()
            })
            .map(|f| f.path.as_path())
            .collect();
        let found: Vec<Self> = sources
            .par_iter()
            .map(|path| Ok(Self::in_text(&fs::read(tree.root.join(path))?)))
            .collect::<Result<_>>()?;
        Ok(found.into_iter().fold(Self::default(), Self::and))
    }

    fn and(mut self, other: Self) -> Self {
        self.files.extend(other.files);
        self.extensions.extend(other.extensions);
        self.folders.extend(other.folders);
        self.attach_stub |= other.attach_stub;
        self
    }

    fn in_text(text: &[u8]) -> Self {
        let mut found = Self::default();
        for (index, byte) in text.iter().enumerate() {
            if !matches!(byte, b'.' | b'"' | b'\'' | b'/') {
                found.attach_stub |= *byte == b'a' && text[index..].starts_with(b"attach_stub");
                continue;
            }
            let word: &[u8] = word_at(&text[index + 1..]);
            let Ok(word_text) = std::str::from_utf8(word) else { continue };
            let next = text.get(index + 1 + word.len()).copied().unwrap_or(b'\n');
            if *byte == b'.' && (word_text == "pyi" || COMPILED_SOURCES.contains(&word_text)) {
                found.add_file(&text[..index], word_text, next);
            } else if !word.is_empty() && is_folder_use(*byte, next) {
                let lower = word_text.to_lowercase();
                let known = TEST_FOLDERS.contains(&lower.as_str()) || DOCS_FOLDERS.contains(&lower.as_str());
                if known && !in_address(&text[..index]) {
                    found.folders.insert(lower);
                }
            }
        }
        found
    }

    fn add_file(&mut self, before: &[u8], extension: &str, next: u8) {
        let start = before.iter().rposition(|b| !is_name_byte(*b)).map_or(0, |at| at + 1);
        match std::str::from_utf8(&before[start..]) {
            Ok(stem) if !stem.is_empty() => {
                self.files.insert(format!("{stem}.{extension}"));
            }
            _ if matches!(next, b'"' | b'\'') => {
                self.extensions.insert(extension.to_owned());
            }
            _ => {}
        }
    }

    /// Whether a file with this name may be read.
    pub(super) fn names_file(&self, path: &Utf8Path) -> bool {
        path.file_name().is_some_and(|name| self.files.contains(name))
            || path.extension().is_some_and(|extension| self.extensions.contains(extension))
    }

    /// Whether a string holds this folder's name as a part of a path.
    pub(super) fn names_folder(&self, name: &str) -> bool {
        self.folders.contains(&name.to_lowercase())
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn word_at(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|b| !is_name_byte(*b)).unwrap_or(text.len());
    &text[..end]
}

/// `"docs/`, `/docs/`, `/docs"`, `.docs"`; and a whole string `"docs"`, as a part of a joined path.
fn is_folder_use(before: u8, after: u8) -> bool {
    let quote = |byte| matches!(byte, b'"' | b'\'');
    match before {
        b'.' => quote(after),
        b'/' => after == b'/' || quote(after),
        _ => after == b'/' || after == before,
    }
}

/// Whether the text ends inside a URL.
fn in_address(before: &[u8]) -> bool {
    let start = before.len().saturating_sub(ADDRESS_REACH);
    let start = before[start..].iter().rposition(u8::is_ascii_whitespace).map_or(start, |at| start + at + 1);
    before[start..].windows(3).any(|w| w == b"://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_text(text: &str) -> Mentions {
        Mentions::in_text(text.as_bytes())
    }

    #[test]
    fn file_names_and_bare_extensions_are_told_apart() {
        let named = in_text("ffi.cdef(open(here / 'api.h').read())");
        assert!(named.names_file(Utf8Path::new("a/include/api.h")));
        assert!(!named.names_file(Utf8Path::new("a/include/other.h")));
        let any = in_text("stub = base + '.pyi'");
        assert!(any.names_file(Utf8Path::new("a/b.pyi")));
        let attributes = in_text("self.h = make().h");
        assert!(!attributes.names_file(Utf8Path::new("a/b.h")));
    }

    #[test]
    fn folders_count_in_paths_not_in_addresses() {
        assert!(in_text("join(here, \"examples\", name)").names_folder("Examples"));
        assert!(in_text("open('docs/index.txt')").names_folder("docs"));
        assert!(in_text("files('pkg.tests')").names_folder("tests"));
        assert!(!in_text("see https://example.org/docs/x").names_folder("docs"));
        assert!(!in_text("the docs say").names_folder("docs"));
    }

    #[test]
    fn lazy_loader_stubs_are_seen() {
        assert!(in_text("__getattr__, __dir__, _ = lazy.attach_stub(__name__, __file__)").attach_stub);
        assert!(!in_text("lazy.attach(__name__)").attach_stub);
    }
}
