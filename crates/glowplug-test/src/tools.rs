//! Tools that others wrote, to check what we write: packages of PyPI and npm, fetched by name into the cache folder.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use crate::{Interpreter, cache, run};

/// `python` of a virtual environment of this interpreter that holds these packages of PyPI, made where it is not in
/// the cache. `name` tells environments apart; the packages may name versions.
///
/// # Panics
/// Where it cannot be made.
pub fn python_with(interpreter: &Interpreter, name: &str, packages: &[&str]) -> Utf8PathBuf {
    let folder = kept(&format!("{name}-{}", interpreter.version), packages, |folder| {
        run(Command::new(&interpreter.path).args(["-m", "venv"]).arg(folder));
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary",
            ":all:",
        ]);
        run(pip.args(packages));
    });
    folder.join("bin/python")
}

/// The folder with what one wheel of PyPI holds, without what it depends on.
///
/// # Panics
/// Where it cannot be fetched.
pub fn wheel(interpreter: &Interpreter, distribution: &str) -> Utf8PathBuf {
    let folder = kept(&format!("wheel-{distribution}"), &[distribution], |folder| {
        let maker = folder.join("venv");
        run(Command::new(&interpreter.path).args(["-m", "venv"]).arg(&maker));
        let python = maker.join("bin/python");
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        run(pip.args(["--only-binary", ":all:", "--dest"]).arg(folder).arg(distribution));
        let unpack = "import glob, sys, zipfile\n\
                      (path,) = glob.glob(sys.argv[1] + '/*.whl')\n\
                      zipfile.ZipFile(path).extractall(sys.argv[1] + '/wheel')\n";
        run(Command::new(&python).args(["-c", unpack]).arg(folder));
        fs::remove_dir_all(maker).unwrap();
    });
    folder.join("wheel")
}

/// The folder of one package of npm, without what it depends on; its scripts are not run.
///
/// # Panics
/// Where it cannot be fetched, for example without npm.
pub fn npm_package(package: &str) -> Utf8PathBuf {
    let (name, _) = package.rsplit_once('@').filter(|(name, _)| !name.is_empty()).unwrap_or((package, ""));
    let folder = kept(&format!("npm-{}", name.replace('/', "-")), &[package], |folder| {
        let mut npm = Command::new("npm");
        npm.args(["pack", "--silent", "--pack-destination"]).arg(folder).arg(package);
        let archive = run(&mut npm);
        run(Command::new("tar").arg("-xzf").arg(folder.join(archive.trim())).arg("-C").arg(folder));
    });
    folder.join("package")
}

/// A folder of the cache that `make` fills once for these packages.
fn kept(name: &str, packages: &[&str], make: impl FnOnce(&Utf8Path)) -> Utf8PathBuf {
    let home = cache().join("test-tools");
    fs::create_dir_all(&home).unwrap();
    // Test processes run side by side: one makes it, the others wait. A killed one leaves no lock.
    let lock = fs::File::create(home.join(format!("{name}.lock"))).unwrap();
    lock.file().lock().unwrap();
    let folder = home.join(name);
    let complete = folder.join("complete");
    if fs::read_to_string(&complete).unwrap_or_default() != packages.join(" ") {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        make(&folder);
        fs::write(complete, packages.join(" ")).unwrap();
    }
    folder
}
