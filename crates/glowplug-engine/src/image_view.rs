//! What an environment sees whose function is an image: the image's root file system, read-only, a private `/tmp`, and what
//! a container runtime mounts: processes, devices, the host's names of machines.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Error, Result, TASK_ROOT};

use crate::launch::steps::{Step, c_string};
use crate::spec::ImageSpec;
use crate::variables::{IMAGE_PATH, Places};
use crate::view::{Builder, Sources, View};

/// What of the image's is not shown: mounts take its place.
const OWN: [&str; 4] = ["tmp", "proc", "dev", "sys"];
/// Files of the host's that are seen in place of the image's, so that names lead to where they lead on the host.
const HOSTS: &str = "/etc/hosts";
const RESOLVER: &str = "/etc/resolv.conf";

/// A view with the image's own files; `root` is an empty folder.
///
/// # Errors
/// Surroundings: the host allows no view of its own, so that the image's paths would lead to the host's files.
pub(crate) fn image(sources: &Sources, root: &Utf8Path, spec: &ImageSpec, plain: bool) -> Result<View> {
    if plain {
        return Err(Error::surroundings("cannot run an image on this host")
            .cause("its root file system needs a mount namespace, and the host allows none")
            .hint("allow user namespaces, or serve the function's folder or zip"));
    }
    let mut builder = Builder { root: root.to_owned(), steps: vec![Step::Private] };
    builder.memory()?;
    builder.children(&sources.tree, "", &OWN)?;
    for folder in ["/proc", "/sys"] {
        builder.directory(folder)?;
    }
    builder.devices()?;
    builder.bind(Utf8Path::new("/sys"), "/sys", false)?;
    builder.temporary(sources)?;
    builder.bind(sources.hosts.as_deref().unwrap_or(Utf8Path::new(HOSTS)), HOSTS, false)?;
    builder.bind(Utf8Path::new(RESOLVER), RESOLVER, false)?;
    let mut steps = builder.steps;
    steps.push(Step::Processes(c_string(format!("{root}/proc"))?));
    steps.push(Step::ReadOnly(c_string(root.as_str())?));
    steps.push(Step::Writable(c_string(format!("{root}/tmp"))?));
    Ok(View {
        steps,
        root: Some(c_string(root.as_str())?),
        places: Places {
            task: TASK_ROOT.to_owned(),
            opt: "/opt".to_owned(),
            runtime: "/var/runtime".to_owned(),
            lang: "/var/lang".to_owned(),
            home: "/".to_owned(),
            temporary: None,
        },
        directory: spec.working_dir.clone(),
        program: program(&sources.tree, spec),
    })
}

/// The program with its arguments. One that is not found stays as it is, and fails where it is executed.
fn program(tree: &Utf8Path, spec: &ImageSpec) -> Vec<Utf8PathBuf> {
    let mut program: Vec<Utf8PathBuf> = spec.program.iter().map(Utf8PathBuf::from).collect();
    if let Some(name) = program.first_mut().filter(|name| !name.as_str().contains('/'))
        && let Some(found) = found(tree, name, &spec.variables)
    {
        *name = found;
    }
    program
}

/// Where a program of this name is in the folders of the image's `PATH`.
fn found(tree: &Utf8Path, name: &Utf8Path, variables: &BTreeMap<String, String>) -> Option<Utf8PathBuf> {
    let path = variables.get("PATH").map_or(IMAGE_PATH, String::as_str);
    let places = path.split(':').filter(|folder| folder.starts_with('/'));
    // Not followed: links lead to files of the image, not of the host.
    places.map(|folder| Utf8Path::new(folder).join(name)).find(|place| {
        place.strip_prefix("/").is_ok_and(|inner| fs_err::symlink_metadata(tree.join(inner)).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_the_images_path() {
        let keep = tempfile::tempdir().unwrap();
        let tree = Utf8Path::from_path(keep.path()).unwrap();
        fs_err::create_dir_all(tree.join("usr/bin")).unwrap();
        fs_err::create_dir_all(tree.join("app")).unwrap();
        fs_err::os::unix::fs::symlink("/nowhere", tree.join("usr/bin/run")).unwrap();
        fs_err::write(tree.join("app/run"), "").unwrap();
        let with = |program: &[&str], path: Option<&str>| {
            let variables = path.map(|path| ("PATH".to_owned(), path.to_owned())).into_iter().collect();
            let program = program.iter().map(|&text| text.to_owned()).collect();
            self::program(tree, &ImageSpec { program, variables, working_dir: "/".to_owned() })
        };
        assert_eq!(with(&["run", "run"], None), ["/usr/bin/run", "run"]);
        assert_eq!(with(&["run"], Some("bin:/app:/usr/bin")), ["/app/run"]);
        assert_eq!(with(&["none"], None), ["none"]);
        assert_eq!(with(&["./run"], None), ["./run"]);
    }
}
