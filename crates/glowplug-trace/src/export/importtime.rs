//! The text that `python -X importtime` prints: what `tuna` and others open.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::forest::Forest;
use crate::document::Trace;
use crate::records::{Phase, Status};
use crate::tree::MAIN_THREAD;

/// Every import of init, then what first invokes imported; what several events import is there once. Failed imports
/// are there as the interpreter prints them, and those of loaded modules are not.
pub(crate) fn text(trace: &Trace) -> String {
    let mut printer = Printer {
        trace,
        loaded: BTreeSet::new(),
        text: "import time: self [us] | cumulative | imported package\n".to_owned(),
    };
    printer.print_all(&Forest::new(trace, Phase::Init, None));
    let events: BTreeSet<&String> = trace.imports.iter().filter_map(|import| import.event.as_ref()).collect();
    for event in events {
        printer.print_all(&Forest::new(trace, Phase::FirstInvoke, Some(event)));
    }
    printer.text
}

struct Printer<'a> {
    trace: &'a Trace,
    loaded: BTreeSet<&'a str>,
    text: String,
}

impl Printer<'_> {
    /// The main thread first: lines of others would stand between a module and what it imports.
    fn print_all(&mut self, forest: &Forest) {
        let (main, others): (Vec<usize>, Vec<usize>) =
            forest.roots.iter().partition(|index| self.trace.imports[**index].thread == MAIN_THREAD);
        for index in main.into_iter().chain(others) {
            self.print(forest, index, 0);
        }
    }

    /// Prints what a module imports and then the module, and gives its time with those in µs. The interpreter's
    /// figures add up, and so do these, whatever the medians say.
    fn print(&mut self, forest: &Forest, index: usize, depth: usize) -> u64 {
        let import = &self.trace.imports[index];
        let again = import.status == Status::Ok && !self.loaded.insert(&import.module);
        let depth_below = if again { depth } else { depth + 1 };
        let below: u64 =
            forest.children(index).iter().map(|child| self.print(forest, *child, depth_below)).sum();
        if again {
            return below;
        }
        let own = (import.self_ms * 1e3).round().max(0.0) as u64;
        let name = format!("{:width$}{}", "", import.module, width = 2 * depth);
        let _ = writeln!(self.text, "import time: {own:9} | {:10} | {name}", own + below);
        own + below
    }
}
