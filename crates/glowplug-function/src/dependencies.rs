//! Dependencies in a tree of their own in the cache, one for each set of requirements and target.

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use glowplug_core::{Architecture, Cache, Error, Libc, Progress, PythonVersion, Result};

use crate::listing::{self, Listed};
use crate::requirements::{Kind, Requirements};
use crate::uv::{self, Uv};
use crate::{Function, Runtime, elf, poetry, process, store};

/// Raised when what is done to an installed tree changes.
const LAYOUT: &str = "2";
/// The interpreter on Lambda: the first line of installed scripts names it, so that no path of this machine ships.
const SCRIPT_PYTHON: &str = "/var/lang/bin/python3";
/// What uv writes about its own cache; it would make two installations differ.
const NOT_OURS: [&str; 2] = ["uv_cache.json", "uv_build.json"];

/// An installed tree.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) root: Utf8PathBuf,
    pub(crate) files: Vec<Listed>,
}

/// The tree of the function's requirements: from the cache, or installed there. Requirements that name folders of
/// this machine are installed below `work`, since their contents may change.
///
/// # Errors
/// Input: a requirement that cannot be resolved, a corrupt wheel, a native file for another machine. Surroundings:
/// network, disk, or not in the cache while offline.
pub(crate) fn install(
    function: &Function,
    file: &Utf8Path,
    runtime: &Runtime,
    work: &Utf8Path,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Installed> {
    let requirements = Requirements::read(file)?;
    let installation = Installation { function, runtime, cache, progress, requirements: &requirements };
    if requirements.local {
        let folder = work.join("dependencies");
        fs::create_dir_all(&folder)?;
        installation.make(&folder)?;
        return read(&folder)
            .ok_or_else(|| Error::defect("the installed tree cannot be read").place(folder.as_str()));
    }
    let fit = |folder: &Utf8Path| {
        read(folder).is_some_and(|tree| tree.files.iter().all(|file| file.untouched(&tree.root)))
    };
    let make = &mut |folder: &Utf8Path| installation.make(folder);
    let folder = store::entry(&cache.trees(), &installation.key(), progress, &fit, make)?;
    read(&folder).ok_or_else(|| Error::surroundings("a cached tree vanished").place(folder.as_str()))
}

fn read(folder: &Utf8Path) -> Option<Installed> {
    let manifest = fs::read(folder.join("files.json")).ok()?;
    Some(Installed { root: folder.join("tree"), files: serde_json::from_slice(&manifest).ok()? })
}

/// uv's name for the target: Amazon Linux 2 (glibc 2.26) up to Python 3.11, Amazon Linux 2023 (2.34) after; for images
/// on Alpine Linux, musl (1.2, which every release since 3.13 has). uv knows no name for 2.26; wheels for 2.17 run there.
fn platform(version: PythonVersion, architecture: Architecture, libc: Libc) -> String {
    let machine = match architecture {
        Architecture::X86_64 => "x86_64",
        Architecture::Arm64 => "aarch64",
    };
    if libc == Libc::Musl {
        return format!("{machine}-unknown-linux-musl");
    }
    let libc = if version >= PythonVersion::new(3, 12) { "manylinux_2_34" } else { "manylinux_2_17" };
    format!("{machine}-{libc}")
}

/// One installation.
#[derive(Clone, Copy)]
struct Installation<'a> {
    function: &'a Function,
    runtime: &'a Runtime,
    cache: &'a Cache,
    progress: &'a dyn Progress,
    requirements: &'a Requirements,
}

