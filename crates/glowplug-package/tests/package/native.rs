//! Stripped libraries still load, and what is not understood is left alone.

use std::collections::BTreeSet;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, DecisionKind, Libc, PythonVersion};
use glowplug_package::{Trim, TrimContext, TrimLevel, trim};

use crate::support::{Tree, python, pythons};

const SOURCE: &str = "
#include <stdlib.h>
static int table[300] = {1, 2, 3};
__thread int counter = 40;
static int hidden(int x) { return x + table[1]; }
int answer(void) { return hidden(counter); }
__attribute__((constructor)) static void start(void) { counter += table[0] - 1; }
const char *name(void) { return getenv(\"HOME\") ? \"home\" : \"none\"; }
";

/// A library with debugging symbols, built here.
fn library(flags: &[&str]) -> Vec<u8> {
    let folder = Tree::new().file("lib.c", SOURCE);
    let out = folder.root.join("lib.so");
    let status = Command::new("cc")
        .args(["-g3", "-shared", "-fPIC", "-o"])
        .arg(&out)
        .args(flags)
        .arg(folder.root.join("lib.c"))
        .status()
        .unwrap();
    assert!(status.success());
    fs::read(out).unwrap()
}

fn trimmed(tree: &Tree, keep: &[String]) -> Trim {
    let context = TrimContext {
        level: TrimLevel::Safe,
        python: PythonVersion::new(3, 12),
        architecture: Architecture::host().unwrap(),
        libc: Libc::Glibc,
        user_files: &BTreeSet::new(),
        keep,
        runtime_provided: &[],
        imported: &BTreeSet::new(),
        aws_services: None,
        reached: None,
    };
    trim(&tree.scan(), &context).unwrap()
}

fn answer(interpreter: &Utf8Path, library: &Utf8Path) -> String {
    let script = "import ctypes, sys; lib = ctypes.CDLL(sys.argv[1]); print(lib.answer())";
    python(interpreter, script, &[library.as_str()])
}

#[test]
fn a_stripped_library_still_loads_and_answers() {
    let builds: [&[&str]; 4] = [
        &[],
        &["-O2"],
        &["-Wl,--build-id=none", "-Wl,-z,relro,-z,now"],
        &["-Wl,--hash-style=sysv", "-nostartfiles"],
    ];
    for flags in builds {
        let original = library(flags);
        let tree = Tree::new().distribution("lib", &[("lib/lib.so", &original)]);
        let trim = trimmed(&tree, &[]);
        let stripped = trim.stripped.get(Utf8Path::new("lib/lib.so")).unwrap_or_else(|| panic!("{flags:?}"));
        let decision = &trim.decisions[0];
        assert_eq!(
            (decision.kind, decision.subject.as_str(), decision.id.as_str()),
            (DecisionKind::Strip, "symbols", "strip:lib/lib.so")
        );
        assert_eq!(decision.saves_bytes, Some((original.len() - stripped.len()) as u64));
        assert!(stripped.len() < original.len() / 2, "{flags:?}: {} of {}", stripped.len(), original.len());
        let out = Tree::new().file("stripped.so", stripped).file("original.so", &original);
        for (_, interpreter) in pythons() {
            let said = answer(&interpreter, &out.root.join("stripped.so"));
            assert_eq!(
                (said.as_str(), said == answer(&interpreter, &out.root.join("original.so"))),
                ("42", true),
                "{flags:?}"
            );
        }
        // Once is enough.
        let again = Tree::new().distribution("lib", &[("lib/lib.so", stripped)]);
        assert!(trimmed(&again, &[]).stripped.is_empty());
    }
}

#[test]
fn the_interpreters_own_extension_modules_survive() {
    let script = "import sysconfig, glob, os; d = sysconfig.get_path('platstdlib') + '/lib-dynload/'; print(*[p for n in ('_json', '_struct', '_decimal', '_ctypes') for p in glob.glob(d + n + '.*so')])";
    let mut tried = 0;
    for (_, interpreter) in pythons() {
        for path in python(&interpreter, script, &[]).split_whitespace().map(Utf8PathBuf::from) {
            let name = path.file_name().unwrap().to_owned();
            let place = format!("x/{name}");
            let original = fs::read(&path).unwrap();
            let tree = Tree::new().distribution("x", &[(&place, &original)]);
            let trim = trimmed(&tree, &["x".to_owned()]);
            assert!(trim.stripped.is_empty() && trim.decisions.is_empty());
            let trim = trimmed(&tree, &[]);
            let Some(stripped) = trim.stripped.get(Utf8Path::new(&place)) else { continue };
            tried += 1;
            let out = Tree::new().file(&name, stripped);
            let module = name.split('.').next().unwrap();
            let load = "import sys, importlib.machinery as m, importlib.util as u; l = m.ExtensionFileLoader(sys.argv[1], sys.argv[2]); s = u.spec_from_file_location(sys.argv[1], sys.argv[2], loader=l); u.module_from_spec(s); print('loaded')";
            assert_eq!(python(&interpreter, load, &[module, out.root.join(&name).as_str()]), "loaded");
        }
    }
    println!("{tried} of the interpreters' own libraries were stripped and loaded");
}

#[test]
fn what_is_not_understood_is_left_alone() {
    let original = library(&[]);
    let mut payload = original.clone();
    payload.extend(b"somebody's archive behind the sections");
    let mut cut = original.clone();
    cut.truncate(original.len() - 1000);
    let program = {
        // An executable at a fixed place is none of ours.
        let mut program = original.clone();
        program[16] = 2;
        program
    };
    let cases: [(&str, &[u8]); 5] = [
        ("payload", &payload),
        ("cut", &cut),
        ("program", &program),
        ("text", b"GROUP ( libx.so.1 )"),
        ("empty", b""),
    ];
    for (name, data) in cases {
        let tree = Tree::new().distribution("lib", &[("lib/lib.so", data)]);
        assert!(trimmed(&tree, &[]).stripped.is_empty(), "{name}");
    }
    // The user's own library is the user's.
    let tree = Tree::new().file("lib/lib.so", &original);
    assert!(trimmed(&tree, &[]).stripped.is_empty());
}

#[test]
fn no_damage_makes_it_panic() {
    let original = library(&[]);
    let (header, table) = (64, original.len() - 4096);
    for step in 0..160_usize {
        let mut damaged = original.clone();
        let at = if step % 2 == 0 { step / 2 % header } else { table + (step * 97) % 4000 };
        damaged[at] ^= 1 << (step % 8);
        let tree = Tree::new().distribution("lib", &[("lib/lib.so", &damaged)]);
        let _ = trimmed(&tree, &[]);
    }
}
