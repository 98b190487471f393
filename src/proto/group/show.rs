//! Which lines are shown when, and what is shown of them.

use super::log::{AuthorLog, Line};
use super::logs::LogAt;
use super::parts::{Run, Whole};
use super::place::Place;
use super::room::Room;
use super::{Cx, Group, kinds, order};
use crate::api::{Event, PeerRef, TextKind, Timestamp};
use crate::durable::LogKey;
use crate::id::{MessageId, PeerId};
use crate::text::DisplayText;
use crate::wire::{Entry, EntryKind};

impl Group {
    /// The lines of one log that may be shown now. What its author said before in other logs
    /// comes first, with the gaps in it.
    pub(super) fn show_lines(room: &mut Room, cx: &mut Cx, at: &LogAt) {
        let Some(mut line) = next_line(room, cx, at) else {
            return;
        };
        let earlier = room.logs.of(&at.0).take_while(|(epoch, _)| *epoch < at.1);
        let held_back = earlier.filter(|(_, log)| log.holds_back());
        let held_back: Vec<u64> = held_back.map(|(epoch, _)| epoch).collect();
        for epoch in held_back {
            let at = (at.0, epoch);
            if let Some(log) = room.logs.get_mut(&at) {
                log.let_go(cx.now.mono);
            }
            while let Some(line) = next_line(room, cx, &at) {
                Self::show_line(room, cx, &at.0, line);
            }
        }
        loop {
            Self::show_line(room, cx, &at.0, line);
            match next_line(room, cx, at) {
                Some(next) => line = next,
                None => return,
            }
        }
    }

    fn show_line(room: &mut Room, cx: &mut Cx, author: &PeerId, line: Line) {
        match line {
            Line::Entry(entry, key) if entry.kind.is_part() => room.say_part(cx, *entry, key),
            Line::Entry(entry, key) => room.say_line(cx, &Whole::of(&entry), false, key),
            Line::Late(entry, key, last) => {
                room.shown.raise(last);
                Self::show_line(room, cx, author, Line::Entry(entry, key));
            }
            Line::Gap(missing) => cx.core.event(Event::Gap {
                conversation: room.conversation(),
                from: cx.presence.reference_of_id(author),
                missing,
            }),
        }
    }
}

fn next_line(room: &mut Room, cx: &Cx, at: &LogAt) -> Option<Line> {
    let log: &mut AuthorLog = room.logs.get_mut(at)?;
    log.next_line(cx.now.mono)
}

impl Room {
    /// A part of a message came: it is shown once all parts are held.
    fn say_part(&mut self, cx: &mut Cx, entry: Entry, key: u64) {
        self.keep_stub_of(cx, &entry);
        let part = entry.clone();
        let run = self.parts.add(entry, key);
        if let Some(whole) = run.as_ref().and_then(Run::whole) {
            let key = run.as_ref().map_or(key, |run| run.key);
            self.say_line(cx, &whole, false, key);
        } else {
            self.note_part(Some(key), part);
        }
    }

    /// A part of a message is stored: perhaps all of it is, and was not shown. `key`: its place in
    /// the order where it is new.
    pub(super) fn note_part(&mut self, key: Option<u64>, part: Entry) {
        if self.is_half_shown(&part) {
            self.seat.halves.push((part, key));
        }
    }

    /// Whether the message that this part is of may be whole, some of it in the store alone: what
    /// came in an earlier run, or waited here too long. With holes in it the store is not asked.
    fn is_half_shown(&self, entry: &Entry) -> bool {
        let at = (entry.author_id(), entry.epoch);
        let Some(log) = self.logs.get(&at) else {
            return false;
        };
        let here = self.parts.joined(&at, entry);
        let kind = |seq: u32| match seq == entry.seq {
            true => Some(entry.kind),
            false => self.parts.get(&at, seq).map(|part| part.kind),
        };
        let is_kept = |seq: u32| log.was_shown(seq) && self.parts.get(&at, seq).is_none();
        let begins = kind(*here.start()).is_some_and(|kind| !kind.continues());
        let ends = kind(*here.end()).is_some_and(|kind| !kind.more());
        let before = here.start().checked_sub(1).is_some_and(is_kept);
        let behind = here.end().checked_add(1).is_some_and(is_kept);
        (begins || before) && (ends || behind)
    }

