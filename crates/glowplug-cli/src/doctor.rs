//! Options of `glowplug doctor`.

use camino::Utf8PathBuf;
use clap::Args;

use crate::CommonArgs;

/// What stands under `glowplug doctor --help`.
const EXAMPLES: &str = "\
Examples:
  What is in this function's package for nothing, and what would taking it out save?
    glowplug doctor

  The same for what is deployed: a zip, a layer, the layout of an image
    glowplug doctor build/function.zip
    glowplug doctor image/

  Without starting the function: no milliseconds, in a second
    glowplug doctor --runs 0

  For code scanning, and as a check that fails when a requirement is not used
    glowplug doctor --format sarif > glowplug.sarif
    glowplug doctor --fail-on GP101

Exit codes: 0 done, with findings or without; 1 the package cannot be read, or `--fail-on` found something;
2 wrong usage, 3 the surroundings failed, 130 interrupted";

/// Find what costs time or bytes for nothing, with what to do about it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    /// The package: a source folder, a folder that already holds its dependencies, a zip, a layer's folder or zip, or the
    /// folder of an OCI image layout
    #[arg(default_value = ".")]
    pub path: Utf8PathBuf,

    /// Starts behind the milliseconds; 0 starts nothing
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub runs: usize,

    /// Start it with this event instead of the configured ones; may be repeated
    #[arg(long, value_name = "FILE")]
    pub event: Vec<Utf8PathBuf>,

    /// Ask these rules alone: a code, or the beginning of several (GP12); may be repeated
    #[arg(long, value_name = "CODE")]
    pub select: Vec<String>,

    /// Leave these rules out; goes over `--select`
    #[arg(long, value_name = "CODE")]
    pub ignore: Vec<String>,

    /// Exit with 1 where one of these rules finds something; `any` stands for all that are asked
    #[arg(long, value_name = "CODE|any")]
    pub fail_on: Vec<String>,

    /// Options that every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
}
