//! From built functions to layers that they share: plan, agree, replay, write.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Cache, DecisionKind, Error, LAYER_ROOT, Progress, Result, TASK_ROOT, Verdict};
use glowplug_function::Function;
use glowplug_layers::{
    Distribution, Fleet, Function as Need, LAYERS_PER_FUNCTION, Options, Part, Plan, optimise, tangles,
};
use glowplug_package::{ArchiveEntry, ZipSummary, check_limits, verify_bytecode, write_zip, zip_size};
use glowplug_report::{Artifact, ArtifactKind, AttachedLayer, LayersReport, Report};

use crate::build::{move_file, write_report};
use crate::fleet::agree::{Agreed, Agreement, Chosen, Common, agree};
use crate::fleet::contents;
use crate::fleet::document::{Shipped, document};
use crate::fleet::member::{Member, Named};
use crate::fleet::{FleetSettings, LAYERS, plan_of};
use crate::folders::fill;
use crate::options::BuildOptions;
use crate::prover::Prover;
use crate::results::{Sizes, figures};
use crate::setup::Setup;
use crate::variant::{bytecode_entry, support_path};

/// Everything that sharing needs beside the functions.
pub(crate) struct Sharing<'s> {
    pub(crate) requested_python: Option<&'s str>,
    pub(crate) options: &'s BuildOptions,
    pub(crate) settings: &'s FleetSettings,
    pub(crate) cache: &'s Cache,
    pub(crate) progress: &'s dyn Progress,
}

/// A layer that is made, and lies among the scratch files.
pub(crate) struct Made {
    pub(crate) chosen: Chosen,
    pub(crate) zip: Utf8PathBuf,
    pub(crate) summary: ZipSummary,
    /// What `/opt` shows of it.
    folder: Utf8PathBuf,
    /// Whether imports are deferred in it.
    edited: bool,
}

/// A function that was proved with its layers.
struct Proved {
    at: usize,
    tree: Utf8PathBuf,
    zip: Utf8PathBuf,
    summary: ZipSummary,
    verdict: Option<Verdict>,
}

