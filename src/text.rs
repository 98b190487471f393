//! Untrusted bytes to text that may be shown: [`DisplayText`], names and their look-alikes.
//!
//! Made once, at the parse boundary, from every string that comes from outside.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

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
            text.chars()
                .filter(|&c| c == '\n' || is_visible(c))
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
        let text = DisplayText::line(std::str::from_utf8(bytes).ok()?).0;
        let text: String = text.chars().filter(|c| !RESERVED.contains(c)).collect();
        Self::new(text.trim()).ok()
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form by which look-alikes are found (UTS 39), of its lower case.
    #[must_use]
    pub fn skeleton(&self) -> String {
        unicode_security::skeleton(&self.0.to_lowercase()).collect()
    }
}

impl RoomName {
    /// A room name with or without `#`, normalised.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let name: String = text
            .strip_prefix('#')
            .unwrap_or(text)
            .to_lowercase()
            .nfc()
            .collect();
        check_name(&name)?;
        match name.chars().find(|c| c.is_whitespace()) {
            Some(c) => Err(NameError::Forbidden(c)),
            None => Ok(RoomName(name)),
        }
    }

    /// The name without `#`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl StatusText {
    /// A status text, cut at 48 bytes.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut line = DisplayText::line(text).0.trim().to_owned();
        while line.len() > STATUS_LEN_MAX {
            line.pop();
        }
        StatusText(line)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const RESERVED: [char; 4] = ['#', '@', '~', '/'];

fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_LEN_MAX {
        return Err(NameError::TooLong(name.len()));
    }
    if let Some(c) = name
        .chars()
        .find(|&c| !is_visible(c) || RESERVED.contains(&c))
    {
        return Err(NameError::Forbidden(c));
    }
    if name.trim() != name {
        return Err(NameError::Space);
    }
    Ok(())
}

/// Whether a character may be shown: no control, no bidi control, nothing of zero width.
fn is_visible(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
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
