//! The store answered: what is kept now is shown and acknowledged, and what could not be is tried again
//! or said anew.

use serde_json::Value;

use super::ack::note_stored;
use super::logs::LogAt;
use super::say::said_by;
use super::{Cx, Group, Pending};
use crate::durable::{Kept, Stored, Token};
use crate::id::RoomTag;
use crate::wire::{Entry, EntryKind};

impl Group {
    /// The store answered. Returns whether the token was one of ours.
    pub fn handle_persisted(&mut self, cx: &mut Cx, token: Token, result: &Stored) -> bool {
        match self.pending.remove(&token) {
            Some(Pending::Own {
                room,
                entries,
                reference,
            }) => match result {
                Ok(kept) if kept.iter().any(|kept| is_refused(*kept)) => {
                    self.own_refused(cx, room, entries, reference);
                }
                Ok(kept) => {
                    // Of what is no entry it is 0, and the first of several parts has the lowest.
                    let keys = kept.iter().map(|kept| kept.key());
                    let key = keys.filter(|key| *key > 0).min().unwrap_or(0);
                    self.own_stored(cx, room, (entries, key), reference);
                }
                Err(failure) => self.own_unkept(cx, room, entries, reference, &failure.0),
            },
            Some(Pending::Received { room, at, entry }) => {
                self.received_pending -= 1;
                match result {
                    Ok(kept) => {
                        let kept = kept.first().copied().unwrap_or(Kept::New { key: 0 });
                        self.received_stored(cx, room, at, *entry, kept);
                    }
                    Err(failure) => self.received_unkept(cx, room, (at, *entry), &failure.0),
                }
            }
            Some(Pending::History { entries }) => {
                self.received_pending = self.received_pending.saturating_sub(entries.len());
                match result {
                    Ok(kept) => self.history_stored(cx, &entries, kept),
                    Err(failure) => self.history_unkept(cx, entries, &failure.0),
                }
            }
            Some(Pending::Room(answer, row)) => self.room_stored(cx, (answer, row), result),
            Some(Pending::Unkept(tried)) => self.unkept_tried(cx, tried, result),
            Some(Pending::Proof(room, fork)) => self.fork_stored(&room, *fork),
            Some(Pending::Keep(writes)) => {
                if let Err(failure) = result {
                    self.writes_unkept(cx, writes, &failure.0);
                }
            }
            Some(other @ (Pending::Repair { .. } | Pending::Fork { .. } | Pending::Asked(_))) => {
                self.pending.insert(token, other);
                return false;
            }
            None => return false,
        }
        self.judge(cx);
        true
    }

    /// The store has another entry of this number, though it was not known here: the number was
    /// used before. This one never left, nor does what was said after it: it is said anew, in
    /// another epoch.
    fn own_refused(
        &mut self,
        cx: &mut Cx,
        tag: RoomTag,
        entries: Vec<Entry>,
        reference: Option<Value>,
    ) {
        let Some(first) = entries.first() else {
            return;
        };
        self.abandon_epoch(cx, first);
        let epoch = first.epoch;
        let mut all = vec![(entries, reference)];
        all.extend(self.take_pending_own(&tag, Some(epoch)));
        for (entries, reference) in all {
            let Some(said) = said_by(entries) else {
                continue;
            };
            if let Err(refusal) = self.say_entry(cx, tag, said, reference.clone()) {
                cx.core.refuse(reference, refusal);
            }
        }
    }

    /// The own messages of a room that are on their way to the disk, of one epoch or of all.
    pub(super) fn take_pending_own(
        &mut self,
        tag: &RoomTag,
        of: Option<u64>,
    ) -> Vec<(Vec<Entry>, Option<Value>)> {
        let is_it = |pending: &Pending| match pending {
            Pending::Own { room, entries, .. } => {
                let mut of_epoch = entries.iter().filter(|entry| Some(entry.epoch) == of);
                room == tag && (of.is_none() || of_epoch.next().is_some())
            }
            _ => false,
        };
        let tokens = self.pending.iter().filter(|(_, pending)| is_it(pending));
        let tokens: Vec<Token> = tokens.map(|(token, _)| *token).collect();
        let taken = tokens.iter().filter_map(|token| self.pending.remove(token));
        let own = taken.filter_map(|pending| match pending {
            Pending::Own {
                entries, reference, ..
            } => Some((entries, reference)),
            _ => None,
        });
        own.collect()
    }

    fn received_stored(&mut self, cx: &mut Cx, tag: RoomTag, at: LogAt, entry: Entry, kept: Kept) {
        let Some(room) = self.rooms.get_mut(&tag) else {
            return;
        };
        // It may have been left meanwhile.
        let Some(log) = room.logs.get_mut(&at).filter(|_| room.seat.joined) else {
            if entry.kind.base() == EntryKind::REDACTION && kept.is_new() {
                let key = kept.key().max(entry.hlc);
                room.seat.unjudged.push((entry, key));
                self.judge(cx);
            }
            return;
        };
        let seq = entry.seq;
        let key = match kept {
            Kept::New { key } => Some(key.max(entry.hlc)),
            Kept::Old => None,
            Kept::BelowFloor => {
                log.refused(seq);
                log.raise_floor(seq);
                return;
            }
            Kept::Fork => {
                log.refused(seq);
                return self.contradicted(cx, (tag, at, seq), None, &entry);
            }
        };
        log.stored(cx.now.mono, entry.clone(), key);
        room.note_cached(at, seq);
        note_stored(room, cx, &at, &entry);
        Self::show_lines(room, cx, &at);
        if kept == Kept::Old && entry.kind.is_part() {
            room.note_part(None, entry);
        }
    }
}

/// Whether the store has something else in its place.
pub(super) fn is_refused(kept: Kept) -> bool {
    matches!(kept, Kept::Fork | Kept::BelowFloor)
}
