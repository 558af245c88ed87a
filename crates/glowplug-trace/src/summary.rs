//! Several observations of one function as medians: one entry an import, a statement, a distribution.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::{ConnectionUse, DistributionUse, Import, Statement};
use crate::observe::Observation;
use crate::package::Owners;
use crate::passes::Seen;
use crate::records::{ImportRecord, Phase, StatementRecord};
use crate::trace::TraceContext;
use crate::tree::MAIN_THREAD;

/// The middle value, without an interval: there is one for every import.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(*upper, lower))
}

/// An import is the same in another process where all of this is the same, and it comes as the same in number.
type Key = (Phase, Option<String>, String, String, crate::records::Status);

fn key(record: &ImportRecord) -> Key {
    (record.phase, record.event.clone(), record.module.clone(), record.importer.clone(), record.status)
}

/// The records of a process with what tells them from the others of it: the same thing may happen several times.
fn numbered<'a, T, K: Ord + Clone>(
    records: &'a [T],
    key: impl Fn(&T) -> K + 'a,
) -> impl Iterator<Item = ((K, usize), &'a T)> {
    let mut seen: BTreeMap<K, usize> = BTreeMap::new();
    records.iter().map(move |record| {
        let number = seen.entry(key(record)).or_default();
        *number += 1;
        ((key(record), *number), record)
    })
}

/// Records by what makes them the same, in the order in which they began.
fn grouped<'a, T: 'a, K: Ord + Clone>(
    processes: impl Iterator<Item = &'a [T]>,
    key: impl Fn(&T) -> K + Copy + 'a,
    start: impl Fn(&T) -> f64,
) -> Vec<((K, usize), Vec<&'a T>)> {
    let mut groups: BTreeMap<(K, usize), Vec<&T>> = BTreeMap::new();
    for (key, record) in processes.flat_map(|records| numbered(records, key)) {
        groups.entry(key).or_default().push(record);
    }
    let mut ordered: Vec<((K, usize), Vec<&T>)> = groups.into_iter().collect();
    let begin = |group: &[&T]| median(group.iter().map(|r| start(r)).collect()).unwrap_or_default();
    ordered.sort_by(|a, b| begin(&a.1).total_cmp(&begin(&b.1)));
    ordered
}

/// The imports of timed observations, and of those that were cut off; memory and waits come from passes of their
/// own, use from `usages` by event.
pub(crate) fn imports(seen: &Seen, context: &TraceContext) -> Vec<Import> {
    let Seen { timed, memory, cut_off, usages, .. } = seen;
    let processes = || timed.iter().chain(cut_off).map(|observation| &observation.imports[..]);
    let records = || processes().flatten();
    let owners = Owners::new(&context.distributions);
    let grown = figures(memory, |record| record.memory_kib.map(|kib| kib as f64));
    let waited = figures(memory, |record| record.io_ms);
    let ran = figures(memory, |record| record.cpu_ms);
    let groups = grouped(processes(), key, |r| r.start_ms);
    // A module that fails to load may load in another place: events use modules, not records.
    let mut importing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for record in records().filter(|r| r.loaded()) {
        if let Some(event) = &record.event {
            importing.entry(&record.module).or_default().insert(event);
        }
    }
    groups
        .into_iter()
        .map(|(key, group)| {
            let record = group[0];
            let running = usages.iter().filter(|(_, usage)| usage.event.contains(&record.module));
            let mut used_by: BTreeSet<&str> = running.map(|(event, _)| event.as_str()).collect();
            used_by.extend(importing.get(record.module.as_str()).into_iter().flatten());
            let distribution = record.file.as_deref().and_then(|file| owners.of(file));
            Import {
                distribution: distribution.map(|index| context.distributions[index].name.clone()),
                memory_kib: grown.get(&key).cloned().and_then(median),
                cpu_ms: ran.get(&key).cloned().and_then(median),
                io_ms: waited.get(&key).cloned().and_then(median),
                used_by: used_by.into_iter().map(str::to_owned).collect(),
                ..import(&group)
            }
        })
        .collect()
}

