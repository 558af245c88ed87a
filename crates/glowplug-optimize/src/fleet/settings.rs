//! What a file says of a fleet, and where in it.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Error, Result};
use glowplug_layers::{LAYERS_PER_FUNCTION, Weights};
use glowplug_package::normalise_name;
use serde::{Deserialize, Deserializer, de};

/// What the file may say, for whoever has said something else.
const TABLES: &str =
    "it may have `most_layers` and `unneeded`, `[moves]`, `[cold_starts]`, `[releases]` and `[weights]`";
/// How many names a message lists.
const NAMED: usize = 8;

/// What is known of the fleet beside its functions; all rates are relative to each other.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FleetSettings {
    /// What a byte counts.
    pub weights: Weights,
    /// Layers of the whole fleet, from 1 to 5.
    #[serde(deserialize_with = "layers")]
    pub most_layers: usize,
    /// Whether functions may get distributions that they do not need.
    pub unneeded: bool,
    /// How often a distribution moves to another version, by its normalised name; 1 where it is not named.
    #[serde(deserialize_with = "distributions")]
    pub moves: BTreeMap<String, f64>,
    /// How often a function starts cold, by name; 1 where it is not named.
    pub cold_starts: BTreeMap<String, f64>,
    /// How often a function's own code is released, by name; 0 where it is not named.
    pub releases: BTreeMap<String, f64>,
    /// The file and its text, where it was read from one.
    #[serde(skip)]
    source: Option<(Utf8PathBuf, String)>,
}

impl Default for FleetSettings {
    fn default() -> Self {
        Self {
            weights: Weights::default(),
            most_layers: LAYERS_PER_FUNCTION,
            unneeded: false,
            moves: BTreeMap::new(),
            cold_starts: BTreeMap::new(),
            releases: BTreeMap::new(),
            source: None,
        }
    }
}

/// A number of layers that Lambda attaches.
fn layers<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<usize, D::Error> {
    let layers = usize::deserialize(from)?;
    if (1..=LAYERS_PER_FUNCTION).contains(&layers) {
        return Ok(layers);
    }
    Err(de::Error::custom(format!(
        "`most_layers` is {layers}: all functions together have from 1 to {LAYERS_PER_FUNCTION}"
    )))
}

/// Rates by the names of distributions, however these are spelt.
fn distributions<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<BTreeMap<String, f64>, D::Error> {
    let rates: BTreeMap<String, f64> = BTreeMap::deserialize(from)?;
    let mut named = BTreeMap::new();
    for (name, rate) in rates {
        if named.insert(normalise_name(&name), rate).is_some() {
            return Err(de::Error::custom(format!("`moves` names the distribution `{name}` twice")));
        }
    }
    Ok(named)
}

impl FleetSettings {
    /// Reads them from a TOML file.
    ///
    /// # Errors
    /// Input: the file cannot be read, or says what it may not.
    pub fn read(path: &Utf8Path) -> Result<Self> {
        let text = fs::read_to_string(path)?;
        let parsed = toml::from_str::<Self>(&text).map_err(|error| {
            let line = error.span().map(|span| text[..span.end.min(text.len())].lines().count().max(1));
            let place = line.map_or_else(|| path.to_string(), |line| format!("{path}:{line}"));
            Error::input("the fleet's file is not valid").cause(error.message()).place(place).hint(TABLES)
        })?;
        Ok(Self { source: Some((path.to_owned(), text)), ..parsed })
    }

    /// Holds the names under `[moves]` against the distributions that the functions have.
    ///
    /// # Errors
    /// Input: none of the functions has it.
    pub(super) fn check_moves(&self, known: &BTreeSet<String>) -> Result<()> {
        let Some(name) = self.moves.keys().find(|name| !known.contains(*name)) else { return Ok(()) };
        let mut listed: Vec<&str> = known.iter().take(NAMED).map(String::as_str).collect();
        if known.len() > NAMED {
            listed.push("…");
        }
        let hint = match listed.as_slice() {
            [] => "they have none: leave `[moves]` out".to_owned(),
            listed => format!("they have {}", listed.join(", ")),
        };
        Err(Error::input(format!("the fleet's file names `{name}`, and none of the functions has that"))
            .place(self.place("moves", name))
            .hint(hint))
    }

    /// Where the file names something under a table: the file and, where it is written in the usual way, the line.
    pub(super) fn place(&self, table: &str, name: &str) -> String {
        let Some((path, text)) = &self.source else { return String::new() };
        let mut within = false;
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(header) = line.strip_prefix('[') {
                within = header.split(']').next().is_some_and(|named| named.trim() == table);
            }
            let key = line.split('=').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
            if within && (key == name || normalise_name(key) == name) {
                return format!("{path}:{}", at + 1);
            }
        }
        path.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<FleetSettings> {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::try_from(folder.path().join("fleet.toml")).unwrap();
        fs::write(&path, text).unwrap();
        FleetSettings::read(&path)
    }

    fn line(error: &Error) -> String {
        error.where_().unwrap_or_default().rsplit(':').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn no_more_layers_than_a_function_attaches() {
        for layers in ["0", "6", "9"] {
            let error = read(&format!("unneeded = true\nmost_layers = {layers}\n")).unwrap_err();
            assert!(error.causes()[0].contains(&format!("`most_layers` is {layers}")), "{error}");
            assert_eq!((line(&error).as_str(), error.hints()), ("2", &[TABLES.to_owned()][..]));
        }
        assert_eq!(read("most_layers = 5\n").unwrap().most_layers, 5);
    }

    #[test]
    fn distributions_are_known_by_any_spelling_and_unknown_ones_named_with_their_line() {
        let settings = read("[moves]\nCharset_Normalizer = 2\n# a word\n\"Py.Yaml\" = 3\n").unwrap();
        let known = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert!(settings.check_moves(&known(&["charset-normalizer", "py-yaml"])).is_ok());
        let error = settings.check_moves(&known(&["charset-normalizer", "idna"])).unwrap_err();
        assert!(error.message().contains("`py-yaml`"), "{error}");
        assert_eq!(
            (line(&error).as_str(), error.hints()),
            ("4", &["they have charset-normalizer, idna".to_owned()][..])
        );
        assert!(settings.check_moves(&known(&[])).unwrap_err().hints()[0].contains("they have none"));
        let twice = read("[moves]\na-b = 1\na_b = 2\n").unwrap_err();
        assert!(twice.causes()[0].contains("twice"), "{twice}");
    }
}
