//! What a choice of layers costs, for all items or for those that are placed so far.
//!
//! The cost of a part never exceeds its share of the whole: with more items zips and layers only grow, and functions
//! can only attach fewer layers. Placing two parts apart is therefore a lower bound for placing them together, on
//! which the proof in `exact` rests.

use crate::model::UPDATE_BYTES;
use crate::problem::{Bits, Problem, Seat, each};

/// A layer as far as it is filled.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    pub(crate) set: Bits,
    pub(crate) bytes: f64,
    pub(crate) moves: f64,
    pub(crate) hot: f64,
    pub(crate) unzipped: u64,
}

impl Problem {
    /// The layers of an assignment: for each item its layer from 1 on, or 0 where it stays in the zips.
    pub(crate) fn layers(&self, places: &[u8]) -> Vec<Held> {
        let mut layers = vec![Held::default(); self.options.most_layers];
        for (item, place) in places.iter().enumerate().filter(|(_, place)| **place > 0) {
            self.put(&mut layers[usize::from(*place) - 1], item);
        }
        layers
    }

    /// Puts an item into a layer.
    pub(crate) fn put(&self, layer: &mut Held, item: usize) {
        let held = &self.items[item];
        layer.set |= crate::problem::bit(item);
        layer.bytes += held.bytes;
        layer.moves += held.moves;
        layer.hot += held.hot;
        layer.unzipped += held.unzipped;
    }

    /// The cost of layers with the items in `placed`, infinite where a layer has too few functions that can attach it.
    pub(crate) fn cost(&self, layers: &[Held], placed: Bits) -> f64 {
        let weights = &self.options.weights;
        let mut total = 0.0;
        for layer in layers.iter().filter(|layer| layer.set != 0) {
            if self.can_attach(layer.set) < self.options.least_users {
                return f64::INFINITY;
            }
            total += layer.bytes * (weights.stored + self.per_move * layer.moves);
            total += weights.mixed * layer.hot.min(layer.bytes - layer.hot);
        }
        total + self.seats.iter().map(|seat| self.seat_cost(seat, layers, placed).0).sum::<f64>()
    }

    /// How many functions may attach a layer with this in it.
    fn can_attach(&self, set: Bits) -> usize {
        self.seats.iter().filter(|seat| set & !seat.may == 0 && seat.room > 0).count()
    }

    /// What one function costs at its best, and which layers, as bits of their indices, it attaches for that.
    pub(crate) fn seat_cost(&self, seat: &Seat, layers: &[Held], placed: Bits) -> (f64, u32) {
        let wanted = seat.needs & placed;
        let mut attachable = 0_u32;
        for (index, layer) in layers.iter().enumerate() {
            if layer.set & !seat.may == 0 && layer.set & seat.needs != 0 {
                attachable |= 1 << index;
            }
        }
        if !self.options.unneeded && attachable.count_ones() as usize <= seat.room {
            // What is needed anyhow costs no more in a layer than in the zip.
            return (
                self.with_attached(seat, layers, wanted, attachable).unwrap_or(f64::INFINITY),
                attachable,
            );
        }
        let mut best = (f64::INFINITY, 0);
        let mut chosen = attachable;
        loop {
            if chosen.count_ones() as usize <= seat.room
                && let Some(cost) = self.with_attached(seat, layers, wanted, chosen)
                && cost < best.0
            {
                best = (cost, chosen);
            }
            if chosen == 0 {
                return best;
            }
            chosen = (chosen - 1) & attachable;
        }
    }

    /// The cost of a function with these layers; `None` where it may not have them together.
    fn with_attached(&self, seat: &Seat, layers: &[Held], wanted: Bits, chosen: u32) -> Option<f64> {
        let weights = &self.options.weights;
        let fetched = weights.downloaded * seat.cold_starts;
        let mut held: Bits = 0;
        let mut cost = 0.0;
        for (index, layer) in layers.iter().enumerate().filter(|(index, _)| chosen & 1 << index != 0) {
            debug_assert!(index < 32, "a mask holds the layers");
            held |= layer.set;
            cost += fetched * layer.bytes + self.per_move * UPDATE_BYTES * layer.moves;
        }
        let extra = held & !seat.needs;
        if extra != 0 {
            let unzipped: u64 = each(extra).map(|item| self.items[item].unzipped).sum();
            if unzipped > seat.spare || each(held).any(|item| self.clashes[item] & held != 0) {
                return None;
            }
        }
        let (mut bytes, mut moves, mut updates) = (seat.bytes, seat.moves, seat.updates);
        for item in each(wanted & !held) {
            let item = &self.items[item];
            bytes += item.bytes;
            moves += item.moves;
            updates += item.moves;
        }
        cost += bytes * (weights.stored + fetched + self.per_move * moves);
        Some(cost + self.per_move * UPDATE_BYTES * updates)
    }
}
