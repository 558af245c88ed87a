//! The order of a layer: what a start reads comes first, as it is read; the rest by path.

use std::collections::{BTreeMap, BTreeSet};

use glowplug_core::{Error, Result};

use crate::node::{self, Data, Kind, LANDMARK, NO_PREFETCH, Node, PREFETCH};

/// A layer as it will be written.
#[derive(Debug)]
pub(crate) struct Ordered {
    pub nodes: Vec<Node>,
    /// How many hot files are at its beginning.
    pub hot: usize,
}

/// Sorts a layer. `hot` are paths of its files in order of first use; with `landmark`, the file that ends what is to
/// be prefetched (or says that nothing is) is added.
///
/// Every folder comes right before the first entry in it. The first name of a file with several holds its contents,
/// the others link to it.
pub(crate) fn order(nodes: Vec<Node>, hot: &[String], landmark: bool) -> Result<Ordered> {
    let mut rest: BTreeMap<String, Node> = BTreeMap::new();
    for node in nodes {
        if let Some(twice) = rest.insert(node.path.clone(), node) {
            return Err(Error::defect("one path comes twice in a layer").place(twice.path));
        }
    }
    let mut ordered = Vec::with_capacity(rest.len() + 1);
    let mut files = 0;
    for path in hot {
        if matches!(rest.get(path).map(|node| &node.kind), Some(Kind::File { .. })) {
            take(&mut rest, path, &mut ordered);
            files += 1;
        }
    }
    if landmark {
        let name = if files > 0 { PREFETCH } else { NO_PREFETCH };
        let data = Data::Bytes([LANDMARK].into());
        ordered.push(Node::new(name, Kind::File { data, size: 1, twin: None }, 0o644));
    }
    // By path, byte by byte; a folder's path is shorter than any in it, so that it comes first.
    ordered.extend(rest.into_values());
    link_twins(&mut ordered);
    Ok(Ordered { nodes: ordered, hot: files })
}

fn take(rest: &mut BTreeMap<String, Node>, path: &str, ordered: &mut Vec<Node>) {
    let folders = node::parents(path).filter_map(|parent| rest.remove(parent)).collect::<Vec<_>>();
    ordered.extend(folders);
    ordered.extend(rest.remove(path));
}

fn link_twins(nodes: &mut [Node]) {
    let mut first: BTreeMap<u64, String> = BTreeMap::new();
    for node in nodes {
        if let Kind::File { twin: Some(number), .. } = node.kind {
            match first.get(&number) {
                Some(path) => node.kind = Kind::Link(path.clone()),
                None => {
                    first.insert(number, node.path.clone());
                }
            }
        }
    }
}

/// The hot files of each layer: links followed, each once, and how many paths are nowhere in the image.
pub(crate) fn hot_of_layers<'a>(
    hot: impl Iterator<Item = &'a str>,
    view: &crate::view::View,
    layers: usize,
) -> (Vec<Vec<String>>, usize) {
    let mut lists = vec![Vec::new(); layers];
    let mut seen = BTreeSet::new();
    let mut missing = 0;
    for path in hot {
        match view.resolve(path) {
            Some((real, found)) => {
                if seen.insert(real.clone())
                    && let Some(list) = lists.get_mut(found.layer)
                {
                    list.push(real);
                }
            }
            None => missing += 1,
        }
    }
    (lists, missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, twin: Option<u64>) -> Node {
        Node::new(path, Kind::File { data: Data::Gone, size: 1, twin }, 0o644)
    }

    fn dir(path: &str) -> Node {
        Node::new(path, Kind::Dir, 0o755)
    }

    fn names(ordered: &Ordered) -> Vec<String> {
        let name = |node: &Node| match &node.kind {
            Kind::Link(target) => format!("{} = {target}", node.path),
            _ => node.tar_name(),
        };
        ordered.nodes.iter().map(name).collect()
    }

    #[test]
    fn hot_files_come_first_with_their_folders_then_the_landmark() {
        let nodes = vec![
            dir("a"),
            file("a/1", None),
            file("a/2", None),
            dir("b"),
            dir("b/c"),
            file("b/c/3", None),
            file("d", None),
        ];
        let hot = ["b/c/3", "a/2", "gone", "b/c/3", "a"].map(str::to_owned);
        let ordered = order(nodes.clone(), &hot, true).unwrap();
        assert_eq!(names(&ordered), ["b/", "b/c/", "b/c/3", "a/", "a/2", ".prefetch.landmark", "a/1", "d"]);
        assert_eq!(ordered.hot, 2);
        let none = order(nodes, &[], true).unwrap();
        assert_eq!(names(&none), [".no.prefetch.landmark", "a/", "a/1", "a/2", "b/", "b/c/", "b/c/3", "d"]);
    }

    #[test]
    fn the_first_name_holds_the_contents() {
        let nodes = vec![file("a", Some(0)), file("b", Some(0)), file("c", None)];
        let ordered = order(nodes, &["b".to_owned()], false).unwrap();
        assert_eq!(names(&ordered), ["b", "a = b", "c"]);
    }
}
