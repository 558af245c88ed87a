//! What leads to what, on small trees: each a way in which real packages find their modules.

use fs_err as fs;
use glowplug_core::PythonVersion;
use glowplug_imports::ModuleId;
use glowplug_package::TrimLevel;

use super::*;

/// A tree in a folder of its own.
struct Sample {
    _folder: tempfile::TempDir,
    package: PackageTree,
}

/// `lib…` and `other…`, also behind a `0`, are the distributions' files, all others the user's.
fn sample(files: &[(&str, &str)]) -> Sample {
    let folder = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for (path, text) in files {
        write(path, text);
    }
    for name in ["lib", "other"] {
        let of = files.iter().filter(|(path, _)| path.trim_start_matches('0').starts_with(name));
        let record: Vec<String> = of.map(|(path, _)| format!("{path},,\n")).collect();
        let info = format!("{name}-1.dist-info");
        write(&format!("{info}/RECORD"), &record.concat());
        if !files.iter().any(|(path, _)| *path == format!("{info}/METADATA")) {
            write(&format!("{info}/METADATA"), &format!("Name: {name}\nVersion: 1\n"));
        }
    }
    let package = PackageTree::scan(&root).unwrap();
    Sample { _folder: folder, package }
}

/// Asks about the code of a tree in which the patterns keep something.
fn ask<T>(files: &[(&str, &str)], keep: &[&str], question: impl FnOnce(&Code) -> T) -> T {
    let sample = sample(files);
    let package = &sample.package;
    let modules = package.modules();
    let python = PythonVersion::new(3, 12);
    let analyses: BTreeMap<String, ModuleAnalysis> = modules
        .iter()
        .filter(|(_, file)| !file.native)
        .map(|(name, file)| {
            let id = ModuleId { name: name.clone(), is_package: file.is_package, path: file.path.clone() };
            let source = fs::read_to_string(package.root.join(&file.path)).unwrap();
            (name.clone(), glowplug_imports::analyse(&source, &id, python).unwrap())
        })
        .collect();
    let own = package.files.iter().filter(|file| file.distribution.is_none());
    let user_files = own.map(|file| file.path.clone()).collect();
    let keep: Vec<String> = keep.iter().map(|pattern| (*pattern).to_owned()).collect();
    question(&Code { package, modules: &modules, analyses: &analyses, user_files: &user_files, keep: &keep })
}

/// The modules of the distributions that are reachable from the user's files.
fn reached(files: &[(&str, &str)]) -> Vec<String> {
    ask(files, &[], |code| {
        let found = code.reachable(BTreeSet::new(), BTreeSet::new()).unwrap();
        let of_distribution = |name: &String| !code.user_files.contains(&code.modules[name].path);
        found.modules.into_iter().filter(of_distribution).collect()
    })
}

/// The same where `app.py` is `app`; `lib` has these files and, beside them, modules that nothing names.
fn from_app(app: &str, lib: &[(&str, &str)]) -> Vec<String> {
    let mut files =
        vec![("app.py", app), ("lib/idle.py", ""), ("lib/far/idle.py", ""), ("lib/far/__init__.py", "")];
    files.extend(lib);
    if !lib.iter().any(|(path, _)| *path == "lib/__init__.py") {
        files.push(("lib/__init__.py", ""));
    }
    reached(&files)
}

#[test]
fn relative_names_are_resolved_as_import_module_does() {
    assert_eq!(relative("a.b", ".c").as_deref(), Some("a.b.c"));
    assert_eq!(relative("a.b", "..c.d").as_deref(), Some("a.c.d"));
    assert_eq!(relative("a", "..c"), None);
    assert_eq!(relative("a", "c"), None);
    assert_eq!(relative("a", "..."), None);
}

#[test]
fn packages_stand_before_what_is_in_them() {
    assert_eq!(packages_around("a.b.c").collect::<Vec<_>>(), ["a", "a.b", "a.b.c"]);
    assert_eq!(packages_around("a").collect::<Vec<_>>(), ["a"]);
}

