//! Untrusted bytes to text that may be shown: [`DisplayText`], names and their look-alikes.
//!
//! Made once, at the parse boundary, from every string that comes from outside. What is dropped:
//! control characters (C0, DEL, C1) but the newline, line and paragraph separators, bidi
//! controls, tag characters and everything else that Unicode calls default ignorable, so that
//! nothing hides; a zero width joiner outside emoji; a variation selector after a base that has
//! no such variant; a combining mark without a base, and the fifth one on a base.

mod shown;

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use crate::limits::{NAME_LEN_MAX, STATUS_LEN_MAX};
use shown::{has_ink, is_blank, is_ignorable, judged, stacks};

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
        // Most text, and fast: nothing printable in ASCII depends on what stands beside it.
        if text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\n')) {
            return DisplayText(text.to_owned());
        }
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

#[cfg(test)]
mod tests;
