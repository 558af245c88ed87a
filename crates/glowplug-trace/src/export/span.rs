//! A span: something that took time, with what it is made of.

use serde::Serialize;

/// Attributes in the order in which they are shown.
pub(crate) type Attributes = Vec<(&'static str, Value)>;

/// What an attribute can hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Value {
    /// Text.
    Text(String),
    /// A figure.
    Number(f64),
    /// A count.
    Whole(i64),
    /// Yes or no.
    Flag(bool),
    /// Several texts.
    List(Vec<String>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// What a span stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All of a cold start.
    ColdStart,
    /// A part of it that no invoke waits for twice: provision, runtime, init and what those are made of.
    Phase,
    /// One import.
    Import,
    /// One top-level statement.
    Statement,
    /// The invoke of a cold start.
    FirstInvoke,
    /// An invoke in an environment that is there.
    WarmInvoke,
}

impl Kind {
    /// A word for filters.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ColdStart => "cold_start",
            Self::Phase => "phase",
            Self::Import => "import",
            Self::Statement => "statement",
            Self::FirstInvoke => "first_invoke",
            Self::WarmInvoke => "warm_invoke",
        }
    }

    /// Whether it is an invoke.
    pub(crate) const fn is_invoke(self) -> bool {
        matches!(self, Self::FirstInvoke | Self::WarmInvoke)
    }
}

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The error's type; `None` where only that it failed is known.
    pub(crate) error_type: Option<String>,
    /// One sentence.
    pub(crate) message: String,
    /// Whether somebody caught it: an optional import that is not there.
    pub(crate) handled: bool,
}

/// Something that took time. Children lie within, and those of one thread do not overlap.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Span {
    /// What people read.
    pub(crate) name: String,
    /// What it stands for.
    pub(crate) kind: Kind,
    /// From the beginning of the cold start, in ns.
    pub(crate) start_ns: u64,
    /// Likewise; at least `start_ns`.
    pub(crate) end_ns: u64,
    /// Python's name of the thread.
    pub(crate) thread: String,
    /// Where it is in the sources: a file and a line, the line 0 where it is not known.
    pub(crate) place: Option<(String, u32)>,
    /// Why it failed.
    pub(crate) failure: Option<Failure>,
    /// What else is known.
    pub(crate) attributes: Attributes,
    /// In the order in which they began, thread by thread.
    pub(crate) children: Vec<Self>,
}

impl Span {
    /// The span and all within, parents first.
    pub(crate) fn walk(&self) -> Vec<&Self> {
        let mut all = Vec::new();
        self.collect(&mut all);
        all
    }

    fn collect<'a>(&'a self, all: &mut Vec<&'a Self>) {
        all.push(self);
        for child in &self.children {
            child.collect(all);
        }
    }
}

/// One start of an environment: the cold start with its first invoke, and the invoke after it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColdStart {
    /// The event; `None` where there was none.
    pub(crate) event: Option<String>,
    /// From 0.
    pub(crate) root: Span,
    /// From the end of `root`.
    pub(crate) warm: Option<Span>,
}

impl ColdStart {
    /// How long all of it takes, in ns.
    pub(crate) fn total_ns(&self) -> u64 {
        self.warm.as_ref().map_or(self.root.end_ns, |warm| warm.end_ns)
    }

    /// The cold start, then the warm invoke.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &Span> {
        std::iter::once(&self.root).chain(&self.warm)
    }
}
