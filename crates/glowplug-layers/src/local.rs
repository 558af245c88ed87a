//! A good plan, fast: grown layer by layer, then improved one item at a time, then shaken and improved again.
//!
//! No clock and no chance are in it: the same fleet gives the same plan.

use std::collections::BTreeSet;

use crate::problem::{Bits, Problem, bit};

/// Times a plan is shaken.
const SHAKES: usize = 160;

/// A share of a cost that is none.
pub(crate) const ROUNDING: f64 = 1e-12;

/// A plan and what it costs.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// For each item its layer from 1 on, or 0.
    pub(crate) places: Vec<u8>,
    pub(crate) cost: f64,
}

/// The best plan that was found.
pub(crate) fn search(problem: &Problem) -> Found {
    let search = Search { problem, everybody: everybody(problem), audiences: audiences(problem) };
    let nothing = search.improved(vec![0; problem.items.len()]);
    let mut best = better(nothing, search.grown());
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for _ in 0..if problem.items.is_empty() { 0 } else { SHAKES } {
        let shaken = search.shaken(&best.places, &mut numbers);
        best = better(best, search.improved(shaken));
    }
    best
}

struct Search<'a> {
    problem: &'a Problem,
    /// Every item.
    everybody: Bits,
    /// Sets of functions that a layer might be for.
    audiences: Vec<Bits>,
}

fn everybody(problem: &Problem) -> Bits {
    (0..problem.items.len()).fold(0, |set, item| set | bit(item))
}

/// The users of each item, and what two items have in common. Functions beyond what a set holds take no part in growing.
fn audiences(problem: &Problem) -> Vec<Bits> {
    let users = |item| problem.users(item).filter(|seat| *seat < Bits::BITS as usize);
    let of: BTreeSet<Bits> =
        (0..problem.items.len()).map(|item| users(item).fold(0, |set, seat| set | bit(seat))).collect();
    let mut all = of.clone();
    for one in &of {
        all.extend(of.iter().map(|other| one & other));
    }
    all.into_iter().filter(|set| set.count_ones() as usize >= problem.options.least_users).collect()
}

/// The cheaper one. A gain below what sums of this size lose in rounding is none.
fn better(one: Found, other: Found) -> Found {
    if other.cost < one.cost * (1.0 - ROUNDING) { other } else { one }
}

impl Search<'_> {
    fn cost(&self, places: &[u8]) -> f64 {
        self.problem.cost(&self.problem.layers(places), self.everybody)
    }

    /// Moves single items as long as that pays.
    fn improved(&self, mut places: Vec<u8>) -> Found {
        let mut cost = self.cost(&places);
        loop {
            let before = cost;
            for item in 0..places.len() {
                let mut best = places[item];
                for place in 0..=self.problem.options.most_layers as u8 {
                    places[item] = place;
                    let tried = self.cost(&places);
                    if tried < cost * (1.0 - ROUNDING) {
                        (cost, best) = (tried, place);
                    }
                }
                places[item] = best;
            }
            if cost >= before {
                return Found { places, cost };
            }
        }
    }

    /// One layer after the other, each with all that the functions it is for have in common.
    fn grown(&self) -> Found {
        let mut best = Found { places: vec![0; self.problem.items.len()], cost: f64::INFINITY };
        best.cost = self.cost(&best.places);
        for layer in 1..=self.problem.options.most_layers as u8 {
            let grown = self.audiences.iter().map(|audience| {
                let mut places = best.places.clone();
                self.fill(&mut places, layer, *audience);
                Found { cost: self.cost(&places), places }
            });
            let Some(next) = grown.min_by(|a, b| a.cost.total_cmp(&b.cost)) else { break };
            best = better(best, next);
        }
        self.improved(best.places)
    }

    /// Puts what is in no layer, and all of these functions need, into one.
    fn fill(&self, places: &mut [u8], layer: u8, audience: Bits) {
        for (item, place) in places.iter_mut().enumerate().filter(|(_, place)| **place == 0) {
            let users = self.problem.users(item).filter(|seat| *seat < Bits::BITS as usize);
            if users.fold(0, |set, seat| set | bit(seat)) & audience == audience {
                *place = layer;
            }
        }
    }

    /// Empties a layer and fills one for other functions, or moves a few items at random.
    fn shaken(&self, places: &[u8], numbers: &mut Numbers) -> Vec<u8> {
        let mut shaken = places.to_vec();
        let layers = self.problem.options.most_layers.max(1);
        if numbers.below(2) == 0 && !self.audiences.is_empty() {
            for _ in 0..=numbers.below(2) {
                let layer = 1 + numbers.below(layers) as u8;
                shaken.iter_mut().filter(|place| **place == layer).for_each(|place| *place = 0);
                self.fill(&mut shaken, layer, self.audiences[numbers.below(self.audiences.len())]);
            }
        } else {
            for _ in 0..2 + numbers.below(3) {
                let item = numbers.below(shaken.len());
                shaken[item] = numbers.below(layers + 1) as u8;
            }
        }
        shaken
    }
}

/// The same numbers every time (xorshift64*; G. Marsaglia, S. Vigna).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }
}
