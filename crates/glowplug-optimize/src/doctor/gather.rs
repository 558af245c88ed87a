//! Puts the facts together.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;
use fs_err as fs;
use glowplug_core::{Cache, Libc, Progress, Result};
use glowplug_doctor::{Bytecode, Facts, File, Kind, Native, NativeFault, Trimmed};
use glowplug_function::{NativeTarget, natives};
use glowplug_package::{TrimContext, TrimLevel, imported_by_kept, normalise_name, trim};

use super::distributions::Distributions;
use super::modules::{Known, Modules, mentioned};
use super::prepare::{Folder, Prepared};
use super::{DoctorOptions, distributions, files, requirements, stale, traced};
use crate::services::services_of;

/// What an archive takes at its end, in bytes.
const ARCHIVE_END: u64 = 22;

pub(super) fn gather(
    prepared: &Prepared,
    options: &DoctorOptions,
    cache: &Cache,
    progress: &dyn Progress,
    not_seen: &mut Vec<String>,
) -> Result<Facts> {
    let mut found = distributions::read(prepared)?;
    let files = files::read(prepared, &found, progress, not_seen)?;
    progress.start("Reading imports", None);
    let modules = Modules::read(prepared, &found, prepared.subject.python, cache)?;
    let links = modules.links(prepared);
    let (own, words) = modules.own(prepared);
    progress.start("Looking at native libraries", None);
    let natives = native_files(prepared, &found, progress)?;
    progress.start("Choosing files", None);
    let trimmed = trimmed(prepared, options, &found, &modules, &files)?;
    progress.finish();
    let loaded = prepared.trace.as_ref().map(traced::loaded).unwrap_or_default();
    let loaded: BTreeSet<usize> = loaded.into_iter().filter_map(|module| modules.owner(module)).collect();
    let mut zipped: BTreeMap<usize, Option<u64>> = BTreeMap::new();
    for file in &files {
        if let Some(owner) = file.distribution {
            let sum = zipped.entry(owner).or_insert(Some(0));
            *sum = sum.zip(file.zip_bytes).map(|(sum, bytes)| sum + bytes);
        }
    }
    for (index, distribution) in found.all.iter_mut().enumerate() {
        distribution.is_loaded = loaded.contains(&index);
        distribution.mentioned_at = mentioned(distribution, &words);
        distribution.zip_bytes = zipped.get(&index).copied().flatten();
    }
    let mut bytecode = Bytecode::default();
    for (folder, known) in prepared.folders.iter().zip(&modules.folders) {
        let broken = known.broken(&folder.tree.root);
        let prefix = &folder.root.prefix;
        stale::look(&folder.tree, &broken, prefix, prepared.subject.python, &mut bytecode);
        // A library's own tests and templates may hold such files on purpose.
        for path in broken.iter().filter(|path| prepared.user_files.contains(*path)) {
            not_seen.push(format!(
                "`{prefix}{path}` is no Python {} source: what it imports is not known",
                prepared.subject.python
            ));
        }
    }
    let function = prepared.function.as_ref();
    let code = function.map_or(prepared.folders[0].tree.root.as_path(), |function| &function.code);
    let named = function.and_then(|function| function.requirements.as_deref());
    let provided = function.map(|function| function.package.runtime_provided.as_slice()).unwrap_or_default();
    Ok(Facts {
        subject: prepared.subject.clone(),
        roots: prepared.folders.iter().map(|folder| folder.root.clone()).collect(),
        zip_bytes: zip_bytes(prepared, &files)?,
        zip_estimated: prepared.zip.is_none(),
        distributions: found.all,
        files,
        links,
        own,
        requirements: requirements::read(code, named),
        trimmed,
        natives,
        bytecode,
        traced: prepared.trace.as_ref().and_then(traced::read),
        runtime_provided: provided.iter().map(|name| normalise_name(name)).collect(),
    })
}

/// The zip's own size, or what its files would give: of a function without its layers.
fn zip_bytes(prepared: &Prepared, files: &[File]) -> Result<Option<u64>> {
    if let Some(zip) = &prepared.zip {
        return Ok(Some(fs::metadata(zip)?.len()));
    }
    let ours = files.iter().filter(|file| file.root == 0 || prepared.subject.kind == Kind::Layer);
    let sum: Option<u64> = ours.map(|file| file.zip_bytes).sum();
    Ok(sum.map(|bytes| bytes + ARCHIVE_END))
}

