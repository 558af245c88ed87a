//! Rules about shared libraries that look into them: another C library, another system's format,
//! and copies of one library.
//!
//! A wheel holds no links, so that `libx.so`, `libx.so.1` and `libx.so.1.2` become three copies, and
//! two wheels may bring one library each. The loader tells libraries apart by their file, and takes
//! one that is loaded already where a `DT_NEEDED` names its `DT_SONAME` (`ld.so(8)`, `dlopen(3)`).
//! A copy becomes a link only where that gives the same libraries in every order of loading.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Decision, DecisionKind, DecisionState, Libc, Result, format_hex};
use sha2::{Digest, Sha256};

use super::library::Library;
use super::rules::{Rule, rule};
use super::view::View;
use crate::modules::dotted;
use crate::tree::{FileEntry, FileKind, PackageTree};

/// Smaller copies are not worth a link.
const LEAST_BYTES: u64 = 4096;
/// The loader chooses among the variants in here by the processor, and takes each by its folder.
const VARIANTS: &str = "glibc-hwcaps";
/// First bytes of Mach-O files (either byte order, 32 and 64 bits) and of programs for Windows.
const FOREIGN: [(&[u8], &str); 5] = [
    (&[0xCF, 0xFA, 0xED, 0xFE], "macOS"),
    (&[0xCE, 0xFA, 0xED, 0xFE], "macOS"),
    (&[0xFE, 0xED, 0xFA, 0xCF], "macOS"),
    (&[0xCA, 0xFE, 0xBA, 0xBE], "macOS"),
    (b"MZ", "Windows"),
];

/// The rule behind links and refusals of them.
pub(super) const DUPLICATES: Rule =
    rule("duplicates", "the same library is there a second time, and a link leads to it", |_, _| Ok(None));

/// Whether a library is linked with a C library that the target does not have.
pub(super) fn other_libc(view: &View, file: &FileEntry) -> Result<Option<String>> {
    let loadable = file.kind == FileKind::Native && file.symlink.is_none();
    // On musl a compatibility library may load what is linked with glibc.
    if !loadable || view.context.libc == Libc::Musl || is_imported(view, file) {
        return Ok(None);
    }
    let Some(library) = Library::read(&view.tree.root.join(&file.path))? else { return Ok(None) };
    let musl = library.needed.iter().find(|name| name.starts_with("libc.musl-"));
    let brought = |name: &str| view.tree.files.iter().any(|other| other.name() == name);
    Ok(musl
        .filter(|name| !brought(name))
        .map(|name| format!("it needs `{name}`, which systems with glibc do not have")))
}

/// Whether a library with the name of a Linux one is another system's.
pub(super) fn other_format(view: &View, file: &FileEntry) -> Result<Option<String>> {
    if file.kind != FileKind::Native || file.symlink.is_some() || is_imported(view, file) {
        return Ok(None);
    }
    let mut start = Vec::new();
    fs::File::open(view.tree.root.join(&file.path))?.take(4).read_to_end(&mut start)?;
    let system = FOREIGN.iter().find(|(magic, _)| start.starts_with(magic));
    Ok(system.map(|(_, system)| format!("its first bytes are those of a library for {system}")))
}

fn is_imported(view: &View, file: &FileEntry) -> bool {
    dotted(&file.path).is_some_and(|name| view.context.imported.contains(&name))
}

/// Copies of libraries among `kept`: a decision for each, and the target of the link that takes its
/// place where that is sound.
pub(super) fn duplicates(
    view: &View,
    kept: &[&FileEntry],
) -> Result<(Vec<Decision>, BTreeMap<Utf8PathBuf, Utf8PathBuf>)> {
    let (mut decisions, mut links) = (Vec::new(), BTreeMap::new());
    for copies in same_contents(view, kept)? {
        let Some((first, others)) = copies.split_first() else { continue };
        let Some(library) = Library::read(&view.tree.root.join(&first.path))? else { continue };
        for other in others {
            let refusal = refusal(view, &library, first, other)?;
            decisions.push(decision(first, other, refusal));
            if refusal.is_none() {
                links.insert(other.path.clone(), relative(&other.path, &first.path));
            }
        }
    }
    Ok((decisions, links))
}

/// The links of a plan that leaves out `copies`, each to the first file with its bytes that is not
/// `dropped`. A copy of which nothing is left is taken out of `dropped`.
///
/// Errors: a file that cannot be read (surroundings).
pub fn links(
    tree: &PackageTree,
    copies: BTreeSet<Utf8PathBuf>,
    dropped: &mut BTreeSet<Utf8PathBuf>,
) -> Result<BTreeMap<Utf8PathBuf, Utf8PathBuf>> {
    let mut links = BTreeMap::new();
    for path in copies {
        let Some(copy) = tree.file(&path) else { continue };
        let wanted = digest(tree, &path)?;
        let mut kept = tree.files.iter().filter(|file| {
            let library =
                file.kind == FileKind::Native && file.symlink.is_none() && file.distribution.is_some();
            library && file.bytes == copy.bytes && !dropped.contains(&file.path)
        });
        let first = kept.find_map(|file| match digest(tree, &file.path) {
            Ok(found) => (found == wanted).then_some(Ok(&file.path)),
            Err(error) => Some(Err(error)),
        });
        match first.transpose()? {
            Some(first) => {
                links.insert(path.clone(), relative(&path, first));
            }
            None => {
                dropped.remove(&path);
            }
        }
    }
    Ok(links)
}

