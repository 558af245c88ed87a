//! Statements of a module's body whose value may as well be made when somebody asks for it.

use std::collections::{BTreeMap, BTreeSet};

use ruff_text_size::{TextRange, TextSize};

use crate::analyse::attribute_paths;
use crate::effects::{Followed, Input, Making};
use crate::facts::{Binding, Global, Place, UseKind};
use crate::found::{Found, GlobalFound};
use crate::scopes::Meaning;
use crate::signatures::last_bound;

/// Characters of a value's text that are kept.
const LONGEST_TEXT: usize = 120;

/// Where the statements start that are asked about.
pub(crate) fn starts(found: &Found) -> BTreeSet<TextSize> {
    let statements =
        found.globals.iter().flat_map(|global| std::iter::once(&global.statement).chain(&global.set_up));
    statements.map(|statement| statement.start()).collect()
}

/// The facts about each statement whose name is among `bindings`.
pub(crate) fn globals(
    source: &str,
    found: &Found,
    bindings: Vec<Binding>,
    followed: &Followed,
    place_of: &dyn Fn(TextSize) -> Place,
) -> Vec<Global> {
    let last = last_bound(found, place_of);
    let by_name: BTreeMap<&str, &GlobalFound> =
        found.globals.iter().rev().map(|global| (global.name.as_str(), global)).collect();
    let mut all = Vec::new();
    for binding in bindings {
        let Some(global) = by_name.get(binding.name.as_str()) else { continue };
        let statements: Vec<TextSize> =
            std::iter::once(&global.statement).chain(&global.set_up).map(|range| range.start()).collect();
        let Some(makings) = statements.iter().map(|at| followed.globals.get(at)).collect::<Option<Vec<_>>>()
        else {
            continue;
        };
        let span = |range: TextRange| (place_of(range.start()), place_of(range.end()));
        let (mut place, end) = span(global.statement);
        let mut text = &source[global.value];
        if global.is_class {
            // As the interpreter has it: after the decorators.
            place = Place { line: place_of(global.target).line, column: 0 };
            let line = source[..global.target.to_usize()].rfind('\n').map_or(0, |at| at + 1);
            text = &source[line..];
        }
        let inputs = makings.iter().flat_map(|making| making.inputs.keys());
        all.push(Global {
            place,
            end_line: end.line,
            is_class: global.is_class,
            is_alias: global.is_alias,
            keeps_texts: global.keeps_texts,
            attributes: if global.defines() { attribute_paths(found, Some(global)) } else { BTreeSet::new() },
            value: span(global.value),
            set_up: global.set_up.iter().map(|range| span(*range)).collect(),
            text: shortened(text.lines().next().unwrap_or(text)),
            effects: makings.iter().flat_map(|making| making.effects.clone()).collect(),
            unsettled: std::iter::zip(&statements, &makings)
                .find_map(|(at, making)| unsettled(found, global, making, (&last, place_of(*at)), place_of))
                .or_else(|| part_read(found, global, place_of)),
            makes: makings.iter().flat_map(|making| making.makes.clone()).collect(),
            reads: makings.iter().flat_map(|making| making.reads.clone()).collect(),
            inputs: inputs.filter(|name| **name != binding.name).cloned().collect(),
            fixed: makings.len() == 1 && makings[0].fixed,
            loose: makings
                .iter()
                .any(|making| making.takes || making.inputs.values().any(|input| *input == Input::Loose)),
            binding,
        });
    }
    all
}

