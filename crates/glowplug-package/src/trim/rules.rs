//! The table of trimming rules at level `safe`: each proves one kind of file useless at run time. They hold at the levels
//! beyond it too.
//!
//! A rule sees files of installed distributions only, unless it says otherwise; licence texts are
//! spared unless it says otherwise; `keep` patterns go before every rule. What careless trimming
//! breaks, and each rule therefore leaves alone, is in the tests beside this file.

use std::io::Read;

use camino::Utf8Path;
use fs_err as fs;
use glowplug_core::Result;

use super::folders::{self, Purpose};
use super::native;
use super::view::View;
use crate::bytecode_path;
use crate::distribution::source_of_bytecode;
use crate::modules::dotted;
use crate::tree::{COMPILED_SOURCES, FileEntry, FileKind};

/// One reason to leave files out.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Stable; the subject of the decisions it makes.
    pub id: &'static str,
    /// Why such files are of no use at run time.
    pub sentence: &'static str,
    /// Whether it holds for the user's own files too.
    pub users_files: bool,
    /// Whether licence texts stay.
    pub spares_licences: bool,
    /// The evidence, where the rule holds for a file.
    pub(super) applies: fn(&View, &FileEntry) -> Result<Option<String>>,
}

pub(super) const fn rule(
    id: &'static str,
    sentence: &'static str,
    applies: fn(&View, &FileEntry) -> Result<Option<String>>,
) -> Rule {
    Rule { id, sentence, users_files: false, spares_licences: true, applies }
}

/// The rules in the order in which they are asked: the first that holds gives the decision.
pub const RULES: &[Rule] = &[
    Rule {
        spares_licences: false,
        ..rule(
            "runtime-provided",
            "the Lambda runtime brings this distribution, and the configuration says so",
            runtime_provided,
        )
    },
    Rule {
        users_files: true,
        ..rule(
            "foreign-bytecode",
            "the target's interpreter never reads this bytecode file",
            foreign_bytecode,
        )
    },
    rule("foreign-native", "the target's interpreter cannot load this native library", foreign_native),
    rule(
        "foreign-libc",
        "this native library needs a C library that the target does not have",
        native::other_libc,
    ),
    rule("foreign-format", "this native library is for another system than Linux", native::other_format),
    rule(
        "foreign-platform",
        "programs and libraries for Windows and macOS do not run on Linux",
        foreign_platform,
    ),
    rule("tests", "nothing that is kept imports these tests", tests),
    rule("docs", "nothing that is kept imports or names this folder of documentation or examples", docs),
    rule(
        "aws-services",
        "every AWS client names its service by a literal, and none names this one",
        aws_services,
    ),
    rule(
        "aws-docs",
        "botocore and boto3 read these examples only to write their own documentation",
        aws_docs,
    ),
    rule("headers", "native sources are of no use once the distribution's modules are compiled", headers),
    rule("stubs", "type stubs are for type checkers, and nothing here reads them at run time", stubs),
    rule("link-time", "static libraries and build descriptions are for linking, not for running", link_time),
    rule(
        "installer-notes",
        "only installers read these notes; metadata, entry points and file lists stay",
        installer_notes,
    ),
    rule("scripts", "this start script names the interpreter of the machine that installed it", scripts),
    rule("path-files", "`.pth` files work in site folders only, and `/var/task` is none", path_files),
    rule("litter", "editors, version control and file managers leave such files behind", litter),
];

/// The rule behind decisions of kind strip; it is applied to native libraries as such.
pub(super) const STRIP: Rule =
    rule("symbols", "symbols for debuggers are not loaded when the library is", |_, _| Ok(None));

#[expect(clippy::unnecessary_wraps, reason = "a rule's answer, as the table wants it")]
fn when(holds: bool, evidence: impl FnOnce() -> String) -> Result<Option<String>> {
    Ok(holds.then(evidence))
}

fn extension(file: &FileEntry) -> &str {
    file.path.extension().unwrap_or_default()
}

fn runtime_provided(view: &View, file: &FileEntry) -> Result<Option<String>> {
    when(view.is_runtime_provided(file), || {
        format!("`{}` is in `runtime_provided`", view.distribution_name(file).unwrap_or_default())
    })
}

/// Files in `__pycache__` of another interpreter, of an optimised run or without their source, and
/// a `.pyc` beside its source, which hides it.
fn foreign_bytecode(view: &View, file: &FileEntry) -> Result<Option<String>> {
    if file.kind != FileKind::Bytecode {
        return Ok(None);
    }
    if extension(file) == "pyo" {
        return when(true, || "`.pyo` files went with Python 3.5".to_owned());
    }
    let Some(source) = source_of_bytecode(&file.path) else {
        let source = file.path.with_extension("py");
        return when(view.has(&source), || format!("`{source}` is loaded in its place"));
    };
    if !view.has(&source) {
        return when(true, || format!("its source `{source}` is not there"));
    }
    let ours = bytecode_path(&source, view.context.python);
    when(file.path != ours, || {
        format!("Python {} reads `{}`", view.context.python, ours.file_name().unwrap_or_default())
    })
}

