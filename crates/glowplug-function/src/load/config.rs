//! `glowplug.toml` and `[tool.glowplug]`: the schema, and errors that name key and line.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Error, Result, parse_bytes};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::source::Source;
use crate::suggest::{listed, nearest};

/// Keys of each table; the empty name is the table itself.
const KEYS: [(&str, &[&str]); 6] = [
    (
        "",
        &[
            "name",
            "handler",
            "python",
            "architecture",
            "memory",
            "timeout",
            "requirements",
            "layers",
            "environment",
            "event",
            "verify",
            "package",
            "budget",
        ],
    ),
    ("event", &["name", "path", "weight"]),
    ("verify", &["network", "setup", "ignore", "accept_unproved", "command"]),
    ("package", &["build_from_source", "runtime_provided", "keep", "libc"]),
    ("budget", &["init_ms", "cold_ms", "warm_ms", "memory_mb", "zip_bytes", "unzipped_bytes"]),
    ("environment", &[]),
];

/// What the user configured; every value may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) handler: Option<Spanned<String>>,
    pub(crate) python: Option<Spanned<String>>,
    pub(crate) architecture: Option<Spanned<String>>,
    pub(crate) memory: Option<Spanned<u32>>,
    pub(crate) timeout: Option<Spanned<u32>>,
    pub(crate) requirements: Option<Spanned<Utf8PathBuf>>,
    pub(crate) layers: Vec<Spanned<Utf8PathBuf>>,
    pub(crate) environment: BTreeMap<String, Plain>,
    pub(crate) event: Vec<EventEntry>,
    pub(crate) verify: Verify,
    pub(crate) package: Package,
    /// Checked and dropped: nothing here holds a build against a budget.
    budget: BTreeMap<String, Spanned<toml::Value>>,
}

/// A value of an environment variable, written with or without quotes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Plain {
    Text(String),
    Whole(i64),
    Real(f64),
    Truth(bool),
}

impl Plain {
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Whole(number) => number.to_string(),
            Self::Real(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
        }
    }
}

/// `[[event]]`.
#[derive(Debug, Deserialize)]
pub(crate) struct EventEntry {
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) path: Spanned<Utf8PathBuf>,
    pub(crate) weight: Option<Spanned<f64>>,
}

/// `[verify]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Verify {
    pub(crate) network: Option<Spanned<String>>,
    pub(crate) setup: String,
    pub(crate) ignore: Vec<String>,
    pub(crate) accept_unproved: bool,
    pub(crate) command: String,
}

/// `[package]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Package {
    pub(crate) build_from_source: bool,
    pub(crate) runtime_provided: Vec<String>,
    pub(crate) keep: Vec<Spanned<String>>,
    pub(crate) libc: Option<Spanned<String>>,
}

/// `pyproject.toml`, as far as it concerns us.
#[derive(Debug, Deserialize)]
struct Project {
    tool: Option<Tool>,
}

#[derive(Debug, Deserialize)]
struct Tool {
    glowplug: Option<Config>,
}

/// A configuration with the file that it comes from; its relative paths are relative to `source`.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    pub(crate) source: Source,
    pub(crate) path: Utf8PathBuf,
    pub(crate) config: Config,
    text: String,
}

impl ConfigFile {
    /// The configuration in `source`: `glowplug.toml`, else `[tool.glowplug]` of `pyproject.toml`, else none.
    ///
    /// # Errors
    /// Input: bad TOML, an unknown key, a value of the wrong type.
    pub(crate) fn find(source: &Source) -> Result<Option<Self>> {
        for name in ["glowplug.toml", "pyproject.toml"] {
            let path = Utf8PathBuf::from(name);
            let Some(bytes) = source.read(&path)? else { continue };
            let text = String::from_utf8(bytes).map_err(|error| {
                Error::input("the configuration is not valid UTF-8").cause(error).place(source.place(&path))
            })?;
            if let Some(config) =
                parse(&text, name == "pyproject.toml", &|error| located(source, &path, &text, error))?
            {
                return Ok(Some(Self { source: source.clone(), path, config, text }));
            }
        }
        Ok(None)
    }

