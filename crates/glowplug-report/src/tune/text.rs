//! Memory sizes for people: the table, the chart, the choice.

use glowplug_core::format_ms;

use crate::grid::{Cell, Grid};
use crate::render::View;
use crate::style::Style;
use crate::text::wrap;
use crate::tune::chart::chart;
use crate::tune::document::{Intervals, Percentiles, TierStatus, TuneForm, TuneReport, TuneTier};

/// The choice as text that ends with a line break.
pub fn render_tune(report: &TuneReport, view: &View) -> String {
    let mut sections = vec![headline(report, view)];
    let forms =
        [("before: as it is", Some(&report.before)), ("after: as a build makes it", report.after.as_ref())];
    for (title, form) in forms {
        if let Some(form) = form {
            sections.push(table(report, title, form, view));
        }
    }
    let drawn = chart(&report.tiers, view.width);
    if !drawn.is_empty() {
        let title = Style::paint(view.style.strong, "p50 by size in MB: line cold, dots warm");
        sections.push(format!("{title}\n{drawn}"));
    }
    sections.push(choice(report, view));
    if !report.notes.is_empty() {
        let notes: Vec<String> = report
            .notes
            .iter()
            .map(|note| format!("  {}\n", wrap(note, view.width.saturating_sub(2), 2)))
            .collect();
        sections.push(Style::paint(view.style.dim, "to know") + "\n" + &notes.concat());
    }
    sections.join("\n")
}

fn headline(report: &TuneReport, view: &View) -> String {
    let function = &report.function;
    let what = match report.chosen {
        Some(chosen) if chosen == function.memory_mb => format!("{chosen} MB, as it is"),
        Some(chosen) => format!("{chosen} MB instead of {} MB", function.memory_mb),
        None if report.complete => "no size works".to_owned(),
        None => "interrupted before a size could be chosen".to_owned(),
    };
    let first = Style::paint(view.style.strong, &format!("{}: {what}", function.name));
    let parameters = &report.parameters;
    let boost = if parameters.init_boost { "init boosted" } else { "init not boosted" };
    let objective = match parameters.objective.as_str() {
        "balanced" => format!("speed and cost balanced, cost counting {}", parameters.balanced_weight),
        other => other.to_owned(),
    };
    let how = format!(
        "by {objective}; {} % of requests cold, {boost}, {} prices of {} in {}",
        percent(parameters.cold_rate),
        function.architecture,
        parameters.prices,
        parameters.region
    );
    format!("{first}\n{}\n", wrap(&how, view.width, 2))
}

fn table(report: &TuneReport, title: &str, form: &TuneForm, view: &View) -> String {
    let mut grid = Grid::default();
    let heads = ["MB", "cold p50", "p90", "p99", "warm p50", "p90", "p99", "billed", "$ per million", ""];
    grid.push(heads.map(|head| Cell::styled(head, view.style.dim)).to_vec());
    let is_chosen_from = form.tiers == report.tiers;
    for tier in &form.tiers {
        let mark = if is_chosen_from { marks(report, tier) } else { String::new() };
        grid.push(row(tier, &mark, view));
    }
    format!("{}\n{}", Style::paint(view.style.strong, title), grid.render(view.width))
}

fn row(tier: &TuneTier, mark: &str, view: &View) -> Vec<Cell> {
    let ms = |value: Option<f64>| Cell::new(value.map_or_else(|| "-".to_owned(), format_ms));
    let mut row = vec![Cell::new(tier.memory_mb.to_string())];
    for times in [tier.cold_ms, tier.warm_ms] {
        row.push(Cell::new(times.map_or_else(|| "-".to_owned(), |times| with_interval(&times))));
        row.extend([times.map(|t| t.p90), times.map(|t| t.p99)].map(ms));
    }
    row.push(ms(tier.billed_ms));
    row.push(Cell::new(tier.usd_per_million.map_or_else(|| "-".to_owned(), |usd| format!("{usd:.3}"))));
    row.push(match tier.status {
        TierStatus::Answered => Cell::styled(mark, view.style.good),
        TierStatus::OutOfMemory => Cell::styled("out of memory", view.style.bad),
        TierStatus::TimedOut => Cell::styled("timed out", view.style.bad),
        TierStatus::Failed => Cell::styled("failed", view.style.bad),
        TierStatus::NotMeasured if tier.latency_ms.is_some() => {
            Cell::styled(format!("{mark} modelled").trim(), view.style.dim)
        }
        TierStatus::NotMeasured if tier.out_of_memory => Cell::styled("too small", view.style.bad),
        TierStatus::NotMeasured => Cell::styled("not measured", view.style.dim),
    });
    row
}

