//! Options of `glowplug serve`.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use crate::CommonArgs;

/// What stands under `glowplug serve --help`.
const EXAMPLES: &str = "\
Examples:
  Serve the function in this folder as Lambda would, and call it:
    glowplug serve .
    aws lambda invoke --endpoint-url http://127.0.0.1:9001 --function-name NAME out.json

  Several functions, or an empty account that clients fill through the API:
    glowplug serve functions/report functions/api
    glowplug serve

  Start environments in milliseconds, as forks of an initialised one:
    glowplug serve --start snapshot .

  In the place of AWS's runtime interface emulator:
    glowplug serve --rie path/to/function
    curl http://127.0.0.1:8080/2015-03-31/functions/function/invocations -d '{}'

Functions reach the network. Stop it with Ctrl-C: all environments end, functions made through the API stay
in `.glowplug/`.";

/// How environments come to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Start {
    /// By an init of their own.
    Cold,
    /// As forks of one that is initialised.
    Snapshot,
}

/// Serve functions on this machine through Lambda's own API, until stopped.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// Functions: source folders, folders that already hold their dependencies, or zips; without any, the account holds
    /// what was made through the API
    pub path: Vec<Utf8PathBuf>,

    /// Port on loopback; 0 takes any free one [default: 9001, with --rie 8080]
    #[arg(long)]
    pub port: Option<u16>,

    /// How long an environment waits for its next event before it ends, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub idle: u64,

    /// Invokes at once in the account
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub concurrency: u32,

    /// Folder that keeps functions made through the API, accepted events and logs
    #[arg(long, value_name = "DIR", default_value = ".glowplug")]
    pub state: Utf8PathBuf,

    /// How environments start: each with an init of its own, or as forks of one that is initialised, with the hooks of
    /// SnapStart; what cannot be forked is told by name and starts cold
    #[arg(long, value_enum, value_name = "KIND", default_value_t = Start::Cold)]
    pub start: Start,

    /// Serve this event once before the snapshot, so that what a first event loads is in it
    #[arg(long, value_name = "FILE")]
    pub warm_event: Option<Utf8PathBuf>,

    /// Serve a function anew when its files change: the others, and what runs, go on
    #[arg(long)]
    pub watch: bool,

    /// Say at the end what the invokes would have cost on Lambda
    #[arg(long)]
    pub price: bool,

    /// Prices in place of the built-in ones, in the same format
    #[arg(long, value_name = "FILE")]
    pub prices: Option<Utf8PathBuf>,

    /// Region whose prices count [default: us-east-1, which functions see as theirs in any case]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,

    /// Answer where AWS's runtime interface emulator does, for one function: its port, its path, and its variables over the
    /// configuration
    #[arg(long)]
    pub rie: bool,

    /// Options that every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
}
