//! What a build wants to do to a tree, before it is proved: from a plan that fits, or from traced starts.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use glowplug_core::{Decision, DecisionKind, DecisionState, Plan, Progress, Result};
use glowplug_engine::Cpu;
use glowplug_package::{DUPLICATES, Reached, Trim, TrimContext, TrimLevel, links, trim};

use crate::columns::{self, COLUMNS};
use crate::decisions::{Found, pin};
use crate::explore::{Explored, explore};
use crate::folders::materialise;
use crate::lock;
use crate::options::{BuildOptions, LazyLevel};
use crate::profit::Profit;
use crate::room;
use crate::search::{Search, search};
use crate::services::aws_services;
use crate::subject::Subject;
use crate::touched::reached;
use crate::unloaded;
use crate::variant::{Recipe, entries};
use crate::verify::Pinned;

/// A recipe and the reasons for it.
pub(crate) struct Draft {
    pub(crate) recipe: Recipe,
    pub(crate) explored: Explored,
    pub(crate) search: Search,
    pub(crate) profit: Profit,
    /// The level that the evidence at hand allows, at most the one asked for.
    pub(crate) level: LazyLevel,
    /// The same for the files that are left out.
    pub(crate) trim: TrimLevel,
    /// Where less was done than was asked for, and why.
    pub(crate) lowered: Vec<&'static str>,
    pub(crate) trimming: Vec<Decision>,
    /// The plan that was given, whose decisions are kept word for word.
    pub(crate) given: Option<Plan>,
}

impl Draft {
    /// Plans the imports anew around what was pinned: what only a pinned import loads is needed now, and the imports
    /// behind it may be worth deferring.
    pub(crate) fn plan_around(
        &mut self,
        subject: &Subject,
        pinned: &Pinned,
        progress: &dyn Progress,
    ) -> Result<()> {
        self.search = search(subject, self.level, self.profit, &self.explored, pinned, progress)?;
        self.recipe.lazy = self.search.frontier.edges.keys().cloned().collect();
        Ok(())
    }

    /// Chooses files again for a recipe with fewer deferred imports, where that goes by what starts touch: they touch more
    /// then. What was pinned stays.
    pub(crate) fn choose_again(
        &mut self,
        subject: &Subject,
        recipe: &mut Recipe,
        pinned: &Pinned,
        progress: &dyn Progress,
    ) -> Result<()> {
        if self.given.is_some() || self.trim != TrimLevel::Observed {
            return Ok(());
        }
        *recipe = Recipe { lazy: std::mem::take(&mut recipe.lazy), ..Recipe::before() };
        self.trimming = choose_files(subject, self.trim, &self.explored, recipe, progress)?;
        recipe.dropped.retain(|path, _| !pinned.contains_key(&format!("drop:{path}")));
        recipe.stripped.retain(|path, _| !pinned.contains_key(&format!("strip:{path}")));
        recipe.lean.retain(|path| !pinned.contains_key(&format!("strip:{path}")));
        Ok(())
    }

    /// What was pinned, and what of the draft cannot be deferred without it.
    pub(crate) fn with_dependants(&self, subject: &Subject, pinned: &Pinned) -> Pinned {
        let left = self.recipe.lazy.iter().filter(|id| !pinned.contains_key(*id)).cloned().collect();
        let effective = subject.candidates.effective(&left);
        let mut all = pinned.clone();
        for id in left.difference(&effective) {
            all.insert(id.clone(), "used by a value that is made while the module runs after all".to_owned());
        }
        all
    }

    /// All decisions: those of the plan that was given, else `bytecode` and what was found. With `all`, refusals
    /// that cost nothing too.
    pub(crate) fn decisions(
        &self,
        subject: &Subject,
        bytecode: Decision,
        pinned: &Pinned,
        all: bool,
    ) -> Vec<Decision> {
        let pinned = &self.with_dependants(subject, pinned);
        let mut decisions = if let Some(plan) = &self.given {
            plan.decisions.clone()
        } else {
            let evidence = match self.level {
                LazyLevel::Off | LazyLevel::Safe | LazyLevel::Balanced => {
                    "traced with every event; loading it later changes nothing that others see"
                }
                LazyLevel::Aggressive => "traced with every event",
            };
            let (explored, search, profit) = (&self.explored, &self.search, self.profit);
            let found = Found { subject, explored, search, profit, pinned, evidence, all };
            let mut decisions = vec![bytecode];
            decisions.extend(found.imports());
            decisions.extend(self.trimming.iter().cloned());
            decisions
        };
        pin(&mut decisions, pinned);
        decisions
    }
}

