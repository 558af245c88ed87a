//! What people read before they run anything.

use crate::support::Project;

#[test]
fn the_program_says_what_it_does() {
    let outcome = Project::empty().run(&["--help"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(outcome.stdout, @"");
}

#[test]
fn build_explains_its_options() {
    let outcome = Project::empty().run(&["build", "-h"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(outcome.stdout, @"");
}

#[test]
fn trace_explains_its_options() {
    let outcome = Project::empty().run(&["trace", "-h"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(outcome.stdout, @"");
}

#[test]
fn the_version_is_one_line() {
    let outcome = Project::empty().run(&["--version"]);
    assert_eq!(outcome.code, Some(0));
    assert_eq!(outcome.stdout, format!("glowplug {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_has_exit_code_2_and_says_what_is_right() {
    let project = Project::empty();
    for (arguments, expected) in [
        (&["buidl"][..], "a similar subcommand exists: 'build'"),
        (&["build", "--lazy", "very"], "[possible values: off, safe, balanced, aggressive]"),
        (&["build", "--locked", "--update-lock"], "cannot be used with"),
        (&["build", "--memory", "64"], "64 is not in 128..=10240"),
        (&["trace", "--runs", "0"], "must be at least 1"),
        (&[], "Usage: glowplug"),
    ] {
        let text = project.fails(2, arguments);
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}
