//! What an environment sees: the tree at `/var/task`, layers at `/opt`, a private `/tmp`, the rest read-only.
//!
//! The new root is built in memory: every folder of the host's root is mounted into it but those that Lambda has
//! for itself. The interpreter's virtual environment appears as `/var/lang`, the runtime client as `/var/runtime`,
//! as on Lambda. No mount point is made on the host.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Result, TASK_ROOT};

use crate::disk::Disk;
use crate::launch::steps::{Step, c_string};
use crate::variables::Places;
use crate::workshop::PROCESSES;

/// Folders of the environment's own; what the host has there is hidden.
const OWN: [&str; 7] = ["/tmp", OPT, TASK_ROOT, RUNTIME, LANG, FORKS, HOME];
const RUNTIME: &str = "/var/runtime";
const LANG: &str = "/var/lang";
/// Folders of forks: seen by the process that is forked alone.
pub(crate) const FORKS: &str = "/var/forks";
const OPT: &str = "/opt";
const BOOTSTRAP: &str = "bootstrap";
/// What every container has ("Default Devices" of the OCI runtime specification, `config-linux.md`).
const DEVICES: [&str; 6] = ["/dev/full", "/dev/null", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero"];
const DEVICE_LINKS: [(&str, &CStr); 5] = [
    ("/dev/fd", c"/proc/self/fd"),
    ("/dev/ptmx", c"pts/ptmx"),
    ("/dev/stderr", c"/proc/self/fd/2"),
    ("/dev/stdin", c"/proc/self/fd/0"),
    ("/dev/stdout", c"/proc/self/fd/1"),
];
/// Empty and read-only: Lambda's functions have no home at all.
const HOME: &str = "/var/home";

/// The folders on the host that a view shows.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) tree: Utf8PathBuf,
    /// All layers in one, or an empty folder.
    pub(crate) opt: Utf8PathBuf,
    pub(crate) temporary: Utf8PathBuf,
    /// Is seen in place of that folder.
    pub(crate) disk: Option<Arc<Disk>>,
    pub(crate) home: Utf8PathBuf,
    pub(crate) runtime: Option<RuntimeSources>,
    pub(crate) tree_writable: bool,
    /// What is seen as `/etc/hosts`, where it is not the host's.
    pub(crate) hosts: Option<Utf8PathBuf>,
    /// The folders of forks, where there are to be some.
    pub(crate) forks: Option<Utf8PathBuf>,
    /// What the view does not show, where the host has it.
    pub(crate) hidden: Vec<Utf8PathBuf>,
}

/// An interpreter with the runtime client.
#[derive(Debug, Clone)]
pub(crate) struct RuntimeSources {
    pub(crate) packages: Utf8PathBuf,
    pub(crate) bootstrap: Utf8PathBuf,
    pub(crate) python: Utf8PathBuf,
}

/// A view, ready to be entered.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) steps: Vec<Step>,
    pub(crate) root: Option<CString>,
    pub(crate) places: Places,
    /// Where the program starts.
    pub(crate) directory: String,
    /// What is executed, with its arguments, as the environment sees it.
    pub(crate) program: Vec<Utf8PathBuf>,
}

/// The host's own view, for hosts that allow no other: everything at its real place.
pub(crate) fn plain(sources: &Sources) -> View {
    let runtime = sources.runtime.as_ref();
    let lang = runtime.and_then(|runtime| runtime.python.parent().and_then(Utf8Path::parent));
    View {
        steps: Vec::new(),
        root: None,
        directory: sources.tree.to_string(),
        places: Places {
            task: sources.tree.to_string(),
            opt: sources.opt.to_string(),
            runtime: runtime.map_or_else(|| RUNTIME.to_owned(), |runtime| runtime.packages.to_string()),
            lang: lang.unwrap_or(Utf8Path::new("/usr")).to_string(),
            home: sources.home.to_string(),
            temporary: Some(sources.temporary.to_string()),
        },
        program: match runtime {
            Some(runtime) => vec![runtime.python.clone(), runtime.bootstrap.clone()],
            None => vec![own_bootstrap(sources, &sources.tree, &sources.opt)],
        },
    }
}

