//! The tree: dependencies, the user's files, layers, zips.

use std::sync::Mutex;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Cache, ErrorClass, NoProgress, Progress};
use glowplug_function::{Function, LoadOptions};

use crate::loading::write_zip;
use crate::support::{Project, assemble, cache, example, runtime};

/// Keeps what a step said.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn start(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
    fn note(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

fn files(root: &Utf8Path) -> Vec<String> {
    let tree = glowplug_package::PackageTree::scan(root).unwrap();
    tree.files.into_iter().map(|file| file.path.into_string()).collect()
}

fn named(paths: &[&str]) -> std::collections::BTreeSet<Utf8PathBuf> {
    paths.iter().map(Utf8PathBuf::from).collect()
}

#[test]
fn the_report_example_is_installed_and_assembled() {
    let options = LoadOptions { python: Some("3.12".into()), ..LoadOptions::default() };
    let function = glowplug_function::load(&example("report"), &options).unwrap();
    let keep = tempfile::tempdir().unwrap();
    let work = Utf8Path::from_path(keep.path()).unwrap();
    let tree = assemble(&function, &work.join("a")).unwrap();
    for path in ["app.py", "boto3/__init__.py", "pandas/__init__.py", "numpy-2.2.6.dist-info/METADATA"] {
        assert!(tree.root.join(path).is_file(), "{path}");
    }
    for path in ["glowplug.toml", "events/health.json", ".lock", "boto3/__pycache__"] {
        assert!(!tree.root.join(path).exists(), "{path}");
    }
    assert!(tree.user_files.contains(Utf8Path::new("app.py")));
    assert!(!tree.user_files.contains(Utf8Path::new("boto3/__init__.py")));
    let script = fs::read_to_string(tree.root.join("bin/f2py")).unwrap();
    assert!(script.starts_with("#!/var/lang/bin/python3\n"), "{script}");

    // The second time needs neither network nor uv, and gives the same tree.
    let offline = Cache::new(cache().root(), true);
    let again =
        glowplug_function::assemble(&function, &runtime(&function), &work.join("b"), &offline, &NoProgress);
    assert_eq!(again.unwrap().digest, tree.digest);
}

#[test]
fn the_users_files_win_and_that_is_said() {
    let project = Project::with_app(&[("requirements.txt", "six==1.17.0\n"), ("six.py", "mine = True\n")]);
    let function = project.load().unwrap();
    let heard = Heard::default();
    let tree = glowplug_function::assemble(&function, &runtime(&function), &project.work(), &cache(), &heard)
        .unwrap();
    assert_eq!(fs::read_to_string(tree.root.join("six.py")).unwrap(), "mine = True\n");
    assert_eq!(tree.user_files, named(&["app.py", "requirements.txt", "six.py"]));
    let notes = heard.0.into_inner().unwrap();
    assert!(notes[0].ends_with("for example `six.py`"), "{notes:?}");

    let clash = Project::with_app(&[("requirements.txt", "six==1.17.0\n"), ("six.py/inside.txt", "")]);
    let error = assemble(&clash.load().unwrap(), &clash.work()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Input);
    assert!(error.message().contains("cannot be in one folder"), "{error}");
}

#[test]
fn a_tree_is_no_link_to_the_users_files_and_a_damaged_cache_is_made_again() {
    let project = Project::with_app(&[("requirements.txt", "six==1.17.0\n# a tree of its own\n")]);
    let function = project.load().unwrap();
    let first = assemble(&function, &project.work()).unwrap();
    fs::write(first.root.join("app.py"), "changed").unwrap();
    assert!(fs::read_to_string(project.root.join("app.py")).unwrap().starts_with("def handler"));

    fs::write(first.root.join("six.py"), "this may be the cache's own file").unwrap();
    let second = assemble(&function, &project.root.with_file_name("again")).unwrap();
    assert_eq!(second.digest, first.digest);
    assert!(fs::read_to_string(second.root.join("six.py")).unwrap().contains("Benjamin Peterson"));
}

#[test]
fn a_project_and_its_lock_are_installed_from() {
    let project = Project::with_app(&[(
        "pyproject.toml",
        "[project]\nname = \"x\"\nversion = \"1\"\nrequires-python = \">=3.9\"\ndependencies = [\"six==1.17.0\"]\n\
         [dependency-groups]\ndev = [\"idna\"]\n",
    )]);
    let has_six = |function: &Function, work: &str| {
        let tree = assemble(function, &project.root.with_file_name(work)).unwrap();
        tree.root.join("six.py").is_file() && !tree.root.join("idna").exists()
    };
    assert!(has_six(&project.load().unwrap(), "from-project"));
    project.write(
        "uv.lock",
        "version = 1\nrevision = 3\nrequires-python = \">=3.9\"\n\
         [[package]]\nname = \"six\"\nversion = \"1.17.0\"\nsource = { registry = \"https://pypi.org/simple\" }\n\
         wheels = [{ url = \"https://files.pythonhosted.org/packages/b7/ce/149a00dd41f10bc29e5921b496af8b574d8413afcd5e30dfa0ed46c2cc5e/six-1.17.0-py2.py3-none-any.whl\", hash = \"sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274\", size = 11050 }]\n\
         [[package]]\nname = \"x\"\nversion = \"1\"\nsource = { virtual = \".\" }\ndependencies = [{ name = \"six\" }]\n\
         [package.metadata]\nrequires-dist = [{ name = \"six\", specifier = \"==1.17.0\" }]\n",
    );
    let function = project.load().unwrap();
    assert_eq!(function.requirements, Some(project.root.join("uv.lock")));
    assert!(has_six(&function, "from-lock"));

    fs::remove_file(project.root.join("uv.lock")).unwrap();
    project.write(
        "poetry.lock",
        "[[package]]\nname = \"six\"\nversion = \"1.17.0\"\noptional = false\ngroups = [\"main\"]\n\
         files = [{file = \"six-1.17.0-py2.py3-none-any.whl\", hash = \"sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274\"}]\n\
         [[package]]\nname = \"idna\"\nversion = \"3.11\"\noptional = false\ngroups = [\"dev\"]\nfiles = []\n",
    );
    let function = project.load().unwrap();
    assert_eq!(function.requirements, Some(project.root.join("poetry.lock")));
    assert!(has_six(&function, "from-poetry"));
}

#[test]
fn a_folder_of_this_machine_is_installed_afresh_each_time() {
    let project = Project::with_app(&[
        ("glowplug.toml", "[package]\nbuild_from_source = true\n"),
        ("requirements.txt", "./lib\n"),
        (
            "lib/pyproject.toml",
            "[project]\nname = 'lib-a'\nversion = '1'\ndescription = 'x'\n[build-system]\nrequires = ['flit_core==3.12.0']\nbuild-backend = 'flit_core.buildapi'\n",
        ),
        ("lib/lib_a.py", "\"\"\"One.\"\"\"\nvalue = 1\n"),
    ]);
    let content = |work: &str| {
        let tree = assemble(&project.load().unwrap(), &project.root.with_file_name(work)).unwrap();
        fs::read_to_string(tree.root.join("lib_a.py")).unwrap()
    };
    assert!(content("one").ends_with("value = 1\n"));
    project.write("lib/lib_a.py", "\"\"\"Two.\"\"\"\nvalue = 2\n");
    project
        .write("lib/pyproject.toml", &fs::read_to_string(project.root.join("lib/pyproject.toml")).unwrap());
    assert!(content("two").ends_with("value = 2\n"));
}

#[test]
fn a_built_folder_ships_as_it_is() {
    let project = Project::with_app(&[
        ("lib_a.py", ""),
        ("__pycache__/lib_a.cpython-312.pyc", "stale"),
        ("lib_a-1.dist-info/METADATA", "Name: lib-a\nVersion: 1\n"),
        ("lib_a-1.dist-info/RECORD", "lib_a.py,,\n"),
        (".git/config", ""),
    ]);
    let tree = assemble(&project.load().unwrap(), &project.work()).unwrap();
    assert_eq!(
        files(&tree.root),
        [
            "__pycache__/lib_a.cpython-312.pyc",
            "app.py",
            "lib_a-1.dist-info/METADATA",
            "lib_a-1.dist-info/RECORD",
            "lib_a.py"
        ]
    );
    assert_eq!(tree.user_files, named(&["app.py"]));
}

#[test]
fn a_source_folder_leaves_its_bytecode_behind() {
    let project = Project::with_app(&[("__pycache__/app.cpython-312.pyc", "stale"), ("old.pyc", "kept")]);
    let tree = assemble(&project.load().unwrap(), &project.work()).unwrap();
    assert_eq!(files(&tree.root), ["app.py", "old.pyc"]);
    assert_eq!(tree.user_files, named(&["app.py", "old.pyc"]));
}

#[test]
fn a_zip_and_its_layers_are_unpacked() {
    let project = Project::new(&[("two/python/wrapper.py", "def handler(event, context): ...\n")]);
    let zip = project.root.join("shop.zip");
    write_zip(&project.root.join("one.zip"), &[("python/one.py", "")]);
    write_zip(&zip, &[("app.py", "x = 1\n"), ("lib/a.py", "")]);
    project.write("glowplug.toml", "handler = 'wrapper.handler'\nlayers = ['one.zip', 'two']\n");
    let function = glowplug_function::load(&zip, &LoadOptions::default()).unwrap();
    let tree = assemble(&function, &project.work()).unwrap();
    assert_eq!(files(&tree.root), ["app.py", "lib/a.py"]);
    assert_eq!(tree.user_files, named(&["app.py", "lib/a.py"]));
    assert_eq!(files(&tree.layers[0]), ["python/one.py"]);
    assert_eq!(tree.layers[1], project.root.join("two"));

    project.write("two/python/wrapper.py", "def handler(event, context): return 1\n");
    let changed = assemble(&function, &project.root.with_file_name("again")).unwrap();
    assert_ne!(changed.digest, tree.digest, "layers count");
}

#[test]
fn native_files_are_held_against_the_target() {
    let program = fs::read(std::env::current_exe().unwrap()).unwrap();
    // This program needs glibc symbols; for the other machine it is of the wrong machine.
    let other = if std::env::consts::ARCH == "x86_64" { "arm64" } else { "x86_64" };
    let project = Project::with_app(&[
        ("glowplug.toml", &format!("python = '3.12'\narchitecture = '{other}'\n")),
        ("lib_a-1.dist-info/METADATA", "Name: lib-a\nVersion: 1\n"),
        ("lib_a-1.dist-info/RECORD", "lib_a/native.so,,\nlib_a/more.so,,\n"),
    ]);
    project.write_bytes("lib_a/native.so", &program);
    project.write_bytes("lib_a/more.so", &program);
    let error = assemble(&project.load().unwrap(), &project.work()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Input);
    assert!(
        error.message().starts_with("the native file `lib_a/more.so` of lib-a 1 is built for"),
        "{error}"
    );
    assert!(error.causes()[1].contains("`lib_a/native.so`"), "{error:?}");
    assert!(error.hints()[0].contains("architecture"), "{error:?}");
}

#[test]
fn trees_are_made_for_the_target_and_not_for_this_machine() {
    let text = "greenlet==3.2.4\n";
    let project = Project::with_app(&[
        ("requirements.txt", text),
        ("glowplug.toml", "python = '3.12'\narchitecture = 'arm64'\n"),
    ]);
    let tree = assemble(&project.load().unwrap(), &project.work()).unwrap();
    let native = files(&tree.root).into_iter().find(|path| path.contains("_greenlet.cpython")).unwrap();
    assert!(native.ends_with("_greenlet.cpython-312-aarch64-linux-gnu.so"), "{native}");
}

#[test]
fn trees_for_alpine_images_have_musl_libraries() {
    let config =
        |libc: &str| format!("python = '3.12'\narchitecture = 'x86_64'\n[package]\nlibc = '{libc}'\n");
    let project =
        Project::with_app(&[("requirements.txt", "markupsafe==3.0.2\n"), ("glowplug.toml", &config("musl"))]);
    let function = project.load().unwrap();
    let tree = assemble(&function, &project.work()).unwrap();
    let native = files(&tree.root).into_iter().find(|path| path.contains("_speedups.cpython")).unwrap();
    assert!(native.ends_with("_speedups.cpython-312-x86_64-linux-musl.so"), "{native}");
    let library = fs::read(tree.root.join(native)).unwrap();

    // The same file where the target has the other C library, and a program of this machine where it has musl.
    let refused = |libc: &str, contents: &[u8]| {
        let project = Project::with_app(&[("glowplug.toml", &config(libc))]);
        project.write_bytes("native.so", contents);
        let error = assemble(&project.load().unwrap(), &project.work()).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Input);
        (error.message().to_owned(), error.causes()[0].clone(), error.hints()[0].clone())
    };
    let (message, cause, hint) = refused("glibc", &library);
    assert_eq!(message, "the native file `native.so` is built for musl (Alpine Linux)");
    assert_eq!(cause, "the function runs Python 3.12 on x86_64 with glibc");
    assert!(hint.starts_with("build it for x86_64 on Linux with glibc"), "{hint}");
    if std::env::consts::ARCH == "x86_64" {
        let (message, _, hint) = refused("musl", &fs::read(std::env::current_exe().unwrap()).unwrap());
        assert_eq!(message, "the native file `native.so` is built for glibc");
        assert!(hint.contains("musllinux"), "{hint}");
    }
}

#[test]
fn the_user_can_stop_it() {
    struct Stop;
    impl Progress for Stop {
        fn start(&self, _: &str, _: Option<u64>) {}
        fn advance(&self, _: u64) {}
        fn finish(&self) {}
        fn note(&self, _: &str) {}
        fn interrupted(&self) -> bool {
            true
        }
    }
    let project = Project::with_app(&[]);
    let function = project.load().unwrap();
    let made = glowplug_function::assemble(&function, &runtime(&function), &project.work(), &cache(), &Stop);
    assert_eq!(made.unwrap_err().class(), ErrorClass::Interrupted);
}
