//! What plans look like, on fleets that can be thought through.

#![expect(clippy::float_cmp, reason = "sums of whole numbers of bytes are exact")]

use std::collections::BTreeSet;

use glowplug_layers::{
    Distribution, Fleet, Function, Options, Plan, Weights, baseline_everything, baseline_none, optimise,
};

fn distribution(name: &str, version: &str, megabytes: u64, moves: f64) -> Distribution {
    Distribution {
        name: name.into(),
        version: version.into(),
        digest: format!("{name}-{version}"),
        unzipped: megabytes * 3_000_000,
        compressed: megabytes * 1_000_000,
        moves,
        hot: true,
    }
}

fn function(name: &str, needs: &[usize]) -> Function {
    Function {
        name: name.into(),
        own_unzipped: 30_000,
        own_compressed: 10_000,
        cold_starts: 1.0,
        needs: needs.iter().copied().collect(),
        ..Function::default()
    }
}

/// Two that share numbers, two that share the service's client, and one with an older client.
fn fleet() -> Fleet {
    Fleet {
        distributions: vec![
            distribution("numpy", "2", 16, 1.0),
            distribution("pandas", "2", 13, 1.0),
            distribution("boto3", "1.35", 12, 20.0),
            distribution("boto3", "1.20", 9, 1.0),
            distribution("tiny", "1", 1, 1.0),
        ],
        functions: vec![
            function("a", &[0, 1, 2]),
            function("b", &[0, 1, 2]),
            function("c", &[2, 4]),
            function("d", &[3, 4]),
        ],
    }
}

fn members(plan: &Plan) -> Vec<Vec<usize>> {
    plan.layers.iter().map(|layer| layer.members.iter().copied().collect()).collect()
}

fn users(plan: &Plan) -> Vec<Vec<usize>> {
    plan.layers.iter().map(|layer| layer.users.iter().copied().collect()).collect()
}

