//! `glowplug trace`.

use std::time::{SystemTime, UNIX_EPOCH};

use camino::Utf8Path;
use fs_err as fs;
use glowplug_cli::TraceArgs;
use glowplug_core::{Error, Progress, Result};
use glowplug_report::{Page, TraceView, render_comparison, render_trace};
use glowplug_trace::export::{Export, ExportOptions, Format, Otlp, check, export};
use glowplug_trace::{Comparison, Trace, compare, read_trace};

use crate::commands::{check_page, json, load, write_page};
use crate::console::Console;
use crate::printer::Printer;
use crate::settings::Trace as Settings;

/// Traces and shows the trace. What the function did until it failed is shown too, and then the failure is an error.
pub(crate) fn trace(console: &Console, args: TraceArgs) -> Result<()> {
    let settings = Settings::new(args, &console.common);
    // What cannot be read or written is told before anything is measured.
    let exports = Exports::new(&settings.export)?;
    settings.html.as_deref().map(check_page).transpose()?;
    let old = settings.compare.as_deref().map(|path| Old::find(console, path, &settings)).transpose()?;
    let function = load(console, &settings.path, &settings.load)?;
    let trace = measure(console, &function, &settings)?;
    let comparison = old.map(|old| old.against(console, &trace, &settings)).transpose()?;
    console.progress.clear();
    exports.write(console, &trace)?;
    if let Some(path) = &settings.html {
        let traces = vec![("trace".to_owned(), &trace)];
        write_page(
            console,
            path,
            &Page { title: format!("{}, traced", function.name), traces, report: None },
        )?;
    }
    show(console, &trace, comparison.as_ref(), settings)?;
    match trace.failure {
        None => Ok(()),
        Some(failure) => Err(Error::input("the function failed while it was traced")
            .cause(failure)
            .hint("the trace shows what happened until then")),
    }
}

fn measure(console: &Console, function: &glowplug_function::Function, settings: &Settings) -> Result<Trace> {
    glowplug_optimize::trace(function, &settings.options, &console.common.cache, &console.progress)
}

/// What a trace is compared with.
enum Old {
    /// A trace of before.
    Trace(Box<Trace>),
    /// Another function, which is traced in the same way.
    Function(Box<glowplug_function::Function>),
}

impl Old {
    fn find(console: &Console, path: &Utf8Path, settings: &Settings) -> Result<Self> {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            let text = fs::read_to_string(path).map_err(|error| {
                Error::input("cannot read the trace to compare with")
                    .place(path.as_str())
                    .cause(error)
                    .hint("make one with `glowplug trace --format json > FILE.json`")
            })?;
            return read_trace(&text)
                .map(|trace| Self::Trace(Box::new(trace)))
                .map_err(|e| e.place(path.as_str()));
        }
        load(console, path, &settings.load).map(|function| Self::Function(Box::new(function)))
    }

    fn against(self, console: &Console, new: &Trace, settings: &Settings) -> Result<Comparison> {
        let old = match self {
            Self::Trace(old) => *old,
            Self::Function(function) => {
                console.progress.note(
                    "the two functions are traced one after the other: what else the machine does meanwhile \
                                       counts for one of them alone",
                );
                measure(console, &function, settings)?
            }
        };
        Ok(compare(&old, new))
    }
}

/// What goes to other tools.
struct Exports {
    wanted: Vec<Export>,
    otlp: Otlp,
}

impl Exports {
    fn new(texts: &[String]) -> Result<Self> {
        let wanted: Vec<Export> = texts.iter().map(|text| text.parse()).collect::<Result<_>>()?;
        wanted.iter().try_for_each(check)?;
        let otlp = if wanted.iter().any(|export| export.format == Format::Otlp) {
            Otlp::read(|name| std::env::var(name).ok())?
        } else {
            Otlp::default()
        };
        Ok(Self { wanted, otlp })
    }

    fn write(self, console: &Console, trace: &Trace) -> Result<()> {
        let now = SystemTime::now();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = since.as_nanos() as u64 ^ u64::from(std::process::id());
        let options = ExportOptions { otlp: self.otlp, ..ExportOptions::new(now, seed) };
        for wanted in &self.wanted {
            export(trace, wanted, &options)?;
            console.progress.note(&format!("exported {wanted}"));
        }
        Ok(())
    }
}

fn show(console: &Console, trace: &Trace, comparison: Option<&Comparison>, settings: Settings) -> Result<()> {
    let Console { common, printer, .. } = console;
    let text = match comparison {
        _ if common.json => {
            let mut document = serde_json::to_value(trace)
                .map_err(|error| Error::defect("the trace has no JSON").cause(error))?;
            if let Some(comparison) = comparison {
                document["comparison"] = serde_json::to_value(comparison)
                    .map_err(|error| Error::defect("the comparison has no JSON").cause(error))?;
            }
            json(&document)?
        }
        Some(comparison) => render_comparison(comparison, &printer.style(), Printer::width(), settings.top),
        None => {
            let Settings { top, order, filter, .. } = settings;
            render_trace(
                trace,
                &TraceView { style: printer.style(), width: Printer::width(), top, order, filter },
            )
        }
    };
    printer.data(&text)
}