/// A figure of each import in a pass of its own.
fn figures(
    passes: &[Observation],
    figure: fn(&ImportRecord) -> Option<f64>,
) -> BTreeMap<(Key, usize), Vec<f64>> {
    let mut found: BTreeMap<(Key, usize), Vec<f64>> = BTreeMap::new();
    for (key, record) in passes.iter().flat_map(|pass| numbered(&pass.imports, key)) {
        found.entry(key).or_default().extend(figure(record));
    }
    found
}

/// Imports in the user's own code that found their module loaded: they cost nothing that could be measured.
pub(crate) fn cached(passes: &[Observation], context: &TraceContext) -> Vec<Import> {
    let owners = Owners::new(&context.distributions);
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for pass in passes {
        for found in &pass.cached {
            let event = if found.phase == Phase::Init { None } else { pass.event.clone() };
            let own = found
                .importer
                .rsplit_once(':')
                .is_some_and(|(file, _)| context.user_files.contains(camino::Utf8Path::new(file)));
            if own && seen.insert((found.phase, event.clone(), &found.module, &found.importer)) {
                let loaded = pass.imports.iter().find(|import| import.module == found.module);
                let file = loaded.and_then(|import| import.file.clone());
                let distribution = file.as_deref().and_then(|file| owners.of(file));
                all.push(Import {
                    distribution: distribution.map(|index| context.distributions[index].name.clone()),
                    runtime_provided: loaded.is_none_or(|import| import.runtime_provided),
                    file,
                    ..Import::cached(found, event)
                });
            }
        }
    }
    all
}

/// One import's figures as medians.
fn import(group: &[&ImportRecord]) -> Import {
    let optional =
        |figure: fn(&ImportRecord) -> Option<f64>| median(group.iter().filter_map(|r| figure(r)).collect());
    let middle = |figure: fn(&ImportRecord) -> f64| {
        median(group.iter().map(|r| figure(r)).collect()).unwrap_or_default()
    };
    let first = group[0];
    Import {
        module: first.module.clone(),
        parent: first.parent.clone(),
        distribution: None,
        importer: first.importer.clone(),
        importer_module: first.importer_module.clone(),
        status: first.status,
        phase: first.phase,
        event: first.event.clone(),
        thread: first.thread.clone(),
        start_ms: middle(|r| r.start_ms),
        self_ms: middle(|r| r.self_ms),
        total_ms: middle(|r| r.total_ms),
        cpu_ms: None,
        find_ms: optional(|r| r.find_ms),
        read_ms: optional(|r| r.read_ms),
        compile_ms: optional(|r| r.compile_ms),
        unmarshal_ms: optional(|r| r.unmarshal_ms),
        exec_ms: optional(|r| r.exec_ms),
        native_ms: optional(|r| r.native_ms),
        gc_ms: optional(|r| r.gc_ms),
        regex_ms: optional(|r| r.regex_ms),
        io_ms: None,
        memory_kib: None,
        bytes_read: first.bytes_read,
        runtime_provided: first.runtime_provided,
        bytecode: first.bytecode,
        used_by: Vec::new(),
        file: first.file.clone(),
    }
}

/// The statements of timed observations; processor times come from the passes of `memory`.
pub(crate) fn statements(timed: &[Observation], memory: &[Observation]) -> Vec<Statement> {
    let same = |r: &StatementRecord| (r.phase, r.event.clone(), r.file.clone(), r.line, r.end_line);
    let mut ran: BTreeMap<_, Vec<f64>> = BTreeMap::new();
    for (key, record) in memory.iter().flat_map(|pass| numbered(&pass.statements, same)) {
        ran.entry(key).or_default().extend(record.cpu_ms);
    }
    grouped(timed.iter().map(|o| &o.statements[..]), same, |r| r.start_ms)
        .into_iter()
        .map(|(key, group)| {
            let middle = |figure: fn(&StatementRecord) -> f64| {
                median(group.iter().map(|r| figure(r)).collect()).unwrap_or_default()
            };
            Statement {
                place: format!("{}:{}", group[0].file, group[0].line),
                text: group[0].text.clone(),
                start_ms: middle(|r| r.start_ms),
                self_ms: middle(|r| r.self_ms),
                cpu_ms: ran.get(&key).cloned().and_then(median),
                imports_ms: Some(middle(|r| r.imports_ms)),
                phase: group[0].phase,
                event: group[0].event.clone(),
            }
        })
        .collect()
}

