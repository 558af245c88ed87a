//! The image that a build makes of what its zip holds: base, runtime, dependencies, application; pushed where it is to
//! go, and compared with the zip.
//!
//! Everything that is replayed is in the zip, and the image is made of the zip, so that both are the same function. What
//! a start reads comes from traced starts of that tree, one for each event.

mod delivery;
mod parts;
mod touched;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use glowplug_core::{Architecture, Cache, Error, Progress, PythonVersion, Result, TASK_ROOT};
use glowplug_function::Function;
use glowplug_image::{Base, BaseFiles, ImageSummary, LayerFormat, Ownership, fetched_before, write_image};
use glowplug_package::{PackageTree, unpack};
use glowplug_registry::{Platforms, Reference};
use glowplug_report::{Artifact, ArtifactKind, ImageLayer, ImageReport, Report};

use crate::build::Finished;
use crate::ground::Ground;
use crate::image::parts::{Interpreter, Parts};
use crate::image::touched::Touched;
use crate::options::{BuildOptions, ImageBase, ImageOptions};

/// How many files a message names.
const NAMED: usize = 5;

/// An image among the scratch files.
pub(crate) struct Image {
    /// Its layout, and its bill of materials beside it.
    layout: Utf8PathBuf,
    name: String,
    asked: ImageOptions,
    report: ImageReport,
}

/// What an image stands on, looked at before anything is built.
pub(crate) struct Ready<'a> {
    asked: &'a ImageOptions,
    base: Base,
    files: BaseFiles,
    interpreter: Interpreter,
}

/// Fetches and reads the base.
///
/// # Errors
/// Input: a base that is not there, cannot be read, has another machine or no such interpreter. Surroundings: a registry
/// that does not answer, a full disk. Interrupted.
pub(crate) fn ready<'a>(
    function: &Function,
    asked: &'a ImageOptions,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Ready<'a>> {
    let base = base(asked, function.architecture, cache, progress)?;
    progress.start("Reading the base", None);
    let files = BaseFiles::read(&base, function.architecture, progress)?;
    let interpreter =
        Interpreter::find(&files, function.python).ok_or_else(|| missing(function.python, asked))?;
    progress.finish();
    interpreter.require_client(function, asked.entrypoint)?;
    Ok(Ready { asked, base, files, interpreter })
}

