//! The input line: editing by grapheme, and the recall of what was typed.

use std::collections::VecDeque;

use unicode_segmentation::UnicodeSegmentation;

use crate::limits::PRIVATE_BODY_LEN_MAX;
use crate::text::DisplayText;

/// A text being typed and the place of the cursor in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Editor {
    text: String,
    /// In bytes, always between graphemes.
    cursor: usize,
}

impl Editor {
    /// An editor of this text, the cursor at its end.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Editor {
            text: text.to_owned(),
            cursor: text.len(),
        }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The cursor, in bytes from the start of the text.
    #[must_use]
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Whether nothing is typed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Takes the text out and leaves an empty line.
    pub fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Puts a character or pasted text at the cursor, without what others would not see either.
    /// Returns whether all of it found room.
    pub fn insert(&mut self, text: &str) -> bool {
        let text = text
            .replace("\r\n", "\n")
            .replace('\r', "\n")
            .replace('\t', "    ");
        let mut clean = DisplayText::sanitize(&text).into_string();
        let mut room = PRIVATE_BODY_LEN_MAX.saturating_sub(self.text.len());
        let fits = clean.len() <= room;
        if !fits {
            while !clean.is_char_boundary(room) {
                room -= 1;
            }
            clean.truncate(room);
        }
        self.text.insert_str(self.cursor, &clean);
        self.cursor += clean.len();
        self.settle();
        fits
    }

    /// Replaces the bytes from `start` to the cursor.
    pub fn replace_back_to(&mut self, start: usize, text: &str) {
        self.delete(start, self.cursor);
        self.insert(text);
    }

    /// One grapheme to the left.
    pub fn left(&mut self) {
        self.cursor = self.before();
    }

    /// One grapheme to the right.
    pub fn right(&mut self) {
        self.cursor = self.after();
    }

    /// To the start of the word before.
    pub fn word_left(&mut self) {
        self.cursor = self.word_start();
        self.settle();
    }

    /// To the end of the word after.
    pub fn word_right(&mut self) {
        let rest = &self.text[self.cursor..];
        let skipped = rest.len() - rest.trim_start().len();
        let word = rest[skipped..].find(char::is_whitespace);
        self.cursor += word.map_or(rest.len(), |length| skipped + length);
        self.settle();
    }

    /// To the start of the line.
    pub fn line_start(&mut self) {
        self.cursor = self.start_of_line();
    }

    /// To the end of the line.
    pub fn line_end(&mut self) {
        self.cursor = self.end_of_line();
    }

    /// Deletes the grapheme before the cursor.
    pub fn delete_back(&mut self) {
        self.delete(self.before(), self.cursor);
    }

    /// Deletes the grapheme after the cursor.
    pub fn delete_forward(&mut self) {
        self.delete(self.cursor, self.after());
    }

    /// Deletes the word before the cursor.
    pub fn delete_word(&mut self) {
        self.delete(self.word_start(), self.cursor);
    }

    /// Deletes from the start of the line; on an empty stretch, the newline before it.
    pub fn delete_to_start(&mut self) {
        let start = self.start_of_line();
        let start = if start == self.cursor {
            self.before()
        } else {
            start
        };
        self.delete(start, self.cursor);
    }

    /// Deletes to the end of the line.
    pub fn delete_to_end(&mut self) {
        self.delete(self.cursor, self.end_of_line());
    }

    /// Moves a line up within the text; false on its first line.
    pub fn line_up(&mut self) -> bool {
        let start = self.start_of_line();
        if start == 0 {
            return false;
        }
        let column = self.text[start..self.cursor].graphemes(true).count();
        let above = self.text[..start - 1].rfind('\n').map_or(0, |at| at + 1);
        self.go_to_column(above, start - 1, column);
        true
    }

    /// Moves a line down within the text; false on its last line.
    pub fn line_down(&mut self) -> bool {
        let end = self.end_of_line();
        if end == self.text.len() {
            return false;
        }
        let column = self.text[self.start_of_line()..self.cursor]
            .graphemes(true)
            .count();
        let below = self.text[end + 1..]
            .find('\n')
            .map_or(self.text.len(), |at| end + 1 + at);
        self.go_to_column(end + 1, below, column);
        true
    }

    fn go_to_column(&mut self, start: usize, end: usize, column: usize) {
        self.cursor = self.text[start..end]
            .grapheme_indices(true)
            .nth(column)
            .map_or(end, |(at, _)| start + at);
    }

    fn start_of_line(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1)
    }

    fn end_of_line(&self) -> usize {
        self.text[self.cursor..]
            .find('\n')
            .map_or(self.text.len(), |at| self.cursor + at)
    }

    fn before(&self) -> usize {
        self.text[..self.cursor]
            .grapheme_indices(true)
            .next_back()
            .map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        self.text[self.cursor..]
            .graphemes(true)
            .next()
            .map_or(self.cursor, |next| self.cursor + next.len())
    }

    fn word_start(&self) -> usize {
        let before = self.text[..self.cursor].trim_end();
        before
            .char_indices()
            .rfind(|(_, c)| c.is_whitespace())
            .map_or(0, |(at, c)| at + c.len_utf8())
    }

    fn delete(&mut self, start: usize, end: usize) {
        self.text.replace_range(start..end, "");
        self.cursor = start;
        self.settle();
    }

    /// What was typed or deleted may have joined the graphemes around the cursor: moves it to
    /// the end of the one it stands in.
    fn settle(&mut self) {
        let mut at = 0;
        // Graphemes never reach over a newline, but for `\r\n`, which is not in the text.
        let start = self.start_of_line();
        for grapheme in self.text[start..].graphemes(true) {
            if start + at >= self.cursor {
                break;
            }
            at += grapheme.len();
        }
        self.cursor = start + at;
    }
}

