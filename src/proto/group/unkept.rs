//! What could not be kept: the chat goes on without a disk, and what was said meanwhile is kept
//! once there is room again.
//!
//! Another's entry is shown, but not acknowledged, not counted as held and not told in a digest,
//! so that nobody takes it for delivered. An own one leaves in a volatile epoch: one that the
//! store does not know and that is never continued, since after a crash its numbers would be used
//! twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::ack::plan_ack;
use super::logs::LogAt;
use super::say::{begin_epoch, next_entries, said_by};
use super::stored::is_refused;
use super::{Cx, Group, Pending};
use crate::api::Event;
use crate::durable::{Batch, Durability, Kept, LogKey, RoomRow, Stored, Write};
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
    /// What others kept, which is not shown here.
    history: VecDeque<Entry>,
    rest: Rest,
    /// When it is tried again, while nothing is under way.
    retry_at: Option<Instant>,
    pace: Duration,
}

/// What waits beside entries.
#[derive(Default)]
struct Rest {
    /// Own epochs that must never be continued.
    ended: BTreeSet<(RoomId, u64)>,
    /// Rooms that were joined or left, as they are now.
    rooms: BTreeMap<RoomId, RoomRow>,
    /// What is left of what was taken back.
    stubs: BTreeMap<(LogKey, u32), Vec<u8>>,
}

/// What is tried again.
pub(super) struct Tried {
    /// What was said, and which of the writes each is.
    entries: Vec<(RoomTag, Entry, usize)>,
    history: Vec<(Entry, usize)>,
    rest: Rest,
}

impl Unkept {
    /// When it is tried again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether something said in this room waits.
    pub(super) fn waits_for(&self, tag: &RoomTag) -> bool {
        self.waiting.iter().any(|(of, _)| of == tag)
    }

    /// Whether the store keeps nothing.
    pub(super) fn is_failing(&self) -> bool {
        self.failing
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.history.is_empty() && self.rest.is_empty()
    }
}

impl Rest {
    fn is_empty(&self) -> bool {
        self.ended.is_empty() && self.rooms.is_empty() && self.stubs.is_empty()
    }

    /// Takes in what is not there in a newer state.
    fn merge(&mut self, older: Rest) {
        self.ended.extend(older.ended);
        for (id, row) in older.rooms {
            self.rooms.entry(id).or_insert(row);
        }
        self.stubs.extend(older.stubs);
    }

    fn note(&mut self, write: Write) {
        match write {
            Write::Retire { room, epoch } => {
                self.ended.insert((room, epoch));
            }
            Write::Room(row) => {
                self.rooms.insert(row.id, row);
            }
            Write::Stub { log, seq, bytes } if self.stubs.len() < WAITING_MAX => {
                self.stubs.insert((log, seq), bytes);
            }
            _ => {}
        }
    }

    /// Epochs and rooms go before what was said in them, stubs after it.
    fn writes(&self) -> (Vec<Write>, Vec<Write>) {
        let ended = self.ended.iter();
        let ended = ended.map(|&(room, epoch)| Write::Retire { room, epoch });
        let rooms = self.rooms.values().cloned().map(Write::Room);
        let stub = |(&(log, seq), bytes): (&(LogKey, u32), &Vec<u8>)| Write::Stub {
            log,
            seq,
            bytes: bytes.clone(),
        };
        let stubs = self.stubs.iter().map(stub);
        (ended.chain(rooms).collect(), stubs.collect())
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
        entries: Vec<Entry>,
        reference: Option<Value>,
        failure: &str,
    ) {
        self.store_failure(cx, failure);
        self.kept_people.remove(&cx.core.identity.id());
        let mut all = vec![(entries, reference)];
        all.extend(self.take_pending_own(&tag, None));
        if let Some(room) = self.rooms.get_mut(&tag) {
            for entry in all.iter().flat_map(|(entries, _)| entries) {
                // Some of it may be in the store for all that.
                self.unkept.rest.ended.insert((room.id, entry.epoch));
                room.own.entry_lost(entry.epoch);
            }
        }
        for (entries, reference) in all {
            let Some(room) = self.rooms.get_mut(&tag) else {
                return;
            };
            let Some(said) = said_by(entries) else {
                continue;
            };
            begin_epoch(room, cx, &said, &mut Vec::new());
            if let Some(entries) = next_entries(room, cx, &mut self.hlc, said) {
                self.say_unkept(cx, tag, entries, reference);
            }
        }
    }

    /// Says an own message of a volatile epoch.
    pub(super) fn say_unkept(
        &mut self,
        cx: &mut Cx,
        tag: RoomTag,
        entries: Vec<Entry>,
        reference: Option<Value>,
    ) {
        if let Some((room, first)) = self.rooms.get(&tag).zip(entries.first()) {
            self.unkept.rest.ended.insert((room.id, first.epoch));
        }
        if self.unkept.waiting.len() < WAITING_MAX {
            let waiting = entries.iter().map(|entry| (tag, entry.clone()));
            self.unkept.waiting.extend(waiting);
        }
        let highest = self.rooms.get(&tag).and_then(|room| room.shown.highest());
        let key = highest.map_or(0, |(key, _)| key.saturating_add(1));
        self.own_stored(cx, tag, (entries, key), reference);
    }

