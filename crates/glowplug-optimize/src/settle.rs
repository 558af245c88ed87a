//! Measures the result, and undoes deferred imports that do not pay after all.

use std::collections::BTreeSet;

use camino::Utf8Path;

use glowplug_core::{Progress, Result};

use crate::folders::materialise;
use crate::options::BuildOptions;
use crate::plan::Draft;
use crate::results::{Figures, figures};
use crate::subject::Subject;
use crate::verify::Proof;

/// Why an import is pinned that was measured and did not pay.
const SLOWER: &str = "measured with it, the first requests together were slower";

/// Measures; where the first requests got slower by deferring, undoes first what they load late, then all.
/// A plan that was given is kept.
pub(crate) fn settle(
    subject: &Subject,
    options: &BuildOptions,
    draft: &mut Draft,
    mut proof: Proof,
    [shipped, before]: [&Utf8Path; 2],
    progress: &dyn Progress,
) -> Result<(Proof, Figures)> {
    let mut measured = figures(subject, options, [shipped, before, &proof.tree], progress)?;
    let late: BTreeSet<String> = draft.search.fired.keys().cloned().collect();
    for suspects in [late, draft.recipe.lazy.clone()] {
        let undone: BTreeSet<String> = proof.recipe.lazy.intersection(&suspects).cloned().collect();
        if draft.given.is_some() || undone.is_empty() || !measured.worse(draft.profit) {
            continue;
        }
        for id in undone {
            proof.recipe.lazy.remove(&id);
            proof.pinned.insert(id, SLOWER.to_owned());
        }
        proof.recipe.lazy = subject.candidates.effective(&proof.recipe.lazy);
        // What is not deferred any more must not be missing when the function starts.
        let Proof { recipe, pinned, .. } = &mut proof;
        draft.choose_again(subject, recipe, pinned, progress)?;
        proof.tree = materialise(subject, &proof.recipe, "after")?;
        measured = measured.again(subject, options, [before, &proof.tree], progress)?;
    }
    Ok((proof, measured))
}
