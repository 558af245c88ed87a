//! Time against memory: what a few measured tiers say about all others.
//!
//! A phase has a part that waits, whatever the processor gets, and processor time, of which a part can run on several
//! processors. Lambda gives 1769 MB one vCPU and less memory a part of it, enforced as a quota in periods: a burst that
//! fits into a period's quota is not slowed, a longer one is stopped until the next period. Init has one vCPU at least
//! where it is boosted, for its first ten seconds.

/// MB at which a function has one vCPU. Source: AWS Lambda Developer Guide, "Configure Lambda function memory".
pub const FULL_CPU_MB: f64 = 1769.0;
/// The most vCPUs that a function gets.
pub const MOST_CPUS: f64 = 6.0;
/// Length of a quota's period, in ms: what the engine sets (FACTS: 20 ms reproduces Lambda's steps).
pub const PERIOD_MS: f64 = 20.0;
/// How long init is boosted, in ms.
const BOOST_MS: f64 = 10_000.0;

/// vCPUs at a memory size.
pub fn share(memory_mb: u32) -> f64 {
    (f64::from(memory_mb) / FULL_CPU_MB).min(MOST_CPUS)
}

/// What is being timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// From the start of the runtime until it asks for its first event.
    Init,
    /// The first invoke of an environment.
    First,
    /// A later one.
    Warm,
}

/// A phase as the model sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model {
    /// ms that pass whatever the processor gets.
    pub waits_ms: f64,
    /// ms of one full vCPU.
    pub cpu_ms: f64,
    /// The part of them that several processors can share.
    pub parallel: f64,
    /// Whether the phase is boosted.
    pub boosted: bool,
}

/// One measured median at a tier, and the processor time that it took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub memory_mb: u32,
    /// ms.
    pub wall: f64,
    /// ms; nothing where it is not known.
    pub cpu: Option<f64>,
}

impl Model {
    /// ms at a memory size.
    pub fn at(&self, memory_mb: u32) -> f64 {
        let full = share(memory_mb);
        let boosted = if self.boosted { self.on(full.max(1.0)) } else { self.on(full) };
        if self.boosted && boosted > BOOST_MS {
            // What is not done when the boost ends goes on at the share.
            let left = 1.0 - BOOST_MS / boosted;
            return BOOST_MS + left * self.on(full);
        }
        boosted
    }

    fn on(&self, cpus: f64) -> f64 {
        let serial = self.cpu_ms * (1.0 - self.parallel);
        let shared = self.cpu_ms * self.parallel;
        if cpus >= 1.0 {
            return self.waits_ms + serial + shared / cpus;
        }
        self.waits_ms + throttled(serial + shared, cpus)
    }

    /// The model that fits best; nothing without points. Searched on a grid, and again around its best point, by the mean
    /// relative error; processor time that is known narrows the search.
    pub fn fit(points: &[Point], boosted: bool) -> Option<Self> {
        let longest = points.iter().map(|point| point.wall * share(point.memory_mb).max(1.0));
        let most = longest.fold(f64::NAN, f64::max);
        if !most.is_finite() {
            return None;
        }
        let known: Vec<f64> = points.iter().filter_map(|point| point.cpu).collect();
        let (from, to) = match median(&known) {
            Some(cpu) if cpu > 0.0 => (0.75 * cpu, 1.35 * cpu),
            _ => (most * 1e-4, most),
        };
        // One tier above a vCPU cannot tell what runs in parallel.
        let above = points.iter().filter(|point| point.memory_mb > FULL_CPU_MB as u32).count();
        let parts = if above > 0 && points.len() > 2 { 20 } else { 0 };
        let mut best: Option<(f64, Self)> = None;
        let mut range = (from, to);
        for _ in 0..3 {
            let ratio = (range.1 / range.0).powf(1.0 / 60.0);
            for step in 0..=60 {
                let cpu_ms = range.0 * ratio.powi(step);
                for part in 0..=parts {
                    let parallel = f64::from(part) / 20.0;
                    let bare = Self { waits_ms: 0.0, cpu_ms, parallel, boosted };
                    let rest: Vec<f64> =
                        points.iter().map(|point| point.wall - bare.at(point.memory_mb)).collect();
                    let waits = median(&rest).unwrap_or_default().max(0.0);
                    for waits_ms in [waits, 0.0] {
                        let model = Self { waits_ms, ..bare };
                        let error = model.error(points);
                        if best.is_none_or(|(least, _)| error < least) {
                            best = Some((error, model));
                        }
                    }
                }
            }
            let cpu = best.map_or(range.0, |(_, model)| model.cpu_ms);
            range = (cpu / ratio, cpu * ratio);
        }
        best.map(|(_, model)| model)
    }

