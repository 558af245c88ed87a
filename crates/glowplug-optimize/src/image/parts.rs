//! What goes where in an image, and what starts in it.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use glowplug_core::{Cache, Error, NoProgress, PythonVersion, Result, TASK_ROOT};
use glowplug_function::Function;
use glowplug_image::{Base, BaseFiles, Component, ImageRequest, Licence, Part, TouchedFile};
use glowplug_package::{
    ArchiveEntry, CompileJob, CompileResult, Compiler, Contents, FileEntry, HTTP_ENTRY_SOURCE, PackageTree,
    bytecode_path, normalise_name,
};

use crate::ground::{Ground, runs_here};
use crate::options::{Entrypoint, ImageOptions};

/// Where Lambda has its runtime client.
pub(super) const RUNTIME_ROOT: &str = "/var/runtime";
/// Where a function's layers are.
pub(super) const LAYERS_ROOT: &str = "/opt";
/// What starts in AWS's own base images, which bring a runtime client.
const LAMBDA_ENTRY: &str = "/lambda-entrypoint.sh";
/// The module of the server behind the entry point `http`.
const HTTP_MODULE: &str = "glowplug_http";

/// A base's interpreter of the function's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interpreter {
    /// Its absolute path.
    pub(super) path: Utf8PathBuf,
    /// Where its standard library is.
    pub(super) library: Utf8PathBuf,
    /// Whether the base is one of Lambda's, with a runtime client and a start script.
    pub(super) managed: bool,
}

impl Interpreter {
    /// Where it is looked for: Lambda's, that of Python's images, a distribution's.
    pub(super) fn places(version: PythonVersion) -> Vec<String> {
        ["/var/lang", "/usr/local", "/usr", "/opt/python"]
            .iter()
            .map(|prefix| format!("{prefix}/bin/python{version}"))
            .collect()
    }

    pub(super) fn find(files: &BaseFiles, version: PythonVersion) -> Option<Self> {
        let path = Self::places(version).into_iter().map(Utf8PathBuf::from).find(|path| files.has(path))?;
        let prefix = path.parent().and_then(Utf8Path::parent).unwrap_or(Utf8Path::new("/"));
        let library = prefix.join(format!("lib/python{version}"));
        Some(Self { library, managed: files.has(LAMBDA_ENTRY.into()), path })
    }
}

impl Interpreter {
    /// The runtime client is installed for this machine, where the base does not bring it.
    ///
    /// # Errors
    /// Input: it would be needed for another one.
    pub(super) fn require_client(&self, function: &Function, entrypoint: Entrypoint) -> Result<()> {
        if entrypoint == Entrypoint::Http || self.managed || runs_here(function) {
            return Ok(());
        }
        Err(Error::input("the runtime client for another machine cannot be installed here")
            .hint("use one of Lambda's base images, which bring it, or `--entrypoint http`"))
    }
}

/// What lies on the base.
pub(super) struct Parts {
    runtime: Vec<Part>,
    dependencies: Vec<Part>,
    application: Vec<Part>,
    entrypoint: Vec<String>,
    cmd: Vec<String>,
    env: BTreeMap<String, String>,
}

impl Parts {
    /// # Errors
    /// Surroundings: a file that cannot be read.
    pub(super) fn new(
        ground: &Ground,
        package: &PackageTree,
        interpreter: &Interpreter,
        entrypoint: Entrypoint,
        cache: &Cache,
    ) -> Result<Self> {
        let python = interpreter.path.to_string();
        let handler = ground.function.handler.clone();
        let owned =
            |file: &&FileEntry| file.distribution.is_some() && !ground.user_files().contains(&file.path);
        let (theirs, own): (Vec<&FileEntry>, Vec<&FileEntry>) = package.files.iter().partition(owned);
        let task = |files: Vec<&FileEntry>| Part {
            at: TASK_ROOT.into(),
            entries: files.into_iter().map(|file| entry(&package.root, file)).collect(),
        };
        let layers = layers(ground)?;
        let mut paths: Vec<String> = Vec::new();
        if layers.is_some() {
            let version = ground.function.python;
            paths.push(format!("{LAYERS_ROOT}/python/lib/python{version}/site-packages"));
            paths.push(format!("{LAYERS_ROOT}/python"));
        }
        let mut parts = Self {
            runtime: Vec::new(),
            dependencies: std::iter::once(task(theirs)).chain(layers).collect(),
            application: vec![task(own)],
            entrypoint: Vec::new(),
            cmd: Vec::new(),
            env: [("LAMBDA_TASK_ROOT".to_owned(), TASK_ROOT.to_owned())].into(),
        };
        match entrypoint {
            Entrypoint::Lambda if interpreter.managed => parts.cmd = vec![handler],
            Entrypoint::Lambda => {
                parts.runtime = vec![folder(&ground.runtime.packages, RUNTIME_ROOT)?];
                parts.entrypoint = [&python, "-m", "awslambdaric"].map(str::to_owned).to_vec();
                parts.cmd = vec![handler];
                paths.push(RUNTIME_ROOT.to_owned());
            }
            Entrypoint::Http => {
                parts.runtime = vec![http_entry(ground, cache)?];
                parts.entrypoint = [&python, "-m", HTTP_MODULE].map(str::to_owned).to_vec();
                parts.env.insert("HANDLER".to_owned(), handler);
                paths.push(RUNTIME_ROOT.to_owned());
            }
        }
        if !paths.is_empty() && !interpreter.managed {
            parts.env.insert("PYTHONPATH".to_owned(), paths.join(":"));
        }
        Ok(parts)
    }