/// The median, with half of its interval as a part of it.
fn with_interval(times: &Percentiles) -> String {
    let median = format_ms(times.p50);
    let Some(Intervals { p50: (low, high), .. }) = times.intervals.filter(|_| times.p50 > 0.0) else {
        return median;
    };
    match (50.0 * (high - low) / times.p50).round() {
        percent if percent > 99.0 => format!("{median} ±>99 %"),
        percent => format!("{median} ±{percent:.0} %"),
    }
}

/// `◆` is the chosen size, `◇` one on the Pareto front.
fn marks(report: &TuneReport, tier: &TuneTier) -> String {
    let size = tier.memory_mb;
    let mut marks = String::new();
    if report.chosen == Some(size) {
        marks.push('◆');
    } else if report.pareto.contains(&size) {
        marks.push('◇');
    }
    let best = &report.best;
    for (name, of) in [("fastest", best.speed), ("cheapest", best.cost), ("balanced", best.balanced)] {
        if of == Some(size) {
            marks += &format!(" {name}");
        }
    }
    if size == report.function.memory_mb {
        marks += " now";
    }
    marks.trim().to_owned()
}

fn choice(report: &TuneReport, view: &View) -> String {
    let mut lines = Vec::new();
    if let Some(advice) = &report.advice {
        lines.push(Style::paint(view.style.strong, &wrap(advice, view.width, 2)));
    }
    if let Some(lowest) = report.lowest_mb
        && let Some(peak) = report.tier(lowest).and_then(|tier| tier.peak_mb)
    {
        let used = peak / f64::from(lowest) * 100.0;
        let text = format!(
            "{lowest} MB is the smallest size with enough memory: {peak:.0} MB of it in use ({used:.0} %)"
        );
        lines.push(wrap(&text, view.width, 2));
    }
    let mut failed = report.tiers.iter().filter(|tier| tier.status == TierStatus::Failed);
    if let Some(reason) = failed.find_map(|tier| tier.reason.as_ref()) {
        lines.push(wrap(&format!("where it failed: {reason}"), view.width, 2));
    }
    let runs = match report.model_error {
        None if !report.complete => format!("interrupted after {} of {} runs", report.runs, report.grid_runs),
        None if !report.has_modelled() => format!("{} runs: every size was measured", report.runs),
        None => format!(
            "{} runs instead of {}; too few sizes were run to say how far the model is off",
            report.runs, report.grid_runs
        ),
        Some(error) => format!(
            "{} runs instead of {}; the model is off by {} % at sizes that it had not seen",
            report.runs,
            report.grid_runs,
            percent(error)
        ),
    };
    lines.push(Style::paint(view.style.dim, &runs));
    lines.push(Style::paint(view.style.dim, "◆ chosen  ◇ no other size is both faster and cheaper"));
    lines.join("\n") + "\n"
}

