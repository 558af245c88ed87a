//! What a container sees: the layers one above the other, with what upper ones hide of lower ones.

use std::collections::{BTreeMap, VecDeque};

use crate::node::{Kind, Node, OPAQUE, WHITEOUT};

/// Links followed in one path, as many as Linux follows (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

/// Layers laid over each other.
#[derive(Debug, Default)]
pub(crate) struct View {
    entries: BTreeMap<String, Seen>,
    layers: usize,
}

/// One entry as it is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The layer that it is from, counted from 0.
    pub layer: usize,
    pub what: What,
}

/// As much of an entry as others have to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Dir { mode: u32, uid: u64, gid: u64 },
    File,
    Symlink(String),
}

impl View {
    /// Lays one more layer over those there are.
    pub(crate) fn add_layer(&mut self, nodes: &[Node]) {
        // Whiteouts hide what lower layers have, never what their own layer has, wherever they stand in it.
        for node in nodes {
            let (folder, name) = node.path.rsplit_once('/').unwrap_or(("", &node.path));
            if name == OPAQUE {
                self.remove_below(folder);
            } else if let Some(hidden) = name.strip_prefix(WHITEOUT) {
                let path = if folder.is_empty() { hidden.to_owned() } else { format!("{folder}/{hidden}") };
                self.entries.remove(&path);
                self.remove_below(&path);
            }
        }
        for node in nodes {
            let name = node.path.rsplit('/').next().unwrap_or_default();
            if name.starts_with(WHITEOUT) {
                continue;
            }
            let what = match &node.kind {
                Kind::Dir => What::Dir { mode: node.mode, uid: node.uid, gid: node.gid },
                Kind::File { .. } | Kind::Link(_) => What::File,
                Kind::Symlink(target) => What::Symlink(target.clone()),
            };
            if !matches!(what, What::Dir { .. }) {
                self.remove_lower(&node.path);
            }
            self.entries.insert(node.path.clone(), Seen { layer: self.layers, what });
        }
        self.layers += 1;
    }

    /// The entry at this very path.
    pub(crate) fn get(&self, path: &str) -> Option<&Seen> {
        self.entries.get(path)
    }

    /// The names in a folder, and those below them.
    pub(crate) fn below(&self, folder: &str) -> impl Iterator<Item = &str> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        self.entries
            .range(prefix.clone()..)
            .map(|(path, _)| path.as_str())
            .take_while(move |path| path.starts_with(&prefix))
    }

    /// The path with every link in it followed; `None` where it leads nowhere.
    pub(crate) fn resolve(&self, path: &str) -> Option<(String, &Seen)> {
        let mut rest: VecDeque<String> = path.split('/').map(str::to_owned).collect();
        let mut done: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = rest.pop_front() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    done.pop();
                    continue;
                }
                _ => done.push(part),
            }
            if let Some(Seen { what: What::Symlink(target), .. }) = self.entries.get(&done.join("/")) {
                links += 1;
                if links > MOST_LINKS {
                    return None;
                }
                if target.starts_with('/') {
                    done.clear();
                } else {
                    done.pop();
                }
                for part in target.split('/').rev() {
                    rest.push_front(part.to_owned());
                }
            }
        }
        let path = done.join("/");
        let seen = self.entries.get(&path)?;
        Some((path, seen))
    }

    fn remove_below(&mut self, folder: &str) {
        let gone: Vec<String> = self.below(folder).map(str::to_owned).collect();
        for path in gone {
            self.entries.remove(&path);
        }
    }

    /// A file in the place of a lower layer's folder hides what was in it.
    fn remove_lower(&mut self, path: &str) {
        if self.entries.get(path).is_some_and(|seen| matches!(seen.what, What::Dir { .. })) {
            self.remove_below(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Data;

    fn file(path: &str) -> Node {
        Node::new(path, Kind::File { data: Data::Gone, size: 0, twin: None }, 0o644)
    }

    fn link(path: &str, target: &str) -> Node {
        Node::new(path, Kind::Symlink(target.into()), 0o777)
    }

    fn dir(path: &str) -> Node {
        Node::new(path, Kind::Dir, 0o755)
    }

    #[test]
    fn upper_layers_hide_and_delete() {
        let mut view = View::default();
        view.add_layer(&[
            dir("a"),
            file("a/x"),
            file("a/y"),
            dir("b"),
            file("b/z"),
            file("c"),
            dir("d"),
            file("d/e"),
        ]);
        view.add_layer(&[file("a/.wh.x"), file("b/.wh..wh..opq"), file("b/new"), file("c"), file("d")]);
        let paths: Vec<(&str, usize)> = view.entries.iter().map(|(p, s)| (p.as_str(), s.layer)).collect();
        assert_eq!(paths, [("a", 0), ("a/y", 0), ("b", 0), ("b/new", 1), ("c", 1), ("d", 1)]);
    }

    #[test]
    fn links_are_followed_to_the_file() {
        let mut view = View::default();
        view.add_layer(&[
            link("lib", "usr/lib"),
            dir("usr"),
            dir("usr/lib"),
            file("usr/lib/z.so.1.2"),
            link("usr/lib/z.so", "z.so.1"),
            link("usr/lib/z.so.1", "/lib/../lib/./z.so.1.2"),
            link("up", "../../usr"),
            link("loop", "loop"),
        ]);
        for path in ["lib/z.so", "/lib/z.so.1", "usr/lib/z.so.1.2", "up/lib/z.so"] {
            assert_eq!(view.resolve(path).unwrap().0, "usr/lib/z.so.1.2", "{path}");
        }
        assert!(view.resolve("loop").is_none());
        assert!(view.resolve("usr/none").is_none());
    }
}
