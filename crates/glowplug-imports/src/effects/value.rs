//! What is known of a value while a module's body is followed.

use super::table;

/// Where a value comes from, which decides who may notice when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A value that cannot change: text, numbers, `None`.
    Text,
    /// An object that the module made and nobody else holds; its methods change nothing but itself.
    Own,
    /// Something of the caller of a function that nobody else holds. It may be changed; what its methods do is not known.
    Given,
    /// A class of plain values, made by a call such as `namedtuple`.
    PlainClass,
    /// Something imported or built in, by its dotted path.
    Imported(String),
    /// A function or a lambda of the module.
    Function(usize),
    /// A class of the module.
    Class(usize),
    /// An object of one of these classes.
    Instance(usize),
    /// An object of the standard library whose methods may reach others.
    Handle(Handle),
    /// A client, an engine or the like, which a known constructor made, or a part of one: it reaches beyond the module
    /// when it is used.
    Made,
    /// Anything else: it may be anybody's.
    Foreign,
}

/// Objects of the standard library that reach beyond the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handle {
    /// A logger; the module's own one carries the module's name.
    Logger {
        /// Whether it is `getLogger(__name__)`, or one of the module's own package.
        own: bool,
    },
    /// A `pathlib` path.
    Path,
    /// A context variable.
    Variable,
}

impl Value {
    /// Whether changing it is the module's own affair.
    pub(super) fn is_own(&self) -> bool {
        match self {
            Self::Text
            | Self::Own
            | Self::Given
            | Self::PlainClass
            | Self::Function(_)
            | Self::Class(_)
            | Self::Instance(_) => true,
            Self::Imported(_) | Self::Handle(_) | Self::Made | Self::Foreign => false,
        }
    }

    /// What is known when it may be either.
    pub(super) fn or(self, other: Self) -> Self {
        if self == other {
            self
        } else if matches!((&self, &other), (Self::Text | Self::Own, Self::Text | Self::Own)) {
            Self::Own
        } else if matches!((&self, &other), (Self::Imported(one), Self::Imported(two)) if table::is_backport(one, two))
        {
            self
        } else {
            Self::Foreign
        }
    }
}
