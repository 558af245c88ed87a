//! `glowplug tune --target aws`: asks before it starts, and leaves the function as it was.

use std::io::{self, BufRead, IsTerminal};
use std::sync::Arc;

use glowplug_capacity::{Place, TIERS, Variant};
use glowplug_cloud::{AwsTarget, CleanUp, Estimate, Inspection, Plan, Runs};
use glowplug_core::{Error, Progress, Result};
use glowplug_optimize::{ROUNDS, Tuned, WARM, choose};
use glowplug_report::{TuneFunction, TuneReport};

use crate::console::Console;
use crate::settings::{Aws, Tune as Settings};

/// Lambda's largest size in MB, all of which has its processors there.
const LARGEST_MB: u32 = 10_240;
/// What a cold start and a warm invoke are assumed to be billed, in ms, before anything was measured.
const ASSUMED_MS: (u64, u64) = (2000, 200);
/// Versions of a size that are published together.
const TOGETHER: usize = 10;

/// What came of it.
pub(crate) struct Measured {
    pub(crate) report: TuneReport,
    /// Why not everything could be taken back, if so.
    pub(crate) left: Option<Error>,
}

/// Tunes a function through Lambda's API; nothing where there was only something to take back, or the user said no.
pub(crate) fn tune_in_lambda(console: &Console, aws: &Aws, settings: &Settings) -> Result<Option<Measured>> {
    let Console { common, progress, .. } = console;
    let interruption = progress.interruption();
    let target = AwsTarget::connect(&aws.options, Arc::new(move || interruption.requested()))?;
    if aws.clean {
        told(console, &target.clean(&common.cache)?);
        return Ok(None);
    }
    if let Some(done) = target.recover(&common.cache)? {
        progress.note("an earlier tuning of this function was killed: what it has left is taken back");
        told(console, &done);
    }
    let inspection = target.inspect()?;
    let events = events(aws)?;
    if !settings.yes && !agreed(console, &target, &inspection, settings, events.len())? {
        progress.note("nothing was run");
        return Ok(None);
    }
    let mut choice = settings.choice.clone();
    target.region().clone_into(&mut choice.region);
    let rounds = choice.runs.unwrap_or(ROUNDS);
    let plan = Plan {
        events: events.iter().map(|(_, payload)| payload.clone()).collect(),
        together: (rounds * events.len()).clamp(1, TOGETHER) as u32,
    };
    let tuned = tuned(&inspection, &target, &events);
    let mut session = target.begin(&inspection, plan, &common.cache)?;
    let report = choose(&tuned, &choice, &mut session, progress);
    // What could not be taken back matters more than why it was to be.
    match (report, session.finish()) {
        (report, Ok(done)) => {
            told(console, &done);
            report.map(|report| Some(Measured { report, left: None }))
        }
        (Ok(report), Err(error)) => Ok(Some(Measured { report, left: Some(error) })),
        (Err(report), Err(error)) => Err(error.cause(format!("it came after: {}", report.message()))),
    }
}

/// The payloads by the names of their files; an empty event where there are none.
fn events(aws: &Aws) -> Result<Vec<(String, Vec<u8>)>> {
    if aws.events.is_empty() {
        return Ok(vec![("empty".to_owned(), b"{}".to_vec())]);
    }
    let read = |path: &camino::Utf8PathBuf| {
        let payload = fs_err::read(path)?;
        serde_json::from_slice::<serde::de::IgnoredAny>(&payload)
            .map_err(|error| Error::input("the event is no JSON").cause(error).place(path.as_str()))?;
        Ok((path.file_stem().unwrap_or("event").to_owned(), payload))
    };
    aws.events.iter().map(read).collect()
}

fn tuned(inspection: &Inspection, target: &AwsTarget, events: &[(String, Vec<u8>)]) -> Tuned {
    Tuned {
        function: TuneFunction {
            name: target.function().to_owned(),
            architecture: inspection.architecture,
            memory_mb: inspection.memory_mb,
        },
        target: "aws".to_owned(),
        events: events.iter().map(|(name, _)| (name.clone(), 1.0)).collect(),
        variants: vec![Variant::Before],
        ephemeral_mb: inspection.ephemeral_mb,
        most_mb: LARGEST_MB,
        boost: true,
        scaled: false,
        notes: inspection.notes.clone(),
    }
}

/// Says what it will do and may cost, and asks.
fn agreed(
    console: &Console,
    target: &AwsTarget,
    inspection: &Inspection,
    settings: &Settings,
    events: usize,
) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Error::usage("tuning in AWS asks before it starts, and nobody can answer")
            .cause("standard input is no terminal")
            .hint("add `--yes` to start without a question"));
    }
    let choice = &settings.choice;
    let tiers = if choice.sizes.is_empty() { TIERS.to_vec() } else { choice.sizes.clone() };
    let runs = (choice.runs.unwrap_or(ROUNDS) * events) as u32;
    let estimate = Estimate::of(inspection, &Runs { tiers, runs, warm: WARM, assumed_ms: ASSUMED_MS });
    let place = Place {
        architecture: inspection.architecture,
        region: target.region().to_owned(),
        ephemeral_mb: glowplug_capacity::FREE_EPHEMERAL_MB,
    };
    let fee = choice.prices.invocation(&place, 1024, 0.0);
    let (usd, most) = estimate.usd(choice.prices.invocation(&place, 1024, 1000.0) - fee, fee);
    for note in &inspection.notes {
        console.progress.note(note);
    }
    console.printer.error(&format!(
        "Up to {} versions of {} will be published, invoked {} times in all, and deleted.\nThat costs about ${usd:.2}, and at \
         most ${most:.2}. Go on? [y/N] ",
        estimate.versions,
        target.function(),
        estimate.invokes,
    ));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// What was taken back.
fn told(console: &Console, done: &CleanUp) {
    if done.deleted > 0 || done.restored {
        let latest = if done.restored { ", `$LATEST` is as it was" } else { "" };
        console.progress.note(&format!("{} versions were deleted{latest}", done.deleted));
    }
    for (version, why) in &done.kept {
        console.progress.note(&format!("version {version} stays: {why}"));
    }
}