/// The `bootstrap` of a function that brings its own runtime: the package's, else a layer's.
fn own_bootstrap(sources: &Sources, task: &Utf8Path, opt: &Utf8Path) -> Utf8PathBuf {
    let place = if sources.tree.join(BOOTSTRAP).exists() { task } else { opt };
    place.join(BOOTSTRAP)
}

/// A view with its own mounts; `root` is an empty folder.
pub(crate) fn own(sources: &Sources, root: &Utf8Path) -> Result<View> {
    let mut builder = Builder { root: root.to_owned(), steps: vec![Step::Private] };
    builder.memory()?;
    builder.host()?;
    builder.temporary(sources)?;
    builder.directory("/var")?;
    builder.children(Utf8Path::new("/var"), "/var", &["task", "runtime", "lang", "home", "forks"])?;
    builder.place(&sources.tree, TASK_ROOT)?;
    builder.place(&sources.home, HOME)?;
    if let Some(forks) = &sources.forks {
        builder.place(forks, FORKS)?;
    }
    builder.directory(OPT)?;
    builder.children(&sources.opt, OPT, &[])?;
    builder.directory(RUNTIME)?;
    if let Some(hosts) = &sources.hosts {
        builder.bind(hosts, "/etc/hosts", false)?;
    }
    for hidden in &sources.hidden {
        builder.hide(hidden, &sources.home)?;
    }
    let program = match &sources.runtime {
        Some(runtime) => builder.runtime(runtime)?,
        None => vec![own_bootstrap(sources, Utf8Path::new(TASK_ROOT), Utf8Path::new(OPT))],
    };
    let mut steps = builder.steps;
    steps.push(Step::Processes(c_string(format!("{root}/proc"))?));
    let for_forks = format!("{root}{FORKS}/{PROCESSES}");
    if sources.forks.is_some() {
        steps.push(Step::Processes(c_string(for_forks.as_str())?));
    }
    steps.push(Step::ReadOnly(c_string(root.as_str())?));
    steps.push(Step::Writable(c_string(format!("{root}/tmp"))?));
    if sources.forks.is_some() {
        steps.push(Step::Writable(c_string(format!("{root}{FORKS}"))?));
        steps.push(Step::Writable(c_string(for_forks)?));
    }
    if sources.tree_writable {
        steps.push(Step::Writable(c_string(format!("{root}{TASK_ROOT}"))?));
    }
    Ok(View {
        steps,
        root: Some(c_string(root.as_str())?),
        directory: TASK_ROOT.to_owned(),
        places: Places {
            task: TASK_ROOT.to_owned(),
            opt: OPT.to_owned(),
            runtime: RUNTIME.to_owned(),
            lang: LANG.to_owned(),
            home: HOME.to_owned(),
            temporary: None,
        },
        program,
    })
}

/// Paths below `/tmp` that are mount points of ours: an interpreter that lives in the host's.
pub(crate) fn hidden_in_tmp(python: &Utf8Path) -> BTreeSet<Utf8PathBuf> {
    let hidden = Interpreter::find(python).map(|interpreter| interpreter.hidden()).unwrap_or_default();
    hidden.iter().filter_map(|prefix| prefix.strip_prefix("/tmp").ok()).map(Utf8Path::to_owned).collect()
}

/// Where an interpreter's files are.
#[derive(Debug)]
struct Interpreter {
    /// The virtual environment, if it is one.
    environment: Option<Utf8PathBuf>,
    /// Folders that must be at their own place: the prefix of the interpreter itself, by every name it has.
    prefixes: BTreeSet<Utf8PathBuf>,
}

