//! The files that every start of an interpreter reads before its first line of Python: its ELF file, its loader, and
//! the libraries that these name, as they are found in a root file system.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Architecture, Error, Progress, Result};
use object::Endianness;
use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use serde::Serialize;

use crate::layout::Layout;
use crate::limits::IMAGE_LIMIT;
use crate::node::{Kind, Node};
use crate::request::{Base, Ownership};
use crate::rootfs;
use crate::unlayer::{Reading, read_layer};
use crate::view::{Seen, View, What};

/// The largest ELF file that is read, in bytes: interpreters and their libraries have some 10 MB.
const ELF_LIMIT: u64 = 512 * 1024 * 1024;
/// The loader's list of libraries, which glibc reads at each start where it is there.
const LOADER_CACHE: &str = "etc/ld.so.cache";

/// What a start of an interpreter reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct StartupFiles {
    /// Absolute paths, links followed, in the order in which they are read.
    pub files: Vec<Utf8PathBuf>,
    /// Libraries that are named and not there.
    pub missing: Vec<String>,
}

/// Finds them for the interpreter at an absolute path in the base.
///
/// Errors (input): a base that cannot be read, no such file in it, no ELF file, one for another machine.
pub fn startup_files(
    base: &Base,
    architecture: Architecture,
    interpreter: &Utf8Path,
    progress: &dyn Progress,
) -> Result<StartupFiles> {
    BaseFiles::read(base, architecture, progress)?.startup(interpreter)
}

/// The files of a base, read once.
#[derive(Debug)]
pub struct BaseFiles {
    root: Root,
    architecture: Architecture,
}

impl BaseFiles {
    /// Reads their names, and the contents of what a loader may ask for.
    ///
    /// Errors (input): a base that cannot be read.
    pub fn read(base: &Base, architecture: Architecture, progress: &dyn Progress) -> Result<Self> {
        Ok(Self { root: Root::read(base, architecture, progress)?, architecture })
    }

    /// Whether there is a file at an absolute path, links followed.
    pub fn has(&self, path: &Utf8Path) -> bool {
        self.root.find(path.as_str()).is_some()
    }

    /// Files and links below the folder at an absolute path, relative to it, sorted.
    pub fn below(&self, folder: &Utf8Path) -> Vec<Utf8PathBuf> {
        let folder = folder.as_str().trim_matches('/');
        let is_folder =
            |path: &str| matches!(self.root.view.get(path), Some(Seen { what: What::Dir { .. }, .. }));
        let paths = self.root.view.below(folder).filter(|path| !is_folder(path));
        paths.map(|path| path[folder.len()..].trim_start_matches('/').into()).collect()
    }

    /// What every start of the interpreter at an absolute path reads.
    ///
    /// Errors (input): no such file, no ELF file, one for another machine.
    pub fn startup(&self, interpreter: &Utf8Path) -> Result<StartupFiles> {
        startup(&self.root, self.architecture, interpreter)
    }
}

fn startup(root: &Root, architecture: Architecture, interpreter: &Utf8Path) -> Result<StartupFiles> {
    let Some(start) = root.find(interpreter.as_str()) else {
        return Err(Error::input("the base has no such interpreter")
            .place(interpreter.as_str())
            .hint("give its absolute path in the base, for example `/usr/bin/python3`"));
    };
    let mut search = Search {
        root,
        architecture,
        folders: root.folders(),
        seen: BTreeSet::new(),
        found: StartupFiles::default(),
    };
    search.run(start)?;
    Ok(search.found)
}

/// The files of a base.
#[derive(Debug)]
struct Root {
    view: View,
    /// The entries that are seen, by path.
    nodes: BTreeMap<String, Node>,
}

impl Root {
    fn read(base: &Base, architecture: Architecture, progress: &dyn Progress) -> Result<Self> {
        let mut root = Self { view: View::default(), nodes: BTreeMap::new() };
        match base {
            Base::Scratch => {}
            Base::RootFs { path, .. } => root.add(rootfs::scan(path, Ownership::Root, progress)?.nodes),
            Base::Layout { path, image, .. } => {
                let layout = Layout::open(path)?;
                let image = layout.image(image.as_deref(), &[architecture])?;
                let mut left = IMAGE_LIMIT;
                for (layer, diff_id) in image.manifest.layers.iter().zip(&image.diff_ids) {
                    let spool = tempfile::tempfile()?;
                    let read = read_layer(
                        &layout,
                        layer,
                        Some(diff_id),
                        left,
                        Some(spool),
                        Reading::Whole,
                        progress,
                    )?;
                    left -= read.bytes;
                    root.add(read.nodes);
                }
            }
        }
        Ok(root)
    }

    fn add(&mut self, nodes: Vec<Node>) {
        self.view.add_layer(&nodes);
        self.nodes.extend(nodes.into_iter().map(|node| (node.path.clone(), node)));
    }

    /// The real path of a file.
    fn find(&self, path: &str) -> Option<String> {
        let (real, seen) = self.view.resolve(path)?;
        matches!(seen.what, What::File).then_some(real)
    }

