//! Distributions of which the user's own code uses nothing but what the standard library can do, and nothing else here
//! needs. Each row of the table is a replacement that holds for those uses alone: any other use keeps the rule silent.

use std::collections::BTreeSet;

use glowplug_core::PythonVersion;
use glowplug_imports::Site;

use crate::facts::Facts;
use crate::finding::{Finding, Level};
use crate::graph::Graph;

/// More places than this are no few lines to change.
const MOST_SITES: usize = 12;

/// What takes the place of a distribution.
struct Replacement {
    /// Normalised name of the distribution.
    key: &'static str,
    /// The module that is imported.
    module: &'static str,
    /// Paths below the module that may be used.
    uses: &'static [&'static str],
    /// Keywords that those calls may have; any where it is empty.
    keywords: &'static [&'static str],
    since: PythonVersion,
    /// What to write instead, and under which condition it is the same.
    instead: &'static str,
}

const ANY: PythonVersion = PythonVersion::OLDEST;
const SINCE_3_11: PythonVersion = PythonVersion::new(3, 11);

const REPLACEMENTS: &[Replacement] = &[
    Replacement {
        key: "requests",
        module: "requests",
        uses: &["get", "post", "put", "patch", "delete", "head", "request"],
        keywords: &["url", "method", "params", "data", "json", "headers", "timeout"],
        since: ANY,
        instead: "`urllib.request.urlopen` with a `Request` does the same for a plain call; it raises for status \
                  codes from 400 on, and `json.load` reads the answer",
    },
    Replacement {
        key: "pytz",
        module: "pytz",
        uses: &["timezone", "utc", "UTC"],
        keywords: &[],
        since: ANY,
        instead: "`zoneinfo.ZoneInfo` and `datetime.timezone.utc`, given as `tzinfo=` or to `astimezone` in the place of \
                  `localize`; add `tzdata` for its data",
    },
    Replacement {
        key: "python-dateutil",
        module: "dateutil",
        uses: &["parser.parse", "parser.isoparse", "tz.UTC", "tz.tzutc", "tz.gettz"],
        keywords: &[],
        since: SINCE_3_11,
        instead: "`datetime.fromisoformat` reads every date of ISO 8601, and `zoneinfo.ZoneInfo` gives time zones; keep \
                  it where dates come in other forms",
    },
    Replacement {
        key: "simplejson",
        module: "simplejson",
        uses: &["dumps", "loads", "dump", "load", "JSONDecodeError"],
        keywords: &["indent", "sort_keys", "separators", "default", "ensure_ascii"],
        since: ANY,
        instead: "`json` does the same; keep it where `Decimal`s are written without `default=`",
    },
    Replacement {
        key: "toml",
        module: "toml",
        uses: &["load", "loads", "TomlDecodeError"],
        keywords: &[],
        since: SINCE_3_11,
        instead: "`tomllib` reads TOML; it takes files opened in binary mode",
    },
    Replacement {
        key: "mock",
        module: "mock",
        uses: &["Mock", "MagicMock", "patch", "call", "ANY"],
        keywords: &[],
        since: ANY,
        instead: "`unittest.mock` is the same",
    },
    Replacement {
        key: "six",
        module: "six",
        uses: &[
            "text_type",
            "string_types",
            "integer_types",
            "binary_type",
            "PY2",
            "PY3",
            "iteritems",
            "itervalues",
            "iterkeys",
            "moves.range",
            "moves.urllib.parse.urlencode",
            "moves.urllib.parse.urlparse",
            "moves.urllib.parse.quote",
            "ensure_str",
            "ensure_text",
            "ensure_binary",
            "with_metaclass",
            "raise_from",
        ],
        keywords: &[],
        since: ANY,
        instead: "what Python 3 has under its own names does the same",
    },
    Replacement {
        key: "cached-property",
        module: "cached_property",
        uses: &["cached_property"],
        keywords: &[],
        since: ANY,
        instead: "`functools.cached_property` is the same",
    },
    Replacement {
        key: "setuptools",
        module: "pkg_resources",
        uses: &[
            "get_distribution",
            "resource_string",
            "resource_filename",
            "resource_stream",
            "iter_entry_points",
        ],
        keywords: &[],
        since: PythonVersion::new(3, 10),
        instead: "`importlib.metadata` and `importlib.resources.files` do the same without looking through every \
                  installed distribution as they load",
    },
];

