//! A minimum cut of a network: Dinic's algorithm. Pure.

use std::collections::VecDeque;

/// A network in which a flow runs from node 0 to the last node.
///
/// An arc and its reverse are neighbours, so that the number of one is that of the other with its last bit turned.
#[derive(Debug)]
pub(crate) struct Network {
    /// Arc → the node it leads to.
    to: Vec<usize>,
    /// Arc → what can still flow along it.
    left: Vec<u64>,
    /// Node → arcs that leave it.
    out: Vec<Vec<usize>>,
}

impl Network {
    pub(crate) fn new(nodes: usize) -> Self {
        Self { to: Vec::new(), left: Vec::new(), out: vec![Vec::new(); nodes] }
    }

    pub(crate) fn arc(&mut self, from: usize, to: usize, capacity: u64) {
        for (from, to, capacity) in [(from, to, capacity), (to, from, 0)] {
            self.out[from].push(self.to.len());
            self.to.push(to);
            self.left.push(capacity);
        }
    }

    /// Which nodes are on the side of node 0: the smallest such side, where several cuts are minimum.
    pub(crate) fn source_side(mut self) -> Vec<bool> {
        let sink = self.out.len() - 1;
        loop {
            let levels = self.levels();
            if levels[sink].is_none() {
                return levels.iter().map(Option::is_some).collect();
            }
            self.fill(&levels);
        }
    }

    /// Node → how many arcs it takes to get there, as far as something can still flow.
    fn levels(&self) -> Vec<Option<usize>> {
        let mut levels = vec![None; self.out.len()];
        levels[0] = Some(0);
        let mut queue = VecDeque::from([(0, 0)]);
        while let Some((node, level)) = queue.pop_front() {
            for arc in &self.out[node] {
                if self.left[*arc] > 0 && levels[self.to[*arc]].is_none() {
                    levels[self.to[*arc]] = Some(level + 1);
                    queue.push_back((self.to[*arc], level + 1));
                }
            }
        }
        levels
    }

    /// Sends what flows along shortest paths. What has led nowhere is not tried again.
    fn fill(&mut self, levels: &[Option<usize>]) {
        let sink = self.out.len() - 1;
        let mut next = vec![0; self.out.len()];
        let mut path: Vec<usize> = Vec::new();
        let mut node = 0;
        loop {
            if node == sink {
                let flow = path.iter().map(|arc| self.left[*arc]).min().unwrap_or_default();
                for arc in path.drain(..) {
                    self.left[arc] -= flow;
                    self.left[arc ^ 1] += flow;
                }
                node = 0;
            }
            let level = levels[node].map(|level| level + 1);
            let open = |arc: &usize| self.left[*arc] > 0 && levels[self.to[*arc]] == level;
            if let Some(skipped) = self.out[node][next[node]..].iter().position(open) {
                next[node] += skipped;
                let arc = self.out[node][next[node]];
                path.push(arc);
                node = self.to[arc];
            } else {
                next[node] = self.out[node].len();
                let Some(arc) = path.pop() else { return };
                node = self.to[arc ^ 1];
                next[node] += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NODES: usize = 7;

    fn cut(arcs: &[(usize, usize, u64)], side: &[bool]) -> u64 {
        arcs.iter().filter(|(from, to, _)| side[*from] && !side[*to]).map(|(_, _, capacity)| capacity).sum()
    }

    proptest! {
        #[test]
        fn no_cut_is_smaller(arcs in prop::collection::vec((0..NODES, 0..NODES, 0..9_u64), 0..30)) {
            let mut network = Network::new(NODES);
            for (from, to, capacity) in &arcs {
                network.arc(*from, *to, *capacity);
            }
            let found = network.source_side();
            prop_assert!(found[0] && !found[NODES - 1]);
            for bits in 0..1_u32 << (NODES - 2) {
                let side: Vec<bool> =
                    (0..NODES).map(|node| node == 0 || (node < NODES - 1 && bits >> (node - 1) & 1 == 1)).collect();
                let more = cut(&arcs, &side).cmp(&cut(&arcs, &found));
                prop_assert!(more.is_ge());
                // Of equal ones, the smallest.
                prop_assert!(more.is_gt() || (0..NODES).all(|node| side[node] || !found[node]));
            }
        }
    }
}