/// Makes the draft. `before` is the original tree with valid bytecode; `replayed` says whether a replay follows.
///
/// # Errors
/// Input errors where the plan does not fit, or the function does not start.
pub(crate) fn draft(
    subject: &Subject,
    options: &BuildOptions,
    before: &Utf8Path,
    replayed: bool,
    progress: &dyn Progress,
) -> Result<Draft> {
    let profit = profit(subject, options);
    if let Some(plan) = lock::find(subject, &options.plan)? {
        return from_plan(subject, options, profit, plan);
    }
    // Without events, or without a replay to support them, only what the analysis proves.
    let evidence = replayed && !subject.ground.function.events.is_empty();
    let level = if evidence { options.lazy } else { options.lazy.min(LazyLevel::Safe) };
    let explored = if subject.ground.runs_here() {
        explore(subject, before, level, progress)?
    } else {
        Explored::default()
    };
    // What traced starts have to show, they show only here.
    let trim = if evidence { options.trim } else { options.trim.min(TrimLevel::Safe) };
    let mut recipe = Recipe::before();
    let mut trimming = Vec::new();
    if trim <= TrimLevel::Safe {
        trimming = choose_files(subject, trim, &explored, &mut recipe, progress)?;
        require_room(subject, options, &recipe, trim, &explored.loaded)?;
    }
    let search = search(subject, level, profit, &explored, &Pinned::new(), progress)?;
    recipe.lazy = search.frontier.edges.keys().cloned().collect();
    if trim > TrimLevel::Safe {
        trimming = choose_files(subject, trim, &explored, &mut recipe, progress)?;
        require_room(subject, options, &recipe, trim, &explored.loaded)?;
    }
    let mut lowered = Vec::new();
    if level < options.lazy {
        lowered.push("no replay supports more than `--lazy safe`, so that is how far imports were deferred");
    }
    if trim < options.trim {
        lowered.push("no replay supports more than `--trim safe`, so that is what was left out");
    }
    Ok(Draft { recipe, explored, search, profit, level, trim, lowered, trimming, given: None })
}

/// Puts what is left out, or shortened, into the recipe, and gives the decisions. What a level wants to see touched is
/// touched by the tree as the recipe makes it so far.
fn choose_files(
    subject: &Subject,
    level: TrimLevel,
    explored: &Explored,
    recipe: &mut Recipe,
    progress: &dyn Progress,
) -> Result<Vec<Decision>> {
    progress.start("Choosing files", None);
    let reached = match level {
        TrimLevel::Off | TrimLevel::Safe => None,
        _ => {
            let tree = materialise(subject, recipe, "untrimmed")?;
            Some(reached(subject, level, explored, &tree, progress)?)
        }
    };
    let trimmed = trimming(subject, level, &imported(subject, &explored.loaded)?, reached.as_ref())?;
    recipe.dropped = trimmed
        .decisions
        .iter()
        .filter(|d| d.kind == DecisionKind::Drop && d.state == DecisionState::Applied)
        .map(|d| (Utf8PathBuf::from(&d.place), d.subject.clone()))
        .collect();
    recipe.stripped = trimmed.stripped;
    recipe.linked = trimmed.linked;
    let unloaded = unloaded::decisions(subject, level, recipe, &explored.loaded)?;
    recipe.dropped.extend(unloaded.iter().map(|d| (Utf8PathBuf::from(&d.place), d.subject.clone())));
    let columns = columns::decisions(subject, level, recipe, progress)?;
    recipe.lean = columns.iter().map(|d| Utf8PathBuf::from(&d.place)).collect();
    progress.finish();
    Ok(trimmed.decisions.into_iter().chain(unloaded).chain(columns).collect())
}

