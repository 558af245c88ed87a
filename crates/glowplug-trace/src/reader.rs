//! Turns what an agent wrote into records.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::Extents;

use crate::recording::{ImportRow, Recording};
use crate::records::{
    Bytecode, CachedImport, Connection, FileRecord, ImportRecord, LazyLoad, Phase, StatementRecord, Status,
    Subprocess,
};

/// Longest text of a statement that is kept, in characters.
const TEXT: usize = 160;

/// Turns a recording into records.
pub(crate) struct Reader<'a> {
    recording: &'a Recording,
    /// The host's view of the tree, for the text of statements.
    tree: &'a Utf8Path,
    event: Option<&'a str>,
    process_start: i64,
    ready: i64,
    prefix: String,
    /// When the process was over.
    end: i64,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        recording: &'a Recording,
        tree: &'a Utf8Path,
        event: Option<&'a str>,
        process_start_ns: u64,
        ready_ns: u64,
        end_ns: u64,
    ) -> Self {
        Self {
            recording,
            tree,
            event,
            process_start: process_start_ns.cast_signed(),
            ready: ready_ns.cast_signed(),
            prefix: format!("{}/", recording.task_root),
            end: end_ns.cast_signed(),
        }
    }

    /// In the order in which they began.
    pub(crate) fn imports(&self, handler: &str) -> Vec<ImportRecord> {
        let provided = Provided::new(self.recording, handler);
        let mut rows = Cow::Borrowed(&self.recording.imports[..]);
        if rows.iter().any(|row| !row.over) {
            rows = Cow::Owned(self.finished(&rows));
        }
        let mut rows: Vec<&ImportRow> = rows.iter().collect();
        rows.sort_by_key(|row| row.begin);
        rows.into_iter().map(|row| self.import(row, provided.holds(row))).collect()
    }

    /// One row an import: what was under way when the process was ended has failed at that moment.
    fn finished(&self, rows: &[ImportRow]) -> Vec<ImportRow> {
        let key = |row: &ImportRow| (row.begin, row.module.clone(), row.thread.clone());
        let over: BTreeSet<_> = rows.iter().filter(|row| row.over).map(key).collect();
        let mut kept: Vec<ImportRow> =
            rows.iter().filter(|row| row.over || !over.contains(&key(row))).cloned().collect();
        for row in kept.iter_mut().filter(|row| !row.over) {
            row.failed = true;
            row.total = (self.end - row.begin).max(0);
        }
        for index in 0..kept.len() {
            if !kept[index].over {
                let within = |other: &&ImportRow| {
                    other.parent == kept[index].module && other.begin > kept[index].begin
                };
                let children: i64 = kept.iter().filter(within).map(|row| row.total).sum();
                kept[index].own = (kept[index].total - children).max(0);
            }
        }
        kept
    }

    fn import(&self, row: &ImportRow, runtime_provided: bool) -> ImportRecord {
        let origin = row.origin.as_deref();
        let known = [row.find, row.read, row.unmarshal, row.compile, row.native];
        // A loader of its own, or a frozen module: what is left is its body.
        let rest = row.own - known.iter().flatten().sum::<i64>();
        let alone = row.exec.is_none() && row.native.is_none() && !row.failed && origin.is_some();
        let exec = if alone { Some(rest.max(0)) } else { row.exec };
        ImportRecord {
            module: row.module.clone(),
            parent: Some(row.parent.clone()).filter(|parent| !parent.is_empty()),
            importer: self.place(&row.importer_file, row.importer_line),
            importer_module: row.importer_module.clone(),
            status: if row.failed { Status::Failed } else { Status::Ok },
            phase: Phase::of(row.phase),
            event: self.event_of(row.phase),
            thread: row.thread.clone(),
            start_ms: self.start(row.phase, row.begin),
            // Greenlets take turns within an import: what others did in the meantime is not below it.
            self_ms: ms(row.own.max(0)),
            total_ms: ms(row.total),
            cpu_ms: row.cpu.map(ms),
            find_ms: row.find.map(ms),
            read_ms: row.read.map(ms),
            compile_ms: row.compile.map(ms),
            unmarshal_ms: row.unmarshal.map(ms),
            exec_ms: exec.map(ms),
            native_ms: row.native.map(ms),
            gc_ms: Some(ms(row.gc)),
            regex_ms: Some(ms(row.regex)),
            io_ms: row.wait.map(ms),
            memory_kib: row.memory,
            bytes_read: row.bytes.and_then(|bytes| u64::try_from(bytes).ok()),
            bytecode: bytecode(row),
            runtime_provided,
            file: origin.filter(|o| o.starts_with('/')).map(|o| Utf8PathBuf::from(self.relative(o))),
        }
    }

    pub(crate) fn cached(&self) -> Vec<CachedImport> {
        let rows = self.recording.cached.iter();
        rows.map(|row| CachedImport {
            module: row.module.clone(),
            importer: self.place(&row.file, row.line),
            importer_module: row.importer_module.clone(),
            thread: row.thread.clone(),
            phase: Phase::of(row.phase),
        })
        .collect()
    }

    /// In the order in which they began; their text is read from the tree.
    pub(crate) fn statements(&self) -> Vec<StatementRecord> {
        let mut source: (String, Vec<u8>) = Default::default();
        let mut rows: Vec<_> = self.recording.statements.iter().collect();
        rows.sort_by_key(|row| row.begin);
        rows.into_iter()
            .map(|row| {
                let file = self.relative(&row.file);
                if source.0 != file {
                    source = (file.to_owned(), fs::read(self.tree.join(file)).unwrap_or_default());
                }
                StatementRecord {
                    text: line_of(&source.1, row.line),
                    file: Utf8PathBuf::from(file),
                    line: line(row.line),
                    end_line: line(row.end_line),
                    module: row.module.clone(),
                    phase: Phase::of(row.phase),
                    event: self.event_of(row.phase),
                    start_ms: self.start(row.phase, row.begin),
                    self_ms: ms(row.own),
                    cpu_ms: row.cpu.map(ms),
                    imports_ms: ms(row.imports),
                }
            })
            .collect()
    }

    pub(crate) fn lazy_loads(&self) -> Vec<LazyLoad> {
        let rows = self.recording.lazy.iter();
        rows.map(|row| LazyLoad {
            module: row.module.clone(),
            name: row.name.clone(),
            phase: Phase::of(row.phase),
            event: self.event_of(row.phase),
            file: self.relative(&row.file).to_owned(),
            line: line(row.line),
        })
        .collect()
    }

    pub(crate) fn files(&self) -> Vec<FileRecord> {
        let parts = self.parts();
        let rows = self.recording.files.iter().enumerate();
        rows.map(|(order, row)| FileRecord {
            path: Utf8PathBuf::from(self.relative(&row.path)),
            order,
            bytes: u64::try_from(row.bytes).unwrap_or(0),
            parts: parts.get(row.path.as_str()).cloned().flatten(),
            phase: Phase::of(row.phase),
        })
        .collect()
    }

    /// By path, what all that was written says together; nothing where another process may have touched more.
    fn parts(&self) -> BTreeMap<&str, Option<Extents>> {
        let mut parts: BTreeMap<&str, Option<Extents>> = BTreeMap::new();
        if !self.recording.subprocesses.is_empty() {
            return parts;
        }
        for (path, bounds) in &self.recording.parts {
            let byte = |bound: i64| u64::try_from(bound).unwrap_or(0);
            let pairs = |bounds: &Vec<i64>| {
                Extents::new(bounds.chunks_exact(2).map(|pair| (byte(pair[0]), byte(pair[1]))))
            };
            let known = parts.entry(path).or_insert_with(|| Some(Extents::default()));
            *known = known.take().zip(bounds.as_ref()).map(|(known, bounds)| known.join(&pairs(bounds)));
        }
        parts
    }

    pub(crate) fn connections(&self) -> Vec<Connection> {
        let rows = self.recording.connections.iter();
        rows.map(|row| Connection {
            kind: row.kind.clone(),
            address: row.address.clone(),
            phase: Phase::of(row.phase),
            event: self.event_of(row.phase),
            start_ms: self.start(row.phase, row.begin),
            duration_ms: ms(row.took),
            main: row.main,
        })
        .collect()
    }

    pub(crate) fn subprocesses(&self) -> Vec<Subprocess> {
        let rows = self.recording.subprocesses.iter();
        rows.map(|(event, what, phase)| Subprocess {
            event: event.clone(),
            what: what.clone(),
            phase: Phase::of(*phase),
        })
        .collect()
    }

    /// Init on the agent's clock, without what the agent took: from the handler's module to the end of the phase, in ms.
    pub(crate) fn init_ms(&self, handler: &str) -> Option<f64> {
        let provided = Provided::new(self.recording, handler);
        let (_, end) = self.recording.phase(0)?;
        (provided.until < end).then(|| ms(end - provided.until))
    }

    fn event_of(&self, phase: i64) -> Option<String> {
        if phase == 0 { None } else { self.event.map(str::to_owned) }
    }

    fn start(&self, phase: i64, begin: i64) -> f64 {
        match self.recording.phase(phase) {
            Some((from, _)) if phase > 0 => ms(self.ready - self.process_start + begin - from),
            _ => ms(begin - self.process_start),
        }
    }

    fn relative<'p>(&self, path: &'p str) -> &'p str {
        path.strip_prefix(&self.prefix).unwrap_or(path)
    }

    fn place(&self, file: &str, line: i64) -> String {
        if file.is_empty() { String::new() } else { format!("{}:{line}", self.relative(file)) }
    }
}

