//! Traces as documents, with all that is awkward: medians that overlap and stick out, threads, failures.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Architecture, PythonVersion, SCHEMA_TRACE, Stat};
use glowplug_trace::export::{Export, ExportOptions, render};
use glowplug_trace::{
    Bytecode, ColdCache, Compiled, ConnectionUse, Environment, FunctionUse, Import, InvokeParts, Kinds,
    Phase, Phases, RuntimeParts, Statement, Status, Trace, TraceSubprocess,
};

/// 2026-01-02 03:04:05.
pub(crate) const NOW_S: u64 = 1_767_323_045;

pub(crate) fn options() -> ExportOptions {
    ExportOptions::new(UNIX_EPOCH + Duration::from_secs(NOW_S), 42)
}

/// As a user of this moment: services take no old traces.
pub(crate) fn options_of_now() -> ExportOptions {
    ExportOptions::new(SystemTime::now(), 42)
}

/// What the export `name=file` holds.
pub(crate) fn rendered(trace: &Trace, export: &str) -> Vec<u8> {
    render(trace, &export.parse::<Export>().unwrap(), &options()).unwrap()
}

/// Writes an export into a folder and gives its path.
pub(crate) fn written(trace: &Trace, folder: &Utf8Path, export: &str) -> Utf8PathBuf {
    let (format, file) = export.split_once('=').unwrap();
    let path = folder.join(file);
    let export: Export = format!("{format}={path}").parse().unwrap();
    glowplug_trace::export::export(trace, &export, &options_of_now()).unwrap();
    path
}

pub(crate) fn stat(ms: f64) -> Option<Stat> {
    Stat::of(&[ms, ms * 0.9, ms * 1.1])
}

/// An import of `app` at the top of `app.py`, on the main thread.
pub(crate) fn import(
    module: &str,
    parent: Option<&str>,
    start_ms: f64,
    total_ms: f64,
    self_ms: f64,
) -> Import {
    let top = module.split('.').next().unwrap();
    Import {
        module: module.to_owned(),
        parent: parent.map(str::to_owned),
        distribution: (top != "app").then(|| top.to_owned()),
        importer: parent.map_or("/var/runtime/bootstrap.py:9".to_owned(), |name| {
            format!("{}.py:7", name.replace('.', "/"))
        }),
        importer_module: parent.unwrap_or("__main__").to_owned(),
        status: Status::Ok,
        phase: Phase::Init,
        event: None,
        thread: "MainThread".to_owned(),
        start_ms,
        self_ms,
        total_ms,
        cpu_ms: Some(self_ms * 0.9),
        find_ms: Some(self_ms * 0.1),
        read_ms: Some(self_ms * 0.1),
        compile_ms: Some(self_ms * 0.5),
        unmarshal_ms: None,
        exec_ms: Some(self_ms * 0.2),
        native_ms: None,
        gc_ms: Some(0.0),
        regex_ms: Some(0.5),
        io_ms: Some(0.25),
        memory_kib: Some(512.0),
        bytes_read: Some(4096),
        runtime_provided: false,
        bytecode: Bytecode::Missing,
        used_by: Vec::new(),
        file: Some(format!("{}.py", module.replace('.', "/")).into()),
    }
}

fn provided(import: Import) -> Import {
    Import { runtime_provided: true, distribution: None, bytecode: Bytecode::Valid, ..import }
}

fn failed(import: Import) -> Import {
    Import { status: Status::Failed, file: None, bytecode: Bytecode::None, ..import }
}

fn invoked(event: &str, import: Import) -> Import {
    Import {
        phase: Phase::FirstInvoke,
        event: Some(event.to_owned()),
        importer: "app.py:31".to_owned(),
        ..import
    }
}

fn statement(line: u32, text: &str, start_ms: f64, self_ms: f64) -> Statement {
    Statement {
        place: format!("app.py:{line}"),
        text: text.to_owned(),
        start_ms,
        self_ms,
        cpu_ms: Some(self_ms),
        imports_ms: None,
        phase: Phase::Init,
        event: None,
    }
}

