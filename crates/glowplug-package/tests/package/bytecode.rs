//! Bytecode that every interpreter loads as it is, the same whoever makes it and in whatever order.

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Cache, NoProgress, PythonVersion};
use glowplug_package::{
    CompileJob, CompileResult, Compiler, FailureKind, bytecode_path, silent_sources, verify_bytecode,
};

use crate::support::{Tree, python, pythons};

const SOURCES: &[(&str, &str)] = &[
    (
        "app.py",
        "\"\"\"Doc.\"\"\"\nimport lib.core as c\n\ndef handler(event, context):\n    return {1, 2, 3} & {'a', 'b', 'c'} or c.VALUE\n",
    ),
    ("lib/__init__.py", ""),
    (
        "lib/core.py",
        "# -*- coding: latin-1 -*-\nVALUE = [x for x in range(3) if x in {'a', 'b', 'c', 'd'}]\nclass A:\n    def f(self): return __class__\n",
    ),
    ("lib/bytes_with_cr.py", "x = 1\r\ny = '''\r\n'''\r\n"),
];

fn sources() -> Tree {
    let tree = SOURCES.iter().fold(Tree::new(), |tree, (path, text)| tree.file(path, text));
    tree.file("lib/latin.py", b"# coding: latin-1\nNAME = '\xe9'\n")
}

fn paths(tree: &Tree) -> Vec<Utf8PathBuf> {
    tree.scan()
        .files
        .iter()
        .map(|file| file.path.clone())
        .filter(|path| path.extension() == Some("py"))
        .collect()
}

fn jobs(tree: &Tree) -> Vec<CompileJob> {
    let job = |path: Utf8PathBuf| CompileJob {
        source: tree.root.join(&path),
        task_path: format!("/var/task/{path}"),
        edits: None,
    };
    paths(tree).into_iter().map(job).collect()
}

fn compile(
    interpreter: &Utf8Path,
    version: PythonVersion,
    cache: &Utf8Path,
    workers: usize,
    jobs: Vec<CompileJob>,
) -> Vec<Utf8PathBuf> {
    let compiler = Compiler::new(interpreter, version, &Cache::new(cache, true), workers).unwrap();
    let done = compiler.compile(jobs, &NoProgress).unwrap();
    done.into_iter()
        .map(|result| match result {
            CompileResult::Done(path) => path,
            CompileResult::Failed { kind, message } => panic!("{kind:?}: {message}"),
        })
        .collect()
}

fn place(tree: &Tree, version: PythonVersion, made: &[Utf8PathBuf]) {
    for (source, bytecode) in paths(tree).iter().zip(made) {
        let target = tree.root.join(bytecode_path(source, version));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(bytecode, target).unwrap();
    }
}

#[test]
fn every_interpreter_loads_what_was_made_for_it() {
    for (version, interpreter) in pythons() {
        let (tree, cache) = (sources(), Tree::new());
        let made = compile(&interpreter, version, &cache.root, 2, jobs(&tree));
        place(&tree, version, &made);
        assert_eq!(
            verify_bytecode(&interpreter, &tree.root, "/var/task", &paths(&tree)).unwrap(),
            [],
            "{version}"
        );
        // The proof beyond our own checker: sources that have gone wrong are not read.
        for path in paths(&tree) {
            fs::write(tree.root.join(path), "raise SystemExit('the source was read')\n").unwrap();
        }
        let script = "import sys; sys.dont_write_bytecode = True; sys.path.insert(0, sys.argv[1]); import app, lib.latin, lib.bytes_with_cr as b; print(app.__doc__, lib.latin.NAME, repr(b.y))";
        assert_eq!(python(&interpreter, script, &[tree.root.as_str()]), "Doc. é '\\n'", "{version}");
    }
}

#[test]
fn sources_that_warn_when_they_are_compiled_are_told_from_the_silent_ones() {
    let tree = sources()
        .file("lib/escape.py", "PATTERN = '\\d'\n")
        .file("lib/identity.py", "def f(x):\n    return x is 'literal'\n")
        .file("lib/broken.py", "def f(:\n");
    for (version, interpreter) in pythons() {
        let silent = silent_sources(&interpreter, &tree.root, &paths(&tree)).unwrap();
        let silent: Vec<&str> = silent.iter().map(|path| path.as_str()).collect();
        let expected = ["app.py", "lib/__init__.py", "lib/bytes_with_cr.py", "lib/core.py", "lib/latin.py"];
        assert_eq!(silent, expected, "{version}");
    }
}