/// A text for one line of a report.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The first name that a statement, which starts at `start`, makes the value from and that may mean something else later.
fn unsettled(
    found: &Found,
    global: &GlobalFound,
    making: &Making,
    (last, start): (&BTreeMap<&str, Place>, Place),
    place_of: &dyn Fn(TextSize) -> Place,
) -> Option<(u32, String)> {
    if found.star.is_some() || found.writes_namespace {
        return Some((start.line, "any name of the module may be bound again".to_owned()));
    }
    for (name, input) in making.inputs.iter().filter(|(name, _)| name.as_str() != global.name.as_str()) {
        if let Some(at) = last.get(name.as_str()).filter(|at| **at >= start) {
            return Some((at.line, format!("`{name}` is bound again")));
        }
        if found.scopes.declared_global(name) {
            return Some((start.line, format!("a function may bind `{name}` again")));
        }
        let elsewhere = found.reads.iter().filter(|_| *input == Input::Loose).find(|read| {
            read.name.as_str() == name
                && found.scopes.resolve(read.scope, name) != Meaning::Local
                && !found.globals.iter().any(|global| {
                    // A class's functions may do anything with it, later.
                    global.is_around(read.at) && (!global.is_class || read.kind == UseKind::AtImport)
                })
        });
        if let Some(read) = elsewhere {
            return Some((place_of(read.at).line, format!("`{name}` may be changed")));
        }
        if *input == Input::Thing
            && let Some(at) = changed(found, name, start, place_of)
        {
            return Some((place_of(at).line, format!("a part of `{name}` may be changed")));
        }
    }
    None
}

/// Where a class takes a part of a variable of the module while it is made, `settings.timeout`: a method may change it.
fn part_read(
    found: &Found,
    class: &GlobalFound,
    place_of: &dyn Fn(TextSize) -> Place,
) -> Option<(u32, String)> {
    let is_class = |name: &str| found.classes.iter().any(|(class, _)| class.as_str() == name);
    let is_variable = |name: &str| {
        let imported = found.clauses.iter().any(|clause| clause.name == name);
        !imported && !is_class(name) && found.rebound.iter().any(|(bound, _)| bound.as_str() == name)
    };
    let mut reads = found.reads.iter().filter(|read| {
        class.is_class
            && class.is_around(read.at)
            && read.kind == UseKind::AtImport
            && !read.attributes.is_empty()
            && found.scopes.resolve(read.scope, &read.name) != Meaning::Local
            && is_variable(&read.name)
    });
    let read = reads.next()?;
    Some((place_of(read.at).line, format!("a part of `{}` may be changed", read.name)))
}

/// Where a part of something may be set after `start`: by the module's body, which uses it for anything but another value,
/// or by a function that sets one.
fn changed(
    found: &Found,
    name: &str,
    start: Place,
    place_of: &dyn Fn(TextSize) -> Place,
) -> Option<TextSize> {
    let is_it = |named: &str, scope| named == name && found.scopes.resolve(scope, named) != Meaning::Local;
    let uses = found.reads.iter().filter(|read| {
        read.kind == UseKind::AtImport
            && is_it(read.name.as_str(), read.scope)
            && place_of(read.at) > start
            // Another value that takes it, or is set up with it, leaves it as it is.
            && !found.globals.iter().any(|global| global.is_around(read.at) && !(global.name == *name && global.sets_up(read.at)))
    });
    let sets =
        found.part_stores.iter().filter(|(named, _, scope)| *scope != 0 && is_it(named.as_str(), *scope));
    uses.map(|read| read.at).chain(sets.map(|(_, at, _)| *at)).min()
}

#[cfg(test)]
mod tests {
    use glowplug_core::PythonVersion;

    use crate::{Global, ModuleAnalysis, ModuleId, Source, UseKind, analyse};

    fn read(source: &str) -> ModuleAnalysis {
        let id = ModuleId { name: "app".to_owned(), is_package: false, path: "app.py".into() };
        analyse(source, &id, PythonVersion::new(3, 12)).unwrap()
    }

    fn global(source: &str, name: &str) -> Global {
        read(source).globals.into_iter().find(|global| global.binding.name == name).unwrap()
    }