    pub(super) fn request(
        self,
        ground: &Ground,
        package: &PackageTree,
        base: Base,
        asked: &ImageOptions,
        hot: Vec<TouchedFile>,
    ) -> ImageRequest {
        let function = ground.function;
        let title = ("org.opencontainers.image.title".to_owned(), function.name.clone());
        ImageRequest {
            name: function.name.clone(),
            base,
            architecture: function.architecture,
            python: Some(function.python),
            format: asked.format,
            runtime: self.runtime,
            dependencies: self.dependencies,
            application: self.application,
            hot,
            entrypoint: self.entrypoint,
            cmd: self.cmd,
            env: self.env,
            working_dir: Some(TASK_ROOT.into()),
            labels: [title].into(),
            components: components(package),
        }
    }
}

fn entry(root: &Utf8Path, file: &FileEntry) -> ArchiveEntry {
    let source = match &file.symlink {
        Some(target) => Contents::Symlink(target.clone()),
        None => Contents::File(root.join(&file.path)),
    };
    ArchiveEntry { path: file.path.clone(), source, executable: file.executable }
}

/// All of a folder, at a place in the image.
fn folder(path: &Utf8Path, at: &str) -> Result<Part> {
    let tree = PackageTree::scan(path)?;
    Ok(Part { at: at.into(), entries: tree.files.iter().map(|file| entry(path, file)).collect() })
}

/// The user's own layers as they lie over each other; `None` without any.
fn layers(ground: &Ground) -> Result<Option<Part>> {
    let mut seen: BTreeMap<Utf8PathBuf, ArchiveEntry> = BTreeMap::new();
    for layer in &ground.tree.layers {
        for entry in folder(layer, LAYERS_ROOT)?.entries {
            seen.insert(entry.path.clone(), entry);
        }
    }
    Ok((!seen.is_empty()).then(|| Part { at: LAYERS_ROOT.into(), entries: seen.into_values().collect() }))
}

/// The server behind the entry point `http`, with its bytecode.
fn http_entry(ground: &Ground, cache: &Cache) -> Result<Part> {
    let path = Utf8PathBuf::from(format!("{HTTP_MODULE}.py"));
    let source = ground.work().join(&path);
    fs::write(&source, HTTP_ENTRY_SOURCE)?;
    let version = ground.function.python;
    let compiler = Compiler::new(&ground.runtime.python, version, cache, 1)?;
    let job = CompileJob { source: source.clone(), task_path: format!("{RUNTIME_ROOT}/{path}"), edits: None };
    let Some(CompileResult::Done(bytecode)) = compiler.compile(vec![job], &NoProgress)?.pop() else {
        return Err(Error::defect("the server of the image does not compile"));
    };
    let file = |path: Utf8PathBuf, from: Utf8PathBuf| ArchiveEntry {
        path,
        source: Contents::File(from),
        executable: false,
    };
    let entries = vec![file(bytecode_path(&path, version), bytecode), file(path, source)];
    Ok(Part { at: RUNTIME_ROOT.into(), entries })
}

/// Rows of the bill of materials, by what the distributions say of themselves.
fn components(package: &PackageTree) -> Vec<Component> {
    let described = package.distributions.iter().map(|distribution| Component {
        name: distribution.name.clone(),
        version: distribution.version.clone(),
        licence: licence(&package.root.join(&distribution.dist_info)),
        purl: Some(format!("pkg:pypi/{}@{}", normalise_name(&distribution.name), distribution.version)),
    });
    described.collect()
}

/// `License-Expression`, else `License`, of `METADATA`: core metadata 2.4,
/// <https://packaging.python.org/en/latest/specifications/core-metadata/>.
fn licence(folder: &Utf8Path) -> Option<Licence> {
    let text = fs::read(folder.join("METADATA")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let head: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
    let field =
        |name: &str| head.iter().find_map(|line| line.strip_prefix(name)).map(|v| v.trim().to_owned());
    let name = field("License:").filter(|name| !name.is_empty() && name.len() < 100);
    field("License-Expression:").map(Licence::Expression).or(name.map(Licence::Name))
}
