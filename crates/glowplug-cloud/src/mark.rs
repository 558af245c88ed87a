//! The variable that marks what is ours: in `$LATEST` while versions are published, and in these versions.
//!
//! Its value is new for each version, since Lambda publishes nothing that has not changed. It also says all that is
//! needed to take everything back, so that a clean-up needs no notes:
//!
//! ```text
//! GLOWPLUG_TUNE = SESSION.NUMBER.MEMORY_BEFORE.MEMORY_SET
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

/// The variable's name.
pub(crate) const VARIABLE: &str = "GLOWPLUG_TUNE";

/// What its value says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Eight hex digits: which session.
    pub(crate) session: String,
    /// Which version of the session.
    pub(crate) number: u32,
    /// The memory size that the user has set, in MB.
    pub(crate) original_mb: u32,
    /// That of the version, in MB.
    pub(crate) set_mb: u32,
}

impl Mark {
    /// That of these variables, if they have one.
    pub(crate) fn of(variables: &BTreeMap<String, String>) -> Option<Self> {
        Self::parse(variables.get(VARIABLE)?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let session = parts
            .next()
            .filter(|session| session.len() == 8 && session.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let mut number = || parts.next()?.parse().ok();
        let mark = Self {
            session: session.to_owned(),
            number: number()?,
            original_mb: number()?,
            set_mb: number()?,
        };
        parts.next().is_none().then_some(mark)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.session, self.number, self.original_mb, self.set_mb)
    }
}

/// The name of a new session, unlike that of any other.
pub(crate) fn new_session() -> String {
    // Hashers are seeded at random.
    format!("{:08x}", RandomState::new().build_hasher().finish() as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn marks_are_read_as_they_are_written(number: u32, original_mb: u32, set_mb: u32) {
            let mark = Mark { session: new_session(), number, original_mb, set_mb };
            let variables = BTreeMap::from([(VARIABLE.to_owned(), mark.to_string())]);
            prop_assert_eq!(Mark::of(&variables), Some(mark));
        }

        #[test]
        fn other_values_are_no_marks(text in "[0-9a-f.]{0,20}|.{0,20}") {
            if let Some(mark) = Mark::parse(&text) {
                prop_assert_eq!(mark.session.len(), 8);
            }
        }
    }

    #[test]
    fn a_users_own_value_is_no_mark() {
        for value in ["", "on", "0123abcd", "0123abcd.1.2", "0123abcd.1.2.3.4", "0123abcz.1.2.3"] {
            assert_eq!(Mark::parse(value), None, "{value}");
        }
    }
}
