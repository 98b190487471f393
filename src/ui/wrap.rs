//! Widths by grapheme, and text broken into rows.

use std::ops::Range;

use ratatui::buffer::CellWidth;
use unicode_segmentation::UnicodeSegmentation;

/// Columns that a text takes on one row, as ratatui draws it.
#[must_use]
pub fn width(text: &str) -> usize {
    text.graphemes(true).map(grapheme_width).sum()
}

fn grapheme_width(grapheme: &str) -> usize {
    if grapheme.contains(char::is_control) {
        return 0;
    }
    usize::from(grapheme.cell_width())
}

/// The byte ranges of the rows that `text` takes in `columns` columns, broken at spaces where
/// there are any; the space at a break is in no row. Each newline starts a row. A range is
/// never wider than `columns`, but for one grapheme that alone is.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<Range<usize>> {
    let mut rows = Vec::new();
    let mut start = 0;
    for line in text.split('\n') {
        wrap_line(line, start, columns.max(1), &mut rows);
        start += line.len() + 1;
    }
    rows
}

fn wrap_line(line: &str, offset: usize, columns: usize, rows: &mut Vec<Range<usize>>) {
    let mut start = 0;
    let mut used = 0;
    // After the last space of this row: where the next row would start, and its width so far.
    let mut word: Option<(usize, usize)> = None;
    for (at, grapheme) in line.grapheme_indices(true) {
        let wide = grapheme_width(grapheme);
        if grapheme == " " {
            if used + wide > columns {
                rows.push(offset + start..offset + at);
                (start, used, word) = (at + 1, 0, None);
            } else {
                used += wide;
                word = Some((at + 1, 0));
            }
            continue;
        }
        if used + wide > columns && at > start {
            match word {
                Some((next, in_word)) if in_word + wide <= columns => {
                    rows.push(offset + start..offset + next - 1);
                    (start, used) = (next, in_word);
                }
                _ => {
                    rows.push(offset + start..offset + at);
                    (start, used) = (at, 0);
                }
            }
            word = None;
        }
        used += wide;
        if let Some((_, in_word)) = &mut word {
            *in_word += wide;
        }
    }
    rows.push(offset + start..offset + line.len());
}

/// The byte ranges of the rows of a text that is being edited: broken only where a row is full,
/// so that every byte but the newlines is in a row.
#[must_use]
pub fn fold(text: &str, columns: usize) -> Vec<Range<usize>> {
    let mut rows = Vec::new();
    let mut offset = 0;
    for line in text.split('\n') {
        let (mut start, mut used) = (0, 0);
        for (at, grapheme) in line.grapheme_indices(true) {
            let wide = grapheme_width(grapheme);
            if used + wide > columns.max(1) && at > start {
                rows.push(offset + start..offset + at);
                (start, used) = (at, 0);
            }
            used += wide;
        }
        rows.push(offset + start..offset + line.len());
        offset += line.len() + 1;
    }
    rows
}

/// `text` cut to `columns`, with `…` where something was cut.
#[must_use]
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut used = 1;
    let mut out = String::new();
    for grapheme in text.graphemes(true) {
        used += grapheme_width(grapheme);
        if used > columns {
            break;
        }
        out.push_str(grapheme);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &str, columns: usize) -> Vec<&str> {
        wrap(text, columns).into_iter().map(|r| &text[r]).collect()
    }

    #[test]
    fn rows_break_at_spaces_then_anywhere() {
        assert_eq!(rows("", 5), [""]);
        assert_eq!(rows("one two three", 8), ["one two", "three"]);
        assert_eq!(rows("one two three", 7), ["one two", "three"]);
        assert_eq!(rows("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(rows("a abcdefgh", 4), ["a", "abcd", "efgh"]);
        assert_eq!(rows("a\n\nb", 4), ["a", "", "b"]);
        assert_eq!(rows("ab  cd", 2), ["ab", "", "cd"]);
    }

    #[test]
    fn wide_characters_and_sequences_stay_whole() {
        assert_eq!(rows("日本語", 4), ["日本", "語"]);
        assert_eq!(rows("日本", 1), ["日", "本"]);
        assert_eq!(
            rows("e\u{301}e\u{301}e\u{301}", 2),
            ["e\u{301}e\u{301}", "e\u{301}"]
        );
        assert_eq!(width("🇩🇪"), 2);
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abc", 0), "");
    }

    proptest! {
        #[test]
        fn no_row_is_too_wide_and_nothing_but_breaks_is_lost(
            text in "[a-z 日é🎉\n\u{301}]{0,60}", columns in 2usize..12,
        ) {
            let kept = rows(&text, columns);
            for row in &kept {
                prop_assert!(width(row) <= columns, "{row:?}");
            }
            let solid = |s: &str| s.replace([' ', '\n'], "");
            prop_assert_eq!(solid(&kept.concat()), solid(&text));
            let folded: String = fold(&text, columns).into_iter().map(|r| &text[r]).collect();
            prop_assert_eq!(folded, text.replace('\n', ""));
        }
    }
}
