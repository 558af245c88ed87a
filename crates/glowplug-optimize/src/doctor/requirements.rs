//! The lines that ask for distributions, in whatever file the function has for that.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_doctor::Requirement;
use glowplug_package::normalise_name;

use super::metadata::name_of;

/// Files that say by convention what a folder that holds its dependencies was made from.
const USUAL: [&str; 2] = ["requirements.txt", "pyproject.toml"];
/// How deep requirements files may include each other.
const DEEPEST: usize = 16;

/// By normalised name; places are relative to `code`, the folder of the function. What cannot be read asks for nothing.
pub(super) fn read(code: &Utf8Path, named: Option<&Utf8Path>) -> BTreeMap<String, Requirement> {
    let mut found = BTreeMap::new();
    let files: Vec<Utf8PathBuf> = match named {
        Some(file) if file.file_name() == Some("uv.lock") => {
            // The lock follows from the project, which is what a person changes.
            vec![file.with_file_name("pyproject.toml")]
        }
        Some(file) if file.file_name() == Some("poetry.lock") => vec![file.with_file_name("pyproject.toml")],
        Some(file) => vec![file.to_owned()],
        None => USUAL.iter().map(|name| code.join(name)).collect(),
    };
    for file in files {
        if file.extension() == Some("toml") {
            project(code, &file, &mut found);
        } else {
            lines(code, &file, 0, &mut found);
        }
    }
    found
}

fn place(code: &Utf8Path, file: &Utf8Path, line: usize) -> String {
    format!("{}:{}", file.strip_prefix(code).unwrap_or(file), line)
}

fn lines(code: &Utf8Path, file: &Utf8Path, depth: usize, found: &mut BTreeMap<String, Requirement>) {
    let Ok(text) = fs::read_to_string(file) else { return };
    for (index, line) in text.lines().enumerate() {
        let line = line.split(" #").next().unwrap_or_default().trim().trim_end_matches('\\').trim_end();
        let included =
            ["-r ", "--requirement ", "--requirement="].iter().find_map(|flag| line.strip_prefix(flag));
        if let Some(name) = included.filter(|_| depth < DEEPEST) {
            lines(code, &file.with_file_name(name.trim()), depth + 1, found);
        } else if let Some(name) = name_of(line).filter(|_| !line.starts_with('#')) {
            let requirement = Requirement { place: place(code, file, index + 1), text: line.to_owned() };
            found.entry(name).or_insert(requirement);
        }
    }
}

/// `[project] dependencies` and Poetry's table. The line is the first that names the distribution.
fn project(code: &Utf8Path, file: &Utf8Path, found: &mut BTreeMap<String, Requirement>) {
    let Ok(text) = fs::read_to_string(file) else { return };
    let Ok(document) = text.parse::<toml::Table>() else { return };
    let listed = document.get("project").and_then(|project| project.get("dependencies"));
    let listed = listed.and_then(toml::Value::as_array).into_iter().flatten().filter_map(toml::Value::as_str);
    let poetry = document.get("tool").and_then(|tool| tool.get("poetry")?.get("dependencies")?.as_table());
    let poetry = poetry.into_iter().flat_map(toml::Table::keys).map(String::as_str);
    for asked in listed.chain(poetry).filter(|asked| *asked != "python") {
        let Some(name) = name_of(asked) else { continue };
        let names = |line: &str| {
            let line = line.trim().trim_start_matches(['"', '\'']);
            name_of(line).as_deref() == Some(name.as_str())
                || line.split(['"', '\'']).any(|part| name_of(part).as_deref() == Some(name.as_str()))
        };
        let line = text.lines().position(names).map_or(1, |index| index + 1);
        let requirement = Requirement { place: place(code, file, line), text: asked.to_owned() };
        found.entry(normalise_name(&name)).or_insert(requirement);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(files: &[(&str, &str)], named: &str) -> Vec<(String, String, String)> {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        for (name, text) in files {
            fs::write(root.join(name), text).unwrap();
        }
        let found = read(root, Some(&root.join(named)));
        found.into_iter().map(|(name, line)| (name, line.place, line.text)).collect()
    }

    fn line(name: &str, place: &str, text: &str) -> (String, String, String) {
        (name.to_owned(), place.to_owned(), text.to_owned())
    }

    #[test]
    fn lines_and_what_they_include_are_read() {
        let files = [
            ("requirements.txt", "# a\n-r more.txt\nRequests[x]>=2  # why\n--hash=sha256:0\n"),
            ("more.txt", "boto3==1 \\\n    --hash=sha256:1\n"),
        ];
        assert_eq!(
            told(&files, "requirements.txt"),
            [
                line("boto3", "more.txt:1", "boto3==1"),
                line("requests", "requirements.txt:3", "Requests[x]>=2")
            ]
        );
    }

    #[test]
    fn projects_are_read_and_a_lock_leads_to_its_project() {
        let text = "[project]\nname = \"a\"\ndependencies = [\n  \"boto3>=1\",\n  'b_c',\n]\n";
        let expected =
            [line("b-c", "pyproject.toml:5", "b_c"), line("boto3", "pyproject.toml:4", "boto3>=1")];
        assert_eq!(told(&[("pyproject.toml", text), ("uv.lock", "")], "uv.lock"), expected);
        let poetry = "[tool.poetry.dependencies]\npython = \"^3.12\"\nflask = \"^3\"\n";
        assert_eq!(
            told(&[("pyproject.toml", poetry)], "pyproject.toml"),
            [line("flask", "pyproject.toml:3", "flask")]
        );
    }
}
