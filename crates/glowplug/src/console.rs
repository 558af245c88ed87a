//! From the command line to the exit code.

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use glowplug_cli::{Cli, Command, CommonArgs};
use glowplug_core::{Error, Result};

use crate::commands;
use crate::errors;
use crate::printer::Printer;
use crate::progress::Display;
use crate::settings::Common;
use crate::signals::Interruption;

/// What every command works with.
pub(crate) struct Console {
    pub(crate) common: Common,
    pub(crate) printer: Printer,
    pub(crate) progress: Display,
}

/// Runs the program.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // Nothing can be said where standard error itself is broken.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let printer = Printer::new(common_of(&cli).color);
    errors::report_panics(printer);
    // A panic has said what it is by the time it arrives here.
    let result = panic::catch_unwind(AssertUnwindSafe(|| dispatch(cli, printer)));
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            printer.error(&errors::text(&error, &printer.error_style()));
            ExitCode::from(error.class().exit_code())
        }
        Err(_) => ExitCode::from(2),
    }
}

fn common_of(cli: &Cli) -> &CommonArgs {
    match &cli.command {
        Command::Build(args) => &args.common,
        Command::Doctor(args) => &args.common,
        Command::Serve(args) => &args.common,
        Command::Trace(args) => &args.common,
        Command::Tune(args) => &args.common,
    }
}

fn dispatch(cli: Cli, printer: Printer) -> Result<()> {
    let interruption = Interruption::listen()?;
    let common = Common::new(common_of(&cli), &|name| std::env::var(name).ok())?;
    let progress = Display::new(&common, printer, interruption.clone());
    let console = Console { common, printer, progress };
    let result = match cli.command {
        Command::Build(args) => commands::build(&console, args),
        Command::Doctor(args) => commands::doctor(&console, args),
        Command::Serve(args) => commands::serve(&console, args),
        Command::Trace(args) => commands::trace(&console, args),
        Command::Tune(args) => commands::tune(&console, *args),
    };
    console.progress.clear();
    match result {
        // Whatever else went wrong on the way, it went wrong because the user wanted to stop.
        Err(_) if interruption.requested() => Err(Error::interrupted()),
        other => other,
    }
}