    /// `file:line` of a value.
    pub(crate) fn place<T>(&self, value: &Spanned<T>) -> String {
        format!("{}:{}", self.source.place(&self.path), line(&self.text, value.span().start))
    }
}

/// A fault with the place in the text where it was found.
struct Fault {
    at: Option<usize>,
    error: Error,
}

fn located(source: &Source, path: &Utf8Path, text: &str, fault: Fault) -> Error {
    let file = source.place(path);
    fault.error.place(fault.at.map_or(file.clone(), |at| format!("{file}:{}", line(text, at))))
}

fn line(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

fn parse(text: &str, is_project: bool, locate: &dyn Fn(Fault) -> Error) -> Result<Option<Config>> {
    let document = DeTable::parse(text).map_err(|error| locate(bad_toml(&error)))?;
    let table = if is_project { inner(document.get_ref()) } else { Some(document.get_ref()) };
    let Some(table) = table else { return Ok(None) };
    check_keys(table, "").map_err(locate)?;
    let config = if is_project {
        let project: Project = toml::from_str(text).map_err(|error| locate(bad_toml(&error)))?;
        project.tool.and_then(|tool| tool.glowplug)
    } else {
        Some(toml::from_str(text).map_err(|error| locate(bad_toml(&error)))?)
    };
    if let Some(config) = &config {
        check_budget(&config.budget).map_err(locate)?;
    }
    Ok(config)
}

fn inner<'a>(document: &'a DeTable<'a>) -> Option<&'a DeTable<'a>> {
    document.get("tool")?.get_ref().as_table()?.get("glowplug")?.get_ref().as_table()
}

fn bad_toml(error: &toml::de::Error) -> Fault {
    let made = Error::input("cannot read the configuration").cause(error.message());
    let made = if error.message().contains("expected a string") {
        made.hint("write the value in quotes, for example `python = \"3.12\"`")
    } else {
        made
    };
    Fault { at: error.span().map(|span| span.start), error: made }
}

