//! The proof: no plan is cheaper, or none by more than this.
//!
//! Russian doll search (G. Verfaillie, M. Lemaître, T. Schiex: "Russian Doll Search for Solving Constraint Optimization
//! Problems", 1996): the last item alone, then the last two, and so on; what the inner dolls cost is a lower bound for
//! what is not placed yet in the outer ones. To that comes what an open item has to share with those placed already.

use crate::cost::Held;
use crate::local::{Found, ROUNDING};
use crate::problem::{Bits, Problem, bit, each};

/// What a proof has shown.
#[derive(Debug, Clone)]
pub(crate) struct Proved {
    /// The best plan that is known.
    pub(crate) found: Found,
    /// No plan costs less.
    pub(crate) bound: f64,
    /// Whether the plan is the best one.
    pub(crate) exact: bool,
    /// Nodes that were looked at.
    pub(crate) nodes: u64,
}

/// Looks for a plan that is cheaper than the one `found`, at no more than `effort` nodes.
pub(crate) fn prove(problem: &Problem, found: Found, effort: u64) -> Proved {
    let items = problem.items.len();
    let base = problem.cost(&[], 0);
    let mut dolls = Dolls {
        problem,
        gains: vec![0.0; items + 1],
        base,
        left: effort,
        best: f64::INFINITY,
        places: vec![0; items],
    };
    for first in (0..items).rev() {
        let ceiling =
            if first == 0 { found.cost - base } else { dolls.bound_from_above(first, &found.places) };
        // A little above the plan that is known, so that its equal is found again and rounding cannot hide it.
        dolls.best = ceiling + ceiling.abs() * 1e-9 + 1e-6;
        let before = dolls.best;
        let mut layers = vec![Held::default(); problem.options.most_layers];
        let mut places = vec![0; items];
        if !dolls.place(first, &mut layers, 0, &mut places) {
            let bound = base + dolls.gains[first + 1];
            return Proved { found, bound, exact: false, nodes: effort };
        }
        dolls.gains[first] = if dolls.best < before { dolls.best } else { ceiling };
    }
    let nodes = effort - dolls.left;
    let cost = base + dolls.gains[0];
    let known = dolls.places.clone();
    let best =
        if cost < found.cost * (1.0 - ROUNDING) && items > 0 { Found { places: known, cost } } else { found };
    Proved { bound: best.cost, found: best, exact: true, nodes }
}

struct Dolls<'a> {
    problem: &'a Problem,
    /// By its first item: what the doll costs beyond the base.
    gains: Vec<f64>,
    /// What the functions cost without any item.
    base: f64,
    left: u64,
    /// The same of the best plan for the present doll.
    best: f64,
    places: Vec<u8>,
}

impl Dolls<'_> {
    /// What the known plan costs, restricted to the items from `first` on: a plan for that doll.
    fn bound_from_above(&self, first: usize, places: &[u8]) -> f64 {
        let mut restricted = places.to_vec();
        restricted[..first].fill(0);
        let placed = (first..places.len()).fold(0, |set, item| set | bit(item));
        self.problem.cost(&self.problem.layers(&restricted), placed) - self.base
    }

    /// Places the items from `item` on; false where the effort is spent.
    fn place(&mut self, item: usize, layers: &mut [Held], placed: Bits, places: &mut Vec<u8>) -> bool {
        let problem = self.problem;
        if item == problem.items.len() {
            let gain = problem.cost(layers, placed) - self.base;
            if gain < self.best {
                self.best = gain;
                self.places.clone_from(places);
            }
            return true;
        }
        let used = layers.iter().take_while(|layer| layer.set != 0).count();
        let placed = placed | bit(item);
        // Empty layers are alike: one of them is enough.
        let open = (used + 1).min(layers.len());
        let mut options: Vec<(f64, usize)> = Vec::with_capacity(open + 1);
        for place in 0..=open {
            if self.left == 0 {
                return false;
            }
            self.left -= 1;
            let kept = problem.put_into(layers, place, item);
            let gain = problem.cost(layers, placed) - self.base;
            let rest = self.gains[item + 1] + shared(problem, layers, placed, item + 1);
            if gain + rest < self.best {
                options.push((gain + rest, place));
            }
            if let Some(kept) = kept {
                layers[place - 1] = kept;
            }
        }
        options.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (bound, place) in options {
            if bound >= self.best {
                break;
            }
            let kept = problem.put_into(layers, place, item);
            places[item] = place as u8;
            let whole = self.place(item + 1, layers, placed, places);
            places[item] = 0;
            if let Some(kept) = kept {
                layers[place - 1] = kept;
            }
            if !whole {
                return false;
            }
        }
        true
    }
}

impl Problem {
    /// Puts an item into a layer, if it is one, and gives back what that was before.
    fn put_into(&self, layers: &mut [Held], place: usize, item: usize) -> Option<Held> {
        let layer = layers.get_mut(place.checked_sub(1)?)?;
        let kept = *layer;
        self.put(layer, item);
        Some(kept)
    }
}

/// What the open items from `first` on cost at least for being published again with those placed already, and the
/// other way round: for each its cheapest place. Where functions may choose among layers, nothing is certain.
fn shared(problem: &Problem, layers: &[Held], placed: Bits, first: usize) -> f64 {
    if problem.options.unneeded || problem.per_move == 0.0 || first == problem.items.len() {
        return 0.0;
    }
    let zips: Vec<(f64, f64)> = problem
        .seats
        .iter()
        .map(|seat| {
            if seat.room < layers.len() {
                return (0.0, 0.0);
            }
            let attached = layers.iter().filter(|layer| layer.set & !seat.may == 0);
            let held = attached.fold(0, |held, layer| held | layer.set);
            each(seat.needs & placed & !held).fold((0.0, 0.0), |(bytes, moves), item| {
                (bytes + problem.items[item].bytes, moves + problem.items[item].moves)
            })
        })
        .collect();
    (first..problem.items.len()).map(|item| cheapest(problem, layers, &zips, item)).sum::<f64>()
        * problem.per_move
}

/// For one item: the least of its moves times the bytes beside it, and its bytes times the moves beside it.
fn cheapest(problem: &Problem, layers: &[Held], zips: &[(f64, f64)], item: usize) -> f64 {
    let held = &problem.items[item];
    let beside = |(bytes, moves): (f64, f64)| held.moves * bytes + held.bytes * moves;
    let mut least: f64 = problem.users(item).map(|seat| beside(zips[seat])).sum();
    for layer in layers {
        if layer.set == 0 {
            return 0.0;
        }
        let mut cost = beside((layer.bytes, layer.moves));
        if cost < least {
            let without = problem.users(item).filter(|seat| layer.set & !problem.seats[*seat].may != 0);
            cost += without.map(|seat| beside(zips[seat])).sum::<f64>();
            least = least.min(cost);
        }
    }
    least
}
