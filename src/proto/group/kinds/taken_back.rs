//! What an author took back: whose it was, whether what is left of it is believed, and that its body is
//! forgotten.

use std::collections::BTreeSet;

use super::{Asked, tell};
use crate::durable::{LineRow, LogKey, Query, Talk, Write};
use crate::id::{MessageId, PeerId, RoomTag};
use crate::proto::group::own::OwnAt;
use crate::proto::group::parts::Whole;
use crate::proto::group::room::Room;
use crate::proto::group::{Cx, Group, Pending};
use crate::wire::{Entry, EntryKind};

impl Group {
    pub(super) fn judged(
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

    /// A run may have ended between a redaction and what it takes back: the last ones are looked
    /// at again.
    pub(super) fn look_for_left<'a>(
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

    /// Of a line that its author took back nothing but the stub is to be kept.
    pub(super) fn forget_line(
        &mut self,
        cx: &mut Cx,
        tag: RoomTag,
        author: &PeerId,
        line: Option<&LineRow>,
    ) {
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

    /// What was taken back is kept without its body from now on.
    pub(super) fn forget_body(
        &mut self,
        cx: &mut Cx,
        tag: RoomTag,
        log: LogKey,
        seq: u32,
        bytes: &[u8],
    ) {
        let Some(room) = self.rooms.get_mut(&tag) else {
            return;
        };
        if let Some(entry) = Entry::parse(bytes).ok().filter(|entry| entry.seq == seq) {
            keep_stub(room, cx, log, &entry);
        }
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

    /// A genuine redaction was seen: what is left of what it names may come.
    pub fn note_taken_back(&mut self, entry: &Entry) {
        if let Some(room) = self.rooms.get_mut(&entry.room) {
            room.seat.note_early(entry);
        }
    }

    /// Whether what is left of an entry may be believed: its author's redaction is held.
    pub(in crate::proto::group) fn is_taken_back(&self, entry: &Entry) -> bool {
        let room = self.rooms.get(&entry.room);
        room.is_some_and(|room| room.is_taken_back(entry))
    }
}

/// Keeps an entry without its body from now on.
pub(in crate::proto::group) fn keep_stub(room: &mut Room, cx: &Cx, log: LogKey, entry: &Entry) {
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
