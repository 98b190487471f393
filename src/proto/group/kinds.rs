//! What is said beside plain lines: topics, answers, and what is taken back.
//!
//! An answer and a redaction name their message by their first dependency, so that they stand
//! behind it. A redaction by another than the author of what it names is kept and shown as
//! nothing; whose that was, the store knows.

use serde_json::Value;

use super::membership::described;
use super::room::Room;
use super::{Cx, Group, Pending, Refusal};
use crate::durable::{Batch, Durability, HistoryQuery, LineRow, LogKey, Query, Row, Talk, Write};
use crate::id::{MessageId, RoomTag};
use crate::limits::ENTRY_BODY_LEN_MAX;
use crate::text::{DisplayText, RoomName};
use crate::wire::{Entry, EntryKind};

/// Lines in which the topic is looked for at the start.
const TOPIC_LINES: usize = 200;

/// What waits for the store's word on what was said.
pub(super) enum Asked {
    /// Whose is what this entry takes back?
    Redaction { room: RoomTag, entry: Box<Entry> },
    /// An own message is to be taken back.
    Own {
        id: MessageId,
        reference: Option<Value>,
    },
    /// The bytes of what was taken back.
    Body { room: RoomTag, log: LogKey },
    /// The last lines of a room, for its topic.
    Topic { room: RoomTag },
}

impl Group {
    /// Says what a room is about.
    ///
    /// # Errors
    /// Too long, or as [`Group::say`].
    pub fn set_topic(
        &mut self,
        cx: &mut Cx,
        name: &RoomName,
        text: &str,
        reference: Option<Value>,
    ) -> Result<(), Refusal> {
        let text = DisplayText::line(text);
        if text.as_str().len() > ENTRY_BODY_LEN_MAX {
            let sentence = "this is too long for a topic".to_owned();
            return Err(("too_long", sentence, "write less".into()));
        }
        let body = text.as_str().as_bytes().to_vec();
        let tag = self.addressed(cx, name)?;
        self.say_entry(cx, tag, (EntryKind::TOPIC, body, None), reference)
    }

    /// Takes an own message back: once the store said that it is one.
    pub fn redact(&mut self, cx: &mut Cx, id: MessageId, reference: Option<Value>) {
        let token = cx.core.load(Query::Message { id });
        let asked = Asked::Own { id, reference };
        self.pending.insert(token, Pending::Asked(asked));
    }

    /// Asks the store whose is what was taken back, of all that came since the last call.
    pub(super) fn judge(&mut self, cx: &mut Cx) {
        for (tag, room) in &mut self.rooms {
            for entry in std::mem::take(&mut room.seat.unjudged) {
                let Some(&id) = entry.deps.first() else {
                    continue;
                };
                let id = MessageId(id);
                let token = cx.core.load(Query::Message { id });
                let asked = Asked::Redaction {
                    room: *tag,
                    entry: Box::new(entry),
                };
                self.pending.insert(token, Pending::Asked(asked));
            }
        }
    }

    /// Looks for the topic in what is kept of a room.
    pub(super) fn recall_topics(&mut self, cx: &mut Cx) {
        if cx.core.config.transient {
            return;
        }
        for (tag, room) in &mut self.rooms {
            if std::mem::replace(&mut room.seat.recalled, true) || !room.seat.joined {
                continue;
            }
            let query = HistoryQuery::last(Talk::Room(room.id), TOPIC_LINES);
            let token = cx.core.load(Query::History(query));
            let asked = Asked::Topic { room: *tag };
            self.pending.insert(token, Pending::Asked(asked));
        }
    }

    /// The store answered to one of these.
    pub(super) fn answered(&mut self, cx: &mut Cx, asked: Asked, rows: &[Row]) {
        let lines = || rows.iter().filter_map(line_of);
        match asked {
            Asked::Redaction { room, entry } => self.judged(cx, room, &entry, lines().next()),
            Asked::Own { id, reference } => {
                if let Err(refusal) = self.redact_own(cx, id, lines().next(), reference.clone()) {
                    cx.core.refuse(reference, refusal);
                }
            }
            Asked::Body { room, log } => {
                if let Some(Row::Entry { seq, bytes }) = rows.first() {
                    self.forget_body(cx, room, log, *seq, bytes);
                }
            }
            Asked::Topic { room } => {
                let Some(room) = self.rooms.get_mut(&room) else {
                    return;
                };
                for line in lines().filter(|line| line.kind == EntryKind::TOPIC.0) {
                    let text = line.body.as_deref().and_then(DisplayText::from_wire);
                    room.seat.note_topic((line.hlc, line.author), text);
                }
                tell(room, cx);
            }
        }
    }

