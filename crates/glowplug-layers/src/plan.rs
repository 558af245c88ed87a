//! From a fleet to a plan, and what any plan costs.

use std::collections::BTreeSet;

use glowplug_core::Result;
use serde::Serialize;

use crate::exact::prove;
use crate::local::search;
use crate::model::{Fleet, LAYERS_PER_FUNCTION, Options, UNZIPPED_LIMIT, UPDATE_BYTES};
use crate::problem::{Problem, each, groups};

/// Items that are proved together where all are too many.
const CHUNK: usize = 10;

/// A shared layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// The distributions in it.
    pub members: BTreeSet<usize>,
    /// The functions that attach it.
    pub users: BTreeSet<usize>,
}

/// The objective and its parts, in weighted bytes.
///
/// - stored: every layer once, and every zip;
/// - downloaded: every byte of a function's zip and of the layers that it attaches, by its cold starts;
/// - republished, when one dependency moves: for each member that moves a layer is published whole and every function
///   that attaches it is updated ([`UPDATE_BYTES`]); a zip that holds it is published whole. The mean over all moves, by
///   their rates;
/// - mixed: of a layer's hot and other bytes, the fewer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Bytes, not weighted.
    pub stored: f64,
    /// Bytes by cold starts, not weighted.
    pub downloaded: f64,
    /// Bytes for one move, not weighted.
    pub republished: f64,
    /// Bytes, not weighted.
    pub mixed: f64,
    /// The weighted sum.
    pub total: f64,
}

/// What [`optimise`] gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// At most [`Options::most_layers`]: those with more users first, then the larger ones.
    pub layers: Vec<Layer>,
    /// What it costs.
    pub cost: Cost,
    /// No plan costs less.
    pub lower_bound: f64,
    /// Whether it is proved to be the best.
    pub exact: bool,
    /// Search nodes that the proof has taken.
    pub nodes: u64,
}

impl Plan {
    /// How much a better plan could save at most, as a share of this one's cost.
    pub fn gap(&self) -> f64 {
        if self.exact || self.cost.total <= 0.0 { 0.0 } else { 1.0 - self.lower_bound / self.cost.total }
    }

    /// The layers of a function, in the order of [`Plan::layers`].
    pub fn attached(&self, function: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.layers.len()).filter(move |layer| self.layers[*layer].users.contains(&function))
    }
}

/// Another way to ship the fleet, to compare with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Baseline {
    /// Its layers.
    pub layers: Vec<Layer>,
    /// What it costs.
    pub cost: Cost,
    /// Whether Lambda would take it: nothing unpacks to more than its limit.
    pub fits: bool,
}

/// Finds the best layers of a fleet.
///
/// # Errors
/// As [`Fleet::check`].
pub fn optimise(fleet: &Fleet, options: &Options) -> Result<Plan> {
    fleet.check(options)?;
    let options = Options { most_layers: options.most_layers.min(LAYERS_PER_FUNCTION), ..*options };
    let problem = Problem::of(fleet, options);
    let proved = prove(&problem, search(&problem), options.effort);
    let held = problem.layers(&proved.found.places);
    let all = (0..problem.items.len()).fold(0, |set, item| set | crate::problem::bit(item));
    let attached: Vec<u32> = problem.seats.iter().map(|seat| problem.seat_cost(seat, &held, all).1).collect();
    let mut layers: Vec<Layer> = held
        .iter()
        .enumerate()
        .map(|(index, layer)| Layer {
            members: each(layer.set).flat_map(|item| problem.items[item].members.clone()).collect(),
            users: (0..attached.len()).filter(|seat| attached[*seat] & 1 << index != 0).collect(),
        })
        .filter(|layer| !layer.members.is_empty() && !layer.users.is_empty())
        .collect();
    let bytes = |layer: &Layer| -> u64 {
        layer.members.iter().map(|index| fleet.distributions[*index].compressed).sum()
    };
    layers.sort_by_key(|layer| {
        (std::cmp::Reverse((layer.users.len(), bytes(layer))), layer.members.first().copied())
    });
    let cost = price(fleet, &options, &layers);
    let left_out = groups(fleet, &options).len() > problem.items.len();
    let exact = proved.exact && !left_out;
    let lower_bound = if exact {
        cost.total
    } else {
        let whole = if left_out { 0.0 } else { proved.bound };
        whole.max(bound_in_parts(fleet, options)).min(cost.total)
    };
    Ok(Plan { layers, cost, lower_bound, exact, nodes: proved.nodes })
}

