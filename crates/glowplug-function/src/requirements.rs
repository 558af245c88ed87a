//! What a requirements file asks for: its kind, everything that it includes, and whether a cached tree can stand for it.

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Result};

/// How deep requirements files may include each other.
const DEEPEST: usize = 16;

/// How uv is told to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Lines as pip reads them.
    Lines,
    /// `[project] dependencies`.
    Project,
    /// uv's own lock.
    UvLock,
    /// Poetry's lock.
    PoetryLock,
}

/// A file that was read with all that it includes.
#[derive(Debug)]
pub(crate) struct Requirements {
    pub(crate) path: Utf8PathBuf,
    pub(crate) kind: Kind,
    /// Contents of the file and of those that it includes, in order.
    pub(crate) contents: Vec<Vec<u8>>,
    /// Whether it names folders or files of this machine, whose contents may change.
    pub(crate) local: bool,
}

impl Requirements {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Input: a missing file, a lock that uv does not read.
    pub(crate) fn read(path: &Utf8Path) -> Result<Self> {
        let kind = kind(path)?;
        let mut requirements = Self { path: path.to_owned(), kind, contents: Vec::new(), local: false };
        match kind {
            Kind::Lines => requirements.include(path, None, 0)?,
            Kind::Project => requirements.project(path)?,
            Kind::PoetryLock => requirements.contents.push(content(path, None)?),
            Kind::UvLock => {
                requirements.contents.push(content(path, None)?);
                let project = path.with_file_name("pyproject.toml");
                requirements.project(&project)?;
            }
        }
        Ok(requirements)
    }

    fn project(&mut self, path: &Utf8Path) -> Result<()> {
        let bytes = content(path, None)?;
        let text = String::from_utf8_lossy(&bytes);
        let document: toml::Table = toml::from_str(&text).map_err(|error| {
            Error::input("cannot read the project's requirements").cause(error).place(path.as_str())
        })?;
        let sources = document.get("tool").and_then(|tool| tool.get("uv")).and_then(|uv| uv.get("sources"));
        self.local |= sources.is_some_and(names_a_path);
        self.contents.push(bytes);
        Ok(())
    }

    fn include(&mut self, path: &Utf8Path, included_at: Option<&str>, depth: usize) -> Result<()> {
        let bytes = content(path, included_at)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        self.contents.push(bytes);
        for (index, line) in text.lines().enumerate() {
            let line = line.split(" #").next().unwrap_or_default().trim();
            let at = format!("{path}:{}", index + 1);
            match included(line) {
                Some(name) if name.contains("://") => {}
                Some(_) if depth == DEEPEST => {
                    return Err(Error::input("requirements files include each other without end").place(at));
                }
                Some(name) => self.include(&folder(path).join(name), Some(&at), depth + 1)?,
                None => self.local |= is_local(line, folder(path)),
            }
        }
        Ok(())
    }
}

fn folder(path: &Utf8Path) -> &Utf8Path {
    path.parent().filter(|parent| !parent.as_str().is_empty()).unwrap_or(Utf8Path::new("."))
}

fn content(path: &Utf8Path, included_at: Option<&str>) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let made = if missing {
            Error::input(format!("the requirements file `{path}` does not exist"))
        } else {
            Error::surroundings("cannot read the requirements").cause(error)
        };
        made.place(included_at.unwrap_or(path.as_str()))
    })
}

/// Tells the kind from the name.
///
/// # Errors
/// Input: a lock of another tool.
fn kind(path: &Utf8Path) -> Result<Kind> {
    let export = |tool: &str, command: &str| {
        Err(Error::input(format!("a lock of {tool} cannot be installed from"))
            .place(path.as_str())
            .hint(format!("export it with `{command}`, and set `requirements = \"requirements.txt\"`")))
    };
    match path.file_name().unwrap_or_default() {
        "uv.lock" => Ok(Kind::UvLock),
        "pyproject.toml" => Ok(Kind::Project),
        "poetry.lock" => Ok(Kind::PoetryLock),
        "Pipfile" | "Pipfile.lock" => export("Pipenv", "pipenv requirements > requirements.txt"),
        "pdm.lock" => export("PDM", "pdm export --output requirements.txt"),
        _ => Ok(Kind::Lines),
    }
}

