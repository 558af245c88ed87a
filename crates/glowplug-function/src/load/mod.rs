//! Reads what the user has into a [`Function`]: configuration over template over what is obvious.

pub(crate) mod config;
mod defaults;
mod events;
mod handler;
mod merge;
pub(crate) mod source;
pub(crate) mod template;
pub(crate) mod yaml;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Error, Result};

use crate::{Function, LoadOptions};
use config::ConfigFile;
use handler::Handler;
use source::Source;
use template::Template;

/// Where a function was found: its parts before they are merged.
#[derive(Debug)]
struct Found {
    /// What the user named, or the folder of the template that they named.
    root: Utf8PathBuf,
    /// The folder or zip of the code.
    code: Utf8PathBuf,
    source: Source,
    config: Option<ConfigFile>,
    template: Option<Template>,
    notes: Vec<String>,
}

/// Reads the function at `path`: a source folder, a folder that already holds its dependencies, a zip, or a SAM
/// template.
///
/// # Errors
/// Input errors that name the file and line at fault.
pub fn load(path: &Utf8Path, options: &LoadOptions) -> Result<Function> {
    let metadata = fs_err::metadata(path).map_err(|error| {
        let made = Error::input(format!("there is no function at `{path}`")).cause(error);
        made.hint("name a source folder, a folder that holds its dependencies, or a zip")
    })?;
    let found = if metadata.is_dir() {
        in_folder(path, None, options)?
    } else if yaml::is_template(path) {
        let folder = path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        in_folder(folder, path.file_name().map(Utf8Path::new), options)?
    } else if path.extension() == Some("py") {
        return Err(Error::input(format!("`{path}` is a file of a function, not its folder"))
            .place(path.as_str())
            .hint("name the folder"));
    } else {
        in_zip(path, options)?
    };
    merge::merge(found, options)
}

fn in_folder(root: &Utf8Path, named: Option<&Utf8Path>, options: &LoadOptions) -> Result<Found> {
    let source = Source::Folder(root.to_owned());
    let mut notes = Vec::new();
    let mut config = ConfigFile::find(&source)?;
    let configured = config.as_ref().is_some_and(|file| file.config.handler.is_some());
    let template = match template::find(&source, named) {
        None if options.function.is_some() => return only_one(&source, config, root, options, notes),
        None => None,
        Some(path) => match template::read(&source, &path, options.function.as_deref()) {
            // The configuration says which handler: a template of several functions is not about it.
            Err(error) if configured && options.function.is_none() && named.is_none() => {
                notes.push(format!("`{}` is not read: {}", source.place(&path), error.message()));
                None
            }
            other => other?,
        },
    };
    let code = match template.as_ref().and_then(|template| template.code.as_ref()) {
        None => source::shown(root, Utf8Path::new("")),
        Some(path) => source::shown(root, path),
    };
    let code_source = code_source(&code, template.as_ref())?;
    if config.is_none() && code != root {
        config = ConfigFile::find(&code_source)?;
    }
    Ok(Found { root: root.to_owned(), code, source: code_source, config, template, notes })
}

/// `--function` without a template: the folder's own name is accepted.
fn only_one(
    source: &Source,
    config: Option<ConfigFile>,
    root: &Utf8Path,
    options: &LoadOptions,
    notes: Vec<String>,
) -> Result<Found> {
    let own = config.as_ref().and_then(|file| file.config.name.as_ref()).map(|name| name.get_ref().clone());
    if own == options.function {
        let code = source::shown(root, Utf8Path::new(""));
        return Ok(Found {
            root: root.to_owned(),
            code,
            source: source.clone(),
            config,
            template: None,
            notes,
        });
    }
    Err(Error::input("`--function` chooses from a template, and there is none")
        .place(source.place(Utf8Path::new("")))
        .hint("leave `--function` out, or name the folder of the template"))
}

fn code_source(code: &Utf8Path, template: Option<&Template>) -> Result<Source> {
    if code.is_dir() {
        return Ok(Source::Folder(code.to_owned()));
    }
    if code.is_file() {
        return Source::zip(code);
    }
    let place = template.map_or_else(|| code.to_string(), |template| template.place.clone());
    Err(Error::input(format!("the function's folder `{code}` does not exist")).place(place))
}

/// A zip holds everything; a `glowplug.toml` beside it counts where it holds none.
fn in_zip(path: &Utf8Path, options: &LoadOptions) -> Result<Found> {
    let source = Source::zip(path).map_err(|error| {
        error.hint("name a source folder, a folder that holds its dependencies, or a zip")
    })?;
    let mut notes = Vec::new();
    let mut config = ConfigFile::find(&source)?;
    if config.is_none() {
        let folder = path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        let beside = Source::Folder(folder.to_owned());
        if beside.is_file(Utf8Path::new("glowplug.toml")) {
            config = ConfigFile::find(&beside)?;
            notes.push(format!("the configuration is `{}`", beside.place(Utf8Path::new("glowplug.toml"))));
        }
    }
    if options.function.is_some() {
        return only_one(&source, config, path, options, notes);
    }
    Ok(Found { root: path.to_owned(), code: path.to_owned(), source, config, template: None, notes })
}

/// Whether the folder already holds its dependencies.
pub(crate) fn is_built(folder: &Utf8Path) -> bool {
    defaults::is_built(&Source::Folder(folder.to_owned()))
}

/// Checks that the handler's module is in the assembled tree or in a layer; `roots` are the tree and the layers.
///
/// # Errors
/// Input: it is nowhere.
pub(crate) fn check_assembled(function: &Function, roots: &[&Utf8Path]) -> Result<()> {
    let Some(handler) = Handler::parse(&function.handler) else { return Ok(()) };
    let site = format!("python/lib/python{}/site-packages", function.python);
    let places = roots.iter().enumerate().flat_map(|(index, root)| match index {
        0 => vec![Source::Folder((*root).to_owned())],
        _ => vec![Source::Folder(root.join("python")), Source::Folder(root.join(&site))],
    });
    let places: Vec<Source> = places.collect();
    if places.iter().any(|source| handler.file(source).is_some()) {
        return Ok(());
    }
    let tree = Source::Folder(function.code.clone());
    let modules = handler::modules(&tree, handler.stem.parent().unwrap_or(Utf8Path::new("")));
    Err(handler::missing_module(&function.handler, &handler.stem, None, &modules)
        .place(function.code.as_str()))
}