/// Which imports are the runtime's: those before the handler's module is asked for, and those after a
/// phase has ended, while it reports an error or waits for an event.
struct Provided<'a> {
    recording: &'a Recording,
    until: i64,
}

impl<'a> Provided<'a> {
    fn new(recording: &'a Recording, handler: &str) -> Self {
        let module = handler.rsplit_once('.').map_or(handler, |(module, _)| module).replace('/', ".");
        let first = module.split('.').next().unwrap_or_default();
        let asked = recording.imports.iter().filter(|row| row.module == first || row.module == module);
        Self { recording, until: asked.map(|row| row.begin).min().unwrap_or(i64::MAX) }
    }

    fn holds(&self, row: &ImportRow) -> bool {
        row.begin < self.until || self.recording.phase(row.phase).is_some_and(|(_, end)| row.begin > end)
    }
}

fn bytecode(row: &ImportRow) -> Bytecode {
    match (row.unmarshal, row.compile) {
        _ if !row.origin.as_deref().is_some_and(|origin| origin.starts_with('/')) => Bytecode::None,
        (Some(_), _) => Bytecode::Valid,
        (None, Some(_)) if row.stale => Bytecode::Stale,
        (None, Some(_)) => Bytecode::Missing,
        (None, None) => Bytecode::None,
    }
}

