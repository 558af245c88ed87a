//! Options of `glowplug build`.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use crate::CommonArgs;

/// What stands under `glowplug build --help`.
const EXAMPLES: &str = "\
Examples:
  Build the function in this folder; the artifact and its plan go to glowplug-out/:
    glowplug build

  Check the result against events that planning has not seen:
    glowplug build examples/report --holdout examples/report/holdout/late_returns.json

  See which imports would be deferred, as the source a person would read, and build nothing:
    glowplug build --diff

  Make an image that loads lazily, push it, and see whether a zip would start sooner:
    glowplug build --kind zip --kind image --base python:3.12-slim --push registry.example/report:1

  Make it for two machines, under one name:
    glowplug build --kind image --base python:3.12-slim --platform linux/amd64,linux/arm64 --push registry.example/report:1

  Ask why a module is, or is not, deferred:
    glowplug build --explain pandas

  Build several functions, and the layers that they share, into a folder each:
    glowplug build functions/orders functions/users --kind layers

  Keep the plan in the project, then build the same bytes from it everywhere, without profiling:
    glowplug build --update-lock
    glowplug build --locked";

/// Build a smaller and faster artifact, and verify by replay that it behaves the same.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BuildArgs {
    /// The function: a source folder, a folder that already holds its dependencies, or a zip; several give a folder each
    #[arg(default_value = ".")]
    pub path: Vec<Utf8PathBuf>,

    /// Output folder; it is replaced only when the build succeeds, and only if glowplug made it
    #[arg(long, value_name = "DIR", default_value = "glowplug-out")]
    pub out: Utf8PathBuf,

    /// What to make; may be repeated
    #[arg(long, value_enum, default_values_t = [Kind::Zip])]
    pub kind: Vec<Kind>,

    /// With `--kind layers`: a file that says how often dependencies move and functions start, and what a byte counts
    #[arg(long, value_name = "FILE")]
    pub fleet: Option<Utf8PathBuf>,

    /// With `--kind image`: what it stands on, with the function's Python: an image in a registry
    /// (`python:3.12-slim`), `oci:FOLDER[:TAG]` or `rootfs:FOLDER`
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,

    /// For which machine: `linux/amd64`, `linux/arm64` [default: the function's own]. Several, with commas or repeated,
    /// give an image each, and an index of them
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PLATFORM", hide_possible_values = true)]
    pub platform: Vec<Platform>,

    /// How an image's layers are packed
    #[arg(long, value_enum, default_value_t = ImageFormat::Estargz, value_name = "FORMAT")]
    pub image_format: ImageFormat,

    /// What starts in an image
    #[arg(long, value_enum, default_value_t = Entrypoint::Lambda, value_name = "WHAT")]
    pub entrypoint: Entrypoint,

    /// Push the image to a registry, under this name
    #[arg(long, value_name = "REF")]
    pub push: Option<String>,

    /// Speak plain HTTP to registries; with one on this machine that is the default
    #[arg(long)]
    pub plain_http: bool,

    /// How far imports are deferred to first use
    #[arg(long, value_enum, default_value_t = LazyLevel::Balanced, value_name = "LEVEL")]
    pub lazy: LazyLevel,

    /// Which files are left out
    #[arg(long, value_enum, default_value_t = TrimLevel::Safe, value_name = "LEVEL")]
    pub trim: TrimLevel,

    /// What the plan makes small where init and first requests disagree
    #[arg(long, value_enum, default_value_t = Objective::Balanced)]
    pub objective: Objective,

    /// Never leave out files that match this pattern; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub keep: Vec<String>,

    /// An event that planning does not see and the result is checked against; may be repeated
    #[arg(long, value_name = "FILE")]
    pub holdout: Vec<Utf8PathBuf>,

    /// Build from this plan instead of profiling
    #[arg(long, value_name = "FILE", conflicts_with_all = ["locked", "update_lock"])]
    pub plan: Option<Utf8PathBuf>,

    /// Build from the project's `glowplug.lock`, and fail if it is missing or stale
    #[arg(long, conflicts_with = "update_lock")]
    pub locked: bool,

    /// Profile anew and write the plan to the project's `glowplug.lock`
    #[arg(long)]
    pub update_lock: bool,

    /// Plan, replay and measure anew, even where nothing has changed since an earlier build
    #[arg(long)]
    pub fresh: bool,

    /// Do not replay the events; the report then says that nothing was proved
    #[arg(long)]
    pub no_verify: bool,

    /// Interleaved pairs of runs behind each figure [default: 8]
    #[arg(long, value_name = "N", value_parser = crate::trace::at_least_one)]
    pub runs: Option<usize>,

    /// Write the report, with a trace of before and after, as one self-contained HTML page
    #[arg(long, value_name = "FILE", conflicts_with_all = ["diff", "explain"])]
    pub html: Option<Utf8PathBuf>,

    /// For the page, and for `--kind zip --kind image`: the bandwidth at which the package is fetched, in Mbit/s
    #[arg(long, value_name = "MBIT", value_parser = crate::trace::bandwidth)]
    pub bandwidth: Option<f64>,

    /// Print the edits as a diff of the sources and build nothing
    #[arg(long, conflicts_with_all = ["explain", "update_lock"])]
    pub diff: bool,

    /// Print what the plan decides about a module, and why, and build nothing
    #[arg(long, value_name = "MODULE", conflicts_with = "update_lock")]
    pub explain: Option<String>,

    /// Options that every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Form of the artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A deployment package
    Zip,
    /// What several functions share, as layers, beside their packages
    Layers,
    /// A container image
    Image,
}

/// A machine, as images name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Platform {
    /// 64-bit Intel and AMD
    #[value(name = "linux/amd64", aliases = ["amd64", "x86_64"])]
    Amd64,
    /// 64-bit ARM
    #[value(name = "linux/arm64", aliases = ["linux/arm64/v8", "arm64", "aarch64"])]
    Arm64,
}

/// How the layers of an image are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImageFormat {
    /// Fetched whole
    Gzip,
    /// Loads lazily under containerd's stargz snapshotter
    Estargz,
    /// Loads lazily under podman and CRI-O
    ZstdChunked,
}

/// What starts in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Entrypoint {
    /// Lambda's runtime client
    Lambda,
    /// An HTTP server, for Knative and Cloud Run
    Http,
}

/// How much evidence deferring an import asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LazyLevel {
    /// Defer nothing
    Off,
    /// Your own code, and edges in libraries that the analysis proves
    Safe,
    /// Also edges that the traced run confirms and the replay supports
    Balanced,
    /// The replay alone decides
    Aggressive,
}

/// Which files are left out of the artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TrimLevel {
    /// None
    Off,
    /// Those that rules prove useless at run time
    Safe,
    /// Also modules and files that nothing leads to from the handler
    Reachable,
    /// Also everything of dependencies that no event's first request touched
    Observed,
}

/// What the plan optimises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Objective {
    /// Billed time
    Cost,
    /// Time to the first response
    Speed,
    /// Both
    Balanced,
}
