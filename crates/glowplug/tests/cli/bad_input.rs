//! Functions, configurations and archives that are wrong: one error with cause, place and next step, exit code 1,
//! everything left as it was.

use camino::Utf8Path;
use fs_err as fs;
use zip::write::SimpleFileOptions;

use crate::support::{PLAIN, Project};

/// Each expected text is somewhere in what the user reads.
#[track_caller]
fn says(text: &str, expected: &[&str]) {
    for part in expected {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
    assert!(text.starts_with("error: "), "{text}");
    assert!(text.contains("\nhint: "), "no next step in:\n{text}");
    let errors = text.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "more than one error in:\n{text}");
}

#[test]
fn a_folder_that_is_not_there() {
    let text = Project::empty().fails(1, &["build", "nowhere", "--out", "out"]);
    assert!(text.starts_with("error: ") && text.contains("nowhere"), "{text}");
}

#[test]
fn a_folder_without_a_function() {
    let project = Project::empty();
    project.write("function/notes.txt", "nothing here");
    says(&project.build_fails(1, &[]), &["handler"]);
}

#[test]
fn a_handler_whose_file_is_missing() {
    let project = Project::new(PLAIN);
    fs::rename(project.root.join("function/app.py"), project.root.join("function/main.py")).unwrap();
    says(&project.build_fails(1, &[]), &["app"]);
}

#[test]
fn a_misspelt_handler_function_lists_what_the_module_defines() {
    let project = Project::new("def handle(event, context):\n    return 1\n\ndef other():\n    pass\n");
    says(&project.build_fails(1, &[]), &["handler", "`handle`"]);
}

#[test]
fn a_handler_that_is_no_module_and_function() {
    let project = Project::new(PLAIN);
    project.write("function/glowplug.toml", format!("handler = \"app\"\npython = \"{}\"\n", project.python));
    says(&project.build_fails(1, &[]), &["app"]);
}

#[test]
fn a_syntax_error_names_file_and_line() {
    let project = Project::new("import json\n\ndef handler(event, context)\n    return 1\n");
    says(&project.build_fails(1, &[]), &["app.py", "3"]);
}

#[test]
fn an_import_that_fails_names_the_module() {
    let project =
        Project::new("import no_such_module_anywhere\n\ndef handler(event, context):\n    return 1\n");
    says(&project.build_fails(1, &[]), &["no_such_module_anywhere", "requirements"]);
}

#[test]
fn a_module_body_that_raises_shows_where() {
    let project = Project::new(
        "def setup():\n    raise RuntimeError('no database')\n\nsetup()\n\ndef handler(event, context):\n    return 1\n",
    );
    says(&project.build_fails(1, &[]), &["no database", "app.py\", line 2"]);
}

#[test]
fn a_requirement_that_nobody_publishes() {
    let project = Project::new(PLAIN);
    project.write("function/requirements.txt", "glowplug-no-such-distribution-x==1.0\n");
    says(&project.build_fails(1, &[]), &["glowplug-no-such-distribution-x"]);
}

#[test]
fn a_configuration_that_is_not_toml_names_the_line() {
    let project = Project::new(PLAIN);
    project.write("function/glowplug.toml", "name = \"demo\"\nhandler = app.handler\n");
    let text = project.build_fails(1, &[]);
    assert!(text.contains("glowplug.toml") && text.contains('2'), "{text}");
}

#[test]
fn an_unknown_key_in_the_configuration_is_named() {
    let project = Project::new(PLAIN);
    project.configure("memroy = 512\n");
    let text = project.build_fails(1, &[]);
    assert!(text.contains("memroy"), "{text}");
}

#[test]
fn an_event_that_is_not_json_names_the_place() {
    let project = Project::new(PLAIN);
    let event = project.event("bad", "{\"a\": 1,\n nonsense}");
    project.configure(&event);
    let text = project.build_fails(1, &[]);
    assert!(text.contains("bad.json") && text.contains("JSON"), "{text}");
}

#[test]
fn a_held_out_event_that_is_not_json_names_line_and_column() {
    let project = Project::new(PLAIN);
    project.write("late.json", "{\"a\": 1,\n nonsense}");
    let text = project.build_fails(1, &["--holdout", "late.json"]);
    assert!(text.contains("late.json:2:2"), "{text}");
}

#[test]
fn a_path_to_ignore_that_is_no_json_path_is_named() {
    let project = Project::new(PLAIN);
    project.configure("[verify]\nignore = [\"requestId\"]\n");
    says(&project.build_fails(1, &[]), &["`requestId`", "$.requestId"]);
}

#[test]
fn a_keep_pattern_that_is_none_is_named() {
    let project = Project::new(PLAIN);
    let text = project.build_fails(2, &["--keep", "a["]);
    assert!(text.contains("`a[`") && text.contains("--keep"), "{text}");
    project.configure("[package]\nkeep = [\"b[\"]\n");
    let text = project.build_fails(1, &[]);
    assert!(text.contains("`b[`") && text.contains("glowplug.toml"), "{text}");
}

