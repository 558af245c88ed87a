//! Which of the user's files say how much memory a function gets, and what they would say of another size.

mod toml_text;
mod yaml_text;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Result};
use similar::TextDiff;

use crate::load::config::ConfigFile;
use crate::load::source::{Source, shown};
use crate::load::template;
use crate::load::yaml::{Node, is_template};
use crate::{Function, LoadOptions};

/// Names of the Serverless Framework's file, in order of preference.
const SERVERLESS: [&str; 2] = ["serverless.yml", "serverless.yaml"];

/// Lines around a change that a diff shows.
const CONTEXT: usize = 2;

/// One file, as it is and as it would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEdit {
    /// The file; it may not be there yet.
    pub path: Utf8PathBuf,
    /// Its text now; empty where it is not there.
    pub before: String,
    /// Its text after the edit.
    pub after: String,
}

impl FileEdit {
    /// The edit as a unified diff; empty where nothing changes.
    pub fn diff(&self) -> String {
        let from = if self.before.is_empty() { "/dev/null".to_owned() } else { format!("a/{}", self.path) };
        let diff = TextDiff::from_lines(&self.before, &self.after);
        let text = diff
            .unified_diff()
            .context_radius(CONTEXT)
            .header(&from, &format!("b/{}", self.path))
            .to_string();
        if self.before == self.after { String::new() } else { text }
    }

    /// Writes the file: it has the new text completely, or is as it was.
    ///
    /// # Errors
    /// Input, where it is not what it was when the edit was made; surroundings, where it cannot be written.
    pub fn write(&self) -> Result<()> {
        // A link stays a link: what it points to is replaced.
        let path = self.path.canonicalize_utf8().unwrap_or_else(|_| self.path.clone());
        let now = if path.exists() { fs::read_to_string(&path)? } else { String::new() };
        if now != self.before {
            return Err(Error::input("the file has changed meanwhile, and is left as it is")
                .place(self.path.as_str())
                .hint("run the command again"));
        }
        let folder = path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        let mut staged = tempfile::Builder::new()
            .prefix(".glowplug-")
            .permissions(std::fs::Permissions::from_mode(0o644))
            .tempfile_in(folder)
            .map_err(|error| Error::from(error).place(folder.as_str()))?;
        staged.write_all(self.after.as_bytes())?;
        staged.as_file().sync_all()?;
        if let Ok(metadata) = fs::metadata(&path) {
            fs::set_permissions(staged.path(), metadata.permissions())?;
        }
        staged.persist(&path).map_err(|error| Error::from(error.error).place(self.path.as_str()))?;
        Ok(())
    }
}

/// What has to change for `function`, which was loaded from `path` with `options`, to get `memory_mb`: the configuration
/// where it says a size, and the template or Serverless file that deploys the function. Where none says one, the
/// template, the Serverless file or the configuration gets a line; where there is none of them, `glowplug.toml` is made.
///
/// # Errors
/// Input: a file cannot be read, says the size by a reference, or is inside a zip.
pub fn memory_edits(
    path: &Utf8Path,
    function: &Function,
    options: &LoadOptions,
    memory_mb: u32,
) -> Result<Vec<FileEdit>> {
    let (folder, named) = if path.is_dir() {
        (path.to_owned(), None)
    } else {
        let folder = path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        (folder.to_owned(), is_template(path).then(|| path.file_name().map(Utf8Path::new)).flatten())
    };
    let source = Source::Folder(folder.clone());
    let in_zip = path.is_file() && named.is_none();
    if in_zip && ConfigFile::find(&Source::zip(path)?)?.is_some() {
        return Err(Error::input("the configuration is inside a zip, which is not edited")
            .place(path.as_str())
            .hint("set `memory` where the zip is made, or keep a `glowplug.toml` beside it"));
    }
    let mut edits = Vec::new();
    let config = match ConfigFile::find(&source)? {
        None if folder != function.code && function.code.is_dir() => {
            ConfigFile::find(&Source::Folder(function.code.clone()))?
        }
        found => found,
    };
    if let Some(config) = config.as_ref().filter(|config| config.config.memory.is_some()) {
        edits.push(in_config(config, memory_mb)?);
    }
    if !in_zip {
        edits.extend(deployed(&source, named, function, options, memory_mb)?);
    }
    match (edits.is_empty(), config) {
        (false, _) => {}
        (true, Some(config)) => edits.push(in_config(&config, memory_mb)?),
        (true, None) => edits.push(FileEdit {
            path: shown(&folder, Utf8Path::new("glowplug.toml")),
            before: String::new(),
            after: format!("memory = {memory_mb}\n"),
        }),
    }
    Ok(edits)
}

