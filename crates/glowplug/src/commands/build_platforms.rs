//! `glowplug build --kind image` for several platforms.

use camino::Utf8PathBuf;
use glowplug_core::{Result, SCHEMA_IMAGES};
use glowplug_function::{Function, LoadOptions};
use glowplug_optimize::PlatformsBuilt;
use glowplug_report::render_platforms;
use serde_json::json;

use crate::commands::{load, show_reports};
use crate::console::Console;
use crate::settings::Build;

/// Builds one image for each platform, and shows them with their index; with `--verbose` each report before it.
pub(crate) fn build_platforms(console: &Console, settings: &Build) -> Result<()> {
    let Console { common, progress, .. } = console;
    let path = settings.paths.first().cloned().unwrap_or_else(|| Utf8PathBuf::from("."));
    let on = |architecture| LoadOptions { architecture: Some(architecture), ..settings.load.clone() };
    let functions: Vec<Function> = settings
        .platforms
        .iter()
        .map(|architecture| load(console, &path, &on(*architecture)))
        .collect::<Result<_>>()?;
    let PlatformsBuilt { reports, index } = glowplug_optimize::build_platforms(
        &functions,
        common.python.as_deref(),
        &settings.options,
        &common.cache,
        progress,
    )?;
    let document = json!({ "schema": SCHEMA_IMAGES, "reports": reports, "index": index });
    show_reports(console, &reports, &document, |view| {
        render_platforms(&reports, &index, settings.options.out.as_str(), view)
    })
}
