//! What is said beside plain lines: topics, answers, and what is taken back.
//!
//! An answer and a redaction name their message by their first dependency, so that they stand
//! behind it. A redaction by another than the author of what it names is kept and shown as
//! nothing; whose that was, the store knows.

mod redact;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::membership::described;
use super::own::OwnAt;
use super::parts::{Parts, Run, Whole};
use super::room::Room;
use super::say::Saying;
use super::seat::LOCKED_BODY_LEN_MAX;
use super::{Cx, Group, Pending, Refusal};
use crate::durable::{Batch, Durability, HistoryQuery, LineRow, LogKey, Query, Row, Talk, Write};
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
                let (first, last) = (entry.seq.saturating_sub(ENTRY_PARTS_MAX), entry.seq);
                let token = cx.core.load(Query::Range {
                    log: LogKey {
                        room: room.id,
                        author: entry.author_id(),
                        epoch: entry.epoch,
                    },
                    first: first.max(1),
                    last: last.saturating_add(ENTRY_PARTS_MAX),
                    bytes_max: usize::MAX,
                });
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

    /// A run may have ended between a redaction and what it takes back: the last ones are looked
    /// at again.
    fn look_for_left<'a>(
        &mut self,
        cx: &mut Cx,
        room: RoomTag,
        lines: impl Iterator<Item = &'a LineRow>,
    ) {
        for line in lines.filter(|line| line.kind == EntryKind::REDACTION.0) {
            let Some(&id) = line.deps.first() else {
                continue;
            };
            let (id, author) = (MessageId(id), line.author);
            let token = cx.core.load(Query::Message { id });
            let asked = Asked::Left { room, author };
            self.pending.insert(token, Pending::Asked(asked));
        }
    }

    /// The store has what is around a part: perhaps the message is whole now.
    fn whole_again(
        &mut self,
        cx: &mut Cx,
        tag: RoomTag,
        (entry, key): (&Entry, Option<u64>),
        rows: &[Row],
    ) {
        let Some(room) = self.rooms.get_mut(&tag) else {
            return;
        };
        let of = |row: &Row| match row {
            Row::Entry { bytes, .. } => Entry::parse(bytes).ok(),
            _ => None,
        };
        let at = (entry.author_id(), entry.epoch);
        let mut parts: BTreeMap<u32, Entry> = BTreeMap::new();
        let kept = rows.iter().filter_map(of);
        parts.extend(kept.map(|part| (part.seq, part)));
        // What waits here is not in the store where the disk is full.
        for seq in room.parts.joined(&at, entry) {
            let waiting = room.parts.get(&at, seq).cloned();
            let waiting = waiting.map(|part| (seq, part));
            parts.extend(waiting.filter(|_| !parts.contains_key(&seq)));
        }
        let mut around = Parts::default();
        let parts = parts.into_values().filter(|part| part.kind.is_part());
        let runs = parts.filter_map(|part| around.add(part, 0));
        let is_in = |run: &Run| run.entries.iter().any(|part| part.seq == entry.seq);
        let runs: Vec<Run> = runs.filter(is_in).collect();
        let Some((run, whole)) = runs.first().and_then(|run| Some((run, run.whole()?))) else {
            return;
        };
        let waits = |part: &Entry| room.parts.get(&at, part.seq).is_some();
        let is_new = key.is_some() || run.entries.iter().any(waits);
        let first = whole.first.seq;
        let last = run.entries.last().map_or(first, |part| part.seq);
        room.parts.remove(&at, first..=last);
        let id = MessageId::of_entry(&whole.first.hash(&room.id));
        // What came in earlier runs alone was shown then.
        if is_new && room.seat.seen.get(&id).is_none() {
            let key = key.unwrap_or(0).max(whole.first.hlc);
            room.say_line(cx, &whole, false, key);
        }
    }

    fn judged(
        &mut self,
        cx: &mut Cx,
        tag: RoomTag,
        (entry, key): (&Entry, u64),
        line: Option<&LineRow>,
    ) {
        let Some(room) = self.rooms.get_mut(&tag) else {
            return;
        };
        let author = entry.author_id();
        let Some(line) = line else {
            let id = entry.deps.first().copied().unwrap_or_default();
            let seen = room.seat.seen.get(&MessageId(id));
            if seen.is_some_and(|(of, _)| of != author) {
                return;
            }
            // Perhaps it comes later, or is kept later.
            room.seat.note_early(entry);
            let own = author == cx.core.identity.id();
            let part = room.seat.seen.part(&id).filter(|(of, _)| *of == author);
            if let Some(part) = part {
                // People see the redaction of the first one.
                return forget_bytes(room, own, part);
            }
            let Some((_, at)) = seen else { return };
            // It was shown, and is not kept.
            forget_bytes(room, own, (author, at));
            room.seat.take_topic_back(&MessageId(id));
            tell(room, cx);
            return show_redaction(room, cx, entry, key);
        };
        if line.author != author || line.talk != Talk::Room(room.id) {
            return;
        }
        // Of a message of several parts each is taken back; people see it once.
        if !EntryKind(line.kind).continues() {
            show_redaction(room, cx, entry, key);
        }
        self.forget_line(cx, tag, &author, Some(line));
    }

    /// Of a line that its author took back nothing but the stub is to be kept.
    fn forget_line(&mut self, cx: &mut Cx, tag: RoomTag, author: &PeerId, line: Option<&LineRow>) {
        let Some((room, line)) = self.rooms.get_mut(&tag).zip(line) else {
            return;
        };
        let is_theirs = line.author == *author && line.talk == Talk::Room(room.id);
        if is_theirs && line.kind == EntryKind::TOPIC.0 {
            room.seat.take_topic_back(&line.id);
            tell(room, cx);
        }
        let at = line.at.filter(|_| is_theirs && line.body.is_some());
        let Some((epoch, seq)) = at else { return };
        let (room, author) = (room.id, *author);
        let log = LogKey {
            room,
            author,
            epoch,
        };
        let token = cx.core.load(Query::Entries {
            room,
            author,
            epoch,
            seqs: vec![seq],
            network: None,
        });
        let asked = Asked::Body { room: tag, log };
        self.pending.insert(token, Pending::Asked(asked));
    }

    /// Asks the store, once, whether what is left of an entry may be believed: its author's
    /// redaction may have come in an earlier run. Which entry that is, if it is in doubt.
    pub fn doubt_stub(&mut self, cx: &mut Cx, entry: &Entry) -> Option<[u8; 16]> {
        let room = self.rooms.get_mut(&entry.room)?;
        let (author, id) = (entry.author_id(), entry.hash(&room.id));
        let id = MessageId::of_entry(&id).0;
        let is_known = room.seat.early.contains(&author, &id);
        if !entry.redacted || !room.seat.joined || is_known {
            return None;
        }
        if !room.seat.early.ask(author, id) {
            return Some(id);
        }
        let query = Query::Behind {
            room: room.id,
            author,
            id,
        };
        let token = cx.core.load(query);
        let room = entry.room;
        let asked = Asked::Stub { room, author, id };
        self.pending.insert(token, Pending::Asked(asked));
        Some(id)
    }

    /// Whether the store has not said yet what may be believed of what is left of these.
    #[must_use]
    pub fn is_in_doubt(&self, ids: &BTreeSet<[u8; 16]>) -> bool {
        let is_one = |pending: &Pending| match pending {
            Pending::Asked(Asked::Stub { id, .. }) => ids.contains(id),
            _ => false,
        };
        !ids.is_empty() && self.pending.values().any(is_one)
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
pub(super) fn keep_stub(room: &mut Room, cx: &Cx, log: LogKey, entry: &Entry) {
    let (seq, bytes) = (entry.seq, entry.stub().bytes);
    if log.author == cx.core.identity.id() {
        room.own.put_stub((log.epoch, seq), &bytes);
    } else if let Some(held) = room.logs.get_mut(&(log.author, log.epoch)) {
        held.forget(seq);
    }
    room.seat.to_keep.push(Write::Stub { log, seq, bytes });
}

/// The body of an entry that only memory holds is gone.
fn forget_bytes(room: &mut Room, own: bool, (author, (epoch, seq)): (PeerId, OwnAt)) {
    if own {
        let held = room.own.get(epoch).and_then(|log| log.cached(seq));
        if let Some(entry) = held.and_then(|bytes| Entry::parse(bytes).ok()) {
            room.own.put_stub((epoch, seq), &entry.stub().bytes);
        }
    } else if let Some(log) = room.logs.get_mut(&(author, epoch)) {
        log.forget(seq);
    }
}

/// Tells people that a line was taken back, once: what could not be kept when it was shown may come
/// again.
fn show_redaction(room: &mut Room, cx: &mut Cx, entry: &Entry, key: u64) {
    let id = MessageId::of_entry(&entry.hash(&room.id));
    if room.seat.seen.get(&id).is_some() {
        return;
    }
    if !room.seat.joined {
        return room.seat.unshown.push((entry.clone(), key));
    }
    let own = entry.author_id() == cx.core.identity.id();
    let from = match own {
        true => cx.own_reference(),
        false => cx.presence.reference_of(&entry.author),
    };
    let event = room.show(cx, from, &Whole::of(entry), own, key);
    cx.core.event(event);
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