fn in_config(config: &ConfigFile, memory_mb: u32) -> Result<FileEdit> {
    let path = config
        .source
        .path(&config.path)
        .ok_or_else(|| Error::defect("a configuration inside a zip was to be edited"))?;
    let before = fs::read_to_string(&path)?;
    let after = toml_text::with_memory(&before, config.path == "pyproject.toml", memory_mb)
        .map_err(|error| error.place(path.as_str()))?;
    Ok(FileEdit { path, before, after })
}

/// The edit of the file that deploys the function: a SAM template, else a Serverless file.
fn deployed(
    source: &Source,
    named: Option<&Utf8Path>,
    function: &Function,
    options: &LoadOptions,
    memory_mb: u32,
) -> Result<Option<FileEdit>> {
    if let Some(file) = template::find(source, named)
        && let Ok(Some(found)) = template::read(source, &file, options.function.as_deref())
    {
        return edited(source, &file, |text, place| {
            let document = Node::parse(text, place)?;
            let own = vec!["Resources".to_owned(), found.id.clone(), "Properties".to_owned()];
            let shared = vec!["Globals".to_owned(), "Function".to_owned()];
            let alone = functions_in(&document) == 1;
            yaml_text::with_number(text, place, &own, Some((&shared, alone)), "MemorySize", memory_mb)
        });
    }
    let Some(file) = SERVERLESS.iter().map(Utf8PathBuf::from).find(|file| source.is_file(file)) else {
        return Ok(None);
    };
    edited(source, &file, |text, place| {
        let document = Node::parse(text, place)?;
        let functions: Vec<String> = named_functions(&document).map(|(name, _)| name.to_owned()).collect();
        let name = chosen(&document, function, options).ok_or_else(|| {
            Error::input("which of the functions in the Serverless file is meant is not clear")
                .cause(format!("it has {}", functions.join(", ")))
                .place(place)
                .hint("name it with `--function NAME`, or set `memorySize` by hand")
        })?;
        let own = vec!["functions".to_owned(), name];
        let shared = vec!["provider".to_owned()];
        yaml_text::with_number(
            text,
            place,
            &own,
            Some((&shared, functions.len() == 1)),
            "memorySize",
            memory_mb,
        )
    })
}

fn edited(
    source: &Source,
    file: &Utf8Path,
    edit: impl FnOnce(&str, &str) -> Result<String>,
) -> Result<Option<FileEdit>> {
    let place = source.place(file);
    let path = source.path(file).ok_or_else(|| Error::defect("a template inside a zip was to be edited"))?;
    let before = fs::read_to_string(&path)?;
    let after = edit(&before, &place)?;
    Ok(Some(FileEdit { path, before, after }))
}

/// How many functions a template has, in whatever language: what all share is not changed for one.
fn functions_in(document: &Node) -> usize {
    let resources = document.get("Resources").map(Node::entries).unwrap_or_default();
    let is_function = |node: &Node| {
        matches!(
            node.get("Type").and_then(Node::text),
            Some("AWS::Serverless::Function" | "AWS::Lambda::Function")
        )
    };
    resources.iter().filter(|(_, node)| is_function(node)).count()
}

fn named_functions(document: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let functions = document.get("functions").map(Node::entries).unwrap_or_default();
    functions.iter().map(|(name, node)| (name.as_str(), node))
}

/// The key of the function in a Serverless file: the named one, the only one, or the only one with the handler.
fn chosen(document: &Node, function: &Function, options: &LoadOptions) -> Option<String> {
    let mut all = named_functions(document);
    if let Some(wanted) = &options.function {
        let is_it = |(key, node): &(&str, &Node)| {
            key == wanted || node.get("name").and_then(Node::text) == Some(wanted)
        };
        return all.find(is_it).map(|(key, _)| key.to_owned());
    }
    let all: Vec<(&str, &Node)> = all.collect();
    if let [(only, _)] = all.as_slice() {
        return Some((*only).to_owned());
    }
    let handled: Vec<&str> = all
        .iter()
        .filter(|(_, node)| node.get("handler").and_then(Node::text) == Some(&function.handler))
        .map(|(key, _)| *key)
        .collect();
    match handled.as_slice() {
        [only] => Some((*only).to_owned()),
        _ => None,
    }
}
