//! `glowplug doctor`.

use glowplug_cli::{DoctorArgs, Format};
use glowplug_core::{Error, Result};
use glowplug_doctor::{Findings, sarif};
use glowplug_report::{FindingsView, render_findings};

use crate::commands::json;
use crate::console::Console;
use crate::printer::Printer;
use crate::settings::Doctor as Settings;

/// Looks at the package and shows what was found. Findings are no failure, unless `--fail-on` says so.
pub(crate) fn doctor(console: &Console, args: DoctorArgs) -> Result<()> {
    let format = args.common.format;
    let settings = Settings::new(args, &console.common)?;
    let Console { common, printer, progress } = console;
    let findings = glowplug_optimize::doctor(&settings.path, &settings.options, &common.cache, progress)?;
    console.progress.clear();
    let text = match format {
        Format::Json => json(&findings)?,
        Format::Sarif => json(&sarif(&findings, env!("CARGO_PKG_VERSION")))?,
        Format::Text => {
            let view =
                FindingsView { style: printer.style(), width: Printer::width(), verbose: common.verbose };
            render_findings(&findings, &view)
        }
    };
    printer.data(&text)?;
    failing(&findings, &settings)
}

fn failing(findings: &Findings, settings: &Settings) -> Result<()> {
    let Some(fail_on) = &settings.fail_on else { return Ok(()) };
    let mut codes: Vec<&str> =
        findings.findings.iter().map(|found| found.code).filter(|code| fail_on.has(code)).collect();
    let count = codes.len();
    if count == 0 {
        return Ok(());
    }
    codes.sort_unstable();
    codes.dedup();
    let found = if count == 1 { "1 finding".to_owned() } else { format!("{count} findings") };
    Err(Error::input(format!("{found} that `--fail-on` names"))
        .cause(codes.join(", "))
        .hint("do what their remedies say, or leave them out with `--ignore CODE`"))
}
