//! A finding, and the document that holds them: `glowplug.findings/1`.

use glowplug_core::{Architecture, PythonVersion};
use serde::Serialize;

/// Schema of `glowplug doctor --format json`.
pub const SCHEMA_FINDINGS: &str = "glowplug.findings/1";

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The function does not work like that, or Lambda does not take it.
    Error,
    /// It costs time or bytes for nothing.
    Warning,
    /// Worth knowing.
    Note,
}

/// One thing that could be better.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The rule's code, for example `GP101`.
    pub code: &'static str,
    /// The rule's name, for example `unused-distribution`.
    pub rule: &'static str,
    /// How much it matters.
    pub level: Level,
    /// `file:line`, or a path.
    pub place: String,
    /// One sentence.
    pub message: String,
    /// Other places that it is about, as `file:line` or paths.
    pub places: Vec<String>,
    /// What the remedy saves of a cold start, in ms, from traced starts; `None` where that was not measured.
    pub saves_ms: Option<f64>,
    /// What it saves of the unzipped package.
    pub saves_bytes: Option<u64>,
    /// What it saves of the zip, estimated.
    pub saves_zip_bytes: Option<u64>,
    /// Whether what it saves is a guess, and not read off files and traces.
    pub estimated: bool,
    /// What to do.
    pub remedy: String,
    /// Whether glowplug can change the source by itself.
    pub fixable: bool,
}

impl Finding {
    /// A finding that saves nothing yet; `code` and `rule` are filled in by the table of rules.
    pub(crate) fn new(
        level: Level,
        place: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            code: "",
            rule: "",
            level,
            place: place.into(),
            message: message.into(),
            places: Vec::new(),
            saves_ms: None,
            saves_bytes: None,
            saves_zip_bytes: None,
            estimated: false,
            remedy: remedy.into(),
            fixable: false,
        }
    }

    pub(crate) fn bytes(mut self, bytes: u64, zip_bytes: Option<u64>) -> Self {
        self.saves_bytes = Some(bytes);
        self.saves_zip_bytes = zip_bytes;
        self
    }

    pub(crate) fn ms(mut self, ms: Option<f64>) -> Self {
        self.saves_ms = ms;
        self
    }

    pub(crate) fn guessed(mut self) -> Self {
        self.estimated = true;
        self
    }

    pub(crate) fn at(mut self, places: Vec<String>) -> Self {
        self.places = places;
        self
    }
}

/// `glowplug.findings/1`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Findings {
    /// Always [`SCHEMA_FINDINGS`].
    pub schema: &'static str,
    /// The name of what was looked at.
    pub name: String,
    /// `function`, `folder`, `zip`, `layer` or `image`.
    pub kind: &'static str,
    /// The minor version that runs it.
    pub python: PythonVersion,
    /// The machine that runs it.
    pub architecture: Architecture,
    /// Sizes of all files.
    pub bytes: u64,
    /// Size of the zip; `None` where it was not looked at.
    pub zip_bytes: Option<u64>,
    /// How many files.
    pub files: usize,
    /// Whether milliseconds come from traced starts of this function.
    pub traced: bool,
    /// What could not be looked at, and why.
    pub not_seen: Vec<String>,
    /// The findings, the most costly first.
    pub findings: Vec<Finding>,
}
