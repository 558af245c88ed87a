//! Several functions at once, and the layers that they share.
//!
//! ```text
//!  functions ──► built one by one ──► members ──► optimiser ──► agreed ──► replayed with ──► zips, layers,
//!                as always            what each   which         what all   layers at /opt    layers.json
//!                                     has         layers        decided
//! ```
//!
//! Invariants: a shared layer holds only what is the same for all who attach it; a function whose replay with the
//! layers differs ships without any, and the others are planned anew; the output folder is replaced in one step.

mod agree;
mod census;
mod contents;
mod document;
mod member;
mod settings;
mod share;

pub use settings::FleetSettings;

use std::collections::BTreeMap;

use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::{Cache, Error, OUTPUT_MARKER, Progress, Result};
use glowplug_function::Function;
use glowplug_report::{LayersReport, Report};

use crate::build::{fill, with_finished};
use crate::lock;
use crate::options::{BuildOptions, PlanSource};
use crate::output::{self, Output};

/// Folder of the shared layers in the output folder.
pub(crate) const LAYERS: &str = "layers";

/// What a build of several functions gives.
#[derive(Debug, Clone)]
pub struct FleetBuilt {
    /// The reports, in the order of the functions, as they are in the output folder.
    pub reports: Vec<Report>,
    /// The shared layers, where they were asked for.
    pub layers: Option<LayersReport>,
}

/// Builds every function into a folder of its own in `options.out`, and with `layers` what they share.
///
/// # Errors
/// As [`crate::build()`], with the function's name; usage where two functions have one name. The output folder is then
/// as it was.
pub fn build_fleet(
    functions: &[Function],
    requested_python: Option<&str>,
    options: &BuildOptions,
    layers: Option<&FleetSettings>,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<FleetBuilt> {
    check_names(functions, layers)?;
    output::check(&options.out)?;
    let output = Output::begin(&options.out)?;
    let mut reports = Vec::with_capacity(functions.len());
    for function in functions {
        let own = BuildOptions { out: options.out.join(&function.name), ..options.clone() };
        let folder = output.path().join(&function.name);
        fs::create_dir(&folder)?;
        fs::copy(output.path().join(OUTPUT_MARKER), folder.join(OUTPUT_MARKER))?;
        progress.note(&format!("building `{}`", function.name));
        let built = with_finished(function, requested_python, &own, cache, progress, |_, finished| {
            fill(function, &own.out, finished, &folder)
        });
        reports.push(built.map_err(|error| error.of_function(&function.name))?.report);
    }
    let layers = match layers {
        Some(settings) => {
            let sharing = share::Sharing { requested_python, options, settings, cache, progress };
            Some(sharing.share(functions, &mut reports, output.path())?)
        }
        None => None,
    };
    if progress.interrupted() {
        return Err(Error::interrupted());
    }
    let plans: Vec<String> = functions
        .iter()
        .map(|function| Ok(fs::read_to_string(plan_of(output.path(), function))?))
        .collect::<Result<_>>()?;
    output.publish()?;
    if options.plan == PlanSource::Update {
        functions.iter().zip(&plans).try_for_each(|(function, plan)| lock::update(function, plan))?;
    }
    Ok(FleetBuilt { reports, layers })
}

/// Where the plan of a function is in an output folder.
fn plan_of(folder: &Utf8Path, function: &Function) -> camino::Utf8PathBuf {
    folder.join(&function.name).join(lock::LOCK)
}

/// Every function has a folder of its own.
fn check_names(functions: &[Function], layers: Option<&FleetSettings>) -> Result<()> {
    let mut seen: BTreeMap<&str, &Function> = BTreeMap::new();
    for function in functions {
        if let Some(other) = seen.insert(&function.name, function) {
            return Err(Error::usage(format!("two functions are named `{}`", function.name))
                .cause(format!("`{}` and `{}`", other.root, function.root))
                .hint("set `name` in the configuration of one of them"));
        }
        let odd = [".", "..", LAYERS].contains(&function.name.as_str()) || function.name.contains('/');
        if odd {
            return Err(Error::usage(format!(
                "a function named `{}` cannot have a folder of that name in the output folder",
                function.name
            ))
            .place(function.root.as_str())
            .hint("set another `name` in its configuration"));
        }
    }
    let Some(settings) = layers else { return Ok(()) };
    for (table, rates) in [("cold_starts", &settings.cold_starts), ("releases", &settings.releases)] {
        if let Some(name) = rates.keys().find(|name| !seen.contains_key(name.as_str())) {
            return Err(Error::input(format!("the fleet's file names `{name}`, which is not built"))
                .place(settings.place(table, name))
                .hint("rates of functions are given by the functions' names"));
        }
    }
    Ok(())
}
