//! Which imports happened within which, thread by thread.

use std::collections::BTreeMap;

use crate::document::Trace;
use crate::records::{Phase, Status};

/// The imports of one part of the environment's life; indices are those of [`Trace::imports`].
#[derive(Debug, Clone)]
pub(crate) struct Forest {
    /// Those that no other import led to, in the order of the document.
    pub(crate) roots: Vec<usize>,
    children: BTreeMap<usize, Vec<usize>>,
}

impl Forest {
    /// What was imported in init, or in the first invoke of an event.
    pub(crate) fn new(trace: &Trace, phase: Phase, event: Option<&str>) -> Self {
        let mut forest = Self { roots: Vec::new(), children: BTreeMap::new() };
        let mut begun: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (index, import) in trace.imports.iter().enumerate() {
            if import.phase != phase || import.event.as_deref() != event || import.status == Status::Cached {
                continue;
            }
            // Imports are in the order in which they began, and a name may come twice: the latest is meant. What
            // began before nothing of its parent's name has no parent here, so nobody walks in circles.
            let above = import.parent.as_deref().and_then(|parent| begun.get(&(&*import.thread, parent)));
            match above {
                Some(above) => forest.children.entry(*above).or_default().push(index),
                None => forest.roots.push(index),
            }
            begun.insert((&import.thread, &import.module), index);
        }
        forest
    }

    /// The imports that this one led to.
    pub(crate) fn children(&self, index: usize) -> &[usize] {
        self.children.get(&index).map_or(&[], Vec::as_slice)
    }
}
