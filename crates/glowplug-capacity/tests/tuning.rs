//! Tuning against simulated functions, whose every size is known.

#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

use glowplug_capacity::{
    Ask, ColdStart, Invoke, Model, Objective, Outcome, Place, Prices, Probe, Round, Settings, TIERS, Tuning,
    Variant, Watcher, tune,
};
use glowplug_core::{Architecture, Error, ErrorClass, Result};
use proptest::prelude::*;

/// A function as a formula.
#[derive(Clone, Debug)]
struct Simulated {
    init: Model,
    first: Model,
    warm: Model,
    /// MB without which it does not run.
    needs_mb: u32,
    /// Relative, of each run.
    noise: f64,
    random: u64,
    runs: usize,
    /// After so many runs the user interrupts.
    patience: usize,
    /// What is wrong at a size.
    fault: fn(u32) -> Option<Outcome>,
    /// The type of the error that the handler raises, by size and event.
    raises: fn(u32, usize) -> Option<&'static str>,
    /// What a size makes slower.
    drag: fn(u32) -> f64,
    /// How much more every event after the first one takes.
    heavier: f64,
}

fn phase(cpu_ms: f64, waits_ms: f64, parallel: f64) -> Model {
    Model { waits_ms, cpu_ms, parallel, boosted: false }
}

fn plain() -> Simulated {
    Simulated {
        init: Model { boosted: true, ..phase(300.0, 5.0, 0.0) },
        first: phase(60.0, 10.0, 0.0),
        warm: phase(30.0, 10.0, 0.0),
        needs_mb: 100,
        noise: 0.0,
        random: 88,
        runs: 0,
        patience: usize::MAX,
        fault: |_| None,
        raises: |_, _| None,
        drag: |_| 1.0,
        heavier: 1.0,
    }
}

impl Simulated {
    fn noisy(&mut self, ms: f64) -> f64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let part = (self.random >> 40) as f64 / (1_u64 << 24) as f64;
        ms * (1.0 + self.noise * (2.0 * part - 1.0))
    }

    fn invoke(&mut self, model: Model, memory_mb: u32, init_ms: f64) -> Invoke {
        let ms = self.noisy(model.at(memory_mb) * (self.drag)(memory_mb));
        Invoke {
            wall_us: (ms * 1000.0) as u64,
            cpu_us: Some((model.cpu_ms * 1000.0) as u64),
            billed_ms: (ms + init_ms).ceil() as u64,
        }
    }
}

impl Probe for Simulated {
    fn run(&mut self, ask: Ask) -> Result<Round> {
        if self.runs == self.patience {
            return Err(Error::interrupted());
        }
        self.runs += 1;
        let fault = (self.fault)(ask.memory_mb);
        let short = (ask.memory_mb < self.needs_mb).then_some(Outcome::OutOfMemory);
        if let Some(outcome) = short.or(fault) {
            return Ok(Round { cold: None, warm: Vec::new(), peak_bytes: None, outcome });
        }
        let heavier = if ask.event > 0 { self.heavier } else { 1.0 };
        let [first, warm] =
            [self.first, self.warm].map(|model| Model { cpu_ms: model.cpu_ms * heavier, ..model });
        let before = if ask.variant == Variant::Before { 2.0 } else { 1.0 };
        let init = Model { cpu_ms: self.init.cpu_ms * before, ..self.init };
        let init_ms = self.noisy(init.at(ask.memory_mb));
        let first = self.invoke(first, ask.memory_mb, init_ms);
        let cold = ColdStart {
            init_us: (init_ms * 1000.0) as u64,
            init_cpu_us: Some((init.cpu_ms * 1000.0) as u64),
            repeated: false,
            first,
        };
        let warm = (0..ask.warm).map(|_| self.invoke(warm, ask.memory_mb, 0.0)).collect();
        let peak_bytes = Some(u64::from(self.needs_mb) * 1024 * 1024);
        let raised = |kind: &str| Outcome::Raised { kind: kind.into(), message: "no".into() };
        let outcome = (self.raises)(ask.memory_mb, ask.event).map_or(Outcome::Answered, raised);
        Ok(Round { cold: Some(cold), warm, peak_bytes, outcome })
    }
}

