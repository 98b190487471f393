//! What could not be kept: the chat goes on without a disk, and what was said meanwhile is kept
//! once there is room again.
//!
//! Another's entry is shown, but not acknowledged, not counted as held and not told in a digest,
//! so that nobody takes it for delivered. An own one leaves in a volatile epoch: one that the
//! store does not know and that is never continued, since after a crash its numbers would be used
//! twice.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::ack::plan_ack;
use super::logs::LogAt;
use super::say::{begin_epoch, next_entry};
use super::show::names_one;
use super::{Cx, Group, Pending};
use crate::api::Event;
use crate::durable::{Batch, Durability, Stored, Token, Write};
use crate::id::{RoomId, RoomTag};
use crate::wire::Entry;

/// Most entries that wait in memory for room on the disk; others' beyond are asked for again.
const WAITING_MAX: usize = 1024;
/// Entries tried at once.
const RETRY_MAX: usize = 64;
/// Between two tries, doubling.
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_SLOWEST: Duration = Duration::from_secs(60);

/// What waits for room on the disk.
#[derive(Default)]
pub(super) struct Unkept {
    /// Whether the store keeps nothing, and that was told.
    failing: bool,
    waiting: VecDeque<(RoomTag, Entry)>,
    /// Own epochs that must never be continued.
    ended: BTreeSet<(RoomId, u64)>,
    /// When it is tried again, while nothing is under way.
    retry_at: Option<Instant>,
    pace: Duration,
}

impl Unkept {
    /// When it is tried again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }
}

impl Group {
    /// Tells once that the store does not keep anything any more, and tries again later.
    pub(super) fn store_failure(&mut self, cx: &mut Cx, failure: &str) {
        if self.unkept.failing {
            return;
        }
        self.unkept.failing = true;
        self.unkept.pace = RETRY_FIRST;
        self.unkept.retry_at = Some(cx.now.mono + RETRY_FIRST);
        let message = format!("what is said here is not kept: {failure}");
        cx.core.event(Event::Store {
            kept: false,
            message: message.clone(),
        });
        cx.core.event(Event::Error {
            reference: None,
            code: "store_failed".into(),
            message,
            hint: Some("make room on the disk; the chat goes on meanwhile".into()),
        });
    }

    /// Somebody's entry could not be kept: it is shown, and nobody is told that it is here.
    pub(super) fn received_unkept(
        &mut self,
        cx: &mut Cx,
        tag: RoomTag,
        (at, entry): (LogAt, Entry),
        failure: &str,
    ) {
        self.store_failure(cx, failure);
        // The record that went with it is not kept either.
        self.kept_people.remove(&at.0);
        let Some(room) = self.rooms.get_mut(&tag) else {
            return;
        };
        let Some(log) = room.logs.get_mut(&at) else {
            return;
        };
        log.not_stored(cx.now.mono, entry.clone());
        if self.unkept.waiting.len() < WAITING_MAX {
            self.unkept.waiting.push_back((tag, entry));
        } else {
            log.give_up(entry.seq, cx.now.mono + RETRY_SLOWEST);
        }
        Self::show_lines(room, cx, &at);
    }

    /// An own entry could not be kept: it and what was said after it leave in a volatile epoch.
    pub(super) fn own_unkept(
        &mut self,
        cx: &mut Cx,
        tag: RoomTag,
        entry: Entry,
        reference: Option<Value>,
        failure: &str,
    ) {
        self.store_failure(cx, failure);
        self.kept_people.remove(&cx.core.identity.id());
        let mut all = vec![(entry, reference)];
        let of_room =
            |pending: &Pending| matches!(pending, Pending::Own { room, .. } if *room == tag);
        let tokens = self.pending.iter().filter(|(_, pending)| of_room(pending));
        let tokens: Vec<Token> = tokens.map(|(token, _)| *token).collect();
        for token in tokens {
            if let Some(Pending::Own {
                entry, reference, ..
            }) = self.pending.remove(&token)
            {
                all.push((*entry, reference));
            }
        }
        if let Some(room) = self.rooms.get_mut(&tag) {
            for (entry, _) in &all {
                // Some of it may be in the store for all that.
                self.unkept.ended.insert((room.id, entry.epoch));
                room.own.entry_lost(entry.epoch);
            }
        }
        for (entry, reference) in all {
            let Some(room) = self.rooms.get_mut(&tag) else {
                return;
            };
            begin_epoch(room, cx, &mut Vec::new());
            let about = entry.deps.first().copied();
            let about = about.filter(|_| names_one(entry.kind));
            let said = (entry.kind, entry.body, about);
            if let Some(entry) = next_entry(room, cx, &mut self.hlc, said) {
                self.say_unkept(cx, tag, entry, reference);
            }
        }
    }

