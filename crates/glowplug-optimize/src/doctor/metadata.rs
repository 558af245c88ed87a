//! What the metadata of an installed distribution says: what it requires, and how others find it.
//!
//! Formats: "Core metadata specifications" and "Entry points specification" of <https://packaging.python.org>.

use std::collections::BTreeSet;

use camino::Utf8Path;
use fs_err as fs;
use glowplug_package::normalise_name;

/// Groups of entry points that make start scripts.
const SCRIPTS: [&str; 2] = ["console_scripts", "gui_scripts"];

/// Normalised names of what it requires without any extra, and whether it has entry points for other programs. `folder`
/// is its metadata folder. What cannot be read says nothing.
pub(crate) fn read(folder: &Utf8Path) -> (BTreeSet<String>, bool) {
    let text = |name: &str| {
        fs::read(folder.join(name))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    };
    let metadata = [text("METADATA"), text("PKG-INFO")].concat();
    (requires(&metadata), is_plugin(&text("entry_points.txt")))
}

fn requires(metadata: &str) -> BTreeSet<String> {
    let lines = metadata.lines().take_while(|line| !line.is_empty());
    let required = lines.filter_map(|line| line.strip_prefix("Requires-Dist:"));
    required
        .filter(|text| {
            let marker = text.split_once(';').map_or("", |(_, marker)| marker);
            !marker.replace(' ', "").contains("extra==")
        })
        .filter_map(name_of)
        .collect()
}

/// The normalised name that a requirement begins with (PEP 508).
pub(super) fn name_of(requirement: &str) -> Option<String> {
    let text = requirement.trim();
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(text.len());
    let name = &text[..end];
    name.starts_with(|c: char| c.is_ascii_alphanumeric()).then(|| normalise_name(name))
}

fn is_plugin(entry_points: &str) -> bool {
    let groups = entry_points.lines().filter_map(|line| line.trim().strip_prefix('[')?.strip_suffix(']'));
    groups.map(str::trim).any(|group| !SCRIPTS.contains(&group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_of_extras_are_left_out() {
        let text = "Name: a\nRequires-Dist: B_c (>=1)\nRequires-Dist: d[e]>=2 ; python_version < \"3\"\n\
                    Requires-Dist: f ; extra == 'g'\nRequires-Dist: h; extra=='i' and x\n\nRequires-Dist: no\n";
        assert_eq!(requires(text).into_iter().collect::<Vec<_>>(), ["b-c", "d"]);
    }

    #[test]
    fn start_scripts_make_no_plugin() {
        assert!(!is_plugin("[console_scripts]\na = a:main\n"));
        assert!(is_plugin("[console_scripts]\na = a:main\n[pytest11]\nb = b\n"));
        assert!(!is_plugin(""));
    }
}
