//! Two traces side by side for people: what is faster or slower, what did it, what grew and shrank.

use glowplug_core::{format_bytes, format_ms};
use glowplug_trace::{Blame, Cause, Comparison, Difference, DistributionChange, PhaseChange, Ratio};

use crate::grid::{Cell, Grid};
use crate::style::Style;
use crate::text::{plural, shorten, times, width as columns_of};

use super::{NOTHING, folded};

/// Columns of the figure before each cause.
const FIGURE: usize = 9;

/// The comparison as text that ends with a line break; `top` lines of each table.
pub fn render_comparison(comparison: &Comparison, style: &Style, width: usize, top: usize) -> String {
    let page = Page { comparison, style, width, top: (top / 2).max(3) };
    let mut sections = vec![
        page.headline(),
        page.phases(),
        page.blame(),
        page.distributions(),
        page.modules(),
        page.statements(),
    ];
    sections.retain(|section| !section.is_empty());
    sections.join("\n")
}

struct Page<'a> {
    comparison: &'a Comparison,
    style: &'a Style,
    width: usize,
    top: usize,
}

impl Page<'_> {
    fn headline(&self) -> String {
        let name = &self.comparison.new.name;
        let init = self.comparison.phases.iter().find(|phase| phase.phase == "init");
        let both = init.and_then(|init| Some((init.old?, init.new?, init.ratio?, init.difference)));
        let (text, look) = match both {
            None => (format!("{name}: init was not measured in both traces"), self.style.strong),
            Some((old, new, ratio, difference)) => {
                let change = format!("init {} → {}", format_ms(old.median), format_ms(new.median));
                match difference {
                    Difference::None => (
                        format!("{name} starts as fast as before: {change}, no difference"),
                        self.style.strong,
                    ),
                    Difference::Unknown => {
                        (format!("{name}: {change}, in too few runs to tell"), self.style.strong)
                    }
                    Difference::Faster => (
                        format!("{name} starts {} faster: {change}", times(1.0 / ratio.median)),
                        self.style.good,
                    ),
                    Difference::Slower => {
                        (format!("{name} starts {} slower: {change}", times(ratio.median)), self.style.bad)
                    }
                }
            }
        };
        let mut out = Style::paint(look, &folded(&text, self.width, 2)) + "\n";
        for condition in &self.comparison.conditions {
            out += &Style::paint(
                self.style.warning,
                &folded(&format!("not measured alike: {condition}"), self.width, 2),
            );
            out.push('\n');
        }
        out
    }

    fn phases(&self) -> String {
        let mut grid = Grid::default();
        grid.push(self.titles("phase", &["before", "now", "ratio [95 % interval]"]));
        let mut ties = false;
        for phase in &self.comparison.phases {
            if phase.old.is_none() && phase.new.is_none() {
                continue;
            }
            let median = |stat: Option<glowplug_core::Stat>| {
                stat.map_or(NOTHING.to_owned(), |stat| format_ms(stat.median))
            };
            ties |= phase.difference == Difference::None;
            grid.push(vec![
                Cell::new(label(phase)),
                Cell::new(median(phase.old)),
                Cell::new(median(phase.new)),
                self.ratio(phase.ratio, phase.difference),
            ]);
        }
        let mut out = grid.render(self.width);
        if ties {
            out += &Style::paint(self.style.dim, "~ no difference: the interval holds 1");
            out.push('\n');
        }
        out
    }

    fn ratio(&self, ratio: Option<Ratio>, difference: Difference) -> Cell {
        let Some(ratio) = ratio else { return Cell::new(NOTHING) };
        let text = format!("{:.2} [{:.2}, {:.2}]", ratio.median, ratio.low, ratio.high);
        match difference {
            Difference::Faster => Cell::styled(text, self.style.good),
            Difference::Slower => Cell::styled(text, self.style.warning),
            Difference::None => Cell::styled(text + " ~", self.style.dim),
            Difference::Unknown => Cell::styled(format!("{:.2}, too few runs", ratio.median), self.style.dim),
        }
    }

    fn blame(&self) -> String {
        let Comparison { blame, unexplained_ms, .. } = self.comparison;
        if blame.is_empty() {
            return String::new();
        }
        let mut out = Style::paint(self.style.strong, "what did it, in own time of modules at init") + "\n";
        let mut line = |ms: f64, text: &str| {
            let figure = signed(ms);
            let indent = FIGURE + 2;
            let text = folded(text, self.width.saturating_sub(indent), 0);
            let text = text.replace('\n', &format!("\n{}", " ".repeat(indent)));
            let look = if ms > 0.0 { self.style.warning } else { self.style.good };
            let pad = " ".repeat(FIGURE.saturating_sub(columns_of(&figure)));
            out += &format!("{pad}{}  {text}\n", Style::paint(look, &figure));
        };
        for part in blame.iter().take(self.top) {
            line(part.change_ms, &sentence(part));
        }
        let rest = &blame[blame.len().min(self.top)..];
        if !rest.is_empty() {
            line(rest.iter().map(|part| part.change_ms).sum(), &format!("{} more", rest.len()));
        }
        if let Some(ms) = unexplained_ms {
            line(*ms, "neither of these: the machine, small changes, the agent's own time");
        }
        out
    }

    fn distributions(&self) -> String {
        let all = &self.comparison.distributions;
        let mut grid = Grid::default();
        grid.push(self.titles("distributions", &["time", "memory", "size"]));
        for change in all.iter().take(self.top) {
            let megabytes = |kib: f64| format!("{:.1} MB", kib * 1024.0 / 1e6);
            grid.push(vec![
                Cell::new(version(change)),
                Cell::new(changed(imported(change.old_ms), imported(change.new_ms), format_ms)),
                Cell::new(changed(change.old_memory_kib, change.new_memory_kib, megabytes)),
                Cell::new(changed(
                    change.old_bytes.map(|b| b as f64),
                    change.new_bytes.map(|b| b as f64),
                    |b| format_bytes(b as u64),
                )),
            ]);
        }
        self.listed(grid, all.len())
    }

    fn modules(&self) -> String {
        let all = &self.comparison.modules;
        let mut grid = Grid::default();
        grid.push(self.titles("modules", &["before", "now", "change"]));
        for change in all.iter().take(self.top) {
            let mut name = change.module.clone();
            if let Some(event) = &change.event {
                name += &format!(" (in {event})");
            }
            grid.push(self.before_and_now(name, change.old_ms, change.new_ms, ""));
        }
        self.listed(grid, all.len())
    }

    fn statements(&self) -> String {
        let all = &self.comparison.statements;
        let mut grid = Grid::default();
        grid.push(self.titles("statements of your code", &["before", "now", "change"]));
        let text = self.width.saturating_sub(58).max(12);
        for change in all.iter().take(self.top) {
            let said = shorten(&change.text, text);
            grid.push(self.before_and_now(change.place.clone(), change.old_ms, change.new_ms, &said));
        }
        self.listed(grid, all.len())
    }

    fn before_and_now(&self, name: String, old: Option<f64>, new: Option<f64>, text: &str) -> Vec<Cell> {
        let ms = |ms: Option<f64>| ms.map_or(NOTHING.to_owned(), format_ms);
        let what = match (old, new) {
            (None, _) => "new".to_owned(),
            (_, None) => "gone".to_owned(),
            (Some(old), Some(new)) => signed(new - old),
        };
        let look = if new.unwrap_or(0.0) > old.unwrap_or(0.0) { self.style.warning } else { self.style.good };
        let last = if text.is_empty() { what } else { format!("{what:<8}  {text}") };
        vec![Cell::new(name), Cell::new(ms(old)), Cell::new(ms(new)), Cell::styled(last, look)]
    }

    fn titles(&self, first: &str, others: &[&str]) -> Vec<Cell> {
        let first = Cell::styled(first, self.style.strong);
        std::iter::once(first)
            .chain(others.iter().map(|title| Cell::styled(*title, self.style.dim)))
            .collect()
    }

    /// A table without lines is none.
    fn listed(&self, grid: Grid, count: usize) -> String {
        if count == 0 {
            return String::new();
        }
        let mut out = grid.render(self.width);
        if count > self.top {
            out += &Style::paint(
                self.style.dim,
                &format!("… {} more: `--format json` shows them", count - self.top),
            );
            out.push('\n');
        }
        out
    }
}

