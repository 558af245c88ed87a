//! The code that starts the runtime client, compiled once for each interpreter: compiling it takes longer than all else that
//! it does.

use std::collections::BTreeMap;
use std::io::{Result, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};

const SOURCE: &str = include_str!("../../../python/glowplug_agent/start.py");

/// Prints for which interpreter the code is, and the code.
const COMPILER: &str = "\
import marshal, sys
code = compile(sys.stdin.buffer.read(), '/var/runtime/start.py', 'exec', dont_inherit=True)
sys.stdout.buffer.write(sys.hexversion.to_bytes(4, 'little') + marshal.dumps(code))
";

/// What interpreters have been given, by their paths.
#[derive(Debug, Default)]
pub(crate) struct StartCode(Mutex<BTreeMap<Utf8PathBuf, Given>>);

/// What one is given, once that is made.
type Given = Arc<OnceLock<Arc<[u8]>>>;

impl StartCode {
    /// What `bootstrap.py` reads before its settings: the code as this interpreter has it in memory, and its source, which
    /// serves where the code is for another: the file has been replaced since, or could not be run.
    pub(crate) fn of(&self, python: &Utf8Path) -> Arc<[u8]> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_this = Arc::clone(all.entry(python.to_owned()).or_default());
        // Other interpreters do not wait for this one.
        drop(all);
        Arc::clone(of_this.get_or_init(|| given(&compiled(python).unwrap_or_default())))
    }
}

fn given((version, code): &([u8; 4], Vec<u8>)) -> Arc<[u8]> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or_default().to_le_bytes();
    let parts: [&[u8]; 5] = [version, &length(code), &length(SOURCE.as_bytes()), code, SOURCE.as_bytes()];
    parts.concat().into()
}

/// The interpreter's version as a number, and the code; nothing where it cannot be run, of which its own start tells.
fn compiled(python: &Utf8Path) -> Result<([u8; 4], Vec<u8>)> {
    let mut child = Command::new(python)
        .args(["-I", "-S", "-c", COMPILER])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(SOURCE.as_bytes()));
    // Also where it did not read.
    let told = child.wait_with_output()?;
    written?;
    Ok(match told.stdout.split_first_chunk() {
        Some((version, code)) if told.status.success() => (*version, code.to_vec()),
        _ => Default::default(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn lengths(given: &[u8]) -> (u32, u32) {
        let number = |at: usize| u32::from_le_bytes(given[at..at + 4].try_into().unwrap());
        (number(4), number(8))
    }

    #[test]
    fn code_is_made_once_and_its_source_is_always_there() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let python = folder.join("python");
        let script =
            "#!/bin/sh\necho run >> \"$0.runs\"\ncat > /dev/null\nprintf '\\001\\002\\003\\004code'\n";
        fs_err::write(&python, script).unwrap();
        fs_err::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
        let start = StartCode::default();
        let given = start.of(&python);
        assert_eq!(start.of(&python), given);
        assert_eq!(fs_err::read_to_string(folder.join("python.runs")).unwrap(), "run\n");
        assert_eq!(lengths(&given), (4, SOURCE.len() as u32));
        assert_eq!(given[..4], [1, 2, 3, 4]);
        assert_eq!(given[12..], [b"code", SOURCE.as_bytes()].concat());
    }

    #[test]
    fn every_interpreter_here_takes_the_code_for_its_own() {
        const READER: &str = "import marshal, sys; given = sys.stdin.buffer.read(); \
            assert int.from_bytes(given[:4], 'little') == sys.hexversion; print(marshal.loads(given[12:]).co_filename)";
        for interpreter in glowplug_test::interpreters() {
            let python = Utf8Path::new(interpreter.path.as_str());
            let given = StartCode::default().of(python);
            let mut child = Command::new(python)
                .args(["-c", READER])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(&given).unwrap();
            let told = child.wait_with_output().unwrap();
            assert_eq!(told.stdout, b"/var/runtime/start.py\n", "{python}");
        }
    }

    #[test]
    fn an_interpreter_that_cannot_be_run_gets_the_source_alone() {
        for python in ["/nowhere/python", "/bin/false"] {
            let given = StartCode::default().of(Utf8Path::new(python));
            assert_eq!(lengths(&given), (0, SOURCE.len() as u32));
            assert_eq!(given[..4], [0; 4]);
            assert_eq!(&given[12..], SOURCE.as_bytes());
        }
    }
}
