//! Memory sizes and what they give: the types of `glowplug.tune/1`, their text, and other tools' forms of them.

mod chart;
mod document;
mod export;
mod text;

pub use document::{
    Best, EventFigures, Intervals, Percentiles, TierStatus, TuneForm, TuneFunction, TuneParameters,
    TuneReport, TuneTier,
};
pub use export::{power_tuning, tune_csv};
pub use text::render_tune;
