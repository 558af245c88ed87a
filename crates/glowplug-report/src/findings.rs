//! Findings for people: by rule, the most costly first, each rule with its remedy; then what was not looked at.

use glowplug_core::{format_bytes, format_ms};
use glowplug_doctor::{Finding, Findings, Level, rule};

use crate::style::Style;
use crate::text::{plural, wrap};

/// Findings of a rule that are shown unless all are asked for.
const SHOWN: usize = 5;
/// Other places of a finding that are shown.
const PLACES: usize = 4;
/// Columns before the text of a finding.
const INDENT: usize = 4;

/// How findings are shown.
#[derive(Debug, Clone, Copy)]
pub struct FindingsView {
    /// Colours.
    pub style: Style,
    /// Columns of the terminal; 80 for a file.
    pub width: usize,
    /// All findings and places, not only the most costly ones.
    pub verbose: bool,
}

/// The findings as text that ends with a line break.
pub fn render_findings(findings: &Findings, view: &FindingsView) -> String {
    let mut sections = vec![headline(findings, view)];
    let mut seen: Vec<&str> = Vec::new();
    for finding in &findings.findings {
        if !seen.contains(&finding.code) {
            seen.push(finding.code);
            let group: Vec<&Finding> = findings.findings.iter().filter(|f| f.code == finding.code).collect();
            sections.push(render_group(&group, view));
        }
    }
    if !findings.not_seen.is_empty() {
        let mut text = Style::paint(view.style.dim, "not looked at") + "\n";
        for line in &findings.not_seen {
            text += &format!("{}\n", hanging(line, 2, view.width));
        }
        sections.push(text);
    }
    sections.join("\n")
}

fn headline(findings: &Findings, view: &FindingsView) -> String {
    let Findings { name, kind, python, architecture, .. } = findings;
    let count = match findings.findings.len() {
        0 => "no findings".to_owned(),
        count => plural(count, "finding"),
    };
    let zipped =
        findings.zip_bytes.map_or_else(String::new, |bytes| format!(", {} zipped", format_bytes(bytes)));
    let first = Style::paint(view.style.strong, &format!("{name}: {count}"));
    let what = format!(
        "{kind} for Python {python} on {architecture}: {} unzipped{zipped}, {}",
        format_bytes(findings.bytes),
        plural(findings.files, "file")
    );
    format!("{first}\n{}\n", wrap(&what, view.width, 2))
}

/// A rule's findings under its sentence; the remedy once where all have the same.
fn render_group(group: &[&Finding], view: &FindingsView) -> String {
    let Some(first) = group.first() else { return String::new() };
    let sentence = rule(first.code).map_or("", |rule| rule.sentence);
    let look = match group.iter().map(|finding| finding.level).min() {
        Some(Level::Error) => view.style.bad,
        Some(Level::Warning) => view.style.warning,
        _ => view.style.hint,
    };
    let code = Style::paint(look, first.code);
    let total = if group.len() > 1 { saved(group).map(|text| format!(" ({text})")) } else { None };
    let title = format!("{}: {sentence}{}", first.rule, total.unwrap_or_default());
    let mut text = format!("{code} {}\n", wrap(&title, view.width.saturating_sub(6), 2));
    let same = group.iter().all(|finding| finding.remedy == first.remedy);
    let count = if view.verbose { group.len() } else { SHOWN };
    for finding in group.iter().take(count) {
        text += &one(finding, !same, view);
    }
    if group.len() > count {
        let rest = &group[count..];
        let saves = saved(rest).map_or_else(String::new, |saves| format!(", {saves}"));
        text += &Style::paint(view.style.dim, &format!("  … {} more{saves}: `-v` shows them", rest.len()));
        text.push('\n');
    }
    if same {
        text += &remedy(first, view);
    }
    text
}

fn one(finding: &Finding, with_remedy: bool, view: &FindingsView) -> String {
    let saves = saved(&[finding]).map_or_else(String::new, |text| format!("  {text}"));
    let place = Style::paint(view.style.hint, &crate::text::printable(&finding.place));
    let mut text = format!("  {place}{saves}\n{}\n", hanging(&finding.message, INDENT, view.width));
    let others: Vec<&str> =
        finding.places.iter().map(String::as_str).filter(|place| *place != finding.place).collect();
    if !others.is_empty() {
        let count = if view.verbose { others.len() } else { PLACES };
        let mut line = others.iter().take(count).copied().collect::<Vec<_>>().join(", ");
        if others.len() > count {
            line += &format!(" and {} more", others.len() - count);
        }
        text += &Style::paint(view.style.dim, &hanging(&format!("also {line}"), INDENT, view.width));
        text.push('\n');
    }
    if with_remedy {
        text += &remedy(finding, view);
    }
    text
}

fn remedy(finding: &Finding, view: &FindingsView) -> String {
    let text = hanging(&format!("remedy: {}", finding.remedy), INDENT, view.width);
    format!("{}\n", Style::paint(view.style.good, &text))
}

/// A paragraph whose lines all start with `indent` spaces.
fn hanging(text: &str, indent: usize, width: usize) -> String {
    let space = " ".repeat(indent);
    format!("{space}{}", wrap(text, width.saturating_sub(indent), indent))
}

/// What findings save together.
fn saved(findings: &[&Finding]) -> Option<String> {
    let ms: f64 = findings.iter().filter_map(|finding| finding.saves_ms).sum();
    let bytes: u64 = findings.iter().filter_map(|finding| finding.saves_bytes).sum();
    let zip: Option<u64> =
        findings.iter().filter(|f| f.saves_bytes.is_some()).map(|f| f.saves_zip_bytes).sum();
    let mut parts = Vec::new();
    if ms >= 0.05 {
        parts.push(format_ms(ms));
    }
    if bytes > 0 {
        let zipped = zip
            .filter(|zip| *zip > 0)
            .map_or_else(String::new, |zip| format!(", {} zipped", format_bytes(zip)));
        parts.push(format!("{}{zipped}", format_bytes(bytes)));
    }
    let about = if findings.iter().any(|finding| finding.estimated) { "up to " } else { "" };
    (!parts.is_empty()).then(|| format!("{about}{}", parts.join(", ")))
}
