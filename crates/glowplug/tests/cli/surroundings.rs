//! What the machine does to a build: a missing interpreter, a full disk, Ctrl-C.

use std::time::Duration;

use crate::support::{PLAIN, Project, SmallDisk, signal};

#[test]
fn an_interpreter_that_is_not_there_lists_those_that_are() {
    let project = Project::new(PLAIN);
    project.write("function/glowplug.toml", "handler = \"app.handler\"\npython = \"3.99\"\n");
    let text = project.build_fails(3, &[]);
    assert!(text.contains("no Python 3.99") && text.contains("[PYTHON]"), "{text}");
}

#[test]
fn a_program_that_is_no_interpreter() {
    let project = Project::new(PLAIN);
    let text = project.build_fails(3, &["--python", "/bin/true"]);
    assert!(text.contains("/bin/true") && text.contains("hint: "), "{text}");
}

#[test]
fn a_cache_that_holds_nothing_and_must_not_fetch() {
    let project = Project::new(PLAIN);
    project.write("cache/.keep", "");
    let outcome = project.build(&["--offline", "--cache-dir", "cache"]);
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("--offline") || outcome.stderr.contains("offline"), "{outcome:?}");
    assert_eq!(project.made("earlier.txt"), b"from an earlier build");
}

#[test]
fn a_full_disk_leaves_the_output_folder_as_it_was() {
    let project = Project::new(PLAIN);
    let event = project.event("one", "{}");
    project.configure(&event);
    // Noise, which no compression makes smaller than the disk.
    let mut state: u64 = 88_172_645_463_325_252;
    let noise: Vec<u8> = (0..3_000_000)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect();
    project.write("function/noise.bin", noise);
    let Some(small) = SmallDisk::mount(&project, "1m") else { return };
    let outcome = project.run(&["build", "function", "--out", "small/out", "--runs", "1"]);
    let left = small.holds();
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("No space left") && outcome.stderr.contains("hint: "), "{outcome:?}");
    assert!(left.is_empty(), "{left:?}");
}

/// A build that is stopped while the handler runs.
fn stopped_by(signals: &[&str]) {
    let project = Project::new("import time\n\ndef handler(event, context):\n    time.sleep(600)\n");
    let event = project.event("one", "{}");
    project.configure(&format!("timeout = 300\n{event}"));
    let before = project.files();
    let child = project.start_until_running(&["build", "function", "--out", "out"]);
    for (index, name) in signals.iter().enumerate() {
        if index > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        signal(&child, name);
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(output.stdout.is_empty());
    if signals.len() == 1 {
        assert!(String::from_utf8_lossy(&output.stderr).ends_with("error: interrupted\n"), "{output:?}");
    }
    assert_eq!(project.files(), before);
    // After a second signal nobody waited for them: they end by themselves.
    while signals.len() > 1 && !project.running().is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(project.running(), Vec::<i32>::new());
}

#[test]
fn ctrl_c_ends_everything_and_changes_nothing() {
    stopped_by(&["INT"]);
}

#[test]
fn a_request_to_terminate_is_the_same() {
    stopped_by(&["TERM"]);
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    stopped_by(&["INT", "INT"]);
}

#[test]
fn a_service_of_the_setup_ends_with_the_build() {
    let project = Project::new(PLAIN);
    let event = project.event("one", "{}");
    let pid = project.root.join("pid");
    project.configure(&format!("{event}\n[verify]\nsetup = \"sleep 600 & echo $! > {pid}\"\n"));
    assert_eq!(project.report(&[])["verdict"]["equal"], true);
    let pid = fs_err::read_to_string(&pid).unwrap();
    let stat = format!("/proc/{}/stat", pid.trim());
    while fs_err::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        std::thread::sleep(Duration::from_millis(20));
    }
}
