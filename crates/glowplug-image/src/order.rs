//! The order of a layer: what a start reads comes first, as it is read; the rest by path.

use std::collections::BTreeMap;

use glowplug_core::{Error, Extents, Result};

use crate::node::{self, Data, Kind, LANDMARK, NO_PREFETCH, Node, PREFETCH};
use crate::pieces::chunk_bytes;
use crate::request::TouchedFile;

/// A file is left to be fetched by chunks if those that a start touches have less than this part of its bytes. One
/// request fetches all that is prefetched, and a chunk takes one of its own: a file that is needed for the most part
/// is sooner there as a whole.
const FEW: f64 = 0.5;

/// A layer as it will be written.
#[derive(Debug)]
pub(crate) struct Ordered {
    pub nodes: Vec<Node>,
    /// How many hot files are at its beginning.
    pub hot: usize,
    /// How many come after these, of which a start reads a small part.
    pub hot_parts: usize,
}

/// Sorts a layer. `hot` are its files in order of first use, as their entries name them; with `landmark`, the file
/// that ends what is to be prefetched (or says that nothing is) is added.
///
/// Every folder comes right before the first entry in it. The first name of a file with several holds its contents,
/// the others link to it.
pub(crate) fn order(nodes: Vec<Node>, hot: &[TouchedFile], landmark: bool) -> Result<Ordered> {
    let mut rest: BTreeMap<String, Node> = BTreeMap::new();
    for node in nodes {
        if let Some(twice) = rest.insert(node.path.clone(), node) {
            return Err(Error::defect("one path comes twice in a layer").place(twice.path));
        }
    }
    let mut ordered = Vec::with_capacity(rest.len() + 1);
    let in_parts = |hot: &&TouchedFile| {
        let node = rest.get(hot.path.as_str());
        node.zip(hot.parts.as_ref()).is_some_and(|(node, parts)| few(node, parts))
    };
    let (parted, whole): (Vec<&TouchedFile>, Vec<&TouchedFile>) = hot.iter().partition(in_parts);
    let hot = take_all(&mut rest, &whole, &mut ordered);
    if landmark {
        let name = if hot > 0 { PREFETCH } else { NO_PREFETCH };
        let data = Data::Bytes([LANDMARK].into());
        ordered.push(Node::new(name, Kind::File { data, size: 1, twin: None }, 0o644));
    }
    let hot_parts = take_all(&mut rest, &parted, &mut ordered);
    // By path, byte by byte; a folder's path is shorter than any in it, so that it comes first.
    ordered.extend(rest.into_values());
    link_twins(&mut ordered);
    Ok(Ordered { nodes: ordered, hot, hot_parts })
}

/// Whether the chunks with these parts are few of the file's.
fn few(node: &Node, parts: &Extents) -> bool {
    let (size, most) = (node.size(), chunk_bytes(node));
    let starts = (0..size).step_by(most as usize);
    let touched: u64 = starts
        .map(|from| (from, (from + most).min(size)))
        .filter(|(from, to)| parts.meet(*from, *to))
        .map(|(from, to)| to - from)
        .sum();
    (touched as f64) < size as f64 * FEW
}