/// The connections of timed observations: those of init once, those of each event's first invoke.
pub(crate) fn connections(timed: &[Observation]) -> Vec<ConnectionUse> {
    let mut samples: BTreeMap<(Phase, Option<String>, String, String), Vec<f64>> = BTreeMap::new();
    for observation in timed {
        let mut sums = BTreeMap::new();
        for made in &observation.connections {
            let key = (made.phase, made.event.clone(), made.kind.clone(), made.address.clone());
            *sums.entry(key).or_insert(0.0) += made.duration_ms;
        }
        for (key, sum) in sums {
            samples.entry(key).or_default().push(sum);
        }
    }
    let told = |((phase, event, kind, address), samples)| ConnectionUse {
        kind,
        address,
        phase,
        event,
        total_ms: median(samples).unwrap_or_default(),
    };
    samples.into_iter().map(told).collect()
}

/// Init that no import on its thread explains, in ms; statements are part of their modules, and what the agent took is
/// nobody's.
pub(crate) fn unexplained(timed: &[Observation]) -> Option<f64> {
    let rest = timed.iter().filter_map(|observation| {
        let own = observation
            .imports
            .iter()
            .filter(|r| r.phase == Phase::Init && !r.runtime_provided && r.thread == MAIN_THREAD);
        let rest = observation.init_ms? - own.map(|r| r.self_ms).sum::<f64>();
        Some(rest.max(0.0))
    });
    median(rest.collect())
}

/// What the imports cost by distribution; the sizes are the caller's to fill in.
pub(crate) fn distributions(imports: &[Import], context: &TraceContext) -> Vec<DistributionUse> {
    let mut all: Vec<DistributionUse> = context
        .distributions
        .iter()
        .map(|distribution| {
            let mine: Vec<&Import> =
                imports.iter().filter(|i| i.distribution.as_ref() == Some(&distribution.name)).collect();
            let used_by: BTreeSet<&String> = mine.iter().flat_map(|i| &i.used_by).collect();
            DistributionUse {
                name: distribution.name.clone(),
                version: distribution.version.clone(),
                total_ms: dearest(&mine, |i| Some(i.self_ms)).unwrap_or_default(),
                memory_kib: dearest(&mine, |i| i.memory_kib),
                bytes: 0,
                bytes_by_kind: BTreeMap::new(),
                used_by: used_by.into_iter().cloned().collect(),
            }
        })
        .collect();
    all.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms).then_with(|| a.name.cmp(&b.name)));
    all
}