#[test]
fn what_moves_often_and_what_is_shared_otherwise_lie_apart() {
    let plan = optimise(&fleet(), &Options::default()).unwrap();
    assert_eq!(members(&plan), [vec![2], vec![0], vec![1], vec![4]]);
    assert_eq!(users(&plan), [vec![0, 1, 2], vec![0, 1], vec![0, 1], vec![2, 3]]);
    assert!(plan.exact && plan.gap() == 0.0);
    assert_eq!(plan.attached(0).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn one_layer_holds_what_pays_most() {
    let plan = optimise(&fleet(), &Options { most_layers: 1, ..Options::default() }).unwrap();
    // The client moves twenty times: in the zips everything beside it would be published again each time.
    assert_eq!((members(&plan), users(&plan)), (vec![vec![2]], vec![vec![0, 1, 2]]));
    let mut calm = fleet();
    calm.distributions[2].moves = 1.0;
    let plan = optimise(&calm, &Options { most_layers: 1, ..Options::default() }).unwrap();
    assert_eq!((members(&plan), users(&plan)), (vec![vec![0, 1, 2]], vec![vec![0, 1]]));
}

#[test]
fn stored_bytes_alone_leave_the_republished_out_of_account() {
    let weights = Weights { stored: 1.0, downloaded: 0.0, republished: 0.0, mixed: 0.0 };
    let plan = optimise(&fleet(), &Options { weights, ..Options::default() }).unwrap();
    let distributions = [16.0, 13.0, 12.0, 9.0, 1.0].iter().sum::<f64>() * 1e6;
    assert!((plan.cost.stored - distributions - 4.0 * 10_000.0).abs() < 1.0, "{plan:?}");
}

#[test]
fn hot_and_other_things_lie_apart_where_layers_are_left() {
    let mut fleet = fleet();
    fleet.distributions[1].hot = false;
    let weights = Weights { stored: 1.0, downloaded: 1.0, republished: 0.0, mixed: 0.1 };
    let plan = optimise(&fleet, &Options { weights, ..Options::default() }).unwrap();
    assert!(members(&plan).iter().all(|set| !(set.contains(&0) && set.contains(&1))), "{plan:?}");
    assert!(plan.cost.mixed < 1.0);
}

#[test]
fn a_function_with_five_layers_of_its_own_takes_part_in_nothing() {
    let mut fleet = fleet();
    fleet.functions[0].own_layers = 5;
    let plan = optimise(&fleet, &Options::default()).unwrap();
    assert!(plan.layers.iter().all(|layer| !layer.users.contains(&0)));
    fleet.functions[0].own_layers = 4;
    let plan = optimise(&fleet, &Options::default()).unwrap();
    assert_eq!(plan.attached(0).count(), 1);
}

#[test]
fn what_a_function_does_not_need_comes_only_where_that_is_allowed() {
    let heavy = Weights { stored: 1.0, downloaded: 0.0, republished: 0.0, mixed: 0.0 };
    let fleet = Fleet {
        distributions: vec![distribution("x", "1", 9, 1.0), distribution("y", "1", 8, 1.0)],
        functions: vec![function("a", &[0, 1]), function("b", &[0, 1]), function("c", &[0])],
    };
    let options = Options { weights: heavy, most_layers: 1, ..Options::default() };
    let strict = optimise(&fleet, &options).unwrap();
    assert_eq!(strict.cost.stored, 25_030_000.0);
    let lax = optimise(&fleet, &Options { unneeded: true, ..options }).unwrap();
    assert_eq!(lax.cost.stored, 17_030_000.0);
    let mut refusing = fleet;
    refusing.functions[2].refuses = BTreeSet::from([1]);
    assert_eq!(
        optimise(&refusing, &Options { unneeded: true, ..options }).unwrap().cost.stored,
        25_030_000.0
    );
}

#[test]
fn baselines_are_what_they_say() {
    let (fleet, options) = (fleet(), Options::default());
    let none = baseline_none(&fleet, &options);
    assert_eq!(none.cost.stored, (41.0 + 41.0 + 13.0 + 10.0) * 1e6 + 40_000.0);
    let everything = baseline_everything(&fleet, &options);
    let held: Vec<usize> = everything.layers[0].members.iter().copied().collect();
    assert_eq!(held, [0, 1, 2, 4], "of two versions the one that more functions need");
    assert_eq!(everything.cost.stored, 42e6 + 40_000.0 + 9e6);
    assert_eq!(everything.cost.downloaded, 4.0 * 42e6 + 40_000.0 + 9e6);
    assert!(everything.fits);
    assert!(optimise(&fleet, &options).unwrap().cost.total < everything.cost.total.min(none.cost.total));
}

#[test]
fn too_many_for_a_proof_still_get_a_plan_and_a_bound() {
    let distributions: Vec<Distribution> = (0_u64..150)
        .map(|index| Distribution {
            unzipped: 1_000_000,
            ..distribution(&format!("d{index}"), "1", 1 + index * 7919 % 13, 1.0 + (index % 5) as f64)
        })
        .collect();
    let functions: Vec<Function> = (0..20_usize)
        .map(|at| {
            let needs: Vec<usize> = (0..150).filter(|index| (index * 31 + at * 17) % 11 < 2).collect();
            function(&format!("f{at}"), &needs)
        })
        .collect();
    let fleet = Fleet { distributions, functions };
    let options = Options { effort: 20_000, ..Options::default() };
    let plan = optimise(&fleet, &options).unwrap();
    assert!(!plan.exact && plan.gap() > 0.0 && plan.gap() < 1.0, "{}", plan.gap());
    assert!(plan.cost.total < baseline_none(&fleet, &options).cost.total);
    assert_eq!(plan, optimise(&fleet, &options).unwrap(), "the same every time");
}

#[test]
fn a_fleet_that_cannot_be_is_refused_with_its_reason() {
    let mut two = fleet();
    two.functions[0].needs.insert(3);
    let error = optimise(&two, &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "`a` needs `boto3` twice: versions 1.35 and 1.20");
    let mut large = fleet();
    large.functions[0].own_unzipped = 200_000_000;
    let error = optimise(&large, &Options::default()).unwrap_err();
    assert!(error.message().starts_with("`a` unzips to 323000000 bytes"), "{error}");
    let mut odd = fleet();
    odd.distributions[0].moves = f64::NAN;
    assert!(optimise(&odd, &Options::default()).unwrap_err().to_string().contains("`moves` of `numpy`"));
    let weights = Weights { stored: -1.0, ..Weights::default() };
    let error = optimise(&fleet(), &Options { weights, ..Options::default() }).unwrap_err();
    assert!(error.to_string().contains("`stored`"), "{error}");
}

#[test]
fn an_empty_fleet_has_no_layers() {
    let plan = optimise(&Fleet::default(), &Options::default()).unwrap();
    assert!(plan.layers.is_empty() && plan.exact);
    let baseline = baseline_everything(&Fleet::default(), &Options::default());
    assert!(baseline.layers.is_empty() && baseline.fits);
}
