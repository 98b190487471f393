//! Untrusted bytes to text that may be shown: [`DisplayText`], names and their look-alikes.
//!
//! Made once, at the parse boundary, from every string that comes from outside. What is dropped:
//! control characters (C0, DEL, C1) but the newline, line and paragraph separators, bidi
//! controls, tag characters and everything else that Unicode calls default ignorable, so that
//! nothing hides; a zero width joiner outside emoji; a variation selector after a base that has
//! no such variant; a combining mark without a base, and the fifth one on a base.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

use crate::limits::{NAME_LEN_MAX, STATUS_LEN_MAX};

/// Text without anything that moves, hides or reorders what is around it. May hold newlines.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct DisplayText(String);

/// A person's name: 1 to 32 bytes, NFC, none of `# @ ~ /`, no space at its ends.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerName(String);

/// A room's name without `#`: as a person's, and lower-case and without spaces.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RoomName(String);

/// A status text: one line, at most 48 bytes, may be empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StatusText(String);

/// Why a text is no name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// Nothing left of it.
    #[error("it is empty")]
    Empty,
    /// More bytes than allowed.
    #[error("it is {0} bytes long, {max} are allowed", max = NAME_LEN_MAX)]
    TooLong(usize),
    /// Holds a character that names may not have.
    #[error("it holds the character {0:?}")]
    Forbidden(char),
    /// Starts or ends with a space.
    #[error("it starts or ends with a space")]
    Space,
}

impl DisplayText {
    /// `bytes` as text that may be shown, or nothing if they are not UTF-8.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok().map(Self::sanitize)
    }

    /// `text` without what may not be shown; newlines stay.
    #[must_use]
    pub fn sanitize(text: &str) -> Self {
        DisplayText(
            judged(text)
                .filter_map(|(c, shown)| shown.then_some(c))
                .collect(),
        )
    }

    /// The same on one line: newlines become spaces.
    #[must_use]
    pub fn line(text: &str) -> Self {
        DisplayText(Self::sanitize(text).0.replace('\n', " "))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl PeerName {
    /// A name that a person chose here.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let name: String = text.nfc().collect();
        check_name(&name)?;
        Ok(PeerName(name))
    }

    /// A name from outside: what may not be in it is dropped; nothing if that leaves no name.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        let text: String = std::str::from_utf8(bytes).ok()?.nfc().collect();
        let mut text = DisplayText::line(&text).0;
        text.retain(|c| !RESERVED.contains(&c));
        Self::new(trim(&DisplayText::line(&text).0)).ok()
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form by which look-alikes are found: the skeleton of UTS 39 without case, without
    /// spaces and marks that do not show, and with `I`, `i`, `l` and `1` as one letter.
    #[must_use]
    pub fn skeleton(&self) -> String {
        // Twice: the skeleton of a small letter may be a capital one (`0` is `O`).
        fold(&fold(&self.0))
    }
}

fn fold(text: &str) -> String {
    unicode_security::skeleton(&text.to_lowercase())
        .flat_map(char::to_lowercase)
        .filter(|&c| !c.is_whitespace() && !is_blank(c) && !is_ignorable(c))
        .map(|c| if c == 'i' { 'l' } else { c })
        .collect()
}

impl RoomName {
    /// A room name with or without `#`, normalised.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let name = text.strip_prefix('#').unwrap_or(text);
        let name: String = name
            .nfc()
            .collect::<String>()
            .to_lowercase()
            .nfc()
            .collect();
        check_name(&name)?;
        match name.chars().find(|c| c.is_whitespace()) {
            Some(c) => Err(NameError::Forbidden(c)),
            None => Ok(RoomName(name)),
        }
    }

    /// A room name from outside, without `#`; nothing unless it is normalised already. Nothing
    /// is dropped from it: that would make it the name of another room.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        Self::new(text).ok().filter(|name| name.0 == text)
    }

    /// The name without `#`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl StatusText {
    /// A status text: one line, cut before the character (as people count them) that would
    /// take it over 48 bytes.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let line = DisplayText::line(text).0;
        let mut len = 0;
        let fits = trim(&line).graphemes(true).take_while(|cluster| {
            len += cluster.len();
            len <= STATUS_LEN_MAX
        });
        StatusText(fits.collect::<String>().trim_end().to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const RESERVED: [char; 4] = ['#', '@', '~', '/'];

fn check_name(name: &str) -> Result<(), NameError> {
    if !name.chars().any(has_ink) {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_LEN_MAX {
        return Err(NameError::TooLong(name.len()));
    }
    let forbidden = |&(c, shown): &(char, bool)| !shown || c == '\n' || RESERVED.contains(&c);
    if let Some((c, _)) = judged(name).find(forbidden) {
        return Err(NameError::Forbidden(c));
    }
    if name.trim() != name {
        return Err(NameError::Space);
    }
    Ok(())
}

/// `line` without spaces at its ends, and without the marks that stood on one.
fn trim(line: &str) -> &str {
    line.trim_start_matches(|c: char| c.is_whitespace() || stacks(c))
        .trim_end()
}

/// Each character of `text`, and whether it may be shown where it stands. What it says of a text
/// does not change when the characters that may not are taken out.
fn judged(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut cluster = Cluster::default();
    let mut rest = text.chars();
    std::iter::from_fn(move || {
        let c = rest.next()?;
        Some((c, cluster.take(c, rest.clone().next())))
    })
}

const ZERO_WIDTH_JOINER: char = '\u{200d}';
const KEYCAP: char = '\u{20e3}';
const STACK_MAX: u8 = 4;

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
fn is_ignorable(c: char) -> bool {
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
fn stacks(c: char) -> bool {
    is_combining_mark(c) || matches!(c, '\u{1161}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7fb}')
}

/// Shows as nothing, and is not white space to Unicode.
fn is_blank(c: char) -> bool {
    matches!(c, '\u{2800}' | '\u{1d159}')
}

/// Whether a name of nothing else could be read.
fn has_ink(c: char) -> bool {
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

macro_rules! shown {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
shown!(DisplayText, PeerName, RoomName, StatusText);