fn foreign_native(view: &View, file: &FileEntry) -> Result<Option<String>> {
    if file.kind != FileKind::Native || file.symlink.is_some() {
        return Ok(None);
    }
    if let Some(tag) = foreign_tag(view, file) {
        return when(true, || format!("it is built for `{tag}`, and the module is there for the target"));
    }
    let Some(machine) = elf_machine(&view.tree.root.join(&file.path))? else { return Ok(None) };
    let imported = dotted(&file.path).is_some_and(|name| view.context.imported.contains(&name));
    let ours = object::elf::EM_X86_64.0;
    let wanted = match view.context.architecture {
        glowplug_core::Architecture::X86_64 => ours,
        glowplug_core::Architecture::Arm64 => object::elf::EM_AARCH64.0,
    };
    when(machine != wanted && !imported, || {
        format!("its ELF machine is {machine}, that of {} is {wanted}", view.context.architecture)
    })
}

/// The tag of an extension module for another interpreter or machine, where the same module is
/// there in a form that the target loads.
fn foreign_tag<'a>(view: &View, file: &'a FileEntry) -> Option<&'a str> {
    let (stem, rest) = file.name().split_once('.')?;
    let tag = rest.strip_suffix(".so")?;
    let target = view.target_tag();
    let foreign = (tag.starts_with("cpython-") || tag.starts_with("pypy")) && tag != target;
    let folder = file.path.parent()?;
    let other = [
        format!("{stem}.{target}.so"),
        format!("{stem}.abi3.so"),
        format!("{stem}.so"),
        format!("{stem}.py"),
        format!("{stem}/__init__.py"),
    ];
    (foreign && other.iter().any(|name| view.has(&folder.join(name)))).then_some(tag)
}

/// The machine of a shared ELF file; `None` for anything else. Layout: System V ABI, "ELF header".
fn elf_machine(path: &Utf8Path) -> Result<Option<u16>> {
    let mut header = [0; 20];
    let mut file = fs::File::open(path)?;
    if file.read_exact(&mut header).is_err() || header[..4] != object::elf::ELFMAG {
        return Ok(None);
    }
    let little = header[5] == 1;
    let word = |at: usize| {
        let bytes = [header[at], header[at + 1]];
        if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    };
    Ok((word(16) == object::elf::ET_DYN.0).then(|| word(18)))
}

fn foreign_platform(view: &View, file: &FileEntry) -> Result<Option<String>> {
    let extension = extension(file).to_lowercase();
    // .NET assemblies are `.dll` and `.exe` files on every platform.
    let dotnet = view.has_any(&["pythonnet", "clr-loader"]) && matches!(extension.as_str(), "dll" | "exe");
    let foreign = matches!(extension.as_str(), "dll" | "exe" | "pyd" | "dylib");
    when(foreign && !dotnet, || format!("`.{extension}` files are not for Linux"))
}

fn tests(view: &View, file: &FileEntry) -> Result<Option<String>> {
    if folders::is_unused_conftest(&file.path, view.context.imported) {
        return when(true, || "only pytest reads `conftest.py`".to_owned());
    }
    let Some((folder, found)) = view.folder_of(file) else { return Ok(None) };
    if found.purpose != Purpose::Tests {
        return Ok(None);
    }
    let python = matches!(extension(file), "py" | "pyc" | "pyi");
    let read = !python && view.names_folder(file, folder) && !listed_only(view, file, folder);
    when(!read, || format!("`{folder}` holds tests, and no kept module imports it"))
}

/// Distributions that name their test folder only to leave it out of something.
const NAME_TESTS_ONLY: &[&str] = &["numpy", "pandas", "scipy", "scikit-learn"];

fn listed_only(view: &View, file: &FileEntry, folder: &Utf8Path) -> bool {
    folder.file_name() == Some("tests") && NAME_TESTS_ONLY.iter().any(|name| view.is_of(file, name))
}

fn docs(view: &View, file: &FileEntry) -> Result<Option<String>> {
    // What wheels install as data of the machine: manual pages and the like.
    if ["share/man", "share/doc"].iter().any(|folder| file.path.starts_with(folder)) {
        return when(true, || "manual pages are for people at a terminal".to_owned());
    }
    let Some((folder, found)) = view.folder_of(file) else { return Ok(None) };
    let read = view.names_folder(file, folder);
    when(found.purpose == Purpose::Docs && !read, || {
        format!("`{folder}` is neither imported nor named in the distribution's code")
    })
}