/// Init's sum and that of the event where it is largest; `None` where nothing has the figure.
fn dearest(imports: &[&Import], figure: fn(&Import) -> Option<f64>) -> Option<f64> {
    let mut sums: BTreeMap<Option<&str>, f64> = BTreeMap::new();
    for import in imports.iter().filter(|i| !i.runtime_provided) {
        if let Some(value) = figure(import) {
            *sums.entry(import.event.as_deref()).or_default() += value;
        }
    }
    let init = sums.remove(&None);
    let invoke = sums.into_values().max_by(f64::total_cmp);
    init.map_or(invoke, |init| Some(init + invoke.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use glowplug_engine::{Init, InitOutcome};

    use super::*;
    use crate::observe::Usage;
    use crate::package::Distribution;
    use crate::records::{Bytecode, Status};

    fn record(module: &str, event: Option<&str>, self_ms: f64) -> ImportRecord {
        ImportRecord {
            module: module.to_owned(),
            parent: None,
            importer: "app.py:1".to_owned(),
            importer_module: "app".to_owned(),
            status: Status::Ok,
            phase: if event.is_some() { Phase::FirstInvoke } else { Phase::Init },
            event: event.map(str::to_owned),
            thread: "MainThread".to_owned(),
            start_ms: 1.0,
            self_ms,
            total_ms: self_ms,
            cpu_ms: None,
            find_ms: None,
            read_ms: Some(self_ms),
            compile_ms: None,
            unmarshal_ms: None,
            exec_ms: None,
            native_ms: None,
            gc_ms: None,
            regex_ms: None,
            io_ms: None,
            memory_kib: Some(8),
            bytes_read: None,
            bytecode: Bytecode::Valid,
            runtime_provided: module == "json",
            file: Some(format!("lib/{module}.py").into()),
        }
    }

    fn observation(imports: Vec<ImportRecord>) -> Observation {
        Observation {
            imports,
            statements: Vec::new(),
            lazy_loads: Vec::new(),
            files: Vec::new(),
            subprocesses: Vec::new(),
            cached: Vec::new(),
            connections: Vec::new(),
            preloaded: BTreeSet::new(),
            aliases: BTreeMap::new(),
            complete: true,
            init_ms: Some(10.0),
            init: Init {
                outcome: InitOutcome::Ready,
                interpreter_ms: None,
                runtime_ms: 50.0,
                init_ms: 10.0,
                cpu_ms: 60.0,
                runtime_cpu_ms: None,
                peak_memory_kib: 0,
                process_start_ns: 0,
                ready_ns: 0,
            },
            event: None,
            invocation: None,
        }
    }

    fn context() -> TraceContext {
        TraceContext {
            user_files: BTreeSet::new(),
            edited: false,
            distributions: vec![Distribution {
                name: "Lib".to_owned(),
                version: "1".to_owned(),
                files: vec!["lib".into()],
            }],
            runs: 1,
            agent_runs: 1,
            unpack_ms: Vec::new(),
            package_bytes: None,
            bandwidth_mbit: None,
            cold_cache: false,
            unfit: Vec::new(),
            timeout: std::time::Duration::from_secs(3),
        }
    }

    #[test]
    fn the_median_of_an_even_number_is_between() {
        assert_eq!(median(vec![3.0, 1.0]), Some(2.0));
        assert_eq!(median(vec![5.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn the_same_import_of_several_processes_is_one_and_events_stay_apart() {
        let timed = [
            observation(vec![record("a", None, 1.0), record("b", Some("x"), 4.0), record("json", None, 5.0)]),
            observation(vec![record("a", None, 3.0), record("b", Some("y"), 6.0), record("json", None, 5.0)]),
        ];
        let usages = BTreeMap::from([(
            "y".to_owned(),
            Usage { init: BTreeSet::new(), event: BTreeSet::from(["a".to_owned()]) },
        )]);
        let memory = vec![timed[0].clone()];
        let seen = Seen { timed: timed.to_vec(), memory, usages, ..Seen::default() };
        let imports = imports(&seen, &context());
        let told: Vec<_> = imports
            .iter()
            .map(|i| (&*i.module, i.event.as_deref(), i.self_ms, i.memory_kib, i.used_by.join(",")))
            .collect();
        assert_eq!(
            told,
            [
                ("a", None, 2.0, Some(8.0), "y".to_owned()),
                ("json", None, 5.0, Some(8.0), String::new()),
                ("b", Some("x"), 4.0, Some(8.0), "x,y".to_owned()),
                ("b", Some("y"), 6.0, None, "x,y".to_owned()),
            ]
        );
        assert!(imports.iter().all(|i| i.distribution.as_deref() == Some("Lib") && i.find_ms.is_none()));
        // Init and the dearer event; what the runtime brings is free.
        let lib = &distributions(&imports, &context())[0];
        assert_eq!((lib.total_ms, lib.memory_kib), (8.0, Some(16.0)));
        assert_eq!(lib.used_by, ["x", "y"]);
        assert_eq!(unexplained(&timed), Some(8.0));
    }
}
