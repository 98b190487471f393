//! Which characters of a text may be shown where they stand.

use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

const ZERO_WIDTH_JOINER: char = '\u{200d}';
const KEYCAP: char = '\u{20e3}';
const STACK_MAX: u8 = 4;

/// Each character of `text`, and whether it may be shown where it stands. What it says of a text
/// does not change when the characters that may not are taken out.
pub(super) fn judged(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut cluster = Cluster::default();
    let mut rest = text.chars();
    std::iter::from_fn(move || {
        let c = rest.next()?;
        Some((c, cluster.take(c, rest.clone().next())))
    })
}

/// What was shown last: a base and what stands on it.
#[derive(Default)]
struct Cluster {
    /// None at the start of a line: a mark there would stand on what is left of the text.
    base: Option<char>,
    /// Combining marks on it.
    stacked: u8,
    /// Whether a variation selector or an emoji modifier chose its form.
    formed: bool,
}

impl Cluster {
    /// Whether `c` may be shown, with `next` right behind it.
    fn take(&mut self, c: char, next: Option<char>) -> bool {
        if c == '\n' {
            *self = Cluster::default();
            return true;
        }
        if c == ZERO_WIDTH_JOINER {
            return self.joins(next);
        }
        if is_variation_selector(c) {
            let suits = !self.formed && self.stacked == 0 && self.suits(c, next);
            self.formed |= suits;
            return suits;
        }
        if c.is_control() || is_ignorable(c) || is_hiding(c) {
            return false;
        }
        if stacks(c) {
            let room = self.base.is_some() && self.stacked < STACK_MAX;
            self.stacked += u8::from(room);
            return room;
        }
        let modifies = matches!(c, '\u{1f3fb}'..='\u{1f3ff}') && self.is_bare_emoji();
        if modifies {
            self.formed = true;
        } else {
            *self = Cluster {
                base: Some(c),
                ..Cluster::default()
            };
        }
        true
    }

    fn joins(&self, next: Option<char>) -> bool {
        self.stacked == 0 && self.base.is_some_and(is_pictograph) && next.is_some_and(is_pictograph)
    }

    fn is_bare_emoji(&self) -> bool {
        self.stacked == 0 && !self.formed && self.base.is_some_and(is_pictograph)
    }

    /// Whether the base has a variant that this selector chooses.
    fn suits(&self, selector: char, next: Option<char>) -> bool {
        let Some(base) = self.base else { return false };
        match selector {
            '\u{fe0e}' | '\u{fe0f}' => match base {
                '0'..='9' | '#' | '*' => next == Some(KEYCAP),
                _ => is_pictograph(base),
            },
            '\u{fe00}'..='\u{fe02}' | '\u{e0100}'..='\u{e01ef}' => is_han(base),
            _ => false,
        }
    }
}

fn is_variation_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Default_Ignorable_Code_Point (Unicode 16, DerivedCoreProperties.txt): no trace on the screen.
pub(super) fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Breaks the line, annotates or lays out what is around it, or is no character at all.
fn is_hiding(c: char) -> bool {
    matches!(c,
        '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}'
        | '\u{fdd0}'..='\u{fdef}')
        || (c as u32) & 0xfffe == 0xfffe
}

/// Stands on the base before it and takes no column: combining marks, and the vowels and finals
/// of Hangul written letter by letter.
pub(super) fn stacks(c: char) -> bool {
    is_combining_mark(c) || matches!(c, '\u{1161}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7fb}')
}

/// Shows as nothing, and is not white space to Unicode.
pub(super) fn is_blank(c: char) -> bool {
    matches!(c, '\u{2800}' | '\u{1d159}')
}

/// Whether a name of nothing else could be read.
pub(super) fn has_ink(c: char) -> bool {
    !(c.is_whitespace() || c.is_control() || is_blank(c) || is_ignorable(c) || stacks(c))
}

/// CJK unified and compatibility ideographs: what variation sequences other than emoji are for.
fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3fffd}')
}

/// Extended_Pictographic, asked of the segmentation tables: by rule GB11 of UAX 29 two of them
/// with a joiner between are one cluster, which no other two characters are but two marks.
fn is_pictograph(c: char) -> bool {
    let pair: String = [c, ZERO_WIDTH_JOINER, c].iter().collect();
    let on_a_letter: String = ['a', c].iter().collect();
    !c.is_ascii() && pair.graphemes(true).count() == 1 && on_a_letter.graphemes(true).count() == 2
}
