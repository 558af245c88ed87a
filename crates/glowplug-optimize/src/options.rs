//! What a build is asked to do, after the command line has been understood.

use camino::Utf8PathBuf;
use glowplug_engine::Cpu;
use glowplug_image::LayerFormat;
use glowplug_package::TrimLevel;
use glowplug_registry::{Access, Reference};

/// How much evidence the rule on import effects asks for before an import is deferred.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LazyLevel {
    /// No import is deferred.
    #[default]
    Off,
    /// The user's own code, and third-party imports whose targets are proven free of effects.
    Safe,
    /// Also third-party imports that the traced run confirms and the replay supports.
    Balanced,
    /// The replay alone decides.
    Aggressive,
}

/// What the planner makes small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    /// Billed time: init and invokes weigh the same.
    Cost,
    /// The latency of the first request at the function's own CPU share.
    Speed,
    /// Both: the default.
    Balanced,
}

/// Where the plan comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanSource {
    /// The project's `glowplug.lock` where its tree matches, else a profiling run.
    Auto,
    /// This file, whose tree must match.
    File(Utf8PathBuf),
    /// The project's lock, which must be there and match.
    Locked,
    /// A profiling run whose plan replaces the project's lock.
    Update,
}

/// The image that a build makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageOptions {
    /// What it stands on.
    pub base: ImageBase,
    /// How its layers are compressed.
    pub format: LayerFormat,
    /// What starts in it.
    pub entrypoint: Entrypoint,
    /// Where it is pushed to.
    pub push: Option<Reference>,
    /// Whether every registry is spoken to in plain HTTP, and not only one on this machine.
    pub plain_http: bool,
}

impl ImageOptions {
    /// How registries are spoken to.
    pub(crate) fn access(&self) -> Access {
        let access = Access::from_environment();
        if self.plain_http { Access { plain_http: Some(true), ..access } } else { access }
    }
}

/// What an image stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageBase {
    /// An image in a registry.
    Registry(Reference),
    /// An image in an OCI layout folder, by its tag or digest where there are several.
    Layout(Utf8PathBuf, Option<String>),
    /// A folder with a root file system.
    RootFs(Utf8PathBuf),
}

impl std::fmt::Display for ImageBase {
    /// As on the command line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Registry(reference) => write!(f, "{reference}"),
            Self::Layout(path, None) => write!(f, "oci:{path}"),
            Self::Layout(path, Some(image)) => write!(f, "oci:{path}:{image}"),
            Self::RootFs(path) => write!(f, "rootfs:{path}"),
        }
    }
}

/// What starts in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrypoint {
    /// The runtime client, which asks Lambda for events.
    Lambda,
    /// A server that makes requests events: Knative, Cloud Run.
    Http,
}

impl Entrypoint {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lambda => "lambda",
            Self::Http => "http",
        }
    }
}

/// What `glowplug build` is asked for.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// Folder that receives the artifact, the plan and the report.
    pub out: Utf8PathBuf,
    /// Which imports may be deferred.
    pub lazy: LazyLevel,
    /// Which files may be left out.
    pub trim: TrimLevel,
    /// What the planner makes small.
    pub objective: Objective,
    /// Events that are replayed but take no part in planning.
    pub holdout: Vec<Utf8PathBuf>,
    /// Where the plan comes from.
    pub plan: PlanSource,
    /// Plan, replay and measure also where an earlier build had the same inputs.
    pub fresh: bool,
    /// Whether the result is replayed; without it `equal` is null.
    pub verify: bool,
    /// Interleaved runs per event for the report's table; `None` for the default.
    pub runs: Option<usize>,
    /// CPU that measured runs get.
    pub cpu: Cpu,
    /// Trace the tree before and the result too, as [`crate::trace()`] does, for whoever wants to see both.
    pub traces: bool,
    /// Whether the zip is among the artifacts; an image is made from it in any case.
    pub zip: bool,
    /// The image to make.
    pub image: Option<ImageOptions>,
    /// The bandwidth at which those traces have the package fetched, in Mbit/s.
    pub bandwidth_mbit: Option<f64>,
}
