//! One number in YAML or JSON text, found through the parser's places; everything else stays as it is.

use std::ops::Range;

use glowplug_core::{Error, Result};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::load::yaml::{Node, Value};

/// What is known of the place of a key.
#[derive(Debug, Default)]
struct Place {
    /// The scalar that is its value now, in characters.
    scalar: Option<Range<usize>>,
    /// Where the first key of the map begins that has it, or would have it: place in characters and column.
    first: Option<(usize, usize)>,
    /// Whether that map is written in braces.
    braces: bool,
}

/// A list or map that is being read.
struct Open {
    is_map: bool,
    /// How many parts of the path lead to it; `None` where it is elsewhere.
    depth: Option<usize>,
    /// The key that waits for its value, and whether it is the path's next part.
    key: Option<bool>,
}

/// The text with `key: number` in the map at the path `own`. Where that has no such key and the map at the path `shared`
/// has, that one is changed if nothing else uses it.
///
/// # Errors
/// Input: the value is a reference, or there is no such map.
pub(super) fn with_number(
    text: &str,
    place: &str,
    own: &[String],
    shared: Option<(&Vec<String>, bool)>,
    key: &str,
    number: u32,
) -> Result<String> {
    let document = Node::parse(text, place)?;
    let has = |path: &[String]| at(&document, path).is_some_and(|node| node.get(key).is_some());
    let path = match shared {
        Some((shared, true)) if !has(own) && has(shared) => shared.as_slice(),
        _ => own,
    };
    let by_hand = |what: &str, line: usize| {
        Error::input(what.to_owned()).place(format!("{place}:{line}")).hint(format!("set `{key}` by hand"))
    };
    let parent = at(&document, path)
        .ok_or_else(|| by_hand(&format!("there is no map `{}` in the file", path.join(".")), 1))?;
    if let Some(node) = parent.get(key) {
        refuse_reference(node, key, place)?;
    }
    let found = find(text, path, key);
    let edited = match found {
        Place { scalar: Some(scalar), .. } => replaced(text, scalar, &number.to_string()),
        Place { first: Some((start, _)), braces: true, .. } => {
            replaced(text, start..start, &format!("\"{key}\": {number}, "))
        }
        Place { first: Some((start, column)), .. } => {
            let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
            replaced(text, start..start, &format!("{key}: {number}{end}{}", " ".repeat(column)))
        }
        Place { .. } => {
            return Err(by_hand("the memory size is behind an alias, or its map is empty", parent.line));
        }
    };
    // Read again: an edit that did not do what it should is no edit.
    let written = Node::parse(&edited, place)?;
    let value = at(&written, path).and_then(|node| node.get(key)).and_then(Node::text);
    if value != Some(number.to_string().as_str()) {
        return Err(by_hand("the file cannot be edited by a program", parent.line));
    }
    Ok(edited)
}

fn at<'a>(document: &'a Node, path: &[String]) -> Option<&'a Node> {
    path.iter().try_fold(document, |node, key| node.get(key))
}

/// A value that says where the number is, and not what it is.
fn refuse_reference(node: &Node, key: &str, place: &str) -> Result<()> {
    let written = match &node.value {
        Value::Text(text) if !text.contains("${") => return Ok(()),
        Value::Text(text) => text.clone(),
        Value::Function(name, argument) => match argument.text() {
            Some(text) => format!("!{name} {text}"),
            None => format!("!{name}"),
        },
        Value::List(_) | Value::Map(_) => "a list or a map".to_owned(),
    };
    Err(Error::input(format!("`{key}` is a reference, and no number"))
        .cause(format!("it is `{written}`"))
        .place(format!("{place}:{}", node.line))
        .hint("change what it refers to, or put a number in its place"))
}

/// Where the key is, or would be.
fn find(text: &str, path: &[String], key: &str) -> Place {
    let mut place = Place::default();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { break };
        match event {
            Event::DocumentEnd => break,
            Event::Scalar(word, style, ..) => {
                let Some(top) = open.last_mut().filter(|top| top.is_map) else { continue };
                match top.key.take() {
                    // A key.
                    None => {
                        let wanted = top.depth.map(|depth| path.get(depth).map_or(key, String::as_str));
                        top.key = Some(wanted == Some(&*word));
                        if top.depth == Some(path.len()) && place.first.is_none() {
                            place.first = Some((span.start.index(), span.start.col()));
                        }
                    }
                    Some(true) if top.depth == Some(path.len()) => {
                        place.scalar = Some(of(span, style, &word));
                    }
                    Some(_) => {}
                }
            }
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                let is_map = matches!(event, Event::MappingStart(..));
                let depth = match open.last_mut() {
                    None => Some(0),
                    Some(top) => match (top.key.take(), top.depth) {
                        (Some(true), Some(depth)) if depth < path.len() => Some(depth + 1),
                        _ => None,
                    },
                };
                if is_map && depth == Some(path.len()) {
                    place.braces = text.chars().nth(span.start.index()) == Some('{');
                }
                open.push(Open { is_map, depth: depth.filter(|_| is_map), key: None });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
            }
            Event::Alias(_) => {
                if let Some(top) = open.last_mut() {
                    top.key = if top.key.is_some() { None } else { Some(false) };
                }
            }
            _ => {}
        }
    }
    place
}

