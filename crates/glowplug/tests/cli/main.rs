//! The program from outside: what it prints, its exit codes, what it leaves behind.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail loudly and say what they skip")]

mod asking;
mod bad_events;
mod bad_input;
mod build;
mod doctor;
mod fleets;
mod gate;
mod help;
mod images;
mod later;
mod remembered;
mod serve;
mod served_images;
mod slow_examples;
mod support;
mod surroundings;
mod targets;
mod trace;
mod trim_levels;
mod tune;
mod tune_aws;
mod tune_failures;
mod values;