pub(super) fn covered(facts: &Facts) -> Vec<Finding> {
    let graph = Graph::new(facts);
    let fits = |row: &&Replacement| facts.subject.python >= row.since;
    REPLACEMENTS.iter().filter(fits).filter_map(|row| finding(facts, &graph, row)).collect()
}

fn finding(facts: &Facts, graph: &Graph<'_>, row: &Replacement) -> Option<Finding> {
    let index = facts.by_key(row.key).next()?;
    let found = &facts.distributions[index];
    let imported = graph.imported_by_user().contains(&index);
    if !imported || found.is_plugin && row.key != "setuptools" || !graph.needed_by(index).is_empty() {
        return None;
    }
    let mut places = Vec::new();
    let mut lines_ms: Option<f64> = None;
    for module in facts.own.iter().filter(|module| !module.is_test) {
        let of_it = |path: &str| path == row.module || path.starts_with(&format!("{}.", row.module));
        let imports =
            module.analysis.imports.iter().filter(|import| of_it(&import.module) && !import.typing_only);
        let imports: Vec<_> = imports.collect();
        if imports.iter().any(|import| import.star) {
            return None;
        }
        let sites: Vec<&Site> = module.sites.iter().filter(|site| of_it(&site.path)).collect();
        if !imports.is_empty() && sites.is_empty() || !sites.iter().all(|site| is_covered(site, row)) {
            return None;
        }
        let path = &module.analysis.path;
        places.extend(sites.iter().map(|site| (path.clone(), site.line)));
        for import in imports {
            if let Some(traced) = &facts.traced {
                let ms = traced.lines_ms.get(&format!("{path}:{}", import.line)).copied().unwrap_or(0.0);
                lines_ms = Some(lines_ms.unwrap_or(0.0) + ms);
            }
        }
    }
    places.sort();
    places.dedup();
    if places.is_empty() || places.len() > MOST_SITES {
        return None;
    }
    let goes = graph.goes_with(&BTreeSet::from([index]));
    let (bytes, zip_bytes) = graph.bytes(&goes);
    let count = super::plural(places.len(), "place");
    let with: Vec<String> = goes
        .iter()
        .filter(|one| **one != index)
        .map(|one| format!("`{}`", facts.distributions[*one].name))
        .collect();
    let with = if with.is_empty() { String::new() } else { format!(", and brings {}", super::listed(&with)) };
    let message =
        format!("`{}` is used in {count} alone, for what the standard library does too{with}", found.name);
    let places = places.into_iter().map(|(path, line)| format!("{path}:{line}")).collect();
    let finding = Finding::new(Level::Note, facts.place_of(index), message, row.instead);
    Some(finding.bytes(bytes, zip_bytes).ms(lines_ms).at(places).guessed())
}

fn is_covered(site: &Site, row: &Replacement) -> bool {
    let Some(below) = site.path.strip_prefix(row.module).and_then(|rest| rest.strip_prefix('.')) else {
        return false;
    };
    let known = row.uses.contains(&below);
    let called = site.called_with.as_ref();
    let plain = called.is_none_or(|keywords| {
        row.keywords.is_empty() || keywords.iter().all(|keyword| row.keywords.contains(&keyword.as_str()))
    });
    // A function that is handed on may be called in any way.
    let is_function = !row.keywords.is_empty() && below.chars().all(|c| c.is_lowercase() || c == '_');
    known && plain && (called.is_some() || !is_function)
}
