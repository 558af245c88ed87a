//! Asks the target's interpreter which sources it compiles without a warning.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Error, Result};
use serde::Serialize;

use super::asked;

/// The question, asked inside the interpreter with its own `compile`.
const ASKER: &str = include_str!("../../../../python/glowplug_agent/silent_sources.py");

#[derive(Serialize)]
struct Question<'a> {
    root: &'a Utf8Path,
    sources: &'a [Utf8PathBuf],
}

/// Those of `sources` (relative paths of `.py` files) in the tree `root` that the interpreter `python` compiles without a
/// warning: whoever imports them without their bytecode sees no more in the log than with it.
///
/// # Errors
/// The interpreter fails (surroundings).
pub fn silent_sources(
    python: &Utf8Path,
    root: &Utf8Path,
    sources: &[Utf8PathBuf],
) -> Result<BTreeSet<Utf8PathBuf>> {
    let answer = asked(python, ASKER, &Question { root, sources })?;
    serde_json::from_str(&answer)
        .map_err(|error| Error::defect("the answer on sources that warn is not understood").cause(error))
}