/// The characters of a scalar with its quotes. The parser has one end where the next thing begins, after comments.
fn of(span: Span, style: ScalarStyle, word: &str) -> Range<usize> {
    let quotes = if style == ScalarStyle::Plain { 0 } else { 2 };
    let start = span.start.index();
    start..start + word.chars().count() + quotes
}

/// The text with the characters of `range` replaced.
fn replaced(text: &str, range: Range<usize>, with: &str) -> String {
    let byte = |index: usize| text.char_indices().nth(index).map_or(text.len(), |(at, _)| at);
    let (start, end) = (byte(range.start), byte(range.end));
    [&text[..start], with, &text[end..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    fn sam(text: &str, alone: bool) -> Result<String> {
        let (own, shared) = (path("Resources.F.Properties"), path("Globals.Function"));
        with_number(text, "template.yaml", &own, Some((&shared, alone)), "MemorySize", 1024)
    }

    const OWN: &str = "# top\nResources:\n  G:\n    Properties: {MemorySize: 1}\n  F:\n    Type: AWS::Serverless::Function  # ä\n    Properties:\n      Handler: app.handler\n      MemorySize:   512   # MB\n      Tags: {MemorySize: 3}\n";

    #[test]
    fn the_functions_own_number_alone_changes() {
        assert_eq!(sam(OWN, false).unwrap(), OWN.replace("512", "1024"));
        let quoted = OWN.replace("512", "'512'");
        assert_eq!(sam(&quoted, true).unwrap(), quoted.replace("'512'", "1024"));
        let windows = OWN.replace('\n', "\r\n");
        assert_eq!(sam(&windows, true).unwrap(), windows.replace("512", "1024"));
    }

    #[test]
    fn what_all_share_changes_only_for_the_only_one() {
        let text = "Globals:\n  Function:\n    MemorySize: 256\nResources:\n  F:\n    Properties:\n      Handler: a.b\n";
        assert_eq!(sam(text, true).unwrap(), text.replace("256", "1024"));
        assert_eq!(
            sam(text, false).unwrap(),
            text.replace("      Handler", "      MemorySize: 1024\n      Handler")
        );
    }

    #[test]
    fn json_and_braces_are_edited_too() {
        let text = "{\"Resources\": {\"F\": {\"Properties\": {\"Handler\": \"a.b\", \"MemorySize\": 128}}}}";
        assert_eq!(sam(text, true).unwrap(), text.replace("128", "1024"));
        let text = "Resources:\n  F: {Properties: {Handler: a.b}}\n";
        assert_eq!(sam(text, true).unwrap(), text.replace("{Handler", "{\"MemorySize\": 1024, Handler"));
    }

    #[test]
    fn references_are_refused_with_their_line() {
        for (value, told) in [
            ("!Ref Memory", "it is `!Ref Memory`"),
            ("${self:custom.memory}", "it is `${self:custom.memory}`"),
            ("{Ref: Memory}", "it is `!Ref Memory`"),
            ("!FindInMap [a, b, c]", "it is `!FindInMap`"),
        ] {
            let error = sam(&OWN.replace("512", value), true).unwrap_err();
            assert_eq!(error.causes(), [told]);
            assert_eq!(error.where_(), Some("template.yaml:9"));
        }
        let error = sam("Resources:\n  F:\n    Properties: &p\n      A: 1\n  G: *p\n", true);
        assert!(error.is_ok(), "{error:?}");
        let error = sam("X: &p\n  A: 1\nResources:\n  F:\n    Properties: *p\n", true).unwrap_err();
        assert!(error.message().contains("alias"), "{error}");
        assert!(sam("Resources: {}\n", true).unwrap_err().message().contains("there is no map"));
    }

    proptest::proptest! {
        #[test]
        fn an_edit_changes_nothing_but_its_key(
            before in "[a-z]{1,6}", comment in "(  #[ a-zäß]{0,9})?", number in 128u32..10241, has in proptest::bool::ANY,
        ) {
            let line = if has { format!("      MemorySize: {number}{comment}\n") } else { String::new() };
            let text = format!("Resources:\n  F: # {before}\n    Properties:\n      Handler: {before}.b{comment}\n{line}      Z: 1\n");
            let edited = sam(&text, true).unwrap();
            let expected = if has {
                text.replace(&format!("MemorySize: {number}"), "MemorySize: 1024")
            } else {
                text.replace("      Handler", "      MemorySize: 1024\n      Handler")
            };
            proptest::prop_assert_eq!(edited, expected);
        }
    }
}
