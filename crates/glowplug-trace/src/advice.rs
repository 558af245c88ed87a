//! What to do next about a cold start, in the order of what it would save.
//!
//! Each moment of init is promised once: bytecode takes the compiling, a line or statement what it alone brings
//! in, a library what of the rest no event ran.

mod words;

use std::collections::{BTreeMap, BTreeSet};

use glowplug_core::{format_bytes, format_ms};

use crate::document::{Advice, Import, Line, Statement, Trace};
use crate::failing::{failing_import, failing_statement, timed_out};
use crate::records::Phase;
use crate::tree::{Asker, ImportTree, MAIN_THREAD, is_own, place_of, split_place};
use crate::users::{Events, Ruling, Rulings, ruling};

use words::{asked_for, is_definition, named, owner, short};

/// What saves less is not worth a line, in ms.
const FLOOR_MS: f64 = 1.0;
/// The same as a part of init.
const FLOOR_PART: f64 = 0.01;
/// The build leaves eager what alone controls less of init, in ms.
const DEFERRED_FROM_MS: f64 = 0.5;
/// Packages below this unpack fast enough, in bytes.
const LARGE_PACKAGE: u64 = 20_000_000;
/// Distributions that nothing imports are worth a word from this part of the package on.
const IDLE_PART: f64 = 0.05;
/// The command that does most of it.
const BUILD: &str = "glowplug build";
/// The same where only the middle request gains.
const BUILD_FOR_SPEED: &str = "glowplug build --objective speed";

/// What to do next: what saves most first, after what keeps the function from starting; at the end what cannot be told
/// in ms, with `saves_ms` 0. An event that `weights`, the shares of first requests, does not name weighs nothing, unless
/// none is named: then all weigh the same. Only what `rulings` say may wait is promised to be deferred.
pub fn advise(trace: &Trace, weights: &BTreeMap<String, f64>, rulings: &Rulings) -> Vec<Advice> {
    if trace.phases.init.is_none() && trace.failure.is_some() {
        return failing(trace).into_iter().collect();
    }
    let mut survey = Survey::new(trace, Events::of(trace, weights), rulings);
    let mut priced = Vec::new();
    priced.extend(survey.bytecode());
    priced.extend(survey.lines());
    priced.extend(survey.statements());
    priced.extend(survey.libraries());
    priced.extend(survey.patterns());
    priced.extend(survey.connections());
    // What a build has deferred was not seen, and what it leaves out is left out.
    let built = trace.function.built;
    priced.extend(survey.requirements().filter(|_| !built));
    priced.retain(|advice| advice.saves_ms >= survey.floor_ms);
    priced.sort_by(|a, b| b.saves_ms.total_cmp(&a.saves_ms).then_with(|| a.subject.cmp(&b.subject)));
    priced.extend(survey.package().filter(|_| !built));
    priced.extend(survey.processes());
    priced
}

fn failing(trace: &Trace) -> Option<Advice> {
    let import = failing_import(trace)?;
    let (module, importer) = (&import.module, &import.importer);
    let missing = import.file.is_none() && trace.failure.as_deref()?.contains("No module named");
    let text = if timed_out(trace) {
        format!(
            "{importer} imports `{module}`, which does not end in the time that init has: correct that first"
        )
    } else if missing {
        format!(
            "{importer} imports `{module}`, which fails, so the function cannot start: add what brings it to the \
             requirements"
        )
    } else if let Some(statement) = failing_statement(trace) {
        let (place, what) = (&statement.place, short(&statement.text));
        format!("{place} `{what}` fails, so the function cannot start: correct that first")
    } else {
        format!(
            "{importer} imports `{module}`, which fails, so the function cannot start: correct that first"
        )
    };
    Some(Advice { subject: module.clone(), text, saves_ms: 0.0, command: None })
}

/// A trace, and what of it is spoken for.
struct Survey<'a> {
    trace: &'a Trace,
    events: Events<'a>,
    rulings: &'a Rulings,
    tree: ImportTree<'a>,
    /// Whether an import's time is part of an advice already.
    claimed: Vec<bool>,
    /// Statements that are advised about.
    advised: BTreeSet<usize>,
    /// Whether the compiling is another advice's.
    compiling_apart: bool,
    floor_ms: f64,
}

impl<'a> Survey<'a> {
    fn new(trace: &'a Trace, events: Events<'a>, rulings: &'a Rulings) -> Self {
        let init = trace.phases.init.map_or(0.0, |init| init.median);
        let floor_ms = FLOOR_MS.max(init * FLOOR_PART);
        Self {
            trace,
            events,
            rulings,
            tree: ImportTree::new(trace),
            claimed: vec![false; trace.imports.len()],
            advised: BTreeSet::new(),
            compiling_apart: trace.compiled.compile_ms >= floor_ms,
            floor_ms,
        }
    }