impl Installation<'_> {
    fn platform(self) -> String {
        platform(self.function.python, self.function.architecture, self.function.package.libc)
    }

    /// Everything that decides what is installed.
    fn key(self) -> String {
        let mut parts: Vec<Vec<u8>> = vec![LAYOUT.into(), uv::VERSION.into()];
        parts.push(self.function.python.to_string().into());
        parts.push(self.platform().into());
        if self.function.package.build_from_source {
            parts.push(format!("built with {}", self.runtime.interpreter.full_version).into());
        }
        parts.extend(uv::settings().into_iter().map(String::into_bytes));
        parts.extend(self.requirements.contents.iter().cloned());
        let hash = store::hash(parts.iter().map(Vec::as_slice));
        format!("{}-{}", self.function.python, &hash[..24])
    }

    /// Fills `folder` with `tree/` and `files.json`.
    fn make(self, folder: &Utf8Path) -> Result<()> {
        let uv = Uv::ready(&self.runtime.interpreter, self.cache, self.progress)?;
        self.progress.start("Resolving the dependencies", None);
        let file = match self.requirements.kind {
            Kind::UvLock => self.export(&uv, folder)?,
            Kind::PoetryLock => self.poetry(folder)?,
            Kind::Lines | Kind::Project => self.requirements.path.canonicalize_utf8()?,
        };
        let tree = folder.join("tree");
        fs::create_dir(&tree)?;
        let mut command = uv.command();
        command.args(["pip", "install", "--requirement"]).arg(&file).arg("--target").arg(&tree);
        command.arg("--python").arg(&self.runtime.interpreter.path);
        command.args(["--python-version", &self.function.python.to_string()]);
        command.args(["--python-platform", &self.platform()]);
        if !self.function.package.build_from_source {
            command.args(["--only-binary", ":all:"]);
        }
        command.current_dir(self.folder()?);
        let finished = uv.run(&mut command)?;
        if !finished.success {
            return Err(self.failed(&finished));
        }
        tidy(&tree, &self.runtime.interpreter.path)?;
        self.progress.start("Checking the dependencies", None);
        let files = listing::list(&tree)?;
        elf::check(&tree, &files, self.function, self.progress)?;
        let manifest = serde_json::to_vec(&files)
            .map_err(|error| Error::defect("cannot write a list of files").cause(error))?;
        fs::write(folder.join("files.json"), manifest)?;
        self.progress.finish();
        Ok(())
    }

    /// Turns the lock into lines with hashes.
    fn export(self, uv: &Uv<'_>, folder: &Utf8Path) -> Result<Utf8PathBuf> {
        let lines = folder.join("requirements.txt");
        let mut command = uv.command();
        command.args([
            "export",
            "--frozen",
            "--no-dev",
            "--no-emit-project",
            "--format",
            "requirements-txt",
            "--quiet",
        ]);
        command.arg("--python").arg(&self.runtime.interpreter.path).arg("--output-file").arg(&lines);
        let finished = uv.run(command.current_dir(self.folder()?))?;
        if finished.success { Ok(lines) } else { Err(self.failed(&finished)) }
    }

    fn poetry(self, folder: &Utf8Path) -> Result<Utf8PathBuf> {
        let text = String::from_utf8_lossy(self.requirements.contents.first().map_or(&[], Vec::as_slice));
        let lines = folder.join("requirements.txt");
        fs::write(&lines, poetry::lines(&text, &self.requirements.path)?)?;
        Ok(lines)
    }

    fn folder(self) -> Result<Utf8PathBuf> {
        let path = self.requirements.path.canonicalize_utf8()?;
        Ok(path.parent().map_or(path.clone(), Utf8Path::to_owned))
    }

    fn failed(self, finished: &process::Finished) -> Error {
        let mut target = format!("Python {} on {}", self.function.python, self.function.architecture);
        if self.function.package.libc == Libc::Musl {
            target.push_str(" with musl");
        }
        let error = uv::failure(&format!("the dependencies for {target}"), finished, self.cache.offline())
            .place(self.requirements.path.as_str());
        let text = &finished.stderr;
        let no_wheel = ["has no wheels", "no usable wheels", "building from source is disabled", "no-build"];
        if !self.function.package.build_from_source && no_wheel.iter().any(|words| text.contains(words)) {
            return error.hint("choose a version that has a wheel for the target").hint(
                "or set `build_from_source = true` under `[package]`, where this machine is like the target",
            );
        }
        error.hint("correct the requirements, or the function's `python = ` and `architecture = `")
    }
}

/// Takes this machine's traces out of an installed tree: the same requirements give the same bytes everywhere.
fn tidy(tree: &Utf8Path, interpreter: &Utf8Path) -> Result<()> {
    let lock = tree.join(".lock");
    if lock.exists() {
        fs::remove_file(lock)?;
    }
    let scripts = tree.join("bin");
    if scripts.is_dir() {
        for entry in scripts.read_dir_utf8()? {
            let path = entry?.into_path();
            let content = fs::read(&path)?;
            if let Some(changed) = with_interpreter(&content, interpreter) {
                replace(&path, &changed)?;
            }
        }
    }
    for entry in tree.read_dir_utf8()? {
        let folder = entry?.into_path();
        if folder.extension() == Some("dist-info") {
            tidy_metadata(&folder)?;
        }
    }
    Ok(())
}

