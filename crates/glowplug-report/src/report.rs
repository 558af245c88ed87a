//! The types of `glowplug.report/1`. What was not measured is `None`, `null` in JSON, never 0.

use glowplug_core::{Architecture, Decision, PythonVersion, SCHEMA_REPORT, Stat, Verdict};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::image::{Delivery, ImageReport};

/// Everything that a build found, changed, measured and proved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Always [`SCHEMA_REPORT`].
    pub schema: String,
    /// The function that was built.
    pub function: ReportFunction,
    /// Where it was measured.
    pub environment: Environment,
    /// The tree as the user's own tools make it: bytecode often missing or stale.
    pub as_shipped: Measured,
    /// The same tree with valid bytecode: what ratios compare with.
    pub before: Measured,
    /// The artifact.
    pub after: Measured,
    /// `after` by `before`.
    pub ratio: Ratio,
    /// The plan's decisions: applied, pinned and refused.
    pub decisions: Vec<Decision>,
    /// What the replay has shown.
    pub verdict: Verdict,
    /// What the user could change in the function itself.
    pub advice: Option<String>,
    /// The files that were made.
    pub artifacts: Vec<Artifact>,
    /// Shared layers that it is shipped with, in the order in which they are attached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<AttachedLayer>,
    /// The image that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageReport>,
    /// Zip and image compared, where both were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
}

impl Report {
    /// A report about `function` in which nothing is measured or made yet.
    pub fn new(function: ReportFunction, environment: Environment) -> Self {
        Self {
            schema: SCHEMA_REPORT.to_owned(),
            function,
            environment,
            as_shipped: Measured::default(),
            before: Measured::default(),
            after: Measured::default(),
            ratio: Ratio::default(),
            decisions: Vec::new(),
            verdict: Verdict::default(),
            advice: None,
            artifacts: Vec::new(),
            layers: Vec::new(),
            image: None,
            delivery: None,
        }
    }
}

/// Which function a report is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportFunction {
    /// Its name.
    pub name: String,
    /// As Lambda writes it, for example `app.handler`.
    pub handler: String,
    /// The minor version of its runtime.
    pub python: PythonVersion,
    /// The machine type that it is built for.
    pub architecture: Architecture,
    /// Its memory size.
    pub memory_mb: u32,
}

/// Under which conditions the figures were taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Full version of the interpreter, for example `3.12.1`.
    pub python: String,
    /// Memory size that the processes had.
    pub memory_mb: u32,
    /// `unlimited`, or `share`: what the memory size gives on Lambda.
    pub cpu: String,
    /// Whether init had a whole vCPU under `share`.
    pub init_boost: bool,
    /// `warm` or `cold`.
    pub page_cache: String,
    /// Name and version of the tool.
    pub tool: String,
    /// What this host could not enforce, one sentence each.
    pub not_enforced: Vec<String>,
}

/// One column of the table. Maps hold the events in the order of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// From the start of the runtime process until it asks for its first event, in ms.
    pub init_ms: Option<Stat>,
    /// Processor time of the same, all threads, in ms.
    pub init_cpu_ms: Option<Stat>,
    /// Init plus the first invoke, in ms.
    pub cold_ms: IndexMap<String, Option<Stat>>,
    /// Processor time of the same, in ms.
    pub cold_cpu_ms: IndexMap<String, Option<Stat>>,
    /// Cold time by the events' shares of first requests, in ms.
    pub cold_weighted_ms: Option<Stat>,
    /// Later invokes, in ms.
    pub warm_ms: IndexMap<String, Option<Stat>>,
    /// Peak resident memory of a process that served the event, in MB of 10⁶ bytes.
    pub memory_mb: IndexMap<String, Option<Stat>>,
    /// Size of the deployment package.
    pub zip_bytes: Option<u64>,
    /// Size of the unpacked tree.
    pub unzipped_bytes: Option<u64>,
    /// Files in the tree.
    pub files: Option<u64>,
    /// Modules that init imports.
    pub modules: Option<u64>,
}

/// `after` by `before`: below 1 is better. Times and memory are ratios of interleaved pairs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Of init.
    pub init: Option<Stat>,
    /// Of init's processor time.
    pub init_cpu: Option<Stat>,
    /// Of cold time, by event.
    pub cold: IndexMap<String, Option<Stat>>,
    /// Of cold processor time, by event.
    pub cold_cpu: IndexMap<String, Option<Stat>>,
    /// Of the weighted cold time.
    pub cold_weighted: Option<Stat>,
    /// Of warm time, by event.
    pub warm: IndexMap<String, Option<Stat>>,
    /// Of peak memory, by event.
    pub memory: IndexMap<String, Option<Stat>>,
    /// Of the deployment package's size.
    pub zip_bytes: Option<f64>,
    /// Of the unpacked tree's size.
    pub unzipped_bytes: Option<f64>,
}

/// Form of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactKind {
    /// A deployment package.
    Zip,
    /// A container image in an OCI layout folder; its bytes are its layers', its hash is its digest's.
    Image,
}

/// A file that the build made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its form.
    pub kind: ArtifactKind,
    /// Where it is, as the user can type it.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, as hex.
    pub sha256: String,
}

/// A shared layer of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedLayer {
    /// Its name, as it is published.
    pub name: String,
    /// Where its zip is, as the user can type it.
    pub path: String,
    /// The zip's size.
    pub bytes: u64,
    /// SHA-256 of the zip, as hex.
    pub sha256: String,
}
