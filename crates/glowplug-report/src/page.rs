//! A trace, or a build's two traces and its report, as one HTML file that loads nothing from anywhere.

use glowplug_core::{Error, Result};
use glowplug_trace::Trace;
use serde::Serialize;

use crate::report::Report;

/// Made from `web/` by `npm run build`; the two placeholders are filled in here.
const TEMPLATE: &str = include_str!("../assets/page.html");
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
    let data = serde_json::to_string(page)
        .map_err(|error| Error::defect("cannot write the page's data as JSON").cause(error))?;
    let split = TEMPLATE.split_once(TITLE).and_then(|(head, rest)| Some((head, rest.split_once(DATA)?)));
    let Some((head, (middle, tail))) = split else {
        return Err(Error::defect("the page's template has no place for its data"));
    };
    Ok([head, &escape_text(&page.title), middle, &escape_json(&data), tail].concat())
}

/// JSON that may stand in a `<script>`: no `<` that could end it, no separator that old scripts take for a line's end.
fn escape_json(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

fn escape_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
