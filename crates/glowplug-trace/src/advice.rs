//! What to do next about a cold start, in the order of what it would save.
//!
//! Each moment of init is promised once: bytecode takes the compiling, a line or statement what it alone brings
//! in, a library what of the rest no event ran.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_core::{format_bytes, format_ms};

use crate::document::{Advice, Import, Line, Statement, Trace};
use crate::records::{Phase, Status};
use crate::tree::{Asker, ImportTree, MAIN_THREAD, is_own, place_of, split_place};
use crate::users::{Events, is_definition, is_nested, is_used_by, used_while_loading};

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
/// Names that a sentence lists.
const NAMED: usize = 3;
/// The command that does most of it.
const BUILD: &str = "glowplug build";
/// The same where only the middle request gains.
const BUILD_FOR_SPEED: &str = "glowplug build --objective speed";

/// What to do next, every event weighing the same: what saves most first, after what keeps the function from
/// starting; at the end what cannot be told in ms, with `saves_ms` 0.
pub fn advise(trace: &Trace) -> Vec<Advice> {
    advise_weighted(trace, &BTreeMap::new())
}

/// The same with each event's share of first requests; one that is not named weighs nothing, unless none is.
pub fn advise_weighted(trace: &Trace, weights: &BTreeMap<String, f64>) -> Vec<Advice> {
    if trace.phases.init.is_none() && trace.failure.is_some() {
        return failing(trace).into_iter().collect();
    }
    let mut survey = Survey::new(trace, Events::of(trace, weights));
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

/// The import that kept the function from starting: the innermost, where one failed for the sake of another.
pub fn failing_import(trace: &Trace) -> Option<&Import> {
    let failure = trace.failure.as_deref()?;
    let failed = |import: &&Import| import.status == Status::Failed && import.phase == Phase::Init;
    let missing = failure.split("No module named '").nth(1).and_then(|rest| rest.split('\'').next());
    let found =
        missing.and_then(|name| trace.imports.iter().filter(failed).rfind(|import| import.module == name));
    if found.is_some() || trace.phases.init.is_some() {
        return found;
    }
    let tree = ImportTree::new(trace);
    let handlers = |index: &usize| !trace.imports[*index].runtime_provided && failed(&&trace.imports[*index]);
    let mut at = (0..trace.imports.len()).filter(|index| tree.parent(*index).is_none()).rfind(handlers)?;
    // A failure further up was caught where something else was imported after it.
    while let Some(last) = tree.children(at).last().filter(|last| handlers(last)) {
        at = *last;
    }
    Some(&trace.imports[at])
}

fn failing(trace: &Trace) -> Option<Advice> {
    let import = failing_import(trace)?;
    let remedy = if import.file.is_none() && trace.failure.as_deref()?.contains("No module named") {
        "add what brings it to the requirements"
    } else {
        "correct that first"
    };
    let (module, importer) = (&import.module, &import.importer);
    let text = format!("{importer} imports `{module}`, which fails, so the function cannot start: {remedy}");
    Some(Advice { subject: module.clone(), text, saves_ms: 0.0, command: None })
}

/// A trace, and what of it is spoken for.
struct Survey<'a> {
    trace: &'a Trace,
    events: Events<'a>,
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
    fn new(trace: &'a Trace, events: Events<'a>) -> Self {
        let init = trace.phases.init.map_or(0.0, |init| init.median);
        let floor_ms = FLOOR_MS.max(init * FLOOR_PART);
        Self {
            trace,
            events,
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
        (count > 0).then(|| Advice {
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
        let (remedy, command) = if let Some(using) = used_while_loading(self.trace, line) {
            let place = &using.place;
            (
                format!(
                    "{place} uses it as the module loads; it can wait once that use stands in a function"
                ),
                None,
            )
        } else if is_nested(self.trace, line) {
            ("it stands within another statement; import it where it is used".to_owned(), None)
        } else {
            let command = if for_speed { BUILD_FOR_SPEED } else { BUILD };
            (format!("`{command}` defers it"), Some(command.to_owned()))
        };
        let usage = self.events.usage(used);
        let text = format!("{name} ({}): {}{}, {usage}: {remedy}", line.place, format_ms(cost), self.apart());
        Advice { subject: name, text, saves_ms, command }
    }

    /// Slow statements, with what they import.
    fn statements(&mut self) -> Vec<Advice> {
        let trace = self.trace;
        let mut made = Vec::new();
        for (index, statement) in trace.statements.iter().enumerate() {
            let below = self.tree.asked_by(Asker::Statement(index));
            let importing = self.cost(&below);
            let cost = statement.self_ms + importing;
            if cost < self.floor_ms || is_definition(&statement.text) {
                continue;
            }
            let known = self.users_of(statement, &below);
            let part =
                known.as_ref().map_or(Some(1.0), |used| self.events.deferral(used).map(|d| d.saved_part));
            let nobody = BTreeSet::new();
            let imports = self.saving(&below, known.as_ref().unwrap_or(&nobody));
            let Some(saves_ms) = part.map(|part| statement.self_ms * part + imports) else { continue };
            if saves_ms < self.floor_ms {
                continue;
            }
            self.claim(&below);
            self.advised.insert(index);
            made.push(self.statement(statement, cost, importing, saves_ms, known.as_ref()));
        }
        made
    }

    /// Events that used what a statement names or imports; `None` where it does neither.
    fn users_of(&self, statement: &Statement, below: &[usize]) -> Option<BTreeSet<&'a str>> {
        let mut indices = below.to_vec();
        for (index, line) in self.trace.lines.iter().enumerate() {
            if line.phase == Phase::Init && is_used_by(self.trace, line, statement) {
                indices.extend(self.tree.asked_by(Asker::Line(index)));
            }
        }
        (!indices.is_empty()).then(|| self.tree.users(&indices))
    }

    fn statement(
        &self,
        statement: &Statement,
        cost: f64,
        importing: f64,
        saves_ms: f64,
        known: Option<&BTreeSet<&str>>,
    ) -> Advice {
        let apart = if importing > 0.0 { self.apart() } else { "" };
        let of = if known.is_none() { " of every cold start" } else { "" };
        let mut text =
            format!("{} `{}`: {}{apart}{of}", statement.place, short(&statement.text), format_ms(cost));
        if importing >= self.floor_ms {
            text += &format!(", {} of it imports", format_ms(importing));
        } else if statement.cpu_ms.is_some_and(|ran| ran * 2.0 < statement.self_ms) {
            text += ", mostly waiting";
        }
        match known {
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
        let none = self.events.usage(&BTreeSet::new());
        let (apart, told) = (self.apart(), named(&told));
        Some(Advice {
            subject,
            text: format!("modules {none}: up to {told}{apart}: `{BUILD}` defers those that can wait"),
            saves_ms: costs.iter().map(|(_, ms)| ms).sum(),
            command: Some(BUILD.to_owned()),
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

/// What a line asks for, in a word: the module, or the package that several are in.
fn asked_for(line: &Line) -> String {
    match line.asks_for.as_slice() {
        [] => split_place(&line.place).0.to_owned(),
        [one] => one.clone(),
        [first, ..] => {
            let root = first.split('.').next().unwrap_or(first);
            if line.asks_for.iter().all(|module| module.split('.').next() == Some(root)) {
                root.to_owned()
            } else {
                line.asks_for.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// Whose a module is, for a sentence.
fn owner(import: &Import) -> String {
    match &import.distribution {
        Some(distribution) => distribution.clone(),
        None if is_own(import) => import.module.clone(),
        None => "Python's own modules".to_owned(),
    }
}

/// `a, b, c and 4 more`.
fn named(names: &[&str]) -> String {
    let listed = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

/// The beginning of a statement or command.
fn short(text: &str) -> String {
    const LIMIT: usize = 48;
    if text.chars().count() <= LIMIT {
        return text.to_owned();
    }
    text.chars().take(LIMIT - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_stay_short() {
        assert_eq!(named(&["a", "b"]), "a, b");
        assert_eq!(named(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
        assert_eq!(short(&"x".repeat(60)).chars().count(), 48);
    }
}
