//! Which import led to which, and who asked.

use glowplug_trace::{Asker, ImportTree, Phase, Trace};

use crate::samples::{laid_out, node, sample};

#[test]
fn lines_and_statements_ask_and_own_modules_do_not_count() {
    let trace = sample();
    let tree = ImportTree::new(&trace);
    let at = |module: &str| trace.imports.iter().position(|i| i.module == module).unwrap();
    let asker = |module: &str| match tree.asker(at(module)) {
        Some(Asker::Line(index)) => trace.lines[index].place.as_str(),
        Some(Asker::Statement(index)) => trace.statements[index].place.as_str(),
        None => "",
    };
    assert_eq!(asker("app"), "");
    assert_eq!(asker("warm"), "");
    assert_eq!(asker("numpy.linalg"), "app.py:8");
    assert_eq!(asker("botocore.session"), "app.py:7");
    // No line names it: unpickling the model imports it.
    assert_eq!(asker("sklearn.tree"), "app.py:13");
    assert_eq!(tree.parent(at("numpy.linalg")), Some(at("numpy")));
    assert!(tree.subtree(at("pandas")).contains(&at("numpy.linalg")));
}

#[test]
fn unused_subtrees_are_named_by_their_top() {
    let trace = sample();
    let tree = ImportTree::new(&trace);
    let names: Vec<&str> = tree.unused().into_iter().map(|i| trace.imports[i].module.as_str()).collect();
    // A used module further down makes `pandas` used, although no function of its own ran.
    assert_eq!(names, ["boto3", "pandas.io.formats.style", "xml.etree.ElementTree"]);
}

#[test]
fn a_module_that_leads_to_itself_ends_nowhere() {
    let mut trace = sample();
    let led_by = |module: &str, parent: &str| {
        node(module, "", 1.0, Vec::new()).with(|import| import.parent = Some(parent.to_owned()))
    };
    trace.imports = laid_out(vec![led_by("a", "b"), led_by("b", "a"), led_by("c", "c")]);
    let tree = ImportTree::new(&trace);
    for index in 0..3 {
        assert!(tree.subtree(index).len() <= 2);
    }
}

#[test]
fn a_statement_of_another_phase_asks_for_nothing_of_init() {
    let mut trace = sample();
    let index = trace.imports.iter().position(|import| import.module == "sklearn.tree").unwrap();
    let asker = |trace: &Trace| ImportTree::new(trace).asker(index);
    let before = asker(&trace);
    assert!(matches!(before, Some(Asker::Statement(_))), "{before:?}");
    let mut later = trace.statements[3].clone();
    later.start_ms = trace.imports[index].start_ms;
    (later.phase, later.event) = (Phase::FirstInvoke, Some("health".to_owned()));
    trace.statements.push(later);
    assert_eq!(asker(&trace), before);
}
