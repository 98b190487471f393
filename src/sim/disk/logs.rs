//! The logs of a disk: entries and their places, floors, own heads.

use std::collections::VecDeque;
use std::ops::Bound;

use super::{Disk, EntryKey, Undo};
use crate::durable::{
    EntryHead, ForkRow, GONE_RUNS_MAX, HELD_BEYOND_MAX, Holes, Kept, LogKey, order_key, runs,
};
use crate::id::{NetworkId, RoomId};
use crate::limits::STORED_EPOCHS_MAX;

/// An entry.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) hash: [u8; 32],
    pub(super) bytes: Vec<u8>,
    pub(super) hlc: u64,
    pub(super) deps: Vec<[u8; 16]>,
    /// Its place in the order people see.
    pub(super) key: u64,
    /// When it came, by the own clock.
    came_ms: u64,
}

/// Where a log stands.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) network: NetworkId,
    pub(super) floor: u32,
    pub(super) head: u32,
    pub(super) hash: [u8; 32],
    pub(super) top: u32,
    /// When the last of it came, by the own clock.
    came_ms: u64,
}

/// An own log.
#[derive(Clone, Debug)]
pub(super) struct OwnLog {
    pub(super) network: NetworkId,
    pub(super) seq: u32,
    pub(super) hash: [u8; 32],
    pub(super) hlc: u64,
    pub(super) retired: bool,
}

impl OwnLog {
    fn new(network: NetworkId, retired: bool) -> OwnLog {
        OwnLog {
            network,
            seq: 0,
            hash: [0; 32],
            hlc: 0,
            retired,
        }
    }
}

impl Log {
    pub(super) fn new(network: NetworkId) -> Log {
        Log {
            network,
            floor: 0,
            head: 0,
            hash: [0; 32],
            top: 0,
            came_ms: 0,
        }
    }
}

fn key_in(log: &LogKey, seq: u32) -> EntryKey {
    (log.room.0, log.author, log.epoch, seq)
}

fn id_of(hash: &[u8; 32]) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    id
}

impl Disk {
    pub(super) fn begin_own(&mut self, room: RoomId, network: NetworkId, epoch: u64) -> bool {
        let is_new = !self.epochs.contains_key(&(room, epoch));
        if is_new {
            let log = OwnLog::new(network, false);
            self.epochs.insert((room, epoch), log);
        }
        is_new
    }

    pub(super) fn retire_epoch(&mut self, room: RoomId, epoch: u64) -> bool {
        let unknown = || OwnLog::new(NetworkId([0; 8]), false);
        let log = self.epochs.entry((room, epoch)).or_insert_with(unknown);
        !std::mem::replace(&mut log.retired, true)
    }

    pub(super) fn put_entry(
        &mut self,
        log: LogKey,
        seq: u32,
        hash: &[u8; 32],
        (bytes, came_ms): (&[u8], u64),
    ) -> Kept {
        let head = EntryHead::of(bytes);
        let network = head.as_ref().map_or(NetworkId([0; 8]), |head| head.network);
        let (hlc, deps) = head.map_or((0, Vec::new()), |head| (head.hlc, head.deps));
        if log.author == self.own {
            let own = self.epochs.get_mut(&(log.room, log.epoch));
            if let Some(own) = own.filter(|own| own.seq < seq) {
                (own.seq, own.hash, own.hlc) = (seq, *hash, hlc);
            }
        }
        if !self.open_log(&log, network) {
            return Kept::BelowFloor;
        }
        let Some(row) = self.logs.get_mut(&log).filter(|row| seq > row.floor) else {
            return Kept::BelowFloor;
        };
        let key = key_in(&log, seq);
        if let Some(held) = self.entries.get(&key) {
            return match held.hash == *hash {
                true => Kept::Old,
                false => Kept::Fork,
            };
        }
        row.top = row.top.max(seq);
        row.came_ms = row.came_ms.max(came_ms);
        let held = Held {
            hash: *hash,
            bytes: bytes.to_vec(),
            hlc,
            deps,
            key: 0,
            came_ms,
        };
        self.note(key, held);
        self.unsynced.push(Undo::Entry(key));
        self.find_end(&log, Some(seq));
        let place = self.place_of(&key);
        if let Some(held) = self.entries.get_mut(&key) {
            held.key = place;
        }
        self.settle(self.followers(&key, hash));
        Kept::New { key: place }
    }

