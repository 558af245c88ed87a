//! Which folders of the host an environment shows, from what its caller asks for.

use camino::Utf8PathBuf;
use glowplug_core::{Error, Result};

use crate::engine::Inner;
use crate::spec::EnvironmentSpec;
use crate::view::{RuntimeSources, Sources};
use crate::workshop::Room;

/// Finds them.
///
/// # Errors
/// Input: the tree or a layer is not there. Surroundings: the runtime client is not.
pub(crate) fn sources(engine: &Inner, room: &Room, spec: &EnvironmentSpec) -> Result<Sources> {
    let tree = spec.tree.canonicalize_utf8().map_err(|error| {
        Error::input("cannot find the function's folder").place(spec.tree.as_str()).cause(error)
    })?;
    let of_image =
        spec.image.as_ref().map(|_| tree.join("opt")).filter(|opt| opt.is_dir() && !opt.is_symlink());
    let opt = match of_image {
        Some(opt) => opt,
        None => engine.workshop.layers(&spec.layers)?,
    };
    let extensions = spec.extensions && opt.join("extensions").is_dir();
    Ok(Sources {
        tree,
        opt,
        hosts: extensions.then(|| engine.workshop.hosts()).transpose()?,
        temporary: room.temporary(),
        disk: room.disk().cloned(),
        home: if engine.is_plain() { room.home() } else { engine.workshop.empty_home() },
        runtime: if spec.own_runtime { None } else { Some(runtime_sources(spec, engine)?) },
        tree_writable: spec.write_bytecode,
        forks: spec.snapshot.is_some().then(|| room.forks()),
        hidden: hidden(spec, engine),
    })
}

fn runtime_sources(spec: &EnvironmentSpec, engine: &Inner) -> Result<RuntimeSources> {
    let packages = spec.packages.canonicalize_utf8().map_err(|error| {
        Error::surroundings("cannot find the runtime client").place(spec.packages.as_str()).cause(error)
    })?;
    Ok(RuntimeSources { packages, bootstrap: engine.workshop.bootstrap(), python: spec.python.clone() })
}

/// What a view leaves out, by the places where it really is: the engine's own files, and what the caller names.
fn hidden(spec: &EnvironmentSpec, engine: &Inner) -> Vec<Utf8PathBuf> {
    let named = spec.hidden.iter().filter_map(|path| path.canonicalize_utf8().ok());
    named.chain([engine.workshop.folder().to_owned()]).collect()
}
