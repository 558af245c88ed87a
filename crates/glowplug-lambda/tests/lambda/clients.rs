//! Scenarios of clients, one test each.

use crate::support::{Running, python, scenario, scenario_on};

#[test]
fn invokes_answer_and_tell_their_log() {
    scenario("invokes");
}

#[test]
fn errors_of_functions_have_todays_shapes() {
    scenario("function_errors");
}

#[test]
fn bad_requests_get_the_models_errors() {
    scenario("bad_requests");
}

#[test]
fn every_form_of_a_name_and_the_context_arrive() {
    scenario("names_and_context");
}

#[test]
fn functions_are_made_changed_and_removed() {
    scenario("functions");
}

#[test]
fn functions_that_lambda_would_refuse_are_refused() {
    scenario("bad_functions");
}

#[test]
fn versions_and_aliases_lead_to_their_code() {
    scenario("versions_and_aliases");
}

#[test]
fn reserved_concurrency_holds() {
    scenario("reserved_concurrency");
}

#[test]
fn the_accounts_concurrency_holds() {
    scenario_on(&Running::with(None, 10), "account_concurrency", &[]);
}

#[test]
fn provisioned_environments_are_ready_before_events() {
    scenario("provisioned_concurrency");
}

#[test]
fn accepted_events_run_or_go_to_their_destination() {
    scenario("asynchronous");
}

#[test]
fn settings_work_are_kept_or_are_refused() {
    scenario("settings");
}

#[test]
fn the_ends_of_asynchronous_invokes_are_told() {
    scenario("destinations");
}

#[test]
fn permissions_are_kept_and_shown() {
    scenario("permissions");
}

#[test]
fn layers_are_published_and_used() {
    scenario("layers");
}

#[test]
fn environments_stand_still_between_events() {
    if glowplug_engine::Engine::new().is_ok_and(|engine| engine.capabilities().freezer) {
        scenario("frozen");
    } else {
        println!("this host has no freezer");
    }
}

#[test]
fn logs_are_json_where_that_is_wanted() {
    scenario("json_logs");
}

#[test]
fn what_hangs_on_versions_goes_with_them() {
    scenario("what_hangs_on_versions");
}

#[test]
fn answers_are_streamed() {
    scenario("streamed");
}

#[test]
fn functions_have_addresses_over_http() {
    scenario("function_urls");
}

#[test]
fn addresses_that_ask_for_signatures_check_them() {
    scenario("signed_urls");
}

#[test]
fn payloads_are_those_of_awss_own_emulator() {
    let folder = glowplug_test::wheel(glowplug_test::newest(), "aws-sam-cli");
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
    let emulator = folder.join(format!("samcli/local/rapid/aws-lambda-rie-{machine}"));
    let mut permissions = fs_err::metadata(&emulator).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    fs_err::set_permissions(&emulator, permissions).unwrap();
    let client = python();
    let more = [
        ("EMULATOR", emulator.as_str()),
        ("CLIENT_PYTHON", client.python.as_str()),
        ("CLIENT_PACKAGES", client.packages.as_str()),
    ];
    scenario_on(&Running::start(None), "beside_the_emulator", &more);
}

#[test]
fn people_see_what_goes_on() {
    scenario("status");
}

#[test]
fn the_aws_command_line_is_served() {
    scenario("command_line");
}

#[test]
fn functions_reach_neither_the_service_nor_its_files() {
    let can = glowplug_engine::Engine::new().unwrap().capabilities().clone();
    if !(can.network_policy && can.mounts) {
        println!("this host does not let it enforce that: {:?}", can.notes);
        return;
    }
    // Not below `/tmp`, of which functions have one of their own.
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let state = camino::Utf8Path::from_path(folder.path()).unwrap();
    scenario_on(&Running::start(Some(state)), "kept_apart", &[("STATE", state.as_str())]);
}

/// With the path of an interpreter, for functions that bring a runtime of their own.
fn scenario_with_interpreter(name: &str) {
    let interpreter = glowplug_test::newest().path.as_str();
    scenario_on(&Running::start(None), name, &[("CLIENT_PYTHON", interpreter)]);
}

#[test]
fn functions_bring_runtimes_of_their_own() {
    scenario_with_interpreter("own_runtimes");
}

#[test]
fn parts_of_an_answer_come_before_its_end() {
    scenario_with_interpreter("streams");
}

#[test]
fn wrappers_start_the_runtime() {
    scenario("wrappers");
}

#[test]
fn environments_are_forks_of_a_snapshot() {
    let can = glowplug_engine::Engine::new().unwrap().capabilities().clone();
    if let Err(missing) = can.forks() {
        println!("this host cannot keep forks apart: {missing}");
        return;
    }
    scenario_on(&Running::from_snapshots(), "snapshots", &[]);
}

#[test]
fn extensions_hear_of_events_and_records() {
    scenario_with_interpreter("extensions");
}

#[test]
fn extensions_that_fail_fail_the_function() {
    scenario_with_interpreter("failing_extensions");
}

#[test]
fn records_wait_for_environments_that_stand_still() {
    scenario_with_interpreter("frozen_subscribers");
}

#[test]
fn parts_of_the_runtime_are_extensions_too() {
    scenario("internal_extensions");
}

#[test]
fn rusts_own_crates_are_served() {
    let target = std::env::current_exe().unwrap();
    let examples = target.parent().and_then(std::path::Path::parent).unwrap().join("examples");
    let examples = camino::Utf8PathBuf::try_from(examples).unwrap();
    let (runtime, extension) = (examples.join("rust_runtime"), examples.join("rust_extension"));
    // nextest has built them with the tests; asked for alone, they would be built again with other features.
    if std::env::var_os("NEXTEST").is_none() || !runtime.exists() || !extension.exists() {
        let built = std::process::Command::new(env!("CARGO"))
            .args(["build", "--locked", "--quiet", "-p", "glowplug-lambda"])
            .args(["--example", "rust_runtime", "--example", "rust_extension"])
            .status()
            .unwrap();
        assert!(built.success());
    }
    let more = [("RUST_RUNTIME", runtime.as_str()), ("RUST_EXTENSION", extension.as_str())];
    scenario_on(&Running::start(None), "rust_clients", &more);
}
