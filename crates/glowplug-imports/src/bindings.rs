//! What the names of a module are bound to by imports and by calls, where each is used, and what stands against
//! deferring it.

use std::collections::{BTreeMap, BTreeSet};

use ruff_text_size::TextSize;

use crate::facts::{Binding, Hindrance, HindranceKind, Place, Signature, Use, UseKind};
use crate::found::{Clause, Fixed, Found, GlobalFound, Read};
use crate::scopes::Meaning;

/// One binding for each name: those of imports in the order of the first clause, those of other statements in the
/// order of the source.
pub(crate) fn bindings(
    found: &Found,
    waiting: &[Option<Signature>],
    place_of: &dyn Fn(TextSize) -> Place,
) -> (Vec<Binding>, Vec<Binding>) {
    let Found { scopes, reads, clauses, rebound, quoted, star, globals, .. } = found;
    let mut order: Vec<String> = Vec::new();
    let mut by_name: BTreeMap<String, Binding> = BTreeMap::new();
    let star = star.map(|at| place_of(at).line);
    for clause in clauses {
        add_clause(clause, star, &mut by_name, &mut order);
    }
    let imported = order.len();
    for global in globals {
        add_global(global, star, place_of, &mut by_name, &mut order);
    }
    let own: BTreeSet<TextSize> = globals.iter().map(|global| global.target).collect();
    for (name, at) in rebound {
        let is_import = order[..imported].iter().any(|bound| bound == name.as_str());
        if is_import || !own.contains(at) {
            hinder(&mut by_name, name, HindranceKind::Rebound, place_of(*at).line);
        }
    }
    for read in reads {
        let waits = read.signature.is_some_and(|index| waiting[index].is_some());
        // What sets a value up has it in its hands, and asks for it by no name.
        if globals.iter().any(|global| global.name == read.name && global.sets_up(read.at)) {
            continue;
        }
        let kind = if waits { UseKind::Signature } else { within(globals, read.at, read.kind) };
        add_read(read, kind, scopes.resolve(read.scope, &read.name), &mut by_name, place_of);
    }
    for (name, at, kind) in quoted {
        if let Some(binding) = by_name.get_mut(name.as_str()) {
            let kind = within(globals, *at, *kind);
            binding.uses.push(Use { place: place_of(*at), kind, within_fstring: None });
        }
    }
    for (name, at) in &found.type_texts {
        if let Some(binding) = by_name.get_mut(name.as_str()) {
            let kind = UseKind::ReadAnnotation;
            binding.uses.push(Use { place: place_of(*at), kind, within_fstring: None });
        }
    }
    for (name, at) in &found.call_texts {
        let is_it = |global: &&GlobalFound| global.is_class && global.name == *name && !global.is_around(*at);
        if let Some(binding) = globals.iter().find(is_it).and_then(|_| by_name.get_mut(name.as_str())) {
            let kind = UseKind::ReadAnnotation;
            binding.uses.push(Use { place: place_of(*at), kind, within_fstring: None });
        }
    }
    let keeps = globals.iter().filter(|global| global.keeps_texts);
    let keeping: Vec<_> =
        keeps.map(|global| place_of(global.value.start())..place_of(global.value.end())).collect();
    for (name, binding) in &mut by_name {
        let global = || globals.iter().find(|global| global.name.as_str() == name);
        let line = match binding.statements.first() {
            Some(statement) => statement.place.line,
            None => global().map_or(0, |global| place_of(global.target).line),
        };
        if scopes.declared_global(name) {
            binding.hindrances.push(Hindrance { kind: HindranceKind::DeclaredGlobal, line });
        }
        // Whoever looks before the name is bound finds that it is not.
        let last = binding.statements.iter().map(|statement| statement.place.line).max().unwrap_or(line);
        for used in binding.uses.iter_mut().filter(|used| used.place.line <= last) {
            let kept = match used.kind {
                UseKind::GlobalText => keeping.iter().any(|span| span.contains(&used.place)),
                // Nobody has such a function but the module itself, which goes on to bind the name.
                UseKind::TextSignature { read: false } => global().is_some_and(GlobalFound::defines),
                _ => false,
            };
            if !kept && matches!(used.kind, UseKind::TextSignature { .. } | UseKind::GlobalText) {
                used.kind = UseKind::ReadAnnotation;
            }
        }
        // A class that names itself does so before it is there, now as then.
        if let Some(own) = global().filter(|global| global.is_class) {
            let span = place_of(own.value.start())..place_of(own.value.end());
            binding.uses.retain(|used| used.kind != UseKind::GlobalText || !span.contains(&used.place));
        }
        if name.starts_with("__") && !name.ends_with("__") {
            binding.hindrances.push(Hindrance { kind: HindranceKind::Mangled, line });
        }
    }
    mark_shared_fstrings(reads, scopes, &mut by_name, place_of);
    let others = order.split_off(imported);
    let mut taken = |names: Vec<String>| names.into_iter().filter_map(|name| by_name.remove(&name)).collect();
    (taken(order), taken(others))
}

