//! Where a package's bytes are: by distribution and by kind, what a traced start touched, what no import leads to.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::{Cache, Result};
use glowplug_package::{FileEntry, FileKind, PackageTree, symbol_bytes};
use glowplug_trace::{PackagePart, PackageUse, Trace};
use rayon::prelude::*;

use crate::ground::Ground;
use crate::summaries::summaries;

/// Tells a trace where the bytes of its package are.
pub(crate) fn describe(ground: &Ground, trace: &mut Trace, cache: &Cache) -> Result<()> {
    let tree = &ground.package;
    let reached = reached(ground, trace, cache)?;
    let opened: BTreeSet<&Utf8Path> = trace
        .files
        .iter()
        .map(|file| file.path.as_path())
        .chain(trace.imports.iter().filter_map(|import| import.file.as_deref()))
        .collect();
    let symbols: Vec<u64> = tree.files.par_iter().map(|file| symbols(tree, file)).collect();
    let mut total = PackagePart::default();
    let mut parts: BTreeMap<Option<usize>, PackagePart> = BTreeMap::new();
    for (file, symbols) in tree.files.iter().zip(symbols) {
        for part in [&mut total, parts.entry(file.distribution).or_default()] {
            part.bytes += file.bytes;
            *part.bytes_by_kind.entry(kind(file.kind).to_owned()).or_default() += file.bytes - symbols;
            if symbols > 0 {
                *part.bytes_by_kind.entry("symbols".to_owned()).or_default() += symbols;
            }
            if opened.contains(file.path.as_path()) {
                part.touched_bytes += file.bytes;
            } else if is_unreachable(file, &reached) {
                part.unreachable_bytes += file.bytes;
            }
        }
    }
    let mut parts: Vec<PackagePart> = parts
        .into_iter()
        .map(|(owner, part)| {
            let found = owner.map(|index| &tree.distributions[index]);
            let name = found.map(|found| found.name.clone()).unwrap_or_default();
            PackagePart {
                name,
                version: found.map(|found| found.version.clone()).unwrap_or_default(),
                ..part
            }
        })
        .collect();
    parts.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    for used in &mut trace.distributions {
        if let Some(part) = parts.iter().find(|part| part.name == used.name && part.version == used.version) {
            used.bytes_by_kind.clone_from(&part.bytes_by_kind);
            used.bytes = part.bytes;
        }
    }
    trace.package = Some(PackageUse { files: tree.files.len(), total, parts });
    Ok(())
}

/// Bytes of a native library that debuggers alone read.
fn symbols(tree: &PackageTree, file: &FileEntry) -> u64 {
    if file.kind != FileKind::Native || file.symlink.is_some() {
        return 0;
    }
    let bytes = fs::read(tree.root.join(&file.path)).map_or(0, |data| symbol_bytes(&data));
    bytes.min(file.bytes)
}

/// As [`PackagePart::bytes_by_kind`] calls them.
fn kind(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Code => "code",
        FileKind::Bytecode => "bytecode",
        FileKind::Native => "native",
        FileKind::Test => "tests",
        FileKind::Docs => "docs",
        FileKind::Stub => "stubs",
        FileKind::Header => "headers",
        FileKind::Metadata => "metadata",
        FileKind::Data => "data",
    }
}

/// Every module that import statements lead to, by way of what the handler's module and those that a traced start
/// loaded import, in functions too.
fn reached(ground: &Ground, trace: &Trace, cache: &Cache) -> Result<Reached> {
    let modules = ground.package.modules();
    let analyses = summaries(&ground.package, &modules, ground.function.python, cache)?;
    let handler = ground.function.handler.rsplit_once('.').map_or("", |(module, _)| module).replace('/', ".");
    let mut open: Vec<String> = trace.imports.iter().map(|import| import.module.clone()).collect();
    open.push(handler);
    let mut names: BTreeSet<String> = BTreeSet::new();
    while let Some(name) = open.pop() {
        if !modules.contains_key(&name) || !names.insert(name.clone()) {
            continue;
        }
        open.extend(name.rsplit_once('.').map(|(package, _)| package.to_owned()));
        let Some(analysis) = analyses.get(&name) else { continue };
        open.extend(analysis.dynamic_imports.iter().map(|(_, module)| module.clone()));
        for import in analysis.imports.iter().filter(|import| !import.typing_only) {
            open.extend(import.names.iter().map(|name| format!("{}.{name}", import.module)));
            open.push(import.module.clone());
        }
    }
    let files = modules.iter().map(|(name, file)| (file.path.as_str().to_owned(), names.contains(name)));
    Ok(Reached { files: files.collect() })
}

/// By the file of a module: whether an import leads to it.
struct Reached {
    files: BTreeMap<String, bool>,
}

/// Whether a file is a module, or the bytecode of one, that no import leads to.
fn is_unreachable(file: &FileEntry, reached: &Reached) -> bool {
    let source = match file.kind {
        FileKind::Bytecode => {
            let stem = file.name().split('.').next().unwrap_or_default();
            let folder = file.path.parent().and_then(Utf8Path::parent).unwrap_or(Utf8Path::new(""));
            folder.join(format!("{stem}.py"))
        }
        _ => file.path.clone(),
    };
    reached.files.get(source.as_str()) == Some(&false)
}
