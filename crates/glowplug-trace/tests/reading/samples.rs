//! A trace made by hand: several distributions, two events, a thread, an optional import that fails, small things.

use std::collections::BTreeMap;

use glowplug_core::{Architecture, PythonVersion, SCHEMA_TRACE, Stat};
use glowplug_trace::{
    Bytecode, ColdCache, Compiled, ConnectionUse, DistributionUse, Environment, FunctionUse, Import,
    InvokeParts, Kinds, Line, Phase, Phases, RuntimeParts, Statement, Status, Trace, TraceSubprocess,
};

/// Median, half the width of the interval, behind eight runs.
pub(crate) fn stat(median: f64, half: f64) -> Stat {
    Stat { median, low: median - half, high: median + half, spread: half * 1.5, runs: 8 }
}

/// An import and those that it leads to, before times are laid out.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) import: Import,
    pub(crate) below: Vec<Self>,
}

/// An import of init with a valid file in its distribution: the part of `module` before the first point.
pub(crate) fn node(module: &str, importer: &str, self_ms: f64, below: Vec<Node>) -> Node {
    let root = module.split('.').next().unwrap_or(module);
    let distribution = match root {
        "sklearn" => Some("scikit-learn"),
        "boto3" | "botocore" | "pandas" | "numpy" => Some(root),
        _ => None,
    };
    let own = matches!(root, "app" | "warm");
    let folder = if distribution.is_some() || own { "" } else { "/usr/lib/python3.12/" };
    Node {
        import: Import {
            module: module.to_owned(),
            parent: None,
            distribution: distribution.map(str::to_owned),
            importer: importer.to_owned(),
            importer_module: importer.split('.').next().unwrap_or_default().replace('/', "."),
            status: Status::Ok,
            phase: Phase::Init,
            event: None,
            thread: "MainThread".to_owned(),
            start_ms: 0.0,
            self_ms,
            total_ms: self_ms,
            cpu_ms: Some(self_ms),
            find_ms: Some(self_ms * 0.05),
            read_ms: Some(self_ms * 0.05),
            compile_ms: None,
            unmarshal_ms: Some(self_ms * 0.1),
            exec_ms: Some(self_ms * 0.75),
            native_ms: None,
            gc_ms: Some(0.0),
            regex_ms: Some(0.0),
            io_ms: Some(0.0),
            memory_kib: Some(self_ms * 100.0),
            bytes_read: Some(1000),
            runtime_provided: matches!(root, "json" | "logging"),
            bytecode: Bytecode::Valid,
            used_by: Vec::new(),
            file: Some(format!("{folder}{}.py", module.replace('.', "/")).into()),
        },
        below,
    }
}

impl Node {
    /// Changes the import.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Import)) -> Self {
        change(&mut self.import);
        self
    }

    /// Events that used it.
    pub(crate) fn used_by(self, events: &[&str]) -> Self {
        self.with(|import| import.used_by = events.iter().map(|event| (*event).to_owned()).collect())
    }

    fn lay_out(mut self, parent: Option<&str>, start_ms: f64, into: &mut Vec<Import>) -> f64 {
        self.import.parent = parent.map(str::to_owned).or(self.import.parent);
        self.import.start_ms = start_ms;
        let (index, name) = (into.len(), self.import.module.clone());
        into.push(self.import);
        let mut now = start_ms + 0.1;
        for child in self.below {
            now += child.lay_out(Some(&name), now, into);
        }
        let total = into[index].self_ms + (now - start_ms - 0.1);
        into[index].total_ms = total;
        total
    }
}

/// A node that is there, by the modules that lead to it.
pub(crate) fn find<'a>(nodes: &'a mut [Node], path: &[&str]) -> &'a mut Node {
    let (first, rest) = path.split_first().expect("a path names something");
    let node =
        nodes.iter_mut().find(|node| node.import.module == *first).expect("the module is in the sample");
    if rest.is_empty() { node } else { find(&mut node.below, rest) }
}

/// The imports of some nodes, one after the other from 40 ms on.
pub(crate) fn laid_out(nodes: Vec<Node>) -> Vec<Import> {
    let mut imports = Vec::new();
    let mut now = 40.0;
    for node in nodes {
        now += node.lay_out(None, now, &mut imports);
    }
    imports
}

