//! `glowplug doctor`: what the package is, its facts, and the rules' findings.
//!
//! ```text
//!  PATH ──► Prepared ──► Facts ──► diagnose ──► Findings
//!           folders of    files, imports,       with what could
//!           Python's path traced starts         not be looked at
//! ```

mod distributions;
mod files;
mod gather;
mod image;
pub(crate) mod metadata;
mod modules;
mod prepare;
mod requirements;
mod root_file_system;
mod stale;
mod traced;

use camino::Utf8Path;
use glowplug_core::{Cache, Progress, Result};
use glowplug_doctor::{Findings, SCHEMA_FINDINGS, Selection, diagnose};
use glowplug_engine::Cpu;
use glowplug_function::LoadOptions;

use gather::gather;
use prepare::prepare;

/// What `glowplug doctor` is asked for.
#[derive(Debug, Clone)]
pub struct DoctorOptions {
    /// How a function is read.
    pub load: LoadOptions,
    /// Starts behind the milliseconds; with 0 nothing is started.
    pub runs: usize,
    /// How much processor time they get.
    pub cpu: Cpu,
    /// Which rules are asked.
    pub selection: Selection,
}

/// Looks at the package at `path`: a source folder, a folder that holds its dependencies, a zip, a layer or an image
/// layout. What this machine cannot run is looked at without a traced start, and that is told.
///
/// # Errors
/// Input: nothing there, a damaged zip or image, a configuration that cannot be read, a requirement that cannot be
/// resolved. Surroundings: disk, network. Interrupted.
pub fn doctor(
    path: &Utf8Path,
    options: &DoctorOptions,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Findings> {
    let mut not_seen = Vec::new();
    let prepared = prepare(path, options, cache, progress, &mut not_seen)?;
    let facts = gather(&prepared, options, cache, progress, &mut not_seen)?;
    let findings = diagnose(&facts, &options.selection);
    Ok(Findings {
        schema: SCHEMA_FINDINGS,
        name: facts.subject.name.clone(),
        kind: facts.subject.kind.name(),
        python: facts.subject.python,
        architecture: facts.subject.architecture,
        bytes: facts.files.iter().map(|file| file.bytes).sum(),
        zip_bytes: facts.zip_bytes,
        files: facts.files.len(),
        traced: facts.traced.is_some(),
        not_seen,
        findings,
    })
}
