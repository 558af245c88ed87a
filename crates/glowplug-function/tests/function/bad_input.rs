//! What bad input gets: a class, a message, a place, a next step.

use fs_err as fs;
use glowplug_core::{Cache, ErrorClass, NoProgress};
use glowplug_function::LoadOptions;

use crate::loading::write_zip;
use crate::support::{Project, assemble, cache, described, runtime};

/// A project with this configuration is refused with this message at this place.
fn config(text: &str) -> (String, String) {
    Project::with_app(&[("glowplug.toml", text), ("a.json", "{}"), ("bad.json", "{\n  oops\n}")]).refused()
}

fn said(message: &str, place: &str) -> (String, String) {
    (message.to_owned(), place.to_owned())
}

#[test]
fn configurations() {
    for (text, message, place) in [
        ("memroy = 1\n", "`memroy` is not a key of the configuration", "glowplug.toml:1"),
        ("\nmemory = 64\n", "the memory 64 MB is not in Lambda's range", "glowplug.toml:2"),
        ("timeout = 901\n", "the timeout 901 s is not in Lambda's range", "glowplug.toml:1"),
        ("name = 'my function'\n", "`my function` is not a name that Lambda takes", "glowplug.toml:1"),
        ("python = 'three'\n", "`three` is not a Python version", "glowplug.toml:1"),
        ("python = '3.8'\n", "Python 3.8 is not supported", "glowplug.toml:1"),
        ("architecture = 'sparc'\n", "`sparc` is not an architecture of Lambda", "glowplug.toml:1"),
        ("requirements = 'absent.txt'\n", "", "glowplug.toml:1"),
        ("layers = [\n  'absent'\n]\n", "", "glowplug.toml:2"),
        ("[verify]\nnetwork = 'record'\n", "`network = \"record\"` is not available yet", "glowplug.toml:2"),
        ("[verify]\nnetwork = 'none'\n", "`none` is not a network policy", "glowplug.toml:2"),
        ("[package]\nkeep = ['[']\n", "`[` is not a pattern", "glowplug.toml:2"),
        ("[[event]]\nname = 'a'\n", "cannot read the configuration", "glowplug.toml:1"),
        (
            "[[event]]\npath = 'absent.json'\n",
            "the event file `absent.json` does not exist",
            "glowplug.toml:2",
        ),
        ("[[event]]\npath = 'bad.json'\n", "the event is not JSON", "bad.json:2:3"),
        (
            "[[event]]\npath = 'a.json'\nweight = -1\n",
            "the weight -1 is not a number from 0 on",
            "glowplug.toml:3",
        ),
        (
            "[[event]]\npath = 'a.json'\n[[event]]\npath = 'a.json'\n",
            "two events are named `a`",
            "glowplug.toml:4",
        ),
    ] {
        let (found, at) = config(text);
        assert!(found == message || message.is_empty(), "{text}: {found}");
        assert_eq!(at, place, "{text}");
    }
}

#[test]
fn handlers() {
    let handler = |text: &str| config(&format!("\nhandler = '{text}'\n"));
    assert_eq!(handler("app"), said("`app` is not a handler", "glowplug.toml:2"));
    assert_eq!(
        handler("ap.handler"),
        said("there is no module `ap` for the handler `ap.handler`", "glowplug.toml:2")
    );
    assert!(handler("app.handlr").0.ends_with("app.py` does not define `handlr`"));
    let broken = Project::new(&[("app.py", "import os\ndef handler(event, context)\n    pass\n")]);
    assert_eq!(broken.refused(), said("the handler's module is not valid Python", "app.py:2"));
    assert_eq!(Project::new(&[("notes.txt", "")]).refused().0, "no handler was found");
}

#[test]
fn a_handler_that_no_dependency_brings_is_found_missing_in_the_tree() {
    let project = Project::with_app(&[
        ("glowplug.toml", "handler = 'wrapper.handler'\n"),
        ("requirements.txt", "six==1.17.0\n"),
    ]);
    let function = project.load().unwrap();
    let error = assemble(&function, &project.work()).unwrap_err();
    assert_eq!(error.message(), "there is no module `wrapper` for the handler `wrapper.handler`");
}

