//! Options of `glowplug trace`.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use crate::CommonArgs;

/// What stands under `glowplug trace --help`.
const EXAMPLES: &str = "\
Examples:
  Where does the cold start of the function in this folder go?
    glowplug trace

  Only what pandas brings, the slowest bodies first:
    glowplug trace examples/report --filter pandas --sort self

  Every import with its read, unmarshal, compile and exec times:
    glowplug trace examples/report --format json > trace.json

  What has changed since then, and which dependency did it?
    glowplug trace examples/report --compare trace.json

  A page to show to a colleague, and the spans for a collector:
    glowplug trace examples/report --html trace.html --export otlp=http://localhost:4318";

/// Show where the cold start of a function goes, import by import.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TraceArgs {
    /// The function: a source folder, a folder that already holds its dependencies, or a zip
    #[arg(default_value = ".")]
    pub path: Utf8PathBuf,

    /// Runs behind each median
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    pub runs: usize,

    /// Trace this event instead of the configured ones; may be repeated
    #[arg(long, value_name = "FILE")]
    pub event: Vec<Utf8PathBuf>,

    /// How many imports and statements to show
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = at_least_one)]
    pub top: usize,

    /// Order of the imports
    #[arg(long, value_enum, default_value_t = SortKey::Total, value_name = "KEY")]
    pub sort: SortKey,

    /// Only modules of this name and below, for example `pandas`
    #[arg(long, value_name = "MODULE")]
    pub filter: Option<String>,

    /// Add the time to fetch the package at this bandwidth to provisioning, in Mbit/s
    #[arg(long, value_name = "MBIT", value_parser = bandwidth)]
    pub bandwidth: Option<f64>,

    /// Measure too with the package's files out of the page cache, as they are after it was fetched
    #[arg(long)]
    pub cold_cache: bool,

    /// Show what grew and what shrank since an earlier trace, or against another function: a JSON file, or a path as
    /// PATH is
    #[arg(long, value_name = "OLD")]
    pub compare: Option<Utf8PathBuf>,

    /// Write the trace as one self-contained HTML page
    #[arg(long, value_name = "FILE")]
    pub html: Option<Utf8PathBuf>,

    /// Write the trace for another tool; may be repeated. FORMAT is otlp, chrome, speedscope, importtime or xray;
    /// TARGET a file, for otlp also a collector's address (http://localhost:4318), for xray also a daemon's
    /// (udp://127.0.0.1:2000)
    #[arg(long, value_name = "FORMAT=TARGET")]
    pub export: Vec<String>,

    /// Options that every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Order of the imports in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SortKey {
    /// Time with everything that the module imports, as a tree
    Total,
    /// Time of the module's own body
    #[value(name = "self")]
    Own,
    /// As they happened
    Start,
    /// Memory that the import added
    Memory,
    /// What no event used, the dearest first
    Unused,
}

/// A bandwidth in Mbit/s.
pub(crate) fn bandwidth(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(mbit) if mbit.is_finite() && mbit > 0.0 => Ok(mbit),
        Ok(_) => Err("must be more than 0".to_owned()),
        Err(error) => Err(format!("{error}")),
    }
}

/// A count that is not zero.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("{error}")),
    }
}
