//! Asks the target's interpreter whether it would load the bytecode of a tree as it is.

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::asked;

/// The questions, asked inside the interpreter with its own `importlib`.
const CHECKER: &str = include_str!("../../../../python/glowplug_agent/verify_bytecode.py");

/// A source whose bytecode would not be loaded, or would not be what was built.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BytecodeFault {
    /// The source, relative to the tree.
    pub path: Utf8PathBuf,
    /// What is wrong with its bytecode.
    pub reason: String,
}

#[derive(Serialize)]
struct Question<'a> {
    root: &'a Utf8Path,
    task_root: &'a str,
    sources: &'a [Utf8PathBuf],
}

/// Checks the bytecode of `sources` (relative paths of `.py` files) in the tree `root`: it lies
/// where the interpreter `python` looks, has its magic number, is unchecked-hash, unmarshals to a
/// module's code with the path that it will have under `task_root`, and the interpreter's own
/// loader gives that code without compiling. Gives what does not hold; empty where all is well.
///
/// Errors: the interpreter fails (surroundings).
pub fn verify_bytecode(
    python: &Utf8Path,
    root: &Utf8Path,
    task_root: &str,
    sources: &[Utf8PathBuf],
) -> Result<Vec<BytecodeFault>> {
    let answer = asked(python, CHECKER, &Question { root, task_root, sources })?;
    serde_json::from_str(&answer)
        .map_err(|error| Error::defect("the bytecode checker's answer is not understood").cause(error))
}
