//! What is at a path, and its folders of Python's path, on disk and ready to be looked at.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Architecture, Cache, Error, ErrorClass, Progress, PythonVersion, Result};
use glowplug_doctor::{Kind, Root, RootKind, Subject};
use glowplug_function::{Function, LoadOptions};
use glowplug_package::{PackageTree, unpack};
use glowplug_trace::Trace;

use super::{DoctorOptions, image, root_file_system};
use crate::ground::{Ground, runs_here};
use crate::setup::Setup;
use crate::trace::{TraceOptions, measured};
use crate::workspace::Workspace;

/// A folder of Python's path with its files.
pub(super) struct Folder {
    pub(super) root: Root,
    pub(super) tree: PackageTree,
}

/// Everything that the facts are read off.
pub(super) struct Prepared {
    pub(super) subject: Subject,
    /// In the order of Python's path.
    pub(super) folders: Vec<Folder>,
    /// The user's own files at the first folder.
    pub(super) user_files: BTreeSet<Utf8PathBuf>,
    /// Its configuration, where it is a function.
    pub(super) function: Option<Function>,
    /// The module that holds the handler; empty where there is none.
    pub(super) handler: String,
    pub(super) trace: Option<Trace>,
    /// Texts that may name modules: variables, commands.
    pub(super) texts: Vec<String>,
    /// The zip itself, where the package is one.
    pub(super) zip: Option<Utf8PathBuf>,
    /// Holds the files as long as they are looked at.
    pub(super) _workspace: Vec<Workspace>,
}

/// Finds out what is at `path` and lays it out.
pub(super) fn prepare(
    path: &Utf8Path,
    options: &DoctorOptions,
    cache: &Cache,
    progress: &dyn Progress,
    not_seen: &mut Vec<String>,
) -> Result<Prepared> {
    if let Some((layout, named)) = image::layout_at(path) {
        return image::prepare(layout, named, options, cache, progress, not_seen);
    }
    if path.is_dir() && root_file_system::is_root(path) {
        return root_file_system::prepare(path, options, cache, progress, not_seen);
    }
    if path.is_dir() && is_layer(path) {
        return layer(path, path, options, Vec::new(), not_seen);
    }
    // A zip is looked at before anybody takes it for a function's. What is damaged is told in the same words.
    if path.is_file() && !matches!(path.extension(), Some("py" | "yaml" | "yml" | "json" | "template")) {
        let workspace = Workspace::open(cache)?;
        let folder = workspace.path().join("unpacked");
        progress.start("Unpacking", None);
        let unpacked = unpack(path, &folder);
        progress.finish();
        unpacked.map_err(|error| {
            error.hint("name a function's folder or zip, a layer's, or the folder of an image layout")
        })?;
        if is_layer(&folder) {
            return layer(path, &folder, options, vec![workspace], not_seen);
        }
    }
    let load = LoadOptions { handler_optional: true, ..options.load.clone() };
    let function = glowplug_function::load(path, &load)?;
    for note in &function.notes {
        progress.note(note);
    }
    Preparation { path, function, options, cache, progress }.function(not_seen)
}

/// The top of a layer has folders that go below `/opt`: `python`, and `bin` and `lib` beside it.
fn is_layer(folder: &Utf8Path) -> bool {
    let names: Vec<String> = folder
        .read_dir_utf8()
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_owned())
        .collect();
    let known = ["python", "bin", "lib", "etc", "share", "extensions"];
    folder.join("python").is_dir()
        && !folder.join("python/__init__.py").exists()
        && names.iter().all(|name| known.contains(&name.as_str()))
}

fn layer(
    path: &Utf8Path,
    folder: &Utf8Path,
    options: &DoctorOptions,
    workspace: Vec<Workspace>,
    not_seen: &mut Vec<String>,
) -> Result<Prepared> {
    let folders = layer_folders(folder, "")?;
    let python = version(options, &folders, not_seen)?;
    not_seen.push(
        "a layer has no handler: what its functions import, and what that costs, is told where they are looked at"
            .to_owned(),
    );
    let name = path.file_stem().unwrap_or("layer").to_owned();
    let architecture = architecture(&folders);
    Ok(Prepared {
        subject: Subject { name, kind: Kind::Layer, python, architecture },
        folders,
        user_files: BTreeSet::new(),
        function: None,
        handler: String::new(),
        trace: None,
        texts: Vec::new(),
        zip: path.is_file().then(|| path.to_owned()),
        _workspace: workspace,
    })
}

