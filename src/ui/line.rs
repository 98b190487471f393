//! A line of a conversation, as it is kept: what was said, who came and went, and what the program says.

use crate::api::{ReceiptState, TextKind, Timestamp};
use crate::id::{MessageId, PeerId};

/// A line of a conversation.
#[derive(Clone, PartialEq, Debug)]
pub enum Line {
    /// Somebody said or did something.
    Said(Said),
    /// People came and went.
    Presence {
        /// When the last of them did.
        time: Timestamp,
        /// Who, each once, with the last that they did.
        changes: Vec<Change>,
    },
    /// Lines of somebody are missing.
    Gap {
        /// When that was told.
        time: Timestamp,
        /// Whose.
        from: PeerId,
        /// Their name then.
        name: String,
        /// How many.
        missing: u32,
    },
    /// Something that the program says.
    Note {
        /// When.
        time: Timestamp,
        /// What.
        text: String,
        /// Whether it is a warning.
        alert: bool,
    },
}

impl Line {
    /// When.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        match self {
            Line::Said(said) => said.time,
            Line::Presence { time, .. } | Line::Gap { time, .. } | Line::Note { time, .. } => *time,
        }
    }

    /// Bytes it counts for: its text and a flat charge for the rest.
    pub(super) fn cost(&self) -> usize {
        64 + match self {
            Line::Said(said) => said.text.len() + said.name.len(),
            Line::Presence { changes, .. } => changes.len() * 64,
            Line::Gap { name, .. } => name.len(),
            Line::Note { text, .. } => text.len(),
        }
    }
}

/// What somebody said.
#[derive(Clone, PartialEq, Debug)]
pub struct Said {
    /// The message.
    pub id: MessageId,
    /// Who said it.
    pub from: PeerId,
    /// Their name then.
    pub name: String,
    /// Whether it was this node.
    pub own: bool,
    /// Said or done.
    pub kind: TextKind,
    /// What.
    pub text: String,
    /// When, by the author's clock.
    pub time: Timestamp,
    /// By how many milliseconds the clock of its author was off, ahead if positive.
    pub clock_off: Option<i64>,
    /// Whether it came too late for its place.
    pub delayed: bool,
    /// How an own one stands, once that is known.
    pub mark: Option<Mark>,
    /// The message that it answers.
    pub answers: Option<MessageId>,
    /// Its author took it back.
    pub redacted: bool,
}

/// How an own message stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// In one word.
    pub state: ReceiptState,
    /// How many have it.
    pub delivered: u32,
    /// Of how many.
    pub of: u32,
}

/// Somebody came or went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Who.
    pub id: PeerId,
    /// Their name then.
    pub name: String,
    /// What they did.
    pub kind: ChangeKind,
}

/// What somebody did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeKind {
    /// Is here now.
    Online,
    /// Said goodbye.
    Left,
    /// Was given up.
    Offline,
    /// Is in this room now.
    Joined,
    /// Is in this room no longer.
    Parted,
}
