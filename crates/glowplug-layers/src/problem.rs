//! The fleet as the search sees it: items that move together, sets as bits.

use std::collections::BTreeSet;

use crate::model::{Fleet, Function, LAYERS_PER_FUNCTION, Options, UNZIPPED_LIMIT};

/// A set of items or functions.
pub(crate) type Bits = u128;

/// Items that the search takes; what is lighter than these stays in the zips.
pub(crate) const MOST_ITEMS: usize = Bits::BITS as usize;

/// Distributions that are in one place: one alone, or some that are tangled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Item {
    pub(crate) members: BTreeSet<usize>,
    pub(crate) bytes: f64,
    pub(crate) unzipped: u64,
    pub(crate) moves: f64,
    pub(crate) hot: f64,
}

/// A function as the search sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seat {
    /// Bytes and moves that are in its zip whatever is decided.
    pub(crate) bytes: f64,
    pub(crate) moves: f64,
    /// Moves of distributions among them, each of which is an update.
    pub(crate) updates: f64,
    pub(crate) cold_starts: f64,
    /// Items that it needs and that may leave its zip.
    pub(crate) needs: Bits,
    /// Items that a layer of its may hold.
    pub(crate) may: Bits,
    /// Layers that it can attach.
    pub(crate) room: usize,
    /// Bytes that it may unpack beyond what it needs.
    pub(crate) spare: u64,
}

/// What is searched.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) items: Vec<Item>,
    pub(crate) seats: Vec<Seat>,
    /// For each item, the others of which a function may not have both.
    pub(crate) clashes: Vec<Bits>,
    pub(crate) options: Options,
    /// What one byte for one move counts.
    pub(crate) per_move: f64,
}

/// The items of a set.
pub(crate) fn each(mut set: Bits) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (set != 0).then(|| {
            let index = set.trailing_zeros() as usize;
            set &= set - 1;
            index
        })
    })
}

pub(crate) const fn bit(index: usize) -> Bits {
    1 << index
}

impl Problem {
    /// The problem of a fleet, heaviest items first; those beyond [`MOST_ITEMS`] stay in the zips.
    pub(crate) fn of(fleet: &Fleet, options: Options) -> Self {
        let mut groups = groups(fleet, &options);
        groups.truncate(MOST_ITEMS);
        Self::with(fleet, options, &groups, true)
    }

    /// The problem in which these groups are the items. Other distributions are in the zips, or, without `rest`, those
    /// of them that might move are nowhere.
    pub(crate) fn with(fleet: &Fleet, options: Options, groups: &[Group], rest: bool) -> Self {
        let movable: BTreeSet<usize> = if rest {
            BTreeSet::new()
        } else {
            self::groups(fleet, &options).into_iter().flat_map(|(members, _)| members).collect()
        };
        let items: Vec<Item> = groups.iter().map(|(members, _)| Item::of(fleet, members)).collect();
        let seats = fleet
            .functions
            .iter()
            .enumerate()
            .map(|(index, function)| seat(fleet, function, index, groups, &movable, options.unneeded))
            .collect();
        let named = |members: &BTreeSet<usize>| -> BTreeSet<String> {
            members.iter().map(|index| fleet.distributions[*index].name.clone()).collect()
        };
        let names: Vec<BTreeSet<String>> = groups.iter().map(|(members, _)| named(members)).collect();
        let clashes = names
            .iter()
            .enumerate()
            .map(|(one, held)| {
                let others = names.iter().enumerate().filter(|(other, _)| *other != one);
                others
                    .filter(|(_, names)| !names.is_disjoint(held))
                    .fold(0, |set, (other, _)| set | bit(other))
            })
            .collect();
        let moves = fleet.moves();
        let per_move = if moves > 0.0 { options.weights.republished / moves } else { 0.0 };
        Self { items, seats, clashes, options, per_move }
    }

    /// The functions that need an item and may have it in a layer.
    pub(crate) fn users(&self, item: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.seats.len()).filter(move |seat| self.seats[*seat].needs & bit(item) != 0)
    }
}

impl Item {
    fn of(fleet: &Fleet, members: &BTreeSet<usize>) -> Self {
        let mut item = Self { members: members.clone(), ..Self::default() };
        for index in members {
            let distribution = &fleet.distributions[*index];
            item.bytes += distribution.compressed as f64;
            item.unzipped += distribution.unzipped;
            item.moves += distribution.moves;
            if distribution.hot {
                item.hot += distribution.compressed as f64;
            }
        }
        item
    }
}

