//! Steps as they happen: a bar where a terminal reads, a line for what takes long where none does.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use glowplug_core::Progress;
use glowplug_report::Style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printer::Printer;
use crate::settings::Common;
use crate::signals::Interruption;

/// A step that takes longer than this is worth a line where no bar is shown.
const LONG: Duration = Duration::from_secs(1);

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(120);

/// How steps are shown.
#[derive(Debug)]
enum Mode {
    Silent,
    Lines,
    Bar(ProgressBar),
}

/// One step that has started and not ended; steps may nest.
#[derive(Debug)]
struct Step {
    what: String,
    total: Option<u64>,
    done: u64,
    started: Instant,
    told: bool,
}

/// Shows progress on standard error.
#[derive(Debug)]
pub(crate) struct Display {
    mode: Mode,
    printer: Printer,
    interruption: Interruption,
    steps: Mutex<Vec<Step>>,
}

impl Display {
    /// Whether the user has asked to stop, for those who outlive a borrow.
    pub(crate) fn interruption(&self) -> Interruption {
        self.interruption.clone()
    }

    /// Silent with `--quiet`; a bar where standard error is a terminal; lines otherwise.
    pub(crate) fn new(common: &Common, printer: Printer, interruption: Interruption) -> Self {
        let mode = if common.quiet {
            Mode::Silent
        } else if io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
            Mode::Bar(bar)
        } else {
            Mode::Lines
        };
        Self { mode, printer, interruption, steps: Mutex::new(Vec::new()) }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        if let Mode::Bar(bar) = &self.mode {
            bar.finish_and_clear();
        }
    }

    fn steps(&self) -> MutexGuard<'_, Vec<Step>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the innermost step.
    fn show(&self, steps: &[Step]) {
        let Mode::Bar(bar) = &self.mode else { return };
        match steps.last() {
            None => bar.set_message(""),
            Some(step) => {
                bar.set_style(bar_style(step.total.is_some()));
                bar.set_message(step.what.clone());
                bar.set_length(step.total.unwrap_or(1).max(1));
                bar.set_position(step.done);
            }
        }
    }

    fn line(&self, text: &str) {
        self.printer.error(&format!("{text}\n"));
    }
}

impl Progress for Display {
    fn start(&self, what: &str, total: Option<u64>) {
        let mut steps = self.steps();
        let step = Step { what: capitalised(what), total, done: 0, started: Instant::now(), told: false };
        steps.push(step);
        self.show(&steps);
    }

    fn advance(&self, units: u64) {
        let mut steps = self.steps();
        let Some(step) = steps.last_mut() else { return };
        step.done += units;
        match &self.mode {
            Mode::Bar(bar) => bar.inc(units),
            Mode::Lines if !step.told && step.started.elapsed() > LONG => {
                step.told = true;
                self.line(&format!("{} ...", step.what));
            }
            Mode::Lines | Mode::Silent => {}
        }
    }

    fn finish(&self) {
        let mut steps = self.steps();
        let Some(step) = steps.pop() else { return };
        let took = step.started.elapsed();
        if matches!(self.mode, Mode::Lines) && took > LONG {
            self.line(&format!("{}: {:.1} s", step.what, took.as_secs_f64()));
        }
        self.show(&steps);
    }

    fn note(&self, line: &str) {
        let text = format!("{} {line}", Style::paint(self.printer.error_style().warning, "note:"));
        match &self.mode {
            Mode::Silent => {}
            Mode::Lines => self.line(&text),
            Mode::Bar(bar) => bar.suspend(|| self.line(&text)),
        }
    }

    fn interrupted(&self) -> bool {
        self.interruption.requested()
    }
}

fn bar_style(counted: bool) -> ProgressStyle {
    let template = if counted { "{spinner} {msg} {bar:24} {percent}%" } else { "{spinner} {msg}" };
    // The templates are constants that indicatif reads.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
