//! The output folder: refused where it is not ours, replaced in one step, never half-written.

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use glowplug_core::{Error, OUTPUT_MARKER, Result};

/// A folder under construction next to its final place; dropped without [`Output::publish`], it leaves nothing.
#[derive(Debug)]
pub(crate) struct Output {
    target: Utf8PathBuf,
    staging: tempfile::TempDir,
    /// Folders above the target that were made for it, outermost first; they go where it is not published.
    made: Vec<Utf8PathBuf>,
}

impl Output {
    /// Starts an output folder that will become `target`.
    ///
    /// # Errors
    /// Where `target` holds something that glowplug did not make, or cannot be written beside.
    pub(crate) fn begin(target: &Utf8Path) -> Result<Self> {
        check(target)?;
        // A link to a folder stays a link: the folder behind it is replaced.
        let target = if target.exists() { target.canonicalize_utf8()? } else { target.to_owned() };
        let parent = match target.parent() {
            Some(parent) if !parent.as_str().is_empty() => parent.to_owned(),
            _ => Utf8PathBuf::from("."),
        };
        let failed = |error: std::io::Error| {
            Error::from(error).place(parent.as_str()).hint("choose another folder with `--out DIR`")
        };
        let mut made: Vec<Utf8PathBuf> = parent
            .ancestors()
            .take_while(|above| !above.as_str().is_empty() && !above.exists())
            .map(Into::into)
            .collect();
        made.reverse();
        fs::create_dir_all(&parent).map_err(failed)?;
        let staging =
            tempfile::Builder::new().prefix(".glowplug-out-").tempdir_in(&parent).map_err(failed)?;
        let output = Self { target, staging, made };
        fs::write(output.path().join(OUTPUT_MARKER), "made by glowplug: safe to delete\n")?;
        Ok(output)
    }

    /// The folder to write into.
    pub(crate) fn path(&self) -> &Utf8Path {
        // The staging folder was made under a UTF-8 parent with an ASCII name.
        Utf8Path::from_path(self.staging.path()).unwrap_or_else(|| Utf8Path::new("."))
    }

    /// Puts the finished folder in its place. The old one is exchanged for it, and then removed.
    pub(crate) fn publish(mut self) -> Result<()> {
        check(&self.target)?;
        set_mode(self.path())?;
        if self.target.exists() {
            exchange(self.path(), &self.target)?;
        } else {
            fs::rename(self.path(), &self.target)?;
        }
        self.made.clear();
        // What is there now under the staging name, the old folder if anything, goes with `self`.
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.made.is_empty() {
            return;
        }
        let _ = fs::remove_dir_all(self.staging.path());
        for folder in self.made.iter().rev() {
            // One that somebody else has put something into stays.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Exchanges two folders in one step, where the file system can; in two otherwise.
fn exchange(new: &Utf8Path, old: &Utf8Path) -> Result<()> {
    match renameat_with(CWD, new.as_std_path(), CWD, old.as_std_path(), RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            let aside = new.with_extension("old");
            fs::rename(old, &aside)?;
            if let Err(error) = fs::rename(new, old) {
                fs::rename(&aside, old)?;
                return Err(error.into());
            }
            fs::rename(&aside, new)?;
            Ok(())
        }
        Err(error) => Err(Error::from(std::io::Error::from(error)).place(old.as_str())),
    }
}

/// `tempfile` makes folders for the owner only; an output folder is for everybody.
fn set_mode(path: &Utf8Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Whether the folder may be made or replaced.
///
/// # Errors
/// Where it is a file, or holds something that glowplug did not make.
pub(crate) fn check(target: &Utf8Path) -> Result<()> {
    if target.exists() && !target.is_dir() {
        return Err(Error::input(format!("the output folder `{target}` is a file"))
            .hint("choose another folder with `--out DIR`"));
    }
    if !target.is_dir() || target.join(OUTPUT_MARKER).is_file() {
        return Ok(());
    }
    if fs::read_dir(target)?.next().is_none() {
        return Ok(());
    }
    Err(Error::input(format!("the output folder `{target}` is not empty and was not made by glowplug"))
        .hint("empty it, or choose another folder with `--out DIR`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        (folder, path)
    }

    fn published(target: &Utf8Path, name: &str) {
        let output = Output::begin(target).unwrap();
        fs::write(output.path().join(name), name).unwrap();
        output.publish().unwrap();
    }

    #[test]
    fn a_folder_of_somebody_else_is_refused_and_untouched() {
        let (_guard, root) = sandbox();
        let target = root.join("out");
        fs::create_dir_all(&target).unwrap();
        fs::write(target.join("precious"), "x").unwrap();
        let error = Output::begin(&target).unwrap_err();
        assert!(error.to_string().contains("not made by glowplug"));
        assert_eq!(fs::read_to_string(target.join("precious")).unwrap(), "x");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
    }

    #[test]
    fn publishing_replaces_ours_and_an_abandoned_one_leaves_nothing() {
        let (_guard, root) = sandbox();
        let target = root.join("out");
        published(&target, "a");
        drop(Output::begin(&target).unwrap());
        assert_eq!(fs::read_to_string(target.join("a")).unwrap(), "a");
        published(&target, "b");
        assert!(!target.join("a").exists() && target.join("b").exists());
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
    }

    #[test]
    fn folders_above_an_abandoned_one_go_too() {
        let (_guard, root) = sandbox();
        drop(Output::begin(&root.join("a/b/out")).unwrap());
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
        published(&root.join("a/b/out"), "x");
        assert!(root.join("a/b/out/x").is_file());
    }

    #[test]
    fn a_link_to_the_output_folder_stays_a_link() {
        let (_guard, root) = sandbox();
        fs::create_dir_all(root.join("real")).unwrap();
        fs::os::unix::fs::symlink(root.join("real"), root.join("out")).unwrap();
        published(&root.join("out"), "a");
        published(&root.join("out"), "b");
        assert!(
            root.join("out").is_symlink() && root.join("real/b").is_file() && !root.join("real/a").exists()
        );
    }
}
