//! Drafts become spans: medians of different passes are made to fit into each other.
//!
//! Phases are medians of starts without the agent, imports of starts with it, and every figure is a median of its
//! own. So children may stick out of their parent, or overlap. Durations are kept where they fit and shrink
//! together where they do not; starts move as little as they must. Nothing is stretched.

use super::span::{Attributes, Failure, Kind, Span};

/// A span before its place is settled; times in ms.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// On the clock of its parent.
    pub(crate) start: f64,
    pub(crate) duration: f64,
    /// What the clock of its children shows at its start.
    pub(crate) clock: f64,
    pub(crate) thread: String,
    pub(crate) place: Option<(String, u32)>,
    pub(crate) failure: Option<Failure>,
    pub(crate) attributes: Attributes,
    pub(crate) children: Vec<Self>,
}

impl Draft {
    /// One without attributes whose children use its own clock.
    pub(crate) fn new(kind: Kind, name: impl Into<String>, start: f64, duration: f64) -> Self {
        Self {
            name: name.into(),
            kind,
            start,
            duration: at_least_zero(duration),
            clock: start,
            thread: crate::tree::MAIN_THREAD.to_owned(),
            place: None,
            failure: None,
            attributes: Vec::new(),
            children: Vec::new(),
        }
    }

    /// Where it would end.
    pub(crate) fn end(&self) -> f64 {
        self.start + self.duration
    }

    /// The span from `start` to `end`, in ms.
    pub(crate) fn place(self, start: f64, end: f64) -> Span {
        let length = end - start;
        let scale = if self.duration > length { length / self.duration } else { 1.0 };
        let mut threads: Vec<Vec<Wish>> = Vec::new();
        for draft in self.children {
            let wish = Wish {
                start: start + (draft.start - self.clock) * scale,
                length: draft.duration * scale,
                draft,
            };
            match threads.iter_mut().find(|thread| thread[0].draft.thread == wish.draft.thread) {
                Some(thread) => thread.push(wish),
                None => threads.push(vec![wish]),
            }
        }
        Span {
            name: self.name,
            kind: self.kind,
            start_ns: nanoseconds(start),
            end_ns: nanoseconds(end),
            thread: self.thread,
            place: self.place,
            failure: self.failure,
            attributes: self.attributes,
            children: threads.into_iter().flat_map(|thread| siblings(thread, start, end)).collect(),
        }
    }
}

/// Where a draft would be if it were alone, on the clock of spans.
struct Wish {
    start: f64,
    length: f64,
    draft: Draft,
}

/// Places what one thread did within a window, one after the other.
fn siblings(mut wishes: Vec<Wish>, start: f64, end: f64) -> Vec<Span> {
    wishes.sort_by(|a, b| a.start.total_cmp(&b.start));
    let wanted: f64 = wishes.iter().map(|wish| wish.length).sum();
    let scale = if wanted > end - start { (end - start) / wanted } else { 1.0 };
    let mut places: Vec<(f64, f64)> = Vec::with_capacity(wishes.len());
    let mut free = start;
    for wish in &wishes {
        let begins = wish.start.max(free);
        free = begins + wish.length * scale;
        places.push((begins, free));
    }
    // What sticks out at the end moves forward, and pushes what is before it.
    let mut limit = end;
    for (begins, ends) in places.iter_mut().rev() {
        let length = *ends - *begins;
        *ends = ends.min(limit);
        *begins = begins.min(*ends - length).max(start).min(*ends);
        limit = *begins;
    }
    wishes.into_iter().zip(places).map(|(wish, (begins, ends))| wish.draft.place(begins, ends)).collect()
}

/// Rounding keeps the order of two points in time: what lay within still does.
fn nanoseconds(ms: f64) -> u64 {
    (ms * 1e6).round().max(0.0) as u64
}

/// A document made by others may hold anything.
fn at_least_zero(ms: f64) -> f64 {
    if ms.is_finite() { ms.max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaf(name: &str, start: f64, duration: f64) -> Draft {
        Draft::new(Kind::Import, name, start, duration)
    }

    fn told(span: &Span) -> Vec<(&str, u64, u64)> {
        span.children.iter().map(|c| (&*c.name, c.start_ns / 1_000_000, c.end_ns / 1_000_000)).collect()
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let mut parent = leaf("app", 10.0, 100.0);
        parent.children = vec![leaf("a", 20.0, 10.0), leaf("b", 40.0, 50.0)];
        assert_eq!(told(&parent.place(0.0, 100.0)), [("a", 10, 20), ("b", 30, 80)]);
    }

    #[test]
    fn what_overlaps_or_sticks_out_moves_and_keeps_its_duration() {
        let mut parent = leaf("app", 0.0, 100.0);
        parent.children = vec![leaf("a", 0.0, 30.0), leaf("b", 25.0, 30.0), leaf("c", 80.0, 40.0)];
        assert_eq!(told(&parent.place(0.0, 100.0)), [("a", 0, 30), ("b", 30, 60), ("c", 60, 100)]);
    }

    #[test]
    fn what_is_too_long_shrinks_with_all_within() {
        let mut child = leaf("a", 0.0, 200.0);
        child.children = vec![leaf("a.b", 100.0, 80.0)];
        let mut parent = leaf("app", 0.0, 100.0);
        parent.children = vec![child];
        let placed = parent.place(0.0, 100.0);
        assert_eq!(told(&placed), [("a", 0, 100)]);
        assert_eq!(told(&placed.children[0]), [("a.b", 50, 90)]);
    }

    #[test]
    fn threads_run_beside_each_other() {
        let mut parent = leaf("init", 0.0, 100.0);
        let other = Draft { thread: "Thread-1".to_owned(), ..leaf("b", 0.0, 90.0) };
        parent.children = vec![leaf("a", 0.0, 90.0), other];
        assert_eq!(told(&parent.place(0.0, 100.0)), [("a", 0, 90), ("b", 0, 90)]);
    }

    fn drafts() -> impl Strategy<Value = Draft> {
        let figure = || prop_oneof![Just(0.0), 0.0..50.0, -5.0..2000.0];
        let node = (figure(), figure(), "[xy]").prop_map(|(start, duration, thread): (f64, f64, String)| {
            Draft { thread, ..leaf("n", start, duration) }
        });
        node.clone().prop_recursive(4, 40, 5, move |inner| {
            (node.clone(), prop::collection::vec(inner, 0..5))
                .prop_map(|(draft, children)| Draft { children, ..draft })
        })
    }

    fn check(span: &Span) -> Result<(), TestCaseError> {
        prop_assert!(span.start_ns <= span.end_ns);
        for (index, child) in span.children.iter().enumerate() {
            prop_assert!(span.start_ns <= child.start_ns && child.end_ns <= span.end_ns);
            if let Some(next) = span.children.get(index + 1).filter(|next| next.thread == child.thread) {
                prop_assert!(child.end_ns <= next.start_ns);
            }
            check(child)?;
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn children_lie_within_and_siblings_do_not_overlap(draft in drafts(), end in 0.0..500.0) {
            check(&draft.place(0.0, end))?;
        }
    }
}