/// Services whose data credentials and endpoints may need whatever clients the code makes:
/// `botocore.credentials` and `botocore.tokens` create these clients themselves.
const CREDENTIAL_SERVICES: &[&str] = &["sts", "sso", "sso-oidc", "signin"];

fn aws_services(view: &View, file: &FileEntry) -> Result<Option<String>> {
    let Some(used) = view.context.aws_services else { return Ok(None) };
    let mut parts = file.path.components().map(|part| part.as_str());
    let package = parts.next().filter(|package| matches!(*package, "botocore" | "boto3"));
    let (Some(package), Some("data"), Some(service), Some(_)) =
        (package, parts.next(), parts.next(), parts.next())
    else {
        return Ok(None);
    };
    let needed = used.contains(service) || CREDENTIAL_SERVICES.contains(&service);
    when(!needed && view.is_of(file, package), || {
        format!("no client or resource of the service `{service}` is made")
    })
}

fn aws_docs(view: &View, file: &FileEntry) -> Result<Option<String>> {
    let models = file.path.starts_with("botocore/data") && view.is_of(file, "botocore");
    let model_example = models && matches!(file.name(), "examples-1.json" | "examples-1.json.gz");
    let pages =
        file.path.starts_with("boto3/examples") && extension(file) == "rst" && view.is_of(file, "boto3");
    when(model_example || pages, || {
        "the documentation writers in `botocore.docs` and `boto3.docs` are its only readers".to_owned()
    })
}

fn headers(view: &View, file: &FileEntry) -> Result<Option<String>> {
    let source = COMPILED_SOURCES.contains(&extension(file));
    when(source && view.is_built(file) && !view.names_file(file), || {
        "the distribution has compiled modules, and its code does not name this file".to_owned()
    })
}

fn stubs(view: &View, file: &FileEntry) -> Result<Option<String>> {
    if file.name() == "py.typed" {
        return when(true, || "an empty marker for type checkers".to_owned());
    }
    let read = view.attaches_stubs(file) || view.names_file(file);
    when(extension(file) == "pyi" && !read, || {
        "the distribution's code neither names it nor uses `lazy_loader.attach_stub`".to_owned()
    })
}

fn link_time(_: &View, file: &FileEntry) -> Result<Option<String>> {
    let build = matches!(file.name(), "meson.build" | "CMakeLists.txt" | "Makefile" | "Makefile.am");
    let link = matches!(extension(file), "a" | "la" | "lib" | "cmake")
        || (extension(file) == "pc" && file.path.as_str().contains("pkgconfig/"));
    when(build || link, || "only a linker or a build tool reads it".to_owned())
}

/// `importlib.metadata` reads METADATA, RECORD, entry_points.txt, top_level.txt and, from Python
/// 3.13 on, direct_url.json: they stay, like WHEEL and licences.
fn installer_notes(_: &View, file: &FileEntry) -> Result<Option<String>> {
    let notes =
        matches!(file.name(), "INSTALLER" | "REQUESTED" | "zip-safe" | "not-zip-safe" | "SOURCES.txt");
    when(file.kind == FileKind::Metadata && notes, || "`importlib.metadata` does not read it".to_owned())
}

fn scripts(view: &View, file: &FileEntry) -> Result<Option<String>> {
    let in_bin = file.path.parent() == Some(Utf8Path::new("bin")) && file.symlink.is_none();
    if !in_bin {
        return Ok(None);
    }
    let mut start = Vec::new();
    fs::File::open(view.tree.root.join(&file.path))?.take(256).read_to_end(&mut start)?;
    let first = String::from_utf8_lossy(&start);
    let first = first.lines().next().unwrap_or_default();
    when(first.starts_with("#!") && first.contains("python"), || format!("its first line is `{first}`"))
}

fn path_files(view: &View, file: &FileEntry) -> Result<Option<String>> {
    let at_root = file.path.components().count() == 1;
    when(at_root && extension(file) == "pth" && !view.adds_site_folders(), || {
        "no code of the function calls `site.addsitedir`".to_owned()
    })
}

fn litter(_: &View, file: &FileEntry) -> Result<Option<String>> {
    let name = file.name();
    let known = matches!(name, ".DS_Store" | "Thumbs.db" | ".gitignore" | ".gitattributes" | ".editorconfig");
    let ending = matches!(extension(file), "orig" | "rej" | "swp" | "swo") || name.ends_with('~');
    let apple = name.starts_with("._") || file.path.starts_with("__MACOSX");
    when(known || ending || apple, || "nothing at run time asks for a file of this name".to_owned())
}
