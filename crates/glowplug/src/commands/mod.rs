//! The commands: settings in, data to standard output.

mod build;
mod trace;

pub(crate) use build::build;
pub(crate) use trace::trace;

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use camino::Utf8Path;
use glowplug_core::{Error, Progress, Result};
use glowplug_function::{Function, LoadOptions};
use glowplug_report::{Page, render_page};
use serde::Serialize;

use crate::console::Console;

/// Reads the function, and says what is worth saying about it.
fn load(console: &Console, path: &Utf8Path, options: &LoadOptions) -> Result<Function> {
    let function = glowplug_function::load(path, options)?;
    for note in &function.notes {
        console.progress.note(note);
    }
    Ok(function)
}

/// A place where a page cannot be written is told before anything is measured.
fn check_page(path: &Utf8Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    if path.is_dir() || !folder.is_dir() {
        let cause = if path.is_dir() { "it is a folder" } else { "there is no such folder" };
        return Err(Error::usage("cannot write the page")
            .place(path.as_str())
            .cause(cause)
            .hint("name a file in a folder that is there: `--html trace.html`"));
    }
    Ok(())
}

/// Writes a page, which appears complete or not at all.
fn write_page(console: &Console, path: &Utf8Path, page: &Page) -> Result<()> {
    let text = render_page(page)?;
    let folder = path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".glowplug-").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(Permissions::from_mode(0o644))?;
    file.persist(path).map_err(|error| Error::from(error.error).place(path.as_str()))?;
    console.progress.note(&format!("wrote {path}"));
    Ok(())
}

/// A document as people and programs read it.
fn json(document: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| Error::defect("the result has no JSON").cause(error))?;
    Ok(text + "\n")
}
