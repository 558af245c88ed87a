//! A root file system in a folder: of it are looked at the function's folder, layers and site folders, as of an image.
//! The system's own libraries are not the package's.

use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::{Architecture, Cache, Error, Progress, Result, TASK_ROOT};
use glowplug_image::ImageConfig;
use walkdir::WalkDir;

use super::DoctorOptions;
use super::image::{is_wanted, laid_out};
use super::prepare::Prepared;
use crate::workspace::Workspace;

/// What every system has at its root ("Filesystem Hierarchy Standard", 3.0), and of which it has one at least.
const ALWAYS: [&str; 2] = ["etc", "usr"];
const ONE_OF: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Whether a folder is the root of a system, as debootstrap and container tools make them.
pub(super) fn is_root(folder: &Utf8Path) -> bool {
    ALWAYS.iter().all(|name| folder.join(name).is_dir())
        && ONE_OF.iter().any(|name| fs::symlink_metadata(folder.join(name)).is_ok())
}

pub(super) fn prepare(
    path: &Utf8Path,
    options: &DoctorOptions,
    cache: &Cache,
    progress: &dyn Progress,
    not_seen: &mut Vec<String>,
) -> Result<Prepared> {
    let workspace = Workspace::open(cache)?;
    // It has no configuration: the function is where Lambda has it.
    let config = ImageConfig {
        architecture: Architecture::host().unwrap_or(Architecture::X86_64),
        environment: Vec::new(),
        working_folder: TASK_ROOT.into(),
        command: Vec::new(),
    };
    let into = workspace.path().join("image");
    fs::create_dir_all(&into)?;
    let mut links = 0;
    for entry in WalkDir::new(path).follow_links(false) {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        let entry = entry.map_err(|error| {
            Error::surroundings("cannot read the root file system").cause(error).place(path.as_str())
        })?;
        // A name that is no UTF-8 is none that Python code is imported by.
        let Some(full) = Utf8Path::from_path(entry.path()) else { continue };
        let file = full.strip_prefix(path).unwrap_or(full);
        if entry.file_type().is_dir() || !is_wanted(&config, file) {
            continue;
        }
        if entry.file_type().is_file() {
            let place = into.join(file);
            fs::create_dir_all(place.parent().unwrap_or(&into))?;
            fs::copy(full, place)?;
        } else {
            links += 1;
        }
    }
    not_seen.push("a root file system is not started, so that nothing is told in ms".to_owned());
    if links > 0 {
        not_seen.push(format!("{links} links in it were not followed"));
    }
    laid_out(path, &config, None, workspace, options, not_seen)
}