    fn judged(&mut self, cx: &mut Cx, tag: RoomTag, entry: &Entry, line: Option<&LineRow>) {
        let Some(room) = self.rooms.get_mut(&tag) else {
            return;
        };
        let author = entry.author_id();
        let Some(line) = line else {
            // Perhaps it comes later.
            room.seat.note_early(entry);
            return;
        };
        if line.author != author || line.talk != Talk::Room(room.id) {
            return;
        }
        let own = author == cx.core.identity.id();
        let from = match own {
            true => cx.own_reference(),
            false => cx.presence.reference_of(&entry.author),
        };
        let event = room.show(from, entry, own, false);
        cx.core.event(event);
        let Some((epoch, seq)) = line.at.filter(|_| line.body.is_some()) else {
            return;
        };
        let log = LogKey {
            room: room.id,
            author,
            epoch,
        };
        let token = cx.core.load(Query::Entries {
            room: room.id,
            author,
            epoch,
            seqs: vec![seq],
            network: None,
        });
        let asked = Asked::Body { room: tag, log };
        self.pending.insert(token, Pending::Asked(asked));
    }

    fn redact_own(
        &mut self,
        cx: &mut Cx,
        id: MessageId,
        line: Option<&LineRow>,
        reference: Option<Value>,
    ) -> Result<(), Refusal> {
        let none = |sentence: &str| {
            let hint = "a message is named by its id".to_owned();
            ("no_such_message", sentence.to_owned(), hint)
        };
        let line = line.ok_or_else(|| none("there is no such message here"))?;
        if line.author != cx.core.identity.id() {
            let sentence = "only who said it can take it back".to_owned();
            return Err(("not_yours", sentence, "ask its author".into()));
        }
        let Talk::Room(of) = line.talk else {
            return Err(none("only what was said in a room can be taken back"));
        };
        if line.body.is_none() {
            return Err(none("it was taken back already"));
        }
        let tag = of.tag();
        if self.rooms.get(&tag).is_none_or(|room| !room.seat.joined) {
            return Err(none("you are not in its room any more"));
        }
        let said = (EntryKind::REDACTION, Vec::new(), Some(id.0));
        self.say_entry(cx, tag, said, reference)
    }

    /// What was taken back is kept without its body from now on.
    fn forget_body(&mut self, cx: &mut Cx, tag: RoomTag, log: LogKey, seq: u32, bytes: &[u8]) {
        let Some(room) = self.rooms.get_mut(&tag) else {
            return;
        };
        if let Some(entry) = Entry::parse(bytes).ok().filter(|entry| entry.seq == seq) {
            keep_stub(room, cx, log, &entry);
        }
    }

    /// A genuine redaction was seen: what is left of what it names may come.
    pub fn note_taken_back(&mut self, entry: &Entry) {
        if let Some(room) = self.rooms.get_mut(&entry.room) {
            room.seat.note_early(entry);
        }
    }

    /// Whether what is left of an entry may be believed: its author's redaction is held.
    pub(super) fn is_taken_back(&self, entry: &Entry) -> bool {
        let room = self.rooms.get(&entry.room);
        room.is_some_and(|room| room.is_taken_back(entry))
    }
}

/// Keeps an entry without its body from now on.
pub(super) fn keep_stub(room: &mut Room, cx: &mut Cx, log: LogKey, entry: &Entry) {
    let (seq, bytes) = (entry.seq, entry.stub().bytes);
    if log.author == cx.core.identity.id() {
        room.own.put_stub((log.epoch, seq), &bytes);
    } else if let Some(held) = room.logs.get_mut(&(log.author, log.epoch)) {
        held.forget(seq);
    }
    cx.core.persist(Batch {
        durability: Durability::Process,
        writes: vec![Write::Stub { log, seq, bytes }],
    });
}

/// Tells people of a room if they were told something else.
pub(super) fn tell(room: &mut Room, cx: &mut Cx) {
    if room.seat.joined && room.seat.take_news() {
        cx.core.event(described(room));
    }
}

fn line_of(row: &Row) -> Option<&LineRow> {
    match row {
        Row::Line(line) => Some(line),
        _ => None,
    }
}