/// The folders of a layer in the order of Python's path, and at last what is no part of it.
fn layer_folders(layer: &Utf8Path, prefix: &str) -> Result<Vec<Folder>> {
    let whole = PackageTree::scan(layer)?;
    let mut paths: Vec<Utf8PathBuf> = whole.files.iter().filter_map(|file| site_folder(&file.path)).collect();
    paths.sort();
    paths.dedup();
    paths.push("python".into());
    paths.push(Utf8PathBuf::new());
    let mut folders = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        if !layer.join(path).is_dir() {
            continue;
        }
        let tree = without(PackageTree::scan(&layer.join(path))?, path, &paths[..index]);
        if !tree.files.is_empty() {
            let prefix =
                if path.as_str().is_empty() { prefix.to_owned() } else { format!("{prefix}{path}/") };
            folders.push(Folder { root: Root { kind: RootKind::Layer, prefix }, tree });
        }
    }
    Ok(folders)
}

/// `python/lib/python3.12/site-packages`, where a path begins so.
fn site_folder(path: &Utf8Path) -> Option<Utf8PathBuf> {
    let parts: Vec<&str> = path.components().map(|part| part.as_str()).take(5).collect();
    let ["python", "lib", version, "site-packages", _] = parts.as_slice() else { return None };
    version.starts_with("python3").then(|| parts[..4].iter().collect())
}

/// A tree at `path` without what is in one of `others`, which lie below it.
pub(super) fn without(mut tree: PackageTree, path: &Utf8Path, others: &[Utf8PathBuf]) -> PackageTree {
    let within = |file: &Utf8Path| others.iter().any(|other| path.join(file).starts_with(other));
    tree.files.retain(|file| !within(&file.path));
    tree
}

/// The version that was asked for, else the one whose name extension modules and bytecode carry most often, else the
/// newest of Lambda's.
pub(super) fn version(
    options: &DoctorOptions,
    folders: &[Folder],
    not_seen: &mut Vec<String>,
) -> Result<PythonVersion> {
    if let Some(text) = &options.load.python {
        if let Ok(version) = text.parse() {
            return Ok(version);
        }
        return Err(Error::usage("`--python` has to be a version where nothing is run").place(text.as_str()));
    }
    let mut counts: std::collections::BTreeMap<PythonVersion, usize> = std::collections::BTreeMap::new();
    for folder in folders {
        let named =
            folder.root.prefix.split_once("lib/python3.").and_then(|(_, rest)| rest.split('/').next());
        if let Some(minor) = named.and_then(|minor| minor.parse().ok()) {
            *counts.entry(PythonVersion::new(3, minor)).or_default() += 1_000_000;
        }
        for file in &folder.tree.files {
            let tag = file.name().split_once("cpython-3").map(|(_, rest)| rest);
            let digits = tag.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
            if let Some(minor) = digits.and_then(|digits| digits.parse().ok()) {
                *counts.entry(PythonVersion::new(3, minor)).or_default() += 1;
            }
        }
    }
    if let Some((version, _)) = counts.into_iter().max_by_key(|(version, count)| (*count, *version)) {
        return Ok(version);
    }
    let version = PythonVersion::new(3, 13);
    not_seen.push(format!(
        "nothing says which Python it is for: taken for {version}; name another with `--python`"
    ));
    Ok(version)
}

/// The machine that most native libraries are for, else this one.
pub(super) fn architecture(folders: &[Folder]) -> Architecture {
    let mut arm = 0_i64;
    for folder in folders {
        for file in &folder.tree.files {
            arm += i64::from(file.name().contains("aarch64")) - i64::from(file.name().contains("x86_64"));
        }
    }
    match arm {
        0 => Architecture::host().unwrap_or(Architecture::X86_64),
        1.. => Architecture::Arm64,
        _ => Architecture::X86_64,
    }
}