    fn contents(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match self.nodes.get(path).map(|node| &node.kind) {
            Some(Kind::File { data, size, .. }) if *size <= ELF_LIMIT => {
                data.read(0, *size as usize).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The folders that the loader looks into besides those that a file names: those of its configuration (glibc's
    /// `ld.so.conf`), then the built-in ones.
    fn folders(&self) -> Vec<String> {
        let mut folders = Vec::new();
        let mut files: Vec<String> = vec!["etc/ld.so.conf".to_owned()];
        files.extend(self.view.below("etc/ld.so.conf.d").map(str::to_owned));
        for file in files {
            let Ok(Some(bytes)) = self.contents(&file) else { continue };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            folders.extend(text.lines().map(str::trim).filter(|l| l.starts_with('/')).map(str::to_owned));
        }
        for triple in ["x86_64-linux-gnu", "aarch64-linux-gnu"] {
            folders.extend([format!("/lib/{triple}"), format!("/usr/lib/{triple}")]);
        }
        folders.extend(["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"].map(str::to_owned));
        folders
    }
}

/// What one ELF file says that it needs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needs {
    loader: Option<String>,
    libraries: Vec<String>,
    /// `DT_RPATH` and `DT_RUNPATH`, `$ORIGIN` not yet replaced.
    paths: Vec<String>,
}

struct Search<'a> {
    root: &'a Root,
    architecture: Architecture,
    folders: Vec<String>,
    seen: BTreeSet<String>,
    found: StartupFiles,
}

impl Search<'_> {
    fn run(&mut self, start: String) -> Result<()> {
        // The search paths of the interpreter hold for its libraries too (`DT_RPATH`).
        let mut inherited: Vec<String> = Vec::new();
        let mut queue = VecDeque::from([(start.clone(), true)]);
        self.seen.insert(start);
        while let Some((path, first)) = queue.pop_front() {
            let bytes = self.root.contents(&path)?.unwrap_or_default();
            let place = format!("/{path}");
            let needs = match needs(&bytes, self.architecture) {
                Ok(needs) => needs,
                Err(wrong) if first => {
                    return Err(Error::input("the interpreter cannot be read").cause(wrong).place(place));
                }
                Err(_) => continue, // A library for another machine: the loader passes over it too.
            };
            let origin = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let mut own: Vec<String> = needs
                .paths
                .iter()
                .flat_map(|paths| paths.split(':'))
                .map(|path| path.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", &format!("/{origin}")))
                .collect();
            self.found.files.push(place.into());
            if first {
                inherited.clone_from(&own);
                self.loader(needs.loader.as_deref());
            } else {
                own.extend(inherited.iter().cloned());
            }
            for library in needs.libraries {
                self.library(&library, &own, &mut queue);
            }
        }
        Ok(())
    }

    fn loader(&mut self, loader: Option<&str>) {
        let Some(name) = loader else { return };
        let Some(path) = self.root.find(name) else {
            self.found.missing.push(name.to_owned());
            return;
        };
        if self.seen.insert(path.clone()) {
            self.found.files.push(format!("/{path}").into());
        }
        if let Some(cache) = self.root.find(LOADER_CACHE) {
            self.found.files.push(format!("/{cache}").into());
        }
    }

    fn library(&mut self, name: &str, own: &[String], queue: &mut VecDeque<(String, bool)>) {
        let fits = |path: &String| {
            let bytes = self.root.contents(path).ok().flatten().unwrap_or_default();
            needs(&bytes, self.architecture).is_ok()
        };
        let found = if name.contains('/') {
            self.root.find(name)
        } else {
            let mut folders = own.iter().chain(&self.folders);
            folders.find_map(|folder| self.root.find(&format!("{folder}/{name}")).filter(|path| fits(path)))
        };
        match found {
            Some(path) => {
                if self.seen.insert(path.clone()) {
                    queue.push_back((path, false));
                }
            }
            None => {
                if !self.found.missing.iter().any(|known| known == name) {
                    self.found.missing.push(name.to_owned());
                }
            }
        }
    }
}

/// Reads the dynamic section. The text says why the file cannot be used.
fn needs(bytes: &[u8], architecture: Architecture) -> Result<Needs, String> {
    let text = |error: object::Error| error.to_string();
    let header = FileHeader64::<Endianness>::parse(bytes).map_err(text)?;
    let endian = header.endian().map_err(text)?;
    let machine = match architecture {
        Architecture::X86_64 => elf::EM_X86_64,
        Architecture::Arm64 => elf::EM_AARCH64,
    };
    if header.e_machine(endian) != machine {
        return Err(format!("it is for another machine than {architecture}"));
    }
    let mut needs = Needs::default();
    for segment in header.program_headers(endian, bytes).map_err(text)? {
        if let Some(loader) = segment.interpreter(endian, bytes).map_err(text)? {
            needs.loader = Some(String::from_utf8_lossy(loader).into_owned());
        }
    }
    let sections = header.sections(endian, bytes).map_err(text)?;
    let Some((entries, link)) = sections.dynamic(endian, bytes).map_err(text)? else {
        return Ok(needs); // Linked statically.
    };
    let strings = sections.strings(endian, bytes, link).map_err(text)?;
    for entry in entries {
        let list = match entry.tag(endian) {
            elf::DT_NEEDED => &mut needs.libraries,
            elf::DT_RPATH | elf::DT_RUNPATH => &mut needs.paths,
            _ => continue,
        };
        list.push(String::from_utf8_lossy(entry.string(endian, strings).map_err(text)?).into_owned());
    }
    Ok(needs)
}