/// What a use at `at` is where it may be part of a value or a class that could wait.
fn within(globals: &[GlobalFound], at: TextSize, kind: UseKind) -> UseKind {
    let within =
        |class: bool| globals.iter().any(|global| (global.is_class || !class) && global.is_around(at));
    match kind {
        UseKind::AtImport if within(false) => UseKind::Global,
        UseKind::EagerAnnotation if within(true) => UseKind::Global,
        UseKind::ReadAnnotation if within(true) => UseKind::GlobalText,
        kind => kind,
    }
}

/// A name that a statement binds to what a call gives. One that is bound twice, or by an import too, is none of ours.
fn add_global(
    global: &GlobalFound,
    star: Option<u32>,
    place_of: &dyn Fn(TextSize) -> Place,
    by_name: &mut BTreeMap<String, Binding>,
    order: &mut Vec<String>,
) {
    let name = global.name.to_string();
    let line = place_of(global.target).line;
    if let Some(known) = by_name.get_mut(&name) {
        known.hindrances.push(Hindrance { kind: HindranceKind::Rebound, line });
        return;
    }
    let after_star = star.is_some_and(|star| star < line);
    let follows = after_star.then_some(Hindrance { kind: HindranceKind::FollowsStar, line });
    let binding = Binding {
        name: name.clone(),
        statements: Vec::new(),
        uses: Vec::new(),
        hindrances: follows.into_iter().collect(),
    };
    by_name.insert(name.clone(), binding);
    order.push(name);
}

fn add_clause(
    clause: &Clause,
    star: Option<u32>,
    by_name: &mut BTreeMap<String, Binding>,
    order: &mut Vec<String>,
) {
    let Clause { name, statement, nested } = clause;
    let (name, statement, nested) = (name.clone(), statement.clone(), *nested);
    if statement.module == "__future__" {
        return;
    }
    let line = statement.place.line;
    let binding = by_name.entry(name.clone()).or_insert_with(|| {
        order.push(name.clone());
        Binding { name, statements: Vec::new(), uses: Vec::new(), hindrances: Vec::new() }
    });
    binding.statements.push(statement);
    if nested {
        binding.hindrances.push(Hindrance { kind: HindranceKind::Nested, line });
    }
    if star.is_some_and(|star| star < line) {
        binding.hindrances.push(Hindrance { kind: HindranceKind::FollowsStar, line });
    }
}

fn hinder(by_name: &mut BTreeMap<String, Binding>, name: &str, kind: HindranceKind, line: u32) {
    if let Some(binding) = by_name.get_mut(name) {
        binding.hindrances.push(Hindrance { kind, line });
    }
}

fn add_read(
    read: &Read,
    kind: UseKind,
    meaning: Meaning,
    by_name: &mut BTreeMap<String, Binding>,
    place_of: &dyn Fn(TextSize) -> Place,
) {
    let Some(binding) = by_name.get_mut(read.name.as_str()) else { return };
    let place = place_of(read.at);
    let mut hinder = |kind| binding.hindrances.push(Hindrance { kind, line: place.line });
    match meaning {
        Meaning::Local => return,
        Meaning::Either => hinder(HindranceKind::ClassScope),
        Meaning::Global => {}
    }
    let evaluated = !matches!(
        kind,
        UseKind::TextSignature { .. } | UseKind::Annotation | UseKind::ReadAnnotation | UseKind::GlobalText
    );
    match read.fixed.filter(|_| evaluated) {
        Some(Fixed::Pattern) => hinder(HindranceKind::Pattern),
        Some(Fixed::SelfDocumenting) => hinder(HindranceKind::SelfDocumentingFString),
        Some(Fixed::Template) => hinder(HindranceKind::Ambiguous),
        None => {}
    }
    binding.uses.push(Use { place, kind, within_fstring: read.fstring.map(place_of) });
}

/// All reads of a name in one f-string are replaced together: they must mean the same.
fn mark_shared_fstrings(
    reads: &[Read],
    scopes: &crate::scopes::Scopes,
    by_name: &mut BTreeMap<String, Binding>,
    place_of: &dyn Fn(TextSize) -> Place,
) {
    for read in reads.iter().filter(|read| scopes.resolve(read.scope, &read.name) == Meaning::Local) {
        let (Some(fstring), Some(binding)) =
            (read.fstring.map(place_of), by_name.get_mut(read.name.as_str()))
        else {
            continue;
        };
        if binding.uses.iter().any(|used| used.within_fstring == Some(fstring)) {
            binding.hindrances.push(Hindrance { kind: HindranceKind::Ambiguous, line: fstring.line });
        }
    }
}
