//! Functions that are images: an interpreter of this machine with the unmodified runtime client, as OCI layouts.

use std::collections::BTreeMap;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, NoProgress};
use glowplug_image::{Base, ImageRequest, LayerFormat, Ownership, Part, write_image};
use glowplug_package::{ArchiveEntry, Contents};
use glowplug_test::{newest, run};

use crate::python::{PYTHON, root_file_system};
use crate::support::{Running, scenario_on};

/// Parts of the standard library that the runtime client needs beside those of every start.
const PACKAGES: [&str; 7] =
    ["http", "email", "urllib", "logging", "concurrent", "concurrent/futures", "ctypes"];

const APP: &str = "
import os, sys
COUNT = 0
def handler(event, context):
    global COUNT
    COUNT += 1
    if event == 'see':
        return {
            'cwd': os.getcwd(), 'python': sys.executable, 'own': os.path.exists('/own'), 'tmp': os.listdir('/tmp'),
            'root': sorted(os.listdir('/')), 'runtime': os.environ.get('AWS_EXECUTION_ENV'), 'of_image': os.environ['OF_IMAGE'],
            'handler': os.environ['_HANDLER'],
        }
    if event == 'write':
        open('/tmp/x', 'w').close()
        try:
            open('/var/task/x', 'w')
        except OSError as error:
            return [COUNT, error.strerror]
    return ['VERSION', COUNT, context.function_name]
def other(event, context):
    return 'other'
";

/// Layouts with the images `one` and `two`, which say so, and `empty`, which says not how it starts.
fn layouts(folder: &Utf8Path) {
    let root = folder.join("base");
    let client = glowplug_test::client(newest());
    root_file_system(newest(), &root);
    let library = format!("usr/local/lib/python{}", newest().version);
    let ask = "import sysconfig; print(sysconfig.get_path('stdlib'))";
    let host = run(Command::new(&newest().path).args(["-I", "-c", ask]));
    for name in PACKAGES {
        files(&Utf8Path::new(host.trim()).join(name), &root.join(&library).join(name));
    }
    tree(&client.packages, &root.join("var/runtime"));
    for entry in client.packages.read_dir_utf8().unwrap().flatten() {
        if entry.path().extension() == Some("so") {
            linked(entry.path(), &root);
        }
    }
    fs::write(root.join("own"), "").unwrap();
    // Packed once.
    let unnamed = |request: ImageRequest| ImageRequest { entrypoint: Vec::new(), cmd: Vec::new(), ..request };
    let base = Base::RootFs { path: root, ownership: Ownership::Root };
    let base = ImageRequest { application: Vec::new(), ..unnamed(request(base, "base")) };
    write_image(&base, &folder.join("layout"), &NoProgress).unwrap();
    let base = || Base::Layout { path: folder.join("layout"), image: None, convert: false };
    for name in ["one", "two"] {
        write_image(&request(base(), name), &folder.join(name), &NoProgress).unwrap();
    }
    write_image(&unnamed(request(base(), "empty")), &folder.join("empty"), &NoProgress).unwrap();
}

fn request(base: Base, name: &str) -> ImageRequest {
    let source = Contents::Bytes(APP.replace("VERSION", name).into_bytes());
    let app = ArchiveEntry { path: "app.py".into(), source, executable: false };
    ImageRequest {
        name: name.to_owned(),
        base,
        architecture: Architecture::host().unwrap(),
        python: None,
        format: LayerFormat::Gzip,
        runtime: Vec::new(),
        dependencies: Vec::new(),
        application: vec![Part { at: "/var/task".into(), entries: vec![app] }],
        hot: Vec::new(),
        entrypoint: ["python3", "-m", "awslambdaric"].map(str::to_owned).to_vec(),
        cmd: vec!["app.handler".to_owned()],
        env: BTreeMap::from([
            ("OF_IMAGE".to_owned(), "yes".to_owned()),
            ("PATH".to_owned(), Utf8Path::new(PYTHON).parent().unwrap().to_string()),
            ("PYTHONPATH".to_owned(), "/var/runtime".to_owned()),
        ]),
        working_dir: Some("/var/task".into()),
        labels: BTreeMap::from([("org.opencontainers.image.title".to_owned(), "titled".to_owned())]),
        components: Vec::new(),
    }
}

/// Copies what lies right in a folder.
fn files(from: &Utf8Path, to: &Utf8Path) {
    let Ok(entries) = from.read_dir_utf8() else { return };
    fs::create_dir_all(to).unwrap();
    for entry in entries.flatten().filter(|entry| entry.file_type().unwrap().is_file()) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn tree(from: &Utf8Path, to: &Utf8Path) {
    files(from, to);
    for entry in from.read_dir_utf8().unwrap().flatten().filter(|entry| entry.file_type().unwrap().is_dir()) {
        tree(entry.path(), &to.join(entry.file_name()));
    }
}

/// Copies what a library is linked with.
fn linked(library: &Utf8Path, root: &Utf8Path) {
    let told = run(Command::new("ldd").arg(library));
    let paths = told.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    for path in paths.map(Utf8PathBuf::from) {
        let to = root.join(path.strip_prefix("/").unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&path, to).unwrap();
    }
}

fn can() -> bool {
    glowplug_engine::Engine::new().unwrap().capabilities().mounts
}

#[test]
fn images_are_functions_and_stay_when_the_service_comes_back() {
    if !can() {
        println!("not covered: this host allows no view of its own");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    layouts(folder);
    let state = folder.join("state");
    let more = [("IMAGES", folder.as_str())];
    scenario_on(&Running::start(Some(&state)), "images", &more);
    // The account has what it needs of them.
    fs::remove_dir_all(folder.join("one")).unwrap();
    scenario_on(&Running::start(Some(&state)), "images_later", &more);
}

#[test]
fn a_layout_that_is_named_is_served() {
    if !can() {
        println!("not covered: this host allows no view of its own");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    layouts(folder);
    let running = Running::start(None);
    let cache = folder.join("cache");
    let unpacked = || {
        let entries = cache.read_dir_utf8().unwrap().flatten();
        entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.path().to_owned()).collect::<Vec<_>>()
    };
    let load = || glowplug_lambda::local_image(&folder.join("one"), &cache, Some(256), &NoProgress).unwrap();
    for _ in 0..2 {
        let function = load();
        assert_eq!((function.name.as_str(), function.memory_mb), ("titled", 256));
        running.add_function(function);
    }
    assert_eq!(unpacked().len(), 1, "unpacked once");
    scenario_on(&running, "image_of_a_path", &[]);
    let error = glowplug_lambda::local_image(&folder.join("empty"), &cache, None, &NoProgress).unwrap_err();
    assert!(error.message().contains("neither an entry point nor a command"), "{error}");
    // Another image takes the place of the one that is served.
    let before = unpacked();
    fs::remove_dir_all(folder.join("one")).unwrap();
    fs::rename(folder.join("two"), folder.join("one")).unwrap();
    let function = load();
    assert!(before.iter().all(|tree| tree.exists()) && unpacked().len() == 2, "it is still served");
    drop(running);
    assert_eq!(unpacked(), std::slice::from_ref(&function.tree));
}
