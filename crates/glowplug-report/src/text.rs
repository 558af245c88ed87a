//! Text that has to fit a width: shortening and wrapping by what a terminal shows.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns that `text` takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text`, or its beginning and `…` where it is wider than `limit`. Control characters, which names of files and
/// events may hold, are shown as `·`: they must not reach a terminal.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    let text = printable(text);
    if width(&text) <= limit {
        return text;
    }
    let mut short = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > limit {
            break;
        }
        short.push(character);
    }
    short.push('…');
    short
}

/// `text` without control characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

/// Breaks `text` at spaces into lines of at most `limit` columns; a longer word stays whole, since paths and
/// commands are copied from it. Lines after the first start with `indent` spaces.
pub(crate) fn wrap(text: &str, limit: usize, indent: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in printable(text).split_whitespace() {
        let wide = width(word);
        if used > 0 && used + 1 + wide > limit {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = indent;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += wide;
    }
    out
}

/// A factor for people: `1.07x`, `4.1x`, `12x`.
pub(crate) fn times(factor: f64) -> String {
    let digits = match factor {
        ..2.0 => 2,
        ..10.0 => 1,
        _ => 0,
    };
    format!("{factor:.digits$}x")
}

/// `1 event`, `2 events`.
pub(crate) fn plural(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortening_counts_columns_and_hides_controls() {
        assert_eq!(shorten("health", 6), "health");
        assert_eq!(shorten("process_data", 8), "process…");
        assert_eq!(shorten("日本語テキスト", 7), "日本語…");
        assert_eq!(shorten("a\u{1b}[31mb", 20), "a·[31mb");
    }

    #[test]
    fn wrapping_keeps_long_words_and_indents() {
        assert_eq!(wrap("one two three", 8, 2), "one two\n  three");
        assert_eq!(wrap("fileb://a/very/long/path.zip x", 8, 0), "fileb://a/very/long/path.zip\nx");
    }
}
