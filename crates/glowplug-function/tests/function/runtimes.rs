//! Interpreters, virtual environments and the runtime client.

use std::process::Command;

use glowplug_core::{ErrorClass, NoProgress, PythonVersion};
use glowplug_function::Runtime;

use crate::support::cache;

/// The runtimes of all interpreters from 3.9 to 3.13 that are here.
fn all() -> Vec<Runtime> {
    let found = (9..=13).filter_map(|minor| {
        let version = PythonVersion::new(3, minor);
        match glowplug_function::runtime(version, None, &cache(), &NoProgress) {
            Ok(runtime) => Some(runtime),
            Err(error) if error.message().contains("there is no Python") => None,
            Err(error) => panic!("{version}: {error}"),
        }
    });
    found.collect()
}

#[test]
fn every_interpreter_imports_its_runtime_client() {
    let runtimes = all();
    assert!(!runtimes.is_empty());
    for runtime in &runtimes {
        let script = "import sys, awslambdaric.bootstrap, awslambdaric; print('%d.%d' % sys.version_info[:2]); \
                      print(awslambdaric.__version__); print(sys.prefix != sys.base_prefix); \
                      print([p for p in sys.path if p.endswith('site-packages') and not p.startswith(sys.prefix)])";
        let output = Command::new(&runtime.python)
            .args(["-c", script])
            .env("PYTHONPATH", &runtime.packages)
            .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")
            .output()
            .unwrap();
        let expected = format!("{}\n{}\nTrue\n[]\n", runtime.interpreter.version, runtime.client_version);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            expected,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let compiled = runtime.packages.join("awslambdaric/__pycache__");
        let tag = runtime.interpreter.version.cache_tag();
        assert!(compiled.join(format!("bootstrap.{tag}.pyc")).exists(), "{compiled}");
    }
}

#[test]
fn a_version_that_is_not_here_lists_those_that_are() {
    let error =
        glowplug_function::runtime(PythonVersion::new(3, 99), None, &cache(), &NoProgress).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Surroundings);
    for runtime in all() {
        assert!(error.causes()[0].contains(&runtime.interpreter.full_version), "{error}");
    }
    assert!(error.hints()[0].contains("--python PATH"), "{:?}", error.hints());
}

#[test]
fn an_interpreter_may_be_named_by_path_or_version() {
    let runtime = all().pop().unwrap();
    let version = runtime.interpreter.version;
    for requested in
        [runtime.interpreter.path.to_string(), version.to_string(), runtime.interpreter.full_version.clone()]
    {
        let named = glowplug_function::runtime(version, Some(&requested), &cache(), &NoProgress).unwrap();
        assert_eq!(named.interpreter.version, version);
    }
    // The interpreter of a virtual environment stands for the one that it was made of.
    let of_venv =
        glowplug_function::runtime(version, Some(runtime.python.as_str()), &cache(), &NoProgress).unwrap();
    assert_eq!(of_venv, runtime);
    let other = PythonVersion::new(3, 99);
    let error =
        glowplug_function::runtime(other, Some(runtime.interpreter.path.as_str()), &cache(), &NoProgress);
    assert_eq!(error.unwrap_err().class(), ErrorClass::Usage);
}

#[test]
fn offline_and_empty_handed_is_the_surroundings_fault() {
    let version = all().pop().unwrap().interpreter.version;
    let keep = tempfile::tempdir().unwrap();
    let empty = glowplug_core::Cache::new(keep.path().to_str().unwrap(), true);
    let error = glowplug_function::runtime(version, None, &empty, &NoProgress).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Surroundings);
    assert!(error.message().contains("`--offline` forbids to fetch it"), "{error}");
    // What is there already needs no network.
    let filled = glowplug_core::Cache::new(cache().root(), true);
    assert!(glowplug_function::runtime(version, None, &filled, &NoProgress).is_ok());
}
