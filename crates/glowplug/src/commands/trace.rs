//! `glowplug trace`.

use glowplug_cli::TraceArgs;
use glowplug_core::{Error, Result};
use glowplug_report::{TraceView, render_trace};

use crate::commands::{json, load};
use crate::console::Console;
use crate::printer::Printer;
use crate::settings::Trace;

/// Traces and shows the trace. What the function did until it failed is shown too, and then the failure is an error.
pub(crate) fn trace(console: &Console, args: TraceArgs) -> Result<()> {
    let Trace { path, load: options, options: how, top, order, filter, .. } = Trace::new(args, &console.common);
    let Console { common, printer, progress } = console;
    let function = load(console, &path, &options)?;
    let trace = glowplug_optimize::trace(&function, &how, &common.cache, progress)?;
    progress.clear();
    let failure = trace.failure.clone();
    let text = if common.json {
        json(&trace)?
    } else {
        let view = TraceView { style: printer.style(), width: Printer::width(), top, order, filter };
        render_trace(&trace, &view)
    };
    printer.data(&text)?;
    match failure {
        None => Ok(()),
        Some(failure) => Err(Error::input("the function failed while it was traced")
            .cause(failure)
            .hint("the trace shows what happened until then")),
    }
}
