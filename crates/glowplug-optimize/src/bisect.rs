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

/// The same where several runs may fail, each for reasons of its own. One failing run at a time is searched with, so
/// that each culprit costs O(log n) runs however many fail; then the others are tried on what is left. `failing` gets
/// the indices that are kept and the runs to try, and gives those of them that fail.
///
/// The caller knows that each of `runs` fails with all units. The search ends early with `most` culprits.
///
/// # Errors
/// Whatever `failing` returns as an error.
pub(crate) fn culprits_of_runs<Run: Copy>(
    units: usize,
    most: usize,
    runs: &[Run],
    mut failing: impl FnMut(&BTreeSet<usize>, &[Run]) -> Result<Vec<Run>>,
) -> Result<BTreeSet<usize>> {
    let mut left: Vec<usize> = (0..units).collect();
    let mut open = runs.to_vec();
    while let Some(run) = open.first().copied().filter(|_| !left.is_empty()) {
        let found = units - left.len();
        if found >= most {
            break;
        }
        let guilty = culprits(left.len(), most - found, |kept| {
            Ok(failing(&kept.iter().map(|index| left[*index]).collect(), &[run])?.is_empty())
        })?;
        let innocent = left.iter().enumerate().filter(|(index, _)| !guilty.contains(index));
        left = innocent.map(|(_, unit)| *unit).collect();
        open.remove(0);
        if !open.is_empty() && !left.is_empty() {
            open = failing(&left.iter().copied().collect(), &open)?;
        }
    }
    Ok((0..units).filter(|unit| !left.contains(unit)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn run(units: usize, bad: &BTreeSet<usize>) -> (BTreeSet<usize>, usize) {
        let mut checks = 0;
        let found = culprits(units, usize::MAX, |kept| {
            checks += 1;
            Ok(kept.is_disjoint(bad))
        })
        .unwrap();
        (found, checks)
    }

    /// Of `units`, to base 2, rounded up.
    fn logarithm(units: usize) -> usize {
        units.next_power_of_two().trailing_zeros() as usize
    }

    #[test]
    fn a_run_that_fails_whatever_is_kept_ends_the_search() {
        let found = culprits_of_runs(3, usize::MAX, &[0, 1], |_, runs| Ok(runs.to_vec())).unwrap();
        assert_eq!(found.len(), 3);
        let some = culprits_of_runs(3, 2, &[0, 1], |_, runs| Ok(runs.to_vec())).unwrap();
        assert_eq!(some.len(), 2, "the search ends with as many as were asked for");
        assert!(culprits_of_runs(0, usize::MAX, &[0], |_, runs| Ok(runs.to_vec())).unwrap().is_empty());
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
            let (found, checks) = run(units, &bad);
            // Halving, and one check that nothing else is wrong.
            prop_assert!(checks <= bad.len() * (logarithm(units) + 1), "{} checks", checks);
            prop_assert_eq!(found, bad);
        }

        #[test]
        fn runs_that_fail_together_are_searched_with_one_of_them(
            units in 1_usize..300,
            // Unit → the runs that it makes fail.
            seeds in prop::collection::btree_map(0_usize..300, prop::collection::btree_set(0_usize..14, 1..14), 1..5),
        ) {
            let bad: BTreeMap<usize, BTreeSet<usize>> = seeds.into_iter().filter(|(unit, _)| *unit < units).collect();
            prop_assume!(!bad.is_empty());
            let fails = |kept: &BTreeSet<usize>, run: &usize| bad.iter().any(|(unit, runs)| kept.contains(unit) && runs.contains(run));
            let every: BTreeSet<usize> = (0..units).collect();
            let failing: Vec<usize> = (0..14).filter(|run| fails(&every, run)).collect();
            let mut replays = 0;
            let found = culprits_of_runs(units, usize::MAX, &failing, |kept, runs| {
                replays += runs.len();
                Ok(runs.iter().filter(|run| fails(kept, run)).copied().collect())
            })
            .unwrap();
            prop_assert_eq!(found, bad.keys().copied().collect::<BTreeSet<_>>());
            // Each culprit by halving; after it, the runs that failed are tried once more.
            let most = bad.len() * (logarithm(units) + 1 + failing.len());
            prop_assert!(replays <= most, "{} replays, {} at most", replays, most);
        }
    }
}