fn native_files(prepared: &Prepared, found: &Distributions, progress: &dyn Progress) -> Result<Vec<Native>> {
    let target = NativeTarget {
        architecture: prepared.subject.architecture,
        python: prepared.subject.python,
        managed: prepared.subject.kind != Kind::Image,
    };
    let mut all = Vec::new();
    for (root, Folder { tree, .. }) in prepared.folders.iter().enumerate() {
        for native in natives(tree, target, progress)? {
            let owner = tree.file(&native.path).and_then(|file| file.distribution);
            all.push(Native {
                root,
                distribution: found.global(root, owner),
                path: native.path,
                bytes: native.bytes,
                digest: native.digest,
                soname: native.soname,
                fault: native.fault.map(|fault| match fault {
                    glowplug_function::NativeFault::Machine(what) => NativeFault::Machine(what),
                    glowplug_function::NativeFault::Glibc(what) => NativeFault::Glibc(what),
                    glowplug_function::NativeFault::Python(version) => NativeFault::Python(version),
                    glowplug_function::NativeFault::Damaged(what) => NativeFault::Damaged(what),
                }),
            });
        }
    }
    Ok(all)
}

/// What a build at level `safe` would leave out of each folder.
fn trimmed(
    prepared: &Prepared,
    options: &DoctorOptions,
    found: &Distributions,
    modules: &Modules,
    files: &[File],
) -> Result<Vec<Trimmed>> {
    let zipped: BTreeMap<(usize, &Utf8PathBuf), &File> =
        files.iter().map(|file| ((file.root, &file.path), file)).collect();
    let nothing = BTreeSet::new();
    let mut seeds: BTreeSet<String> =
        prepared.trace.iter().flat_map(traced::loaded).map(str::to_owned).collect();
    seeds.insert(prepared.handler.clone());
    let function = prepared.function.as_ref();
    let keep = function.map_or(options.load.keep.as_slice(), |function| &function.package.keep);
    // What one folder's modules import of another is kept there too.
    for known in &modules.folders {
        seeds.extend(own_edges(prepared, known));
    }
    let mut all = Vec::new();
    for (root, (Folder { tree, .. }, known)) in prepared.folders.iter().zip(&modules.folders).enumerate() {
        let user_files = if root == 0 { &prepared.user_files } else { &nothing };
        let is_user =
            |module: &str| known.modules.get(module).is_some_and(|file| user_files.contains(&file.path));
        let services = services_of(tree, &known.modules, &known.analyses, &is_user);
        // Without code that makes clients nothing is known of them.
        let services = services.filter(|_| !user_files.is_empty());
        let imported = imported_by_kept(tree, user_files, &edges(known), &seeds);
        let trim = trim(
            tree,
            &TrimContext {
                level: TrimLevel::Safe,
                python: prepared.subject.python,
                architecture: prepared.subject.architecture,
                libc: Libc::Glibc,
                user_files,
                keep,
                runtime_provided: &[],
                imported: &imported,
                aws_services: services.as_ref(),
                reached: None,
            },
        )?;
        for decision in trim.decisions {
            let path = Utf8PathBuf::from(&decision.place);
            let file = zipped.get(&(root, &path));
            let bytes = decision.saves_bytes.unwrap_or(0);
            let dropped = decision.subject != "symbols";
            all.push(Trimmed {
                rule: decision.subject,
                root,
                bytes,
                zip_bytes: file.and_then(|file| file.zip_bytes).filter(|_| dropped),
                distribution: found.global(root, tree.file(&path).and_then(|file| file.distribution)),
                path,
            });
        }
    }
    Ok(all)
}

/// For every module all that it imports, in the form that the trimming rules want.
fn edges(known: &Known) -> BTreeMap<String, BTreeSet<String>> {
    let targets = |analysis: &glowplug_imports::ModuleAnalysis| {
        let mut targets: BTreeSet<String> =
            analysis.dynamic_imports.iter().map(|(_, module)| module.clone()).collect();
        for import in &analysis.imports {
            targets.insert(import.module.clone());
            targets.extend(import.names.iter().map(|name| format!("{}.{name}", import.module)));
        }
        targets
    };
    known.analyses.iter().map(|(module, analysis)| (module.clone(), targets(analysis))).collect()
}

/// What the user's own modules import.
fn own_edges(prepared: &Prepared, known: &Known) -> BTreeSet<String> {
    let own = |module: &String| {
        known.modules.get(module).is_some_and(|file| prepared.user_files.contains(&file.path))
    };
    edges(known).into_iter().filter(|(module, _)| own(module)).flat_map(|(_, targets)| targets).collect()
}
