//! The files of an image that a start reads until its first response, as traced starts have shown them.
//!
//! Traced is the function with this machine's interpreter. What that read of its standard library is looked for in the
//! base's; of both it is the same minor version. Which parts of a native library were touched holds for the libraries that
//! are the same in the image: the package's, the layers', the runtime client's.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use glowplug_core::{Error, Progress, PythonVersion, Result, TASK_ROOT};
use glowplug_image::{BaseFiles, TouchedFile};
use glowplug_trace::{FileRecord, Observation, ObserveOptions, observe_with};

use crate::ground::Ground;
use crate::image::parts::{Interpreter, LAYERS_ROOT, RUNTIME_ROOT};

/// Modules that every interpreter reads before an agent could see it.
const FIRST: [&str; 3] = ["encodings", "encodings.aliases", "encodings.utf_8"];

/// What the starts touch in the image.
pub(super) struct Touched {
    /// Event → files in the order of their first use.
    events: Vec<(String, Vec<TouchedFile>)>,
    /// Places of the events by their shares, the most frequent first.
    order: Vec<usize>,
}

impl Touched {
    /// Traces one start for each event. On another machine nothing is traced, and what every start reads is all that is
    /// known.
    ///
    /// # Errors
    /// Input: an interpreter that cannot be read. Surroundings: a process that cannot be started. Interrupted.
    pub(super) fn of(
        ground: &Ground,
        tree: &Utf8Path,
        files: &BaseFiles,
        interpreter: &Interpreter,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let startup = files.startup(&interpreter.path)?.files;
        let place = Place { files, interpreter, version: ground.function.python };
        progress.start("Tracing files", Some(ground.events.len() as u64));
        let mut events = Vec::new();
        for event in &ground.events {
            if progress.interrupted() {
                return Err(Error::interrupted());
            }
            let mut touched: Vec<TouchedFile> = startup.iter().cloned().map(TouchedFile::from).collect();
            if ground.runs_here() {
                let options = ObserveOptions { files: true, ..ObserveOptions::default() };
                let spec = ground.spec_for_agent(tree, None);
                let payload = Some((event.name.as_str(), event.payload.as_slice()));
                touched.extend(place.of(&observe_with(&ground.engine, &spec, payload, &options)?));
            }
            events.push((event.name.clone(), each_once(&touched)));
            progress.advance(1);
        }
        progress.finish();
        let mut order: Vec<usize> = (0..events.len()).collect();
        order.sort_by(|a, b| ground.events[*b].weight.total_cmp(&ground.events[*a].weight));
        Ok(Self { events, order })
    }

    /// What any event reads, that of the most frequent first.
    pub(super) fn hot(&self) -> Vec<TouchedFile> {
        each_once(self.order.iter().flat_map(|at| &self.events[*at].1))
    }

    /// What each event reads.
    pub(super) fn by_event(&self) -> &[(String, Vec<TouchedFile>)] {
        &self.events
    }
}

/// Each file where it comes first, with all that is touched of it.
fn each_once<'a>(files: impl IntoIterator<Item = &'a TouchedFile>) -> Vec<TouchedFile> {
    let mut known: Vec<TouchedFile> = Vec::new();
    let mut places: BTreeMap<&Utf8Path, usize> = BTreeMap::new();
    for file in files {
        if let Some(first) = places.get(file.path.as_path()).and_then(|place| known.get_mut(*place)) {
            first.add(file.parts.as_ref());
        } else {
            places.insert(&file.path, known.len());
            known.push(file.clone());
        }
    }
    known
}

/// Where things are in the image.
struct Place<'a> {
    files: &'a BaseFiles,
    interpreter: &'a Interpreter,
    version: PythonVersion,
}

impl Place<'_> {
    fn of(&self, observation: &Observation) -> Vec<TouchedFile> {
        let preloaded = FIRST.into_iter().chain(observation.preloaded.iter().map(String::as_str));
        let preloaded = preloaded.filter_map(|module| self.module(module));
        let files = observation.files.iter().filter_map(|file| self.file(file));
        preloaded.map(TouchedFile::from).chain(files).collect()
    }

    fn file(&self, file: &FileRecord) -> Option<TouchedFile> {
        let path = self.path(&file.path)?;
        let same = [TASK_ROOT, LAYERS_ROOT, RUNTIME_ROOT].iter().any(|root| path.starts_with(root));
        let parts = file.parts.as_ref().filter(|_| same).map(|parts| parts.within(file.bytes));
        Some(TouchedFile { path, parts })
    }

    fn path(&self, path: &Utf8Path) -> Option<Utf8PathBuf> {
        if path.is_relative() {
            return Some(Utf8Path::new(TASK_ROOT).join(path));
        }
        let library = format!("/lib/python{}/", self.version);
        match path.as_str().split_once(&library) {
            Some((_, rest)) if !path.starts_with("/var/runtime") && !path.starts_with("/opt") => {
                self.in_library(Utf8Path::new(rest))
            }
            _ => Some(path.to_owned()),
        }
    }

    /// The base may lack the bytecode that was read here, and then its interpreter reads the source.
    fn in_library(&self, rest: &Utf8Path) -> Option<Utf8PathBuf> {
        let found = self.interpreter.library.join(rest);
        if self.files.has(&found) {
            return Some(found);
        }
        let source = glowplug_package::source_of_bytecode(rest)?;
        Some(self.interpreter.library.join(source)).filter(|path| self.files.has(path))
    }

    fn module(&self, name: &str) -> Option<Utf8PathBuf> {
        let path = Utf8PathBuf::from(name.replace('.', "/"));
        let sources = [path.join("__init__.py"), path.with_extension("py")];
        let mut bytecode = sources.iter().map(|source| glowplug_package::bytecode_path(source, self.version));
        bytecode.find_map(|path| self.in_library(&path))
    }
}