#[test]
fn tests_are_known_by_their_names() {
    assert!(is_test("a.tests") && is_test("a.test_b") && is_test("conftest"));
    assert!(!is_test("a.testing") && !is_test("a.latest"));
}

#[test]
fn what_nothing_names_is_not_reached() {
    assert_eq!(from_app("import lib", &[("lib/tests/__init__.py", "")]), ["lib"]);
    assert!(from_app("import json", &[]).is_empty());
}

#[test]
fn what_a_pattern_keeps_needs_what_it_imports() {
    let files = [
        ("lib/__init__.py", ""),
        ("lib/tests/__init__.py", ""),
        ("lib/tests/test_one.py", "from lib.tests import helper"),
        ("lib/tests/helper.py", ""),
        ("lib/tests/test_two.py", "from lib.tests import other"),
        ("lib/tests/other.py", ""),
    ];
    let (imported, reachable) = ask(&files, &["lib/tests/test_one.py"], |code| {
        let imported = code.imported(&BTreeSet::new()).unwrap();
        (imported, code.reachable(BTreeSet::new(), BTreeSet::new()).unwrap().modules)
    });
    assert!(imported.contains("lib.tests.helper") && reachable.contains("lib.tests.helper"));
    assert!(!reachable.contains("lib.tests.other"), "{reachable:?}");
    let (imported, columns) = ask(&files, &[], |code| {
        let columns =
            |minor| code.without_columns(TrimLevel::Reachable, PythonVersion::new(3, minor)).unwrap();
        (code.imported(&BTreeSet::new()).unwrap(), (columns(10).len(), columns(11).len()))
    });
    assert!(imported.is_empty());
    assert_eq!(columns, (0, files.len()));
}

#[test]
fn texts_lead_to_modules_in_every_form() {
    for app in [
        "LOOP = 'lib.found:Loop'",
        "CLASS = 'lib.found.Class'",
        "run([sys.executable, '-c', 'import os; from lib import found'])",
        "run([sys.executable, '-c', 'from lib import other, found'])",
        "run('python -m lib.found --port 1', shell=True)",
        "SETTINGS = '''[handlers]\nclass = lib.found.Handler\n'''",
        "import lib\nimport_module('.found', 'lib')",
    ] {
        assert_eq!(from_app(app, &[("lib/found.py", "")])[..2], ["lib", "lib.found"], "{app}");
    }
}

#[test]
fn a_package_that_is_run_leads_to_its_main() {
    let main = [("lib/__main__.py", "")];
    assert_eq!(from_app("run([sys.executable, '-m', 'lib'])", &main), ["lib", "lib.__main__"]);
    assert_eq!(from_app("runpy.run_module('lib')", &main), ["lib", "lib.__main__"]);
    assert_eq!(from_app("import lib\nname = 'lib'", &main), ["lib"]);
}

#[test]
fn a_name_that_is_put_together_leads_to_all_that_fit() {
    let drivers = [
        ("lib/drivers/__init__.py", ""),
        ("lib/drivers/one.py", ""),
        ("lib/drivers/two.py", ""),
        ("lib/drivers/tests/__init__.py", ""),
    ];
    for app in [
        "import_module(f'lib.drivers.{name}')",
        "import_module('lib.drivers.driver_%s' % name)",
        "import_module('lib.drivers.driver_' + name)",
        "load_driver('lib.drivers.' + name)",
        "import lib.drivers\nimport_module('.' + name, package='lib.drivers')",
    ] {
        let all = ["lib", "lib.drivers", "lib.drivers.one", "lib.drivers.two"];
        assert_eq!(from_app(app, &drivers), all, "{app}");
    }
}

#[test]
fn a_name_from_elsewhere_leads_to_all_of_the_package_whatever_else_it_says() {
    let lib = [("lib/__init__.py", "LOGGER = 'lib.'\ndef get(name):\n    return import_module(name)\n")];
    assert_eq!(from_app("import lib", &lib), ["lib", "lib.far", "lib.far.idle", "lib.idle"]);
}

