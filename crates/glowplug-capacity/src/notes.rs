//! What a reader has to know of the figures, a sentence each.

use crate::choice::{Objective, undecided};
use crate::figures::Tier;
use crate::tune::Settings;

const MIB: f64 = 1024.0 * 1024.0;

/// What was found.
pub(crate) struct Facts<'a> {
    /// The measured sizes, the smallest first.
    pub(crate) seen: &'a [Tier],
    pub(crate) chosen: Option<u32>,
    /// Sizes at which init did not come to its end, in MB.
    pub(crate) repeated: &'a [u32],
    /// All sizes, in MB.
    pub(crate) sizes: &'a [u32],
}

pub(crate) fn notes(facts: &Facts, settings: &Settings) -> Vec<String> {
    let works: Vec<&Tier> = facts.seen.iter().filter(|tier| tier.works().is_some()).collect();
    let mut notes = Vec::new();
    notes.extend(facts.chosen.and_then(|chosen| doubt(facts.seen, chosen, settings)));
    notes.extend(works.windows(2).filter_map(|pair| slower(pair[0], pair[1])));
    notes.extend(works.first().and_then(|tier| margin(tier)));
    notes.extend(repeated(facts.repeated));
    notes.extend(beyond(facts.sizes, settings.most_mb));
    notes
}

/// Which sizes may be as good as the chosen one.
fn doubt(seen: &[Tier], chosen: u32, settings: &Settings) -> Option<String> {
    let mut others = undecided(seen, settings.objective, settings.balanced_weight, chosen);
    others.sort_unstable();
    let what = match settings.objective {
        Objective::Speed => "latency",
        Objective::Cost => "cost",
        Objective::Balanced => "the balance of speed and cost",
    };
    (!others.is_empty()).then(|| {
        format!(
            "by {what}, {} MB cannot be told apart from {chosen} MB: their intervals overlap; more `--runs` make them \
             narrower",
            list(&others)
        )
    })
}

/// More memory that does not pay.
fn slower(low: &Tier, high: &Tier) -> Option<String> {
    let (less, more) = (low.latency?, high.latency?);
    (more.low > less.high * 1.05).then(|| {
        format!(
            "{} MB is slower than {} MB: {:.1} against {:.1} ms",
            high.memory_mb, low.memory_mb, more.median, less.median
        )
    })
}

/// How much of the smallest size that works is in use.
fn margin(tier: &Tier) -> Option<String> {
    let used = tier.peak_bytes? as f64 / MIB;
    let left = 100.0 * (1.0 - used / f64::from(tier.memory_mb));
    let left = left.max(0.0);
    Some(format!("at {} MB {used:.0} MB were in use, which leaves {left:.0} % of it", tier.memory_mb))
}

/// What Lambda does with an init that takes too long.
fn repeated(sizes: &[u32]) -> Option<String> {
    (!sizes.is_empty()).then(|| {
        format!(
            "at {} MB init did not come to its end in its 10 s, and was run again within the first invoke: cold has both",
            list(sizes)
        )
    })
}

/// Sizes that cannot be run here.
fn beyond(sizes: &[u32], most_mb: u32) -> Option<String> {
    let count = sizes.iter().filter(|size| **size > most_mb).count();
    (count > 0).then(|| {
        format!(
            "{count} sizes above {most_mb} MB have more processors than there are here: what is said of them is modelled"
        )
    })
}

fn list(sizes: &[u32]) -> String {
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
