//! The figures of a build: measured samples of the three trees, and the report made of them.

use std::time::Duration;

use camino::Utf8Path;
use indexmap::IndexMap;

use glowplug_core::{Decision, Progress, Result, Stat, Verdict};
use glowplug_engine::Cpu;
use glowplug_package::ZipSummary;
use glowplug_report::{Artifact, Environment, Measured, Ratio, Report, ReportFunction};
use glowplug_trace::Phase;

use crate::decisions;
use crate::explore::{loaded, observe_event};
use crate::measure::{Rounds, Samples, first_starts, measure, ratios, stats};
use crate::options::BuildOptions;
use crate::page_cache;
use crate::profit::Profit;
use crate::subject::Subject;

/// Interleaved rounds where the user names none: enough for an interval, few enough for a minute.
const ROUNDS: Rounds = Rounds { least: 5, most: 8, within: Duration::from_secs(6) };

/// The tree as shipped is slow and only context: it starts so many times, or once for each event.
const SHIPPED_STARTS: usize = 2;

/// Samples of the trees, and what is known of them without a clock.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    shipped: Samples,
    before: Samples,
    after: Samples,
    weights: IndexMap<String, f64>,
    modules_before: Option<u64>,
    modules_after: Option<u64>,
}

/// Sizes of the three packages.
#[derive(Debug)]
pub(crate) struct Sizes {
    pub(crate) shipped: ZipSummary,
    pub(crate) before: ZipSummary,
    pub(crate) after: ZipSummary,
}

/// Measures `shipped`, `before` and `after`; nothing where this machine cannot run them.
pub(crate) fn figures(
    subject: &Subject,
    options: &BuildOptions,
    [shipped, before, after]: [&Utf8Path; 3],
    progress: &dyn Progress,
) -> Result<Figures> {
    let ground = &subject.ground;
    if !ground.runs_here() {
        return Ok(Figures::default());
    }
    let rounds = options.runs.map_or(ROUNDS, Rounds::exactly);
    let few = rounds.most.min(SHIPPED_STARTS.div_ceil(ground.events.len().max(1)));
    progress
        .start("Measuring before and after", Some(((2 * rounds.most + few) * ground.events.len()) as u64));
    for tree in [shipped, before, after] {
        page_cache::level(tree)?;
    }
    // The sources of the tree as shipped have just been read, by the compiler.
    first_starts(ground, &[before, after], options.cpu)?;
    let [first, mut second, mut third] =
        measure(ground, [shipped, before, after], Rounds::exactly(few), options.cpu, progress)?;
    let [more, and_more] = measure(ground, [before, after], rounds.after(few), options.cpu, progress)?;
    progress.finish();
    second.extend(more);
    third.extend(and_more);
    Ok(Figures {
        shipped: first,
        before: second,
        after: third,
        weights: ground.events.iter().map(|event| (event.name.clone(), event.weight)).collect(),
        modules_before: Some(modules(subject, before)?),
        modules_after: Some(modules(subject, after)?),
    })
}

/// How many modules a start imports.
fn modules(subject: &Subject, tree: &Utf8Path) -> Result<u64> {
    Ok(loaded(&observe_event(subject, tree, 0)?, Phase::Init).len() as u64)
}

impl Figures {
    /// The same with `before` and another `after` measured anew.
    pub(crate) fn again(
        self,
        subject: &Subject,
        options: &BuildOptions,
        [before, after]: [&Utf8Path; 2],
        progress: &dyn Progress,
    ) -> Result<Self> {
        let ground = &subject.ground;
        let rounds = options.runs.map_or(ROUNDS, Rounds::exactly);
        progress.start("Measuring before and after", Some((2 * rounds.most * ground.events.len()) as u64));
        page_cache::level(after)?;
        first_starts(ground, &[after], options.cpu)?;
        let [first, second] = measure(ground, [before, after], rounds, options.cpu, progress)?;
        progress.finish();
        Ok(Self { before: first, after: second, modules_after: Some(modules(subject, after)?), ..self })
    }