/// A share as people write it: `1`, `0.5`, `33`.
fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::tune::document::{Best, EventFigures, TuneFunction, TuneParameters};
    use glowplug_core::{Architecture, Stat};
    use indexmap::IndexMap;

    fn tier(memory_mb: u32, latency: f64, usd: f64) -> TuneTier {
        let stat = Stat { median: latency, low: latency, high: latency, spread: 0.0, runs: 5 };
        let around = |ms: f64| (ms * 0.98, ms * 1.02);
        let times = |p50: f64| Percentiles {
            p50,
            p90: p50 * 1.1,
            p99: p50 * 1.2,
            intervals: Some(Intervals { p50: around(p50), p90: around(p50 * 1.1), p99: around(p50 * 1.2) }),
        };
        TuneTier {
            memory_mb,
            measured: true,
            status: TierStatus::Answered,
            reason: None,
            cold_ms: Some(times(latency * 10.0)),
            warm_ms: Some(times(latency)),
            latency_ms: Some(stat),
            billed_ms: Some(latency.ceil()),
            usd_per_million: Some(usd),
            usd_interval: None,
            out_of_memory: false,
            peak_mb: Some(190.0),
            events: IndexMap::from([(
                "empty".to_owned(),
                EventFigures {
                    init_ms: Some(stat),
                    init_cpu_ms: Some(stat),
                    cold_ms: Some(stat),
                    warm_ms: Some(stat),
                },
            )]),
        }
    }

    fn without(memory_mb: u32, status: TierStatus, reason: &str) -> TuneTier {
        TuneTier {
            status,
            reason: Some(reason.to_owned()),
            cold_ms: None,
            warm_ms: None,
            latency_ms: None,
            billed_ms: None,
            usd_per_million: None,
            usd_interval: None,
            out_of_memory: status == TierStatus::OutOfMemory,
            events: IndexMap::new(),
            ..tier(memory_mb, 1.0, 1.0)
        }
    }

    /// One that has everything.
    pub(crate) fn report() -> TuneReport {
        let killed = without(128, TierStatus::OutOfMemory, "its process ran out of memory");
        let tiers = vec![killed.clone(), tier(256, 40.0, 0.4), tier(512, 20.0, 0.38), tier(1024, 12.0, 0.5)];
        let before = vec![killed, tier(256, 80.0, 0.8), tier(512, 40.0, 0.7), tier(1024, 20.0, 0.6)];
        TuneReport {
            schema: TuneReport::SCHEMA.to_owned(),
            function: TuneFunction {
                name: "report".into(),
                architecture: Architecture::X86_64,
                memory_mb: 256,
            },
            parameters: TuneParameters {
                target: "local".into(),
                cpu: "share".into(),
                init_boost: true,
                cold_rate: 0.01,
                objective: "balanced".into(),
                balanced_weight: 0.5,
                region: "us-east-1".into(),
                prices: "2026-11".into(),
            },
            tiers: tiers.clone(),
            best: Best { speed: Some(1024), cost: Some(512), balanced: Some(512) },
            chosen: Some(512),
            pareto: vec![512, 1024],
            lowest_mb: Some(256),
            runs: 40,
            grid_runs: 40,
            model_error: None,
            before: TuneForm { tiers: before },
            after: Some(TuneForm { tiers }),
            advice: Some("512 MB answers 2.0 times faster than 256 MB for 5 % less money".into()),
            complete: true,
            notes: Vec::new(),
        }
    }

    fn view() -> View {
        View { style: Style::plain(), width: 100, all: false }
    }

    #[test]
    fn sizes_are_a_table_a_chart_and_a_choice() {
        insta::assert_snapshot!(render_tune(&report(), &view()));
    }

    #[test]
    fn a_model_that_could_not_be_checked_is_told() {
        let mut report = report();
        assert!(render_tune(&report, &view()).contains("40 runs: every size was measured"));
        report.before.tiers[1] =
            TuneTier { measured: false, status: TierStatus::NotMeasured, ..tier(256, 80.0, 0.8) };
        report.runs = 30;
        let text = render_tune(&report, &view());
        assert!(text.contains("30 runs instead of 40; too few sizes were run to say how far"), "{text}");
    }

    #[test]
    fn an_interrupted_one_says_so() {
        let failed = without(256, TierStatus::Failed, "ValueError: no such order");
        let tiers = vec![without(128, TierStatus::TimedOut, "it took longer than 3 s"), failed];
        let report = TuneReport {
            tiers: tiers.clone(),
            before: TuneForm { tiers },
            after: None,
            chosen: None,
            best: Best::default(),
            pareto: Vec::new(),
            lowest_mb: Some(128),
            advice: None,
            complete: false,
            runs: 2,
            notes: vec!["the processor share is not enforced".into()],
            ..report()
        };
        insta::assert_snapshot!(render_tune(&report, &view()));
    }
}
