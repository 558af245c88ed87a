//! Static analysis of one Python module at a time: which names its imports bind, who uses them where, what it
//! imports, which effects its body may have on others; and what the modules of a tree settle among themselves. Pure:
//! source text in, facts out.
//!
//! [`analyse`] states facts and judges nothing: whether an import may be deferred is decided in `glowplug-lazy`.

mod analyse;
mod bindings;
mod classes;
mod clauses;
mod effects;
mod facts;
mod found;
mod globals;
mod names;
mod scopes;
mod services;
mod shapes;
mod signatures;
mod sites;
mod state;
mod surroundings;
mod texts;
mod tree;
mod walk;

pub use analyse::{analyse, called};
pub use facts::{
    Aim, Binding, Called, Change, Changed, Effect, EffectKind, Global, Hang, Hindrance, HindranceKind,
    Import, ImportStatement, ModuleAnalysis, ModuleId, Place, Signature, Source, Use, UseKind, Way,
};
pub use names::{Names, decoded, names};
pub use services::{ServiceCalls, service_calls};
pub use sites::{Site, sites};
pub use tree::settle;