impl Sharing<'_> {
    /// Plans the layers, proves every function with its own, and writes zips and reports into `folder`.
    pub(crate) fn share(
        &self,
        functions: &[Function],
        reports: &mut [Report],
        folder: &Utf8Path,
    ) -> Result<LayersReport> {
        let members: Vec<Member> =
            functions.iter().map(|function| self.member(function, folder)).collect::<Result<_>>()?;
        let known = self.distributions(&members)?;
        let own = members
            .iter()
            .map(|member| {
                let shared = member.has.values().copied().collect();
                zip_size(&contents::rest(member, &member.recipe, &shared, false)?, self.progress)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut provers: Vec<Option<Prover>> = members.iter().map(|_| None).collect();
        let mut refused: BTreeMap<usize, String> = BTreeMap::new();
        let options = Options {
            weights: self.settings.weights,
            most_layers: self.settings.most_layers,
            unneeded: self.settings.unneeded,
            ..Options::default()
        };
        loop {
            let fleet = self.fleet(&members, &known, &own, &refused);
            let plan = optimise(&fleet, &options)?;
            let layers = chosen(&members, &known, &plan);
            let agreement = agree(&members, &layers);
            let agreed = &agreement.functions;
            let made = self.make(&members, &agreement, &layers, refused.len())?;
            let mut proved = Vec::new();
            let mut differs = None;
            for (at, member) in members.iter().enumerate() {
                if !made.iter().any(|layer| layer.chosen.users.contains(&at)) {
                    continue;
                }
                match self.prove(member, at, &agreed[at], &made, &mut provers[at])? {
                    Ok(one) => proved.push(one),
                    Err(why) => {
                        differs = Some((at, why));
                        break;
                    }
                }
            }
            if let Some((at, why)) = differs {
                let name = &functions[at].name;
                self.progress.note(&format!("`{name}` keeps everything in its zip: {why}"));
                refused.insert(at, why);
                continue;
            }
            for one in proved {
                self.finish(&members, agreed, &made, one, reports, folder)?;
            }
            if !made.is_empty() {
                fs::create_dir(folder.join(LAYERS))?;
            }
            for layer in &made {
                move_file(&layer.zip, &folder.join(LAYERS).join(format!("{}.zip", layer.chosen.name)))?;
            }
            let shipped = Shipped {
                members: &members,
                known: &known,
                fleet: &fleet,
                made: &made,
                refused: &refused,
                reports,
            };
            let report = document(&shipped, &plan, &options, &self.options.out);
            write_document(&report, folder)?;
            return Ok(report);
        }
    }

    fn member<'f>(&self, function: &'f Function, folder: &Utf8Path) -> Result<Member<'f>> {
        self.progress.note(&format!("looking at what `{}` shares", function.name));
        Member::prepare(
            function,
            self.requested_python,
            self.options,
            plan_of(folder, function),
            self.cache,
            self.progress,
        )
        .map_err(|error| error.of_function(&function.name))
    }

    /// Every distribution of the fleet, with the sizes that it has where all who need it agree.
    fn distributions(&self, members: &[Member]) -> Result<BTreeMap<Named, Distribution>> {
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
    fn fleet(
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

    /// Makes the layers' zips, and the folders that replays see: new ones in each `round`, since the engine takes a
    /// folder of layers to stay as it is.
    fn make(
        &self,
        members: &[Member],
        agreement: &Agreement,
        layers: &[Chosen],
        round: usize,
    ) -> Result<Vec<Made>> {
        let mut made = Vec::with_capacity(layers.len());
        for (chosen, edits) in layers.iter().zip(&agreement.edits) {
            let Some(first) = chosen.users.first().copied() else { continue };
            // With what a function does not need but gets, no single one of them may have all.
            let mut entries: Vec<ArchiveEntry> = Vec::new();
            let mut sources: Vec<Utf8PathBuf> = Vec::new();
            let mut left = chosen.members.clone();
            for at in chosen.users.iter().copied() {
                let has = &members[at].has;
                let part: BTreeSet<usize> = left.iter().filter_map(|named| has.get(named).copied()).collect();
                left.retain(|named| !has.contains_key(named));
                let recipe = &agreement.functions[at].recipe;
                entries.extend(contents::layer(&members[at], recipe, edits, &part, self.progress)?);
                sources.extend(contents::sources(&members[at], &recipe.dropped, &part));
            }
            let member = &members[first];
            let zip = member.subject.ground.work().join(format!("{}.layer.zip", chosen.name));
            let summary = write_zip(&entries, &zip, self.progress)?;
            for remark in check_limits(summary.bytes, summary.unzipped_bytes, &[])? {
                self.progress.note(&format!("layer `{}`: {remark}", chosen.name));
            }
            let folder = fill(&member.subject, entries, &format!("layer-{round}-{}", chosen.name))?;
            let place = folder.join(contents::PLACE);
            checked(member, &place, LAYER_ROOT, &sources)?;
            made.push(Made { chosen: chosen.clone(), zip, summary, folder, edited: !edits.is_empty() });
        }
        Ok(made)
    }

    /// Replays a function with its own zip at `/var/task` and its layers at `/opt`; or says why it cannot be shipped so.
    fn prove<'m>(
        &'m self,
        member: &'m Member,
        at: usize,
        agreed: &Agreed,
        made: &[Made],
        prover: &mut Option<Prover<'m>>,
    ) -> Result<std::result::Result<Proved, String>> {
        let ground = &member.subject.ground;
        let attached: Vec<&Made> = made.iter().filter(|layer| layer.chosen.users.contains(&at)).collect();
        let elsewhere: BTreeSet<usize> = attached.iter().flat_map(|layer| layer.chosen.of(member)).collect();
        let edited = attached.iter().any(|layer| layer.edited);
        let entries = contents::rest(member, &agreed.recipe, &elsewhere, edited)?;
        let zip = ground.work().join(format!("{}.zip", ground.function.name));
        let summary = write_zip(&entries, &zip, self.progress)?;
        let layered: u64 = attached.iter().map(|layer| layer.summary.unzipped_bytes).sum();
        let unzipped = summary.unzipped_bytes + layered + member.layers_unzipped;
        for remark in check_limits(summary.bytes, unzipped, &ground.package.distributions)
            .map_err(|error| error.of_function(&ground.function.name))?
        {
            self.progress.note(&remark);
        }
        let tree = fill(&member.subject, entries, "layered")?;
        let folders: Vec<Utf8PathBuf> = attached.iter().map(|layer| layer.folder.clone()).collect();
        ground.attach(&tree, &folders);
        let others: BTreeSet<usize> =
            (0..ground.package.distributions.len()).filter(|index| !elsewhere.contains(index)).collect();
        let mut sources = contents::sources(member, &agreed.recipe.dropped, &others);
        sources.extend(own_sources(member, agreed, edited));
        checked(member, &tree, TASK_ROOT, &sources)?;
        if !self.options.verify || !ground.runs_here() {
            return Ok(Ok(Proved { at, tree, zip, summary, verdict: None }));
        }
        let found = ground.guarded(self.progress, || {
            let _setup = Setup::start(ground.function, self.progress)?;
            if prover.is_none() {
                let trees = [member.shipped.as_path(), member.before.as_path()];
                *prover = Some(Prover::begin(&member.subject, trees, &member.ignore, self.progress)?);
            }
            match prover {
                Some(prover) => prover.check(&tree, &agreed.recipe.lazy),
                None => Err(Error::defect("a function was not replayed")),
            }
        });
        Ok(match found.map_err(|error| error.of_function(&ground.function.name))? {
            Ok(verdict) => Ok(Proved { at, tree, zip, summary, verdict: Some(verdict) }),
            Err(first) => {
                let found = &first.found;
                Err(format!(
                    "with layers event `{}` differs at `{}`: {} became {}",
                    found.event, found.path, found.before, found.after
                ))
            }
        })
    }

    /// Measures a proved function as it ships, and puts its zip and report in place of those without layers.
    fn finish(
        &self,
        members: &[Member],
        agreed: &[Agreed],
        made: &[Made],
        proved: Proved,
        reports: &mut [Report],
        folder: &Utf8Path,
    ) -> Result<()> {
        let Proved { at, tree, zip, summary, verdict } = proved;
        let (member, earlier) = (&members[at], &mut reports[at]);
        let ground = &member.subject.ground;
        let name = &ground.function.name;
        let trees = [member.shipped.as_path(), member.before.as_path(), tree.as_path()];
        let measured = ground.guarded(self.progress, || {
            let _setup = Setup::start(ground.function, self.progress)?;
            figures(&member.subject, self.options, trees, self.progress)
        })?;
        let attached: Vec<&Made> = made.iter().filter(|layer| layer.chosen.users.contains(&at)).collect();
        let size = |measured: &glowplug_report::Measured| ZipSummary {
            bytes: measured.zip_bytes.unwrap_or(0),
            sha256: String::new(),
            unzipped_bytes: measured.unzipped_bytes.unwrap_or(0),
            files: measured.files.unwrap_or(0) as usize,
        };
        // What a cold start fetches and unpacks, wherever it comes from.
        let mut after = summary.clone();
        for layer in &attached {
            after.bytes += layer.summary.bytes;
            after.unzipped_bytes += layer.summary.unzipped_bytes;
            after.files += layer.summary.files;
        }
        let sizes = Sizes { shipped: size(&earlier.as_shipped), before: size(&earlier.before), after };
        let file = format!("{name}.zip");
        let artifact = Artifact {
            kind: ArtifactKind::Zip,
            path: self.options.out.join(name).join(&file).to_string(),
            bytes: summary.bytes,
            sha256: summary.sha256,
        };
        let bytecode =
            earlier.decisions.iter().find(|decision| decision.kind == DecisionKind::Bytecode).cloned();
        let bytecode = bytecode.unwrap_or_else(|| measured.bytecode_decision(member.subject.plain.len()));
        let decisions = member.draft.decisions(&member.subject, bytecode, &agreed[at].undone, false);
        let verdict = match verdict {
            Some(verdict) => {
                Verdict { tests: earlier.verdict.tests, holdout: earlier.verdict.holdout.clone(), ..verdict }
            }
            None => earlier.verdict.clone(),
        };
        let mut report = measured.report(&member.subject, self.options, &sizes, decisions, verdict, artifact);
        report.layers = attached.iter().map(|layer| self.attached(layer)).collect();
        move_file(&zip, &folder.join(name).join(&file))?;
        write_report(&report, &folder.join(name))?;
        *earlier = report;
        Ok(())
    }

    fn attached(&self, layer: &Made) -> AttachedLayer {
        let name = layer.chosen.name.clone();
        AttachedLayer {
            path: self.options.out.join(LAYERS).join(format!("{name}.zip")).to_string(),
            name,
            bytes: layer.summary.bytes,
            sha256: layer.summary.sha256.clone(),
        }
    }
}