    /// What imports of init cost that nobody has spoken for, in ms.
    fn cost(&self, indices: &[usize]) -> f64 {
        indices.iter().map(|index| self.own_cost(*index)).sum()
    }

    fn own_cost(&self, index: usize) -> f64 {
        if !self.is_free(index) {
            return 0.0;
        }
        let import = &self.trace.imports[index];
        let apart = if self.compiling_apart { import.compile_ms.unwrap_or(0.0) } else { 0.0 };
        // Of the user's own modules, statements may be spoken for.
        let told: f64 = match import.file.as_deref().filter(|_| is_own(import)) {
            Some(file) => self.advised().filter(|s| place_of(s).0 == file.as_str()).map(|s| s.self_ms).sum(),
            None => 0.0,
        };
        (import.self_ms - apart - told).max(0.0)
    }

    /// What deferring them saves, in ms, where the `used` events wait for them, and others for some of them.
    fn saving(&self, indices: &[usize], used: &BTreeSet<&str>) -> f64 {
        let saving = |index: &usize| {
            let users: BTreeSet<&str> = used.union(self.tree.used_by(*index)).copied().collect();
            self.own_cost(*index) * self.events.deferral(&users).map_or(0.0, |deferral| deferral.saved_part)
        };
        indices.iter().map(saving).sum()
    }

    fn is_free(&self, index: usize) -> bool {
        let import = &self.trace.imports[index];
        !self.claimed[index]
            && import.phase == Phase::Init
            && !import.runtime_provided
            // What other threads import, nobody may wait for.
            && import.thread == MAIN_THREAD
    }

    fn claim(&mut self, indices: &[usize]) {
        for index in indices {
            self.claimed[*index] = true;
        }
    }

