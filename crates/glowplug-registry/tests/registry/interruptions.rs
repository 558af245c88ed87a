//! Ctrl-C while a registry says nothing, and a disk that is full.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fs_err as fs;
use glowplug_core::{Architecture, ErrorClass, NoProgress, Progress};
use glowplug_registry::{Access, Image, Patience, Platforms, pull, push};

use crate::layouts::{Folder, Made, assert_valid, noise, sample};
use crate::mock::{Mock, Reply};
use crate::server::{access, text};

const HERE: Platforms = Platforms::One(Architecture::X86_64);

/// Interrupts after it was asked so many times.
struct Impatient(AtomicUsize);

impl Progress for Impatient {
    fn start(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
    fn note(&self, _: &str) {}
    fn interrupted(&self) -> bool {
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err()
    }
}

/// With patience that no test could wait for.
fn patient() -> Access {
    let hours = Duration::from_hours(5);
    let patience = Patience {
        attempts: 1000,
        first_wait: hours,
        longest_wait: hours,
        connect: hours,
        stall: hours,
        answer: hours,
    };
    Access { patience, ..access() }
}

#[test]
fn an_interruption_is_heard_wherever_the_registry_is_silent() {
    let folder = Folder::new();
    let (made, root) = sample(folder.path.join("made"));
    for (method, part) in [
        ("GET", "/manifests/"),
        ("GET", "/blobs/"),
        ("HEAD", "/blobs/"),
        ("POST", "uploads"),
        ("PUT", "uploads"),
    ] {
        for busy in [false, true] {
            let mock = Mock::serve(&made.path, &root, move |request| {
                let silent = Reply { silent: true, ..Reply::default() };
                let reply = if busy { Reply::new(503, "") } else { silent };
                request.is(method, part).then_some(reply)
            });
            let impatient = Impatient(AtomicUsize::new(60));
            let layout = folder.path.join("layout");
            let error = if method == "GET" {
                pull(&mock.reference(), HERE, &layout, &patient(), &impatient).unwrap_err()
            } else {
                push(&made.path, &Image::Only, &mock.reference(), &[], &patient(), &impatient).unwrap_err()
            };
            assert_eq!(error.class(), ErrorClass::Interrupted, "{method} {part}: {error}");
            assert_valid(&layout);
        }
    }
}

#[test]
fn a_stalled_connection_is_given_up() {
    let folder = Folder::new();
    let (made, root) = sample(folder.path.join("made"));
    let mock = Mock::serve(&made.path, &root, |_| Some(Reply { silent: true, ..Reply::default() }));
    let mut access = access();
    access.patience.attempts = 2;
    access.patience.stall = Duration::from_millis(200);
    access.patience.answer = Duration::from_millis(200);
    let layout = folder.path.join("layout");
    let error = pull(&mock.reference(), HERE, &layout, &access, &NoProgress).unwrap_err();
    insta::assert_snapshot!(text(&error), @r#"
    Surroundings: cannot fetch the manifest `1` of [HOST]/team/app:1: the registry did not go on in time: receive response: gave up after 2 attempts (http://[HOST]/v2/team/app/manifests/1)
    hint: try again later; what has been moved so far is not moved again
    "#);
}

#[test]
fn a_full_disk_is_told_and_leaves_the_layout_valid() {
    let folder = Folder::new();
    let mut made = Made::new(folder.path.join("made"));
    let image = made.image("amd64", &[noise(1, 300_000), noise(2, 3_000_000)]);
    let root = made.enter(image, None);
    let mock = Mock::serve(&made.path, &root, |_| None);
    let small = folder.path.join("small");
    fs::create_dir(&small).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", small.as_str()]).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("not covered here: a full disk, which needs a mount of its own");
        return;
    }
    let layout = small.join("layout");
    let outcome = pull(&mock.reference(), HERE, &layout, &access(), &NoProgress);
    let valid = std::panic::catch_unwind(|| assert_valid(&layout));
    Command::new("umount").arg(&small).status().unwrap();
    valid.unwrap();
    insta::assert_snapshot!(text(&outcome.unwrap_err()), @r#"
    Surroundings: cannot fetch the blob [DIGEST] of [HOST]/team/app:1: a file operation failed: No space left on device (os error 28) ([FOLDER]/small/layout/blobs/sha256/e4676bd1556a73ddd3642ea049cc2865444ddd06736fa0fbe7a68b65cd34a40b)
    hint: free some disk space, or point `--cache-dir` and `--out` at another disk
    "#);
}
