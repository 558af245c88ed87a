//! The commands: settings in, data to standard output.

mod build;
mod build_fleet;
mod build_platforms;
mod doctor;
mod serve;
mod serve_log;
mod trace;
mod tune;
mod tune_aws;

pub(crate) use build::build;
use build_fleet::build_fleet;
use build_platforms::build_platforms;
pub(crate) use doctor::doctor;
pub(crate) use serve::serve;
pub(crate) use trace::trace;
pub(crate) use tune::tune;

use camino::Utf8Path;
use glowplug_core::{Error, Progress, Result};
use glowplug_function::{Function, LoadOptions};
use glowplug_report::{Report, View, render};
use glowplug_trace::export::write_file;
use serde::Serialize;
use serde_json::Value;

use crate::console::Console;
use crate::printer::Printer;

/// Reads the function, and says what is worth saying about it.
fn load(console: &Console, path: &Utf8Path, options: &LoadOptions) -> Result<Function> {
    let function = glowplug_function::load(path, options)?;
    for note in &function.notes {
        console.progress.note(note);
    }
    Ok(function)
}

/// Writes a page, which appears complete or not at all.
fn write_page(console: &Console, path: &Utf8Path, html: &str) -> Result<()> {
    write_file(path, html.as_bytes())?;
    console.progress.note(&format!("wrote {path}"));
    Ok(())
}

/// The first error with what the others say: its class decides the exit code.
fn all_of(errors: Vec<Error>) -> Result<()> {
    let mut errors = errors.into_iter();
    let Some(first) = errors.next() else { return Ok(()) };
    Err(errors.fold(first, |error, other| {
        let error = error.cause(format!("beside that, {other}"));
        other.hints().iter().fold(error, Error::hint)
    }))
}

/// Shows several builds: their document, or what they are together; with `--verbose` each report before it.
fn show_reports(
    console: &Console,
    reports: &[Report],
    document: &Value,
    together: impl FnOnce(&View) -> String,
) -> Result<()> {
    let Console { common, printer, progress } = console;
    progress.clear();
    if common.json {
        return printer.data(&json(document)?);
    }
    let view = View { style: printer.style(), width: Printer::width(), all: common.verbose };
    let mut text = String::new();
    if common.verbose {
        for report in reports {
            text += &render(report, &view);
            text.push('\n');
        }
    }
    text += &together(&view);
    printer.data(&text)
}

/// A document as people and programs read it.
fn json(document: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| Error::defect("the result has no JSON").cause(error))?;
    Ok(text + "\n")
}