/// What pandas imports; the small ones are there to be folded.
fn pandas() -> Node {
    let numpy = node(
        "numpy",
        "pandas/__init__.py:14",
        40.0,
        vec![node("numpy.linalg", "numpy/__init__.py:20", 30.0, Vec::new()).used_by(&["process_data"])],
    )
    .used_by(&["process_data"]);
    let mut api =
        node("pandas.core.api", "pandas/__init__.py:30", 90.0, Vec::new()).used_by(&["process_data"]);
    for index in 0..30 {
        let small = format!("pandas.core.small{index}");
        api.below.push(node(&small, "pandas/core/api.py:1", 0.4, Vec::new()).used_by(&["process_data"]));
    }
    let style = node("pandas.io.formats.style", "pandas/__init__.py:40", 25.0, Vec::new());
    let optional = node("bottleneck", "pandas/compat/_optional.py:148", 0.1, Vec::new())
        .with(|import| import.status = Status::Failed);
    node("pandas", "app.py:8", 8.0, vec![numpy, api, style, optional])
}

/// The nodes of the sample.
pub(crate) fn nodes() -> Vec<Node> {
    let botocore = node(
        "botocore.session",
        "boto3/session.py:17",
        20.0,
        vec![node("botocore.docs", "botocore/client.py:9", 35.0, Vec::new())],
    );
    let boto3 = node("boto3", "app.py:7", 3.0, vec![botocore]);
    let warm = node("warm", "app.py:9", 1.5, Vec::new()).used_by(&["health", "process_data"]);
    let model = node("sklearn.tree", "/usr/lib/python3.12/pickle.py:1572", 60.0, Vec::new())
        .used_by(&["process_data"]);
    let app =
        node("app", "/var/runtime/awslambdaric/bootstrap.py:53", 44.0, vec![boto3, pandas(), warm, model])
            .used_by(&["health", "process_data"]);
    let on_a_thread = node("xml.etree.ElementTree", "warm.py:4", 4.0, Vec::new())
        .with(|import| "Thread-1 (warm)".clone_into(&mut import.thread));
    let deferred = node("pandas.core.methods.to_dict", "pandas/core/frame.py:2176", 2.2, Vec::new())
        .used_by(&["process_data"])
        .with(|import| {
            import.phase = Phase::FirstInvoke;
            import.event = Some("process_data".to_owned());
        });
    vec![
        node("json", "/var/runtime/awslambdaric/bootstrap.py:6", 1.0, Vec::new()),
        app,
        on_a_thread,
        deferred,
    ]
}

fn statements(imports: &[Import]) -> Vec<Statement> {
    let begin = |module: &str| imports.iter().find(|i| i.module == module).map_or(0.0, |i| i.start_ms);
    let statement = |line: u32, text: &str, start_ms: f64, self_ms: f64, cpu_ms: f64| Statement {
        place: format!("app.py:{line}"),
        text: text.to_owned(),
        start_ms,
        self_ms,
        cpu_ms: Some(cpu_ms),
        imports_ms: None,
        phase: Phase::Init,
        event: None,
    };
    vec![
        statement(7, "import boto3", begin("boto3") - 0.01, 0.01, 0.01),
        statement(8, "import pandas as pd", begin("pandas") - 0.01, 0.01, 0.01),
        statement(9, "import warm", begin("warm") - 0.01, 0.01, 0.01),
        statement(13, "model = pickle.loads(MODEL)", begin("sklearn.tree") - 0.5, 10.0, 9.8),
        statement(15, "client = boto3.client(\"s3\")", begin("sklearn.tree") + 90.0, 31.0, 12.0),
        statement(20, "def handler(event, context):", begin("sklearn.tree") + 130.0, 0.001, 0.001),
    ]
}

