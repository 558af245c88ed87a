//! Options that every command takes.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

/// Options that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Common options")]
pub struct CommonArgs {
    /// Output for people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// Which function of a template that defines several
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,

    /// Python version or interpreter to run the function with [default: the function's own version]
    #[arg(long, value_name = "VERSION|PATH")]
    pub python: Option<String>,

    /// Memory size of the function in MB [default: the function's own]
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u32).range(128..=10_240))]
    pub memory: Option<u32>,

    /// Measure with the whole CPU, or with the share that the memory size gives on Lambda (1769 MB is one vCPU)
    #[arg(long, value_enum, default_value_t = Cpu::Unlimited)]
    pub cpu: Cpu,

    /// With `--cpu share`: give init a whole vCPU for up to 10 s, as Lambda does
    #[arg(long, value_enum, default_value_t = Toggle::On)]
    pub init_boost: Toggle,

    /// Where fetched tools and packages are kept [default: glowplug in the user's cache folder]
    #[arg(long, value_name = "DIR", env = "GLOWPLUG_CACHE_DIR", hide_env_values = true)]
    pub cache_dir: Option<Utf8PathBuf>,

    /// Fetch nothing: use only what the cache folder holds
    #[arg(long)]
    pub offline: bool,

    /// Say nothing but the result and errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say more: all decisions and refusals, not only the most important ones
    #[arg(short, long)]
    pub verbose: bool,

    /// Colour the output; `NO_COLOR` in the environment turns `auto` off
    #[arg(long, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub color: When,
}

/// Form of what goes to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for people.
    Text,
    /// One JSON document with a versioned schema.
    Json,
    /// SARIF 2.1.0, where findings are listed.
    Sarif,
}

/// How much CPU the function gets while it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Cpu {
    /// All there is.
    Unlimited,
    /// What the memory size gives on Lambda.
    Share,
}

/// A switch with two positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Toggle {
    /// Yes.
    On,
    /// No.
    Off,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// When a terminal reads it.
    Auto,
    /// Into pipes and files too.
    Always,
    /// Not at all.
    Never,
}