    /// History could not be kept: it is not asked for again before there is room.
    pub(super) fn history_unkept(&mut self, cx: &mut Cx, entries: Vec<Entry>, failure: &str) {
        self.store_failure(cx, failure);
        let room = WAITING_MAX.saturating_sub(self.unkept.history.len());
        self.unkept.history.extend(entries.into_iter().take(room));
    }

    /// This could not be kept, and is not to be lost for all that.
    pub(super) fn writes_unkept(&mut self, cx: &mut Cx, writes: Vec<Write>, failure: &str) {
        self.store_failure(cx, failure);
        for write in writes {
            self.unkept.rest.note(write);
        }
    }

    /// Tries to keep what waits, if it is time.
    pub(super) fn retry_unkept(&mut self, cx: &mut Cx) {
        if self.unkept.retry_at.is_none_or(|at| at > cx.now.mono) {
            return;
        }
        self.unkept.retry_at = None;
        let rest = std::mem::take(&mut self.unkept.rest);
        let (mut writes, stubs) = rest.writes();
        let count = self.unkept.waiting.len().min(RETRY_MAX);
        let waiting: Vec<(RoomTag, Entry)> = self.unkept.waiting.drain(..count).collect();
        let mut entries = Vec::new();
        for (tag, entry) in waiting {
            let Some(room) = self.rooms.get(&tag) else {
                continue;
            };
            let at = (entry.author_id(), entry.epoch);
            if room.forks.contains_key(&at) {
                continue;
            }
            // Of what was taken back meanwhile only what is left.
            let write = match room.is_taken_back(&entry) {
                true => entry_write(room.id, &entry.stub(), cx.now.wall_ms),
                false => entry_write(room.id, &entry, cx.now.wall_ms),
            };
            writes.extend(self.person_write(cx, &entry.author_id()));
            entries.push((tag, entry, writes.len()));
            writes.push(write);
        }
        let count = self.unkept.history.len().min(RETRY_MAX);
        let mut history = Vec::new();
        for entry in self.unkept.history.drain(..count) {
            if let Some(room) = self.rooms.get(&entry.room) {
                let write = entry_write(room.id, &entry, cx.now.wall_ms);
                history.push((entry, writes.len()));
                writes.push(write);
            }
        }
        writes.extend(stubs);
        let token = cx.core.persist(Batch {
            durability: Durability::Process,
            writes,
        });
        let tried = Tried {
            entries,
            history,
            rest,
        };
        self.pending.insert(token, Pending::Unkept(tried));
    }

    /// The store answered to that.
    pub(super) fn unkept_tried(&mut self, cx: &mut Cx, tried: Tried, result: &Stored) {
        let Tried {
            entries,
            history,
            rest,
        } = tried;
        let Ok(kept) = result else {
            for (tag, entry, _) in entries.into_iter().rev() {
                self.kept_people.remove(&entry.author_id());
                self.unkept.waiting.push_front((tag, entry));
            }
            for (entry, _) in history.into_iter().rev() {
                self.unkept.history.push_front(entry);
            }
            self.unkept.rest.merge(rest);
            self.unkept.retry_at = Some(cx.now.mono + self.unkept.pace);
            self.unkept.pace = (self.unkept.pace * 2).min(RETRY_SLOWEST);
            return;
        };
        let of = |at: usize| kept.get(at).copied().unwrap_or(Kept::Old);
        for (tag, entry, at) in entries {
            self.kept_at_last(cx, tag, entry, of(at));
        }
        for (entry, at) in history {
            self.history_stored(cx, &[entry], &[of(at)]);
        }
        if !self.unkept.is_empty() {
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

    /// An entry that was shown is kept now, or something else is in its place.
    fn kept_at_last(&mut self, cx: &mut Cx, tag: RoomTag, entry: Entry, kept: Kept) {
        let at = (entry.author_id(), entry.epoch);
        let Some(room) = self.rooms.get_mut(&tag) else {
            return;
        };
        let (seq, is_gone) = (entry.seq, room.is_taken_back(&entry));
        let Some(log) = room.logs.get_mut(&at) else {
            return;
        };
        if is_refused(kept) {
            log.refused(seq);
            match kept {
                Kept::Fork => self.contradicted(cx, (tag, at, seq), None, &entry),
                _ => log.raise_floor(seq),
            }
            return;
        }
        let key = Some(entry.hlc);
        log.stored(cx.now.mono, entry, key);
        match is_gone {
            true => log.forget(seq),
            false => room.note_cached(at, seq),
        }
        plan_ack(room, cx, &at);
        Self::show_lines(room, cx, &at);
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
