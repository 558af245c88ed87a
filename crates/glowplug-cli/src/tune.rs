//! Options of `glowplug tune`.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use crate::trace::at_least_one;
use crate::{CommonArgs, LazyLevel, Objective, TrimLevel};

/// What stands under `glowplug tune --help`.
const EXAMPLES: &str = "\
Examples:
  Which memory size should the function in this folder have?
    glowplug tune

  The cheapest one, where one request in ten starts cold:
    glowplug tune --objective cost --cold-rate 0.1

  Measure these sizes and no others:
    glowplug tune examples/report --tiers 256,512,1024,1769

  Show what would change in the configuration, ask, and write it:
    glowplug tune --apply

  A page with the curves, to look at or to send around:
    glowplug tune --html tune.html

  A link to the page of AWS Lambda Power Tuning, for its users:
    glowplug tune --export power-tuning=tuned.json

  The same for a function in AWS Lambda, with your credentials; it asks before it starts:
    glowplug tune --target aws report --event events/stock.json";

/// Find the memory size that suits a function: latency and cost by size, before and after a build.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TuneArgs {
    /// The function: a source folder, a folder that already holds its dependencies, or a zip; with `--target aws` its
    /// name or ARN
    #[arg(default_value = ".")]
    pub path: Utf8PathBuf,

    /// What the chosen size makes small: latency, cost, or both
    #[arg(long, value_enum, default_value_t = Objective::Balanced)]
    pub objective: Objective,

    /// With `--objective balanced`: what cost counts, from 0 (speed alone) to 1 (cost alone)
    #[arg(long, value_name = "WEIGHT", default_value_t = 0.5, value_parser = share)]
    pub balanced_weight: f64,

    /// Share of requests that start cold, from 0 to 1
    #[arg(long, value_name = "RATE", default_value_t = 0.01, value_parser = share)]
    pub cold_rate: f64,

    /// Memory sizes to choose from, in MB: 128,256,512 [default: the usual ones and the function's own]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(128..=10_240))]
    pub tiers: Vec<u32>,

    /// Measure every size, not only those that the choice depends on
    #[arg(long)]
    pub grid: bool,

    /// New environments for each size, event and form of the function
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub runs: Option<usize>,

    /// Run this event instead of the configured ones; may be repeated
    #[arg(long, value_name = "FILE")]
    pub event: Vec<Utf8PathBuf>,

    /// Run the function as it is alone, and not what a build makes of it
    #[arg(long)]
    pub no_build: bool,

    /// How far the build defers imports to first use
    #[arg(long, value_enum, default_value_t = LazyLevel::Balanced, value_name = "LEVEL")]
    pub lazy: LazyLevel,

    /// Which files the build leaves out
    #[arg(long, value_enum, default_value_t = TrimLevel::Safe, value_name = "LEVEL")]
    pub trim: TrimLevel,

    /// Prices in place of the built-in ones, in the same format
    #[arg(long, value_name = "FILE")]
    pub prices: Option<Utf8PathBuf>,

    /// Region whose prices count, and with `--target aws` where the function is [default: us-east-1, or that of your AWS
    /// configuration]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,

    /// Write the chosen size into `glowplug.toml`, `pyproject.toml`, the SAM template or `serverless.yml`, after showing
    /// the change and asking
    #[arg(long)]
    pub apply: bool,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,

    /// Write the sizes with their charts as one self-contained HTML page
    #[arg(long, value_name = "FILE")]
    pub html: Option<Utf8PathBuf>,

    /// Write the figures for another tool; may be repeated. FORMAT is csv, or power-tuning for the output of AWS Lambda
    /// Power Tuning with its link; TARGET is a file
    #[arg(long, value_name = "FORMAT=TARGET")]
    pub export: Vec<String>,

    /// Where the function runs
    #[arg(long, value_enum, default_value_t = Target::Local)]
    pub target: Target,

    /// With `--target aws`: another address that speaks Lambda's API
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,

    /// With `--target aws`: a profile of your AWS configuration
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,

    /// With `--target aws`: take back what a tuning that was killed has left, and do nothing else
    #[arg(long)]
    pub clean: bool,

    /// Options that every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Where functions run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// On this machine, as Lambda would run it
    Local,
    /// In AWS Lambda, through its API
    Aws,
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        Ok(_) => Err("must be from 0 to 1".to_owned()),
        Err(error) => Err(format!("{error}")),
    }
}
