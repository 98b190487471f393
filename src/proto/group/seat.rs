//! What this node has to do with a room beside its logs: whether it is in it, and who else is.

use std::collections::BTreeSet;

use crate::id::PeerId;
use crate::proto::presence::Presence;
use crate::proto::presence::roster::Peer;
use crate::text::{DisplayText, RoomName};
use crate::wire::{Entry, RecordRoom};

/// Redactions of what is not held, for when it comes.
const EARLY_MAX: usize = 1024;

/// A node's place in a room.
#[derive(Debug)]
pub struct Seat {
    /// Whether this node is in it. It may have said something in an open room without being so.
    pub joined: bool,
    /// The room as records list it.
    pub listed: RecordRoom,
    /// Who else was in it at the last look.
    pub members: BTreeSet<PeerId>,
    /// What it is about.
    pub topic: String,
    /// When and by whom that was said.
    pub topic_at: Option<(u64, PeerId)>,
    /// Whether the topic was looked for in what is kept.
    pub recalled: bool,
    /// Redactions that were shown and of which it is not known whose message they name.
    pub unjudged: Vec<Entry>,
    /// Messages not held that their authors took back.
    pub early: BTreeSet<([u8; 16], PeerId)>,
    /// What people were told last: whether joined, how it is about, who is in it.
    pub told: Option<(bool, String, BTreeSet<PeerId>)>,
}

impl Seat {
    /// In an open room.
    #[must_use]
    pub fn open(name: &RoomName) -> Seat {
        Seat {
            joined: true,
            listed: RecordRoom::Public(name.clone()),
            members: BTreeSet::new(),
            topic: String::new(),
            topic_at: None,
            recalled: false,
            unjudged: Vec::new(),
            early: BTreeSet::new(),
            told: None,
        }
    }

    /// Somebody took something back that may not have come yet.
    pub fn note_early(&mut self, redaction: &Entry) {
        if let Some(&id) = redaction.deps.first() {
            self.early.insert((id, redaction.author_id()));
            while self.early.len() > EARLY_MAX {
                self.early.pop_first();
            }
        }
    }

    /// Whether this peer says to be in the room.
    #[must_use]
    pub fn lists(&self, peer: &Peer) -> bool {
        peer.record.rooms.contains(&self.listed)
    }

    /// Who is here and in the room, this node left out.
    pub fn members<'a>(&'a self, presence: &'a Presence) -> impl Iterator<Item = &'a Peer> {
        presence.roster.members().filter(|peer| self.lists(peer))
    }

    /// How many were in the room at the last look, this node among them: the G of the timers.
    #[must_use]
    pub fn population(&self) -> usize {
        1 + self.members.len()
    }

    /// Somebody said what the room is about; what was said later stays.
    pub fn note_topic(&mut self, at: (u64, PeerId), text: Option<DisplayText>) {
        if self.topic_at.is_none_or(|before| before < at) {
            self.topic_at = Some(at);
            self.topic = text.map_or_else(String::new, |text| {
                DisplayText::line(text.as_str()).into_string()
            });
        }
    }

    /// Whether people were told something else of it than what is so now.
    #[must_use]
    pub fn take_news(&mut self) -> bool {
        let now = (self.joined, self.topic.clone(), self.members.clone());
        let is_news = self.told.as_ref() != Some(&now);
        self.told = Some(now);
        is_news
    }
}
