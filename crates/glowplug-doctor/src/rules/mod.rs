//! The table of rules, and the order of what they find.
//!
//! Codes are never given to another rule, and a rule keeps its code: scripts select by them, and `docs/doctor.md`
//! describes each under its code.

mod bytecode;
mod data;
mod files;
mod imports;
mod limits;
mod native;
mod redundant;
mod runtime;
mod shadow;
mod standard;
mod unused;

use crate::facts::Facts;
use crate::finding::Finding;
use crate::selection::Selection;

/// One reason to say something.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Stable, for example `GP101`.
    pub code: &'static str,
    /// The same for people.
    pub name: &'static str,
    /// What it finds, in one sentence.
    pub sentence: &'static str,
    check: fn(&Facts) -> Vec<Finding>,
}

const fn row(
    code: &'static str,
    name: &'static str,
    sentence: &'static str,
    check: fn(&Facts) -> Vec<Finding>,
) -> Rule {
    Rule { code, name, sentence, check }
}

/// All rules, by code.
pub const RULES: &[Rule] = &[
    row("GP101", "unused-distribution", "nothing imports a distribution", unused::distributions),
    row("GP102", "unused-import", "your code imports something and never reads it", imports::unread),
    row(
        "GP103",
        "annotation-import",
        "your code imports something for annotations alone",
        imports::annotations,
    ),
    row("GP104", "runtime-provided", "the Lambda runtime brings a distribution", runtime::provided),
    row(
        "GP105",
        "standard-library",
        "the standard library does what a heavy distribution is used for",
        standard::covered,
    ),
    row(
        "GP106",
        "backport",
        "this Python has what a distribution brings to older ones",
        redundant::backports,
    ),
    row("GP107", "development-tool", "a tool of development ships", redundant::tools),
    row("GP108", "duplicate-distribution", "a distribution is installed twice", redundant::duplicates),
    row("GP109", "shadowed-distribution", "a module hides one of a distribution", shadow::distributions),
    row("GP110", "shadowed-standard-library", "a module hides one of the standard library", shadow::standard),
    row("GP120", "tests", "tests ship that nothing imports", files::tests),
    row("GP121", "documentation", "documentation and examples ship", files::documentation),
    row(
        "GP122",
        "build-files",
        "headers, native sources, stubs and files for linkers ship",
        files::build_files,
    ),
    row(
        "GP123",
        "leftovers",
        "files ship that only installers, editors or other systems read",
        files::leftovers,
    ),
    row("GP124", "symbols", "native libraries carry symbols for debuggers", files::symbols),
    row(
        "GP125",
        "aws-services",
        "descriptions of AWS services ship that no client names",
        files::aws_services,
    ),
    row("GP126", "untouched-data", "large data files ship that no traced start opened", data::untouched),
    row("GP130", "wrong-machine", "a native library is built for another machine or system", native::machine),
    row("GP131", "glibc", "a native library needs a newer C library", native::glibc),
    row("GP132", "wrong-python", "an extension module is built for another Python version", native::python),
    row("GP133", "duplicate-library", "a shared library ships more than once", native::duplicates),
    row(
        "GP140",
        "missing-bytecode",
        "modules have no bytecode, and every cold start compiles them",
        bytecode::missing,
    ),
    row(
        "GP141",
        "stale-bytecode",
        "modules have bytecode that the interpreter does not take",
        bytecode::stale,
    ),
    row(
        "GP150",
        "unzipped-size",
        "the package is near Lambda's limit for unzipped packages, or beyond",
        limits::unzipped,
    ),
    row("GP151", "zip-size", "the zip is near Lambda's limit for direct uploads, or beyond", limits::zipped),
    row("GP152", "case-collision", "two paths differ in nothing but capitals", limits::case_collisions),
];

/// The rule of a code.
pub fn rule(code: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.code == code)
}

/// All findings of the selected rules: errors first, then what saves most of a cold start, then most bytes.
pub fn diagnose(facts: &Facts, selection: &Selection) -> Vec<Finding> {
    let asked = RULES.iter().filter(|rule| selection.has(rule.code));
    let mut found: Vec<Finding> = asked
        .flat_map(|rule| {
            let made = (rule.check)(facts).into_iter();
            made.map(|finding| Finding { code: rule.code, rule: rule.name, ..finding })
        })
        .collect();
    found.sort_by(|a, b| {
        let worse = (a.level != crate::Level::Error).cmp(&(b.level != crate::Level::Error));
        let dearer = b.saves_ms.unwrap_or(0.0).total_cmp(&a.saves_ms.unwrap_or(0.0));
        let larger = b.saves_bytes.cmp(&a.saves_bytes);
        worse.then(dearer).then(larger).then_with(|| (a.code, &a.place).cmp(&(b.code, &b.place)))
    });
    found
}

/// How many places a sentence names.
pub(crate) const NAMED: usize = 3;

/// `a`, `a and b`, `a, b, c and 4 more`.
pub(crate) fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] if names.len() <= NAMED => format!("{} and {last}", most.join(", ")),
        _ => format!("{} and {} more", names[..NAMED].join(", "), names.len() - NAMED),
    }
}

/// `1 file`, `2 files`.
pub(crate) fn plural(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_names_are_unlike() {
        assert!(RULES.is_sorted_by(|a, b| a.code < b.code));
        let mut names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|a, b| a < b));
        assert_eq!(rule("GP101").map(|rule| rule.name), Some("unused-distribution"));
        assert!(rule("GP1").is_none());
    }

    #[test]
    fn lists_name_a_few() {
        let names = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(listed(&names(2)), "0 and 1");
        assert_eq!(listed(&names(3)), "0, 1 and 2");
        assert_eq!(listed(&names(5)), "0, 1, 2 and 2 more");
    }
}