fn ms(ns: i64) -> f64 {
    ns as f64 / 1e6
}

fn line(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn line_of(source: &[u8], number: i64) -> String {
    let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
    let line = source.split(|byte| *byte == b'\n').nth(index).unwrap_or_default();
    String::from_utf8_lossy(line).trim().chars().take(TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::FileRow;

    fn row(module: &str, parent: &str, importer_module: &str, begin: i64) -> ImportRow {
        ImportRow {
            module: module.to_owned(),
            parent: parent.to_owned(),
            importer_file: "/var/task/app.py".to_owned(),
            importer_line: 3,
            importer_module: importer_module.to_owned(),
            thread: "MainThread".to_owned(),
            phase: 0,
            begin,
            total: 10,
            own: 10,
            cpu: None,
            find: Some(1),
            read: Some(1),
            unmarshal: Some(1),
            compile: None,
            exec: Some(6),
            native: None,
            gc: 0,
            bytes: Some(100),
            stale: false,
            memory: None,
            failed: false,
            origin: Some(format!("/var/task/{module}.py")),
            regex: 0,
            wait: None,
            over: true,
        }
    }

    fn read(imports: Vec<ImportRow>, handler: &str) -> Vec<ImportRecord> {
        let phases = vec![(0, 90, 290), (0, 90, 400)];
        let recording =
            Recording { imports, phases, task_root: "/var/task".to_owned(), ..Recording::default() };
        Reader::new(&recording, Utf8Path::new("/none"), None, 100, 1000, 2000).imports(handler)
    }

    #[test]
    fn what_the_runtime_loads_is_told_from_what_the_function_loads() {
        let records = read(
            vec![
                row("json", "", "awslambdaric.bootstrap", 100),
                row("pandas", "app", "app", 210),
                row("app", "", "awslambdaric.bootstrap", 200),
                row("http", "", "awslambdaric.lambda_runtime_client", 300),
            ],
            "app.handler",
        );
        let provided: Vec<(&str, bool)> = records.iter().map(|r| (&*r.module, r.runtime_provided)).collect();
        let expected = [("json", true), ("app", false), ("pandas", false), ("http", true)];
        assert_eq!(provided, expected);
    }

    #[test]
    fn a_handler_in_a_package_begins_with_the_package() {
        let records = read(
            vec![
                row("src.app", "", "awslambdaric.bootstrap", 200),
                row("src", "", "awslambdaric.bootstrap", 150),
                row("json", "", "x", 100),
            ],
            "src/app.handler",
        );
        let provided: Vec<bool> = records.iter().map(|r| r.runtime_provided).collect();
        assert_eq!(provided, [true, false, false]);
    }

    #[test]
    fn places_are_relative_to_the_tree_and_times_to_the_process() {
        let records = read(vec![row("app", "", "x", 2_000_100)], "app.handler");
        assert_eq!(records[0].importer, "app.py:3");
        assert_eq!(records[0].file.as_deref(), Some(Utf8Path::new("app.py")));
        assert!((records[0].start_ms - 2.0).abs() < 1e-9);
        assert_eq!(records[0].memory_kib, None);
    }

    #[test]
    fn parts_add_up_and_are_not_told_where_more_may_have_been_touched() {
        let file = |path: &str| FileRow { path: path.to_owned(), bytes: 9000, phase: 0 };
        let part = |path: &str, bounds: Option<&[i64]>| (path.to_owned(), bounds.map(<[i64]>::to_vec));
        let mut recording = Recording {
            files: vec![file("/lib/a.so"), file("/lib/b.so"), file("/lib/c.py")],
            parts: vec![
                part("/lib/a.so", Some(&[4096, 8192, 0, 64])),
                part("/lib/b.so", Some(&[0, 64])),
                part("/lib/a.so", Some(&[8192, 9000])),
                part("/lib/b.so", None),
            ],
            ..Recording::default()
        };
        let parts = |recording: &Recording| -> Vec<Option<Extents>> {
            let reader = Reader::new(recording, Utf8Path::new("/none"), None, 100, 1000, 2000);
            reader.files().into_iter().map(|file| file.parts).collect()
        };
        assert_eq!(parts(&recording), [Some(vec![(0, 64), (4096, 9000)].into()), None, None]);
        recording.subprocesses.push(("os.fork".to_owned(), "fork".to_owned(), 0));
        assert_eq!(parts(&recording), [None, None, None]);
    }

    #[test]
    fn bytecode_is_told_by_the_steps_taken() {
        let mut missing = row("a", "", "x", 1);
        (missing.unmarshal, missing.compile) = (None, Some(5));
        let stale = ImportRow { stale: true, ..missing.clone() };
        let built_in = ImportRow { origin: Some("built-in".to_owned()), ..row("a", "", "x", 1) };
        let native = ImportRow { unmarshal: None, ..row("a", "", "x", 1) };
        let states: Vec<Bytecode> =
            [row("a", "", "x", 1), missing, stale, built_in, native].iter().map(bytecode).collect();
        assert_eq!(
            states,
            [Bytecode::Valid, Bytecode::Missing, Bytecode::Stale, Bytecode::None, Bytecode::None]
        );
    }
}