    /// ` besides compiling`, where that is another advice's.
    fn apart(&self) -> &'static str {
        if self.compiling_apart { " besides compiling" } else { "" }
    }

    fn bytecode(&self) -> Option<Advice> {
        let compiled = &self.trace.compiled;
        let count = compiled.missing + compiled.stale;
        let kind = match (compiled.missing, compiled.stale) {
            (_, 0) => "no bytecode".to_owned(),
            (0, _) => format!("bytecode that Python {} does not accept", self.trace.environment.python),
            (_, stale) => format!("no valid bytecode ({stale} stale)"),
        };
        let modules = if count == 1 { "1 module has".to_owned() } else { format!("{count} modules have") };
        // A build has shipped what there can be.
        (count > 0 && !self.trace.function.built).then(|| Advice {
            subject: "bytecode".to_owned(),
            text: format!(
                "{modules} {kind}, and compiling takes {} of every cold start: `{BUILD}` ships it",
                format_ms(compiled.compile_ms)
            ),
            saves_ms: compiled.compile_ms,
            command: Some(BUILD.to_owned()),
        })
    }

    /// Lines that bring in what not every first request needs.
    fn lines(&mut self) -> Vec<Advice> {
        let trace = self.trace;
        let mut made = Vec::new();
        for (index, line) in trace.lines.iter().enumerate().filter(|(_, line)| line.phase == Phase::Init) {
            let below = self.tree.asked_by(Asker::Line(index));
            let cost = self.cost(&below);
            let used: BTreeSet<&str> = line.used_by.iter().map(String::as_str).collect();
            let Some(deferral) = self.events.deferral(&used) else { continue };
            let saves_ms = self.saving(&below, &used);
            if saves_ms < self.floor_ms {
                continue;
            }
            self.claim(&below);
            made.push(self.line(line, cost, saves_ms, deferral.for_speed, &used));
        }
        made
    }

    fn line(&self, line: &Line, cost: f64, saves_ms: f64, for_speed: bool, used: &BTreeSet<&str>) -> Advice {
        let name = asked_for(line);
        let (remedy, command) = match ruling(self.trace, self.rulings, line) {
            Some(Ruling::MayWait) if self.trace.function.built => {
                let module = line.asks_for.first().map_or("MODULE", String::as_str);
                (format!("`{BUILD} --explain {module}` says why it was left"), None)
            }
            Some(Ruling::MayWait) => {
                let command = if for_speed { BUILD_FOR_SPEED } else { BUILD };
                (format!("`{command}` defers it where that pays"), Some(command.to_owned()))
            }
            Some(Ruling::UsedAt(at)) => {
                let using = format!("{}:{at}", split_place(&line.place).0);
                let wait = "it can wait once that use stands in a function";
                (format!("{using} uses it as the module loads; {wait}"), None)
            }
            Some(Ruling::Nested) => {
                ("it stands within another statement; import it where it is used".to_owned(), None)
            }
            Some(Ruling::Refused(why)) => (format!("`{BUILD}` leaves it: {why}"), None),
            None => ("it can wait where nothing uses it as the module loads".to_owned(), None),
        };
        let usage = self.events.usage(used);
        let text = format!("{name} ({}): {}{}, {usage}: {remedy}", line.place, format_ms(cost), self.apart());
        Advice { subject: name, text, saves_ms, command }
    }

    /// Slow statements, with what they import. Who needs what one makes nobody knows; only where the cost is what it
    /// imports, those who use that are told.
    fn statements(&mut self) -> Vec<Advice> {
        let trace = self.trace;
        let mut made = Vec::new();
        for indices in same_place(trace) {
            let below: Vec<usize> =
                indices.iter().flat_map(|index| self.tree.asked_by(Asker::Statement(*index))).collect();
            let importing = self.cost(&below);
            // A line that stands for all: what is repeated, or shares a line, is told once.
            let statement = &trace.statements[indices[0]];
            let sum = |figure: &dyn Fn(&Statement) -> Option<f64>| {
                indices.iter().map(|index| figure(&trace.statements[*index])).sum::<Option<f64>>()
            };
            let self_ms = sum(&|one| Some(one.self_ms)).unwrap_or_default();
            if self_ms + importing < self.floor_ms || is_definition(&statement.text) {
                continue;
            }
            let mostly_imports = importing > self_ms && self.events.count() > 0;
            let users = mostly_imports.then(|| self.tree.users(&below));
            let saves_ms = match &users {
                None => Some(self_ms + importing),
                Some(used) => self
                    .events
                    .deferral(used)
                    .map(|deferral| self_ms * deferral.saved_part + self.saving(&below, used)),
            };
            let Some(saves_ms) = saves_ms.filter(|ms| *ms >= self.floor_ms) else { continue };
            let cost = Cost { own: self_ms, importing, processor: sum(&|one| one.cpu_ms) };
            self.claim(&below);
            self.advised.extend(indices);
            made.push(self.statement(statement, cost, saves_ms, users.as_ref()));
        }
        made
    }

    fn statement(
        &self,
        statement: &Statement,
        cost: Cost,
        saves_ms: f64,
        users: Option<&BTreeSet<&str>>,
    ) -> Advice {
        let apart = if cost.importing > 0.0 { self.apart() } else { "" };
        let (place, what) = (&statement.place, short(&statement.text));
        let all = format_ms(cost.own + cost.importing);
        let mut text = format!("{place} `{what}`: {all} of every cold start{apart}");
        if cost.importing >= self.floor_ms {
            text += &format!(", {} of it imports", format_ms(cost.importing));
        } else if cost.processor.is_some_and(|ran| ran * 2.0 < cost.own) {
            text += ", mostly waiting";
        }
        match users {
            Some(used) => text += &format!(", {}: do it on first use", self.events.usage(used)),
            None => text += ": do it on first use, unless every request needs it",
        }
        Advice { subject: statement.place.clone(), text, saves_ms, command: None }
    }

    /// What no event ran of the libraries that are needed, by distribution.
    fn libraries(&mut self) -> Option<Advice> {
        if self.events.count() == 0 {
            return None;
        }
        let mut costs: BTreeMap<String, f64> = BTreeMap::new();
        for top in self.tree.unused() {
            let below = self.tree.unused_below(top);
            let cost = self.cost(&below);
            if cost >= DEFERRED_FROM_MS {
                self.claim(&below);
                *costs.entry(owner(&self.trace.imports[top])).or_default() += cost;
            }
        }
        let mut costs: Vec<(String, f64)> = costs.into_iter().collect();
        costs.sort_by(|a, b| b.1.total_cmp(&a.1));
        let told: Vec<String> =
            costs.iter().map(|(owner, ms)| format!("{owner} {}", format_ms(*ms))).collect();
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        let subject = match costs.as_slice() {
            [(one, _)] => one.clone(),
            _ => "libraries".to_owned(),
        };
        let (apart, told) = (self.apart(), named(&told));
        let (remedy, command) = if self.trace.function.built {
            (format!("`{BUILD} --explain MODULE` says why one was left"), None)
        } else {
            (format!("`{BUILD}` defers those that can wait"), Some(BUILD.to_owned()))
        };
        Some(Advice {
            subject,
            text: format!("modules of which no event ran anything: up to {told}{apart}: {remedy}"),
            saves_ms: costs.iter().map(|(_, ms)| ms).sum(),
            command,
        })
    }

    /// Regular expressions of the user's own modules, in statements that nothing is said of yet.
    fn patterns(&self) -> Option<Advice> {
        let init = |import: &&Import| import.phase == Phase::Init && is_own(import);
        let compiling: f64 =
            self.trace.imports.iter().filter(init).filter_map(|import| import.regex_ms).sum();
        let saves_ms = compiling - self.advised_ms();
        (saves_ms >= self.floor_ms).then(|| Advice {
            subject: "regular expressions".to_owned(),
            text: format!(
                "regular expressions of your own modules: {} of every cold start: compile them on first use",
                format_ms(compiling)
            ),
            saves_ms,
            command: None,
        })
    }

    /// The statements that something is said of.
    fn advised(&self) -> impl Iterator<Item = &Statement> {
        self.advised.iter().map(|index| &self.trace.statements[*index])
    }

    /// Own time of those.
    fn advised_ms(&self) -> f64 {
        self.advised().map(|statement| statement.self_ms).sum()
    }

    fn connections(&self) -> Option<Advice> {
        let init = || self.trace.connections.iter().filter(|made| made.phase == Phase::Init);
        let waiting: f64 = init().map(|made| made.total_ms).sum();
        let saves_ms = waiting - self.advised_ms();
        let mut addresses: Vec<&str> = init().map(|made| made.address.as_str()).collect();
        addresses.dedup();
        (saves_ms >= self.floor_ms).then(|| Advice {
            subject: "connections".to_owned(),
            text: format!(
                "connecting during init ({}): {} of every cold start: connect on first use, unless every request needs it",
                named(&addresses),
                format_ms(waiting)
            ),
            saves_ms,
            command: None,
        })
    }

    /// Distributions of which nothing was imported, as their part of provisioning.
    fn requirements(&self) -> Option<Advice> {
        let imported: BTreeSet<&str> =
            self.trace.imports.iter().filter_map(|import| import.distribution.as_deref()).collect();
        let idle = || self.trace.distributions.iter().filter(|d| !imported.contains(d.name.as_str()));
        let (bytes, all) = (idle().map(|d| d.bytes).sum::<u64>(), self.package_bytes());
        let provision = self.trace.phases.provision?;
        let saves_ms = provision.median * bytes as f64 / all.max(1) as f64;
        let mut names: Vec<&str> = idle().map(|d| d.name.as_str()).collect();
        names.sort_by_key(|name| std::cmp::Reverse(idle().find(|d| d.name == *name).map(|d| d.bytes)));
        let telling = bytes as f64 >= IDLE_PART * all as f64;
        (telling && saves_ms >= self.floor_ms && self.events.count() > 0).then(|| Advice {
            subject: "requirements".to_owned(),
            text: format!(
                "no event imports {} ({} of {}): leave out of the requirements what nothing else needs",
                named(&names),
                format_bytes(bytes),
                format_bytes(all)
            ),
            saves_ms,
            command: None,
        })
    }

    fn package_bytes(&self) -> u64 {
        self.trace.distributions.iter().map(|distribution| distribution.bytes).sum()
    }

    fn package(&self) -> Option<Advice> {
        let provision = self.trace.phases.provision?;
        let bytes = self.package_bytes();
        let how = if self.trace.phases.fetch.is_some() { "fetch and unpack" } else { "unpack" };
        (bytes >= LARGE_PACKAGE && provision.median >= self.floor_ms).then(|| Advice {
            subject: "package".to_owned(),
            text: format!(
                "the dependencies hold {}, and the package takes {} to {how}: `{BUILD}` leaves out what no code reads",
                format_bytes(bytes),
                format_ms(provision.median)
            ),
            saves_ms: 0.0,
            command: Some(BUILD.to_owned()),
        })
    }

    fn processes(&self) -> Option<Advice> {
        let started = self.trace.subprocesses.iter().filter(|process| process.phase == Phase::Init);
        let names: Vec<&str> = started.map(|process| process.what.as_str()).collect();
        let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", short(name))).collect();
        let quoted: Vec<&str> = quoted.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| Advice {
            subject: "processes".to_owned(),
            text: format!(
                "init starts {}: find out while packaging what does not change between starts",
                named(&quoted)
            ),
            saves_ms: 0.0,
            command: None,
        })
    }
}

/// What a statement costs, in ms.
struct Cost {
    own: f64,
    importing: f64,
    /// Processor time of `own`, where it is known.
    processor: Option<f64>,
}

/// Statements of init by their place, in the order in which they first ran.
fn same_place(trace: &Trace) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, statement) in trace.statements.iter().enumerate().filter(|(_, s)| s.phase == Phase::Init) {
        let group = *known.entry(&statement.place).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(index);
    }
    groups
}
