//! `glowplug tune`.

use std::io::{self, BufRead, IsTerminal};

use camino::Utf8PathBuf;
use glowplug_cli::TuneArgs;
use glowplug_core::{Error, Progress, Result};
use glowplug_function::{FileEdit, Function, memory_edits};
use glowplug_report::{TuneReport, View, power_tuning, render_tune, render_tune_page, tune_csv};
use glowplug_trace::export::{check_file, write_file};

use crate::commands::tune_aws::{Measured, tune_in_lambda};
use crate::commands::{all_of, json, load, write_page};
use crate::console::Console;
use crate::printer::Printer;
use crate::settings::Tune as Settings;

/// Runs the function at memory sizes and shows what they give. What was measured before an interruption is shown too, and
/// is then an interruption all the same.
pub(crate) fn tune(console: &Console, args: TuneArgs) -> Result<()> {
    let settings = Settings::new(args, &console.common)?;
    // What cannot be written is told before anything is measured.
    let exports: Vec<Export> = settings.export.iter().map(|text| Export::new(text)).collect::<Result<_>>()?;
    settings.html.as_deref().map(check_file).transpose()?;
    if settings.apply && !settings.yes && !io::stdin().is_terminal() {
        return Err(Error::usage("`--apply` asks before it writes, and nobody can answer")
            .cause("standard input is no terminal")
            .hint("add `--yes` to write without a question"));
    }
    let Some(aws) = &settings.aws else { return tune_here(console, &settings, &exports) };
    match tune_in_lambda(console, aws, &settings)? {
        Some(Measured { report, left }) => {
            let concluded = conclude(console, &settings, &report, &exports);
            left.map_or(concluded.map(|_| ()), Err)
        }
        None => Ok(()),
    }
}

fn tune_here(console: &Console, settings: &Settings, exports: &[Export]) -> Result<()> {
    let function = load(console, &settings.path, &settings.load)?;
    // What cannot be edited is told now, too; the size does not matter for that.
    if settings.apply {
        memory_edits(&settings.path, &function, &settings.load, function.memory_mb)?;
    }
    let Console { common, progress, .. } = console;
    let report = glowplug_optimize::tune_report(
        &function,
        &settings.options,
        &settings.choice,
        &common.cache,
        progress,
    )?;
    let chosen = conclude(console, settings, &report, exports)?;
    if settings.apply { apply(console, settings, &function, chosen) } else { Ok(()) }
}

/// Shows the report, writes its page and what is exported, and gives the chosen size. The page is of an interrupted run,
/// too; other tools have no way to say that there is more. What cannot be written keeps nothing else from being written.
fn conclude(console: &Console, settings: &Settings, report: &TuneReport, exports: &[Export]) -> Result<u32> {
    console.progress.clear();
    let mut errors = Vec::new();
    errors.extend((!report.complete).then(Error::interrupted));
    errors.extend(show(console, report).err());
    if let Some(path) = &settings.html {
        errors.extend(render_tune_page(report).and_then(|html| write_page(console, path, &html)).err());
    }
    if report.complete {
        errors.extend(exports.iter().filter_map(|export| export.write(console, report).err()));
    }
    all_of(errors)?;
    report.chosen.ok_or_else(|| Error::defect("every size was tried and none was chosen"))
}

fn show(console: &Console, report: &TuneReport) -> Result<()> {
    let Console { common, printer, .. } = console;
    let text = if common.json {
        json(report)?
    } else {
        render_tune(report, &View { style: printer.style(), width: Printer::width(), all: common.verbose })
    };
    printer.data(&text)
}

/// Shows what would change, asks, and writes it.
fn apply(console: &Console, settings: &Settings, function: &Function, chosen: u32) -> Result<()> {
    let Console { printer, progress, .. } = console;
    let edits: Vec<FileEdit> = memory_edits(&settings.path, function, &settings.load, chosen)?
        .into_iter()
        .filter(|edit| edit.before != edit.after)
        .collect();
    if edits.is_empty() {
        progress.note(&format!("{chosen} MB is what is configured: nothing to change"));
        return Ok(());
    }
    for edit in &edits {
        printer.error(&edit.diff());
    }
    if !settings.yes {
        printer.error(&format!("Write {chosen} MB? [y/N] "));
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            progress.note("nothing was written");
            return Ok(());
        }
    }
    for edit in &edits {
        edit.write()?;
        progress.note(&format!("wrote {}", edit.path));
    }
    Ok(())
}

/// Another tool's form of the figures, and the file for it.
struct Export {
    csv: bool,
    target: Utf8PathBuf,
}

impl Export {
    /// # Errors
    /// Usage: not `FORMAT=TARGET`, an unknown format, a target that cannot be written.
    fn new(text: &str) -> Result<Self> {
        let wrong = |what: String| {
            Error::usage(what)
                .hint("for example `--export csv=tune.csv` or `--export power-tuning=tuned.json`")
        };
        let (format, target) = match text.split_once('=') {
            Some((format, target)) if !target.is_empty() => (format, Utf8PathBuf::from(target)),
            _ => return Err(wrong(format!("`--export {text}` names no target"))),
        };
        let csv = match format {
            "csv" => true,
            "power-tuning" => false,
            other => return Err(wrong(format!("`{other}` is not a format that sizes are exported in"))),
        };
        check_file(&target)?;
        Ok(Self { csv, target })
    }

    fn write(&self, console: &Console, report: &TuneReport) -> Result<()> {
        let text = if self.csv {
            tune_csv(report).map_err(|error| Error::defect("the figures have no CSV").cause(error))?
        } else {
            json(&power_tuning(report))?
        };
        write_file(&self.target, text.as_bytes())?;
        console.progress.note(&format!("exported {}", self.target));
        Ok(())
    }
}