#[test]
fn links_that_lead_in_a_circle() {
    let project = Project::new(PLAIN);
    let folder = project.root.join("function");
    fs::os::unix::fs::symlink("two", folder.join("one")).unwrap();
    fs::os::unix::fs::symlink("one", folder.join("two")).unwrap();
    let text = project.build_fails(1, &[]);
    assert!(text.contains("link"), "{text}");
}

fn zip(path: &Utf8Path, fill: impl FnOnce(&mut zip::ZipWriter<std::fs::File>)) {
    let mut writer = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    fill(&mut writer);
    writer.finish().unwrap();
}

fn add(writer: &mut zip::ZipWriter<std::fs::File>, name: &str, contents: &[u8]) {
    use std::io::Write;
    writer.start_file(name, SimpleFileOptions::default()).unwrap();
    writer.write_all(contents).unwrap();
}

#[test]
fn a_corrupt_zip() {
    let project = Project::empty();
    project.write("function.zip", b"PK\x03\x04 and then nothing");
    let text = project.fails(1, &["build", "function.zip", "--out", "out"]);
    assert!(text.contains("function.zip"), "{text}");
}

#[test]
fn a_truncated_zip() {
    let project = Project::empty();
    let path = project.root.join("function.zip");
    zip(&path, |writer| add(writer, "app.py", PLAIN.repeat(500).as_bytes()));
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let text = project.fails(1, &["build", "function.zip", "--out", "out"]);
    assert!(text.contains("function.zip"), "{text}");
}

#[test]
fn a_zip_whose_paths_climb_out() {
    let project = Project::empty();
    zip(&project.root.join("function.zip"), |writer| {
        add(writer, "app.py", PLAIN.as_bytes());
        add(writer, "../../climbed.py", b"x = 1\n");
    });
    let text = project.fails(1, &["build", "function.zip", "--out", "out"]);
    assert!(text.contains("climbed.py"), "{text}");
}

#[test]
fn a_zip_bomb() {
    let project = Project::empty();
    let seed = project.root.join("seed.zip");
    zip(&seed, |writer| add(writer, "zeros", &vec![0; 32 * 1024 * 1024]));
    let mut archive = zip::ZipArchive::new(std::fs::File::open(&seed).unwrap()).unwrap();
    zip(&project.root.join("function.zip"), |writer| {
        add(writer, "app.py", PLAIN.as_bytes());
        for number in 0..120 {
            writer.raw_copy_file_rename(archive.by_index(0).unwrap(), format!("zeros-{number}")).unwrap();
        }
    });
    let text = project.fails(1, &["build", "function.zip", "--out", "out"]);
    assert!(text.contains("function.zip"), "{text}");
}

#[test]
fn a_package_beyond_what_lambda_takes_is_refused_before_anything_is_written() {
    let project = Project::new(PLAIN);
    // Sparse: it takes no room here, and all of it in the package.
    let file = fs::File::create(project.root.join("function/model.bin")).unwrap();
    file.set_len(270_000_000).unwrap();
    drop(file);
    let outcome = project.build(&["--no-verify", "--lazy", "off"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let text = outcome.errors(&project);
    says(&text, &["Lambda takes at most", "the function's own files", "ship a container image"]);
    assert_eq!(project.made("earlier.txt"), b"from an earlier build");
}

#[test]
fn locked_without_a_lock() {
    let project = Project::new(PLAIN);
    insta::assert_snapshot!(project.build_fails(1, &["--locked"]), @r"
    error: `--locked` needs a `glowplug.lock` in the project
      at: function

    hint: run `glowplug build --update-lock` once and commit the file
    ");
}

#[test]
fn a_plan_that_is_not_one() {
    let project = Project::new(PLAIN);
    project.write("plan.json", "{}");
    let text = project.build_fails(1, &["--plan", "plan.json"]);
    says(&text, &["plan.json"]);
}

#[test]
fn a_stale_lock_is_refused_where_it_has_to_fit() {
    let project = Project::new(PLAIN);
    let event = project.event("one", "{}");
    project.configure(&event);
    project.report(&["--update-lock"]);
    project.write("function/app.py", PLAIN.replace("42", "43"));
    says(&project.build_fails(1, &["--locked"]), &["stale", "--update-lock"]);
    // Without the flag it is passed over.
    assert_eq!(project.report(&[])["verdict"]["equal"], true);
}

#[test]
fn an_output_folder_of_somebody_else() {
    let project = Project::new(PLAIN);
    fs::remove_file(project.root.join("out/.glowplug-output")).unwrap();
    insta::assert_snapshot!(project.build_fails(1, &[]), @r"
    error: the output folder `out` is not empty and was not made by glowplug

    hint: empty it, or choose another folder with `--out DIR`
    ");
}

#[test]
fn an_output_folder_that_is_a_file() {
    let project = Project::new(PLAIN);
    project.write("file", "precious");
    let text = project.fails(1, &["build", "function", "--out", "file"]);
    says(&text, &["`file` is a file"]);
}
