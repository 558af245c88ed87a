//! `glowplug build`.

use glowplug_cli::BuildArgs;
use glowplug_core::{Decision, Error, Progress, Result};
use glowplug_optimize::{Built, Preview, preview};
use glowplug_report::{Page, View, render, render_explanation, render_page};
use glowplug_trace::export::check_file;
use serde_json::json;

use crate::commands::{build_fleet, build_platforms, json, load, write_page};
use crate::console::Console;
use crate::printer::Printer;
use crate::settings::{Build, Show};

/// Decisions that an explanation shows unless all are asked for.
const EXPLAINED: usize = 10;

/// Builds and shows the report, or shows what a build would do.
pub(crate) fn build(console: &Console, args: BuildArgs) -> Result<()> {
    let settings = Build::new(args, &console.common)?;
    if settings.paths.len() > 1 {
        return build_fleet(console, &settings);
    }
    if settings.platforms.len() > 1 {
        return build_platforms(console, &settings);
    }
    let Build { paths, load: options, options: build, html, show, platforms: _, layers: _, fleet: _ } =
        settings;
    let path = paths.into_iter().next().unwrap_or_else(|| ".".into());
    html.as_deref().map(check_file).transpose()?;
    let Console { common, printer, progress } = console;
    let function = load(console, &path, &options)?;
    let python = common.python.as_deref();
    if show != Show::Report {
        let asked = match &show {
            Show::Explain(module) => Some(module.as_str()),
            Show::Diff | Show::Report => None,
        };
        let found = preview(&function, python, &build, asked, &common.cache, progress)?;
        progress.clear();
        return match show {
            Show::Explain(module) => explain(console, &module, &found),
            Show::Diff | Show::Report => diff(console, &found),
        };
    }
    let Built { report, traces } =
        glowplug_optimize::build(&function, python, &build, &common.cache, progress)?;
    progress.clear();
    if let Some(path) = html {
        let traces = traces.iter().flatten().zip(["before", "after"]);
        let traces = traces.map(|(trace, label)| (label.to_owned(), trace)).collect();
        let title = format!("{}, built", function.name);
        let page = Page { title, traces, report: Some(&report) };
        write_page(console, &path, &render_page(&page)?)?;
    }
    let text = if common.json {
        json(&report)?
    } else {
        render(&report, &View { style: printer.style(), width: Printer::width(), all: common.verbose })
    };
    printer.data(&text)
}

fn diff(console: &Console, found: &Preview) -> Result<()> {
    if console.common.json {
        return console.printer.data(&json(&json!({ "diff": found.diff }))?);
    }
    if found.diff.is_empty() {
        console.progress.note("no import is deferred, so there is nothing to show");
    }
    console.printer.data(&found.diff)
}

fn explain(console: &Console, module: &str, found: &Preview) -> Result<()> {
    let mut about: Vec<Decision> = found.decisions.iter().filter(|d| concerns(d, module)).cloned().collect();
    about.sort_by(|a, b| importance(module, b).total_cmp(&importance(module, a)));
    let summary = found.module.as_ref();
    if console.common.json {
        return console.printer.data(&json(&json!({ "module": summary, "decisions": about }))?);
    }
    if about.is_empty() && summary.is_none() {
        return Err(Error::input(format!("no decision is about `{module}`"))
            .cause("nothing that loads while the function starts imports it by a statement at the top of a module")
            .hint(format!("see where it is imported with `glowplug trace --filter {module}`")));
    }
    let printer = console.printer;
    let shown = if console.common.verbose { about.len() } else { about.len().min(EXPLAINED) };
    if shown < about.len() {
        console.progress.note(&format!("{} more with `-v`", about.len() - shown));
    }
    printer.data(&render_explanation(summary, &about[..shown], &printer.style(), Printer::width()))
}

/// The module's own import first, then by what each saves.
fn importance(module: &str, decision: &Decision) -> f64 {
    let saves = decision.saves_ms.unwrap_or(0.0);
    if decision.subject == module { 1e9 + saves } else { saves }
}

/// Whether a decision is about a module, something below it, or a statement in its file.
fn concerns(decision: &Decision, module: &str) -> bool {
    let below =
        |name: &str| name.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let file = decision.place.split(':').next().unwrap_or_default();
    let file = file.trim_end_matches(".py").trim_end_matches("/__init__");
    below(&decision.subject) || file.replace('/', ".") == module
}

#[cfg(test)]
mod tests {
    use super::*;
    use glowplug_core::{DecisionKind, DecisionState};

    #[test]
    fn a_decision_concerns_its_subject_what_is_above_it_and_its_file() {
        let decision = Decision {
            id: "lazy:lib/io/__init__.py:np".into(),
            kind: DecisionKind::Lazy,
            subject: "numpy.linalg".into(),
            place: "lib/io/__init__.py:3".into(),
            state: DecisionState::Refused,
            saves_ms: None,
            together: None,
            saves_bytes: None,
            evidence: String::new(),
            reason: String::new(),
            events: Vec::new(),
        };
        for module in ["numpy", "numpy.linalg", "lib.io"] {
            assert!(concerns(&decision, module), "{module}");
        }
        for module in ["num", "numpy.lin", "lib", "numpy.linalg.x"] {
            assert!(!concerns(&decision, module), "{module}");
        }
    }
}
