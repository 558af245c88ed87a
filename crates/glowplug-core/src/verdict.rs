//! What the replay of the events on original and result has shown.

use serde::{Deserialize, Serialize};

/// One place where original and result answered differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The event's name.
    pub event: String,
    /// Which replay: `cold`, `warm`, or an order of events.
    pub replay: String,
    /// What differs: a JSONPath into the payload, `errorType`, `log`, `/tmp/…`.
    pub path: String,
    /// The original's value, shortened.
    pub before: String,
    /// The result's value, shortened.
    pub after: String,
    /// Ids of the decisions that were found guilty.
    pub decisions: Vec<String>,
}

/// Events that took no part in planning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdout {
    /// How many.
    pub events: usize,
    /// `None` where there are none.
    pub equal: Option<bool>,
}

/// Whether original and result behave the same, and how far that was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// `None` where nothing was proved: no events, `--no-verify`, a foreign target.
    pub equal: Option<bool>,
    /// Events that count as evidence.
    pub events: usize,
    /// Fresh processes started for it.
    pub replays: usize,
    /// What was not proved, each with its reason.
    pub not_proved: Vec<String>,
    /// `event: path` that vary in the original itself, compared by type only.
    pub varying: Vec<String>,
    /// Masked lines of the log that values made at their first use write then: later than in the original, or never.
    #[serde(default)]
    pub moved_logs: Vec<String>,
    /// Connections that the network policy refused, each `event: address`.
    pub blocked: Vec<String>,
    /// Events kept out of planning.
    pub holdout: Holdout,
    /// Whether the user's own tests passed on the built tree.
    pub tests: Option<bool>,
    /// Differences found on the way; in a shipped artifact the guilty decisions are pinned.
    pub differences: Vec<Difference>,
    /// When all this was found, and the figures measured, where it was not in this build: an earlier one had the same
    /// inputs. As RFC 3339 has it.
    #[serde(default)]
    pub remembered: Option<String>,
}
