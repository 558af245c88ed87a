//! What starts a function: an interpreter, an empty virtual environment of it, and the runtime client.

use std::process::Command;

use camino::Utf8Path;
use glowplug_core::{Cache, Error, Progress, PythonVersion, Result};

use crate::uv::{self, Uv};
use crate::{Interpreter, Runtime, interpreter, process, store};

/// The runtime client's distribution.
const CLIENT: &str = "awslambdaric";
/// Where Lambda, and the engine, show the runtime client.
const RUNTIME_FOLDER: &str = "/var/runtime";
/// Raised when the layout of an entry changes.
const LAYOUT: &str = "2";

/// Finds the interpreter of `version` (or the one that `requested` names by version or path), makes an empty virtual
/// environment of it in the cache, and fetches the runtime client for it: the newest that supports it at the time.
///
/// # Errors
/// Surroundings: no such interpreter (the error lists those found), nothing in the cache and `--offline`. Usage: the
/// requested interpreter is of another version.
pub fn runtime(
    version: PythonVersion,
    requested: Option<&str>,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Runtime> {
    let interpreter = chosen(version, requested)?;
    let identity =
        store::hash([interpreter.path.as_str(), &interpreter.full_version, LAYOUT].map(str::as_bytes));
    let key = format!("cpython-{}-{}", interpreter.full_version, &identity[..12]);
    let fit = |folder: &Utf8Path| folder.join("venv/bin/python").exists() && client_version(folder).is_some();
    let folder = store::entry(&cache.runtimes(), &key, progress, &fit, &mut |folder| {
        if cache.offline() {
            return Err(uv::not_cached(&format!(
                "the runtime client for Python {}",
                interpreter.full_version
            )));
        }
        fill(&interpreter, folder, cache, progress)
    })?;
    let client_version = client_version(&folder)
        .ok_or_else(|| Error::defect("the runtime client has no metadata").place(folder.as_str()))?;
    Ok(Runtime {
        python: folder.join("venv/bin/python"),
        packages: folder.join("packages"),
        interpreter,
        client_version,
    })
}

fn chosen(version: PythonVersion, requested: Option<&str>) -> Result<Interpreter> {
    let found = match requested {
        None => return interpreter::find(version),
        Some(path) if interpreter::is_path(path) => interpreter::at(Utf8Path::new(path))?,
        Some(text) => {
            let asked: PythonVersion = text.parse()?;
            if asked == version {
                interpreter::find(version)?
            } else {
                return Err(differs(text, asked, version));
            }
        }
    };
    if found.version == version {
        Ok(found)
    } else {
        Err(differs(found.path.as_str(), found.version, version))
    }
}

fn differs(what: &str, found: PythonVersion, version: PythonVersion) -> Error {
    Error::usage(format!("`--python {what}` is Python {found}, and the function runs on {version}"))
        .cause("bytecode and native modules fit one minor version only")
}

/// Makes `folder/venv` and `folder/packages`.
fn fill(interpreter: &Interpreter, folder: &Utf8Path, cache: &Cache, progress: &dyn Progress) -> Result<()> {
    progress.start(&format!("Preparing Python {}", interpreter.full_version), None);
    let mut venv = Command::new(&interpreter.path);
    venv.args(["-I", "-m", "venv", "--without-pip"]).arg(folder.join("venv"));
    let made = process::run(&mut venv, None, progress, &mut |_| {})?;
    if !made.success {
        return Err(Error::surroundings(format!(
            "Python {} cannot make a virtual environment",
            interpreter.full_version
        ))
        .cause(made.reason())
        .place(interpreter.path.as_str())
        .hint("on Debian and Ubuntu, `apt install python3-venv` brings the venv module"));
    }
    let uv = Uv::ready(interpreter, cache, progress)?;
    progress.start(&format!("Fetching {CLIENT}"), None);
    let packages = folder.join("packages");
    let mut finished = uv.run(&mut install(&uv, interpreter, &packages, &[":all:"]))?;
    if !finished.success {
        // Some interpreters have no wheel of it; its own dependencies all have one.
        finished =
            uv.run(&mut install(&uv, interpreter, &packages, &["simplejson", "snapshot-restore-py"]))?;
    }
    if !finished.success {
        return Err(uv::failure(
            &format!("{CLIENT} for Python {}", interpreter.full_version),
            &finished,
            false,
        ));
    }
    compile(interpreter, &packages, progress)?;
    progress.finish();
    Ok(())
}

fn install(uv: &Uv<'_>, interpreter: &Interpreter, packages: &Utf8Path, wheels_only: &[&str]) -> Command {
    let mut command = uv.command();
    // Away from the user's project: its settings of uv are not about the runtime client.
    command.current_dir(packages.parent().unwrap_or(packages));
    command.args(["pip", "install", CLIENT, "--python"]).arg(&interpreter.path);
    command.arg("--target").arg(packages);
    for name in wheels_only {
        command.args(["--only-binary", name]);
    }
    command
}

/// The folder is read-only when it is used, so that its bytecode is made here.
fn compile(interpreter: &Interpreter, packages: &Utf8Path, progress: &dyn Progress) -> Result<()> {
    let mut command = Command::new(&interpreter.path);
    command
        .args([
            "-I",
            "-S",
            "-m",
            "compileall",
            "-q",
            "--invalidation-mode",
            "unchecked-hash",
            "-d",
            RUNTIME_FOLDER,
        ])
        .arg(packages);
    let finished = process::run(&mut command, None, progress, &mut |_| {})?;
    if finished.success {
        return Ok(());
    }
    Err(Error::surroundings("the runtime client does not compile")
        .cause(finished.reason())
        .place(packages.as_str()))
}

/// The version in the client's metadata folder.
fn client_version(folder: &Utf8Path) -> Option<String> {
    folder.join("packages").read_dir_utf8().ok()?.flatten().find_map(|entry| {
        let name = entry.file_name().strip_suffix(".dist-info")?;
        name.strip_prefix(CLIENT)?.strip_prefix('-').map(str::to_owned)
    })
}
