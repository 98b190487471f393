//! What is said beside plain lines: topics, answers, and what is taken back.
//!
//! An answer and a redaction name their message by their first dependency, so that they stand
//! behind it. A redaction by another than the author of what it names is kept and shown as
//! nothing; whose that was, the store knows.

mod halves;
mod redact;
mod taken_back;

use serde_json::Value;

use self::halves::around;
pub(super) use self::taken_back::keep_stub;
use super::membership::described;
use super::room::Room;
use super::say::Saying;
use super::seat::LOCKED_BODY_LEN_MAX;
use super::{Cx, Group, Pending, Refusal};
use crate::durable::{Batch, Durability, HistoryQuery, LineRow, LogKey, Query, Row, Talk};
use crate::id::{MessageId, PeerId, RoomTag};
use crate::limits::ENTRY_PARTS_MAX;
use crate::text::{DisplayText, RoomName};
use crate::wire::{Entry, EntryKind};

/// Lines in which is looked, at the start, for what was taken back.
const LAST_LINES: usize = 200;

/// What waits for the store's word on what was said.
pub(super) enum Asked {
    /// Whose is what this entry takes back? With its key in the order.
    Redaction {
        room: RoomTag,
        entry: Box<Entry>,
        key: u64,
    },
    /// Did this author take this message back?
    Stub {
        room: RoomTag,
        author: PeerId,
        id: [u8; 16],
    },
    /// An own message is to be taken back.
    Own {
        id: MessageId,
        reference: Option<Value>,
    },
    /// The other parts of an own message that is to be taken back.
    Parts {
        room: RoomTag,
        first: (u64, MessageId),
        reference: Option<Value>,
    },
    /// The other parts of a message of which this one came; with its key where it is new.
    Half {
        room: RoomTag,
        entry: Box<Entry>,
        key: Option<u64>,
    },
    /// The bytes of what was taken back.
    Body { room: RoomTag, log: LogKey },
    /// What a room is about.
    Topic { room: RoomTag },
    /// The last lines of a room: what was taken back in them.
    Last { room: RoomTag },
    /// What was this author's to take back, in an earlier run.
    Left { room: RoomTag, author: PeerId },
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
        if text.as_str().len() > LOCKED_BODY_LEN_MAX {
            let sentence = "this is too long for a topic".to_owned();
            return Err(("too_long", sentence, "write less".into()));
        }
        let body = text.as_str().as_bytes().to_vec();
        let tag = self.addressed(cx, name)?;
        self.say_entry(
            cx,
            tag,
            Saying::new(EntryKind::TOPIC, body, None),
            reference,
        )
    }

    /// Takes an own message back: once the store said that it is one.
    pub fn redact(&mut self, cx: &mut Cx, id: MessageId, reference: Option<Value>) {
        let token = cx.core.load(Query::Message { id });
        let asked = Asked::Own { id, reference };
        self.pending.insert(token, Pending::Asked(asked));
    }

    /// Asks the store whose is what was taken back, of all that came since the last call, and
    /// keeps what is left of it.
    pub(super) fn judge(&mut self, cx: &mut Cx) {
        for (tag, room) in &mut self.rooms {
            let writes = std::mem::take(&mut room.seat.to_keep);
            if !writes.is_empty() {
                let token = cx.core.persist(Batch {
                    durability: Durability::Process,
                    writes: writes.clone(),
                });
                self.pending.insert(token, Pending::Keep(writes));
            }
            for (entry, key) in std::mem::take(&mut room.seat.halves) {
                let log = LogKey {
                    room: room.id,
                    author: entry.author_id(),
                    epoch: entry.epoch,
                };
                let first = entry.seq.saturating_sub(ENTRY_PARTS_MAX).max(1);
                let token = cx.core.load(around(log, first, entry.seq));
                let (room, entry) = (*tag, Box::new(entry));
                let asked = Asked::Half { room, entry, key };
                self.pending.insert(token, Pending::Asked(asked));
            }
            if room.seat.joined {
                room.seat.unjudged.append(&mut room.seat.unshown);
            }
            for (entry, key) in std::mem::take(&mut room.seat.unjudged) {
                let Some(&id) = entry.deps.first() else {
                    continue;
                };
                let id = MessageId(id);
                let token = cx.core.load(Query::Message { id });
                let asked = Asked::Redaction {
                    room: *tag,
                    entry: Box::new(entry),
                    key,
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
            let token = cx.core.load(Query::Topic { room: room.id });
            let asked = Asked::Topic { room: *tag };
            self.pending.insert(token, Pending::Asked(asked));
            let query = HistoryQuery::last(Talk::Room(room.id), LAST_LINES);
            let token = cx.core.load(Query::History(query));
            let asked = Asked::Last { room: *tag };
            self.pending.insert(token, Pending::Asked(asked));
        }
    }

    /// The store answered to one of these.
    pub(super) fn answered(&mut self, cx: &mut Cx, asked: Asked, rows: &[Row]) {
        let lines = || rows.iter().filter_map(line_of);
        match asked {
            Asked::Redaction { room, entry, key } => {
                self.judged(cx, room, (&entry, key), lines().next());
            }
            Asked::Stub { room, author, id } => {
                let takes_back = |row: &Row| match row {
                    Row::Held { bytes, .. } => Entry::parse(bytes).is_ok_and(|entry| {
                        entry.kind == EntryKind::REDACTION && entry.deps.first() == Some(&id)
                    }),
                    _ => false,
                };
                if let Some(room) = self.rooms.get_mut(&room)
                    && rows.iter().any(takes_back)
                {
                    room.seat.early.note(author, id);
                }
            }
            Asked::Own { id, reference } => {
                if let Err(refusal) = self.redact_own(cx, id, lines().next(), reference.clone()) {
                    cx.core.refuse(reference, refusal);
                }
            }
            Asked::Parts {
                room,
                first,
                reference,
            } => {
                let done = self.take_back_parts(cx, (room, first), rows, reference.clone());
                if let Err(refusal) = done {
                    cx.core.refuse(reference, refusal);
                }
            }
            Asked::Half { room, entry, key } => self.whole_again(cx, room, (&entry, key), rows),
            Asked::Body { room, log } => {
                if let Some(Row::Entry { seq, bytes }) = rows.first() {
                    self.forget_body(cx, room, log, *seq, bytes);
                }
            }
            Asked::Topic { room } => {
                let Some(room) = self.rooms.get_mut(&room) else {
                    return;
                };
                // What is left of one that was taken back says nothing.
                let topics = lines().filter(|line| line.kind == EntryKind::TOPIC.0);
                for line in topics.filter(|line| line.body.is_some()) {
                    let text = line.body.as_deref().and_then(DisplayText::from_wire);
                    let (epoch, seq) = line.at.unwrap_or_default();
                    let at = (line.key, line.author, epoch, seq);
                    room.seat.note_topic(at, line.id, text);
                }
                tell(room, cx);
            }
            Asked::Last { room } => self.look_for_left(cx, room, lines()),
            Asked::Left { room, author } => self.forget_line(cx, room, &author, lines().next()),
        }
    }
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
