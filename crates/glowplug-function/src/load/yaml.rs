//! YAML as templates use it: text, lists, maps, CloudFormation's functions, and the line of each.

use std::collections::BTreeMap;

use camino::Utf8Path;
use glowplug_core::{Error, Result};
use saphyr_parser::{Event, Parser, Span, Tag};

/// How deep a template may nest.
const DEEPEST: usize = 128;
/// Nodes that a template may have, aliases expanded: a few of them can stand for billions.
const MOST_NODES: usize = 100_000;

/// A node with its line, from 1.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A scalar as it is written: `1.10` stays `1.10`.
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    /// `!Ref x`, or `Ref: x`: the function's name and its argument.
    Function(String, Box<Node>),
}

impl Node {
    /// Reads the first document of `text`.
    ///
    /// # Errors
    /// Input: no YAML.
    pub(crate) fn parse(text: &str, place: &str) -> Result<Self> {
        let bad = |line: usize, reason: &str| {
            Error::input("the template is not valid YAML").cause(reason).place(format!("{place}:{line}"))
        };
        let mut builder = Builder::default();
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| bad(error.marker().line(), error.info()))?;
            if matches!(event, Event::DocumentEnd) {
                break;
            }
            builder.event(event, span).map_err(|reason| bad(span.start.line(), reason))?;
        }
        Ok(builder.root.unwrap_or(Self { line: 1, value: Value::Map(Vec::new()) }))
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The pairs of a map; none for anything else.
    pub(crate) fn entries(&self) -> &[(String, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// How many nodes it has.
    fn count(&self) -> usize {
        1 + match &self.value {
            Value::Text(_) => 0,
            Value::List(items) => items.iter().map(Self::count).sum(),
            Value::Map(entries) => entries.iter().map(|(_, node)| node.count()).sum(),
            Value::Function(_, argument) => argument.count(),
        }
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A list or map that is not complete.
#[derive(Debug)]
struct Open {
    line: usize,
    anchor: usize,
    function: Option<String>,
    entries: Vec<(String, Node)>,
    items: Vec<Node>,
    is_map: bool,
    /// The key that waits for its value.
    key: Option<String>,
}

/// Makes nodes of events, without recursion: the text decides how deep it nests.
#[derive(Debug, Default)]
struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), &'static str> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, _, anchor, tag) => {
                let value = called(function(tag.as_deref()), line, Value::Text(text.into_owned()));
                self.complete(Node { line, value }, anchor)
            }
            Event::SequenceStart(anchor, tag) => self.start(line, anchor, tag.as_deref(), false),
            Event::MappingStart(anchor, tag) => self.start(line, anchor, tag.as_deref(), true),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Err("it closes what was not opened") };
                let value = if open.is_map { map(open.entries) } else { Value::List(open.items) };
                self.complete(
                    Node { line: open.line, value: called(open.function, open.line, value) },
                    open.anchor,
                )
            }
            Event::Alias(anchor) => {
                let node =
                    self.anchors.get(&anchor).cloned().ok_or("an alias stands before what it stands for")?;
                self.nodes += node.count();
                self.complete(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn start(
        &mut self,
        line: usize,
        anchor: usize,
        tag: Option<&Tag>,
        is_map: bool,
    ) -> Result<(), &'static str> {
        if self.open.len() == DEEPEST {
            return Err("it nests too deep");
        }
        let function = function(tag);
        self.open.push(Open {
            line,
            anchor,
            function,
            entries: Vec::new(),
            items: Vec::new(),
            is_map,
            key: None,
        });
        Ok(())
    }

    /// Puts a node where it belongs.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), &'static str> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return Err("it is too large");
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        if !open.is_map {
            open.items.push(node);
        } else if let Some(key) = open.key.take() {
            if open.entries.iter().any(|(other, _)| *other == key) {
                return Err("a key stands twice in one map");
            }
            open.entries.push((key, node));
        } else {
            open.key = Some(node.text().unwrap_or_default().to_owned());
        }
        Ok(())
    }
}

/// The function that a tag names: `!Ref`, not YAML's own `!!str`.
fn function(tag: Option<&Tag>) -> Option<String> {
    tag.filter(|tag| tag.handle == "!").map(|tag| tag.suffix.clone())
}

fn called(function: Option<String>, line: usize, value: Value) -> Value {
    match function {
        Some(name) => Value::Function(name, Box::new(Node { line, value })),
        None => value,
    }
}

/// A map, or the long form of a function.
fn map(mut entries: Vec<(String, Node)>) -> Value {
    match entries.as_slice() {
        [(name, _)] if name == "Ref" || name.starts_with("Fn::") => {
            let (name, argument) = entries.remove(0);
            Value::Function(name.trim_start_matches("Fn::").to_owned(), Box::new(argument))
        }
        _ => Value::Map(entries),
    }
}

/// Whether the file's name is that of a SAM template.
pub(crate) fn is_template(path: &Utf8Path) -> bool {
    matches!(path.extension(), Some("yaml" | "yml" | "json" | "template"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_cloudformation_are_kept_apart() {
        let node = Node::parse(
            "a: !Ref Stage\nb: !Sub '${x}-y'\nc:\n  Fn::GetAtt: [d, Arn]\ne: !If [p, q, r]\nf: 1.10\n",
            "t",
        )
        .unwrap();
        let function = |key: &str| match &node.get(key).unwrap().value {
            Value::Function(name, _) => name.clone(),
            other => panic!("{key}: {other:?}"),
        };
        assert_eq!(["a", "b", "c", "e"].map(function), ["Ref", "Sub", "GetAtt", "If"]);
        assert_eq!(node.get("f").unwrap().text(), Some("1.10"));
        assert_eq!(node.get("e").unwrap().line, 5);
    }

    #[test]
    fn deep_nesting_ends_in_an_error_and_not_in_a_crash() {
        for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
            assert!(Node::parse(&text, "t").is_err());
        }
        let aliases = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                       d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
        assert!(Node::parse(aliases, "t").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_yaml_or_an_error(text in "[-a-z0-9:!&*{}\\[\\] \n'\"#>|%@]{0,60}") {
            let _ = Node::parse(&text, "t");
        }
    }

    #[test]
    fn what_is_no_yaml_names_its_line() {
        assert_eq!(Node::parse("a: 1\na: 2\n", "t").unwrap_err().where_(), Some("t:2"));
        let error = Node::parse("a: 1\nb: [1, 2\nc: 3\n", "template.yaml").unwrap_err();
        assert!(error.where_().unwrap().starts_with("template.yaml:"), "{error}");
        assert!(Node::parse("", "t").unwrap().entries().is_empty());
    }
}
