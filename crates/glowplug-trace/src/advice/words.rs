//! Words for the advice: what a line is about, whose a module is, lists that stay short.

use crate::document::{Import, Line};
use crate::tree::{is_own, split_place};

/// Names that a sentence lists.
const NAMED: usize = 3;

/// What a line asks for, in a word: the module, or the package that several are in.
pub(super) fn asked_for(line: &Line) -> String {
    match line.asks_for.as_slice() {
        [] => split_place(&line.place).0.to_owned(),
        [one] => one.clone(),
        [first, ..] => {
            let root = first.split('.').next().unwrap_or(first);
            if line.asks_for.iter().all(|module| module.split('.').next() == Some(root)) {
                root.to_owned()
            } else {
                line.asks_for.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// Whose a module is, for a sentence.
pub(super) fn owner(import: &Import) -> String {
    match &import.distribution {
        Some(distribution) => distribution.clone(),
        None if is_own(import) => import.module.clone(),
        None => "Python's own modules".to_owned(),
    }
}

/// Whether the statement only defines or imports: there is nothing to make later.
pub(super) fn is_definition(text: &str) -> bool {
    let begins = |word: &str| text.starts_with(word);
    let imports = (begins("import ") || begins("from ")) && !text.contains(';');
    imports || begins("def ") || begins("async def ") || begins("class ") || begins("@")
}

/// `a, b, c and 4 more`.
pub(super) fn named(names: &[&str]) -> String {
    let listed = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

/// The beginning of a statement or command.
pub(super) fn short(text: &str) -> String {
    const LIMIT: usize = 48;
    if text.chars().count() <= LIMIT {
        return text.to_owned();
    }
    text.chars().take(LIMIT - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_stay_short() {
        assert_eq!(named(&["a", "b"]), "a, b");
        assert_eq!(named(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
        assert_eq!(short(&"x".repeat(60)).chars().count(), 48);
    }
}
