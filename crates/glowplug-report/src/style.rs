//! Colours, or their absence.

use anstyle::{AnsiColor, Style as Ansi};

/// How kinds of text look. The text says the same without colour.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// Good news.
    pub good: Ansi,
    /// Something to look at.
    pub warning: Ansi,
    /// Bad news.
    pub bad: Ansi,
    /// Headings and the headline.
    pub strong: Ansi,
    /// What matters less.
    pub dim: Ansi,
    /// Next steps and paths.
    pub hint: Ansi,
}

impl Style {
    /// No colour at all.
    pub fn plain() -> Self {
        Self::default()
    }

    /// For a terminal that shows colours.
    pub fn coloured() -> Self {
        let of = |colour: AnsiColor| Ansi::new().fg_color(Some(colour.into()));
        Self {
            good: of(AnsiColor::Green),
            warning: of(AnsiColor::Yellow),
            bad: of(AnsiColor::Red).bold(),
            strong: Ansi::new().bold(),
            dim: Ansi::new().dimmed(),
            hint: of(AnsiColor::Cyan),
        }
    }

    /// `text` in one of the styles.
    pub fn paint(kind: Ansi, text: &str) -> String {
        format!("{kind}{text}{kind:#}")
    }
}