#[test]
fn what_would_not_be_loaded_is_told() {
    for (version, interpreter) in pythons() {
        let (tree, cache) = (sources(), Tree::new());
        let made = compile(&interpreter, version, &cache.root, 1, jobs(&tree));
        place(&tree, version, &made);
        let damage = |source: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
            let path = tree.root.join(bytecode_path(source.into(), version));
            fs::write(&path, change(fs::read(&path).unwrap())).unwrap();
        };
        let with = |mut bytes: Vec<u8>, at: usize, value: u8| {
            bytes[at] = value;
            bytes
        };
        damage("app.py", &|bytes| with(bytes, 4, 0));
        damage("lib/__init__.py", &|bytes| bytes[..20].to_vec());
        damage("lib/core.py", &|bytes| with(bytes, 0, 1));
        fs::remove_file(tree.root.join(bytecode_path("lib/latin.py".into(), version))).unwrap();
        let faults = verify_bytecode(&interpreter, &tree.root, "/var/task", &paths(&tree)).unwrap();
        let told: Vec<(&str, &str)> = faults
            .iter()
            .map(|fault| (fault.path.as_str(), fault.reason.split(':').next().unwrap()))
            .collect();
        assert_eq!(
            told,
            [
                ("app.py", "the bytecode is not of the unchecked-hash kind"),
                ("lib/__init__.py", "the bytecode is damaged"),
                ("lib/core.py", "the bytecode is another interpreter's"),
                ("lib/latin.py", "no bytecode"),
            ],
            "{version}"
        );
        let elsewhere =
            verify_bytecode(&interpreter, &tree.root, "/opt/python", &["lib/bytes_with_cr.py".into()])
                .unwrap();
        assert_eq!(elsewhere[0].reason, "the code carries the path /var/task/lib/bytes_with_cr.py");
    }
}

/// Marshalled bytes can depend on what else the process has seen.
#[test]
fn bytes_do_not_depend_on_order_workers_or_what_was_compiled_before() {
    for (version, interpreter) in pythons() {
        same_bytes(version, &interpreter);
    }
}

fn same_bytes(version: PythonVersion, interpreter: &Utf8Path) {
    let standard = python(interpreter, "import os; print(os.path.dirname(os.__file__))", &[]);
    let names = ["argparse", "enum", "html/entities", "logging/__init__", "textwrap", "typing", "uuid"];
    let made = |order: &dyn Fn(&mut Vec<CompileJob>), workers: usize| {
        let cache = Tree::new();
        let mut jobs: Vec<CompileJob> = names
            .iter()
            .map(|name| CompileJob {
                source: format!("{standard}/{name}.py").into(),
                task_path: format!("/var/task/{name}.py"),
                edits: None,
            })
            .collect();
        order(&mut jobs);
        let order: Vec<String> = jobs.iter().map(|job| job.task_path.clone()).collect();
        let paths = compile(interpreter, version, &cache.root, workers, jobs);
        order
            .into_iter()
            .zip(paths)
            .map(|(name, path)| (name, fs::read(path).unwrap()))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let first = made(&|_| (), 1);
    for (other, what) in [(made(&|jobs| jobs.reverse(), 1), "reversed"), (made(&|_| (), 4), "four workers")] {
        for (name, bytes) in &first {
            assert!(other[name] == *bytes, "{version}: {name}: {what}");
        }
    }
    // Alone, in a process that has compiled nothing else.
    let alone = made(&|jobs| jobs.truncate(1), 1);
    assert!(alone.iter().all(|(name, bytes)| first[name] == *bytes), "{version}: alone");
}

#[test]
fn failures_are_results_and_the_cache_answers_what_it_can() {
    let (version, interpreter) = pythons().remove(0);
    let (tree, cache) = (
        Tree::new().file("good.py", "x = 1\n").file("bad.py", "def (:\n").file("null.py", "x = '\0'\n"),
        Tree::new(),
    );
    let compiler = Compiler::new(&interpreter, version, &Cache::new(cache.root.clone(), true), 2).unwrap();
    let mut all = jobs(&tree);
    all.push(CompileJob {
        source: tree.root.join("gone.py"),
        task_path: "/var/task/gone.py".into(),
        edits: None,
    });
    let done = compiler.compile(all, &NoProgress).unwrap();
    let kinds: Vec<Option<FailureKind>> = done
        .iter()
        .map(|result| match result {
            CompileResult::Done(_) => None,
            CompileResult::Failed { kind, .. } => Some(*kind),
        })
        .collect();
    assert_eq!(kinds, [Some(FailureKind::Syntax), None, Some(FailureKind::Syntax), Some(FailureKind::Io)]);
    let CompileResult::Failed { message, .. } = &done[0] else { panic!("{done:?}") };
    assert!(message.contains("bad.py, line 1"), "{message}");
    // An answer from the cache needs no interpreter.
    let CompileResult::Done(good) = &done[1] else { panic!("{done:?}") };
    let modified = fs::metadata(good).unwrap().modified().unwrap();
    let again = compile(&interpreter, version, &cache.root, 1, vec![jobs(&tree).remove(1)]);
    assert_eq!((&again[0], fs::metadata(good).unwrap().modified().unwrap()), (good, modified));
    // A file that was cut off is made anew.
    fs::write(good, "").unwrap();
    compile(&interpreter, version, &cache.root, 1, vec![jobs(&tree).remove(1)]);
    assert!(fs::metadata(good).unwrap().len() > 16);
}

#[test]
fn another_interpreter_than_the_one_asked_for_is_refused() {
    let (version, interpreter) = pythons().remove(0);
    let other = PythonVersion::new(3, version.minor + 1);
    let cache = Cache::new("unused", true);
    let error = Compiler::new(&interpreter, other, &cache, 1).unwrap_err();
    assert_eq!(error.class(), glowplug_core::ErrorClass::Surroundings);
    assert_eq!(error.message(), format!("the interpreter is not Python {other}"));
    let error = Compiler::new(Utf8Path::new("/nowhere/python"), version, &cache, 1).unwrap_err();
    assert_eq!((error.message(), error.where_()), ("the interpreter does not work", Some("/nowhere/python")));
}
