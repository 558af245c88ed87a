//! Bars of characters: when something ran, and how a whole divides.

/// Narrower bars say nothing.
pub(super) const NARROWEST: usize = 8;

/// A bar from `start` for `length` of a `whole` that is `columns` wide; at least one character.
pub(super) fn span(start: f64, length: f64, whole: f64, columns: usize, fill: char) -> String {
    if whole <= 0.0 || columns == 0 {
        return String::new();
    }
    let at = |value: f64| ((value.max(0.0) / whole) * columns as f64).round().min(columns as f64) as usize;
    let from = at(start).min(columns - 1);
    let filled = at(start + length).saturating_sub(from).max(1);
    " ".repeat(from) + &fill.to_string().repeat(filled)
}

/// The parts of a whole side by side, `columns` wide; a part that is less than half a column is left out.
pub(super) fn stacked(parts: &[(f64, char)], columns: usize) -> String {
    let whole: f64 = parts.iter().map(|(value, _)| value.max(0.0)).sum();
    if whole <= 0.0 {
        return String::new();
    }
    let mut bar = String::new();
    let (mut sum, mut filled) = (0.0, 0);
    for (value, fill) in parts {
        sum += value.max(0.0);
        let until = ((sum / whole) * columns as f64).round() as usize;
        bar.extend(std::iter::repeat_n(*fill, until - filled));
        filled = until;
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_within_their_columns() {
        assert_eq!(span(0.0, 50.0, 100.0, 10, '#'), "#####");
        assert_eq!(span(100.0, 5.0, 100.0, 10, '#'), "         #");
        assert_eq!(span(-3.0, 0.0, 100.0, 10, '#'), "#");
        assert_eq!(stacked(&[(1.0, 'a'), (2.0, 'b'), (0.001, 'c')], 9), "aaabbbbbb");
        assert_eq!(stacked(&[(0.0, 'a')], 9), "");
    }
}