    /// Makes a log known, unless its author began so many that nothing of this one is kept.
    pub(super) fn open_log(&mut self, log: &LogKey, network: NetworkId) -> bool {
        if self.logs.contains_key(log) {
            return true;
        }
        let of = (log.room, log.author);
        let begins = self.begins.get(&of).copied();
        if log.author == self.own {
            self.logs.insert(*log, Log::new(network));
            return true;
        }
        if begins.is_some_and(|begins| log.epoch <= begins) {
            return false;
        }
        let first = LogKey { epoch: 0, ..*log };
        let last = LogKey {
            epoch: u64::MAX,
            ..*log
        };
        let all = self.logs.range(first..=last);
        let silent = all.clone().min_by_key(|(_, row)| row.came_ms);
        let silent = silent.map(|(key, _)| *key);
        if let Some(silent) = silent.filter(|_| all.count() >= STORED_EPOCHS_MAX) {
            self.raise_floor(&silent, u32::MAX);
            self.logs.remove(&silent);
            self.forks.remove(&silent);
            self.gone.remove(&silent);
            self.begins
                .insert(of, silent.epoch.max(begins.unwrap_or(0)));
        }
        self.logs.insert(*log, Log::new(network));
        true
    }

    pub(super) fn put_gone(&mut self, log: &LogKey, (first, last): (u32, u32)) -> bool {
        if !self.logs.contains_key(log) {
            return false;
        }
        let gone = self.gone.entry(*log).or_default();
        let end = gone.entry(first).or_insert(last);
        *end = last.max(*end);
        while gone.len() > GONE_RUNS_MAX {
            gone.pop_first();
        }
        true
    }

    /// What is known of the logs beyond the first number that is missing.
    pub(super) fn holes(&self) -> Vec<Holes> {
        let of = |(log, row): (&LogKey, &Log)| {
            let beyond = self.entries.range((
                Bound::Excluded(key_in(log, row.head)),
                Bound::Included(key_in(log, u32::MAX)),
            ));
            let held = runs(beyond.map(|(key, _)| key.3).take(HELD_BEYOND_MAX));
            let gone = self.gone.get(log).into_iter().flatten();
            let gone: Vec<(u32, u32)> = gone.map(|(&first, &last)| (first, last)).collect();
            let is_any = !held.is_empty() || !gone.is_empty();
            let log = *log;
            is_any.then_some(Holes { log, held, gone })
        };
        self.logs.iter().filter_map(of).collect()
    }

    fn note(&mut self, key: EntryKey, held: Held) {
        for dep in &held.deps {
            self.behind.entry(*dep).or_default().insert(key);
        }
        self.ids.insert(id_of(&held.hash), key);
        self.entries.insert(key, held);
    }

    /// The place of an entry by what is held now.
    fn place_of(&self, key: &EntryKey) -> u64 {
        let Some(held) = self.entries.get(key) else {
            return 0;
        };
        let place = |key: &EntryKey| self.entries.get(key).map(|held| held.key);
        let before = (key.0, key.1, key.2, key.3 - 1);
        let named = EntryHead::of(&held.bytes).map(|head| head.prev);
        let is_named = |before: &&Held| Some(before.hash) == named;
        let prev = self.entries.get(&before).filter(is_named);
        let prev = prev.map(|held| held.key);
        let of_dep = |dep: &[u8; 16]| {
            let dep = self.ids.get(dep).filter(|dep| dep.0 == key.0)?;
            place(dep)
        };
        let deps: Vec<u64> = held.deps.iter().filter_map(of_dep).collect();
        order_key(held.hlc, prev, &deps)
    }

    fn followers(&self, key: &EntryKey, hash: &[u8; 32]) -> VecDeque<EntryKey> {
        let behind = self.behind.get(&id_of(hash)).into_iter().flatten();
        let mut found: VecDeque<EntryKey> = behind.filter(|of| of.0 == key.0).copied().collect();
        if let Some(next) = key.3.checked_add(1) {
            found.push_back((key.0, key.1, key.2, next));
        }
        found
    }

    fn settle(&mut self, mut moved: VecDeque<EntryKey>) {
        while let Some(key) = moved.pop_front() {
            let place = self.place_of(&key);
            if let Some(held) = self.entries.get_mut(&key).filter(|held| held.key != place) {
                held.key = place;
                let hash = held.hash;
                moved.extend(self.followers(&key, &hash));
            }
        }
    }

    /// The lowest number held.
    pub(super) fn low(&self, log: &LogKey) -> Option<u32> {
        let numbers = key_in(log, 0)..=key_in(log, u32::MAX);
        self.entries.range(numbers).next().map(|(key, _)| key.3)
    }

    /// Finds the end of the first run anew; after this number came, or whatever happened.
    fn find_end(&mut self, log: &LogKey, came: Option<u32>) {
        let low = self.low(log);
        let Some(row) = self.logs.get(log) else {
            return;
        };
        let start = match (row.floor, low) {
            (0, Some(low)) => low,
            (floor, _) => floor.saturating_add(1),
        };
        let from = match came {
            Some(seq) if seq != start && row.head.checked_add(1) != Some(seq) => return,
            Some(seq) if seq != start => seq,
            _ => start,
        };
        let mut end = None;
        let numbers = key_in(log, from)..=key_in(log, u32::MAX);
        for (expected, (key, held)) in (from..=u32::MAX).zip(self.entries.range(numbers)) {
            if key.3 != expected {
                break;
            }
            end = Some((expected, held.hash));
        }
        let Some(row) = self.logs.get_mut(log) else {
            return;
        };
        (row.head, row.hash) = end.unwrap_or(match row.head == row.floor {
            true => (row.head, row.hash),
            false => (row.floor, [0; 32]),
        });
    }

