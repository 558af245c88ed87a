//! Scopes of a module and the rule by which a name resolves: Python language reference, section 4.2.

use std::collections::BTreeSet;

use ruff_python_ast::name::Name;

/// Index of a scope; 0 is the module.
pub(crate) type ScopeId = usize;

/// What kind of block a scope is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScopeKind {
    Module,
    Class,
    /// A function, a lambda, or a list of type parameters.
    Function,
    /// Its assignment expressions bind outside of it.
    Comprehension,
}

#[derive(Debug)]
struct Scope {
    kind: ScopeKind,
    parent: ScopeId,
    bound: BTreeSet<Name>,
    globals: BTreeSet<Name>,
    nonlocals: BTreeSet<Name>,
}

/// What a name means at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The module's own.
    Global,
    /// A function's.
    Local,
    /// A class body binds it too: which one is read depends on the order of events.
    Either,
}

/// All scopes of a module.
#[derive(Debug)]
pub(crate) struct Scopes(Vec<Scope>);

impl Default for Scopes {
    /// The module's scope alone.
    fn default() -> Self {
        let mut scopes = Self(Vec::new());
        scopes.open(ScopeKind::Module, 0);
        scopes
    }
}

impl Scopes {
    /// A new scope inside `parent`.
    pub(crate) fn open(&mut self, kind: ScopeKind, parent: ScopeId) -> ScopeId {
        self.0.push(Scope {
            kind,
            parent,
            bound: BTreeSet::new(),
            globals: BTreeSet::new(),
            nonlocals: BTreeSet::new(),
        });
        self.0.len() - 1
    }

    pub(crate) fn kind(&self, scope: ScopeId) -> ScopeKind {
        self.0[scope].kind
    }

    /// The nearest scope that is no comprehension: where an assignment expression binds.
    pub(crate) fn outside_comprehensions(&self, mut scope: ScopeId) -> ScopeId {
        while self.0[scope].kind == ScopeKind::Comprehension {
            scope = self.0[scope].parent;
        }
        scope
    }

    /// A statement in `scope` binds `name`.
    pub(crate) fn bind(&mut self, scope: ScopeId, name: &Name) {
        self.0[scope].bound.insert(name.clone());
    }

    pub(crate) fn declare_global(&mut self, scope: ScopeId, name: &Name) {
        self.0[scope].globals.insert(name.clone());
    }

    pub(crate) fn declare_nonlocal(&mut self, scope: ScopeId, name: &Name) {
        self.0[scope].nonlocals.insert(name.clone());
    }

    /// Every name that some function declares `global`.
    pub(crate) fn all_declared_global(&self) -> BTreeSet<String> {
        self.0.iter().flat_map(|scope| &scope.globals).map(ToString::to_string).collect()
    }

    /// Whether some function declares the name `global`.
    pub(crate) fn declared_global(&self, name: &str) -> bool {
        self.0.iter().any(|scope| scope.globals.contains(name))
    }

    /// What `name` means where it is read in `scope`.
    pub(crate) fn resolve(&self, scope: ScopeId, name: &str) -> Meaning {
        self.find(scope, name).1
    }

    /// The scope that binds `name` for who reads it in `scope`; a class body that may, or the module, where no other does.
    pub(crate) fn binder(&self, scope: ScopeId, name: &str) -> ScopeId {
        self.find(scope, name).0
    }

    fn find(&self, scope: ScopeId, name: &str) -> (ScopeId, Meaning) {
        let mut current = scope;
        loop {
            let here = &self.0[current];
            match here.kind {
                ScopeKind::Module => return (0, Meaning::Global),
                // A class body is read by its own statements only.
                ScopeKind::Class if current != scope => {}
                _ if here.globals.contains(name) => return (0, Meaning::Global),
                ScopeKind::Class if here.bound.contains(name) => return (current, Meaning::Either),
                ScopeKind::Function | ScopeKind::Comprehension
                    if here.bound.contains(name) && !here.nonlocals.contains(name) =>
                {
                    return (current, Meaning::Local);
                }
                _ => {}
            }
            current = here.parent;
        }
    }
}
