//! Parts of a file.

use serde::{Deserialize, Serialize};

/// Parts of a file: where each begins and ends, in bytes. They are in order, none is empty, and between two of them
/// is something that belongs to neither.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>")]
pub struct Extents(Vec<(u64, u64)>);

impl From<Vec<(u64, u64)>> for Extents {
    fn from(parts: Vec<(u64, u64)>) -> Self {
        Self::new(parts)
    }
}

impl Extents {
    /// Puts parts in order, joins those that overlap or touch, and leaves out those that end before they begin.
    pub fn new(parts: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut sorted: Vec<(u64, u64)> = parts.into_iter().filter(|(from, to)| from < to).collect();
        sorted.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::with_capacity(sorted.len());
        for (from, to) in sorted {
            match joined.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        Self(joined)
    }

    /// What is in either.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self::new(self.0.iter().chain(&other.0).copied())
    }

    /// As much as is in a file of that many bytes.
    #[must_use]
    pub fn within(&self, size: u64) -> Self {
        Self::new(self.0.iter().map(|(from, to)| (*from, (*to).min(size))))
    }

    /// Whether any byte from `from` up to `to` is in it.
    pub fn meet(&self, from: u64, to: u64) -> bool {
        let first = self.0.partition_point(|part| part.1 <= from);
        from < to && self.0.get(first).is_some_and(|part| part.0 < to)
    }

    /// How many bytes are in it.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|(from, to)| to - from).sum()
    }

    /// Where each part begins and ends.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Byte by byte, which is slow and plain.
    fn holds(parts: &[(u64, u64)], byte: u64) -> bool {
        parts.iter().any(|(from, to)| (*from..*to).contains(&byte))
    }

    fn parts() -> impl Strategy<Value = Vec<(u64, u64)>> {
        proptest::collection::vec((0..60_u64, 0..60_u64), 0..12)
    }

    proptest! {
        #[test]
        fn the_same_bytes_are_in_it_in_order_and_apart(parts in parts(), size in 0..70_u64) {
            let extents = Extents::new(parts.clone());
            let found: Vec<(u64, u64)> = extents.iter().collect();
            for byte in 0..61 {
                prop_assert_eq!(holds(&found, byte), holds(&parts, byte));
            }
            prop_assert!(found.iter().all(|(from, to)| from < to));
            prop_assert!(found.windows(2).all(|pair| pair[0].1 < pair[1].0));
            prop_assert_eq!(extents.bytes(), (0..61).filter(|byte| holds(&parts, *byte)).count() as u64);
            let cut: Vec<(u64, u64)> = extents.within(size).iter().collect();
            for byte in 0..61 {
                prop_assert_eq!(holds(&cut, byte), byte < size && holds(&parts, byte));
            }
        }

        #[test]
        fn joined_and_asked_they_say_what_their_bytes_say(
            one in parts(), other in parts(), from in 0..62_u64, to in 0..62_u64,
        ) {
            let joined = Extents::new(one.clone()).join(&Extents::new(other.clone()));
            let all = [one, other].concat();
            prop_assert_eq!(&joined, &Extents::new(all.clone()));
            prop_assert_eq!(joined.meet(from, to), (from..to).any(|byte| holds(&all, byte)));
        }
    }
}