/// The file that a line of requirements includes.
fn included(line: &str) -> Option<&str> {
    ["--requirement", "--constraint", "-r", "-c"]
        .iter()
        .find_map(|option| line.strip_prefix(option))
        .map(|rest| rest.trim_start_matches(['=', ' ', '\t']).trim())
        .filter(|name| !name.is_empty())
}

/// Whether a line names something on this machine.
fn is_local(line: &str, folder: &Utf8Path) -> bool {
    let starts = ["-e", "--editable", "-f", "--find-links", ".", "/", "file:"];
    let target = line.split_once(" @ ").map_or("", |(_, target)| target.trim());
    starts.iter().any(|start| line.starts_with(start))
        || ["file:", ".", "/"].iter().any(|start| target.starts_with(start))
        || (line.contains('/') && !line.contains("://") && folder.join(line).exists())
}

/// Whether `[tool.uv.sources]` names a folder or a workspace.
fn names_a_path(value: &toml::Value) -> bool {
    match value {
        toml::Value::Table(table) => {
            table.contains_key("path") || table.contains_key("workspace") || table.values().any(names_a_path)
        }
        toml::Value::Array(values) => values.iter().any(names_a_path),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(files: &[(&str, &str)]) -> (tempfile::TempDir, Utf8PathBuf) {
        let keep = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::try_from(keep.path().to_owned()).unwrap();
        for (name, text) in files {
            fs::write(root.join(name), text).unwrap();
        }
        (keep, root)
    }

    #[test]
    fn included_files_count() {
        let (_keep, root) = folder_with(&[
            ("requirements.txt", "-r base.txt\n-c limits.txt # why\nsix==1\n"),
            ("base.txt", "a==1"),
            ("limits.txt", ""),
        ]);
        let read = Requirements::read(&root.join("requirements.txt")).unwrap();
        assert_eq!(read.contents.len(), 3);
        assert!(!read.local);
    }

    #[test]
    fn a_missing_include_names_its_line() {
        let (_keep, root) = folder_with(&[("requirements.txt", "six==1\n-r absent.txt\n")]);
        let error = Requirements::read(&root.join("requirements.txt")).unwrap_err();
        assert_eq!(error.where_(), Some(root.join("requirements.txt:2").as_str()));
        assert_eq!(error.class(), glowplug_core::ErrorClass::Input);
    }

    #[test]
    fn files_that_include_each_other_end() {
        let (_keep, root) = folder_with(&[("a.txt", "-r b.txt"), ("b.txt", "-r a.txt")]);
        let error = Requirements::read(&root.join("a.txt")).unwrap_err();
        assert!(error.message().contains("without end"), "{error}");
    }

    #[test]
    fn what_is_on_this_machine_is_known() {
        for line in ["-e .", "./lib", "/opt/lib", "x @ file:///lib", "--find-links wheels"] {
            assert!(is_local(line, Utf8Path::new(".")), "{line}");
        }
        for line in
            ["boto3==1.2", "x @ https://example.com/x.whl", "# -e .", "--index-url https://example.com/"]
        {
            assert!(!is_local(line, Utf8Path::new(".")), "{line}");
        }
        let (_keep, root) =
            folder_with(&[("pyproject.toml", "[tool.uv.sources]\nlib = { path = \"../lib\" }\n")]);
        assert!(Requirements::read(&root.join("pyproject.toml")).unwrap().local);
    }

    #[test]
    fn locks_of_other_tools_say_how_to_export_them() {
        let error = Requirements::read(Utf8Path::new("x/Pipfile.lock")).unwrap_err();
        assert!(error.hints()[0].contains("pipenv requirements"), "{error:?}");
    }
}