    /// Effects, and why its value may change.
    fn problems(source: &str, name: &str) -> Vec<String> {
        let global = global(source, name);
        let unsettled = global.unsettled.map(|(_, why)| why);
        global.effects.into_iter().map(|effect| effect.what).chain(unsettled).collect()
    }

    #[test]
    fn clients_and_what_they_are_made_from_are_free() {
        let source = "import os, boto3\nfrom botocore.config import Config\nREGION = os.environ['R']\ns = boto3.Session()\nc: object = s.client('s3', region_name=REGION, config=Config())\nt = boto3.resource('dynamodb').Table(os.getenv('T'))\n";
        for name in ["s", "c", "t"] {
            assert_eq!(problems(source, name), [""; 0], "{name}");
        }
        assert_eq!(global(source, "t").reads.into_iter().collect::<Vec<_>>(), [Source::Environment]);
        let made = global(source, "c").makes;
        assert_eq!(made.into_iter().collect::<Vec<_>>(), ["botocore"]);
    }

    #[test]
    fn parts_of_clients_are_free_too() {
        let source = "import boto3\nr = boto3.resource('dynamodb')\nm = r.meta\nc = m.client\nfirst = m['a'][0]\n\
                      def f():\n    return m, c, r.other\n";
        for name in ["r", "m", "c", "first"] {
            assert_eq!(problems(source, name), [""; 0], "{name}");
        }
        let calls = "import boto3\nr = boto3.resource('s3')\nm = r.meta\ni = m.events.emit('x')\n";
        assert_eq!(problems(calls, "i"), ["calls `m.events.emit()`"]);
        assert!(read("import x\nd = x.CONFIG['a']\n").globals.is_empty(), "nothing is made there");
    }

    #[test]
    fn functions_of_the_module_are_followed() {
        let free = "import boto3\ndef make(name):\n    return boto3.client(name)\nc = make('s3')\n";
        assert_eq!(problems(free, "c"), [""; 0]);
        let loud = "import boto3\ndef make():\n    print('made')\n    return boto3.client('s3')\nc = make()\nd = make()\n";
        assert_eq!(problems(loud, "c"), ["calls `make()`, which prints in line 3"]);
        assert_eq!(problems(loud, "d"), ["calls `make()`, which prints in line 3"]);
        assert_eq!(problems("import x\nc = x.connect()\n", "c"), ["calls `x.connect()`"]);
    }

    #[test]
    fn what_may_be_another_value_later_is_told() {
        let again = "import boto3\nR = 'a'\nc = boto3.client('s3', region_name=R)\nR = 'b'\n";
        assert_eq!(problems(again, "c"), ["`R` is bound again"]);
        let inside = "import boto3\nR = 'a'\ndef m():\n    return boto3.client(R)\nc = m()\nR = 'b'\n";
        assert_eq!(problems(inside, "c"), ["`R` is bound again"]);
        let declared = "import boto3\nR = 'a'\nc = boto3.client(R)\ndef f():\n    global R\n    R = 'b'\n";
        assert_eq!(problems(declared, "c"), ["a function may bind `R` again"]);
        let changed = "import boto3\nO = {'a': 1}\nc = boto3.client(**O)\ndef f():\n    O['a'] = 2\n";
        assert_eq!(problems(changed, "c"), ["`O` may be changed"]);
        assert_eq!(problems("import boto3\nO = {'a': 1}\nc = boto3.client(**O)\n", "c"), [""; 0]);
    }

    #[test]
    fn only_movable_calls_of_one_name_count() {
        let names = |source: &str| -> Vec<String> {
            read(source).globals.into_iter().map(|global| global.binding.name).collect()
        };
        assert_eq!(names("a = 1\nb = c = f()\nd, e = f()\nif x:\n    g = f()\nh = f(lambda: 1)\n"), [""; 0]);
        assert_eq!(
            names("a = f()\nb: int = f()\nc = [f() for x in y]\nclass C:\n    d = f()\n"),
            ["a", "b", "c"]
        );
    }