impl Interpreter {
    fn find(python: &Utf8Path) -> Result<Self> {
        let missing = |error: std::io::Error| {
            Error::surroundings(format!("cannot find the interpreter `{python}`")).cause(error)
        };
        let real = python.canonicalize_utf8().map_err(missing)?;
        let prefix = |path: &Utf8Path| path.parent().and_then(Utf8Path::parent).map(Utf8Path::to_owned);
        let mut prefixes: BTreeSet<Utf8PathBuf> = prefix(&real).into_iter().collect();
        let own = prefix(python);
        let settings = own.as_ref().and_then(|own| fs::read_to_string(own.join("pyvenv.cfg")).ok());
        if settings.is_none() {
            prefixes.extend(own.clone());
        }
        let home = settings.as_deref().and_then(|text| {
            text.lines().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                (name.trim() == "home").then(|| Utf8PathBuf::from(value.trim()))
            })
        });
        if let Some(home) = home {
            prefixes.extend(home.parent().map(Utf8Path::to_owned));
            prefixes
                .extend(home.canonicalize_utf8().ok().and_then(|home| home.parent().map(Utf8Path::to_owned)));
        }
        // A link to a link: every step must be there.
        let mut at = python.to_owned();
        for _ in 0..16 {
            let Ok(target) = at.read_link_utf8() else { break };
            at = at.parent().unwrap_or(Utf8Path::new("/")).join(target);
            if at.is_absolute() && own.as_ref().is_none_or(|own| !at.starts_with(own)) {
                prefixes.extend(prefix(&at));
            }
        }
        Ok(Self { environment: settings.and(own), prefixes })
    }

    /// The prefixes that the environment's own folders would hide; none below another.
    fn hidden(&self) -> Vec<Utf8PathBuf> {
        let mut found: Vec<Utf8PathBuf> = Vec::new();
        for prefix in &self.prefixes {
            let hidden = OWN.iter().any(|own| prefix.starts_with(own) && prefix != own);
            if hidden && !found.iter().any(|other| prefix.starts_with(other)) {
                found.push(prefix.clone());
            }
        }
        found
    }
}

pub(crate) struct Builder {
    pub(crate) root: Utf8PathBuf,
    pub(crate) steps: Vec<Step>,
}

impl Builder {
    fn inside(&self, at: &str) -> Result<CString> {
        c_string(format!("{}{at}", self.root))
    }

    pub(crate) fn memory(&mut self) -> Result<()> {
        self.steps.push(Step::Memory(self.inside("")?));
        Ok(())
    }

    pub(crate) fn directory(&mut self, at: &str) -> Result<()> {
        self.steps.push(Step::Directory(self.inside(at)?));
        Ok(())
    }

    pub(crate) fn bind(&mut self, from: &Utf8Path, at: &str, needed: bool) -> Result<()> {
        self.steps.push(Step::Bind { from: c_string(from.as_str())?, to: self.inside(at)?, needed });
        Ok(())
    }

    /// The `/tmp` of its own.
    pub(crate) fn temporary(&mut self, sources: &Sources) -> Result<()> {
        self.directory("/tmp")?;
        match &sources.disk {
            Some(disk) => {
                let (mount, at) = (disk.entrance()?, self.inside("/tmp")?);
                self.steps.push(Step::Attach { mount, at });
                Ok(())
            }
            None => self.bind(&sources.temporary, "/tmp", true),
        }
    }

    /// A folder or a file at a place that is not there yet.
    fn place(&mut self, from: &Utf8Path, at: &str) -> Result<()> {
        if from.is_dir() {
            self.directory(at)?;
        } else {
            self.steps.push(Step::File(self.inside(at)?));
        }
        self.bind(from, at, true)
    }

    /// The interpreter and the runtime client; gives what is to be executed.
    fn runtime(&mut self, sources: &RuntimeSources) -> Result<Vec<Utf8PathBuf>> {
        let interpreter = Interpreter::find(&sources.python)?;
        self.children(&sources.packages, RUNTIME, &["bootstrap.py"])?;
        let start = format!("{RUNTIME}/bootstrap.py");
        self.place(&sources.bootstrap, &start)?;
        let python = match &interpreter.environment {
            Some(prefix) => {
                self.place(prefix, LANG)?;
                Utf8Path::new(LANG).join("bin").join(sources.python.file_name().unwrap_or("python"))
            }
            None => sources.python.clone(),
        };
        for prefix in interpreter.hidden() {
            self.show(&prefix)?;
        }
        Ok(vec![python, start.into()])
    }

