//! Documents as one HTML file each, which loads nothing from anywhere: a trace, a build's two traces and its report, or
//! memory sizes.

use glowplug_core::{Error, Result};
use glowplug_trace::Trace;
use serde::Serialize;

use crate::report::Report;
use crate::tune::TuneReport;

/// Made from `web/` by `npm run build`; the two placeholders are filled in here.
const TEMPLATE: &str = include_str!("../assets/page.html");
/// The same for memory sizes.
const TUNE_TEMPLATE: &str = include_str!("../assets/tune.html");
const TITLE: &str = "{{TITLE}}";
const DATA: &str = "{{DATA}}";

/// What the page shows.
#[derive(Debug, Clone, Serialize)]
pub struct Page<'a> {
    /// The headline and the window's title.
    pub title: String,
    /// One trace, or one `before` and one `after`; each with its label.
    pub traces: Vec<(String, &'a Trace)>,
    /// What the build that lies between the two found, changed, measured and proved.
    pub report: Option<&'a Report>,
}

/// The page as HTML; with the same values, the same bytes.
///
/// # Errors
///
/// A value that cannot be written as JSON, or a template without its placeholders: both are defects.
pub fn render_page(page: &Page) -> Result<String> {
    fill(TEMPLATE, &page.title, page)
}

/// What a function does at memory sizes as HTML, with the document in it; with the same values, the same bytes.
///
/// # Errors
///
/// As [`render_page`].
pub fn render_tune_page(report: &TuneReport) -> Result<String> {
    fill(TUNE_TEMPLATE, &format!("{}, tuned", report.function.name), report)
}

fn fill(template: &str, title: &str, data: &impl Serialize) -> Result<String> {
    let data = serde_json::to_string(data)
        .map_err(|error| Error::defect("cannot write the page's data as JSON").cause(error))?;
    let split = template.split_once(TITLE).and_then(|(head, rest)| Some((head, rest.split_once(DATA)?)));
    let Some((head, (middle, tail))) = split else {
        return Err(Error::defect("the page's template has no place for its data"));
    };
    Ok([head, &escape_text(title), middle, &escape_json(&data), tail].concat())
}

/// JSON that may stand in a `<script>`: no `<` that could end it, no separator that old scripts take for a line's end.
fn escape_json(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

fn escape_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::tune::tests::report as sizes;

    const HOSTILE: &str = "</script><script>alert(1)</script>\u{2028}\u{2029}<!--";

    /// A trace in which everything that a user can name is named badly.
    fn hostile() -> Trace {
        let text = include_str!("../../../web/tests/fixtures/before.json");
        let mut trace: Trace = serde_json::from_str(text).unwrap();
        trace.function.name = HOSTILE.to_owned();
        trace.imports[0].module = HOSTILE.to_owned();
        trace.statements[0].text = HOSTILE.to_owned();
        trace.failure = Some(HOSTILE.to_owned());
        trace
    }

    fn page<'a>(title: &str, traces: Vec<(String, &'a Trace)>) -> Page<'a> {
        Page { title: title.to_owned(), traces, report: None }
    }

    /// What the page's script reads.
    fn data(html: &str) -> &str {
        let (_, rest) = html.split_once(r#"<script type="application/json" id="data">"#).unwrap();
        rest.split_once("</script>").unwrap().0
    }

    #[test]
    fn what_goes_in_comes_out() {
        let trace = hostile();
        let html = render_page(&page("report", vec![("trace".to_owned(), &trace)])).unwrap();
        assert!(html.starts_with("<!doctype html>"));
        let read: serde_json::Value = serde_json::from_str(data(&html)).unwrap();
        assert_eq!(read["title"], "report");
        assert_eq!(read["traces"][0][0], "trace");
        let again: Trace = serde_json::from_value(read["traces"][0][1].clone()).unwrap();
        assert_eq!(again, trace);
    }

    #[test]
    fn names_cannot_leave_their_place() {
        let trace = hostile();
        let plain = render_page(&page("", Vec::new())).unwrap();
        let html = render_page(&page(HOSTILE, vec![(HOSTILE.to_owned(), &trace)])).unwrap();
        for tag in ["<script", "</script", "<!--"] {
            assert_eq!(html.matches(tag).count(), plain.matches(tag).count(), "{tag}");
        }
        assert!(!data(&html).contains(['<', '\u{2028}', '\u{2029}']));
        assert!(html.contains("<title>&lt;/script&gt;"));
    }

    #[test]
    fn placeholders_in_values_stay_text() {
        let html = render_page(&page("{{DATA}} {{TITLE}}", Vec::new())).unwrap();
        assert!(html.contains("<title>{{DATA}} {{TITLE}}</title>"));
        assert!(data(&html).contains(r#""title":"{{DATA}} {{TITLE}}""#));
    }

    #[test]
    fn the_templates_load_nothing() {
        for template in [TEMPLATE, TUNE_TEMPLATE] {
            let code = template.split("<!-- This page contains").next().unwrap();
            for way in [
                "src=",
                "<link",
                "@import",
                "import(",
                "url(http",
                "url(/",
                "XMLHttpRequest",
                "WebSocket",
                "fetch(",
            ] {
                assert!(!code.contains(way), "{way}");
            }
            let policy =
                "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
            assert!(code.contains(policy));
        }
    }

    #[test]
    fn memory_sizes_come_out_as_they_went_in_and_names_stay_in_their_place() {
        let plain = render_tune_page(&sizes()).unwrap();
        let mut report = sizes();
        report.function.name = HOSTILE.to_owned();
        report.notes = vec![HOSTILE.to_owned(), "{{DATA}} {{TITLE}}".to_owned()];
        let html = render_tune_page(&report).unwrap();
        assert_eq!(html, render_tune_page(&report).unwrap());
        assert_eq!(serde_json::from_str::<TuneReport>(data(&html)).unwrap(), report);
        for tag in ["<script", "</script", "<!--"] {
            assert_eq!(html.matches(tag).count(), plain.matches(tag).count(), "{tag}");
        }
        assert!(html.contains("<title>&lt;/script&gt;"));
        assert!(plain.len() < 200_000, "{} bytes", plain.len());
    }

    #[test]
    fn an_empty_page_is_small() {
        let html = render_page(&page("report", Vec::new())).unwrap();
        assert!(html.len() < 400_000, "{} bytes", html.len());
    }

    #[test]
    fn the_same_values_give_the_same_bytes() {
        let trace = hostile();
        let render = || render_page(&page("report", vec![("trace".to_owned(), &trace)])).unwrap();
        assert_eq!(render(), render());
    }
}