fn label(phase: &PhaseChange) -> String {
    let name = match phase.phase.as_str() {
        "runtime" => "runtime start",
        "first_invoke" => "first invoke",
        "warm_invoke" => "warm invoke",
        other => other,
    };
    phase.event.as_ref().map_or(name.to_owned(), |event| format!("{name} {event}"))
}

fn sentence(part: &Blame) -> String {
    let subject = &part.subject;
    let at = part.place.as_ref().map_or(String::new(), |place| format!(" ({place})"));
    let modules = plural(part.modules, "module");
    let versions = part.versions.as_ref().map_or(String::new(), |(old, new)| format!(" {old} → {new}"));
    match part.cause {
        Cause::Version => format!("{subject}{versions}, in {modules}"),
        Cause::Added => format!("{subject} is imported now{at}: {modules}"),
        Cause::Removed => format!("{subject} is not imported any more{at}: {modules}"),
        Cause::Deferred => format!("{subject} is imported in the first invoke instead{at}: {modules}"),
        Cause::Advanced => format!("{subject} is imported at init, not in the first invoke{at}: {modules}"),
        Cause::Bytecode if part.change_ms > 0.0 => format!("{modules} without valid bytecode that had it"),
        Cause::Bytecode => format!("{modules} with valid bytecode that had none"),
        Cause::Own if part.place.is_some() => format!("your own statement `{}`{at}", shorten(subject, 40)),
        Cause::Own => format!("your own module {subject}"),
        Cause::Python => format!("Python{versions}, in {modules}"),
        Cause::Same => format!("{modules} of the same versions: the machine, or chance"),
    }
}

fn version(change: &DistributionChange) -> String {
    let name = &change.name;
    match (&change.old_version, &change.new_version) {
        (Some(old), Some(new)) if old == new => format!("{name} {old}"),
        (Some(old), Some(new)) => format!("{name} {old} → {new}"),
        (None, Some(new)) => format!("{name} {new} (added)"),
        (Some(old), None) => format!("{name} {old} (removed)"),
        (None, None) => name.clone(),
    }
}

/// `12 ms → 20 ms`; one figure where both are the same or only one is known.
fn changed(old: Option<f64>, new: Option<f64>, form: impl Fn(f64) -> String) -> String {
    match (old.map(&form), new.map(&form)) {
        (None, None) => NOTHING.to_owned(),
        (Some(old), Some(new)) if old == new => new,
        (old, new) => {
            let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
            format!("{} → {}", or_nothing(old), or_nothing(new))
        }
    }
}

/// The time of a distribution, where anything of it was imported.
fn imported(ms: Option<f64>) -> Option<f64> {
    ms.filter(|ms| *ms > 0.0)
}

fn signed(ms: f64) -> String {
    if ms > 0.0 { format!("+{}", format_ms(ms)) } else { format_ms(ms) }
}
