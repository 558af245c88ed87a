//! The command line of glowplug as clap structures, and nothing else: what each flag means stands here once,
//! as the help text; what it does is decided in the binary.

mod build;
mod common;
mod doctor;
mod serve;
mod trace;
mod tune;

pub use build::{BuildArgs, Entrypoint, ImageFormat, Kind, LazyLevel, Objective, Platform, TrimLevel};
pub use common::{CommonArgs, Cpu, Format, Toggle, When};
pub use doctor::DoctorArgs;
pub use serve::{ServeArgs, Start};
pub use trace::{SortKey, TraceArgs};
pub use tune::{Target, TuneArgs};

use std::ffi::OsString;

use clap::builder::{EnumValueParser, PossibleValuesParser, TypedValueParser};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

/// What stands under the help of the program itself.
const EXAMPLES: &str = "\
Examples:
  See where the cold start of a function goes:
    glowplug trace path/to/function

  Build a faster artifact, proved by replay to behave the same:
    glowplug build path/to/function

  Find what is in its package for nothing:
    glowplug doctor path/to/function

  Find the memory size that suits it:
    glowplug tune path/to/function

  Run it here as Lambda would, for boto3 and the AWS CLI:
    glowplug serve path/to/function

  Read the result with a program:
    glowplug build path/to/function --format json > report.json

Exit codes: 0 done, 1 the function or a check failed, 2 wrong usage,
3 the surroundings failed (disk, network, missing interpreter), 130 interrupted";

/// Makes Python serverless functions start fast, and proves by replay that nothing changed.
#[derive(Debug, Parser)]
#[command(name = "glowplug", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads a command line. SARIF is a format of `doctor` alone: other commands neither list it nor take it.
    ///
    /// # Errors
    /// clap's: wrong usage, or help that was asked for.
    pub fn read(line: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        for name in names.iter().filter(|name| *name != "doctor") {
            let tables = PossibleValuesParser::new(["text", "json"])
                .map(|text| <Format as ValueEnum>::from_str(&text, false).unwrap_or(Format::Text));
            command = command
                .mut_subcommand(name, |sub| sub.mut_arg("format", |format| format.value_parser(tables)));
        }
        let lists = EnumValueParser::<Format>::new();
        command = command
            .mut_subcommand("doctor", |sub| sub.mut_arg("format", |format| format.value_parser(lists)));
        // A memory size without its processor share is not worth a choice.
        command = command.mut_subcommand("tune", |sub| sub.mut_arg("cpu", |cpu| cpu.default_value("share")));
        Self::from_arg_matches(&command.try_get_matches_from(line)?)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a smaller and faster artifact, and verify by replay that it behaves the same
    Build(BuildArgs),
    /// Find what costs time or bytes for nothing, with what to do about it
    Doctor(DoctorArgs),
    /// Serve functions on this machine through Lambda's own API, until stopped
    Serve(ServeArgs),
    /// Show where the cold start of a function goes, import by import
    Trace(TraceArgs),
    /// Find the memory size that suits a function: latency and cost by size, before and after
    Tune(Box<TuneArgs>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_structures_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_the_contract() {
        let cli = Cli::try_parse_from(["glowplug", "build"]).unwrap();
        let Command::Build(args) = cli.command else { panic!("not a build") };
        assert_eq!(args.path, ["."]);
        assert_eq!(args.out, "glowplug-out");
        assert_eq!(args.kind, [Kind::Zip]);
        assert_eq!((args.lazy, args.trim), (LazyLevel::Balanced, TrimLevel::Safe));
        assert_eq!(args.common.format, Format::Text);
        assert_eq!(args.common.cpu, Cpu::Unlimited);
    }

    #[test]
    fn sarif_is_for_findings_alone() {
        let cli = Cli::read(["glowplug", "doctor", "--format", "sarif"]).unwrap();
        let Command::Doctor(args) = cli.command else { panic!("no doctor") };
        assert_eq!((args.common.format, args.runs), (Format::Sarif, 2));
        for command in ["build", "trace", "tune", "serve"] {
            assert!(Cli::read(["glowplug", command, "--format", "sarif"]).is_err(), "{command}");
            assert!(Cli::read(["glowplug", command, "--format", "json"]).is_ok(), "{command}");
        }
    }

    #[test]
    fn memory_sizes_come_with_their_processor_share() {
        let cpu = |line: &[&str]| match Cli::read(line).unwrap().command {
            Command::Tune(args) => args.common.cpu,
            _ => panic!("no tune"),
        };
        assert_eq!(cpu(&["glowplug", "tune"]), Cpu::Share);
        assert_eq!(cpu(&["glowplug", "tune", "--cpu", "unlimited"]), Cpu::Unlimited);
    }

    #[test]
    fn flags_that_exclude_each_other_are_refused() {
        for line in [
            &["glowplug", "build", "--locked", "--update-lock"][..],
            &["glowplug", "build", "--locked", "--plan", "glowplug.lock"],
            &["glowplug", "build", "--diff", "--explain", "pandas"],
            &["glowplug", "build", "--quiet", "--verbose"],
            &["glowplug", "trace", "--runs", "0"],
            &["glowplug", "tune", "--tiers", "128,64"],
            &["glowplug", "tune", "--cold-rate", "2"],
        ] {
            assert!(Cli::try_parse_from(line).is_err(), "{line:?}");
        }
    }
}