struct Nobody;

impl Watcher for Nobody {
    fn ran(&mut self, runs: usize, expected: usize) {
        assert!(runs <= expected, "{runs} of {expected}");
    }
}

fn settings(objective: Objective, grid: bool) -> Settings {
    Settings {
        tiers: TIERS.to_vec(),
        current_mb: Some(128),
        grid,
        objective,
        balanced_weight: 0.5,
        cold_rate: 0.05,
        weights: vec![1.0],
        variants: vec![Variant::Before, Variant::After],
        rounds: 3,
        warm: 3,
        most_mb: 3538,
        boost: true,
        scaled: false,
        prices: Prices::built_in().unwrap(),
        place: Place { architecture: Architecture::X86_64, region: "us-east-1".into(), ephemeral_mb: 512 },
    }
}

fn tuned(function: &Simulated, settings: &Settings) -> Tuning {
    tune(settings, &mut function.clone(), &mut Nobody).unwrap()
}

/// Latency and cost at a size of the form that is chosen for.
fn figures(tuning: &Tuning, size: u32) -> (f64, f64) {
    let tiers = &tuning.forms.last().unwrap().1;
    tiers.iter().find(|tier| tier.memory_mb == size).unwrap().works().unwrap()
}

/// What an objective makes small, with the greatest figures of the grid.
fn value(objective: Objective, grid: &Tuning, size: u32) -> f64 {
    let (latency, usd) = figures(grid, size);
    let works: Vec<(f64, f64)> =
        grid.forms.last().unwrap().1.iter().filter_map(glowplug_capacity::Tier::works).collect();
    let most = |part: fn(&(f64, f64)) -> f64| works.iter().map(part).fold(0.0, f64::max);
    match objective {
        Objective::Speed => latency,
        Objective::Cost => usd,
        Objective::Balanced => 0.5 * latency / most(|w| w.0) + 0.5 * usd / most(|w| w.1),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn a_few_runs_choose_as_well_as_all_of_them(
        init in 20.0..3000.0_f64,
        first in 1.0..800.0_f64,
        warm in 0.2..400.0_f64,
        waits in 0.0..300.0_f64,
        parallel in 0.0..0.6_f64,
        needs_mb in 40_u32..600,
        boosted in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let function = Simulated {
            init: Model { boosted, ..phase(init, 0.0, 0.0) },
            first: phase(first, waits, parallel),
            warm: phase(warm, waits, parallel),
            needs_mb,
            noise: 0.01,
            random: seed,
            ..plain()
        };
        for objective in [Objective::Speed, Objective::Cost, Objective::Balanced] {
            let mut settings = settings(objective, true);
            settings.boost = boosted;
            let grid = tuned(&function, &settings);
            settings.grid = false;
            let few = tuned(&function, &settings);
            prop_assert!(few.runs * 10 <= grid.grid_runs * 4, "{} of {}", few.runs, grid.grid_runs);
            let best = value(objective, &grid, grid.chosen.unwrap());
            let found = value(objective, &grid, few.chosen.unwrap());
            // 3 %, and the noise of both measurements.
            prop_assert!(found <= best * 1.05, "{objective:?}: {:?} {found}, not {:?} {best}", few.chosen, grid.chosen);
        }
    }
}

#[test]
fn the_smallest_size_that_is_enough_is_found_and_smaller_ones_are_told() {
    let function = Simulated { needs_mb: 300, ..plain() };
    let tuning = tuned(&function, &settings(Objective::Cost, false));
    assert_eq!(tuning.lowest_mb, Some(320));
    let tiers = &tuning.forms[1].1;
    let small: Vec<(u32, bool)> = tiers
        .iter()
        .filter(|tier| tier.reason.is_some())
        .map(|tier| (tier.memory_mb, tier.measured))
        .collect();
    assert_eq!(small, [(128, false), (192, false), (256, true)]);
    assert!(tuning.notes.iter().any(|note| note == "at 320 MB 300 MB were in use, which leaves 6 % of it"));
}

#[test]
fn a_function_that_needs_more_than_one_vcpu_has_is_tuned_above_it() {
    let tuning = tuned(&Simulated { needs_mb: 2000, ..plain() }, &settings(Objective::Cost, false));
    assert_eq!((tuning.lowest_mb, tuning.chosen), (Some(2048), Some(2048)));
}

/// Holds that few runs were made, whatever failed.
fn is_within_budget(tuning: &Tuning) {
    assert!(tuning.runs * 10 <= tuning.grid_runs * 4, "{} of {}", tuning.runs, tuning.grid_runs);
}

#[test]
fn few_runs_are_made_where_a_whole_vcpu_has_too_little_memory_or_fails() {
    for (needs_mb, lowest) in [(1800, 2048), (2100, 2560), (3000, 3008)] {
        for objective in [Objective::Speed, Objective::Cost, Objective::Balanced] {
            let tuning = tuned(&Simulated { needs_mb, ..plain() }, &settings(objective, false));
            assert_eq!(tuning.lowest_mb, Some(lowest), "{needs_mb}");
            assert!(tuning.chosen >= Some(lowest), "{needs_mb}: {:?}", tuning.chosen);
            is_within_budget(&tuning);
        }
    }
    let slow = |size| (size < 2560).then_some(Outcome::TimedOut);
    let tuning = tuned(&Simulated { fault: slow, ..plain() }, &settings(Objective::Cost, false));
    assert_eq!(tuning.chosen, Some(2560));
    is_within_budget(&tuning);
    let large = |size| (size > 512).then_some(Outcome::TimedOut);
    let tuning = tuned(&Simulated { fault: large, ..plain() }, &settings(Objective::Speed, false));
    assert_eq!(tuning.chosen, Some(512));
    is_within_budget(&tuning);
}

#[test]
fn a_function_that_needs_more_than_there_is_is_not_run_at_smaller_sizes() {
    let mut function = Simulated { needs_mb: 4000, ..plain() };
    let error = tune(&settings(Objective::Cost, false), &mut function, &mut Nobody).unwrap_err();
    assert!(error.causes()[0].ends_with("at 3008 MB it ran out of memory"), "{error:?}");
    assert_eq!(function.runs, 8, "two forms at 1769, 2048, 2560 and 3008 MB");
}

#[test]
fn an_event_that_fails_on_purpose_is_measured() {
    let two = |grid| Settings { weights: vec![0.7, 0.3], ..settings(Objective::Cost, grid) };
    let raises = |_, event| (event == 1).then_some("NotFound");
    let fine = tuned(&plain(), &two(false));
    let tuning = tuned(&Simulated { raises, ..plain() }, &two(false));
    assert_eq!(tuning.raised, [None, Some("NotFound".to_owned())]);
    assert_eq!((&tuning.forms, tuning.best), (&fine.forms, fine.best));
    assert_eq!(fine.raised, [None, None]);
    is_within_budget(&tuning);
}

#[test]
fn an_event_that_fails_at_some_sizes_rules_them_out() {
    let status = |tuning: &Tuning, size: u32| {
        let tier = tuning.forms[1].1.iter().find(|tier| tier.memory_mb == size).unwrap();
        tier.reason.clone()
    };
    // Too little memory for it, too much of it, and another error than elsewhere.
    let small: fn(u32, usize) -> Option<&'static str> = |size, _| (size < 512).then_some("ValueError");
    let large: fn(u32, usize) -> Option<&'static str> = |size, _| (size > 512).then_some("ValueError");
    let other: fn(u32, usize) -> Option<&'static str> =
        |size, _| Some(if size < 512 { "ValueError" } else { "NotFound" });
    for (raises, ruled_out, works) in [(small, 256, 512), (large, 1769, 512), (other, 256, 512)] {
        let tuning = tuned(&Simulated { raises, ..plain() }, &settings(Objective::Balanced, true));
        assert_eq!(status(&tuning, ruled_out).as_deref(), Some("it failed with ValueError: no"));
        assert_eq!(status(&tuning, works), None);
        assert!(tuning.chosen.is_some_and(|chosen| raises(chosen, 0) != Some("ValueError")), "{tuning:?}");
    }
}

#[test]
fn an_init_that_is_slow_at_a_small_share_is_told_in_a_sentence() {
    let init = phase(400.0, 0.0, 0.0);
    let function = Simulated { init, ..plain() };
    let settings = Settings { boost: false, ..settings(Objective::Speed, false) };
    let tuning = tuned(&function, &settings);
    let advice = tuning.advice.unwrap();
    assert!(
        advice.starts_with("1769 MB starts 13.") && advice.contains("times faster than 128 MB"),
        "{advice}"
    );
    assert!(advice.ends_with("% more money") || advice.ends_with("the same money"), "{advice}");
}

#[test]
fn sizes_that_runs_cannot_tell_apart_are_told_and_run_again() {
    // It waits, and does next to nothing: beyond the noise all sizes are as fast.
    let waits =
        Simulated { first: phase(1.0, 50.0, 0.0), warm: phase(1.0, 50.0, 0.0), noise: 0.05, ..plain() };
    let tuning = tuned(&waits, &settings(Objective::Speed, false));
    let told = |tuning: &Tuning| tuning.notes.iter().any(|note| note.contains("cannot be told apart from"));
    assert!(told(&tuning), "{:?}", tuning.notes);
    let runs_of_cold = |tier: &glowplug_capacity::Tier| tier.events[0].cold.map_or(0, |cold| cold.runs);
    assert!(tuning.forms[1].1.iter().any(|tier| runs_of_cold(tier) > 3), "{tuning:?}");
    assert!(tuning.runs * 10 <= tuning.grid_runs * 4);
    // Processor time alone, without noise: nothing is in doubt.
    let works = Simulated { init: phase(400.0, 0.0, 0.0), first: phase(300.0, 0.0, 0.0), ..plain() };
    let below_one_vcpu = Settings { tiers: TIERS[..11].to_vec(), ..settings(Objective::Speed, true) };
    assert!(!told(&tuned(&works, &below_one_vcpu)));
}

#[test]
fn a_choice_among_a_few_sizes_rests_on_more_than_one_of_them() {
    let few = |tiers: &[u32]| Settings {
        tiers: tiers.to_vec(),
        current_mb: Some(1024),
        rounds: 2,
        ..settings(Objective::Cost, false)
    };
    let all = tuned(&plain(), &few(&[128, 256, 512, 1024, 1769, 2560]));
    assert_eq!(all.runs, all.grid_runs);
    let eight = tuned(&plain(), &few(&[128, 256, 512, 768, 1024, 1536, 1769, 2560]));
    let measured = eight.forms[1].1.iter().filter(|tier| tier.measured).count();
    assert!(measured >= 4 && eight.runs < eight.grid_runs, "{measured}");
    let grid =
        tuned(&plain(), &Settings { grid: true, ..few(&[128, 256, 512, 768, 1024, 1536, 1769, 2560]) });
    assert!(
        value(Objective::Cost, &grid, eight.chosen.unwrap())
            <= 1.01 * value(Objective::Cost, &grid, grid.chosen.unwrap())
    );
}

#[test]
fn percentiles_have_intervals_where_they_were_measured() {
    let tuning = tuned(&Simulated { noise: 0.1, ..plain() }, &settings(Objective::Cost, false));
    for tier in &tuning.forms[1].1 {
        for times in [tier.cold, tier.warm].into_iter().flatten() {
            assert_eq!(times.intervals.is_some(), tier.measured, "{} MB", tier.memory_mb);
            let Some([p50, p90, p99]) = times.intervals else { continue };
            for (value, (low, high)) in [(times.p50, p50), (times.p90, p90), (times.p99, p99)] {
                assert!(low <= value && value <= high, "{} MB: {times:?}", tier.memory_mb);
            }
            assert!(p50.0 < p50.1, "runs that differ leave doubt: {times:?}");
        }
    }
}

#[test]
fn modelled_percentiles_are_of_the_same_mix_as_measured_ones() {
    let function = Simulated { heavier: 100.0, ..plain() };
    // One request in a hundred is the heavy one: no percentile up to the ninetieth may know of it.
    let settings = Settings { weights: vec![0.99, 0.01], ..settings(Objective::Balanced, false) };
    let tuning = tuned(&function, &settings);
    let (measured, modelled): (Vec<_>, Vec<_>) = tuning.forms[1].1.iter().partition(|tier| tier.measured);
    assert!(!modelled.is_empty());
    let most = measured.iter().filter_map(|tier| tier.cold).map(|cold| cold.p90).fold(0.0, f64::max);
    for tier in modelled {
        let cold = tier.cold.unwrap();
        assert!(cold.p90 <= most * 1.1 && cold.p99 < most * 200.0, "{}: {cold:?} {most}", tier.memory_mb);
    }
}

#[test]
fn a_size_at_which_the_function_fails_or_is_late_is_not_chosen() {
    let late = |size| (size < 1024).then_some(Outcome::TimedOut);
    let tuning = tuned(&Simulated { fault: late, ..plain() }, &settings(Objective::Cost, true));
    assert_eq!(tuning.chosen, Some(1024));
    let broken = |size| {
        (size == 512).then(|| Outcome::Failed { kind: "ValueError".into(), message: "no order".into() })
    };
    let tuning = tuned(&Simulated { fault: broken, ..plain() }, &settings(Objective::Balanced, true));
    let tier = tuning.forms[1].1.iter().find(|tier| tier.memory_mb == 512).unwrap();
    assert_eq!(tier.reason.as_deref(), Some("it failed with ValueError: no order"));
    assert_ne!(tuning.chosen, Some(512));
}

#[test]
fn a_function_that_works_nowhere_is_an_error_with_its_cause() {
    let broken = |_| Some(Outcome::Failed { kind: "KeyError".into(), message: "'table'".into() });
    let mut function = Simulated { fault: broken, ..plain() };
    let error = tune(&settings(Objective::Cost, false), &mut function, &mut Nobody).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Input);
    assert!(error.causes().join(" ").contains("it failed with KeyError: 'table'"), "{error:?}");
}

