//! What an image stands on: layouts of other makers, root file systems, layers that are packed anew.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_image::{Base, LayerFormat, Ownership};
use glowplug_test::{newest, run};

use crate::python::{PYTHON, root_file_system};
use crate::support::{FORMATS, Written, bytes, folder, has, part, request, rich, write};
use crate::verify::{self, Entry};

fn on(layout: &Utf8Path, image: Option<&str>, convert: bool) -> Base {
    Base::Layout { path: layout.to_owned(), image: image.map(str::to_owned), convert }
}

fn entries(layout: &Utf8Path) -> Vec<Vec<Entry>> {
    let layers = Written::read(layout).layers();
    layers.iter().map(|(layer, blob)| verify::layer(layer, blob)).collect()
}

/// A folder with hard links, a set-uid program, links, odd names.
fn small_root(root: &Utf8Path) {
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    fs::create_dir_all(root.join("tmp")).unwrap();
    fs::set_permissions(root.join("tmp"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    fs::write(root.join("usr/bin/zsh"), "shell ".repeat(2000)).unwrap();
    fs::hard_link(root.join("usr/bin/zsh"), root.join("usr/bin/a-shell")).unwrap();
    fs::write(root.join("usr/bin/su"), "su").unwrap();
    fs::set_permissions(root.join("usr/bin/su"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    fs::write(root.join("usr/with space\n"), "x").unwrap();
    symlink("usr/bin", root.join("bin")).unwrap();
}

#[test]
fn a_root_file_system_becomes_the_first_layer() {
    let (_keep, root) = folder();
    small_root(&root.join("root"));
    for format in FORMATS {
        let mut wanted = request(format);
        wanted.base = Base::RootFs { path: root.join("root"), ownership: Ownership::Root };
        wanted.hot = vec!["/bin/zsh".into()];
        wanted.application = vec![part("/tmp/x", vec![bytes("app.py", "x")])];
        let layout = root.join(format!("{format:?}"));
        let summary = write(&wanted, &layout);
        assert_eq!(summary.layers[0].hot, 1);
        let layers = entries(&layout);
        let rows: Vec<String> = layers[0]
            .iter()
            .map(|e| format!("{} {} {:o} {}", e.kind, e.name.escape_debug(), e.mode, e.link))
            .collect();
        assert_eq!(
            rows,
            [
                "dir usr/ 755 ",
                "dir usr/bin/ 755 ",
                "reg usr/bin/zsh 644 ",
                "symlink bin 777 usr/bin",
                "dir tmp/ 1777 ",
                "hardlink usr/bin/a-shell 644 usr/bin/zsh",
                "reg usr/bin/su 4755 ",
                "reg usr/with space\\n 644 ",
            ]
        );
        let tmp = layers[1].iter().find(|e| e.name == "tmp/").unwrap();
        assert_eq!(tmp.mode, 0o1777, "a folder of the base keeps its mode in upper layers");
    }
}

#[test]
fn the_place_and_times_of_a_root_file_system_do_not_show() {
    let digest = |late: bool| {
        let (_keep, root) = folder();
        small_root(&root.join("root"));
        if late {
            run(Command::new("touch").args(["-d", "2001-01-01"]).arg(root.join("root/usr/bin/su")));
        }
        let mut wanted = request(LayerFormat::EStargz);
        wanted.base = Base::RootFs { path: root.join("root"), ownership: Ownership::Root };
        write(&wanted, &root.join("image")).digest
    };
    assert_eq!(digest(false), digest(true));
}

#[test]
fn a_base_is_copied_as_it_is_or_packed_anew() {
    for format in FORMATS {
        let (_keep, root) = folder();
        small_root(&root.join("root"));
        let mut base = request(format);
        base.base = Base::RootFs { path: root.join("root"), ownership: Ownership::Root };
        base.env.insert("PATH".into(), "/usr/bin".into());
        base.labels.insert("of-base".into(), "yes".into());
        let below = write(&base, &root.join("base"));
        let mut wanted = request(LayerFormat::EStargz);
        wanted.application = vec![part("/var/task", vec![bytes("app.py", "x")])];
        wanted.hot = vec!["/bin/su".into(), "/var/task/app.py".into()];
        // Kept: the very layer, and what the configuration says.
        wanted.base = on(&root.join("base"), Some("latest"), false);
        let kept = write(&wanted, &root.join("kept"));
        assert_eq!(kept.layers[0].digest, below.layers[0].digest);
        assert!(kept.layers[0].copied && kept.layers[0].hot == 1 && kept.layers[1].hot == 1);
        let written = Written::read(&root.join("kept"));
        assert_eq!(
            written.config["config"]["Env"],
            serde_json::json!(["LAMBDA_TASK_ROOT=/var/task", "PATH=/usr/bin"])
        );
        assert_eq!(written.config["config"]["Labels"]["of-base"], "yes");
        assert_eq!(written.config["history"].as_array().unwrap().len(), 2);
        let note = &written.manifest["annotations"]["org.opencontainers.image.base.digest"];
        assert_eq!(*note, below.digest.as_str());
        // Packed anew: the same entries, what is hot first.
        wanted.base = on(&root.join("base"), None, true);
        let anew = write(&wanted, &root.join("anew"));
        assert_eq!(anew.layers[0].hot, 1);
        let again = write(&wanted, &root.join("again"));
        assert_eq!(anew.digest, again.digest);
        let sorted = |mut layer: Vec<Entry>| {
            // Which name of a file holds its contents depends on the order.
            layer.sort_by(|a, b| a.name.cmp(&b.name));
            layer.retain(|e| e.name != "usr/bin/zsh" && e.name != "usr/bin/a-shell");
            layer
        };
        let (old, new) = (entries(&root.join("base")).remove(0), entries(&root.join("anew")).remove(0));
        assert_eq!(new.iter().find(|e| e.kind == "reg").unwrap().name, "usr/bin/su");
        assert_eq!(sorted(old), sorted(new));
    }
}

#[test]
fn an_index_is_resolved_to_the_machine() {
    let (_keep, root) = folder();
    let machines = [glowplug_core::Architecture::X86_64, glowplug_core::Architecture::Arm64];
    let layouts: Vec<Utf8PathBuf> = machines
        .iter()
        .map(|machine| {
            let mut one = rich(LayerFormat::Gzip);
            one.dependencies.clear();
            one.architecture = *machine;
            write(&one, &root.join(machine.to_string()));
            root.join(machine.to_string())
        })
        .collect();
    glowplug_image::index_of(&layouts, "both", &root.join("both"), &glowplug_core::NoProgress).unwrap();
    for machine in machines {
        let mut wanted = request(LayerFormat::Gzip);
        wanted.architecture = machine;
        wanted.base = on(&root.join("both"), Some("both"), false);
        write(&wanted, &root.join("on"));
        let name = if machine == machines[0] { "amd64" } else { "arm64" };
        assert_eq!(Written::read(&root.join("on")).config["architecture"], name);
    }
}

/// Layers that another tool made, with its own headers, owners and times.
#[test]
fn layers_of_other_tools_keep_owners_times_and_deletions() {
    if !has("umoci") {
        return;
    }
    let (_keep, root) = folder();
    let image = root.join("made");
    run(Command::new("umoci").args(["init", "--layout", image.as_str()]));
    let tagged = format!("{image}:latest");
    run(Command::new("umoci").args(["new", "--image", &tagged]));
    fs::create_dir_all(root.join("in/deep")).unwrap();
    fs::write(root.join("in/deep").join("n".repeat(150)), "long").unwrap();
    fs::write(root.join("in/gone"), "x").unwrap();
    let mut insert = Command::new("umoci");
    insert.args(["insert", "--rootless", "--image", &tagged, root.join("in").as_str(), "/data"]);
    run(&mut insert);
    run(Command::new("umoci").args(["insert", "--rootless", "--image", &tagged, "--whiteout", "/data/gone"]));
    // umoci's image is for its own machine.
    for format in FORMATS {
        let mut wanted = request(format);
        wanted.base = on(&image, Some("latest"), true);
        wanted.application = vec![part("/data/app", vec![bytes("app.py", "x")])];
        let layout = root.join(format!("{format:?}"));
        let summary = write(&wanted, &layout);
        assert_eq!(summary.layers.len(), 3);
        let layers = entries(&layout);
        let long = layers[0].iter().find(|e| e.name.ends_with("nnn")).unwrap();
        assert!(long.contents == b"long" && long.mtime > 1_000_000_000, "{long:?}");
        assert!(layers[1].iter().any(|e| e.name == "data/.wh.gone"), "{:?}", layers[1]);
    }
}

#[test]
fn startup_files_are_those_that_the_loader_opens() {
    let (_keep, root) = folder();
    root_file_system(newest(), &root.join("root"));
    let machine = glowplug_core::Architecture::host().unwrap();
    let base = Base::RootFs { path: root.join("root"), ownership: Ownership::Root };
    let found =
        glowplug_image::startup_files(&base, machine, PYTHON.into(), &glowplug_core::NoProgress).unwrap();
    assert!(found.missing.is_empty(), "{:?}", found.missing);
    // The loader itself says what it opens.
    let inside = root.join("root").join(PYTHON.trim_start_matches('/'));
    let told = run(Command::new("ldd").arg(&inside));
    for library in told.lines().filter_map(|l| l.split_whitespace().find(|w| w.starts_with('/'))) {
        let name = Utf8Path::new(library).file_name().unwrap();
        assert!(
            found.files.iter().any(|file| file.file_name() == Some(name)),
            "{library}: {:?}",
            found.files
        );
    }
    assert_eq!(found.files[0], PYTHON);
    // The same from an image made of it.
    let mut wanted = request(LayerFormat::Gzip);
    wanted.base = base;
    write(&wanted, &root.join("image"));
    let image = on(&root.join("image"), None, true);
    let again =
        glowplug_image::startup_files(&image, machine, PYTHON.into(), &glowplug_core::NoProgress).unwrap();
    assert_eq!(again, found);
    let other = match machine {
        glowplug_core::Architecture::X86_64 => glowplug_core::Architecture::Arm64,
        glowplug_core::Architecture::Arm64 => glowplug_core::Architecture::X86_64,
    };
    let root_base = Base::RootFs { path: root.join("root"), ownership: Ownership::Root };
    let error = glowplug_image::startup_files(&root_base, other, PYTHON.into(), &glowplug_core::NoProgress)
        .unwrap_err();
    assert_eq!(error.message(), "the interpreter cannot be read");
}