#[test]
fn what_is_no_function() {
    let project = Project::with_app(&[("readme.txt", "hello"), ("glowplug.toml", "name = 'x'\n")]);
    let refused = |path: &str| {
        let error = glowplug_function::load(&project.root.join(path), &LoadOptions::default()).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Input);
        assert!(!error.hints().is_empty(), "{error}");
        error.message().to_owned()
    };
    assert!(refused("absent").starts_with("there is no function at"));
    assert!(refused("app.py").ends_with("is a file of a function, not its folder"));
    assert_eq!(refused("readme.txt"), "cannot read the zip");
    let options = LoadOptions { function: Some("y".into()), ..LoadOptions::default() };
    assert!(project.load_with(&options).unwrap_err().message().contains("chooses from a template"));
}

#[test]
fn templates() {
    let project = Project::with_app(&[("template.yaml", "Resources: [\n")]);
    let (message, place) = project.refused();
    assert_eq!(message, "the template is not valid YAML");
    assert!(place.starts_with("template.yaml:"), "{place}");
    let one = "Resources:\n  A:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: absent, Handler: app.h}\n";
    project.write("template.yaml", one);
    assert_eq!(project.refused().1, "template.yaml:3");
}

#[test]
fn requirements_that_cannot_be_met() {
    for (text, part) in [
        ("six==0.0.999\n", "six==0.0.999"),
        ("this is no requirement\n", "requirement"),
        ("six==1.17.0\nsix==1.16.0\n", "six"),
    ] {
        let project = Project::with_app(&[("requirements.txt", text)]);
        let function = project.load().unwrap();
        let error = assemble(&function, &project.work()).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Input, "{error}");
        assert!(error.causes()[0].contains(part), "{error}");
        assert_eq!(error.where_(), Some(project.root.join("requirements.txt").as_str()));
    }
}

#[test]
fn a_distribution_without_a_wheel_names_the_switch() {
    let project = Project::with_app(&[("requirements.txt", "docopt==0.6.2\n")]);
    let error = assemble(&project.load().unwrap(), &project.work()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Input);
    assert!(error.hints().iter().any(|hint| hint.contains("build_from_source = true")), "{error:?}");
}

#[test]
fn a_distribution_without_a_wheel_for_the_other_machine_says_so() {
    // Intel makes no wheels for arm64; docopt has no wheels at all.
    for requirement in ["intel-openmp==2024.2.1", "docopt==0.6.2"] {
        let project = Project::with_app(&[
            ("requirements.txt", &format!("{requirement}\n")),
            ("glowplug.toml", "python = '3.12'\narchitecture = 'arm64'\n"),
        ]);
        let error = assemble(&project.load().unwrap(), &project.work()).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Input, "{error:?}");
        assert_eq!(error.message(), "cannot install the dependencies for Python 3.12 on arm64");
        assert!(error.causes()[0].contains(requirement), "{error:?}");
        assert!(error.hints()[0].contains("has a wheel for the target"), "{error:?}");
    }
}

/// The error of a project that needs this wheel; nothing is beside the project but its work folder.
fn with_wheel(wheel: &[u8]) -> glowplug_core::Error {
    let name = "lib_a-1.0-py3-none-any.whl";
    let project = Project::with_app(&[("requirements.txt", &format!("./{name}\n"))]);
    project.write_bytes(name, wheel);
    let error = assemble(&project.load().unwrap(), &project.work()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Input, "{error:?}");
    let above = project.root.parent().unwrap();
    let there: Vec<_> = fs::read_dir(above).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(there.iter().all(|name| name == "project" || name == "work"), "{there:?}");
    error
}

