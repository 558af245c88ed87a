//! What the imports of a trace add up to: by kind of work, by line of the user's own code, by missing bytecode.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::successors;

use camino::{Utf8Path, Utf8PathBuf};

use crate::document::{Compiled, Import, Kinds, Line};
use crate::records::{Bytecode, Phase, Status};
use crate::tree::{MAIN_THREAD, parents};

/// Init by kind of work, on the thread that init waits for; the imports that the runtime brings are not the function's.
pub(crate) fn kinds(imports: &[Import]) -> Kinds {
    let own = |i: &&Import| i.phase == Phase::Init && !i.runtime_provided && i.thread == MAIN_THREAD;
    let init = || imports.iter().filter(own);
    // A step that no import took is measured as nothing; waits are known where the kernel tells them.
    let sum = |figure: fn(&Import) -> Option<f64>| -> Option<f64> {
        init().next().map(|_| init().filter_map(figure).sum::<f64>() + 0.0) // an empty sum is -0
    };
    let waits = init().any(|import| import.io_ms.is_some());
    let within = |import: &Import| {
        import.gc_ms.unwrap_or(0.0) + import.regex_ms.unwrap_or(0.0) + import.io_ms.unwrap_or(0.0)
    };
    // Collections, patterns and waits happen nearly always in bodies; what is more than the body was elsewhere.
    let exec: f64 = init().map(|i| (i.exec_ms.unwrap_or(0.0) - within(i)).max(0.0)).sum();
    let steps = |i: &Import| {
        [i.find_ms, i.read_ms, i.compile_ms, i.unmarshal_ms, i.exec_ms, i.native_ms]
            .iter()
            .flatten()
            .sum::<f64>()
    };
    Kinds {
        find: sum(|i| i.find_ms),
        read: sum(|i| i.read_ms),
        compile: sum(|i| i.compile_ms),
        unmarshal: sum(|i| i.unmarshal_ms),
        exec: sum(|i| i.exec_ms).map(|_| exec),
        native: sum(|i| i.native_ms),
        gc: sum(|i| i.gc_ms),
        regex: sum(|i| i.regex_ms),
        io: sum(|i| i.io_ms).filter(|_| waits),
        rest: init().next().map(|_| init().map(|i| (i.self_ms - steps(i)).max(0.0)).sum()),
    }
}

/// Modules without valid bytecode, in init or in the first invoke of any event.
pub(crate) fn compiled(imports: &[Import]) -> Compiled {
    let mut seen = BTreeSet::new();
    let mut all = Compiled::default();
    for import in imports.iter().filter(|i| !i.runtime_provided && i.status == Status::Ok) {
        let count = match import.bytecode {
            Bytecode::Missing => &mut all.missing,
            Bytecode::Stale => &mut all.stale,
            Bytecode::Valid | Bytecode::None => continue,
        };
        if seen.insert(&import.module) {
            *count += 1;
            all.compile_ms += import.compile_ms.unwrap_or(0.0);
        }
    }
    all
}

/// What each line of the user's own code brings in, the dearest first. An import belongs to the nearest such line
/// above it; what a user's module costs itself is not a line's, nor is what other threads import meanwhile.
pub(crate) fn lines(imports: &[Import], user_files: &BTreeSet<Utf8PathBuf>) -> Vec<Line> {
    let mut lines: BTreeMap<Key, Line> = BTreeMap::new();
    let mut wanted_by: BTreeMap<Key, BTreeSet<&str>> = BTreeMap::new();
    let tops = Tops::new(imports, user_files);
    for (index, import) in imports.iter().enumerate() {
        let Some(top) = tops.of(index) else { continue };
        let asked = &imports[top];
        let key = (asked.importer.clone(), asked.phase, asked.event.clone());
        let line = lines.entry(key.clone()).or_insert_with(|| Line {
            place: asked.importer.clone(),
            asks_for: Vec::new(),
            modules: 0,
            total_ms: 0.0,
            memory_kib: None,
            phase: asked.phase,
            event: asked.event.clone(),
            used_by: Vec::new(),
        });
        if top == index {
            line.asks_for.push(import.module.clone());
        }
        line.modules += usize::from(import.status == Status::Ok);
        line.total_ms += import.self_ms;
        line.memory_kib = match (line.memory_kib, import.memory_kib) {
            (Some(sum), Some(kib)) => Some(sum + kib),
            (sum, kib) => sum.or(kib),
        };
        wanted_by.entry(key).or_default().extend(tops.users(top));
    }
    let mut all: Vec<Line> = lines
        .into_iter()
        .map(|(key, line)| Line {
            used_by: wanted_by.remove(&key).into_iter().flatten().map(str::to_owned).collect(),
            ..line
        })
        .collect();
    all.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms).then_with(|| a.place.cmp(&b.place)));
    all
}

type Key = (String, Phase, Option<String>);

/// For each import, the one above it that a line of the user's own code asked for.
struct Tops<'a> {
    imports: &'a [Import],
    by_index: Vec<Option<usize>>,
    by_distribution: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Tops<'a> {
    fn new(imports: &'a [Import], user_files: &BTreeSet<Utf8PathBuf>) -> Self {
        let mut by_distribution: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for import in imports {
            if let Some(distribution) = &import.distribution {
                let users = by_distribution.entry(distribution).or_default();
                users.extend(import.used_by.iter().map(String::as_str));
            }
        }
        let own = |place: &str| {
            place.rsplit_once(':').is_some_and(|(file, _)| user_files.contains(Utf8Path::new(file)))
        };
        let user_module =
            |import: &Import| import.file.as_deref().is_some_and(|file| user_files.contains(file));
        let parents = parents(imports);
        let top = |index: usize| {
            let chain: Vec<usize> = successors(Some(index), |at| parents[*at]).collect();
            // From the outermost on: what an import brings in belongs to the line that asked for it.
            chain.into_iter().rev().fold(None, |top, at| {
                let import = &imports[at];
                let apart = user_module(import) || import.runtime_provided || import.thread != MAIN_THREAD;
                if apart { None } else { top.or_else(|| own(&import.importer).then_some(at)) }
            })
        };
        let tops = (0..imports.len()).map(top).collect();
        Self { imports, by_index: tops, by_distribution }
    }

    fn of(&self, index: usize) -> Option<usize> {
        self.by_index[index]
    }

    /// Events that used the module or any of its distribution.
    fn users(&self, top: usize) -> Vec<&'a str> {
        let import = &self.imports[top];
        let others = import.distribution.as_deref().and_then(|name| self.by_distribution.get(name));
        import.used_by.iter().map(String::as_str).chain(others.into_iter().flatten().copied()).collect()
    }
}