    #[test]
    fn uses_in_a_value_are_told_apart() {
        let analysis = read("import x\na = x.f(x)\nb = x\nc = x.g(a)\ndef later():\n    return x, a\n");
        let kinds = |binding: &crate::Binding| binding.uses.iter().map(|used| used.kind).collect::<Vec<_>>();
        assert_eq!(
            kinds(&analysis.bindings[0]),
            [UseKind::Global, UseKind::Global, UseKind::AtImport, UseKind::Global, UseKind::Later]
        );
        assert_eq!(kinds(&analysis.globals[0].binding), [UseKind::Global, UseKind::Later]);
        let inner = analysis.bindings[0].uses[3].place;
        assert_eq!(analysis.global_around(inner).map(|global| global.binding.name.as_str()), Some("c"));
    }

    #[test]
    fn patterns_of_texts_that_do_not_change_are_told() {
        let before = "import re, os, string, x\nfrom re import compile as c\nfrom y import P\nA = 'a' + x.B\nL = ['a']\n\
                      D = 'a'.join(str(n) for n in L)\nO = x.y()\n";
        let is_pattern = |value: &str| global(&format!("{before}N = {value}\n"), "N").fixed;
        for value in [
            "re.compile('a')",
            "c(A, re.I | re.X)",
            "re.compile(f'{A}+[{string.digits}]' + D, flags=re.I).match",
            "re.compile('|'.join([re.escape(w) for w in sorted({'a', A})]))",
            "re.compile('^' + A[1:-1] + '$')",
            "[re.compile(p % A) for p in ('a%s', 'b%s') if p]",
            "{'a': re.compile('a'), A: (re.compile(b'b'), None)}",
        ] {
            assert!(is_pattern(value), "{value}");
        }
        for value in [
            "re.compile(P)",
            "re.compile(x.B)",
            "re.compile(O)",
            "re.compile('|'.join(L))",
            "re.compile(os.getenv('A', 'a'))",
            "re.compile('a').match('b')",
            "re.compile('a', x.flag())",
            "re.compile(A[:x.y()])",
            "(re.compile('a'), x.y())",
            "x.compile('a')",
            "{**x.z(), 'a': re.compile('a')}",
            "str('a')",
        ] {
            assert!(!is_pattern(value), "{value}");
        }
        let again = "import re\nA = 'a'\nN = re.compile(A)\nA = 'b'\n";
        assert_eq!(problems(again, "N"), ["`A` is bound again"]);
        let shadowed = "class re:\n    compile = print\nN = re.compile('a')\n";
        assert!(!global(shadowed, "N").fixed);
    }

    #[test]
    fn what_a_package_looks_up_of_its_own_is_the_same_whenever_it_is_asked() {
        let free = global("from certifi import where\nPATH = where()\n", "PATH");
        assert!(free.fixed && free.effects.is_empty() && free.makes.contains("certifi"));
        let within = |source: &str| {
            let id = ModuleId { name: "requests.utils".to_owned(), is_package: false, path: "x.py".into() };
            analyse(source, &id, PythonVersion::new(3, 12)).unwrap()
        };
        let relative = within("from . import certs\nPATH = certs.where()\n");
        assert!(relative.globals[0].fixed && relative.globals[0].effects.is_empty());
        assert!(!relative.effects.is_empty(), "the body itself calls it");
        assert!(!within("from . import other\nPATH = other.where()\n").globals[0].fixed);
        assert!(!global("from certifi import contents\nTEXT = contents()\n", "TEXT").fixed);
    }

    #[test]
    fn what_configures_a_package_is_told() {
        let analysis =
            read("import boto3\nboto3.setup_default_session()\ndef f():\n    boto3.y = 1\nboto3.x = 1\n");
        let boto3 = |line| (line, "boto3".to_owned());
        assert!(analysis.configures.contains(&boto3(2)) && analysis.configures.contains(&boto3(5)));
    }
}
