//! Writes a page from documents on disk; the browser tests in `web/tests` make theirs with it.
//!
//! `cargo run -p glowplug-report --example page -- OUT.html TITLE LABEL=TRACE.json… [report=REPORT.json]`
//!
//! With `tune=TUNE.json` it is the page of memory sizes, which has a title of its own.

use glowplug_core::{Error, Result};
use glowplug_report::{Page, Report, TuneReport, render_page, render_tune_page};
use glowplug_trace::Trace;
use serde::de::DeserializeOwned;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(out), Some(title)) = (arguments.next(), arguments.next()) else {
        return Err(Error::usage("say where to write the page, and its title"));
    };
    let mut traces: Vec<(String, Trace)> = Vec::new();
    let mut report: Option<Report> = None;
    let mut tune: Option<TuneReport> = None;
    for argument in arguments {
        let (label, path) = argument
            .split_once('=')
            .ok_or_else(|| Error::usage(format!("`{argument}` is not LABEL=FILE")))?;
        match label {
            "report" => report = Some(read(path)?),
            "tune" => tune = Some(read(path)?),
            _ => traces.push((label.to_owned(), read(path)?)),
        }
    }
    let traces = traces.iter().map(|(label, trace)| (label.clone(), trace)).collect();
    let html = match tune {
        Some(tune) => render_tune_page(&tune)?,
        None => render_page(&Page { title, traces, report: report.as_ref() })?,
    };
    fs_err::write(out, html).map_err(|error| Error::surroundings("cannot write the page").cause(error))
}

fn read<T: DeserializeOwned>(path: &str) -> Result<T> {
    let text =
        fs_err::read_to_string(path).map_err(|error| Error::input("cannot read the file").cause(error))?;
    serde_json::from_str(&text).map_err(|error| Error::input(format!("cannot read `{path}`")).cause(error))
}
