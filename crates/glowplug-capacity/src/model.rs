//! Time against memory: what a few measured tiers say about all others.
//!
//! A phase has a part that waits, whatever the processor gets, and processor time, of which a part can run on several
//! processors. Lambda gives 1769 MB one vCPU and less memory a part of it ([`throttled`]). Init has one vCPU at least where it
//! is boosted, for its first ten seconds.

use crate::throttle::throttled;

/// MB at which a function has one vCPU. Source: AWS Lambda Developer Guide, "Configure Lambda function memory".
pub const FULL_CPU_MB: f64 = 1769.0;
/// The most vCPUs that a function gets.
pub const MOST_CPUS: f64 = 6.0;
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
        if most <= 0.0 {
            return Some(Self { waits_ms: 0.0, cpu_ms: 0.0, parallel: 0.0, boosted });
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
                let alone =
                    Self { waits_ms: 0.0, cpu_ms: range.0 * ratio.powi(step), parallel: 0.0, boosted };
                let serial: Vec<f64> = points.iter().map(|point| alone.at(point.memory_mb)).collect();
                for part in 0..=parts {
                    let bare = Self { parallel: f64::from(part) / 20.0, ..alone };
                    // On a part of a vCPU nothing runs in parallel.
                    let at = |(point, serial): (&Point, &f64)| {
                        if share(point.memory_mb) <= 1.0 { *serial } else { bare.at(point.memory_mb) }
                    };
                    let walls: Vec<f64> = points.iter().zip(&serial).map(at).collect();
                    let rest: Vec<f64> =
                        points.iter().zip(&walls).map(|(point, wall)| point.wall - wall).collect();
                    let waits = median(&rest).unwrap_or_default().max(0.0);
                    for waits_ms in [waits, 0.0] {
                        let error = error(points, &walls, waits_ms);
                        if best.is_none_or(|(least, _)| error < least) {
                            best = Some((error, Self { waits_ms, ..bare }));
                        }
                    }
                }
            }
            let cpu = best.map_or(range.0, |(_, model)| model.cpu_ms);
            range = (cpu / ratio, cpu * ratio);
        }
        best.map(|(_, model)| model)
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
            Some(error(&points[at..=at], &[model.at(points[at].memory_mb)], 0.0))
        };
        (0..points.len()).filter_map(error).collect()
    }
}

/// Mean relative error over points of what a model says and something more.
fn error(points: &[Point], walls: &[f64], more: f64) -> f64 {
    let errors =
        points.iter().zip(walls).map(|(point, wall)| ((wall + more) / point.wall.max(1e-3) - 1.0).abs());
    errors.sum::<f64>() / points.len() as f64
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
    use crate::throttle::{PERIOD_MS, TICK_MS};

    fn points(model: &Model, tiers: &[u32], cpu: bool) -> Vec<Point> {
        let point =
            |tier: &u32| Point { memory_mb: *tier, wall: model.at(*tier), cpu: cpu.then_some(model.cpu_ms) };
        tiers.iter().map(point).collect()
    }

    #[test]
    fn time_is_processor_time_by_the_share_and_short_work_is_not_slowed() {
        let work = Model { waits_ms: 0.0, cpu_ms: 400.0, parallel: 0.0, boosted: false };
        // Within a period of the quotient, but for what is run beyond the last quota: FACTS' table of init without boost.
        for (tier, share) in [(128, 0.0724), (512, 0.2894), (1024, 0.5789)] {
            assert!(
                (work.at(tier) - 400.0 / share).abs() <= PERIOD_MS + TICK_MS / share,
                "{tier}: {}",
                work.at(tier)
            );
        }
        assert!((work.at(1769) - 400.0).abs() < 1e-9 && (work.at(3538) - 400.0).abs() < 1e-9);
        let short = Model { cpu_ms: 1.0, ..work };
        assert!((short.at(128) - 1.0).abs() < 1e-9);
        let both = Model { parallel: 0.5, ..work };
        assert!((both.at(3538) - 300.0).abs() < 1e-9);
    }

    #[test]
    fn a_phase_that_takes_nothing_takes_nothing_anywhere() {
        let nothing = |memory_mb| Point { memory_mb, wall: 0.0, cpu: None };
        let model = Model::fit(&[128, 512, 1769].map(nothing), false).unwrap();
        assert!([128, 1024, 3008].iter().all(|size| model.at(*size) == 0.0));
    }

    #[test]
    fn a_boosted_init_does_not_depend_on_memory_until_the_boost_ends() {
        let init = Model { waits_ms: 0.0, cpu_ms: 400.0, parallel: 0.0, boosted: true };
        assert!((init.at(128) - init.at(1769)).abs() < 1e-9);
        let long = Model { cpu_ms: 12_000.0, ..init };
        // A sixth is left after ten seconds, at 0.072 vCPU.
        let left = 2000.0 / share(128);
        assert!(
            (long.at(128) - 10_000.0 - left).abs() < 2.0 * (PERIOD_MS + TICK_MS / share(128)),
            "{}",
            long.at(128)
        );
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
                // A tenth, or the steps of two periods and what is run beyond the last quota.
                prop_assert!((is - should).abs() <= 0.1 * should + 2.0 * (PERIOD_MS + TICK_MS / share(tier)), "{tier}: {is} {should} {found:?}");
            }
        }

        #[test]
        fn more_memory_is_never_predicted_to_be_slower_by_more_than_a_period(
            waits in 0.0..200.0_f64,
            cpu in 0.1..30_000.0_f64,
            parallel in 0.0..1.0_f64,
            boosted in any::<bool>(),
            low in 128_u32..10_000,
            more in 1_u32..240,
        ) {
            let model = Model { waits_ms: waits, cpu_ms: cpu, parallel, boosted };
            prop_assert!(model.at(low + more) <= model.at(low) + PERIOD_MS);
        }
    }
}
