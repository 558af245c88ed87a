//! Errors as people read them: what failed, where, why, and what to do next.

use std::panic;

use glowplug_core::Error;
use glowplug_report::Style;

use crate::printer::Printer;

/// The error as text that ends with a line break.
pub(crate) fn text(error: &Error, style: &Style) -> String {
    let mut out = format!("{} {}\n", Style::paint(style.bad, "error:"), indented(error.message()));
    if let Some(place) = error.where_() {
        out += &format!("  at: {}\n", Style::paint(style.hint, &indented(place)));
    }
    for cause in error.causes().iter().filter(|cause| !cause.is_empty()) {
        out += &format!("  cause: {}\n", indented(cause));
    }
    if !error.hints().is_empty() {
        out.push('\n');
    }
    for hint in error.hints() {
        out += &format!("{} {}\n", Style::paint(style.hint, "hint:"), indented(hint));
    }
    out
}

/// Further lines stand under the first one.
fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n    ")
}

/// From here on a panic reads like an error, and says that it is a defect.
pub(crate) fn report_panics(printer: Printer) {
    panic::set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let message = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panicked".to_owned());
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        printer.error(&text(&Error::defect(message).place(place), &printer.error_style()));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_its_line() {
        let error = Error::input("cannot read the event")
            .place("events/a.json:3")
            .cause("expected `,`\nfound `}`")
            .cause("")
            .hint("write JSON");
        let expected = "error: cannot read the event\n  at: events/a.json:3\n  cause: expected `,`\n    found `}`\n\nhint: write JSON\n";
        assert_eq!(text(&error, &Style::plain()), expected);
        assert_eq!(text(&Error::interrupted(), &Style::plain()), "error: interrupted\n");
    }
}
