//! Rules that need facts which no small folder has: starts, libraries of newer systems, packages near the limits,
//! replacements. Each speaks in one case and is silent in its neighbour.

#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

use std::collections::{BTreeMap, BTreeSet};

use glowplug_core::{Architecture, PythonVersion};
use glowplug_doctor::{
    Bytecode, Distribution, Facts, File, FileUse, Finding, Kind, Level, Link, Native, NativeFault, OwnModule,
    Root, RootKind, Selection, Subject, Traced, Trimmed, diagnose,
};
use glowplug_imports::{ModuleId, analyse, sites};

const PYTHON: PythonVersion = PythonVersion::new(3, 12);

fn facts() -> Facts {
    Facts {
        subject: Subject {
            name: "f".to_owned(),
            kind: Kind::Folder,
            python: PYTHON,
            architecture: Architecture::X86_64,
        },
        roots: vec![Root { kind: RootKind::Task, prefix: String::new() }],
        distributions: Vec::new(),
        files: Vec::new(),
        links: Vec::new(),
        own: Vec::new(),
        requirements: BTreeMap::new(),
        trimmed: Vec::new(),
        natives: Vec::new(),
        bytecode: Bytecode::default(),
        traced: None,
        runtime_provided: BTreeSet::new(),
        zip_bytes: None,
        zip_estimated: true,
    }
}

fn distribution(key: &str, bytes: u64) -> Distribution {
    Distribution {
        name: key.to_owned(),
        key: key.to_owned(),
        version: "1".to_owned(),
        dist_info: format!("{key}-1.dist-info").into(),
        bytes,
        top_level: vec![key.replace('-', "_")],
        ..Distribution::default()
    }
}

/// The user's own `app.py`, whose imports of `module` lead to the distribution of index 0.
fn own(source: &str, module: &str) -> OwnModule {
    let id = ModuleId { name: "app".to_owned(), is_package: false, path: "app.py".into() };
    let analysis = analyse(source, &id, PYTHON).unwrap();
    let imports = analysis.imports.iter().filter(|import| import.module.split('.').next() == Some(module));
    OwnModule {
        targets: imports.map(|import| (import.module.clone(), 0)).collect(),
        sites: sites(source).0,
        words: BTreeMap::new(),
        excused: BTreeSet::new(),
        is_test: false,
        acting: BTreeSet::new(),
        analysis,
    }
}

fn with_use(key: &str, module: &str, source: &str) -> Facts {
    let link =
        Link { from: None, to: 0, place: "app.py:1".to_owned(), is_conditional: false, is_test: false };
    Facts {
        distributions: vec![distribution(key, 1000)],
        links: vec![link],
        own: vec![own(source, module)],
        ..facts()
    }
}

fn found(facts: &Facts, code: &str) -> Vec<Finding> {
    diagnose(facts, &Selection::new(&[code.to_owned()], &[]).unwrap())
}

#[test]
fn a_replacement_holds_for_plain_uses_alone() {
    let told = |source: &str| found(&with_use("requests", "requests", source), "GP105");
    let plain = told("import requests\ndef f():\n    return requests.get('x', timeout=1)\n");
    assert_eq!(plain[0].places, ["app.py:3"]);
    assert_eq!((plain[0].saves_bytes, plain[0].estimated), (Some(1000), true));
    for source in [
        "import requests\ns = requests.Session()\n",
        "import requests\nrequests.get('x', auth=('a', 'b'))\n",
        "import requests\nrequests.get('x', **options)\n",
        "import requests\ncall(requests)\n",
        "import requests\nretry(requests.get, 'x')\n",
        "from requests import *\nget('x')\n",
        "import requests\n",
    ] {
        assert_eq!(told(source), [], "{source}");
    }
    let old = Facts {
        subject: Subject { python: PythonVersion::new(3, 10), ..facts().subject },
        ..with_use("toml", "toml", "import toml\nX = toml.loads('')\n")
    };
    assert_eq!(found(&old, "GP105"), [], "no `tomllib` before 3.11");
    let mut needed = with_use("pytz", "pytz", "import pytz\nX = pytz.utc\n");
    assert_eq!(found(&needed, "GP105").len(), 1);
    needed
        .distributions
        .push(Distribution { requires: BTreeSet::from(["pytz".to_owned()]), ..distribution("pandas", 1) });
    assert_eq!(found(&needed, "GP105"), [], "pandas needs it");
}

#[test]
fn the_runtime_brings_the_sdk_and_what_it_alone_needs() {
    let requires = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let mut facts = with_use("boto3", "boto3", "import boto3\nboto3.client('s3')\n");
    facts.distributions[0].requires = requires(&["botocore"]);
    facts
        .distributions
        .push(Distribution { requires: requires(&["urllib3", "six"]), ..distribution("botocore", 10) });
    facts.distributions.push(distribution("urllib3", 100));
    facts.distributions.push(distribution("six", 100));
    facts.distributions.push(Distribution { requires: requires(&["six"]), ..distribution("other", 1) });
    facts.links.push(Link { to: 4, ..facts.links[0].clone() });
    let one = found(&facts, "GP104").remove(0);
    assert_eq!(one.saves_bytes, Some(1110), "six stays for `other`: {one:?}");
    facts.runtime_provided = BTreeSet::from(["boto3".to_owned(), "botocore".to_owned()]);
    assert_eq!(found(&facts, "GP104"), []);
    facts.runtime_provided.clear();
    facts.subject.kind = Kind::Image;
    assert_eq!(found(&facts, "GP104"), [], "an image brings its own runtime");
}

