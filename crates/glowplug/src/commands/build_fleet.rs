//! `glowplug build` with several functions.

use glowplug_core::{Result, SCHEMA_FLEET};
use glowplug_function::Function;
use glowplug_optimize::FleetBuilt;
use glowplug_report::render_fleet;
use serde_json::json;

use crate::commands::{load, show_reports};
use crate::console::Console;
use crate::settings::Build;

/// Builds all, and shows them in one table; with `--verbose` each report before it.
pub(crate) fn build_fleet(console: &Console, settings: &Build) -> Result<()> {
    let Console { common, progress, .. } = console;
    let functions: Vec<Function> =
        settings.paths.iter().map(|path| load(console, path, &settings.load)).collect::<Result<_>>()?;
    let known = settings.fleet.clone().unwrap_or_default();
    let layers = settings.layers.then_some(&known);
    let python = common.python.as_deref();
    let built = glowplug_optimize::build_fleet(
        &functions,
        python,
        &settings.options,
        layers,
        &common.cache,
        progress,
    )?;
    let FleetBuilt { reports, layers } = built;
    let document = json!({ "schema": SCHEMA_FLEET, "reports": reports, "layers": layers });
    show_reports(console, &reports, &document, |view| {
        render_fleet(&reports, layers.as_ref(), settings.options.out.as_str(), view)
    })
}