/// Groups of files with the same bytes, each sorted by path.
fn same_contents<'a>(view: &View, kept: &[&'a FileEntry]) -> Result<Vec<Vec<&'a FileEntry>>> {
    let mut by_size: BTreeMap<u64, Vec<&FileEntry>> = BTreeMap::new();
    for file in kept.iter().filter(|file| file.bytes >= LEAST_BYTES) {
        by_size.entry(file.bytes).or_default().push(file);
    }
    let mut groups: BTreeMap<String, Vec<&FileEntry>> = BTreeMap::new();
    for file in by_size.into_values().filter(|files| files.len() > 1).flatten() {
        groups.entry(digest(view.tree, &file.path)?).or_default().push(file);
    }
    let mut groups: Vec<Vec<&FileEntry>> = groups.into_values().filter(|files| files.len() > 1).collect();
    for group in &mut groups {
        group.sort_by(|a, b| a.path.cmp(&b.path));
    }
    groups.sort_by(|a, b| a[0].path.cmp(&b[0].path));
    Ok(groups)
}

fn digest(tree: &PackageTree, path: &Utf8Path) -> Result<String> {
    Ok(format_hex(&Sha256::digest(fs::read(tree.root.join(path))?)))
}

/// Why a link from `other` to `first` could change what is loaded; `None` where it cannot.
fn refusal(
    view: &View,
    library: &Library,
    first: &FileEntry,
    other: &FileEntry,
) -> Result<Option<&'static str>> {
    if library.soname.is_none() {
        return Ok(Some(
            "it has no name of its own (`DT_SONAME`), so that the loader keeps both copies apart",
        ));
    }
    if [first, other].iter().any(|file| file.path.components().any(|part| part.as_str() == VARIANTS)) {
        return Ok(Some("the loader chooses it by its folder"));
    }
    if library.paths.iter().any(|path| !matches!(path.as_str(), "$ORIGIN" | "${ORIGIN}" | "$ORIGIN/." | "")) {
        return Ok(Some("it looks for its own libraries in other folders than its own"));
    }
    let (here, there) = (folder(first), folder(other));
    if here != there {
        // Whichever path it is opened by first, it finds the same.
        for name in &library.needed {
            let [one, two] = [here.join(name), there.join(name)];
            let same = match (view.has(&one), view.has(&two)) {
                (false, false) => true,
                (true, true) => digest(view.tree, &one)? == digest(view.tree, &two)?,
                _ => false,
            };
            if !same {
                return Ok(Some("what it needs is beside one of the copies alone"));
            }
        }
    }
    Ok(is_named(view, [first, other])?
        .then_some("code names it, and may load both copies to have its state twice"))
}

fn folder(file: &FileEntry) -> &Utf8Path {
    file.path.parent().unwrap_or(Utf8Path::new(""))
}

/// Whether Python code of the owners, or of nobody's, names one of the files.
fn is_named(view: &View, files: [&FileEntry; 2]) -> Result<bool> {
    let stems: Vec<&str> = files.iter().filter_map(|file| file.name().split(".so").next()).collect();
    let owners: Vec<Option<usize>> = files.iter().map(|file| file.distribution).collect();
    let sources = view.tree.files.iter().filter(|file| {
        file.kind == FileKind::Code
            && file.symlink.is_none()
            && (file.distribution.is_none() || owners.contains(&file.distribution))
    });
    for source in sources {
        let text = fs::read(view.tree.root.join(&source.path))?;
        let text = String::from_utf8_lossy(&text);
        // `ctypes.util.find_library("x")` names `libx.so` too.
        if stems.iter().any(|stem| text.contains(stem.strip_prefix("lib").unwrap_or(stem))) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn decision(first: &FileEntry, other: &FileEntry, refusal: Option<&str>) -> Decision {
    Decision {
        id: format!("drop:{}", other.path),
        kind: DecisionKind::Drop,
        subject: DUPLICATES.id.to_owned(),
        place: other.path.to_string(),
        state: if refusal.is_none() { DecisionState::Applied } else { DecisionState::Refused },
        saves_ms: None,
        together: None,
        saves_bytes: Some(other.bytes),
        evidence: format!("its bytes are those of `{}`", first.path),
        reason: refusal.unwrap_or(DUPLICATES.sentence).to_owned(),
        events: Vec::new(),
    }
}

/// `to` as a link at `from` writes it.
fn relative(from: &Utf8Path, to: &Utf8Path) -> Utf8PathBuf {
    let above: Vec<&str> = from.parent().into_iter().flat_map(Utf8Path::iter).collect();
    let target: Vec<&str> = to.iter().collect();
    let common = above.iter().zip(&target).take_while(|(a, b)| a == b).count();
    std::iter::repeat_n("..", above.len() - common).chain(target[common..].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative() {
        for (from, to, link) in [
            ("a.libs/libx.so", "a.libs/libx.so.1", "libx.so.1"),
            ("b.libs/libx.so", "a.libs/libx.so", "../a.libs/libx.so"),
            ("a/b/c/libx.so", "a/d/libx.so", "../../d/libx.so"),
            ("libx.so", "a/libx.so", "a/libx.so"),
        ] {
            assert_eq!(relative(Utf8Path::new(from), Utf8Path::new(to)), link, "{from}");
        }
    }
}
