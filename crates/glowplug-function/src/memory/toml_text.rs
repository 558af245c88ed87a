//! The key `memory` in TOML text; everything else stays as it is, comments and spaces too.

use glowplug_core::{Error, Result};
use toml_edit::{DocumentMut, Item, Table, Value};

/// The text with `memory = N` at its top, or in `[tool.glowplug]` where it `is_project`.
///
/// # Errors
/// Input: no TOML, or a table of another kind.
pub(super) fn with_memory(text: &str, is_project: bool, memory_mb: u32) -> Result<String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        Error::input("cannot read the configuration").cause(error.message())
    })?;
    let found = if is_project {
        document.get_mut("tool").and_then(|tool| tool.get_mut("glowplug"))
    } else {
        Some(document.as_item_mut())
    };
    let number = Value::from(i64::from(memory_mb));
    match found {
        Some(Item::Table(table)) => set(table, number),
        // `glowplug = { memory = 512 }`
        Some(Item::Value(Value::InlineTable(table))) => {
            table.insert("memory", number);
        }
        _ => return Err(Error::input("the configuration is not a table").hint("set `memory` by hand")),
    }
    Ok(document.to_string())
}

fn set(table: &mut Table, mut number: Value) {
    match table.get_mut("memory").and_then(Item::as_value_mut) {
        Some(old) => {
            *number.decor_mut() = old.decor().clone();
            *old = number;
        }
        None => {
            table.insert("memory", Item::Value(number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_alone_changes() {
        let text = "# ours\nname = 'x'\nmemory   =  512  # MB\n\n[environment]\nA = 1\n";
        assert_eq!(with_memory(text, false, 1024).unwrap(), text.replace("512", "1024"));
    }

    #[test]
    fn a_missing_key_comes_before_the_first_table() {
        assert_eq!(
            with_memory("name = \"x\" # it\n\n[environment]\nA = 1\n", false, 256).unwrap(),
            "name = \"x\" # it\nmemory = 256\n\n[environment]\nA = 1\n"
        );
        assert_eq!(with_memory("", false, 256).unwrap(), "memory = 256\n");
    }

    #[test]
    fn a_project_keeps_all_else() {
        let text = "[project]\nname = \"x\"\n\n[tool.glowplug] # here\nhandler = \"a.b\"\nmemory = 128\n\n[tool.other]\nmemory = 1\n";
        assert_eq!(with_memory(text, true, 769).unwrap(), text.replace("128", "769"));
        let without = "[tool.glowplug]\nhandler = \"a.b\"\n[tool.glowplug.verify]\nnetwork = \"allow\"\n";
        assert_eq!(
            with_memory(without, true, 769).unwrap(),
            "[tool.glowplug]\nhandler = \"a.b\"\nmemory = 769\n[tool.glowplug.verify]\nnetwork = \"allow\"\n"
        );
        let inline = "[tool]\nglowplug = { memory = 128, timeout = 3 }\n";
        assert!(with_memory(inline, true, 769).unwrap().contains("memory = 769"));
    }

    #[test]
    fn what_is_no_toml_is_refused() {
        assert!(with_memory("memory = ", false, 128).is_err());
        assert!(with_memory("tool = 1\n", true, 128).is_err());
    }
}