    /// Whether the first requests together got slower, beyond what chance explains, each pair of neighbouring runs
    /// compared.
    pub(crate) fn worse(&self, profit: Profit) -> bool {
        let before = self.before.first_requests(&self.weights, profit);
        let after = self.after.first_requests(&self.weights, profit);
        Stat::of_ratios(&after, &before).is_some_and(|ratio| ratio.median > 1.0 && ratio.differs_from(1.0))
    }

    pub(crate) fn bytecode_decision(&self, modules: usize) -> Decision {
        decisions::bytecode(modules, Stat::of(&self.shipped.init), Stat::of(&self.before.init))
    }

    /// The report of a finished build.
    pub(crate) fn report(
        &self,
        subject: &Subject,
        options: &BuildOptions,
        sizes: &Sizes,
        decisions: Vec<Decision>,
        verdict: Verdict,
        artifact: Artifact,
    ) -> Report {
        let ground = &subject.ground;
        let function = ground.function;
        let mut report = Report::new(
            ReportFunction {
                name: function.name.clone(),
                handler: function.handler.clone(),
                python: function.python,
                architecture: function.architecture,
                memory_mb: function.memory_mb,
            },
            Environment {
                python: ground.runtime.interpreter.full_version.clone(),
                memory_mb: function.memory_mb,
                cpu: if options.cpu == Cpu::Unlimited { "unlimited" } else { "share" }.to_owned(),
                init_boost: options.cpu == Cpu::Share { init_boost: true },
                page_cache: "warm".to_owned(),
                tool: concat!("glowplug ", env!("CARGO_PKG_VERSION")).to_owned(),
                not_enforced: ground.engine.capabilities().notes.clone(),
            },
        );
        report.as_shipped = self.measured(&self.shipped, &sizes.shipped, self.modules_before);
        report.before = self.measured(&self.before, &sizes.before, self.modules_before);
        report.after = self.measured(&self.after, &sizes.after, self.modules_after);
        report.ratio = self.ratio(sizes);
        report.decisions = decisions;
        report.verdict = verdict;
        report.artifacts = vec![artifact];
        report
    }

    fn measured(&self, samples: &Samples, zip: &ZipSummary, modules: Option<u64>) -> Measured {
        let events = |samples: &IndexMap<String, Vec<f64>>| self.every_event(&stats(samples));
        Measured {
            init_ms: Stat::of(&samples.init),
            init_cpu_ms: Stat::of(&samples.init_cpu),
            cold_ms: events(&samples.cold),
            cold_cpu_ms: events(&samples.cold_cpu),
            cold_weighted_ms: Stat::of(&samples.cold_weighted(&self.weights)),
            warm_ms: events(&samples.warm),
            memory_mb: events(&samples.memory),
            zip_bytes: Some(zip.bytes),
            unzipped_bytes: Some(zip.unzipped_bytes),
            files: Some(zip.files as u64),
            modules,
        }
    }

    fn ratio(&self, sizes: &Sizes) -> Ratio {
        let size = |after: u64, before: u64| (before > 0).then(|| after as f64 / before as f64);
        let (after, before) = (&self.after, &self.before);
        let events =
            |after: &IndexMap<_, _>, before: &IndexMap<_, _>| self.every_event(&ratios(after, before));
        Ratio {
            init: Stat::of_ratios(&after.init, &before.init),
            init_cpu: Stat::of_ratios(&after.init_cpu, &before.init_cpu),
            cold: events(&after.cold, &before.cold),
            cold_cpu: events(&after.cold_cpu, &before.cold_cpu),
            cold_weighted: Stat::of_ratios(
                &after.cold_weighted(&self.weights),
                &before.cold_weighted(&self.weights),
            ),
            warm: events(&after.warm, &before.warm),
            memory: events(&after.memory, &before.memory),
            zip_bytes: size(sizes.after.bytes, sizes.before.bytes),
            unzipped_bytes: size(sizes.after.unzipped_bytes, sizes.before.unzipped_bytes),
        }
    }

    /// One entry for every event, in their order; `None` where it was not measured.
    fn every_event(&self, stats: &IndexMap<String, Stat>) -> IndexMap<String, Option<Stat>> {
        self.weights.keys().map(|event| (event.clone(), stats.get(event).copied())).collect()
    }
}