/// A script whose first lines name Lambda's interpreter instead of this machine's.
fn with_interpreter(content: &[u8], interpreter: &Utf8Path) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(content).ok().filter(|text| text.starts_with("#!"))?;
    let head: usize = text.split_inclusive('\n').take(3).map(str::len).sum();
    let (head, body) = text.split_at(head);
    head.contains(interpreter.as_str())
        .then(|| format!("{}{body}", head.replace(interpreter.as_str(), SCRIPT_PYTHON)).into_bytes())
}

/// Drops uv's own records and the hashes of scripts, which named this machine's interpreter.
fn tidy_metadata(folder: &Utf8Path) -> Result<()> {
    for name in NOT_OURS {
        if folder.join(name).exists() {
            fs::remove_file(folder.join(name))?;
        }
    }
    let record = folder.join("RECORD");
    let Ok(text) = fs::read_to_string(&record) else { return Ok(()) };
    let changed: String = text
        .split_inclusive('\n')
        .filter(|line| !NOT_OURS.iter().any(|name| line.contains(name)))
        .map(|line| match line.split_once(',') {
            Some((path, _)) if path.trim_start_matches("../").starts_with("bin/") => format!("{path},,\n"),
            _ => line.to_owned(),
        })
        .collect();
    if changed == text { Ok(()) } else { replace(&record, changed.as_bytes()) }
}

/// Writes beside and renames, so that a reader sees the old or the new.
fn replace(path: &Utf8Path, content: &[u8]) -> Result<()> {
    let permissions = fs::metadata(path)?.permissions();
    let beside = path.with_file_name(format!("{}.new", path.file_name().unwrap_or_default()));
    fs::write(&beside, content)?;
    fs::set_permissions(&beside, permissions)?;
    Ok(fs::rename(beside, path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_lambdas() {
        let name = |minor, architecture| platform(PythonVersion::new(3, minor), architecture, Libc::Glibc);
        assert_eq!(name(11, Architecture::X86_64), "x86_64-manylinux_2_17");
        assert_eq!(name(12, Architecture::X86_64), "x86_64-manylinux_2_34");
        assert_eq!(name(13, Architecture::Arm64), "aarch64-manylinux_2_34");
        let musl = platform(PythonVersion::new(3, 13), Architecture::Arm64, Libc::Musl);
        assert_eq!(musl, "aarch64-unknown-linux-musl");
    }

    #[test]
    fn scripts_name_lambdas_interpreter() {
        let ours = Utf8Path::new("/home/me/bin/python3.12");
        let script = b"#!/home/me/bin/python3.12\nimport x\n";
        assert_eq!(with_interpreter(script, ours).unwrap(), b"#!/var/lang/bin/python3\nimport x\n");
        let long = b"#!/bin/sh\n'''exec' '/home/me/bin/python3.12' \"$0\" \"$@\"\n' '''\nx = '/home/me/bin/python3.12'\n";
        let changed = String::from_utf8(with_interpreter(long, ours).unwrap()).unwrap();
        assert_eq!(changed.matches("/var/lang/bin/python3").count(), 1, "{changed}");
        assert_eq!(with_interpreter(b"#!/bin/sh\n", ours), None);
        assert_eq!(with_interpreter(b"\x7fELF", ours), None);
    }

    #[test]
    fn metadata_forgets_this_machine() {
        let keep = tempfile::tempdir().unwrap();
        let folder = store::utf8(keep.path()).unwrap();
        let record = "bin/x,sha256=a,9\n../../bin/y,sha256=b,9\nx.py,sha256=c,1\nx-1.dist-info/uv_cache.json,sha256=d,2\n";
        fs::write(folder.join("RECORD"), record).unwrap();
        fs::write(folder.join("uv_cache.json"), "{}").unwrap();
        tidy_metadata(folder).unwrap();
        assert_eq!(
            fs::read_to_string(folder.join("RECORD")).unwrap(),
            "bin/x,,\n../../bin/y,,\nx.py,sha256=c,1\n"
        );
        assert!(!folder.join("uv_cache.json").exists());
    }
}
