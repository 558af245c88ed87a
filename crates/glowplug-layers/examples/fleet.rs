//! Reads a fleet from a JSON file and prints its best layers beside the two baselines: for `bench/layers/run.py`.
//!
//! `cargo run --release -p glowplug-layers --example fleet -- FLEET.json`

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;

use glowplug_layers::{Fleet, Options, baseline_everything, baseline_none, optimise};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("name a file that holds a fleet")?;
    let options = Options::default();
    let fleet: Fleet = serde_json::from_str(&fs_err::read_to_string(path)?)?;
    let plan = optimise(&fleet, &options).map_err(|error| error.to_string())?;
    let shown = json!({
        "gap": plan.gap(),
        "plan": plan,
        "none": baseline_none(&fleet, &options),
        "everything": baseline_everything(&fleet, &options),
    });
    println!("{shown}");
    Ok(())
}
