//! An image layout: which of its files Python finds, and what else its configuration tells.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Architecture, Cache, Error, Progress, Result};
use glowplug_doctor::{Kind, Root, RootKind, Subject};
use glowplug_image::{ImageConfig, is_layout, read_image};
use glowplug_package::PackageTree;

use super::DoctorOptions;
use super::prepare::{Folder, Prepared, architecture, version, without};
use crate::workspace::Workspace;

/// Folders of the runtime and of the distribution that an image is built on, not the function's.
const NOT_OURS: [&str; 3] = ["var/lang", "var/runtime", "usr/lib"];

/// The layout that a path is, with the tag or digest after it where the layout holds several images: `FOLDER:TAG`.
pub(super) fn layout_at(path: &Utf8Path) -> Option<(&Utf8Path, Option<&str>)> {
    if is_layout(path) {
        return Some((path, None));
    }
    // A tag may hold colons itself, as digests do.
    path.as_str().match_indices(':').find_map(|(at, _)| {
        let (folder, named) = (Utf8Path::new(&path.as_str()[..at]), &path.as_str()[at + 1..]);
        is_layout(folder).then_some((folder, Some(named)))
    })
}

pub(super) fn prepare(
    path: &Utf8Path,
    named: Option<&str>,
    options: &DoctorOptions,
    cache: &Cache,
    progress: &dyn Progress,
    not_seen: &mut Vec<String>,
) -> Result<Prepared> {
    let workspace = Workspace::open(cache)?;
    let into = workspace.path().join("image");
    let image = read_image(path, named, &machines(), &is_wanted, &into, progress)?;
    not_seen.push("an image is not started, so that nothing is told in ms".to_owned());
    if image.links > 0 {
        not_seen.push(format!("{} links in the image were not followed", image.links));
    }
    let machine = Some(image.config.architecture);
    laid_out(path, &image.config, machine, workspace, options, not_seen)
}

/// Whether an image's file is the function's, or one that Python finds for it.
pub(super) fn is_wanted(config: &ImageConfig, file: &Utf8Path) -> bool {
    let ours = !NOT_OURS.iter().any(|folder| file.starts_with(folder));
    ours && (task_folder(config).is_some_and(|task| file.starts_with(task)) || is_for_python(file))
}

/// Wanted files in the workspace's folder `image`, as the rules see them.
pub(super) fn laid_out(
    path: &Utf8Path,
    config: &ImageConfig,
    machine: Option<Architecture>,
    workspace: Workspace,
    options: &DoctorOptions,
    not_seen: &mut Vec<String>,
) -> Result<Prepared> {
    let folders = folders(&workspace.path().join("image"), config)?;
    if folders.iter().all(|folder| folder.tree.files.is_empty()) {
        return Err(Error::input("the image holds no Python code where a function would have it")
            .place(path.as_str())
            .cause("neither its working folder, `LAMBDA_TASK_ROOT` nor any `site-packages` has files"));
    }
    let python = version(options, &folders, not_seen)?;
    let first = &folders[0];
    let user_files = user_files(first);
    let handler = handler(config, first);
    if handler.is_empty() {
        not_seen.push(
            "the image's command names no handler: all code in its working folder counts as used".to_owned(),
        );
    }
    let name = path.file_name().unwrap_or("image").to_owned();
    let architecture = machine.unwrap_or_else(|| architecture(&folders));
    let texts = config.command.iter().chain(&config.environment).cloned().collect();
    Ok(Prepared {
        subject: Subject { name, kind: Kind::Image, python, architecture },
        folders,
        user_files,
        function: None,
        handler,
        trace: None,
        texts,
        zip: None,
        _workspace: vec![workspace],
    })
}

/// Lambda's machines, this one first.
fn machines() -> Vec<Architecture> {
    let all = [Architecture::X86_64, Architecture::Arm64];
    let host = Architecture::host();
    host.into_iter().chain(all.into_iter().filter(|machine| Some(*machine) != host)).collect()
}

/// What is of no distribution in the function's folder; an image without one has only distributions.
fn user_files(first: &Folder) -> BTreeSet<Utf8PathBuf> {
    if first.root.kind != RootKind::Task {
        return BTreeSet::new();
    }
    let own = first.tree.files.iter().filter(|file| file.distribution.is_none());
    own.map(|file| file.path.clone()).collect()
}

/// `LAMBDA_TASK_ROOT`, else the working folder, without the leading `/`; `None` for the root itself.
fn task_folder(config: &ImageConfig) -> Option<Utf8PathBuf> {
    let named = config.environment.iter().find_map(|line| line.strip_prefix("LAMBDA_TASK_ROOT="));
    let folder = named.map_or(config.working_folder.as_path(), Utf8Path::new);
    let folder = folder.as_str().trim_matches('/');
    (!folder.is_empty() && !folder.contains("..")).then(|| folder.into())
}

fn is_for_python(file: &Utf8Path) -> bool {
    let in_layer = file.starts_with("opt/python");
    in_layer || file.components().any(|part| matches!(part.as_str(), "site-packages" | "dist-packages"))
}

/// The function's folder, then layers, then site folders.
fn folders(into: &Utf8Path, config: &ImageConfig) -> Result<Vec<Folder>> {
    let whole = PackageTree::scan(into)?;
    let mut sites: BTreeSet<Utf8PathBuf> = BTreeSet::new();
    for file in &whole.files {
        let folder = file.path.ancestors().skip(1).filter(|folder| {
            matches!(folder.file_name(), Some("site-packages" | "dist-packages"))
                || *folder == Utf8Path::new("opt/python")
        });
        sites.extend(folder.last().map(Utf8Path::to_owned));
    }
    let sites: Vec<Utf8PathBuf> = sites.into_iter().collect();
    let mut folders = Vec::new();
    if let Some(task) = task_folder(config).filter(|task| into.join(task).is_dir()) {
        let tree = without(PackageTree::scan(&into.join(&task))?, &task, &sites);
        let prefix = format!("{task}/");
        folders.push(Folder { root: Root { kind: RootKind::Task, prefix }, tree });
    }
    for site in &sites {
        let kind = if site == "opt/python" { RootKind::Layer } else { RootKind::Site };
        let others: Vec<Utf8PathBuf> = sites.iter().filter(|other| *other != site).cloned().collect();
        let tree = without(PackageTree::scan(&into.join(site))?, site, &others);
        folders.push(Folder { root: Root { kind, prefix: format!("{site}/") }, tree });
    }
    Ok(folders)
}

/// The module of a handler that the command names, where it is in the function's folder.
fn handler(config: &ImageConfig, first: &Folder) -> String {
    let named = config.command.last().and_then(|text| text.rsplit_once('.')).map_or("", |(module, _)| module);
    let path = named.replace('.', "/");
    let has = |path: String| first.tree.file(Utf8Path::new(&path)).is_some();
    let found = !named.is_empty() && (has(format!("{path}.py")) || has(format!("{path}/__init__.py")));
    if found && first.root.kind == RootKind::Task { path.replace('/', ".") } else { String::new() }
}
