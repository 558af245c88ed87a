//! What nobody configured: the Python version, the requirements, the name.

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Error, PythonVersion, Result};
use glowplug_package::normalise_name;

use super::source::Source;
use crate::interpreter::{self, NEWEST};

/// Lambda's names have at most so many characters.
pub(crate) const LONGEST_NAME: usize = 64;
/// Requirements by convention, in order of preference.
const REQUIREMENTS: [&str; 3] = ["requirements.txt", "uv.lock", "poetry.lock"];
/// Requirements of tools that uv does not read: loading goes on to the error that says how to export them.
const FOREIGN: [&str; 3] = ["Pipfile.lock", "Pipfile", "pdm.lock"];

/// The version that the project names, else the newest that is here.
///
/// # Errors
/// Surroundings: no interpreter fits.
pub(crate) fn python(source: &Source, notes: &mut Vec<String>) -> Result<PythonVersion> {
    let file = Utf8Path::new(".python-version");
    if let Some(text) = source.read(file)?.and_then(|bytes| String::from_utf8(bytes).ok()) {
        let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        match first.map(str::parse) {
            Some(Ok(version)) => return Ok(version),
            Some(Err(_)) => notes.push(format!("`{}` names no version that Lambda runs", source.place(file))),
            None => {}
        }
    }
    let requires =
        project(source)?.and_then(|project| Some(project.get("requires-python")?.as_str()?.to_owned()));
    let allowed = |version| requires.as_deref().is_none_or(|clauses| allows(clauses, version));
    interpreter::newest(&allowed).ok_or_else(|| {
        let wanted = requires.as_ref().map_or_else(
            || format!("Python {} to {NEWEST}", PythonVersion::OLDEST),
            |clauses| format!("Python that fits `requires-python = \"{clauses}\"`"),
        );
        interpreter::missing(&wanted)
    })
}

/// `[project]` of `pyproject.toml`.
fn project(source: &Source) -> Result<Option<toml::Table>> {
    let path = Utf8Path::new("pyproject.toml");
    let Some(bytes) = source.read(path)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let document: toml::Table = toml::from_str(&text).map_err(|error| {
        Error::input("cannot read the project").cause(error.message()).place(source.place(path))
    })?;
    Ok(document.get("project").and_then(toml::Value::as_table).cloned())
}

/// Whether some patch release of `version` fits all clauses of a `requires-python`.
fn allows(clauses: &str, version: PythonVersion) -> bool {
    clauses.split(',').all(|clause| {
        let clause = clause.trim();
        let split = clause.find(|c: char| c.is_ascii_digit()).unwrap_or(clause.len());
        let (operator, number) = clause.split_at(split);
        let precise = number.trim_end_matches(".*").split('.').count() > 2;
        let Ok(bound) = number.parse::<PythonVersion>() else { return true };
        match operator.trim() {
            ">=" | ">" => version >= bound,
            "<" if precise => version <= bound,
            "<" => version < bound,
            "<=" => version <= bound,
            "==" | "===" => version == bound,
            "~=" if precise => version == bound,
            "~=" => version >= bound && version.major == bound.major,
            "!=" if precise => true,
            "!=" => version != bound,
            _ => true,
        }
    })
}

/// The file that uv installs from, by convention.
///
/// # Errors
/// Input: `pyproject.toml` cannot be read.
pub(crate) fn requirements(source: &Source) -> Result<Option<Utf8PathBuf>> {
    let by_name = REQUIREMENTS.iter().map(Utf8Path::new).find(|path| source.is_file(path));
    if let Some(path) = by_name {
        return Ok(source.path(path));
    }
    let has_dependencies = project(source)?.is_some_and(|project| {
        project.get("dependencies").and_then(toml::Value::as_array).is_some_and(|list| !list.is_empty())
    });
    if has_dependencies {
        return Ok(source.path(Utf8Path::new("pyproject.toml")));
    }
    Ok(FOREIGN.iter().map(Utf8Path::new).find(|path| source.is_file(path)).and_then(|path| source.path(path)))
}

/// Whether the folder holds its dependencies: the metadata of an installed distribution stands at its top. Where a
/// `requirements.txt` names none of those, they are the function's own, for its entry points.
pub(crate) fn is_built(source: &Source) -> bool {
    let names = source.names(Utf8Path::new(""));
    let is_installed = |name: &&str| source.is_file(&Utf8Path::new(name).join("METADATA"));
    let folders = names.iter().map(String::as_str).filter(|name| name.ends_with(".dist-info"));
    let installed: Vec<String> = folders.filter(is_installed).map(distribution).collect();
    let is_asked_for = |required: &Vec<String>| installed.iter().any(|name| required.contains(name));
    !installed.is_empty() && required(source).as_ref().is_none_or(is_asked_for)
}

/// What a `requirements.txt` asks for, by name; `None` where it asks for nothing, or for something by an address, a path
/// or another file.
fn required(source: &Source) -> Option<Vec<String>> {
    let bytes = source.read(Utf8Path::new("requirements.txt")).ok().flatten()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let asking = lines.filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("--"));
    let names: Option<Vec<String>> = asking.map(required_name).collect();
    names.filter(|names| !names.is_empty())
}