/// A lower bound: each part of the items at its best, as if the others were nowhere.
fn bound_in_parts(fleet: &Fleet, options: Options) -> f64 {
    let groups = groups(fleet, &options);
    let base = Problem::with(fleet, options, &[], false).cost(&[], 0);
    let parts = groups.chunks(CHUNK).map(|part| {
        let problem = Problem::with(fleet, options, part, false);
        prove(&problem, search(&problem), options.effort).bound - base
    });
    base + parts.sum::<f64>()
}

/// What these layers cost, told from the fleet alone. A function's zip holds what it needs and no layer brings it.
pub fn price(fleet: &Fleet, options: &Options, layers: &[Layer]) -> Cost {
    let bytes_of = |set: &BTreeSet<usize>| -> f64 {
        set.iter().map(|index| fleet.distributions[*index].compressed as f64).sum()
    };
    let moves_of =
        |set: &BTreeSet<usize>| -> f64 { set.iter().map(|index| fleet.distributions[*index].moves).sum() };
    let mut cost = Cost::default();
    for layer in layers {
        let (bytes, moves) = (bytes_of(&layer.members), moves_of(&layer.members));
        cost.stored += bytes;
        cost.republished += moves * (bytes + UPDATE_BYTES * layer.users.len() as f64);
        let hot = layer.members.iter().copied().filter(|index| fleet.distributions[*index].hot).collect();
        let hot = bytes_of(&hot);
        cost.mixed += hot.min(bytes - hot);
    }
    for (at, function) in fleet.functions.iter().enumerate() {
        let attached: Vec<&Layer> = layers.iter().filter(|layer| layer.users.contains(&at)).collect();
        let held: BTreeSet<usize> = attached.iter().flat_map(|layer| layer.members.iter().copied()).collect();
        let zip: BTreeSet<usize> = function.needs.difference(&held).copied().collect();
        let bytes = function.own_compressed as f64 + bytes_of(&zip);
        let layered: f64 = attached.iter().map(|layer| bytes_of(&layer.members)).sum();
        cost.stored += bytes;
        cost.downloaded += function.cold_starts * (bytes + layered);
        cost.republished += moves_of(&zip) * (bytes + UPDATE_BYTES) + function.releases * bytes;
    }
    let moves = fleet.moves();
    cost.republished = if moves > 0.0 { cost.republished / moves } else { 0.0 };
    let weights = options.weights;
    cost.total = weights.stored * cost.stored
        + weights.downloaded * cost.downloaded
        + weights.republished * cost.republished
        + weights.mixed * cost.mixed;
    cost
}

/// No layers: every function has everything in its zip.
pub fn baseline_none(fleet: &Fleet, options: &Options) -> Baseline {
    let fits = fleet.functions.iter().all(|function| fleet.unzipped(function) <= UNZIPPED_LIMIT);
    Baseline { layers: Vec::new(), cost: price(fleet, options, &[]), fits }
}

/// One layer with everything that may be in a layer, attached by every function that has room for one. Of several
/// versions of a distribution it holds the one that most functions need; the others stay in the zips.
pub fn baseline_everything(fleet: &Fleet, options: &Options) -> Baseline {
    let movable = groups(fleet, &Options { least_users: 1, ..*options });
    let users =
        |index: &usize| fleet.functions.iter().filter(|function| function.needs.contains(index)).count();
    let mut members: BTreeSet<usize> = BTreeSet::new();
    for index in movable.iter().flat_map(|(members, _)| members) {
        let name = &fleet.distributions[*index].name;
        let other = members.iter().copied().find(|other| fleet.distributions[*other].name == *name);
        match other {
            Some(other) if users(&other) >= users(index) => {}
            Some(other) => {
                members.remove(&other);
                members.insert(*index);
            }
            None => {
                members.insert(*index);
            }
        }
    }
    let attach = |function: &crate::model::Function| function.own_layers < LAYERS_PER_FUNCTION;
    let users = (0..fleet.functions.len()).filter(|at| attach(&fleet.functions[*at])).collect();
    let layers = if members.is_empty() { Vec::new() } else { vec![Layer { members, users }] };
    let unzipped = |function: &crate::model::Function| -> u64 {
        let mut held = function.needs.clone();
        held.extend(layers.iter().flat_map(|layer| layer.members.iter().copied()));
        function.own_unzipped + held.iter().map(|index| fleet.distributions[*index].unzipped).sum::<u64>()
    };
    let fits = fleet.functions.iter().all(|function| unzipped(function) <= UNZIPPED_LIMIT);
    let cost = price(fleet, options, &layers);
    Baseline { layers, cost, fits }
}
