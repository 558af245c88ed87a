//! How long Python's `site` takes as the interpreter starts.

use std::process::{Command, Stdio};

use camino::Utf8Path;

/// The import time of `site` in ms, as the interpreter itself tells it (`-X importtime`); `None` where it does not.
/// Runs nothing of the function's.
pub(crate) fn site_ms(python: &Utf8Path) -> Option<f64> {
    let mut command = Command::new(python);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PYTHON")) {
        command.env_remove(name);
    }
    let told = command.args(["-X", "importtime", "-c", ""]).stdin(Stdio::null()).output().ok()?;
    cumulative_us(&String::from_utf8_lossy(&told.stderr), "site").map(|us| us / 1e3)
}

/// `import time:   self [us] | cumulative | imported package`
fn cumulative_us(told: &str, module: &str) -> Option<f64> {
    told.lines().find_map(|line| {
        let mut columns = line.strip_prefix("import time:")?.split('|');
        let (cumulative, name) = (columns.nth(1)?, columns.next()?);
        (name.trim() == module).then(|| cumulative.trim().parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cumulative_time_is_read() {
        let told = "import time: self [us] | cumulative | imported package\n\
                    import time:       120 |        120 |   os\n\
                    import time:       500 |       1620 | site\n";
        assert_eq!(cumulative_us(told, "site"), Some(1620.0));
        assert_eq!(cumulative_us(told, "sitecustomize"), None);
    }
}
