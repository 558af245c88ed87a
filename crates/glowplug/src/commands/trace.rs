//! `glowplug trace`.

use std::time::{SystemTime, UNIX_EPOCH};

use camino::Utf8Path;
use fs_err as fs;
use glowplug_cli::{Cpu, Toggle, TraceArgs};
use glowplug_core::{Error, Progress, Result};
use glowplug_report::{Page, TraceView, render_comparison, render_page, render_trace};
use glowplug_trace::export::{Export, ExportOptions, Format, Otlp, check, check_file, export};
use glowplug_trace::{Comparison, Trace, compare, read_trace};

use crate::commands::{all_of, json, load, write_page};
use crate::console::Console;
use crate::printer::Printer;
use crate::settings::Trace as Settings;

/// Traces and shows the trace. What the function did until it failed is shown too, and then the failure is an error.
/// What cannot be written keeps nothing else from being shown and written.
pub(crate) fn trace(console: &Console, args: TraceArgs) -> Result<()> {
    if args.common.init_boost == Toggle::Off && args.common.cpu == Cpu::Unlimited {
        console.progress.note("`--init-boost off` changes nothing without `--cpu share`");
    }
    let settings = Settings::new(args, &console.common);
    // What cannot be read or written is told before anything is measured.
    if settings.filter.as_ref().is_some_and(String::is_empty) {
        return Err(Error::usage("`--filter` names no module").hint("for example `--filter pandas`"));
    }
    let exports = Exports::new(&settings.export)?;
    settings.html.as_deref().map(check_file).transpose()?;
    let old = settings.compare.as_deref().map(|path| Old::find(console, path, &settings)).transpose()?;
    let function = load(console, &settings.path, &settings.load)?;
    let trace = measure(console, &function, &settings)?;
    let comparison = old.map(|old| old.against(console, &trace, &settings)).transpose()?;
    console.progress.clear();
    let mut errors = Vec::new();
    errors.extend(show(console, &trace, comparison.as_ref(), &settings).err());
    if let Some(path) = &settings.html {
        let traces = vec![("trace".to_owned(), &trace)];
        let page = Page { title: format!("{}, traced", function.name), traces, report: None };
        errors.extend(render_page(&page).and_then(|html| write_page(console, path, &html)).err());
    }
    errors.extend(exports.write(console, &trace));
    errors.extend(trace.failure.map(|failure| {
        Error::input("the function failed while it was traced")
            .cause(failure)
            .hint("the trace shows what happened until then")
    }));
    all_of(errors)
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
    /// # Errors
    /// Usage: the path names nothing that could be compared with. Else as reading a trace or a function.
    fn find(console: &Console, path: &Utf8Path, settings: &Settings) -> Result<Self> {
        let named = |ending: &str| path.extension().is_some_and(|it| it.eq_ignore_ascii_case(ending));
        let not_a_trace = |cause: &str| {
            Error::usage("not a trace")
                .place(path.as_str())
                .cause(cause)
                .hint("compare with a trace (`glowplug trace --format json > FILE.json`), a folder or a zip")
        };
        if !path.exists() {
            return Err(not_a_trace("there is no such file or folder"));
        }
        if path.is_dir() || named("zip") {
            return load(console, path, &settings.load).map(|function| Self::Function(Box::new(function)));
        }
        if !named("json") {
            return Err(not_a_trace("a trace's name ends in `.json`"));
        }
        let text = fs::read_to_string(path).map_err(|error| {
            Error::input("cannot read the trace to compare with").place(path.as_str()).cause(error)
        })?;
        read_trace(&text).map(|trace| Self::Trace(Box::new(trace))).map_err(|e| e.place(path.as_str()))
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

    /// Every export is tried: the errors of those that failed.
    fn write(self, console: &Console, trace: &Trace) -> Vec<Error> {
        let now = SystemTime::now();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = since.as_nanos() as u64 ^ u64::from(std::process::id());
        let options = ExportOptions { otlp: self.otlp, ..ExportOptions::new(now, seed) };
        let mut errors = Vec::new();
        for wanted in &self.wanted {
            match export(trace, wanted, &options) {
                Ok(()) => console.progress.note(&format!("exported {wanted}")),
                Err(error) => errors.push(error),
            }
        }
        errors
    }
}

fn show(
    console: &Console,
    trace: &Trace,
    comparison: Option<&Comparison>,
    settings: &Settings,
) -> Result<()> {
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
            let Settings { top, order, filter, .. } = settings.clone();
            let (style, width) = (printer.style(), Printer::width());
            render_trace(trace, &TraceView { style, width, top, order, filter })
        }
    };
    printer.data(&text)
}
