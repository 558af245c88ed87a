//! YAML as templates use it: text, lists, maps, CloudFormation's functions, and the line of each.

use camino::Utf8Path;
use glowplug_core::{Error, Result};
use saphyr::{MarkedYamlOwned, YamlDataOwned, YamlLoader};

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
        let bad = |line: usize, reason: &dyn std::fmt::Display| {
            Error::input("the template is not valid YAML").cause(reason).place(format!("{place}:{line}"))
        };
        let mut loader = YamlLoader::<MarkedYamlOwned>::default();
        loader.early_parse(false);
        let mut parser = saphyr_parser::Parser::new_from_str(text);
        parser.load(&mut loader, false).map_err(|error| bad(error.marker().line(), &error.info()))?;
        if let Some(error) = loader.error() {
            return Err(bad(error.marker().line(), &error.info()));
        }
        match loader.into_documents().into_iter().next() {
            Some(document) => Ok(Self::from(document)),
            None => Ok(Self { line: 1, value: Value::Map(Vec::new()) }),
        }
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

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<MarkedYamlOwned> for Node {
    fn from(node: MarkedYamlOwned) -> Self {
        let line = node.span.start.line();
        let value = match node.data {
            YamlDataOwned::Representation(text, _, Some(tag)) if tag.handle == "!" => {
                Value::Function(tag.suffix, Box::new(Self { line, value: Value::Text(text) }))
            }
            YamlDataOwned::Representation(text, ..) => Value::Text(text),
            YamlDataOwned::Tagged(tag, inner) => Value::Function(tag.suffix, Box::new((*inner).into())),
            YamlDataOwned::Sequence(nodes) => Value::List(nodes.into_iter().map(Self::from).collect()),
            YamlDataOwned::Mapping(pairs) => {
                map(pairs.into_iter().map(|(key, value)| (key.into(), value.into())))
            }
            YamlDataOwned::Value(_) | YamlDataOwned::Alias(_) | YamlDataOwned::BadValue => {
                Value::Text(String::new())
            }
        };
        Self { line, value }
    }
}

/// A map, or the long form of a function.
fn map(pairs: impl Iterator<Item = (Node, Node)>) -> Value {
    let mut entries: Vec<(String, Node)> =
        pairs.map(|(key, value)| (key.text().unwrap_or_default().to_owned(), value)).collect();
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
        let error = Node::parse("a: 1\nb: [1, 2\nc: 3\n", "template.yaml").unwrap_err();
        assert!(error.where_().unwrap().starts_with("template.yaml:"), "{error}");
        assert!(Node::parse("", "t").unwrap().entries().is_empty());
    }
}
