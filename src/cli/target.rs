//! Who a message is for, and the sentences about what became of it.

use std::time::Duration;

use crate::api::{Event, PeerRef, ReceiptState};
use crate::control::people::{Person, Roster, line};
use crate::error::{ExitCode, UserError};
use crate::id::PeerId;
use crate::text::RoomName;

/// The room that is there even when nobody is in it.
const LOBBY: &str = "#lobby";

/// What a TARGET names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A person, as typed; the node finds out whom.
    Person(String),
    /// A room, normalised, with `#`.
    Room(String),
}

impl Target {
    /// The target of this text. A name that no room can have is left to the node to refuse.
    #[must_use]
    pub fn new(text: &str) -> Target {
        match text.strip_prefix('#').map(RoomName::new) {
            Some(Ok(room)) => Target::Room(format!("#{room}")),
            Some(Err(_)) | None => Target::Person(text.to_owned()),
        }
    }

    /// As `to` in `send`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Target::Person(name) | Target::Room(name) => name,
        }
    }

    /// Whether it is there even when nobody is in it.
    #[must_use]
    pub fn is_lobby(&self) -> bool {
        self.as_str() == LOBBY
    }

    /// Whether it is a room.
    #[must_use]
    pub fn is_room(&self) -> bool {
        matches!(self, Target::Room(_))
    }

    /// Whether it names one person whoever else is found: `name~tag`, or a whole id.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        match self {
            Target::Person(name) => name.contains('~') || name.parse::<PeerId>().is_ok(),
            Target::Room(_) => false,
        }
    }

    /// Whether a message to the target may be for this person: a room's counts those who are
    /// validated, as its receipts do.
    #[must_use]
    pub fn may_reach(&self, person: &Person) -> bool {
        let here = person.is_here() && !person.transient && !person.incompatible;
        match self {
            Target::Person(_) => here,
            Target::Room(room) => here && person.confirmed && person.rooms.contains(room),
        }
    }

    /// The line about a message whose last receipt says `delivered`.
    #[must_use]
    pub fn delivered(&self, receipt: &Event, roster: &Roster) -> String {
        let to = line(self.as_str());
        let Event::Receipt {
            delivered,
            of,
            left,
            ..
        } = receipt
        else {
            return format!("delivered to {to}");
        };
        let mut text = match self {
            Target::Person(_) => format!("delivered to {to}"),
            Target::Room(_) => format!("delivered to {delivered} of {of} in {to}"),
        };
        if !left.is_empty() {
            text += &format!("; meanwhile gone: {}", names(left, roster));
        }
        text
    }

    /// The wait passed without anybody to send it to.
    #[must_use]
    pub fn absent(&self, wait: Duration) -> UserError {
        let (seconds, to) = (wait.as_secs_f64(), line(self.as_str()));
        let verb = match self {
            Target::Person(_) => "is called",
            Target::Room(_) => "is in",
        };
        let message = format!("nobody found within {seconds} s {verb} {to}");
        UserError::new(ExitCode::NotFound, message).hint(match self {
            Target::Person(_) => "lanchat who lists the people found".to_owned(),
            Target::Room(_) => {
                format!("lanchat rooms lists the rooms; lanchat join '{to}' begins it")
            }
        })
    }

    /// The wait passed before everybody had it.
    #[must_use]
    pub fn late(&self, wait: Duration) -> UserError {
        let (seconds, to) = (wait.as_secs_f64(), line(self.as_str()));
        let message = format!("not delivered to {to} within {seconds} s");
        UserError::new(ExitCode::NotDelivered, message)
    }

    /// `error` with what its last receipt tells, if there was one: who lacks it, and what becomes
    /// of it. `kept`: whether the node has an outbox that outlives it.
    #[must_use]
    pub fn explain(
        &self,
        mut error: UserError,
        receipt: Option<&Event>,
        roster: &Roster,
        kept: bool,
    ) -> UserError {
        let (mut failed, mut had) = (false, 0);
        if let Some(Event::Receipt {
            state,
            delivered,
            of,
            missing,
            ..
        }) = receipt
        {
            (failed, had) = (*state == ReceiptState::Failed, *delivered);
            if self.is_room() {
                error.message += &format!(": {delivered} of {of} have it");
            }
            if self.is_room() && !missing.is_empty() {
                error.message += &format!(", missing: {}", names(missing, roster));
            }
        }
        error.hint(match self {
            Target::Room(_) if had > 0 => "who missed it gets it from those who have it",
            Target::Room(_) => "send it again when they can be reached",
            Target::Person(_) if failed => "it was given up: write it again when they are back",
            Target::Person(_) if kept => {
                "it is kept in the outbox and goes out when lanchat runs and they are here"
            }
            Target::Person(_) => "with --ephemeral it is not kept",
        })
    }
}

/// Nobody is there to hear it.
#[must_use]
pub fn nobody() -> UserError {
    UserError::new(ExitCode::NotDelivered, "nobody is here")
        .hint("start lanchat on another computer of this network, or name one with --peer ADDR")
}

fn names(peers: &[PeerRef], roster: &Roster) -> String {
    let names: Vec<String> = peers.iter().map(|peer| roster.label(peer)).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_normalised_and_people_are_left_as_typed() {
        assert_eq!(Target::new("#Lobby"), Target::Room("#lobby".into()));
        assert!(Target::new("#LOBBY").is_lobby());
        for text in ["ben~x3fa", "Ben Smith", "#", "#two words", "##", "", "@x"] {
            assert_eq!(Target::new(text), Target::Person(text.into()));
        }
    }
}