    /// Mean relative error over points.
    fn error(&self, points: &[Point]) -> f64 {
        let errors = points.iter().map(|point| (self.at(point.memory_mb) / point.wall.max(1e-3) - 1.0).abs());
        errors.sum::<f64>() / points.len() as f64
    }

    /// For each point, how far a model that has not seen it is off, as a part of it. Nothing where fewer than three
    /// points are known: two others have to say something.
    pub fn held_out_errors(points: &[Point], boosted: bool) -> Vec<f64> {
        if points.len() < 3 {
            return Vec::new();
        }
        let error = |at: usize| {
            let others: Vec<Point> = points
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != at)
                .map(|(_, point)| *point)
                .collect();
            let model = Self::fit(&others, boosted)?;
            Some(model.error(&points[at..=at]))
        };
        (0..points.len()).filter_map(error).collect()
    }
}

/// At how many moments of a period the model lets work begin.
const MOMENTS: u32 = 8;

/// ms that `work` ms of one vCPU take on a part of it: the mean over when in a period it begins, with that period's quota.
fn throttled(work: f64, cpus: f64) -> f64 {
    let quota = cpus * PERIOD_MS;
    let from = |moment: u32| {
        let left = PERIOD_MS * (f64::from(moment) + 0.5) / f64::from(MOMENTS);
        let done = quota.min(left);
        if work <= done { work } else { left + from_the_start(work - done, quota) }
    };
    (0..MOMENTS).map(from).sum::<f64>() / f64::from(MOMENTS)
}

/// The same from the start of a period on.
fn from_the_start(work: f64, quota: f64) -> f64 {
    // The last of the periods is not waited out.
    let full = ((work / quota).ceil() - 1.0).max(0.0);
    full * PERIOD_MS + (work - full * quota)
}

pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| glowplug_core::quantile(&sorted, 0.5))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points(model: &Model, tiers: &[u32], cpu: bool) -> Vec<Point> {
        let point =
            |tier: &u32| Point { memory_mb: *tier, wall: model.at(*tier), cpu: cpu.then_some(model.cpu_ms) };
        tiers.iter().map(point).collect()
    }

    #[test]
    fn time_is_processor_time_by_the_share_and_short_work_is_not_slowed() {
        let work = Model { waits_ms: 0.0, cpu_ms: 400.0, parallel: 0.0, boosted: false };
        // Within a period of the quotient: FACTS' table of init without boost.
        for (tier, share) in [(128, 0.0724), (512, 0.2894), (1024, 0.5789)] {
            assert!((work.at(tier) - 400.0 / share).abs() <= PERIOD_MS, "{tier}: {}", work.at(tier));
        }
        assert!((work.at(1769) - 400.0).abs() < 1e-9 && (work.at(3538) - 400.0).abs() < 1e-9);
        let short = Model { cpu_ms: 1.0, ..work };
        assert!((short.at(128) - 1.0).abs() < 1e-9);
        let both = Model { parallel: 0.5, ..work };
        assert!((both.at(3538) - 300.0).abs() < 1e-9);
    }

    #[test]
    fn a_boosted_init_does_not_depend_on_memory_until_the_boost_ends() {
        let init = Model { waits_ms: 0.0, cpu_ms: 400.0, parallel: 0.0, boosted: true };
        assert!((init.at(128) - init.at(1769)).abs() < 1e-9);
        let long = Model { cpu_ms: 12_000.0, ..init };
        // A sixth is left after ten seconds, at 0.072 vCPU.
        let left = 2000.0 / share(128);
        assert!((long.at(128) - 10_000.0 - left).abs() < 2.0 * PERIOD_MS, "{}", long.at(128));
    }

    proptest! {
        #[test]
        fn what_made_the_points_is_found_again(
            waits in 0.0..200.0_f64,
            cpu in 5.0..3000.0_f64,
            parallel in 0.0..0.8_f64,
            known in any::<bool>(),
        ) {
            let model = Model { waits_ms: waits, cpu_ms: cpu, parallel, boosted: false };
            let seen = points(&model, &[128, 512, 1769, 3008], known);
            let found = Model::fit(&seen, false).unwrap();
            for tier in [256, 768, 1024, 2048] {
                let (is, should) = (found.at(tier), model.at(tier));
                // A tenth, or the steps of two periods.
                prop_assert!((is - should).abs() <= 0.1 * should + 2.0 * PERIOD_MS, "{tier}: {is} {should} {found:?}");
            }
        }

        #[test]
        fn more_memory_is_never_predicted_to_be_slower(
            waits in 0.0..200.0_f64,
            cpu in 0.1..30_000.0_f64,
            parallel in 0.0..1.0_f64,
            boosted in any::<bool>(),
            low in 128_u32..10_000,
            more in 1_u32..240,
        ) {
            let model = Model { waits_ms: waits, cpu_ms: cpu, parallel, boosted };
            prop_assert!(model.at(low + more) <= model.at(low) + 1e-6);
        }
    }
}