/// The rule on profit on Lambda. Unless the boost is turned off, init has it there, whatever CPU is measured with.
fn profit(subject: &Subject, options: &BuildOptions) -> Profit {
    let boost = options.cpu != Cpu::Share { init_boost: false };
    Profit::new(subject.ground.function.memory_mb, boost, options.objective)
}

fn from_plan(subject: &Subject, options: &BuildOptions, profit: Profit, plan: Plan) -> Result<Draft> {
    let mut recipe = lock::recipe(&plan);
    let wanted: BTreeSet<&str> =
        plan.applied().filter(|d| is_stripped(d)).map(|d| d.place.as_str()).collect();
    if !wanted.is_empty() {
        // Made anew by their rule, which looks at each file alone. With every module imported, no file that the
        // plan strips goes with a folder instead.
        let every = subject.modules.keys().cloned().collect();
        let trimmed = trimming(subject, TrimLevel::Safe, &every, None)?;
        recipe.stripped =
            trimmed.stripped.into_iter().filter(|(path, _)| wanted.contains(path.as_str())).collect();
    }
    let copies = plan.applied().filter(|d| d.subject == DUPLICATES).map(|d| Utf8PathBuf::from(&d.place));
    let mut dropped: BTreeSet<Utf8PathBuf> = recipe.dropped.keys().cloned().collect();
    recipe.linked = links(&subject.ground.package, copies.collect(), &mut dropped)?;
    recipe.dropped.retain(|path, _| dropped.contains(path));
    require_room(subject, options, &recipe, TrimLevel::Safe, &BTreeSet::new())?;
    let trimming = plan
        .decisions
        .iter()
        .filter(|d| matches!(d.kind, DecisionKind::Drop | DecisionKind::Strip))
        .cloned()
        .collect();
    Ok(Draft {
        recipe,
        explored: Explored::default(),
        search: Search::default(),
        profit,
        level: LazyLevel::Off,
        trim: TrimLevel::Off,
        lowered: Vec::new(),
        trimming,
        given: Some(plan),
    })
}

/// Lambda's limit is that of zips: an image may be forty times as large.
fn require_room(
    subject: &Subject,
    options: &BuildOptions,
    recipe: &Recipe,
    level: TrimLevel,
    loaded: &BTreeSet<String>,
) -> Result<()> {
    if options.zip { room::require(subject, &entries(subject, recipe)?, level, loaded) } else { Ok(()) }
}

/// Whether a decision is about a native library.
fn is_stripped(decision: &Decision) -> bool {
    decision.kind == DecisionKind::Strip && decision.subject != COLUMNS
}

fn trimming(
    subject: &Subject,
    level: TrimLevel,
    imported: &BTreeSet<String>,
    reached: Option<&Reached>,
) -> Result<Trim> {
    let services = aws_services(subject, reached);
    let context = trim_context(subject, level, imported, services.as_ref());
    trim(&subject.ground.package, &TrimContext { reached, ..context })
}

/// What the rules of trimming up to level safe may know of the function.
pub(crate) fn trim_context<'a>(
    subject: &'a Subject,
    level: TrimLevel,
    imported: &'a BTreeSet<String>,
    aws_services: Option<&'a BTreeSet<String>>,
) -> TrimContext<'a> {
    let function = subject.ground.function;
    TrimContext {
        level,
        python: function.python,
        architecture: function.architecture,
        libc: function.package.libc,
        user_files: subject.ground.user_files(),
        keep: &function.package.keep,
        runtime_provided: &function.package.runtime_provided,
        imported,
        aws_services,
        reached: None,
    }
}

/// Every module that the handler, a traced run or a module that is kept imports.
///
/// # Errors
/// Input: a pattern that is no glob.
pub(crate) fn imported(subject: &Subject, loaded: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let mut seeds = loaded.clone();
    seeds.insert(subject.handler_module());
    subject.code().imported(&seeds)
}