    pub(super) fn raise_floor(&mut self, log: &LogKey, floor: u32) -> bool {
        let Some(row) = self.logs.get_mut(log).filter(|row| row.floor < floor) else {
            return false;
        };
        row.floor = floor;
        let numbers = key_in(log, 0)..=key_in(log, floor);
        let gone: Vec<EntryKey> = self.entries.range(numbers).map(|(key, _)| *key).collect();
        let mut moved = VecDeque::new();
        for key in gone {
            let Some(held) = self.entries.remove(&key) else {
                continue;
            };
            self.ids.remove(&id_of(&held.hash));
            for dep in &held.deps {
                if let Some(behind) = self.behind.get_mut(dep) {
                    behind.remove(&key);
                }
            }
            moved.extend(self.followers(&key, &held.hash));
        }
        if let Some(gone) = self.gone.get_mut(log) {
            gone.retain(|_, last| *last > floor);
        }
        self.find_end(log, None);
        self.settle(moved);
        true
    }

    pub(super) fn stub(&mut self, log: &LogKey, seq: u32, bytes: &[u8]) -> bool {
        let held = self.entries.get_mut(&key_in(log, seq));
        let Some(held) = held.filter(|held| held.bytes != bytes) else {
            return false;
        };
        held.bytes = bytes.to_vec();
        true
    }

    pub(super) fn put_fork(&mut self, fork: &ForkRow) -> bool {
        let head = EntryHead::of(&fork.first);
        let network = head.map_or(NetworkId([0; 8]), |head| head.network);
        if !self.open_log(&fork.log, network) {
            return false;
        }
        let is_new = !self.forks.contains_key(&fork.log);
        if is_new {
            self.forks.insert(fork.log, fork.clone());
        }
        is_new
    }

    /// The lines of a room in the order people see.
    pub(super) fn lines(&self, room: &RoomId) -> Vec<(EntryKey, &Held)> {
        let all = self.entries.iter().filter(|(key, _)| key.0 == room.0);
        let mut all: Vec<(EntryKey, &Held)> = all.map(|(key, held)| (*key, held)).collect();
        all.sort_by_key(|(key, held)| (held.key, *key));
        all
    }

    fn logs_of(&self, room: &RoomId) -> Vec<LogKey> {
        let of = self.logs.keys().filter(|log| log.room == *room);
        of.copied().collect()
    }

    pub(super) fn retain(&mut self, room: &RoomId, entries: u32, before_ms: u64) -> bool {
        let all = self.entries.iter().filter(|(key, _)| key.0 == room.0);
        let mut places: Vec<(u64, EntryKey)> =
            all.map(|(key, held)| (held.came_ms, *key)).collect();
        places.sort_unstable();
        let most = usize::try_from(entries).unwrap_or(usize::MAX);
        let cut = places.into_iter().rev().nth(most);
        let mut any = false;
        for log in self.logs_of(room) {
            let numbers = key_in(&log, 0)..=key_in(&log, u32::MAX);
            let old = self.entries.range(numbers).filter(|(key, held)| {
                let one_too_many = cut.is_some_and(|cut| (held.came_ms, **key) <= cut);
                held.came_ms < before_ms || one_too_many
            });
            if let Some(floor) = old.map(|(key, _)| key.3).next_back() {
                any |= self.raise_floor(&log, floor);
            }
        }
        any
    }

    pub(super) fn wipe_room(&mut self, room: &RoomId) -> bool {
        let mut any = false;
        for log in self.logs_of(room) {
            let last = self.logs.get(&log).map(|row| row.head.max(row.top));
            any |= self.raise_floor(&log, last.unwrap_or(0));
            if let Some(fork) = self.forks.get_mut(&log) {
                (fork.first, fork.second) = (Vec::new(), Vec::new());
            }
        }
        any
    }

    /// Everything that follows from the entries, after some were lost.
    pub(super) fn rebuild(&mut self) {
        self.ids.clear();
        self.behind.clear();
        for (key, held) in std::mem::take(&mut self.entries) {
            self.note(key, held);
        }
        for log in self.logs.keys().copied().collect::<Vec<_>>() {
            let numbers = key_in(&log, 0)..=key_in(&log, u32::MAX);
            let top = self.entries.range(numbers).next_back();
            let top = top.map_or(0, |(key, _)| key.3);
            match self.logs.get_mut(&log) {
                Some(row) if top > 0 || row.floor > 0 => row.top = top,
                _ => {
                    self.logs.remove(&log);
                    self.forks.remove(&log);
                    self.gone.remove(&log);
                    continue;
                }
            }
            self.find_end(&log, None);
        }
        self.settle(self.entries.keys().copied().collect());
    }
}
