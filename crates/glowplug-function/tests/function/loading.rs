//! What is found without and with configuration.

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, PythonVersion};
use glowplug_function::{LoadOptions, Network};

use crate::support::{Project, example};

#[test]
fn the_examples_are_what_their_configuration_says() {
    for (name, memory_mb, timeout_s, events) in [
        ("report", 512, 30, vec![("health", 0.9), ("process_data", 0.1)]),
        ("api", 1024, 10, vec![("list_products", 0.6), ("read_product", 0.3), ("create_order", 0.1)]),
        ("score", 1024, 10, vec![("one", 0.8), ("batch", 0.2)]),
    ] {
        let function = glowplug_function::load(&example(name), &LoadOptions::default()).unwrap();
        assert_eq!(function.name, name);
        assert_eq!(function.handler, "app.handler");
        assert_eq!((function.memory_mb, function.timeout_s), (memory_mb, timeout_s));
        assert_eq!(function.architecture, Architecture::host().unwrap());
        assert_eq!(function.requirements, Some(example(name).join("requirements.txt")));
        let found: Vec<(&str, f64)> = function
            .events
            .iter()
            .map(|event| (event.name.as_str(), (event.weight * 1e9).round() / 1e9))
            .collect();
        assert_eq!(found, events);
        assert_eq!(function.notes, Vec::<String>::new());
    }
}

#[test]
fn a_bare_folder_has_obvious_defaults() {
    let project =
        Project::with_app(&[("events/b.json", "{}"), ("events/a.json", "[1]"), ("events/readme.md", "")]);
    let function = project.load().unwrap();
    assert_eq!(function.name, "project");
    assert_eq!(function.handler, "app.handler");
    assert_eq!((function.memory_mb, function.timeout_s), (128, 3));
    assert_eq!(function.requirements, None);
    assert_eq!(function.verify.network, Network::Deny);
    let events: Vec<(&str, f64, &[u8])> = function
        .events
        .iter()
        .map(|event| (event.name.as_str(), event.weight, event.payload.as_slice()))
        .collect();
    assert_eq!(events, [("a", 0.5, b"[1]".as_slice()), ("b", 0.5, b"{}")]);
}

#[test]
fn everything_can_be_configured() {
    let project = Project::new(&[
        ("src/job.py", "def run(event, context): ...\n"),
        ("deps/base.txt", ""),
        ("layers/a/python/x.py", ""),
        ("one.json", "1"),
        (
            "glowplug.toml",
            "name = 'nightly'\nhandler = 'src/job.run'\npython = '3.10'\narchitecture = 'arm64'\nmemory = 256\n\
             timeout = 60\nrequirements = 'deps/base.txt'\nlayers = ['layers/a']\n\
             [environment]\nSTAGE = 'test'\nDEBUG = true\nTZ = 'UTC'\n\
             [[event]]\nname = 'first'\npath = 'one.json'\nweight = 3\n\
             [verify]\nnetwork = 'allow'\nsetup = 'make up'\nignore = ['$.id']\naccept_unproved = true\ncommand = 'pytest'\n\
             [package]\nbuild_from_source = true\nruntime_provided = ['boto3']\nkeep = ['data/**']\n\
             [budget]\ninit_ms = 400\nzip_bytes = '10 MB'\n",
        ),
    ]);
    let options = LoadOptions { keep: vec!["*.txt".into()], ..LoadOptions::default() };
    let function = project.load_with(&options).unwrap();
    assert_eq!((function.name.as_str(), function.handler.as_str()), ("nightly", "src/job.run"));
    assert_eq!((function.python, function.architecture), (PythonVersion::new(3, 10), Architecture::Arm64));
    assert_eq!((function.memory_mb, function.timeout_s), (256, 60));
    assert_eq!(function.requirements, Some(project.root.join("deps/base.txt")));
    assert_eq!(function.layers, [project.root.join("layers/a")]);
    let environment: Vec<(&str, &str)> =
        function.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(environment, [("DEBUG", "true"), ("STAGE", "test"), ("TZ", "UTC")]);
    assert_eq!(function.notes, ["Lambda sets the variable `TZ` itself and refuses one of that name"]);
    assert_eq!((function.events[0].name.as_str(), function.events[0].weight), ("first", 1.0));
    assert_eq!(function.verify.network, Network::Allow);
    assert_eq!(function.verify.setup.as_deref(), Some("make up"));
    assert_eq!(function.verify.command.as_deref(), Some("pytest"));
    assert!(function.verify.accept_unproved && function.package.build_from_source);
    assert_eq!(function.package.keep, ["data/**", "*.txt"]);
    assert_eq!(function.excluded, ["glowplug.lock", "glowplug.toml", "one.json"]);
}

