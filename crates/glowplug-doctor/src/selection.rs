//! Which rules are asked: `--select` and `--ignore`, by code or by the beginning of one.

use glowplug_core::{Error, Result};

use crate::rules::RULES;

/// Chosen rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    select: Vec<String>,
    ignore: Vec<String>,
}

impl Selection {
    /// Rules whose codes start with one of `select` (none: all) and with none of `ignore`.
    ///
    /// # Errors
    /// Usage: a text that no code starts with.
    pub fn new(select: &[String], ignore: &[String]) -> Result<Self> {
        Ok(Self { select: codes(select)?, ignore: codes(ignore)? })
    }

    /// Whether the rule of this code is asked.
    pub fn has(&self, code: &str) -> bool {
        let among = |texts: &[String]| texts.iter().any(|text| code.starts_with(text.as_str()));
        (self.select.is_empty() || among(&self.select)) && !among(&self.ignore)
    }
}

/// Codes or beginnings of them, in capitals.
fn codes(texts: &[String]) -> Result<Vec<String>> {
    let parts = texts.iter().flat_map(|text| text.split(',')).map(|text| text.trim().to_uppercase());
    parts
        .map(|text| {
            if !text.is_empty() && RULES.iter().any(|rule| rule.code.starts_with(&text)) {
                return Ok(text);
            }
            Err(Error::usage(format!("no rule has a code like `{text}`"))
                .hint("write a code, for example `GP101`, or the beginning of several, for example `GP12`"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(select: &[&str], ignore: &[&str]) -> Selection {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Selection::new(&owned(select), &owned(ignore)).unwrap()
    }

    #[test]
    fn codes_and_their_beginnings_choose() {
        assert!(Selection::default().has("GP101"));
        let some = selection(&["gp12", "GP140"], &["GP121"]);
        assert!(some.has("GP120") && some.has("GP140"));
        assert!(!some.has("GP121") && !some.has("GP101"));
        assert!(!selection(&[], &["GP101,GP102"]).has("GP102"));
    }

    #[test]
    fn a_code_that_is_none_is_a_usage_error() {
        for text in ["GP999", "", "F401"] {
            let error = Selection::new(&[text.to_owned()], &[]).unwrap_err();
            assert_eq!(error.class().exit_code(), 2, "{text}");
        }
    }
}