#[test]
fn limits_are_told_when_they_are_near() {
    let sized = |bytes: u64, zip_bytes: u64| Facts {
        files: vec![File {
            root: 0,
            path: "a".into(),
            bytes,
            zip_bytes: None,
            used_as: FileUse::Data,
            distribution: None,
        }],
        zip_bytes: Some(zip_bytes),
        ..facts()
    };
    let levels = |facts: &Facts, code: &str| found(facts, code).iter().map(|f| f.level).collect::<Vec<_>>();
    assert_eq!(levels(&sized(100_000_000, 1), "GP150"), []);
    assert_eq!(levels(&sized(250_000_000, 1), "GP150"), [Level::Warning]);
    assert_eq!(levels(&sized(262_144_000, 1), "GP150"), [Level::Warning]);
    assert_eq!(levels(&sized(262_144_001, 1), "GP150"), [Level::Error]);
    assert_eq!(levels(&sized(1, 40_000_000), "GP151"), []);
    assert_eq!(levels(&sized(1, 60_000_000), "GP151"), [Level::Warning]);
    let image =
        Facts { subject: Subject { kind: Kind::Image, ..facts().subject }, ..sized(300_000_000, 60_000_000) };
    assert_eq!((levels(&image, "GP150"), levels(&image, "GP151")), (Vec::new(), Vec::new()));
}

#[test]
fn libraries_of_newer_systems_are_errors_and_stripping_is_told_by_what_it_saves() {
    let native = |fault: Option<NativeFault>| Native {
        root: 0,
        path: "a/b.so".into(),
        bytes: 1,
        digest: "0".to_owned(),
        soname: None,
        distribution: None,
        fault,
    };
    let fault = NativeFault::Glibc("needs glibc 2.38, and the target has 2.34".to_owned());
    let one = found(&Facts { natives: vec![native(Some(fault))], ..facts() }, "GP131").remove(0);
    assert_eq!(
        (one.level, one.message.as_str()),
        (Level::Error, "`b.so` needs glibc 2.38, and the target has 2.34")
    );
    assert_eq!(found(&Facts { natives: vec![native(None)], ..facts() }, "GP13"), []);
    let strip = |bytes: u64| Trimmed {
        rule: "symbols".to_owned(),
        root: 0,
        path: "a/b.so".into(),
        bytes,
        zip_bytes: None,
        distribution: None,
    };
    assert_eq!(
        found(&Facts { trimmed: vec![strip(500_000)], ..facts() }, "GP124")[0].saves_bytes,
        Some(500_000)
    );
    assert_eq!(found(&Facts { trimmed: vec![strip(5_000)], ..facts() }, "GP124"), []);
}

#[test]
fn a_cheap_import_of_the_standard_library_is_a_linters_matter() {
    let lines_ms =
        |ms: f64| Traced { lines_ms: BTreeMap::from([("app.py:1".to_owned(), ms)]), ..Traced::default() };
    let mut facts = Facts { own: vec![own("import sqlite3\n", "none")], ..facts() };
    assert_eq!(found(&facts, "GP102"), []);
    facts.traced = Some(lines_ms(0.2));
    assert_eq!(found(&facts, "GP102"), []);
    facts.traced = Some(lines_ms(7.5));
    assert_eq!(found(&facts, "GP102")[0].saves_ms, Some(7.5));
}

#[test]
fn bytecode_is_counted_by_what_a_start_loads() {
    let bytecode =
        Bytecode { modules: 9, missing: vec!["a.py".to_owned(), "b.py".to_owned()], stale: Vec::new() };
    let mut facts = Facts { bytecode, ..facts() };
    assert_eq!(found(&facts, "GP140")[0].message, "2 of 9 modules have no bytecode");
    facts.traced = Some(Traced { missing: 1, stale: 3, compile_ms: 40.0, ..Traced::default() });
    assert_eq!(found(&facts, "GP140")[0].saves_ms, Some(10.0));
    assert_eq!(found(&facts, "GP141")[0].saves_ms, Some(30.0));
    facts.traced = Some(Traced::default());
    assert_eq!(found(&facts, "GP14"), [], "no start loads them");
}

#[test]
fn a_layer_that_the_function_hides_is_told() {
    let mut facts = Facts { distributions: vec![distribution("a", 5), distribution("a", 7)], ..facts() };
    facts.roots.push(Root { kind: RootKind::Layer, prefix: "shared/python/".to_owned() });
    facts.distributions[1].root = 1;
    facts.distributions[1].version = "2".to_owned();
    let one = found(&facts, "GP108").remove(0);
    assert_eq!(one.message, "`a 1` in the function hides 2 in `shared/python`");
    assert_eq!(one.place, "shared/python/a-1.dist-info");
    facts.distributions[1].key = "b".to_owned();
    assert_eq!(found(&facts, "GP108"), []);
}
