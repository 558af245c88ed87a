//! Which of many decisions make a check fail, found with few checks.

use std::collections::BTreeSet;

use glowplug_core::Result;

/// Finds decisions to undo so that `passes` holds for the rest. `units` are tried in their order;
/// `passes` gets the indices that are kept. Each culprit costs O(log n) checks: the shortest failing
/// prefix is found by halving, and its last unit is guilty given those before it.
///
/// The caller knows that all of them together fail. The search ends early with `most` culprits.
///
/// # Errors
/// Whatever `passes` returns as an error.
pub(crate) fn culprits(
    units: usize,
    most: usize,
    mut passes: impl FnMut(&BTreeSet<usize>) -> Result<bool>,
) -> Result<BTreeSet<usize>> {
    let mut guilty = BTreeSet::new();
    loop {
        let suspects: Vec<usize> = (0..units).filter(|unit| !guilty.contains(unit)).collect();
        if suspects.is_empty() || guilty.len() >= most {
            return Ok(guilty);
        }
        if !guilty.is_empty() && passes(&suspects.iter().copied().collect())? {
            return Ok(guilty);
        }
        // Invariant: the first `low` suspects pass, the first `high` fail.
        let (mut low, mut high) = (0, suspects.len());
        while high - low > 1 {
            let middle = low.midpoint(high);
            if passes(&suspects[..middle].iter().copied().collect())? {
                low = middle;
            } else {
                high = middle;
            }
        }
        guilty.insert(suspects[high - 1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(units: usize, bad: &BTreeSet<usize>) -> (BTreeSet<usize>, usize) {
        let mut checks = 0;
        let found = culprits(units, usize::MAX, |kept| {
            checks += 1;
            Ok(kept.is_disjoint(bad))
        })
        .unwrap();
        (found, checks)
    }

    #[test]
    fn one_culprit_among_many_takes_a_logarithm_of_checks() {
        let (found, checks) = run(1000, &BTreeSet::from([737]));
        assert_eq!(found, BTreeSet::from([737]));
        assert!(checks <= 11, "{checks}");
    }

    #[test]
    fn two_that_fail_only_together_lose_one() {
        let found = culprits(10, usize::MAX, |kept| Ok(!(kept.contains(&2) && kept.contains(&7)))).unwrap();
        assert_eq!(found, BTreeSet::from([7]));
    }

    proptest! {
        #[test]
        fn exactly_the_guilty_are_found(units in 1_usize..60, seeds in prop::collection::btree_set(0_usize..60, 1..5)) {
            let bad: BTreeSet<usize> = seeds.into_iter().filter(|s| *s < units).collect();
            prop_assume!(!bad.is_empty());
            let (found, _) = run(units, &bad);
            prop_assert_eq!(found, bad);
        }
    }
}
