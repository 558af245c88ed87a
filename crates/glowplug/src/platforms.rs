//! `--platform` of `build`: which machines it names, and what does not go with several.

use glowplug_cli::{BuildArgs, Kind, Platform};
use glowplug_core::{Architecture, Error, Result};

/// The machines, each once.
pub(crate) fn machines(platforms: &[Platform]) -> Vec<Architecture> {
    let mut machines = Vec::new();
    for platform in platforms {
        let machine = match platform {
            Platform::Amd64 => Architecture::X86_64,
            Platform::Arm64 => Architecture::Arm64,
        };
        if !machines.contains(&machine) {
            machines.push(machine);
        }
    }
    machines
}

/// Several machines are joined in an image, and what is about one build does not go with them.
///
/// # Errors
/// Usage: it was given all the same.
pub(crate) fn check(args: &BuildArgs) -> Result<()> {
    if machines(&args.platform).len() < 2 {
        return Ok(());
    }
    if !args.kind.contains(&Kind::Image) {
        return Err(Error::usage("several platforms are joined in an image, and none is made")
            .hint("add `--kind image`, or build for one platform after the other"));
    }
    if args.base.as_deref().is_some_and(|base| base.starts_with("rootfs:")) {
        return Err(Error::usage("a root file system is for one machine, and several platforms were given")
            .hint(
                "use an image that is there for all of them: in a registry, or `oci:FOLDER` with an index",
            ));
    }
    let one = [
        ("--plan", args.plan.is_some()),
        ("--locked", args.locked),
        ("--update-lock", args.update_lock),
        ("--html", args.html.is_some()),
        ("--diff", args.diff),
        ("--explain", args.explain.is_some()),
    ];
    match one.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => Err(Error::usage(format!("`{name}` is about one platform"))
            .cause("several were given")
            .hint("build for that platform by itself")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_named_twice_is_meant_once() {
        let named = [Platform::Arm64, Platform::Amd64, Platform::Arm64];
        assert_eq!(machines(&named), [Architecture::Arm64, Architecture::X86_64]);
        assert_eq!(machines(&[]), []);
    }
}