    /// Says an own entry of a volatile epoch.
    pub(super) fn say_unkept(
        &mut self,
        cx: &mut Cx,
        tag: RoomTag,
        entry: Entry,
        reference: Option<Value>,
    ) {
        if let Some(room) = self.rooms.get(&tag) {
            self.unkept.ended.insert((room.id, entry.epoch));
        }
        if self.unkept.waiting.len() < WAITING_MAX {
            self.unkept.waiting.push_back((tag, entry.clone()));
        }
        let highest = self.rooms.get(&tag).and_then(|room| room.shown.highest());
        let key = highest.map_or(0, |(key, _)| key.saturating_add(1));
        let key = key.max(entry.hlc);
        self.own_stored(cx, tag, (entry, key), reference);
    }

    /// Tries to keep what waits, if it is time.
    pub(super) fn retry_unkept(&mut self, cx: &mut Cx) {
        if self.unkept.retry_at.is_none_or(|at| at > cx.now.mono) {
            return;
        }
        self.unkept.retry_at = None;
        let count = self.unkept.waiting.len().min(RETRY_MAX);
        let entries: Vec<(RoomTag, Entry)> = self.unkept.waiting.drain(..count).collect();
        let ended = self.unkept.ended.iter();
        let mut writes: Vec<Write> = ended
            .map(|&(room, epoch)| Write::Retire { room, epoch })
            .collect();
        for (tag, entry) in &entries {
            let Some(room) = self.rooms.get(tag).map(|room| room.id) else {
                continue;
            };
            writes.extend(self.person_write(cx, &entry.author_id()));
            writes.push(entry_write(room, entry, cx.now.wall_ms));
        }
        let token = cx.core.persist(Batch {
            durability: Durability::Process,
            writes,
        });
        self.pending.insert(token, Pending::Unkept { entries });
    }

    /// The store answered to that.
    pub(super) fn unkept_tried(
        &mut self,
        cx: &mut Cx,
        entries: Vec<(RoomTag, Entry)>,
        result: &Stored,
    ) {
        if result.is_err() {
            for (tag, entry) in entries.into_iter().rev() {
                self.kept_people.remove(&entry.author_id());
                self.unkept.waiting.push_front((tag, entry));
            }
            self.unkept.retry_at = Some(cx.now.mono + self.unkept.pace);
            self.unkept.pace = (self.unkept.pace * 2).min(RETRY_SLOWEST);
            return;
        }
        for (tag, entry) in entries {
            let author = entry.author_id();
            let Some(room) = self.rooms.get_mut(&tag) else {
                continue;
            };
            let (at, seq) = ((author, entry.epoch), entry.seq);
            if let Some(log) = room.logs.get_mut(&at) {
                let key = Some(entry.hlc);
                log.stored(cx.now.mono, entry, key);
                room.note_cached(at, seq);
                plan_ack(room, cx, &at);
                Self::show_lines(room, cx, &at);
            }
        }
        if !self.unkept.waiting.is_empty() {
            self.unkept.retry_at = Some(cx.now.mono);
            return;
        }
        self.unkept = Unkept::default();
        for room in self.rooms.values_mut() {
            room.own.end_volatile();
        }
        cx.core.event(Event::Store {
            kept: true,
            message: "what is said here is kept again".into(),
        });
    }
}

/// What keeps this entry, which came then (milliseconds since the Unix epoch).
pub(super) fn entry_write(room: RoomId, entry: &Entry, came_ms: u64) -> Write {
    Write::Entry {
        room,
        author: entry.author_id(),
        epoch: entry.epoch,
        seq: entry.seq,
        hash: entry.hash(&room),
        bytes: entry.bytes.clone(),
        came_ms,
    }
}