/// Makes it beside the zip of `finished`, and says in its report what a start fetches.
///
/// # Errors
/// Input: files of another function in the base, which are named. Surroundings: a full disk. Interrupted.
pub(crate) fn make(
    ground: &Ground,
    ready: Ready,
    options: &BuildOptions,
    finished: &mut Finished,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Image> {
    let function = ground.function;
    let tree = ground.work().join("image-tree");
    let unpacked = unpack(&finished.zip, &tree)?;
    let package = PackageTree::scan(&tree)?;
    let Ready { asked, base, files, interpreter } = ready;
    require_covered(&files.below(TASK_ROOT.into()), &package, asked)?;
    let parts = Parts::new(ground, &package, &interpreter, asked.entrypoint, cache)?;
    let touched = Touched::of(ground, &tree, &files, &interpreter, progress)?;
    let request = parts.request(ground, &package, base, asked, touched.hot());
    let layout = ground.work().join(format!("{}.oci", function.name));
    let summary = write_image(&request, &layout, progress)?;
    let mut report = described(&layout, &summary, asked);
    // What no start has shown is not told: of a function for another machine only the loader's files are known.
    for (event, files) in touched.by_event().iter().filter(|_| ground.runs_here()) {
        let fetched = fetched_before(&layout, None, function.architecture, files)?;
        report.fetched_bytes.insert(event.clone(), fetched.fetched_bytes);
        report.prefetching_bytes.insert(event.clone(), fetched.prefetching_bytes);
        let in_parts = fetched.layers.iter().map(|layer| layer.files_in_parts).sum();
        report.libraries_in_parts.insert(event.clone(), in_parts);
        if options.zip {
            delivery::count(&mut finished.report, ground, event, &fetched, &summary);
        }
    }
    if options.zip {
        delivery::compare(&mut finished.report, options, unpacked.took);
    }
    Ok(Image { layout, name: function.name.clone(), asked: asked.clone(), report })
}

impl Image {
    /// Puts the layout into `folder`, which will be `out`, and tells the report.
    pub(crate) fn place(&self, out: &Utf8Path, folder: &Utf8Path, report: &mut Report) -> Result<()> {
        let name = format!("{}.oci", self.name);
        let bill = format!("{name}.cdx.json");
        copy_folder(&self.layout, &folder.join(&name))?;
        fs::copy(self.layout.with_file_name(&bill), folder.join(&bill))?;
        let image = ImageReport { sbom: out.join(&bill).to_string(), ..self.report.clone() };
        report.artifacts.push(Artifact {
            kind: ArtifactKind::Image,
            path: out.join(&name).to_string(),
            bytes: image.bytes,
            sha256: image.digest.trim_start_matches("sha256:").to_owned(),
        });
        report.image = Some(image);
        Ok(())
    }

    /// Pushes it, if it is to be pushed, and writes where it is into the report in the output folder.
    ///
    /// # Errors
    /// As [`glowplug_registry::push`]; what was built stays.
    pub(crate) fn push(
        &self,
        options: &BuildOptions,
        report: &mut Report,
        progress: &dyn Progress,
    ) -> Result<()> {
        let Some(reference) = &self.asked.push else { return Ok(()) };
        let image = glowplug_registry::Image::Digest(self.report.digest.clone());
        let layout = options.out.join(format!("{}.oci", self.name));
        let access = self.asked.access();
        let pushed =
            glowplug_registry::push(&layout, &image, reference, &mounts(&self.asked), &access, progress)
                .map_err(|error| {
                    error.hint(format!("the image is in {layout}: push it again when that is mended"))
                })?;
        if let Some(image) = &mut report.image {
            image.pushed = Some(pushed.reference);
        }
        crate::build::write_report(report, &options.out)
    }
}

/// Where a registry may have layers of the image already.
pub(crate) fn mounts(asked: &ImageOptions) -> Vec<Reference> {
    match &asked.base {
        ImageBase::Registry(base) => vec![base.clone()],
        _ => Vec::new(),
    }
}

/// Fetches what is in a registry.
fn base(
    asked: &ImageOptions,
    architecture: Architecture,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Base> {
    // A layer that has to be fetched whole would undo what the others gain.
    let convert = asked.format != LayerFormat::Gzip;
    if let ImageBase::Layout(path, _) | ImageBase::RootFs(path) = &asked.base
        && !path.is_dir()
    {
        return Err(Error::input("the base of the image is not there")
            .place(path.as_str())
            .hint("name an image in a registry (`python:3.12-slim`), `oci:FOLDER` or `rootfs:FOLDER`"));
    }
    match &asked.base {
        ImageBase::RootFs(path) => Ok(Base::RootFs { path: path.clone(), ownership: Ownership::Root }),
        ImageBase::Layout(path, image) => {
            Ok(Base::Layout { path: path.clone(), image: image.clone(), convert })
        }
        ImageBase::Registry(reference) => {
            let readable = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
            let name = format!("{reference}-{architecture}");
            let name: String = name.chars().map(|c| if readable(c) { c } else { '_' }).collect();
            let layout = cache.images().join(name);
            fs::create_dir_all(cache.images())?;
            if cache.offline() {
                let known = layout.join("index.json").is_file();
                return known.then_some(Base::Layout { path: layout, image: None, convert }).ok_or_else(
                    || {
                        Error::surroundings(format!(
                            "the base `{reference}` is not in the cache, and `--offline` fetches nothing"
                        ))
                    },
                );
            }
            let access = asked.access();
            let pulled =
                glowplug_registry::pull(reference, Platforms::One(architecture), &layout, &access, progress)?;
            Ok(Base::Layout { path: layout, image: Some(pulled.digest), convert })
        }
    }
}

/// What the base has where the function goes has to be replaced by it: the image then is what was replayed.
fn require_covered(below: &[Utf8PathBuf], package: &PackageTree, asked: &ImageOptions) -> Result<()> {
    let left: Vec<&Utf8PathBuf> = below.iter().filter(|path| package.file(path).is_none()).collect();
    if left.is_empty() {
        return Ok(());
    }
    let mut named: Vec<String> = left.iter().take(NAMED).map(|path| format!("`{path}`")).collect();
    if left.len() > NAMED {
        named.push(format!("{} more", left.len() - NAMED));
    }
    Err(Error::input(format!("the base `{}` holds files of another function", asked.base))
        .cause(format!("they would be part of this one, below {TASK_ROOT}: {}", named.join(", ")))
        .hint("use the base that it was made on; what was built and replayed for this is remembered"))
}

fn missing(version: PythonVersion, asked: &ImageOptions) -> Error {
    Error::input(format!("the base `{}` has no Python {version}", asked.base))
        .cause(format!("it was looked for as {}", Interpreter::places(version).join(", ")))
        .hint(format!("choose a base with it, for example `python:{version}-slim`"))
}

/// The image as the report tells it, but for what a start fetches.
fn described(layout: &Utf8Path, summary: &ImageSummary, asked: &ImageOptions) -> ImageReport {
    let layers = summary.layers.iter().map(|layer| ImageLayer {
        name: layer.name.clone(),
        digest: layer.digest.to_string(),
        bytes: layer.bytes,
        uncompressed_bytes: layer.uncompressed_bytes,
        entries: layer.entries,
        hot: layer.hot,
        hot_parts: layer.hot_parts,
    });
    ImageReport {
        format: asked.format.as_str().to_owned(),
        base: asked.base.to_string(),
        digest: summary.digest.to_string(),
        entrypoint: asked.entrypoint.as_str().to_owned(),
        layers: layers.collect(),
        bytes: summary.bytes,
        uncompressed_bytes: summary.uncompressed_bytes,
        fetched_bytes: indexmap::IndexMap::new(),
        prefetching_bytes: indexmap::IndexMap::new(),
        libraries_in_parts: indexmap::IndexMap::new(),
        sbom: format!("{layout}.cdx.json"),
        pushed: None,
    }
}

/// A layout is files in folders, and nothing else.
fn copy_folder(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    if fs::rename(from, to).is_ok() {
        return Ok(());
    }
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.map_err(|error| Error::surroundings("cannot read the image").cause(error))?;
        let Some(path) = Utf8Path::from_path(entry.path()) else { continue };
        let target = to.join(path.strip_prefix(from).unwrap_or(path));
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
        } else {
            fs::copy(path, &target)?;
        }
    }
    Ok(())
}