/// Refuses keys that the schema does not have.
fn check_keys(table: &DeTable<'_>, name: &str) -> Result<(), Fault> {
    let known = KEYS.iter().find(|(table, _)| *table == name).map_or(&[][..], |(_, keys)| keys);
    for (key, value) in table {
        let word = key.get_ref().as_ref();
        if !known.contains(&word) {
            return Err(Fault { at: Some(key.span().start), error: unknown(word, name, known) });
        }
        if word == "environment" || !KEYS.iter().any(|(table, _)| *table == word) {
            continue;
        }
        match value.get_ref() {
            DeValue::Table(inner) => check_keys(inner, word)?,
            DeValue::Array(values) => {
                for inner in values.iter().filter_map(|value| value.get_ref().as_table()) {
                    check_keys(inner, word)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn unknown(word: &str, table: &str, known: &[&str]) -> Error {
    let of = if table.is_empty() { String::new() } else { format!(" in `[{table}]`") };
    let error = Error::input(format!("`{word}` is not a key of the configuration{of}"));
    if let Some(near) = nearest(word, known.iter().copied()) {
        return error.hint(format!("did you mean `{near}`?"));
    }
    match KEYS.iter().find(|(name, keys)| *name != table && keys.contains(&word)) {
        Some(("", _)) => error.hint(format!("`{word}` stands at the top, before the first table")),
        Some((other, _)) => error.hint(format!("`{word}` belongs to `[{other}]`")),
        None => error.hint(format!("the keys there are {}", listed(known.iter().copied()))),
    }
}

fn check_budget(budget: &BTreeMap<String, Spanned<toml::Value>>) -> Result<(), Fault> {
    for (key, value) in budget {
        let number = match value.get_ref() {
            toml::Value::Integer(number) => *number as f64,
            toml::Value::Float(number) => *number,
            toml::Value::String(text) if key.ends_with("_bytes") => {
                let at = Some(value.span().start);
                parse_bytes(text).map_err(|error| Fault { at, error })? as f64
            }
            _ => f64::NAN,
        };
        if !number.is_finite() || number < 0.0 {
            let error = Error::input(format!("the budget `{key}` is not a number from 0 on"));
            return Err(Fault { at: Some(value.span().start), error });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Config>> {
        parse(text, false, &|fault| {
            located(&Source::Folder(".".into()), Utf8Path::new("glowplug.toml"), text, fault)
        })
    }

    fn failed(text: &str) -> (String, String, String) {
        let error = read(text).unwrap_err();
        assert_eq!(error.class(), glowplug_core::ErrorClass::Input);
        let hint = error.hints().first().cloned().unwrap_or_default();
        (error.message().to_owned(), error.where_().unwrap_or_default().to_owned(), hint)
    }

    #[test]
    fn the_whole_schema_is_read() {
        let text = r#"
name = "report"
handler = "app.handler"
python = "3.12"
architecture = "x86_64"
memory = 512
timeout = 3
requirements = "requirements.txt"
layers = []
[environment]
STAGE = "test"
WORKERS = 2
[[event]]
name = "health"
path = "events/health.json"
weight = 0.9
[verify]
network = "deny"
setup = ""
ignore = ["$.requestId"]
accept_unproved = false
command = "pytest -q"
[package]
build_from_source = false
runtime_provided = []
keep = []
[budget]
init_ms = 400
zip_bytes = "10 MB"
"#;
        let config = read(text).unwrap().unwrap();
        assert_eq!(config.memory.unwrap().into_inner(), 512);
        assert_eq!(config.event.len(), 1);
        assert_eq!(config.verify.command, "pytest -q");
        let environment: Vec<String> = config.environment.into_values().map(Plain::into_text).collect();
        assert_eq!(environment, ["test", "2"]);
    }

    #[test]
    fn unknown_keys_name_line_and_the_key_that_was_meant() {
        let at = |line| format!("glowplug.toml:{line}");
        assert_eq!(
            failed("name = \"x\"\nhandlr = \"app.handler\"\n"),
            ("`handlr` is not a key of the configuration".into(), at(2), "did you mean `handler`?".into())
        );
        assert_eq!(
            failed("[verify]\nnetwrok = \"deny\"\n"),
            (
                "`netwrok` is not a key of the configuration in `[verify]`".into(),
                at(2),
                "did you mean `network`?".into()
            )
        );
        assert_eq!(failed("[[event]]\npath = \"x\"\n[[event]]\nfile = \"x\"\n").1, at(4));
        assert_eq!(failed("keep = []\n").2, "`keep` belongs to `[package]`");
        assert_eq!(failed("[package]\nmemory = 1\n").2, "`memory` stands at the top, before the first table");
        assert!(failed("region = 1\n").2.starts_with("the keys there are `name`"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_configuration_or_an_error_with_a_place(text in "[a-z0-9=.,\\[\\]{}\"' \n#-]{0,60}") {
            if let Err(error) = read(&text) {
                proptest::prop_assert!(error.where_().is_some_and(|place| place.starts_with("glowplug.toml")));
            }
        }
    }

    #[test]
    fn wrong_types_name_their_line() {
        let (message, place, hint) = failed("name = \"x\"\npython = 3.12\n");
        assert_eq!((message.as_str(), place.as_str()), ("cannot read the configuration", "glowplug.toml:2"));
        assert!(hint.contains("in quotes"));
        assert_eq!(failed("memory = -1\n").1, "glowplug.toml:1");
        assert_eq!(failed("name = \"x\"\n[[event]\n").1, "glowplug.toml:2");
    }

    #[test]
    fn budgets_are_checked() {
        assert_eq!(failed("[budget]\ninit_ms = \"fast\"\n").1, "glowplug.toml:2");
        assert_eq!(failed("[budget]\nzip_bytes = \"ten\"\n").0, "`ten` is not a size");
        assert_eq!(
            failed("[budget]\ninit = 4\n").0,
            "`init` is not a key of the configuration in `[budget]`"
        );
    }

    #[test]
    fn a_project_may_hold_it() {
        let locate = |fault: Fault| fault.error;
        let text = "[project]\nname = \"x\"\n[tool.glowplug]\nmemory = 256\n";
        assert_eq!(parse(text, true, &locate).unwrap().unwrap().memory.unwrap().into_inner(), 256);
        assert!(parse("[project]\nname = \"x\"\n", true, &locate).unwrap().is_none());
        assert!(parse("[tool.glowplug]\nmemroy = 256\n", true, &locate).is_err());
    }
}
