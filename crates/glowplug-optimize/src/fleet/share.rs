//! From built functions to layers that they share: plan, agree, replay, write.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Cache, DecisionKind, Error, LAYER_ROOT, Progress, Result, TASK_ROOT, Verdict};
use glowplug_function::Function;
use glowplug_layers::{Options, optimise};
use glowplug_package::{ArchiveEntry, ZipSummary, check_limits, verify_bytecode, write_zip};
use glowplug_report::{Artifact, ArtifactKind, AttachedLayer, LayersReport, Report};

use crate::build::{move_file, write_report};
use crate::fleet::agree::{Agreed, Agreement, Chosen, agree};
use crate::fleet::census::chosen;
use crate::fleet::contents;
use crate::fleet::document::{Shipped, document};
use crate::fleet::member::Member;
use crate::fleet::{FleetSettings, LAYERS, plan_of};
use crate::folders::fill;
use crate::options::BuildOptions;
use crate::prover::Prover;
use crate::results::{Sizes, figures};
use crate::room;
use crate::setup::Setup;
use crate::variant::private_sources;

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
        let names = members.iter().flat_map(|member| member.has.keys()).map(|named| named.name.clone());
        self.settings.check_moves(&names.collect())?;
        let known = self.distributions(&members)?;
        let own = self.own(&members)?;
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
            let proved = match self.prove_all(&members, agreed, &made, &mut provers)? {
                Ok(proved) => proved,
                Err((at, why)) => {
                    let name = &functions[at].name;
                    self.progress.note(&format!("`{name}` keeps everything in its zip: {why}"));
                    refused.insert(at, why);
                    continue;
                }
            };
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

    /// Proves every function that attaches layers, or tells the first that differs, and how.
    fn prove_all<'m>(
        &'m self,
        members: &'m [Member],
        agreed: &[Agreed],
        made: &[Made],
        provers: &mut [Option<Prover<'m>>],
    ) -> Result<std::result::Result<Vec<Proved>, (usize, String)>> {
        let mut all = Vec::new();
        for (at, member) in members.iter().enumerate() {
            if made.iter().any(|layer| layer.chosen.users.contains(&at)) {
                match self.prove(member, at, &agreed[at], made, &mut provers[at])? {
                    Ok(proved) => all.push(proved),
                    Err(why) => return Ok(Err((at, why))),
                }
            }
        }
        Ok(Ok(all))
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
        for remark in check_limits(summary.bytes, unzipped, &room::unexamined(&ground.package))
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
        .filter(|path| subject.plain.contains_key(*path) && !agreed.recipe.dropped.contains_key(*path))
        .cloned()
        .collect();
    sources.extend(private_sources(subject, &agreed.recipe));
    if edited && agreed.recipe.lazy.is_empty() {
        sources.push(format!("{}.py", subject.support).into());
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

fn write_document(report: &LayersReport, folder: &Utf8Path) -> Result<()> {
    let text = serde_json::to_string_pretty(report)
        .map_err(|error| Error::defect("the layers have no JSON").cause(error))?;
    Ok(fs::write(folder.join("layers.json"), text + "\n")?)
}