#[test]
fn more_memory_that_is_slower_is_told() {
    let drag = |size| if size >= 1536 { 1.6 } else { 1.0 };
    let tuning = tuned(&Simulated { drag, ..plain() }, &settings(Objective::Speed, true));
    assert!(tuning.chosen.unwrap() < 1536);
    assert!(
        tuning.notes.iter().any(|note| note.starts_with("1536 MB is slower than 1280 MB")),
        "{:?}",
        tuning.notes
    );
}

#[test]
fn an_interruption_keeps_what_was_measured() {
    let function = Simulated { patience: 20, ..plain() };
    let tuning = tuned(&function, &settings(Objective::Cost, true));
    assert!(!tuning.complete && tuning.chosen.is_some() && tuning.runs == 20, "{tuning:?}");
    let one = tuned(&Simulated { patience: 2, ..plain() }, &settings(Objective::Cost, true));
    assert_eq!((one.complete, one.chosen, one.runs), (false, Some(1769), 2));
    let none = tuned(&Simulated { patience: 0, ..plain() }, &settings(Objective::Cost, true));
    assert_eq!((none.complete, none.chosen, none.runs), (false, None, 0));
}

#[test]
fn sizes_beyond_the_machine_are_modelled_and_never_chosen() {
    let parallel = Simulated { first: phase(60.0, 0.0, 0.9), warm: phase(300.0, 0.0, 0.9), ..plain() };
    let settings = Settings { most_mb: 1769, ..settings(Objective::Speed, false) };
    let tuning = tuned(&parallel, &settings);
    assert_eq!(tuning.chosen, Some(1769));
    assert!(tuning.forms[1].1.iter().filter(|tier| tier.memory_mb > 1769).all(|tier| !tier.measured));
    assert!(tuning.notes.iter().any(|note| note.starts_with("3 sizes above 1769 MB")), "{:?}", tuning.notes);
}

#[test]
fn a_size_that_lambda_does_not_have_is_refused() {
    let settings = Settings { tiers: vec![64, 128], ..settings(Objective::Cost, false) };
    let error = tune(&settings, &mut plain(), &mut Nobody).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Usage);
}
