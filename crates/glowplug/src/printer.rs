//! Where text goes: data to standard output, everything else to standard error, in colour where that is wanted.

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use glowplug_cli::When;
use glowplug_core::{Error, Result};
use glowplug_report::Style;

/// Columns where no terminal says how many it has.
const COLUMNS: usize = 80;
/// Narrower terminals get lines that wrap; wider ones get no wider tables.
const NARROWEST: usize = 60;
const WIDEST: usize = 140;

/// Prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    out: ColorChoice,
    err: ColorChoice,
}

impl Printer {
    /// A printer that colours `when` it is told to; `auto` asks the terminal and the environment.
    pub(crate) fn new(when: When) -> Self {
        match when {
            When::Auto => {
                Self { out: AutoStream::choice(&io::stdout()), err: AutoStream::choice(&io::stderr()) }
            }
            When::Always => Self { out: ColorChoice::AlwaysAnsi, err: ColorChoice::AlwaysAnsi },
            When::Never => Self { out: ColorChoice::Never, err: ColorChoice::Never },
        }
    }

    /// Colours for standard output.
    pub(crate) fn style(self) -> Style {
        style(self.out)
    }

    /// Colours for standard error.
    pub(crate) fn error_style(self) -> Style {
        style(self.err)
    }

    /// Columns of standard output.
    pub(crate) fn width() -> usize {
        let columns = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
        columns.map_or(COLUMNS, |columns| columns.clamp(NARROWEST, WIDEST))
    }

    /// The result. A reader that has gone away is not an error.
    pub(crate) fn data(self, text: &str) -> Result<()> {
        let mut out = AutoStream::new(io::stdout().lock(), self.out);
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Error::surroundings("cannot write to standard output").cause(error))
            }
            _ => Ok(()),
        }
    }

    /// Everything else.
    pub(crate) fn error(self, text: &str) {
        // Where standard error is broken there is nowhere to say so.
        let _ = AutoStream::new(io::stderr().lock(), self.err).write_all(text.as_bytes());
    }
}

fn style(choice: ColorChoice) -> Style {
    if choice == ColorChoice::Never { Style::plain() } else { Style::coloured() }
}