/// Moves the files, each with the folders that are not there yet, and tells how many there were.
fn take_all(rest: &mut BTreeMap<String, Node>, hot: &[&TouchedFile], ordered: &mut Vec<Node>) -> usize {
    let mut files = 0;
    for hot in hot {
        if matches!(rest.get(hot.path.as_str()).map(|node| &node.kind), Some(Kind::File { .. })) {
            take(rest, hot.path.as_str(), ordered);
            files += 1;
        }
    }
    files
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
pub(crate) fn hot_of_layers(
    hot: &[TouchedFile],
    view: &crate::view::View,
    layers: usize,
) -> (Vec<Vec<TouchedFile>>, usize) {
    let mut lists: Vec<Vec<TouchedFile>> = vec![Vec::new(); layers];
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut missing = 0;
    for file in hot {
        let Some((path, found)) = view.resolve(file.path.as_str()) else {
            missing += 1;
            continue;
        };
        let Some(list) = lists.get_mut(found.layer) else { continue };
        if let Some(known) = places.get(&path).and_then(|place| list.get_mut(*place)) {
            known.add(file.parts.as_ref());
        } else {
            places.insert(path.clone(), list.len());
            list.push(TouchedFile { path: path.into(), parts: file.parts.clone() });
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
        let hot = ["b/c/3", "a/2", "gone", "b/c/3", "a"].map(TouchedFile::from);
        let ordered = order(nodes.clone(), &hot, true).unwrap();
        assert_eq!(names(&ordered), ["b/", "b/c/", "b/c/3", "a/", "a/2", ".prefetch.landmark", "a/1", "d"]);
        assert_eq!(ordered.hot, 2);
        let none = order(nodes, &[], true).unwrap();
        assert_eq!(names(&none), [".no.prefetch.landmark", "a/", "a/1", "a/2", "b/", "b/c/", "b/c/3", "d"]);
    }

    #[test]
    fn what_is_needed_in_small_parts_is_not_prefetched() {
        let large = |path: &str| {
            Node::new(path, Kind::File { data: Data::Gone, size: 1024 * 1024, twin: None }, 0o644)
        };
        let kib = |from: u64, to: u64| (from * 1024, to * 1024);
        let part =
            |path: &str, parts: Vec<(u64, u64)>| TouchedFile { path: path.into(), parts: Some(parts.into()) };
        let nodes =
            vec![large("data"), large("few.so"), large("half.so.1"), large("whole.so"), large("cold.so")];
        let hot = [
            part("few.so", vec![kib(0, 4), kib(252, 256)]),
            // Its one chunk is all of it.
            part("data", vec![kib(0, 4)]),
            part("half.so.1", vec![kib(0, 4), kib(1020, 1024)]),
            "whole.so".into(),
        ];
        let ordered = order(nodes.clone(), &hot, true).unwrap();
        let expected = ["data", "half.so.1", "whole.so", ".prefetch.landmark", "few.so", "cold.so"];
        assert_eq!(names(&ordered), expected);
        assert_eq!((ordered.hot, ordered.hot_parts), (3, 1));
        // Nothing but parts: nothing is prefetched.
        let ordered = order(nodes, &hot[..1], true).unwrap();
        assert_eq!(names(&ordered)[..2], [".no.prefetch.landmark", "few.so"]);
    }

    proptest::proptest! {
        #[test]
        fn chunks_with_any_touched_byte_are_weighed(
            size in 1..2_000_000_u64,
            parts in proptest::collection::vec((0..2_000_000_u64, 1..300_000_u64), 0..6),
        ) {
            let most = chunk_bytes(&file("a.so", None));
            let parts: Vec<(u64, u64)> = parts.into_iter().map(|(from, length)| (from, from + length)).collect();
            let touched = |chunk: u64| {
                let bytes = chunk * most..((chunk + 1) * most).min(size);
                let held = parts.iter().any(|(from, to)| *from < bytes.end && *to > bytes.start);
                if held { bytes.end - bytes.start } else { 0 }
            };
            let sum: u64 = (0..size.div_ceil(most)).map(touched).sum();
            let node = Node::new("a.so", Kind::File { data: Data::Gone, size, twin: None }, 0o644);
            proptest::prop_assert_eq!(few(&node, &Extents::new(parts.clone())), 2 * sum < size);
        }
    }

    #[test]
    fn the_first_name_holds_the_contents() {
        let nodes = vec![file("a", Some(0)), file("b", Some(0)), file("c", None)];
        let ordered = order(nodes, &["b".into()], false).unwrap();
        assert_eq!(names(&ordered), ["b", "a = b", "c"]);
    }
}