/// Sources of the function's own, and the support module, as far as they have bytecode.
fn own_sources(member: &Member, agreed: &Agreed, edited: bool) -> Vec<Utf8PathBuf> {
    let subject = &member.subject;
    let own = subject.ground.package.files.iter().filter(|file| file.distribution.is_none());
    let mut sources: Vec<Utf8PathBuf> = own
        .map(|file| &file.path)
        .filter(|path| subject.plain.contains_key(*path) && !agreed.recipe.dropped.contains(*path))
        .cloned()
        .collect();
    if edited || !agreed.recipe.lazy.is_empty() {
        sources.push(support_path(subject));
    }
    sources
}

/// The interpreter must load what ships.
fn checked(member: &Member, root: &Utf8Path, seen: &str, sources: &[Utf8PathBuf]) -> Result<()> {
    let faults = verify_bytecode(&member.subject.ground.runtime.python, root, seen, sources)?;
    match faults.first() {
        None => Ok(()),
        Some(fault) => Err(Error::defect("the interpreter would not load bytecode that a layer has moved")
            .cause(&fault.reason)
            .place(fault.path.as_str())),
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
fn chosen(members: &[Member], known: &BTreeMap<Named, Distribution>, plan: &Plan) -> Vec<Chosen> {
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

fn write_document(report: &LayersReport, folder: &Utf8Path) -> Result<()> {
    let text = serde_json::to_string_pretty(report)
        .map_err(|error| Error::defect("the layers have no JSON").cause(error))?;
    Ok(fs::write(folder.join("layers.json"), text + "\n")?)
}