fn seat(
    fleet: &Fleet,
    function: &Function,
    at: usize,
    groups: &[Group],
    nowhere: &BTreeSet<usize>,
    unneeded: bool,
) -> Seat {
    let mut seat = Seat {
        bytes: function.own_compressed as f64,
        moves: function.releases,
        cold_starts: function.cold_starts,
        room: LAYERS_PER_FUNCTION.saturating_sub(function.own_layers),
        spare: UNZIPPED_LIMIT.saturating_sub(fleet.unzipped(function)),
        ..Seat::default()
    };
    let mut leaves: BTreeSet<usize> = BTreeSet::new();
    for (item, (members, users)) in groups.iter().enumerate() {
        if users.contains(&at) {
            seat.needs |= bit(item);
            leaves.extend(members.iter().copied());
        } else if unneeded && tolerates(fleet, function, members) {
            seat.may |= bit(item);
        }
    }
    seat.may |= seat.needs;
    for index in function.needs.iter().filter(|index| !leaves.contains(index)) {
        // What might move for this function, and is in no group here, is somebody else's part of the problem.
        if nowhere.contains(index) && !function.stays.contains(index) {
            continue;
        }
        let distribution = &fleet.distributions[*index];
        seat.bytes += distribution.compressed as f64;
        seat.moves += distribution.moves;
        seat.updates += distribution.moves;
    }
    seat
}

/// Whether a function that needs none of these may have them: it has no other version of one, and refuses none.
fn tolerates(fleet: &Fleet, function: &Function, members: &BTreeSet<usize>) -> bool {
    let names: BTreeSet<&String> =
        function.needs.iter().map(|index| &fleet.distributions[*index].name).collect();
    members
        .iter()
        .all(|index| !function.refuses.contains(index) && !names.contains(&fleet.distributions[*index].name))
}

/// Distributions that are in one place, and the functions that may have them in a layer.
pub(crate) type Group = (BTreeSet<usize>, BTreeSet<usize>);

/// What moves together, with the functions for which it may, heaviest first.
///
/// Tangled distributions of one function that other functions need apart cannot be one item: that function keeps
/// them in its zip.
pub(crate) fn groups(fleet: &Fleet, options: &Options) -> Vec<Group> {
    let count = fleet.distributions.len();
    let mut users: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); count];
    for (at, function) in fleet.functions.iter().enumerate() {
        if function.own_layers < LAYERS_PER_FUNCTION {
            for index in function.needs.difference(&function.stays) {
                users[*index].insert(at);
            }
        }
    }
    loop {
        let mut changed = false;
        for (at, function) in fleet.functions.iter().enumerate() {
            for tangle in &function.tangles {
                let alike = tangle
                    .iter()
                    .all(|index| users.get(*index) == tangle.first().and_then(|i| users.get(*i)));
                if !alike {
                    for index in tangle {
                        changed |= users[*index].remove(&at);
                    }
                }
            }
        }
        if !changed {
            break;
        }
    }
    let mut of: Vec<usize> = (0..count).collect();
    for (at, function) in fleet.functions.iter().enumerate() {
        for tangle in &function.tangles {
            let Some(first) = tangle.first().filter(|first| users[**first].contains(&at)) else { continue };
            let (to, tangled): (usize, BTreeSet<usize>) =
                (of[*first], tangle.iter().map(|i| of[*i]).collect());
            of.iter_mut().filter(|group| tangled.contains(group)).for_each(|group| *group = to);
        }
    }
    let mut groups: Vec<Group> = Vec::new();
    for group in 0..count {
        let members: BTreeSet<usize> = (0..count).filter(|index| of[*index] == group).collect();
        let Some(first) = members.first() else { continue };
        if users[*first].len() >= options.least_users.max(1) {
            groups.push((members.clone(), users[*first].clone()));
        }
    }
    let weight = |(members, users): &Group| -> u64 {
        let bytes: u64 = members.iter().map(|index| fleet.distributions[*index].compressed).sum();
        bytes.saturating_mul(users.len() as u64)
    };
    groups.sort_by_key(|group| std::cmp::Reverse(weight(group)));
    groups
}