/// Lines kept for recall.
const RECALL_LINES_MAX: usize = 200;

/// What was typed, to be recalled.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recall {
    lines: VecDeque<String>,
    /// Which one is shown, from the newest; none for the line being typed.
    at: Option<usize>,
    /// What was being typed when the recall began.
    stash: String,
}

impl Recall {
    /// Remembers a line and ends the recall.
    pub fn push(&mut self, line: &str) {
        self.at = None;
        self.stash.clear();
        if line.is_empty() || self.lines.front().is_some_and(|last| last == line) {
            return;
        }
        self.lines.push_front(line.to_owned());
        self.lines.truncate(RECALL_LINES_MAX);
    }

    /// The line before the one shown; nothing if there is none.
    pub fn older(&mut self, shown: &str) -> Option<String> {
        let next = self.at.map_or(0, |at| at + 1);
        let line = self.lines.get(next)?.clone();
        if self.at.is_none() {
            self.stash = shown.to_owned();
        }
        self.at = Some(next);
        Some(line)
    }

    /// The line after the one shown, at last what was being typed; nothing outside a recall.
    pub fn newer(&mut self) -> Option<String> {
        let at = self.at?;
        if at == 0 {
            self.at = None;
            return Some(std::mem::take(&mut self.stash));
        }
        self.at = Some(at - 1);
        self.lines.get(at - 1).cloned()
    }

    /// Ends the recall: what is shown is now what is being typed.
    pub fn stop(&mut self) {
        self.at = None;
        self.stash.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Edit = fn(&mut Editor);
    const EDITS: &[Edit] = &[
        Editor::left,
        Editor::right,
        Editor::word_left,
        Editor::word_right,
        Editor::line_start,
        Editor::line_end,
        Editor::delete_back,
        Editor::delete_forward,
        Editor::delete_word,
        Editor::delete_to_start,
        Editor::delete_to_end,
        |e| _ = e.line_up(),
        |e| _ = e.line_down(),
        |e| _ = e.insert("x"),
        |e| _ = e.insert("\u{301}"),
        |e| _ = e.insert("🇩"),
        |e| _ = e.insert("\n"),
        |e| _ = e.insert("日 "),
    ];

    #[test]
    fn a_grapheme_is_one_step_and_one_deletion() {
        let mut line = Editor::new("ae\u{301}🇩🇪");
        line.left();
        assert_eq!(line.cursor(), 4);
        line.delete_back();
        assert_eq!(line.text(), "a🇩🇪");
        line.delete_forward();
        assert_eq!(line.text(), "a");
    }

    #[test]
    fn words_and_lines() {
        let mut line = Editor::new("one two\nthree four");
        line.word_left();
        line.delete_word();
        assert_eq!(line.text(), "one two\nfour");
        line.line_start();
        assert_eq!(line.cursor(), 8);
        assert!(line.line_up());
        assert_eq!(line.cursor(), 0);
        line.word_right();
        assert_eq!(line.cursor(), 3);
        line.delete_to_end();
        assert_eq!(line.text(), "one\nfour");
        assert!(line.line_down());
        assert_eq!(line.cursor(), 7);
        line.delete_to_start();
        assert_eq!(line.text(), "one\nr");
    }

    #[test]
    fn what_is_pasted_is_cleaned_and_bounded() {
        let mut line = Editor::default();
        assert!(line.insert("a\r\nb\rc\x1b[31m\td"));
        assert_eq!(line.text(), "a\nb\nc[31m    d");
        assert!(!line.insert(&"é".repeat(PRIVATE_BODY_LEN_MAX)));
        assert!(line.text().len() <= PRIVATE_BODY_LEN_MAX);
    }

    #[test]
    fn recall_goes_back_and_returns_to_the_draft() {
        let mut recall = Recall::default();
        assert_eq!(recall.older("x"), None);
        for line in ["one", "two", "two"] {
            recall.push(line);
        }
        assert_eq!(recall.older("draft").as_deref(), Some("two"));
        assert_eq!(recall.older("two").as_deref(), Some("one"));
        assert_eq!(recall.older("one"), None);
        assert_eq!(recall.newer().as_deref(), Some("two"));
        assert_eq!(recall.newer().as_deref(), Some("draft"));
        assert_eq!(recall.newer(), None);
    }

    proptest! {
        #[test]
        fn the_cursor_always_stands_between_graphemes(edits in prop::collection::vec(0..EDITS.len(), 0..60)) {
            let mut line = Editor::default();
            for edit in edits {
                EDITS[edit](&mut line);
                let ends = line.text().grapheme_indices(true).map(|(at, g)| at + g.len());
                prop_assert!(line.cursor() == 0 || ends.into_iter().any(|at| at == line.cursor()));
            }
        }
    }
}
