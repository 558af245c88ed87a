//! The fleet as the optimiser sees it: which distributions there are, who needs them, and what the plan's layers are
//! called.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_core::Result;
use glowplug_layers::{Distribution, Fleet, Function as Need, LAYERS_PER_FUNCTION, Part, Plan, tangles};
use glowplug_package::{ZipSummary, zip_size};

use crate::fleet::agree::{Chosen, Common};
use crate::fleet::contents;
use crate::fleet::member::{Member, Named};
use crate::fleet::share::Sharing;
use crate::variant::bytecode_entry;

impl Sharing<'_> {
    /// What of each function can be in no shared layer.
    pub(super) fn own(&self, members: &[Member]) -> Result<Vec<ZipSummary>> {
        let own = |member: &Member| {
            let shared = member.has.values().copied().collect();
            zip_size(&contents::rest(member, &member.recipe, &shared, false)?, self.progress)
        };
        members.iter().map(own).collect()
    }

    /// Every distribution of the fleet, with the sizes that it has where all who need it agree.
    pub(super) fn distributions(&self, members: &[Member]) -> Result<BTreeMap<Named, Distribution>> {
        let mut users: BTreeMap<&Named, BTreeSet<usize>> = BTreeMap::new();
        for (at, member) in members.iter().enumerate() {
            member.has.keys().for_each(|named| {
                users.entry(named).or_default().insert(at);
            });
        }
        let mut known = BTreeMap::new();
        for (named, users) in users {
            let Some(member) = users.first().map(|at| &members[*at]) else { continue };
            let common = Common::of(members, named, &users);
            let held = member.has.get(named).copied().into_iter().collect();
            let mut entries = contents::files(member, &held, &common.dropped, &common.stripped)?;
            for path in contents::sources(member, &common.dropped, &held) {
                if let Some(bytecode) = member.subject.plain.get(&path) {
                    entries.push(bytecode_entry(&member.subject, &path, bytecode.clone()));
                }
            }
            let size = zip_size(&entries, self.progress)?;
            let hot = users
                .iter()
                .any(|at| members[*at].has.get(named).is_some_and(|index| members[*at].hot.contains(index)));
            let distribution = Distribution {
                name: named.name.clone(),
                version: named.version.clone(),
                digest: named.digest.clone(),
                unzipped: size.unzipped_bytes,
                compressed: size.bytes,
                moves: self.settings.moves.get(&named.name).copied().unwrap_or(1.0),
                hot,
            };
            known.insert(named.clone(), distribution);
        }
        Ok(known)
    }

    /// The fleet as the optimiser sees it. A function that was `refused` takes no part.
    pub(super) fn fleet(
        &self,
        members: &[Member],
        known: &BTreeMap<Named, Distribution>,
        own: &[ZipSummary],
        refused: &BTreeMap<usize, String>,
    ) -> Fleet {
        let index: BTreeMap<&Named, usize> =
            known.keys().enumerate().map(|(at, named)| (named, at)).collect();
        let mut functions = Vec::with_capacity(members.len());
        for (at, member) in members.iter().enumerate() {
            let ground = &member.subject.ground;
            let name = &ground.function.name;
            let of = |distribution: &usize| {
                let named = member.has.iter().find(|(_, has)| *has == distribution);
                named.and_then(|(named, _)| index.get(named).copied())
            };
            let own_layers =
                if refused.contains_key(&at) { LAYERS_PER_FUNCTION } else { ground.tree.layers.len() };
            functions.push(Need {
                name: name.clone(),
                own_unzipped: own[at].unzipped_bytes + member.layers_unzipped,
                own_compressed: own[at].bytes,
                cold_starts: self.settings.cold_starts.get(name).copied().unwrap_or(1.0),
                releases: self.settings.releases.get(name).copied().unwrap_or(0.0),
                needs: member.has.values().filter_map(of).collect(),
                stays: member.stays.iter().filter_map(of).collect(),
                refuses: if self.settings.unneeded { refuses(members, at, &index) } else { BTreeSet::new() },
                tangles: member.tangles.iter().map(|set| set.iter().filter_map(of).collect()).collect(),
                own_layers,
            });
        }
        Fleet { distributions: known.values().cloned().collect(), functions }
    }
}

/// Distributions that would be tangled with something that the function has, or are for another interpreter.
fn refuses(members: &[Member], at: usize, index: &BTreeMap<&Named, usize>) -> BTreeSet<usize> {
    let own = members[at].subject.ground.package.files.iter().map(|file| file.path.clone());
    let own = Part { files: own.collect() };
    let others = index.iter().filter(|(named, _)| !members[at].has.contains_key(**named));
    others
        .filter(|(named, _)| {
            let holder = members.iter().find_map(|member| Some((member, member.has.get(**named)?)));
            holder.is_some_and(|(member, index)| {
                let (one, other) = (member.subject.ground.function, members[at].subject.ground.function);
                if (one.python, one.architecture) != (other.python, other.architecture) {
                    return true;
                }
                let files = member.files_of(*index).map(|file| file.path.clone()).collect();
                !tangles(&[own.clone(), Part { files }]).is_empty()
            })
        })
        .map(|(_, index)| *index)
        .collect()
}

/// The plan's layers, each with a name: that of its largest distribution.
pub(super) fn chosen(members: &[Member], known: &BTreeMap<Named, Distribution>, plan: &Plan) -> Vec<Chosen> {
    let all: Vec<&Named> = known.keys().collect();
    let mut taken = BTreeSet::new();
    let mut layers = Vec::with_capacity(plan.layers.len());
    for layer in &plan.layers {
        let held: BTreeSet<Named> = layer.members.iter().map(|index| all[*index].clone()).collect();
        let largest = held.iter().max_by_key(|named| (known[*named].compressed, &named.name));
        let python = layer.users.first().map(|at| members[*at].subject.ground.function.python);
        let several = members.iter().any(|member| Some(member.subject.ground.function.python) != python);
        let mut base = format!("shared-{}", largest.map_or("", |named| named.name.as_str()));
        if let Some(python) = python.filter(|_| several) {
            base += &format!("-py{}", python.to_string().replace('.', ""));
        }
        let numbered = (2..).map(|number| format!("{base}-{number}"));
        let name = std::iter::once(base.clone()).chain(numbered).find(|name| !taken.contains(name));
        let name = name.unwrap_or(base);
        taken.insert(name.clone());
        layers.push(Chosen { name, members: held, users: layer.users.clone() });
    }
    layers
}
