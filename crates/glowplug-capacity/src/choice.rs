//! Which memory size is best, by what is asked of it.

use crate::figures::Tier;

/// What the size shall make small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Latency at the rate of cold starts.
    Speed,
    /// Cost.
    Cost,
    /// Both, by the weight of cost.
    Balanced,
}

/// The best sizes, in MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Best {
    pub speed: Option<u32>,
    pub cost: Option<u32>,
    pub balanced: Option<u32>,
}

impl Best {
    /// By one objective.
    pub fn by(&self, objective: Objective) -> Option<u32> {
        match objective {
            Objective::Speed => self.speed,
            Objective::Cost => self.cost,
            Objective::Balanced => self.balanced,
        }
    }
}

/// Latencies this close are the same: the smaller size is chosen.
const SAME_LATENCY: f64 = 1.01;
/// Costs this close are the same: the faster size is chosen.
const SAME_COST: f64 = 1.01;

/// The best of the sizes that work.
pub(crate) fn best(tiers: &[Tier], balanced_weight: f64) -> Best {
    let works: Vec<(u32, f64, f64)> =
        tiers.iter().filter_map(|tier| tier.works().map(|(ms, usd)| (tier.memory_mb, ms, usd))).collect();
    let least =
        |value: &dyn Fn(&(u32, f64, f64)) -> f64| works.iter().map(value).fold(f64::INFINITY, f64::min);
    let (fastest, cheapest) = (least(&|tier| tier.1), least(&|tier| tier.2));
    let speed = works.iter().filter(|tier| tier.1 <= fastest * SAME_LATENCY).min_by_key(|tier| tier.0);
    let cost = works.iter().filter(|tier| tier.2 <= cheapest * SAME_COST).min_by(|a, b| a.1.total_cmp(&b.1));
    let both = balance(tiers, balanced_weight);
    let balanced = works.iter().min_by(|a, b| both(a.1, a.2).total_cmp(&both(b.1, b.2)));
    let size = |tier: Option<&(u32, f64, f64)>| tier.map(|tier| tier.0);
    Best { speed: size(speed), cost: size(cost), balanced: size(balanced) }
}

/// What is small where latency and cost are, as AWS Lambda Power Tuning weighs: both as parts of the greatest among the sizes
/// that work (its README, "balanced").
fn balance(tiers: &[Tier], balanced_weight: f64) -> impl Fn(f64, f64) -> f64 {
    let works = || tiers.iter().filter_map(Tier::works);
    let slowest = works().map(|(ms, _)| ms).fold(0.0, f64::max);
    let dearest = works().map(|(_, usd)| usd).fold(0.0, f64::max);
    move |ms, usd| balanced_weight * usd / dearest + (1.0 - balanced_weight) * ms / slowest
}

/// What an objective makes small, of a latency and a cost.
fn value(tiers: &[Tier], objective: Objective, balanced_weight: f64) -> impl Fn(f64, f64) -> f64 {
    let both = balance(tiers, balanced_weight);
    move |ms, usd| match objective {
        Objective::Speed => ms,
        Objective::Cost => usd,
        Objective::Balanced => both(ms, usd),
    }
}

/// A modelled value that is off by so much may be better than a measured one.
const CLOSE: f64 = 1.05;

/// The better of the sizes on both sides of a measured one that are modelled, where it comes close to it.
pub(crate) fn close(tiers: &[Tier], objective: Objective, balanced_weight: f64, size: u32) -> Option<u32> {
    let value = value(tiers, objective, balanced_weight);
    let of = |tier: &Tier| tier.works().map(|(ms, usd)| value(ms, usd));
    let at = tiers.iter().position(|tier| tier.memory_mb == size)?;
    let most = of(&tiers[at])? * CLOSE;
    let beside = [at.checked_sub(1), Some(at + 1)].into_iter().flatten().filter_map(|at| tiers.get(at));
    let modelled = beside.filter(|tier| !tier.measured).filter_map(|tier| Some((tier.memory_mb, of(tier)?)));
    let best = modelled.min_by(|a, b| a.1.total_cmp(&b.1))?;
    (best.1 <= most).then_some(best.0)
}

/// The sizes whose intervals overlap with that of `size` in what the objective makes small: these runs cannot tell which of
/// them is best. Those that may be the best come first; only measured sizes have intervals.
pub(crate) fn undecided(tiers: &[Tier], objective: Objective, balanced_weight: f64, size: u32) -> Vec<u32> {
    let value = value(tiers, objective, balanced_weight);
    let range = |tier: &Tier| {
        tier.works()?;
        let (latency, usd) = (tier.latency?, tier.usd_interval?);
        Some((value(latency.low, usd.0), value(latency.high, usd.1)))
    };
    let of = tiers.iter().find(|tier| tier.memory_mb == size).and_then(range);
    let Some((low, high)) = of else { return Vec::new() };
    let others = tiers.iter().filter(|tier| tier.memory_mb != size);
    let mut overlapping: Vec<(u32, (f64, f64))> =
        others.filter_map(|tier| Some((tier.memory_mb, range(tier)?))).collect();
    overlapping.retain(|(_, other)| other.0 <= high && low <= other.1);
    overlapping.sort_by(|a, b| a.1.0.total_cmp(&b.1.0));
    overlapping.into_iter().map(|(memory_mb, _)| memory_mb).collect()
}

/// The sizes than which no other is both faster and cheaper, the cheapest first.
pub(crate) fn pareto(tiers: &[Tier]) -> Vec<u32> {
    let mut works: Vec<(f64, f64, u32)> =
        tiers.iter().filter_map(|tier| tier.works().map(|(ms, usd)| (usd, ms, tier.memory_mb))).collect();
    works.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut fastest = f64::INFINITY;
    works.retain(|(_, ms, _)| {
        let faster = *ms < fastest;
        fastest = fastest.min(*ms);
        faster
    });
    works.into_iter().map(|(_, _, memory_mb)| memory_mb).collect()
}

/// What moving from one size to another gives, in a sentence: "1024 MB starts 7.1 times faster than 128 MB for 2 % more
/// money".
pub(crate) fn advice(from: &Tier, to: &Tier) -> Option<String> {
    let (cold, was) = (to.cold_ms?, from.cold_ms?);
    let (money, cost) = (to.usd_per_million?, from.usd_per_million?);
    if from.memory_mb == to.memory_mb || cold <= 0.0 || cost <= 0.0 {
        return None;
    }
    let speed = if was >= cold * 1.05 {
        format!("starts {:.1} times faster than {} MB", was / cold, from.memory_mb)
    } else if cold >= was * 1.05 {
        format!("starts {:.1} times slower than {} MB", cold / was, from.memory_mb)
    } else {
        format!("starts as fast as {} MB", from.memory_mb)
    };
    let percent = 100.0 * (money / cost - 1.0);
    let price = match percent.round() as i64 {
        0 => "the same money".to_owned(),
        more @ 1.. => format!("{more} % more money"),
        less => format!("{} % less money", -less),
    };
    Some(format!("{} MB {speed} for {price}", to.memory_mb))
}