/// A function with two events. With the agent, the runtime takes 45 ms and init 530 ms; without, 36 and 500.
pub(crate) fn trace() -> Trace {
    let used = |import: Import| Import { used_by: vec!["process_data".to_owned()], ..import };
    let imports = vec![
        provided(import("awslambdaric", None, 23.0, 0.2, 0.2)),
        provided(import("awslambdaric.bootstrap", None, 23.5, 20.0, 8.0)),
        provided(import("json", Some("awslambdaric.bootstrap"), 24.0, 5.0, 5.0)),
        provided(import("logging", Some("awslambdaric.bootstrap"), 30.0, 7.0, 7.0)),
        used(import("app", None, 45.0, 530.0, 4.0)),
        import("boto3", Some("app"), 46.0, 200.0, 1.0),
        import("botocore.session", Some("boto3"), 46.5, 198.0, 194.6),
        failed(import("awscrt", Some("botocore.session"), 100.0, 3.4, 3.4)),
        failed(import("certifi", Some("botocore.session"), 110.0, 0.05, 0.05)),
        // Begins before `boto3` has ended, by the medians.
        used(import("pandas", Some("app"), 240.0, 290.0, 33.0)),
        used(import("numpy", Some("pandas"), 241.0, 255.0, 255.0)),
        import("pandas._libs", Some("pandas"), 496.0, 0.4, 0.4),
        import("pandas._libs.lib", Some("pandas._libs"), 496.2, 2.0, 2.0),
        Import { thread: "Thread-1 (warm)".to_owned(), ..import("sqlite3", None, 300.0, 400.0, 400.0) },
        Import {
            importer: "boto3/session.py:9".to_owned(),
            ..import("botocore.docs", Some("app"), 545.0, 8.0, 8.0)
        },
        // Unpickling imports: the statement does nothing itself.
        Import { importer: String::new(), ..import("sklearn", Some("app"), 564.6, 5.0, 5.0) },
        invoked("health", import("numpy.rec", None, 600.0, 0.3, 0.3)),
        invoked("process_data", import("numpy.rec", None, 601.0, 12.0, 12.0)),
        invoked("process_data", used(import("pandas.io.excel", None, 620.0, 30.0, 25.0))),
        invoked("process_data", import("openpyxl", Some("pandas.io.excel"), 621.0, 5.0, 5.0)),
    ];
    Trace {
        schema: SCHEMA_TRACE.to_owned(),
        function: FunctionUse {
            name: "report".to_owned(),
            handler: "app.handler".to_owned(),
            python: PythonVersion::new(3, 13),
            architecture: Architecture::X86_64,
            memory_mb: 512,
            built: false,
        },
        environment: environment(),
        phases: phases(),
        imports,
        statements: vec![
            statement(7, "import boto3", 45.5, 0.03),
            statement(8, "import pandas as pd", 240.0, 0.03),
            statement(12, "client = boto3.client(\"s3\")", 541.0, 15.0),
            Statement { imports_ms: Some(5.0), ..statement(14, "MODEL = pickle.load(file)", 564.5, 0.5) },
            statement(15, "BUCKET = os.environ[\"BUCKET\"]", 570.5, 0.01),
        ],
        distributions: Vec::new(),
        files: Vec::new(),
        lines: Vec::new(),
        kinds: Kinds { find: Some(50.0), compile: Some(300.0), exec: Some(140.0), ..Kinds::default() },
        compiled: Compiled { missing: 12, stale: 0, compile_ms: 300.0 },
        unexplained_ms: Some(1.5),
        connections: vec![ConnectionUse {
            kind: "connect".to_owned(),
            address: "s3.amazonaws.com:443".to_owned(),
            phase: Phase::FirstInvoke,
            event: Some("process_data".to_owned()),
            total_ms: 4.25,
        }],
        subprocesses: vec![TraceSubprocess {
            event: "subprocess.Popen".to_owned(),
            what: "uname".to_owned(),
            phase: Phase::Init,
        }],
        cut_off: Vec::new(),
        failure: None,
        package: None,
        advice: Vec::new(),
    }
}

fn environment() -> Environment {
    Environment {
        python: PythonVersion::new(3, 13),
        memory_mb: 512,
        cpu: "share".to_owned(),
        init_boost: true,
        page_cache: "warm".to_owned(),
        agent_overhead: stat(30.0),
        agent_overhead_cpu: stat(0.03),
        bandwidth_mbit: Some(500.0),
    }
}

fn phases() -> Phases {
    let by_event = |figures: [(&str, f64); 2]| -> BTreeMap<String, Option<Stat>> {
        figures.map(|(event, ms)| (event.to_owned(), stat(ms))).into()
    };
    let parts = InvokeParts { imports_ms: Some(42.0), connect_ms: Some(4.25), handler_ms: Some(13.0) };
    Phases {
        provision: stat(500.0),
        fetch: stat(200.0),
        unpack: stat(305.0),
        runtime: stat(36.0),
        runtime_parts: RuntimeParts { interpreter: stat(11.0), site: stat(2.5), client: stat(22.0) },
        init: stat(500.0),
        first_invoke: by_event([("health", 0.8), ("process_data", 60.0)]),
        first_invoke_parts: BTreeMap::from([("process_data".to_owned(), parts)]),
        warm_invoke: by_event([("health", 0.4), ("process_data", 5.0)]),
        cold_cache: Some(ColdCache {
            runtime: stat(90.0),
            init: stat(1200.0),
            first_invoke: BTreeMap::new(),
        }),
    }
}

/// A function whose module cannot be imported: nothing but the imports up to there.
pub(crate) fn broken() -> Trace {
    Trace {
        phases: Phases { provision: stat(500.0), ..Phases::default() },
        imports: vec![
            provided(import("awslambdaric", None, 23.0, 8.0, 8.0)),
            failed(import("app", None, 45.0, 30.0, 4.9)),
            import("boto3", Some("app"), 46.0, 25.0, 25.0),
            failed(import("nope", Some("app"), 72.0, 0.1, 0.1)),
        ],
        statements: Vec::new(),
        kinds: Kinds::default(),
        connections: Vec::new(),
        subprocesses: Vec::new(),
        failure: Some(
            "init: Runtime.ImportModuleError: Unable to import module 'app': No module named 'nope'"
                .to_owned(),
        ),
        ..trace()
    }
}

/// So many imports that they do not fit into one X-Ray document, deep and wide.
pub(crate) fn large() -> Trace {
    let mut trace = trace();
    let mut at = 50.0;
    for package in 0..20 {
        let name = format!("package{package}");
        trace.imports.push(import(&name, Some("app"), at, 300.0, 1.5));
        for module in 0..60 {
            at += 1.0;
            let parent =
                if module % 10 < 5 && module > 0 { format!("{name}.m{}", module - 1) } else { name.clone() };
            trace.imports.push(import(&format!("{name}.m{module}"), Some(&parent), at, 3.0, 2.0));
        }
    }
    trace
}