    /// What its author took back before it came is kept without its body.
    fn keep_stub_of(&mut self, cx: &Cx, entry: &Entry) {
        if !entry.redacted && self.is_taken_back(entry) {
            let log = LogKey {
                room: self.id,
                author: entry.author_id(),
                epoch: entry.epoch,
            };
            kinds::keep_stub(self, cx, log, entry);
        }
    }

    /// Shows a line. What takes another back waits until it is known whose that was.
    pub fn say_line(&mut self, cx: &mut Cx, whole: &Whole, own: bool, key: u64) {
        let entry = whole.first;
        let kind = entry.kind.base();
        if kind == EntryKind::REDACTION {
            return self.seat.unjudged.push((entry.clone(), key));
        }
        let from = match own {
            true => cx.own_reference(),
            false => cx.presence.reference_of(&entry.author),
        };
        let event = self.show(cx, from, whole, own, key);
        cx.core.event(event);
        self.keep_stub_of(cx, entry);
        if kind == EntryKind::TOPIC && !whole.redacted && !self.is_taken_back(entry) {
            let text = DisplayText::from_wire(&entry.body);
            let at = (key, entry.author_id(), entry.epoch, entry.seq);
            let id = MessageId::of_entry(&entry.hash(&self.id));
            self.seat.note_topic(at, id, text);
            kinds::tell(self, cx);
        }
    }

    /// Whether its author took an entry back before it came.
    pub(super) fn is_taken_back(&self, entry: &Entry) -> bool {
        if self.seat.early.is_empty() {
            return false;
        }
        let id = MessageId::of_entry(&entry.hash(&self.id)).0;
        self.seat.early.contains(&entry.author_id(), &id)
    }

    /// The event that shows an entry in its place, which this key gives it.
    pub fn show(&mut self, cx: &Cx, from: PeerRef, whole: &Whole, own: bool, key: u64) -> Event {
        let entry = whole.first;
        let id = MessageId::of_entry(&entry.hash(&self.id));
        let order = (key, entry.author_id(), entry.epoch, entry.seq);
        let place = self.shown.place(cx.now.mono, order, id);
        let at = (entry.epoch, entry.seq);
        let rest = whole.rest.iter().map(|part| part.hash(&self.id));
        let rest = rest.map(|hash| MessageId::of_entry(&hash).0).collect();
        self.seat.seen.note(id, (entry.author_id(), at), rest);
        let (kind, mut text) = line(entry.kind.base(), whole.body);
        let redacted = whole.redacted || self.is_taken_back(entry);
        if redacted {
            text.clear();
        }
        let about = entry.deps.first().copied().map(MessageId);
        Event::Message {
            reference: None,
            id,
            conversation: self.conversation(),
            from,
            own,
            kind,
            text,
            time: Timestamp(order::ms(entry.hlc)),
            delayed: place == Place::Delayed,
            after: match place {
                Place::After(id) => Some(id),
                Place::Append | Place::Delayed => None,
            },
            answers: about.filter(|_| names_one(entry.kind)),
            redacted,
        }
    }
}

/// Whether an entry of this kind names a message by its first dependency.
pub(super) fn names_one(kind: EntryKind) -> bool {
    matches!(kind.base(), EntryKind::REPLY | EntryKind::REDACTION)
}

/// What of an entry is shown.
fn line(kind: EntryKind, body: &[u8]) -> (TextKind, String) {
    let kind = match kind {
        EntryKind::TEXT => TextKind::Text,
        EntryKind::ACTION => TextKind::Action,
        EntryKind::TOPIC => TextKind::Topic,
        EntryKind::REPLY => TextKind::Reply,
        EntryKind::REDACTION => TextKind::Redaction,
        _ => return (TextKind::Text, "(needs a newer lanchat)".into()),
    };
    match DisplayText::from_wire(body) {
        Some(text) => (kind, text.into_string()),
        // Of those it may be empty.
        None if body.is_empty() => (kind, String::new()),
        None => (kind, "(not text)".into()),
    }
}
