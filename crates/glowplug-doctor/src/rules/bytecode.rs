//! Bytecode that is missing, or that the interpreter does not take: it compiles those modules in every cold start.
//! Traced starts say what that costs, and which modules a start needs; without any, the files alone are told.

use crate::facts::{Facts, Kind};
use crate::finding::{Finding, Level};

use super::plural;

const REMEDY: &str = "`glowplug build` ships it; by hand, `python -m compileall --invalidation-mode unchecked-hash` with \
                      the function's own Python version";

pub(super) fn missing(facts: &Facts) -> Vec<Finding> {
    let installed =
        if facts.subject.kind == Kind::Source { " as its requirements are installed" } else { "" };
    told(facts, &facts.bytecode.missing, |traced| traced.missing, &format!("no bytecode{installed}"))
}

pub(super) fn stale(facts: &Facts) -> Vec<Finding> {
    let what = format!("bytecode that Python {} does not take", facts.subject.python);
    told(facts, &facts.bytecode.stale, |traced| traced.stale, &what)
}

fn told(facts: &Facts, files: &[String], traced_of: fn(&crate::Traced) -> usize, what: &str) -> Vec<Finding> {
    let traced = facts.traced.as_ref();
    let loaded = traced.map(traced_of);
    if loaded.unwrap_or(files.len()) == 0 {
        return Vec::new();
    }
    let place = files.first().cloned().unwrap_or_default();
    let finding = if let (Some(traced), Some(count)) = (traced, loaded) {
        // Compiling is measured for both kinds together: each gets its share of the modules.
        let all = (traced.missing + traced.stale).max(1);
        let ms = traced.compile_ms * count as f64 / all as f64;
        let have =
            if count == 1 { "module that a start loads has" } else { "modules that a start loads have" };
        Finding::new(Level::Warning, place, format!("{count} {have} {what}"), REMEDY).ms(Some(ms))
    } else {
        let have = if files.len() == 1 { "has" } else { "have" };
        let modules = plural(facts.bytecode.modules, "module");
        Finding::new(Level::Warning, place, format!("{} of {modules} {have} {what}", files.len()), REMEDY)
    };
    vec![finding]
}