    /// What programs expect below `/dev`; none of the host's disks, which root could read past every view.
    pub(crate) fn devices(&mut self) -> Result<()> {
        self.directory("/dev")?;
        for folder in ["/dev/pts", "/dev/shm"] {
            self.directory(folder)?;
            self.bind(Utf8Path::new(folder), folder, false)?;
        }
        for device in DEVICES {
            self.steps.push(Step::File(self.inside(device)?));
            self.bind(Utf8Path::new(device), device, true)?;
        }
        for (at, target) in DEVICE_LINKS {
            self.steps.push(Step::Link { at: self.inside(at)?, target: target.into() });
        }
        Ok(())
    }

    /// The host's root, but for the folders that are the environment's own.
    fn host(&mut self) -> Result<()> {
        self.directory("/proc")?;
        self.devices()?;
        self.children(Utf8Path::new("/"), "", &["tmp", "var", "opt", "proc", "dev"])
    }

    /// Everything in a folder of the host, but what is named.
    pub(crate) fn children(&mut self, from: &Utf8Path, at: &str, except: &[&str]) -> Result<()> {
        // Sorted, and once each.
        let mut entries = BTreeMap::new();
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            // A name that is not text cannot be asked for by ours.
            if let Ok(name) = entry.file_name().into_string() {
                entries.insert(name, entry.file_type()?);
            }
        }
        for (name, kind) in entries {
            if except.contains(&name.as_str()) {
                continue;
            }
            let (from, at) = (from.join(&name), format!("{at}/{name}"));
            if kind.is_symlink() {
                let target = c_string(from.read_link_utf8()?.into_string())?;
                self.steps.push(Step::Link { at: self.inside(&at)?, target });
            } else if kind.is_dir() {
                self.directory(&at)?;
                self.bind(&from, &at, false)?;
            } else if kind.is_file() {
                self.steps.push(Step::File(self.inside(&at)?));
                self.bind(&from, &at, false)?;
            }
        }
        Ok(())
    }

    /// An empty folder, or nothing, in the place of one of the host's. What lies in an environment's own folders is not seen
    /// anyway.
    fn hide(&mut self, path: &Utf8Path, empty: &Utf8Path) -> Result<()> {
        if OWN.iter().any(|own| path.starts_with(own)) {
            return Ok(());
        }
        let over = if path.is_dir() { empty } else { Utf8Path::new("/dev/null") };
        self.bind(over, path.as_str(), false)
    }

    /// A folder at its own place, within one of the environment's own.
    fn show(&mut self, folder: &Utf8Path) -> Result<()> {
        let mut ancestors: Vec<&Utf8Path> =
            folder.ancestors().filter(|path| path.parent().is_some()).collect();
        ancestors.reverse();
        for ancestor in ancestors {
            self.directory(ancestor.as_str())?;
        }
        self.bind(folder, folder.as_str(), true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_below_own_folders_are_shown_once() {
        let interpreter = Interpreter {
            environment: None,
            prefixes: ["/opt/tools/python", "/opt/tools/python/inner", "/usr", "/tmp/py", "/opt"]
                .map(Utf8PathBuf::from)
                .into(),
        };
        assert_eq!(interpreter.hidden(), ["/opt/tools/python", "/tmp/py"]);
    }

    #[test]
    fn a_virtual_environment_names_its_interpreter() {
        let folder = tempfile::tempdir().unwrap();
        let at = Utf8Path::from_path(folder.path()).unwrap().canonicalize_utf8().unwrap();
        for place in ["base/bin", "venv/bin"] {
            fs::create_dir_all(at.join(place)).unwrap();
        }
        fs::write(at.join("base/bin/python3.12"), "").unwrap();
        fs::write(at.join("venv/pyvenv.cfg"), format!("home = {at}/base/bin\n")).unwrap();
        fs_err::os::unix::fs::symlink(at.join("base/bin/python3.12"), at.join("venv/bin/python")).unwrap();
        let found = Interpreter::find(&at.join("venv/bin/python")).unwrap();
        assert_eq!(found.environment, Some(at.join("venv")));
        assert_eq!(found.prefixes, BTreeSet::from([at.join("base")]));
        assert!(Interpreter::find(&at.join("none/bin/python")).is_err());
    }
}