#[test]
fn listing_leads_to_what_is_in_the_listed_package() {
    let plugins = [("lib/plugins/__init__.py", ""), ("lib/plugins/one.py", "")];
    for app in [
        "import lib.plugins\nfor found in pkgutil.iter_modules(lib.plugins.__path__): pass",
        "from lib import plugins\nfor found in pkgutil.iter_modules(plugins.__path__): pass",
        "find_modules('lib.plugins')",
    ] {
        let found = from_app(app, &plugins);
        assert!(found.contains(&"lib.plugins.one".to_owned()), "{app}: {found:?}");
    }
}

#[test]
fn what_a_package_imports_on_request_is_what_it_is_asked_for() {
    let asked = "def __getattr__(name):\n    return import_module(f'lib.{name}')\n";
    let lib = [("lib/__init__.py", asked), ("lib/found.py", "")];
    for app in [
        "import lib\nlib.found.run()",
        "import lib as l\nm = l\nm.found",
        "import lib\ngetattr(lib, 'found')",
    ] {
        assert_eq!(from_app(app, &lib), ["lib", "lib.found"], "{app}");
    }
}

#[test]
fn what_a_package_has_in_its_dictionaries_may_be_its_modules() {
    for init in [
        "WHERE = {'Found': 'found'}\ndef __getattr__(name):\n    return import_module('.' + WHERE[name], __name__)\n",
        "from other import Lazy\nsys.modules[__name__] = Lazy(__name__, {'found': ['Found']})\n",
    ] {
        let lib = [("lib/__init__.py", init), ("lib/found.py", "")];
        assert_eq!(from_app("import lib\nlib.Found", &lib), ["lib", "lib.found"], "{init}");
    }
}

#[test]
fn pickles_and_settings_lead_to_what_they_name() {
    for data in [("model.pkl", "clib.found\nModel\nq"), ("log.yaml", "class: lib.found.Handler")] {
        assert_eq!(from_app("", &[("lib/found.py", ""), data]), ["lib", "lib.found"], "{}", data.0);
    }
    let inside = [("lib/found.py", ""), ("lib/defaults.json", "{\"class\": \"lib.found.Handler\"}")];
    assert_eq!(from_app("import lib", &inside), ["lib", "lib.found"]);
    assert!(from_app("", &inside).is_empty());
}

#[test]
fn a_native_module_leads_to_what_its_distribution_requires() {
    let native = [
        ("lib/core/__init__.py", ""),
        ("lib/core/_native.so", "no names here"),
        ("lib/core/beside.py", ""),
        ("lib-1.dist-info/METADATA", "Name: lib\nVersion: 1\nRequires-Dist: other>=2\n"),
        ("other/__init__.py", ""),
        ("other/far.py", ""),
    ];
    let found = from_app("import lib.core._native", &native);
    assert_eq!(found, ["lib", "lib.core", "lib.core._native", "lib.core.beside", "other"]);
}

#[test]
fn a_compiled_module_leads_to_what_its_source_and_the_code_of_its_group_name() {
    // As mypyc leaves a package: the modules are stubs, their code is in one at the root, whose name begins as its hash does.
    let compiled = [
        ("lib/core/__init__.py", ""),
        ("lib/core/stub.cpython-312-x86_64-linux-gnu.so", "nothing to be seen"),
        ("lib/core/stub.py", "from other.away import thing"),
        ("0lib__mypyc.cpython-312-x86_64-linux-gnu.so", "other.by"),
        ("lib__mypyc.cpython-312-x86_64-linux-gnu.so", "other.far"),
        ("other/__init__.py", ""),
        ("other/away.py", ""),
        ("other/by.py", ""),
        ("other/far.py", ""),
        ("other/idle.py", ""),
    ];
    let found = from_app("import lib.core.stub", &compiled);
    let expected =
        ["lib", "lib.core", "lib.core.stub", "lib__mypyc", "other", "other.away", "other.by", "other.far"];
    assert_eq!(found, expected);
}