#[test]
fn what_the_emulator_would_read_wins_over_the_configuration() {
    let project = Project::with_app(&[
        ("glowplug.toml", "name = 'mine'\nmemory = 256\ntimeout = 60\nhandler = 'app.handler'\n"),
        ("other.py", "def run(event, context):\n    pass\n"),
    ]);
    let load = |pairs: &'static [(&str, &str)], memory_mb: Option<u32>| {
        let emulated = glowplug_function::Emulated::new(&|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        });
        project.load_with(&LoadOptions { memory_mb, emulated: emulated?, ..LoadOptions::default() })
    };
    let all = &[
        ("AWS_LAMBDA_FUNCTION_NAME", "theirs"),
        ("AWS_LAMBDA_FUNCTION_HANDLER", "other.run"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
        ("AWS_LAMBDA_FUNCTION_TIMEOUT", "7"),
    ];
    let function = load(all, None).unwrap();
    assert_eq!((function.name.as_str(), function.handler.as_str()), ("theirs", "other.run"));
    assert_eq!((function.memory_mb, function.timeout_s), (512, 7));
    assert_eq!(load(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")], Some(1024)).unwrap().memory_mb, 1024);
    for bad in [
        &[("AWS_LAMBDA_FUNCTION_NAME", "a b")],
        &[("AWS_LAMBDA_FUNCTION_TIMEOUT", "901")],
        &[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1")],
        &[("_HANDLER", "nowhere.run")],
    ] {
        assert!(load(bad, None).is_err(), "{bad:?}");
    }
}

#[test]
fn the_command_line_wins() {
    let project = Project::with_app(&[
        ("glowplug.toml", "python = '3.10'\nmemory = 256\n"),
        ("events/a.json", "{}"),
        ("other/b.json", "{}"),
    ]);
    let options = LoadOptions {
        python: Some("3.11".into()),
        memory_mb: Some(1024),
        events: vec![project.root.join("other/b.json")],
        out: Some(project.root.join("dist")),
        ..LoadOptions::default()
    };
    let function = project.load_with(&options).unwrap();
    assert_eq!((function.python, function.memory_mb), (PythonVersion::new(3, 11), 1024));
    assert_eq!(function.events.len(), 1);
    assert_eq!(function.events[0].name, "b");
    assert!(function.excluded.contains(&Utf8PathBuf::from("dist")), "{:?}", function.excluded);
}

#[test]
fn a_projects_own_file_may_hold_the_configuration() {
    let project = Project::with_app(&[(
        "pyproject.toml",
        "[project]\nname = 'x'\nrequires-python = '>=3.9,<3.12'\ndependencies = ['six==1.17.0']\n[tool.glowplug]\nmemory = 300\n",
    )]);
    let function = project.load().unwrap();
    assert_eq!(function.memory_mb, 300);
    assert!(function.python < PythonVersion::new(3, 12));
    assert_eq!(function.requirements, Some(project.root.join("pyproject.toml")));
}

#[test]
fn a_template_is_read_for_what_it_says() {
    let template = "Globals:\n  Function: {Runtime: python3.11, Timeout: 20}\n\
                    Resources:\n  Orders:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: orders/\n\
                    \x20     Handler: main.run\n      MemorySize: 640\n      Environment: {Variables: {STAGE: prod}}\n";
    let project = Project::new(&[
        ("template.yaml", template),
        ("orders/main.py", "def run(event, context): ...\n"),
        ("orders/requirements.txt", ""),
        ("events/new.json", "{}"),
        ("requirements.txt", "pytest\n"),
    ]);
    let function = project.load().unwrap();
    assert_eq!((function.name.as_str(), function.handler.as_str()), ("Orders", "main.run"));
    assert_eq!(function.code, project.root.join("orders"));
    assert_eq!(function.python, PythonVersion::new(3, 11));
    assert_eq!((function.memory_mb, function.timeout_s), (640, 20));
    assert_eq!(function.architecture, Architecture::X86_64);
    assert_eq!(function.environment["STAGE"], "prod");
    assert_eq!(function.requirements, Some(project.root.join("orders/requirements.txt")));
    assert_eq!(function.events[0].name, "new");

    // Configuration stands over the template, and the template's file can be named itself.
    project.write("glowplug.toml", "memory = 128\n[environment]\nSTAGE = 'test'\n");
    let named =
        glowplug_function::load(&project.root.join("template.yaml"), &LoadOptions::default()).unwrap();
    assert_eq!((named.memory_mb, named.environment["STAGE"].as_str()), (128, "test"));
    assert_eq!(named.handler, "main.run");
}

#[test]
fn a_sam_build_folder_is_a_template_with_built_functions() {
    let template = "Resources:\n  Orders:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: Orders\n\
                    \x20     Handler: app.handler\n      Runtime: python3.12\n      Architectures: [x86_64]\n";
    let project = Project::with_app(&[
        (".aws-sam/build/template.yaml", template),
        (".aws-sam/build/Orders/app.py", "def handler(event, context): ...\n"),
        (".aws-sam/build/Orders/six-1.17.0.dist-info/METADATA", "Name: six\n"),
        (".aws-sam/build/Orders/requirements.txt", "six\n"),
        (".aws-sam/build/Orders/glowplug.toml", "memory = 384\n"),
    ]);
    let folder = project.root.join(".aws-sam/build");
    let function = glowplug_function::load(&folder, &LoadOptions::default()).unwrap();
    assert_eq!((function.name.as_str(), function.memory_mb), ("Orders", 384));
    assert_eq!((function.code, function.requirements), (folder.join("Orders"), None));
}

#[test]
fn one_of_several_functions_is_chosen_by_name() {
    let template = "Resources:\n\
                    \x20 A: {Type: 'AWS::Serverless::Function', Properties: {CodeUri: a, Handler: app.h, Runtime: python3.11}}\n\
                    \x20 B: {Type: 'AWS::Serverless::Function', Properties: {CodeUri: b, Handler: app.h, Runtime: python3.11}}\n";
    let project = Project::new(&[
        ("template.yml", template),
        ("a/app.py", "def h(event, context): ...\n"),
        ("b/app.py", "def h(event, context): ...\n"),
        ("events/x.json", "{}"),
    ]);
    let options = LoadOptions { function: Some("B".into()), ..LoadOptions::default() };
    let function = project.load_with(&options).unwrap();
    assert_eq!((function.name.as_str(), function.code.as_path()), ("B", project.root.join("b").as_path()));
    assert!(function.events.is_empty(), "nothing says that they are B's");
    let error = project.load().unwrap_err();
    assert_eq!(error.causes(), ["they are `A` and `B`"]);
}

#[test]
fn a_folder_with_installed_distributions_is_taken_as_built() {
    let files = [
        ("six.py", ""),
        ("six-1.17.0.dist-info/METADATA", "Name: six\n"),
        ("requirements.txt", "six==1.17.0\n"),
    ];
    let project = Project::with_app(&files);
    let function = project.load().unwrap();
    assert_eq!(function.requirements, None);
    assert!(function.notes[0].contains("installed distributions"), "{:?}", function.notes);
    project.write("glowplug.toml", "requirements = 'requirements.txt'\n");
    assert!(project.load().unwrap().requirements.is_some());
}

#[test]
fn a_zip_holds_everything() {
    let project = Project::new(&[]);
    let zip = project.root.join("shop.zip");
    let files = [
        ("app.py", "def handler(event, context): ...\n"),
        ("glowplug.toml", "memory = 192\n[[event]]\npath = 'tests/one.json'\n"),
        ("tests/one.json", "{\"a\": 1}"),
        ("requirements.txt", "six\n"),
    ];
    write_zip(&zip, &files);
    let function = glowplug_function::load(&zip, &LoadOptions::default()).unwrap();
    assert_eq!((function.name.as_str(), function.handler.as_str()), ("shop", "app.handler"));
    assert_eq!((function.code.as_path(), function.memory_mb), (zip.as_path(), 192));
    assert_eq!(function.requirements, None);
    assert_eq!(function.events[0].payload, b"{\"a\": 1}");
    assert_eq!(function.events[0].path, None);

    // Without a configuration inside, the one beside it counts.
    write_zip(&zip, &files[..1]);
    project.write("glowplug.toml", "memory = 200\n[[event]]\npath = 'two.json'\n");
    project.write("two.json", "2");
    let function = glowplug_function::load(&zip, &LoadOptions::default()).unwrap();
    assert_eq!((function.memory_mb, function.events[0].name.as_str()), (200, "two"));
    assert_eq!(function.notes.len(), 1);
}

pub(crate) fn write_zip(path: &Utf8Path, files: &[(&str, &str)]) {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (name, text) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap();
}
