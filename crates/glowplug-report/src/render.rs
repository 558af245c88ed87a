//! A report for people: headline, table, decisions, verdict, next step.

use glowplug_core::{format_bytes, format_ms};

use crate::decisions::render_report_decisions;
use crate::image::{render_delivery, render_image};
use crate::report::{ArtifactKind, Report};
use crate::style::Style;
use crate::table::render_table;
use crate::text::{printable, times, wrap};
use crate::verdict::{render_verdict, warning_first};

/// Largest package that Lambda takes in the request itself; a larger one goes through S3.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const DIRECT_UPLOAD_BYTES: u64 = 50 * 1024 * 1024;

/// How much to show, and how.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Colours.
    pub style: Style,
    /// Columns of the terminal; 80 for a file.
    pub width: usize,
    /// Every decision and refusal, not only the most important ones.
    pub all: bool,
}

/// The report as text that ends with a line break. Where nothing was proved, that stands first.
pub fn render(report: &Report, view: &View) -> String {
    let mut out = warning_first(report, view);
    out += &headline(report, view);
    out.push('\n');
    out += &render_table(report, &view.style, view.width);
    out.push('\n');
    out += &render_report_decisions(report, view);
    out.push('\n');
    out += &render_verdict(report, view);
    if let Some(advice) = &report.advice {
        out += &Style::paint(view.style.hint, &wrap(&format!("hint: {advice}"), view.width, 6));
        out.push('\n');
    }
    if let Some(image) = &report.image {
        out += &format!("\n{}", render_image(image, view));
    }
    if let Some(delivery) = &report.delivery {
        out += &format!("\n{}", render_delivery(delivery, view));
    }
    out += &artifacts(report, view);
    out
}

/// How an image gets to where it runs.
fn push_command(report: &Report, path: &str) -> String {
    match report.image.as_ref().and_then(|image| image.pushed.as_ref()) {
        Some(pushed) => format!(
            "aws lambda update-function-code --function-name {} --image-uri {pushed}",
            report.function.name
        ),
        None => format!(
            "skopeo copy oci:{path}:{name} docker://REGISTRY/{name}  # or build with --push",
            name = report.function.name
        ),
    }
}

/// One sentence with the figure that matters most.
fn headline(report: &Report, view: &View) -> String {
    let name = &report.function.name;
    let (Some(before), Some(after), Some(ratio)) =
        (report.before.init_ms, report.after.init_ms, report.ratio.init)
    else {
        let text = format!("{name} was built; its start was not measured");
        return Style::paint(view.style.strong, &wrap(&text, view.width, 2)) + "\n";
    };
    let change = format!("init {} → {}", format_ms(before.median), format_ms(after.median));
    let (text, look) = if !ratio.differs_from(1.0) {
        (format!("{name} starts as fast as before: {change}, no difference"), view.style.strong)
    } else if ratio.median < 1.0 {
        (format!("{name} starts {} faster: {change}", times(1.0 / ratio.median)), view.style.good)
    } else {
        (format!("{name} starts {} slower: {change}", times(ratio.median)), view.style.bad)
    };
    Style::paint(look, &wrap(&text, view.width, 2)) + "\n"
}

fn artifacts(report: &Report, view: &View) -> String {
    let mut out = String::new();
    for artifact in &report.artifacts {
        let line = format!("{}  {}", artifact.path, format_bytes(artifact.bytes));
        let digest = format!("sha256 {}", artifact.sha256);
        out += &format!(
            "\n{}\n{}\n",
            Style::paint(view.style.strong, &line),
            Style::paint(view.style.dim, &digest)
        );
        let command = if artifact.kind == ArtifactKind::Image {
            push_command(report, &artifact.path)
        } else if artifact.bytes <= DIRECT_UPLOAD_BYTES {
            format!(
                "aws lambda update-function-code --function-name {} --zip-file fileb://{}",
                report.function.name, artifact.path
            )
        } else {
            format!("aws s3 cp {} s3://BUCKET/  # Lambda takes more than 50 MB only from S3", artifact.path)
        };
        // A command is copied: it is never broken.
        out += &format!("next: {}\n", Style::paint(view.style.hint, &printable(&command)));
    }
    out
}
