//! The optimiser against every plan there is, on fleets that are small enough for that.

use std::collections::BTreeSet;

use glowplug_layers::{
    Cost, Distribution, Fleet, Function, LAYERS_PER_FUNCTION, Layer, Options, Weights, baseline_none,
    optimise, price,
};
use proptest::prelude::*;

/// Distributions and layers of the small fleets: 4⁵ plans.
const DISTRIBUTIONS: usize = 5;
const LAYERS: usize = 3;

/// Whether a function may have a distribution in a layer.
fn may(fleet: &Fleet, options: &Options, function: &Function, index: usize) -> bool {
    if function.needs.contains(&index) {
        return !function.stays.contains(&index);
    }
    let name = &fleet.distributions[index].name;
    options.unneeded
        && !function.refuses.contains(&index)
        && function.needs.iter().all(|needed| fleet.distributions[*needed].name != *name)
}

fn room(function: &Function) -> usize {
    LAYERS_PER_FUNCTION.saturating_sub(function.own_layers)
}

/// Why functions, layers and limits do not go together; nothing where they do.
fn faults(fleet: &Fleet, options: &Options, layers: &[Layer]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, function) in fleet.functions.iter().enumerate() {
        let attached: Vec<&Layer> = layers.iter().filter(|layer| layer.users.contains(&at)).collect();
        let held: BTreeSet<usize> = attached.iter().flat_map(|layer| layer.members.iter().copied()).collect();
        let all: BTreeSet<usize> = held.union(&function.needs).copied().collect();
        let names: BTreeSet<&String> = all.iter().map(|index| &fleet.distributions[*index].name).collect();
        if attached.len() > room(function) {
            found.push(format!("{} has too many layers", function.name));
        }
        if names.len() < all.len() {
            found.push(format!("{} has two versions", function.name));
        }
        if !held.iter().all(|index| may(fleet, options, function, *index)) {
            found.push(format!("{} gets what it may not have", function.name));
        }
        if function.tangles.iter().any(|tangle| !tangle.is_subset(&held) && !tangle.is_disjoint(&held)) {
            found.push(format!("{} has a tangle in two places", function.name));
        }
    }
    found
}

/// The least cost of any plan: every place for every distribution, every choice of layers for every function.
fn least(fleet: &Fleet, options: &Options) -> f64 {
    let count = fleet.distributions.len();
    let mut least = f64::INFINITY;
    for mut code in 0..(LAYERS + 1).pow(count as u32) {
        let mut members = vec![BTreeSet::new(); LAYERS];
        for index in 0..count {
            if let Some(layer) = (code % (LAYERS + 1)).checked_sub(1) {
                members[layer].insert(index);
            }
            code /= LAYERS + 1;
        }
        let users = |index: usize| {
            let users = fleet.functions.iter().filter(|f| f.needs.contains(&index) && room(f) > 0);
            users.filter(|f| !f.stays.contains(&index)).count()
        };
        if members.iter().flatten().any(|index| users(*index) < options.least_users) {
            continue;
        }
        let attachable = |layer: &BTreeSet<usize>, function: &Function| {
            layer.iter().all(|index| may(fleet, options, function, *index))
        };
        let wanted = |layer: &BTreeSet<usize>| {
            fleet.functions.iter().filter(|f| room(f) > 0 && attachable(layer, f)).count()
                >= options.least_users
        };
        members.retain(|layer| !layer.is_empty());
        if !members.iter().all(wanted) {
            continue;
        }
        least = least.min(cheapest(fleet, options, &members));
    }
    least
}

/// The cost of these layers with the best choice for each function, one function at a time: what a function chooses
/// changes nobody else's costs.
fn cheapest(fleet: &Fleet, options: &Options, members: &[BTreeSet<usize>]) -> f64 {
    let mut layers: Vec<Layer> =
        members.iter().map(|set| Layer { members: set.clone(), users: BTreeSet::new() }).collect();
    for at in 0..fleet.functions.len() {
        let mut best = (f64::INFINITY, layers.clone());
        for choice in 0..1_usize << layers.len() {
            let mut tried = layers.clone();
            for (index, layer) in tried.iter_mut().enumerate().filter(|(index, _)| choice & 1 << index != 0) {
                debug_assert!(index < LAYERS);
                layer.users.insert(at);
            }
            if !faults(fleet, options, &tried).is_empty() {
                continue;
            }
            let cost = price(fleet, options, &tried).total;
            if cost < best.0 {
                best = (cost, tried);
            }
        }
        layers = best.1;
    }
    price(fleet, options, &layers).total
}