fn lines(imports: &[Import]) -> Vec<Line> {
    let line = |place: &str, module: &str, users: &[&str]| {
        let top = imports.iter().find(|i| i.module == module)?;
        let within = imports.iter().filter(|i| {
            i.phase == Phase::Init && i.start_ms >= top.start_ms && i.start_ms < top.start_ms + top.total_ms
        });
        Some(Line {
            place: place.to_owned(),
            asks_for: vec![module.to_owned()],
            modules: within.clone().count(),
            total_ms: top.total_ms,
            memory_kib: within.map(|i| i.memory_kib).sum(),
            phase: Phase::Init,
            event: None,
            used_by: users.iter().map(|event| (*event).to_owned()).collect(),
        })
    };
    let asked = [
        line("app.py:8", "pandas", &["process_data"]),
        line("app.py:7", "boto3", &[]),
        line("warm.py:4", "xml.etree.ElementTree", &[]),
    ];
    asked.into_iter().flatten().collect()
}

/// What the imports of each distribution add up to.
pub(crate) fn distributions(imports: &[Import]) -> Vec<DistributionUse> {
    let of = |name: &str, version: &str, megabytes: u64| {
        let mine = || imports.iter().filter(|i| i.distribution.as_deref() == Some(name));
        let mut used_by: Vec<String> = mine().flat_map(|i| i.used_by.clone()).collect();
        used_by.sort();
        used_by.dedup();
        DistributionUse {
            name: name.to_owned(),
            version: version.to_owned(),
            total_ms: mine().map(|i| i.self_ms).sum::<f64>() + 0.0, // an empty sum is -0
            memory_kib: mine().next().map(|_| mine().filter_map(|i| i.memory_kib).sum()),
            bytes: megabytes * 1_000_000,
            bytes_by_kind: BTreeMap::from([("code".to_owned(), megabytes * 1_000_000)]),
            used_by,
        }
    };
    vec![
        of("pandas", "2.2.3", 43),
        of("numpy", "2.2.6", 58),
        of("scikit-learn", "1.6.1", 40),
        of("botocore", "1.40.76", 18),
        of("boto3", "1.40.76", 1),
        of("polars", "1.30.0", 110),
    ]
}

/// What is measured of `nodes`; the phases follow from their times.
pub(crate) fn trace_of(nodes: Vec<Node>) -> Trace {
    let imports = laid_out(nodes);
    let sum = |figure: fn(&Import) -> Option<f64>| {
        let init = imports.iter().filter(|i| i.phase == Phase::Init && !i.runtime_provided);
        Some(init.filter_map(figure).sum::<f64>())
    };
    let total = sum(|i| Some(i.self_ms)).unwrap_or_default();
    let phases = Phases {
        provision: Some(stat(1140.0, 3.0)),
        fetch: Some(Stat { median: 453.0, low: 453.0, high: 453.0, spread: 0.0, runs: 1 }),
        unpack: Some(stat(687.0, 3.0)),
        runtime: Some(stat(34.7, 0.6)),
        runtime_parts: RuntimeParts {
            interpreter: Some(stat(10.8, 0.4)),
            site: Some(stat(2.4, 0.1)),
            client: Some(stat(21.4, 0.3)),
        },
        init: Some(stat(total + 1.0, 6.0)),
        first_invoke: BTreeMap::from([
            ("health".to_owned(), Some(stat(0.6, 0.05))),
            ("process_data".to_owned(), Some(stat(11.5, 0.5))),
        ]),
        first_invoke_parts: BTreeMap::from([
            (
                "health".to_owned(),
                InvokeParts { imports_ms: Some(-0.0), connect_ms: Some(-0.0), handler_ms: Some(0.6) },
            ),
            (
                "process_data".to_owned(),
                InvokeParts { imports_ms: Some(2.2), connect_ms: Some(0.0), handler_ms: Some(9.6) },
            ),
        ]),
        warm_invoke: BTreeMap::from([
            ("health".to_owned(), Some(stat(0.4, 0.02))),
            ("process_data".to_owned(), None),
        ]),
        cold_cache: None,
    };
    Trace {
        schema: SCHEMA_TRACE.to_owned(),
        function: FunctionUse {
            name: "report".to_owned(),
            handler: "app.handler".to_owned(),
            python: PythonVersion::new(3, 12),
            architecture: Architecture::X86_64,
            memory_mb: 512,
            built: false,
        },
        environment: Environment {
            python: PythonVersion::new(3, 12),
            memory_mb: 512,
            cpu: "unlimited".to_owned(),
            init_boost: false,
            page_cache: "warm".to_owned(),
            agent_overhead: Some(Stat { median: -1.0, low: -4.6, high: 3.0, spread: 5.0, runs: 8 }),
            agent_overhead_cpu: Some(Stat { median: 0.018, low: 0.011, high: 0.029, spread: 0.02, runs: 8 }),
            bandwidth_mbit: Some(800.0),
        },
        phases,
        statements: statements(&imports),
        distributions: distributions(&imports),
        files: Vec::new(),
        lines: lines(&imports),
        kinds: Kinds {
            find: sum(|i| i.find_ms),
            read: sum(|i| i.read_ms),
            compile: None,
            unmarshal: sum(|i| i.unmarshal_ms),
            exec: sum(|i| i.exec_ms).map(|ms| ms - 8.5),
            native: None,
            gc: Some(6.0),
            regex: Some(2.5),
            io: Some(0.0),
            rest: sum(|i| Some(i.find_ms.unwrap_or(0.0))),
        },
        compiled: Compiled::default(),
        unexplained_ms: Some(1.0),
        connections: Vec::new(),
        subprocesses: Vec::new(),
        cut_off: Vec::new(),
        failure: None,
        package: None,
        advice: Vec::new(),
        imports,
    }
}

