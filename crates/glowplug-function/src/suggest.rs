//! "Did you mean": the known word that is nearest to a misspelt one.

/// The nearest of `known`, where it is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= allowed(word.len().max(candidate.len())))
        .min()
        .map(|(_, candidate)| candidate)
}

/// One slip in four letters, and at least one.
fn allowed(length: usize) -> usize {
    (length / 4).max(1)
}

/// `a`, `b` and `c` as a sentence lists them.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood_and_other_words_are_not() {
        let known = ["handler", "memory", "timeout"];
        assert_eq!(nearest("handlr", known), Some("handler"));
        assert_eq!(nearest("Memroy", known), Some("memory"));
        assert_eq!(nearest("region", known), None);
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(listed([]), "nothing");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