#[test]
fn ends_of_names_mean_modules_of_packages_that_are_reached() {
    // As SQLAlchemy finds what its dialects need for tests, and Django the models of its applications.
    let files = [
        ("other/__init__.py", ""),
        ("other/one/__init__.py", ""),
        ("other/one/models.py", ""),
        ("other/one/views.py", ""),
        ("other/two/__init__.py", ""),
        ("other/two/models.py", ""),
    ];
    for call in [
        "__import__(package + '.models')",
        "import_module('%s.models' % package)",
        "import_module(f'{package}.models')",
    ] {
        let lib = format!("def load(package):\n    {call}\n");
        let found =
            from_app("import lib, other.one", &[&files[..], &[("lib/__init__.py", lib.as_str())]].concat());
        assert!(found.iter().any(|module| module == "other.one.models"), "{call}: {found:?}");
        assert!(
            !found.iter().any(|module| module == "other.two.models" || module == "other.one.views"),
            "{found:?}"
        );
    }
}

#[test]
fn plug_ins_are_found_by_their_group() {
    let points =
        "[lib.readers]\none = other.one\ngone = other.not_there\n[console_scripts]\nx = other.two:main\n";
    let plugin = [
        ("other-1.dist-info/entry_points.txt", points),
        ("other/__init__.py", ""),
        ("other/one.py", ""),
        ("other/two.py", ""),
    ];
    for app in [
        "entry_points(group='lib.readers')",
        "GROUP = 'lib.readers'\nentry_points(group=GROUP)",
        "entry_points(group=f'lib.{kind}')",
        "found = entry_points()",
    ] {
        let found = from_app(app, &plugin);
        assert!(found.ends_with(&["other".to_owned(), "other.one".to_owned()]), "{app}: {found:?}");
    }
    assert!(!from_app("entry_points(group='lib.writers')", &plugin).contains(&"other".to_owned()));
    let scripts = from_app("entry_points(group='console_scripts')", &plugin);
    assert!(scripts.contains(&"other.two".to_owned()), "{scripts:?}");
}

#[test]
fn names_in_a_literal_import_and_in_an_unknown_list_are_reached() {
    let library = [
        ("other/__init__.py", "__all__ = [n for n in ('one', 'two')]"),
        ("other/one.py", ""),
        ("other/two.py", ""),
    ];
    let all = ["other", "other.one", "other.two"];
    assert_eq!(from_app("from other import *", &library), all);
    assert_eq!(
        from_app("__import__('other', fromlist=['two']).two", &library)[..],
        ["other".to_owned(), "other.two".to_owned()]
    );
}

#[test]
fn services_are_named_by_whoever_makes_a_client() {
    let asked = |app: &str, lib: &str| {
        let files = [
            ("app.py", app),
            ("lib/__init__.py", lib),
            ("boto3/__init__.py", "def client(name): pass\nclient(anything)"),
            ("boto3-1.dist-info/METADATA", "Name: boto3\nVersion: 1\n"),
            ("boto3-1.dist-info/RECORD", "boto3/__init__.py,,\n"),
        ];
        ask(&files, &[], |code| code.services().map(|found| found.into_iter().collect::<Vec<_>>()))
    };
    // A library that is handed a session, and does not import the SDK.
    let handed =
        asked("import boto3, lib\nboto3.client('s3')", "def get(session): return session.client('sqs')");
    assert_eq!(handed, Some(vec!["s3".to_owned(), "sqs".to_owned()]));
    // What such a library calls `client` may be anything else.
    let other = asked("import boto3\nboto3.client('s3')", "def get(pool, name): return pool.client(name)");
    assert_eq!(other, Some(vec!["s3".to_owned()]));
    assert_eq!(asked("from boto3 import client as make\nmake('s3')", ""), None);
}