/// The trace that most tests read.
pub(crate) fn sample() -> Trace {
    trace_of(nodes())
}

/// A node and those below it without bytecode: compiling takes three times what the rest takes.
fn without_bytecode(mut node: Node) -> Node {
    node.below = node.below.into_iter().map(without_bytecode).collect();
    node.with(|import| {
        if !import.runtime_provided && import.status == Status::Ok {
            import.compile_ms = Some(import.self_ms * 3.0);
            import.self_ms *= 4.0;
            import.bytecode = Bytecode::Missing;
        }
    })
}

/// The same where nothing is as it should be: no bytecode, a process and a connection at init, a cold page cache.
pub(crate) fn troubled() -> Trace {
    let mut trace = trace_of(nodes().into_iter().map(without_bytecode).collect());
    let missing = trace.imports.iter().filter(|i| i.bytecode == Bytecode::Missing).count();
    let compile_ms = trace.imports.iter().filter_map(|i| i.compile_ms).sum();
    trace.compiled = Compiled { missing, stale: 0, compile_ms };
    trace.kinds.compile = Some(compile_ms);
    trace.subprocesses.push(TraceSubprocess {
        event: "subprocess.Popen".to_owned(),
        what: "git rev-parse HEAD".to_owned(),
        phase: Phase::Init,
    });
    trace.connections.push(ConnectionUse {
        kind: "connect".to_owned(),
        address: "db.example.com:5432".to_owned(),
        phase: Phase::Init,
        event: None,
        total_ms: 25.0,
    });
    trace.phases.cold_cache = Some(ColdCache {
        runtime: Some(stat(35.3, 0.6)),
        init: Some(stat(1720.0, 9.0)),
        first_invoke: BTreeMap::from([
            ("health".to_owned(), Some(stat(0.6, 0.05))),
            ("process_data".to_owned(), None),
        ]),
    });
    trace
}

/// One whose import fails in `app.py`, line 8.
pub(crate) fn broken() -> Trace {
    let missing = node("pandas", "app.py:8", 0.3, Vec::new()).with(|import| {
        import.status = Status::Failed;
        import.file = None;
        import.distribution = None;
    });
    let boto3 = node("boto3", "app.py:7", 30.0, Vec::new());
    let app = node("app", "/var/runtime/awslambdaric/bootstrap.py:53", 1.0, vec![boto3, missing])
        .with(|import| import.status = Status::Failed);
    let imports = laid_out(vec![app]);
    let mut trace = sample();
    trace.failure = Some(
        "init: Runtime.ImportModuleError: Unable to import module 'app': No module named 'pandas'".to_owned(),
    );
    trace.phases = Phases { runtime: trace.phases.runtime, ..Phases::default() };
    trace.lines = Vec::new();
    trace.statements = Vec::new();
    trace.distributions = distributions(&imports);
    trace.kinds = Kinds::default();
    trace.unexplained_ms = None;
    trace.environment.agent_overhead = None;
    trace.environment.agent_overhead_cpu = None;
    trace.imports = imports;
    trace
}