/// The name of a requirement that has one.
fn required_name(line: &str) -> Option<String> {
    let rest = line.trim_start_matches(is_of_name);
    let named = rest.trim_start().starts_with(['[', '(', '<', '>', '=', '!', '~', ';', '@', '#', '\\']);
    let plain = line.starts_with(|c: char| c.is_ascii_alphanumeric());
    (plain && (rest.is_empty() || named)).then(|| distribution(line))
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

/// The name that `six-1.17.0.dist-info` or `Six >= 1.17` begins with, as names are compared.
fn distribution(text: &str) -> String {
    let stem =
        text.strip_suffix(".dist-info").and_then(|stem| stem.rsplit_once('-')).map_or(text, |(name, _)| name);
    let end = stem.find(|c| !is_of_name(c)).unwrap_or(stem.len());
    normalise_name(&stem[..end])
}

/// A name that Lambda and a file system take, made of a folder's.
pub(crate) fn sanitised(name: &str) -> String {
    let cleaned: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .take(LONGEST_NAME)
        .collect();
    let trimmed = cleaned.trim_matches('-');
    if trimmed.is_empty() { "function".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err as fs;

    #[test]
    fn requires_python_is_understood() {
        let minors = |clauses: &str| -> Vec<u8> {
            (9..=13).filter(|minor| allows(clauses, PythonVersion::new(3, *minor))).collect()
        };
        assert_eq!(minors(">=3.11"), [11, 12, 13]);
        assert_eq!(minors(">=3.10.4, <3.13"), [10, 11, 12]);
        assert_eq!(minors("<=3.10"), [9, 10]);
        assert_eq!(minors("==3.12.*"), [12]);
        assert_eq!(minors("~=3.11"), [11, 12, 13]);
        assert_eq!(minors("~=3.11.2"), [11]);
        assert_eq!(minors("!=3.12.*,>=3.11"), [11, 13]);
        assert_eq!(minors("<4"), [9, 10, 11, 12, 13]);
        assert_eq!(minors("<3.12.2"), [9, 10, 11, 12]);
    }

    #[test]
    fn names_fit_lambda() {
        assert_eq!(sanitised("my function.v2"), "my-function-v2");
        assert_eq!(sanitised("…"), "function");
        assert_eq!(sanitised(&"x".repeat(80)).len(), 64);
    }

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Source) {
        let keep = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::try_from(keep.path().to_owned()).unwrap();
        for (path, text) in files {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        (keep, Source::Folder(root))
    }

    #[test]
    fn requirements_are_found_by_convention() {
        let found = |files: &[(&str, &str)]| {
            let (_keep, source) = folder(files);
            requirements(&source).unwrap().map(|path| path.file_name().unwrap().to_owned())
        };
        let project = ("pyproject.toml", "[project]\nname = \"x\"\ndependencies = [\"six\"]\n");
        assert_eq!(
            found(&[("requirements.txt", ""), ("uv.lock", ""), project]).as_deref(),
            Some("requirements.txt")
        );
        assert_eq!(found(&[("uv.lock", ""), project]).as_deref(), Some("uv.lock"));
        assert_eq!(found(&[project]).as_deref(), Some("pyproject.toml"));
        assert_eq!(found(&[("pyproject.toml", "[project]\nname = \"x\"\n")]), None);
        assert_eq!(found(&[("poetry.lock", "")]).as_deref(), Some("poetry.lock"));
    }

    #[test]
    fn the_projects_own_version_comes_first() {
        let (_keep, source) = folder(&[(".python-version", "# why\n3.10.13\n")]);
        assert_eq!(python(&source, &mut Vec::new()).unwrap(), PythonVersion::new(3, 10));
        let (_keep, source) = folder(&[(".python-version", "pypy3.10\n")]);
        let mut notes = Vec::new();
        python(&source, &mut notes).unwrap();
        assert!(notes[0].contains(".python-version"), "{notes:?}");
    }

    #[test]
    fn built_folders_are_told_by_metadata() {
        assert!(is_built(&folder(&[("six-1.17.0.dist-info/METADATA", "")]).1));
        assert!(!is_built(&folder(&[("app.egg-info/PKG-INFO", ""), ("x.dist-info/a", "")]).1));
        let beside = |requirements: &str| {
            let own = ("my_plugins-1.0.dist-info/METADATA", "");
            is_built(&folder(&[own, ("requirements.txt", requirements)]).1)
        };
        assert!(beside("# pinned\nsix==1.17.0\nMy.Plugins[extra] >=1; python_version > '3'\n"));
        for unknown in [
            "-r other.txt\nsix\n",
            "git+https://example.org/a\n",
            "./wheels/a.whl\nsix\n",
            "wheels/a.whl\n",
            "",
        ] {
            assert!(beside(unknown), "nothing is said against it: {unknown}");
        }
        for other in ["six==1.17.0\n", "\u{feff}six\n", "--pre\nsix @ https://example.org/a\n", "six ; x\n"] {
            assert!(!beside(other), "its own, for its entry points: {other}");
        }
    }
}
