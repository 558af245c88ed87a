//! The imports of one part of the environment's life, each below the one that led to it.

use std::collections::BTreeMap;

use crate::document::Trace;
use crate::records::{Phase, Status};
use crate::tree::parents;

/// Indices are those of [`Trace::imports`].
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
        for (index, (import, above)) in trace.imports.iter().zip(parents(&trace.imports)).enumerate() {
            if import.phase != phase || import.event.as_deref() != event || import.status == Status::Cached {
                continue;
            }
            match above {
                Some(above) => forest.children.entry(above).or_default().push(index),
                None => forest.roots.push(index),
            }
        }
        forest
    }

    /// The imports that this one led to.
    pub(crate) fn children(&self, index: usize) -> &[usize] {
        self.children.get(&index).map_or(&[], Vec::as_slice)
    }
}
