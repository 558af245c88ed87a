//! That nothing is left behind, whatever happens meanwhile, and that what others change stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use aws_sdk_lambda::types::Environment;
use glowplug_capacity::Probe as _;
use glowplug_core::{Cache, ErrorClass};

use crate::support::{Account, NAME, ask, plan};

const SOURCE: &str = "def handler(event, context):\n    return 1\n";

/// Leaves everything as a killed program does: nobody cleans up, the lock is gone with the process.
fn killed(account: &Account) {
    let target = account.target();
    let inspection = target.inspect().unwrap();
    let mut session = target.begin(&inspection, plan("{}", 3), &account.cache()).unwrap();
    session.run(ask(256, 0)).unwrap();
    let note = only_note(account);
    let bytes = fs_err::read(&note).unwrap();
    session.finish().unwrap();
    // `finish` has cleaned: what it found is made again.
    let note_says: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let session = note_says["session"].as_str().unwrap();
    let variables = |number: u32| {
        Environment::builder()
            .variables("STAGE", "test")
            .variables("GLOWPLUG_TUNE", format!("{session}.{number}.512.256"))
            .build()
    };
    for number in 2..4 {
        let call = account.client.update_function_configuration().function_name(NAME);
        account.wait(call.memory_size(256).environment(variables(number)).send()).unwrap();
        account.wait(account.client.publish_version().function_name(NAME).send()).unwrap();
    }
    fs_err::write(note, bytes).unwrap();
}

fn only_note(account: &Account) -> std::path::PathBuf {
    let folder = account.cache().root().join("tune-aws");
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn the_next_session_cleans_up_after_a_killed_one() {
    let account = Account::with(SOURCE);
    let before = account.seen();
    killed(&account);
    let left = account.seen();
    assert_eq!((left.memory, left.versions.len()), (Some(256), before.versions.len() + 2));
    let target = account.target();
    let error = target.inspect().unwrap_err();
    assert!(error.message().contains("has left its mark"), "{error}");
    let done = target.recover(&account.cache()).unwrap().unwrap();
    assert_eq!((done.deleted, done.restored), (2, true));
    assert_eq!(account.seen(), before);
    assert_eq!(target.recover(&account.cache()).unwrap(), None);
}

#[test]
fn another_machine_cleans_up_too() {
    let account = Account::with(SOURCE);
    let before = account.seen();
    killed(&account);
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = Cache::new(folder.path().to_str().unwrap(), false);
    let target = account.target();
    assert_eq!(target.recover(&elsewhere).unwrap(), None, "what it does not know may be under way");
    let done = target.clean(&elsewhere).unwrap();
    assert_eq!((done.deleted, done.restored), (2, true));
    assert_eq!(account.seen(), before);
    assert_eq!(target.clean(&elsewhere).unwrap(), glowplug_cloud::CleanUp::default());
}

#[test]
fn an_interrupt_leaves_nothing_whenever_it_comes() {
    let account = Account::with(SOURCE);
    let before = account.seen();
    for after in [1, 2, 3, 5, 8, 12] {
        let (is_begun, asked) = (Arc::new(AtomicBool::new(false)), AtomicU32::new(0));
        let counts = Arc::clone(&is_begun);
        let target = account.target_until(Arc::new(move || {
            counts.load(Ordering::Relaxed) && asked.fetch_add(1, Ordering::Relaxed) >= after
        }));
        let inspection = target.inspect().unwrap();
        let mut session = target.begin(&inspection, plan("{}", 2), &account.cache()).unwrap();
        is_begun.store(true, Ordering::Relaxed);
        let error = loop {
            match session.run(ask(256, 3)) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.class(), ErrorClass::Interrupted, "{error}");
        session.finish().unwrap();
        assert_eq!(account.seen(), before, "after {after} looks");
    }
}

#[test]
fn what_somebody_changes_meanwhile_stays() {
    let account = Account::with(SOURCE);
    let before = account.seen();
    let target = account.target();
    let inspection = target.inspect().unwrap();
    let mut session = target.begin(&inspection, plan("{}", 1), &account.cache()).unwrap();
    session.run(ask(256, 0)).unwrap();
    let call = account.client.update_function_configuration().function_name(NAME);
    account.wait(call.memory_size(2048).timeout(7).send()).unwrap();
    let error = session.run(ask(1024, 0)).unwrap_err();
    assert_eq!(error.message(), "somebody changed the function while it was tuned");
    assert_eq!(error.causes(), ["changed: memory size, timeout"]);
    session.finish().unwrap();
    let after = account.seen();
    assert_eq!((after.memory, after.timeout), (Some(2048), Some(7)));
    // `$LATEST` stands among them, with the size that it was given.
    let names = |versions: Vec<(String, Option<i32>)>| -> Vec<String> {
        versions.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!((names(after.versions), after.variables), (names(before.versions), before.variables));
}

#[test]
fn a_function_that_changed_since_it_was_inspected_is_not_begun() {
    let account = Account::with(SOURCE);
    let target = account.target();
    let inspection = target.inspect().unwrap();
    let call = account.client.update_function_configuration().function_name(NAME);
    account.wait(call.description("new").send()).unwrap();
    let error = target.begin(&inspection, plan("{}", 1), &account.cache()).unwrap_err();
    assert_eq!(error.causes(), ["changed: description"]);
}

#[test]
fn a_version_that_somebody_uses_is_kept_and_told() {
    let account = Account::with(SOURCE);
    let target = account.target();
    let inspection = target.inspect().unwrap();
    let mut session = target.begin(&inspection, plan("{}", 2), &account.cache()).unwrap();
    session.run(ask(256, 0)).unwrap();
    let spare = account.seen().versions.last().unwrap().0.clone();
    let call = account.client.create_alias().function_name(NAME).name("theirs");
    account.wait(call.function_version(&spare).send()).unwrap();
    let done = session.finish().unwrap();
    assert_eq!(done.kept.len(), 1);
    assert_eq!(done.kept[0].0, spare);
    assert!(done.kept[0].1.contains("in use by an alias"), "{done:?}");
}

#[test]
fn a_function_that_is_deleted_meanwhile_ends_it() {
    let account = Account::with(SOURCE);
    let target = account.target();
    let inspection = target.inspect().unwrap();
    let mut session = target.begin(&inspection, plan("{}", 1), &account.cache()).unwrap();
    session.run(ask(256, 0)).unwrap();
    account.wait(account.client.delete_function().function_name(NAME).send()).unwrap();
    let error = session.run(ask(256, 0)).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Input);
    assert!(error.message().contains("there is no function `tuned`"), "{error}");
    session.finish().unwrap();
}

#[test]
fn two_sessions_do_not_meet() {
    let account = Account::with(SOURCE);
    let target = account.target();
    let inspection = target.inspect().unwrap();
    let session = target.begin(&inspection, plan("{}", 1), &account.cache()).unwrap();
    let error = target.begin(&inspection, plan("{}", 1), &account.cache()).unwrap_err();
    assert!(error.message().contains("is being tuned by another glowplug"), "{error}");
    session.finish().unwrap();
    target.begin(&inspection, plan("{}", 1), &account.cache()).unwrap();
}
