//! From a function to its report: the sizes, the survey of them, the choice.

use glowplug_capacity::Variant;
use glowplug_core::{Cache, Error, PRICES_DATE, PRICES_REGION, Progress, Result};
use glowplug_function::Function;
use glowplug_report::{TierStatus, TuneForm, TuneFunction, TuneParameters, TuneReport, TuneTier};

use crate::options::Objective;
use crate::tune::choice::{best, chosen, pareto, sentence};
use crate::tune::figures::{Mix, tier};
use crate::tune::survey::{Surveyed, survey};
use crate::tune::{Bench, TuneOptions, tune};

/// Sizes that are tried where none are named: those that people choose from, and one and two whole vCPUs.
const SIZES: [u32; 8] = [128, 256, 512, 768, 1024, 1769, 2560, 3538];

/// Rounds where no number is given.
const ROUNDS: usize = 5;

/// What is chosen, among what.
#[derive(Debug, Clone, PartialEq)]
pub struct ChoiceOptions {
    /// Sizes in MB; none for the usual ones and the function's own.
    pub sizes: Vec<u32>,
    /// New environments for each form, size and event.
    pub runs: Option<usize>,
    /// What the choice makes small.
    pub objective: Objective,
    /// What cost counts where that is both, from 0 to 1.
    pub balanced_weight: f64,
    /// Share of requests that start cold, from 0 to 1.
    pub cold_rate: f64,
}

/// Runs `function` at memory sizes and chooses one. An interruption gives what there was until then
/// ([`TuneReport::complete`]).
///
/// # Errors
/// As [`tune()`]; input where a named size needs more processors than this machine has.
pub fn tune_report(
    function: &Function,
    options: &TuneOptions,
    choice: &ChoiceOptions,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<TuneReport> {
    tune(function, options, cache, progress, |bench, probe| {
        let mut notes = bench.notes.clone();
        let sizes = sizes(function, choice, bench, &mut notes)?;
        let surveyed = survey(bench, &sizes, choice.runs.unwrap_or(ROUNDS), probe, progress)?;
        Ok(report(function, options, choice, bench, &sizes, &surveyed, notes))
    })
}

/// The sizes to run, the smallest first.
fn sizes(
    function: &Function,
    choice: &ChoiceOptions,
    bench: &Bench,
    notes: &mut Vec<String>,
) -> Result<Vec<u32>> {
    let named = !choice.sizes.is_empty();
    let mut sizes = if named { choice.sizes.clone() } else { SIZES.to_vec() };
    if !named {
        sizes.push(function.memory_mb);
    }
    sizes.sort_unstable();
    sizes.dedup();
    let too_large: Vec<String> =
        sizes.iter().filter(|size| **size > bench.most_mb).map(ToString::to_string).collect();
    if named && let Some(first) = too_large.first() {
        return Err(Error::input(format!("{first} MB cannot be measured here"))
            .cause("its share of processors is more than this machine has (1769 MB are one)")
            .hint(format!("leave out of `--tiers` what is above {} MB", bench.most_mb)));
    }
    if !too_large.is_empty() {
        notes.push(format!(
            "this machine has not the processors of {} MB: not measured",
            too_large.join(", ")
        ));
    }
    sizes.retain(|size| *size <= bench.most_mb);
    Ok(sizes)
}

fn report(
    function: &Function,
    options: &TuneOptions,
    choice: &ChoiceOptions,
    bench: &Bench,
    sizes: &[u32],
    surveyed: &Surveyed,
    notes: Vec<String>,
) -> TuneReport {
    let mix = Mix { events: &bench.events, cold_rate: choice.cold_rate, architecture: function.architecture };
    let form = |variant: Variant| {
        let tiers = sizes.iter().filter_map(|size| {
            surveyed.survey.get(&(variant, *size)).map(|gathered| tier(*size, gathered, mix))
        });
        TuneForm { tiers: tiers.collect() }
    };
    let before = form(Variant::Before);
    let after = bench.variants.contains(&Variant::After).then(|| form(Variant::After));
    let tiers = after.as_ref().unwrap_or(&before).tiers.clone();
    let found = best(&tiers, choice.balanced_weight);
    let size = chosen(found, choice.objective);
    let enough = |tier: &&TuneTier| !matches!(tier.status, TierStatus::OutOfMemory | TierStatus::NotMeasured);
    TuneReport {
        schema: TuneReport::SCHEMA.to_owned(),
        function: TuneFunction {
            name: function.name.clone(),
            architecture: function.architecture,
            memory_mb: function.memory_mb,
        },
        parameters: TuneParameters {
            target: "local".to_owned(),
            cpu: if bench.scaled { "unlimited" } else { "share" }.to_owned(),
            init_boost: options.init_boost,
            cold_rate: choice.cold_rate,
            objective: objective(choice.objective).to_owned(),
            balanced_weight: choice.balanced_weight,
            region: PRICES_REGION.to_owned(),
            prices: PRICES_DATE.to_owned(),
        },
        best: found,
        chosen: size,
        pareto: pareto(&tiers),
        lowest_mb: tiers.iter().find(enough).map(|tier| tier.memory_mb),
        runs: surveyed.runs,
        grid_runs: surveyed.grid_runs,
        model_error: None,
        advice: size.and_then(|size| advice(&tiers, function.memory_mb, size)),
        tiers,
        before,
        after,
        complete: surveyed.complete,
        notes,
    }
}

fn objective(objective: Objective) -> &'static str {
    match objective {
        Objective::Cost => "cost",
        Objective::Speed => "speed",
        Objective::Balanced => "balanced",
    }
}

/// The chosen size against the function's own, or where that is the same or does not work, against the smallest that works.
fn advice(tiers: &[TuneTier], now: u32, chosen: u32) -> Option<String> {
    let works = |tier: &&TuneTier| tier.status == TierStatus::Answered && tier.memory_mb != chosen;
    let from = tiers.iter().filter(works).find(|tier| tier.memory_mb == now);
    let from = from.or_else(|| tiers.iter().find(works))?;
    sentence(from, tiers.iter().find(|tier| tier.memory_mb == chosen)?)
}