/// Distributions of which the last two are versions of one.
fn distributions() -> impl Strategy<Value = Vec<Distribution>> {
    let drawn = (1_u64..1000, 0_u32..6, any::<bool>());
    proptest::collection::vec(drawn, DISTRIBUTIONS).prop_map(|drawn| {
        let made = |(index, (kilobytes, moves, hot)): (usize, (u64, u32, bool))| Distribution {
            name: format!("d{}", index.min(DISTRIBUTIONS - 2)),
            version: index.to_string(),
            digest: index.to_string(),
            unzipped: kilobytes * 3000,
            compressed: kilobytes * 1000,
            moves: f64::from(moves),
            hot,
        };
        drawn.into_iter().enumerate().map(made).collect()
    })
}

/// Functions that never need both versions of one distribution.
fn functions() -> impl Strategy<Value = Vec<Function>> {
    let subset = || proptest::collection::btree_set(0..DISTRIBUTIONS, 0..=DISTRIBUTIONS);
    let own_layers = prop_oneof![4 => Just(0_usize), 1 => 3_usize..6];
    let drawn = (1_u64..500, 0_u32..4, 0_u32..3, subset(), subset(), subset(), own_layers);
    proptest::collection::vec(drawn, 2..5).prop_map(|drawn| {
        let numbered = drawn.into_iter().enumerate();
        let made = numbered.map(|(at, (own, cold, releases, mut needs, stays, refuses, own_layers))| {
            if needs.contains(&(DISTRIBUTIONS - 2)) {
                needs.remove(&(DISTRIBUTIONS - 1));
            }
            Function {
                name: format!("f{at}"),
                own_unzipped: own * 3000,
                own_compressed: own * 1000,
                cold_starts: f64::from(cold) / 2.0,
                releases: f64::from(releases) / 4.0,
                // A fifth of what is drawn stays, so that most can move.
                stays: stays.into_iter().filter(|index| index % 5 == at % 5).collect(),
                needs,
                refuses,
                tangles: Vec::new(),
                own_layers,
            }
        });
        made.collect()
    })
}

fn weights() -> impl Strategy<Value = Weights> {
    (0_u32..4, 0_u32..4, 0_u32..12, 0_u32..3).prop_map(|(stored, downloaded, republished, mixed)| Weights {
        stored: f64::from(stored),
        downloaded: f64::from(downloaded),
        republished: f64::from(republished),
        mixed: f64::from(mixed) / 10.0,
    })
}

fn fleets() -> impl Strategy<Value = (Fleet, Options)> {
    (distributions(), functions(), weights(), any::<bool>(), 1_usize..4).prop_map(
        |(distributions, functions, weights, unneeded, least_users)| {
            let options =
                Options { weights, most_layers: LAYERS, least_users, unneeded, ..Options::default() };
            (Fleet { distributions, functions }, options)
        },
    )
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-6 * (1.0 + one.abs())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_plan_is_cheaper((fleet, options) in fleets()) {
        let plan = optimise(&fleet, &options).unwrap();
        let least = least(&fleet, &options);
        prop_assert!(plan.exact);
        prop_assert!(near(plan.cost.total, least), "{} is not {least}: {plan:?}", plan.cost.total);
        prop_assert!(near(plan.lower_bound, least));
        prop_assert_eq!(faults(&fleet, &options, &plan.layers), Vec::<String>::new());
    }

    #[test]
    fn a_proof_that_ends_early_still_bounds((fleet, options) in fleets(), effort in 0_u64..60) {
        let plan = optimise(&fleet, &Options { effort, ..options }).unwrap();
        let least = least(&fleet, &options);
        prop_assert!(plan.lower_bound <= least * (1.0 + 1e-9) + 1e-6, "{} > {least}", plan.lower_bound);
        prop_assert!(plan.cost.total >= least * (1.0 - 1e-9) - 1e-6);
        prop_assert!(plan.cost.total <= baseline_none(&fleet, &options).cost.total + 1e-6);
        prop_assert!((0.0..=1.0).contains(&plan.gap()));
        prop_assert_eq!(faults(&fleet, &options, &plan.layers), Vec::<String>::new());
    }

    #[test]
    fn tangles_stay_together(
        (mut fleet, options) in fleets(),
        tangled in proptest::collection::vec(proptest::collection::btree_set(0..DISTRIBUTIONS, 2..4), 0..4),
    ) {
        for function in &mut fleet.functions {
            let here = tangled.iter().filter(|tangle| tangle.is_subset(&function.needs));
            function.tangles = here.cloned().collect();
        }
        let plan = optimise(&fleet, &Options { unneeded: false, ..options }).unwrap();
        prop_assert_eq!(faults(&fleet, &Options { unneeded: false, ..options }, &plan.layers), Vec::<String>::new());
    }

    #[test]
    fn the_parts_add_up((fleet, options) in fleets()) {
        let Cost { stored, downloaded, republished, mixed, total } = optimise(&fleet, &options).unwrap().cost;
        let weights = options.weights;
        let sum = weights.stored * stored + weights.downloaded * downloaded + weights.republished * republished;
        prop_assert!(near(sum + weights.mixed * mixed, total));
    }
}
