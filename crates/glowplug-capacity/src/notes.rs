//! What is said of the sizes, in sentences: what a reader has to know of the figures, and why no size works.

use glowplug_core::Error;

use crate::choice::{Objective, undecided};
use crate::figures::Tier;
use crate::probe::Outcome;
use crate::seen::{reason, repeated_inits, ruled_out};
use crate::tune::Session;

const MIB: f64 = 1024.0 * 1024.0;

impl Session<'_> {
    /// That the function works at no size, and why not at the largest that was tried.
    pub(crate) fn nowhere(&self) -> Error {
        let form = self.form();
        let last = self.seen.keys().rev().find_map(|size| Some((size, ruled_out(&self.seen, *size, form)?)));
        let error = Error::input("the function works at none of the memory sizes");
        let Some((size, outcome)) = last else { return error };
        let hint = match outcome {
            Outcome::OutOfMemory => "try larger sizes with `--tiers`",
            Outcome::TimedOut => "raise `timeout`, or give it an event that it can answer with `--event`",
            Outcome::Answered | Outcome::Raised { .. } | Outcome::Failed { .. } => {
                "see what it raises with `glowplug trace`, or give it an event that it can answer with `--event`"
            }
        };
        error.cause(format!("at {size} MB {}", reason(outcome))).hint(hint)
    }

    /// What a reader has to know.
    pub(crate) fn notes(&self, seen: &[Tier], chosen: Option<u32>) -> Vec<String> {
        let mut notes = Vec::new();
        notes.extend(chosen.and_then(|chosen| self.doubt(seen, chosen)));
        let works: Vec<&Tier> = seen.iter().filter(|tier| tier.works().is_some()).collect();
        for pair in works.windows(2) {
            if let (Some(low), Some(high)) = (pair[0].latency, pair[1].latency)
                && high.low > low.high * 1.05
            {
                notes.push(format!(
                    "{} MB is slower than {} MB: {:.1} against {:.1} ms",
                    pair[1].memory_mb, pair[0].memory_mb, high.median, low.median
                ));
            }
        }
        if let Some(tier) = works.first()
            && let Some(peak) = tier.peak_bytes
        {
            let used = peak as f64 / MIB;
            let left = 100.0 * (1.0 - used / f64::from(tier.memory_mb));
            notes.push(format!(
                "at {} MB {used:.0} MB were in use, which leaves {:.0} % of it",
                tier.memory_mb,
                left.max(0.0)
            ));
        }
        notes.extend(repeated(&repeated_inits(&self.seen, self.form())));
        let beyond = self.sizes.iter().filter(|size| **size > self.settings.most_mb).count();
        if beyond > 0 {
            notes.push(format!(
                "{beyond} sizes above {} MB have more processors than there are here: what is said of them is modelled",
                self.settings.most_mb
            ));
        }
        notes
    }

    /// Which sizes may be as good as the chosen one.
    fn doubt(&self, seen: &[Tier], chosen: u32) -> Option<String> {
        let (objective, weight) = (self.settings.objective, self.settings.balanced_weight);
        let others = undecided(seen, objective, weight, chosen);
        let list: Vec<String> = others.iter().map(ToString::to_string).collect();
        let what = match objective {
            Objective::Speed => "latency",
            Objective::Cost => "cost",
            Objective::Balanced => "the balance of speed and cost",
        };
        (!list.is_empty()).then(|| {
            format!(
                "by {what}, {} MB cannot be told apart from {chosen} MB: their intervals overlap; more `--runs` make them narrower",
                list.join(", ")
            )
        })
    }
}

/// What Lambda does with an init that takes too long.
fn repeated(sizes: &[u32]) -> Option<String> {
    let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    (!sizes.is_empty()).then(|| {
        format!(
            "at {} MB init did not come to its end in its 10 s, and was run again within the first invoke: cold has both",
            sizes.join(", ")
        )
    })
}
