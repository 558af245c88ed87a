//! One function as an image for each of several machines, and the index that joins them under one name.
//!
//! Each is a build of its own: its dependencies are those for its machine, and what this machine cannot run is not
//! replayed, which its own report says. The images go into one layout, so that nothing is on the disk twice.

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Cache, Error, OUTPUT_MARKER, Progress, Result, SCHEMA_IMAGES};
use glowplug_function::Function;
use glowplug_image::index_of;
use glowplug_registry::Image as Pushed;
use glowplug_report::{ArtifactKind, ImageIndexReport, Report};
use serde_json::json;

use crate::build::{fill_with, with_finished, write_report};
use crate::image::{self, Ready, mounts};
use crate::options::{BuildOptions, ImageOptions};
use crate::output::{self, Output};

/// What says which images there are, in the output folder.
const IMAGES: &str = "images.json";

/// What a build for several machines gives.
#[derive(Debug, Clone)]
pub struct PlatformsBuilt {
    /// The reports, in the order of the functions, as they are in the output folder.
    pub reports: Vec<Report>,
    /// What joins the images.
    pub index: ImageIndexReport,
}

/// Builds `functions`, which are one function for different machines, as images into one layout in `options.out`, and
/// pushes them as one where they are to be pushed.
///
/// # Errors
/// As [`crate::build()`], with the platform's name; a defect where no image was asked for. The output folder is then as
/// it was; after a push that failed it is complete.
pub fn build_platforms(
    functions: &[Function],
    requested_python: Option<&str>,
    options: &BuildOptions,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<PlatformsBuilt> {
    let (Some(asked), Some(first)) = (&options.image, functions.first()) else {
        return Err(Error::defect("a build for several platforms without an image"));
    };
    output::check(&options.out)?;
    // All bases are looked at before anything is built.
    let named = |function: &Function, error: Error| error.of_function(function.architecture.platform());
    let bases: Vec<Ready> = functions
        .iter()
        .map(|function| {
            image::ready(function, asked, cache, progress).map_err(|error| named(function, error))
        })
        .collect::<Result<_>>()?;
    let output = Output::begin(&options.out)?;
    let mut reports = Vec::with_capacity(functions.len());
    for (function, base) in functions.iter().zip(bases) {
        let name = folder_of(function);
        let own = BuildOptions { out: options.out.join(&name), ..options.clone() };
        let folder = output.path().join(&name);
        fs::create_dir(&folder)?;
        fs::copy(output.path().join(OUTPUT_MARKER), folder.join(OUTPUT_MARKER))?;
        progress.note(&format!("building for {}", function.architecture.platform()));
        let built =
            with_finished(function, requested_python, &own, cache, progress, |ground, mut finished| {
                let image = image::make(ground, base, &own, &mut finished, cache, progress)?;
                fill_with(function, &own, finished, Some(&image), &folder)
            });
        reports.push(built.map_err(|error| named(function, error))?.report);
    }
    let layout = format!("{}.oci", first.name);
    let mut index = join(functions, &layout, &output, &options.out, &mut reports, progress)?;
    for (function, report) in functions.iter().zip(&reports) {
        write_report(report, &output.path().join(folder_of(function)))?;
    }
    write_index(&index, output.path())?;
    if progress.interrupted() {
        return Err(Error::interrupted());
    }
    output.publish()?;
    push(functions, asked, &options.out, &mut index, &mut reports, progress)?;
    Ok(PlatformsBuilt { reports, index })
}

/// Where what is about one machine lies: `linux-arm64`.
fn folder_of(function: &Function) -> String {
    function.architecture.platform().replace('/', "-")
}

/// Moves all images into one layout, and has the reports name it.
fn join(
    functions: &[Function],
    layout: &str,
    output: &Output,
    out: &Utf8Path,
    reports: &mut [Report],
    progress: &dyn Progress,
) -> Result<ImageIndexReport> {
    let single: Vec<Utf8PathBuf> =
        functions.iter().map(|function| output.path().join(folder_of(function)).join(layout)).collect();
    let name = layout.trim_end_matches(".oci");
    let summary = index_of(&single, name, &output.path().join(layout), progress)?;
    for folder in &single {
        fs::remove_dir_all(folder)?;
    }
    let path = out.join(layout).to_string();
    for artifact in reports.iter_mut().flat_map(|report| &mut report.artifacts) {
        if artifact.kind == ArtifactKind::Image {
            artifact.path.clone_from(&path);
        }
    }
    Ok(ImageIndexReport {
        path,
        digest: summary.digest.to_string(),
        platforms: summary.platforms,
        pushed: None,
    })
}

/// Pushes the index with all its images, if it is to be pushed, and writes where they are into the output folder.
fn push(
    functions: &[Function],
    asked: &ImageOptions,
    out: &Utf8Path,
    index: &mut ImageIndexReport,
    reports: &mut [Report],
    progress: &dyn Progress,
) -> Result<()> {
    let Some(reference) = &asked.push else { return Ok(()) };
    let image = Pushed::Digest(index.digest.clone());
    let layout = Utf8PathBuf::from(&index.path);
    let pushed =
        glowplug_registry::push(&layout, &image, reference, &mounts(asked), &asked.access(), progress)
            .map_err(|error| {
                error.hint(format!("the images are in {layout}: push them again when that is mended"))
            })?;
    let repository = pushed.reference.split('@').next().unwrap_or_default().to_owned();
    for (function, report) in functions.iter().zip(reports) {
        if let Some(image) = &mut report.image {
            image.pushed = Some(format!("{repository}@{}", image.digest));
        }
        write_report(report, &out.join(folder_of(function)))?;
    }
    index.pushed = Some(pushed.reference);
    write_index(index, out)
}

fn write_index(index: &ImageIndexReport, folder: &Utf8Path) -> Result<()> {
    let document = json!({ "schema": SCHEMA_IMAGES, "index": index });
    let text = serde_json::to_string_pretty(&document)
        .map_err(|error| Error::defect("an index has no JSON").cause(error))?;
    Ok(fs::write(folder.join(IMAGES), text + "\n")?)
}