fn wheel(files: &[(&str, &str)]) -> Vec<u8> {
    let keep = tempfile::tempdir().unwrap();
    let path = camino::Utf8Path::from_path(keep.path()).unwrap().join("a.whl");
    let record = files.iter().map(|(name, _)| format!("{name},,\n")).collect::<Vec<_>>().concat();
    let info = [
        ("lib_a-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: lib-a\nVersion: 1.0\n"),
        ("lib_a-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        ("lib_a-1.0.dist-info/RECORD", &record),
    ];
    write_zip(&path, &[files, &info].concat());
    fs::read(path).unwrap()
}

#[test]
fn corrupt_wheels() {
    let error = with_wheel(b"PK\x03\x04 and no more");
    assert!(error.causes()[0].contains("lib_a"), "{error:?}");
    let good = wheel(&[("lib_a/__init__.py", "VALUE = 'some words that are long enough'\n")]);
    with_wheel(&good[..good.len() / 2]);
    with_wheel(&flipped(&good, find(&good, b"lib_a/__init__.py") + 25, 0x10));
    // A path that climbs is left out by uv; the others are there, and nothing is outside.
    let project = Project::with_app(&[("requirements.txt", "./lib_a-1.0-py3-none-any.whl\n")]);
    project.write_bytes("lib_a-1.0-py3-none-any.whl", &wheel(&[("../../evil.py", ""), ("lib_a.py", "")]));
    let tree = assemble(&project.load().unwrap(), &project.work()).unwrap();
    assert!(tree.root.join("lib_a.py").is_file());
    let there = walkdir::WalkDir::new(project.root.parent().unwrap());
    assert!(there.into_iter().all(|entry| entry.unwrap().file_name() != "evil.py"));
    // And the good one is installed.
    let project = Project::with_app(&[("requirements.txt", "./lib_a-1.0-py3-none-any.whl\n")]);
    project.write_bytes("lib_a-1.0-py3-none-any.whl", &good);
    let tree = assemble(&project.load().unwrap(), &project.work()).unwrap();
    assert!(tree.root.join("lib_a/__init__.py").is_file());
}

#[test]
fn offline_without_the_tree_in_the_cache() {
    let project = Project::with_app(&[("requirements.txt", "six==1.17.0\n")]);
    let function = project.load().unwrap();
    let keep = tempfile::tempdir().unwrap();
    let empty = Cache::new(keep.path().to_str().unwrap(), true);
    let made =
        glowplug_function::assemble(&function, &runtime(&function), &project.work(), &empty, &NoProgress);
    let error = made.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Surroundings);
    assert!(error.message().contains("`--offline` forbids to fetch it"), "{error}");
}

#[test]
fn links() {
    let project = Project::with_app(&[]);
    fs::os::unix::fs::symlink("/etc", project.root.join("out")).unwrap();
    let error = assemble(&project.load().unwrap(), &project.work()).unwrap_err();
    assert_eq!(described(&error, &project.root), said("a link leads out of the function's folder", "out"));
}

#[test]
fn zips() {
    let project = Project::new(&[]);
    let zip = project.root.join("shop.zip");
    let app = ("app.py", "def handler(event, context): ...\n");
    let assembled = || {
        let function = glowplug_function::load(&zip, &LoadOptions::default())?;
        glowplug_function::assemble(&function, &runtime(&function), &project.work(), &cache(), &NoProgress)
    };
    let refused = || {
        let error = assembled().unwrap_err();
        let _ = fs::remove_dir_all(project.work());
        assert_eq!(error.class(), ErrorClass::Input, "{error:?}");
        error.message().to_owned()
    };

    fs::write(&zip, b"PK\x03\x04 and then nothing").unwrap();
    assert_eq!(refused(), "cannot read the zip");

    write_zip(&zip, &[app, ("../evil.py", "")]);
    assert_eq!(refused(), "the zip holds a path that leads out of it: `../evil.py`");

    // One bit of the contents is another: the checksum tells.
    write_zip(&zip, &[app, ("data.txt", "some words that are stored here")]);
    let bytes = fs::read(&zip).unwrap();
    let changed = find(&bytes, b"data.txt") + 12;
    fs::write(&zip, flipped(&bytes, changed, 0x10)).unwrap();
    assert_eq!(refused(), "cannot read the zip");

    // The directory says that an entry is encrypted; and that it unpacks to nearly 4 GB.
    write_zip(&zip, &[app, ("data.txt", "some words")]);
    let bytes = fs::read(&zip).unwrap();
    let directory = find(&bytes, b"PK\x01\x02");
    let entry = directory + find(&bytes[directory + 4..], b"PK\x01\x02") + 4;
    fs::write(&zip, flipped(&bytes, entry + 8, 1)).unwrap();
    assert_eq!(refused(), "the zip is encrypted");
    fs::write(&zip, flipped(&bytes, entry + 27, 0xF0)).unwrap();
    assert_eq!(refused(), "the zip unpacks to 4.0 GB");
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).unwrap()
}

fn flipped(bytes: &[u8], at: usize, bits: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= bits;
    bytes
}