struct Preparation<'a> {
    path: &'a Utf8Path,
    function: Function,
    options: &'a DoctorOptions,
    cache: &'a Cache,
    progress: &'a dyn Progress,
}

impl Preparation<'_> {
    fn function(self, not_seen: &mut Vec<String>) -> Result<Prepared> {
        let kind = match (&self.function.requirements, self.function.code.is_file()) {
            (_, true) => Kind::Zip,
            (Some(_), false) => Kind::Source,
            (None, false) => Kind::Folder,
        };
        let (tree, trace, workspace) = match self.traced(not_seen)? {
            Some(traced) => traced,
            None => self.collected()?,
        };
        let package = PackageTree::scan(&tree.root)?;
        let mut folders =
            vec![Folder { root: Root { kind: RootKind::Task, prefix: String::new() }, tree: package }];
        for (index, layer) in tree.layers.iter().enumerate() {
            let named = self.function.layers.get(index).and_then(|path| path.file_stem()).unwrap_or("layer");
            folders.extend(layer_folders(layer, &format!("{named}/"))?);
        }
        let function = self.function;
        let handler = function.handler.rsplit_once('.').map_or("", |(module, _)| module).replace('/', ".");
        let texts = function.environment.values().cloned().collect();
        let zip = (kind == Kind::Zip).then(|| self.path.to_owned());
        Ok(Prepared {
            subject: Subject {
                name: function.name.clone(),
                kind,
                python: function.python,
                architecture: function.architecture,
            },
            folders,
            user_files: tree.user_files,
            handler,
            trace,
            texts,
            zip,
            function: Some(function),
            _workspace: workspace,
        })
    }

    /// The tree and a trace of it; `None` where the function cannot be started here, with the reason among `not_seen`.
    #[expect(clippy::type_complexity, reason = "what `collected` gives as well")]
    fn traced(
        &self,
        not_seen: &mut Vec<String>,
    ) -> Result<Option<(glowplug_function::Tree, Option<Trace>, Vec<Workspace>)>> {
        let function = &self.function;
        let mut without = |why: String| {
            not_seen.push(format!("no start was traced, so that nothing is told in ms: {why}"));
            Ok(None)
        };
        if function.handler.is_empty() {
            return without("no handler was found".to_owned());
        }
        if self.options.runs == 0 {
            return without("`--runs 0`".to_owned());
        }
        if !runs_here(function) {
            return without(format!("this machine cannot run {}", function.architecture));
        }
        let python = self.options.load.python.as_deref();
        let ground = match Ground::prepare(function, python, self.cache, self.progress) {
            Ok(ground) => ground,
            Err(error) if error.class() == ErrorClass::Interrupted => return Err(error),
            Err(error) => return without(error.to_string()),
        };
        let options = TraceOptions {
            python: python.map(str::to_owned),
            runs: self.options.runs,
            cpu: self.options.cpu,
            bandwidth_mbit: None,
            cold_cache: false,
        };
        let traced = ground.guarded(self.progress, || {
            let _setup = Setup::start(function, self.progress)?;
            measured(&ground, &options, self.progress)
        });
        let (tree, workspace) = ground.into_tree();
        let trace = match traced {
            Ok(trace) => Some(trace),
            Err(error) if error.class() == ErrorClass::Interrupted => return Err(error),
            Err(error) => {
                without(error.to_string())?;
                None
            }
        };
        if let Some(failure) = trace.as_ref().and_then(|trace| trace.failure.as_ref()) {
            not_seen.push(format!(
                "the function fails while it is traced, what it needs is not known: {failure}"
            ));
        }
        Ok(Some((tree, trace, vec![workspace])))
    }

    /// The tree alone.
    fn collected(&self) -> Result<(glowplug_function::Tree, Option<Trace>, Vec<Workspace>)> {
        let function = &self.function;
        let python = self.options.load.python.as_deref();
        let runtime = match &function.requirements {
            Some(_) => Some(glowplug_function::runtime(function.python, python, self.cache, self.progress)?),
            None => None,
        };
        let workspace = Workspace::open(self.cache)?;
        let tree = glowplug_function::collect(
            function,
            runtime.as_ref(),
            workspace.path(),
            self.cache,
            self.progress,
        )?;
        Ok((tree, None, vec![workspace]))
    }
}
