//! Which size is the best.
//!
//! *Speed* is the latency at the rate of cold starts, *cost* the dollars of a million invokes. *Balanced* is the least sum
//! of both, each divided by its largest value among the sizes, as AWS Lambda Power Tuning has it. Of sizes between which the
//! intervals of the latency show no difference, the fastest is the cheapest of them.

use glowplug_report::{Best, TuneTier};

use crate::options::Objective;

/// The three answers. `weight` is what cost counts in the last, from 0 to 1.
pub(super) fn best(tiers: &[TuneTier], weight: f64) -> Best {
    let all = points(tiers);
    let Some(fastest) = all.iter().min_by(|a, b| a.latency.total_cmp(&b.latency)) else {
        return Best::default();
    };
    let most = |value: fn(&Point) -> f64| all.iter().map(value).fold(f64::MIN_POSITIVE, f64::max);
    let (slowest, dearest) = (most(|point| point.latency), most(|point| point.usd));
    let same = all.iter().filter(|point| point.low <= fastest.high && point.latency <= fastest.high);
    let by_both = |point: &Point| weight * point.usd / dearest + (1.0 - weight) * point.latency / slowest;
    Best {
        speed: same.min_by(|a, b| a.usd.total_cmp(&b.usd)).map(|point| point.memory_mb),
        cost: all.iter().min_by(|a, b| a.usd.total_cmp(&b.usd)).map(|point| point.memory_mb),
        balanced: all.iter().min_by(|a, b| by_both(a).total_cmp(&by_both(b))).map(|point| point.memory_mb),
    }
}

/// The best by an objective.
pub(super) fn chosen(best: Best, objective: Objective) -> Option<u32> {
    match objective {
        Objective::Speed => best.speed,
        Objective::Cost => best.cost,
        Objective::Balanced => best.balanced,
    }
}

/// Sizes than which no other is faster and at most as dear, or cheaper and at most as slow; the cheapest first.
pub(super) fn pareto(tiers: &[TuneTier]) -> Vec<u32> {
    let mut all = points(tiers);
    all.sort_by(|a, b| a.usd.total_cmp(&b.usd).then(a.latency.total_cmp(&b.latency)));
    let mut front: Vec<u32> = Vec::new();
    let mut fastest = f64::INFINITY;
    for point in all {
        if point.latency < fastest {
            fastest = point.latency;
            front.push(point.memory_mb);
        }
    }
    front
}

/// What `to` gives over `from`: `1024 MB answers 7 times faster than 128 MB for 2 % more money`.
pub(super) fn sentence(from: &TuneTier, to: &TuneTier) -> Option<String> {
    let [old, new] = [from, to].map(|tier| points(std::slice::from_ref(tier)).pop());
    let (old, new) = (old?, new?);
    let faster = old.latency / new.latency;
    let speed = match faster {
        _ if (0.98..1.02).contains(&faster) => "answers as fast as".to_owned(),
        1.0.. => format!("answers {faster:.1} times faster than"),
        _ => format!("answers {:.1} times slower than", 1.0 / faster),
    };
    let more = (new.usd / old.usd - 1.0) * 100.0;
    let money = match more.round() {
        0.0 => "the same money".to_owned(),
        percent if percent > 0.0 => format!("{percent:.0} % more money"),
        percent => format!("{:.0} % less money", -percent),
    };
    Some(format!("{} MB {speed} {} MB for {money}", to.memory_mb, from.memory_mb))
}

struct Point {
    memory_mb: u32,
    latency: f64,
    low: f64,
    high: f64,
    usd: f64,
}

/// The sizes that work.
fn points(tiers: &[TuneTier]) -> Vec<Point> {
    let point = |tier: &TuneTier| {
        let latency = tier.latency_ms?;
        Some(Point {
            memory_mb: tier.memory_mb,
            latency: latency.median,
            low: latency.low,
            high: latency.high,
            usd: tier.usd_per_million?,
        })
    };
    tiers.iter().filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use glowplug_core::Stat;
    use glowplug_report::TierStatus;
    use indexmap::IndexMap;

    fn tier(memory_mb: u32, latency: f64, around: f64, usd: f64) -> TuneTier {
        let stat =
            Stat { median: latency, low: latency - around, high: latency + around, spread: 0.0, runs: 5 };
        TuneTier {
            memory_mb,
            measured: true,
            status: TierStatus::Answered,
            reason: None,
            cold_ms: None,
            warm_ms: None,
            latency_ms: Some(stat),
            billed_ms: Some(latency),
            usd_per_million: Some(usd),
            out_of_memory: false,
            peak_mb: None,
            events: IndexMap::new(),
        }
    }

    #[test]
    fn each_objective_has_its_size() {
        let tiers = [
            tier(128, 100.0, 1.0, 1.0),
            tier(512, 30.0, 1.0, 1.1),
            tier(1024, 20.0, 2.0, 2.0),
            tier(2048, 19.0, 2.0, 4.0),
            tier(3008, 25.0, 1.0, 5.0),
        ];
        let found = best(&tiers, 0.5);
        // 2048 MB is not faster than 1024 MB beyond what the runs vary.
        assert_eq!((found.speed, found.cost, found.balanced), (Some(1024), Some(128), Some(512)));
        assert_eq!(best(&tiers, 1.0).balanced, Some(128));
        assert_eq!(best(&tiers, 0.0).balanced, Some(2048));
        assert_eq!(pareto(&tiers), [128, 512, 1024, 2048]);
        assert_eq!(best(&[], 0.5), Best::default());
    }

    #[test]
    fn the_sentence_says_both_sides() {
        let small = tier(128, 70.0, 1.0, 1.0);
        let say = |to: TuneTier| sentence(&small, &to).unwrap();
        assert_eq!(
            say(tier(1024, 10.0, 1.0, 1.02)),
            "1024 MB answers 7.0 times faster than 128 MB for 2 % more money"
        );
        assert_eq!(say(tier(512, 70.0, 1.0, 0.5)), "512 MB answers as fast as 128 MB for 50 % less money");
        assert_eq!(
            say(tier(192, 140.0, 1.0, 1.0)),
            "192 MB answers 2.0 times slower than 128 MB for the same money"
        );
    }

    proptest::proptest! {
        #[test]
        fn the_best_are_on_the_front(values in proptest::collection::vec((1.0f64..100.0, 0.1f64..10.0), 1..9)) {
            let tiers: Vec<TuneTier> = values
                .iter()
                .zip(1..)
                .map(|((latency, usd), number)| tier(number * 128, *latency, 0.0, *usd))
                .collect();
            let front = pareto(&tiers);
            let found = best(&tiers, 0.5);
            for size in [found.speed, found.balanced].into_iter().flatten() {
                proptest::prop_assert!(front.contains(&size), "{} is not in {:?}", size, front);
            }
        }
    }
}
