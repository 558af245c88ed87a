//! What a person or a machine reads of a build or a trace: the types of `glowplug.report/1`, text for terminals, and
//! the page. Nothing here prints; colour is added only where the [`Style`] has it.
//!
//! - [`Report`] and its parts: the JSON contract, filled by the build.
//! - [`render`]: a report as a table, decisions, verdict and next step.
//! - [`render_fleet`]: several reports as one table, and the layers that the functions share.
//! - [`render_findings`]: what `glowplug doctor` found, by rule.
//! - [`render_tune`]: memory sizes as a table and a chart, with the one that is chosen.
//! - [`render_page`]: a trace, or a build's two traces and its report, as one HTML file.
//! - [`render_trace`]: a `glowplug.trace/1` document as phases, imports, tables and advice; [`render_comparison`]: two.

mod decisions;
mod explain;
mod findings;
mod fleet;
mod grid;
mod image;
mod layers;
mod page;
mod platforms;
mod render;
mod report;
mod style;
mod table;
mod text;
mod trace;
mod tune;
mod verdict;

pub use explain::{Link, ModuleEffect, ModuleSummary, Through, render_explanation};
pub use findings::{FindingsView, render_findings};
pub use fleet::render_fleet;
pub use image::{Delivery, DeliveryWay, ImageLayer, ImageReport};
pub use layers::{
    LayerMember, LayeredFunction, LayersBaseline, LayersBaselines, LayersCost, LayersObjective, LayersReport,
    LayersWeights, SharedLayer,
};
pub use page::{Page, render_page};
pub use platforms::{ImageIndexReport, render_platforms};
pub use render::{View, render};
pub use report::{
    Artifact, ArtifactKind, AttachedLayer, Environment, Measured, Ratio, Report, ReportFunction,
};
pub use style::Style;
pub use trace::{TraceOrder, TraceView, render_comparison, render_trace};
pub use tune::{
    Best, EventFigures, Intervals, Percentiles, TierStatus, TuneForm, TuneFunction, TuneParameters,
    TuneReport, TuneTier, power_tuning, render_tune, tune_csv,
};
