//! What joins on to what: the hash chain of a log, as far as it is in memory.

use super::{AuthorLog, Cached, JOINS_MAX};
use crate::durable::EntryHead;
use crate::id::RoomId;
use crate::wire::Entry;

impl AuthorLog {
    /// The entry of this number, if it is in memory and another than this one. A redacted form of
    /// it is no other.
    #[must_use]
    pub fn other_than(&self, entry: &Entry, room: &RoomId) -> Option<&Vec<u8>> {
        let held = self.storing.get(&entry.seq);
        let held = held.or_else(|| self.cache.get(&entry.seq))?;
        let is_same = held.bytes == entry.bytes || held.hash == entry.hash(room);
        (!is_same).then_some(&held.bytes)
    }

    /// The number of a neighbour that this entry does not join on to, of those in memory; its own
    /// number, where that of another one is known.
    #[must_use]
    pub fn broken_by(&self, entry: &Entry, hash: &[u8; 32]) -> Option<u32> {
        if self.hash_of(entry.seq).is_some_and(|held| held != *hash) {
            return Some(entry.seq);
        }
        let before = entry.seq - 1;
        if self.hash_of(before).is_some_and(|held| held != entry.prev) {
            return Some(before);
        }
        let after = entry.seq.saturating_add(1);
        let head = self.near(after).and_then(|held| EntryHead::of(&held.bytes));
        let passed = self.joins.get(&after).map(|(_, prev)| *prev);
        let prev = head.map(|head| head.prev).or(passed);
        prev.is_some_and(|prev| prev != *hash).then_some(after)
    }

    /// An entry of this number, if it is in memory.
    fn near(&self, seq: u32) -> Option<&Cached> {
        let held = self.storing.get(&seq).or_else(|| self.cache.get(&seq));
        let passed = self.passed.as_ref().filter(|(of, _)| *of == seq);
        held.or(passed.map(|(_, passed)| passed))
    }

    /// The bytes of an entry, if they are in memory, to prove that another contradicts it.
    #[must_use]
    pub fn proof_of(&self, seq: u32) -> Option<Vec<u8>> {
        self.near(seq).map(|held| held.bytes.clone())
    }

    /// An entry goes to the store as history: what is next to it has to join on to it.
    pub fn pass(&mut self, entry: &Entry, hash: [u8; 32]) {
        if self.restored.is_none_or(|(of, _)| of <= entry.seq) {
            self.restored = Some((entry.seq, hash));
        }
        self.joins.insert(entry.seq, (hash, entry.prev));
        if self.joins.len() > JOINS_MAX {
            self.joins.pop_first();
        }
        let bytes = entry.bytes.clone();
        self.passed = Some((entry.seq, Cached { bytes, hash }));
    }

    fn hash_of(&self, seq: u32) -> Option<[u8; 32]> {
        let restored = self.restored.filter(|(of, _)| *of == seq);
        let held = self.near(seq).map(|held| held.hash);
        let passed = self.joins.get(&seq).map(|(hash, _)| *hash);
        held.or(passed).or(restored.map(|(_, hash)| hash))
    }
}
