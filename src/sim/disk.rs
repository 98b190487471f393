//! A disk: what a node kept, and what of it a power cut takes away again.
//!
//! It answers as the SQLite store does; a shared test gives both the same and compares.

mod answers;
mod logs;

use std::collections::{BTreeMap, BTreeSet};

use crate::durable::{
    Batch, Durability, EntryHead, ForkRow, Kept, LogKey, Neighbor, PersonRow, PrivateRow,
    PrivateState, RoomRow, Stored, Talk, Write,
};
use crate::id::{MessageId, NetworkId, PeerId, PublicKey, RoomId};
use logs::{Held, Log, OwnLog};

/// Room, author, epoch, number.
pub type EntryKey = ([u8; 32], PeerId, u64, u32);

/// What a node's disk holds; outlives the node.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Of the last run that was saved.
    pub incarnation: u64,
    own: PeerId,
    entries: BTreeMap<EntryKey, Held>,
    logs: BTreeMap<LogKey, Log>,
    /// Entries by the first half of their hash.
    ids: BTreeMap<[u8; 16], EntryKey>,
    /// Who stands behind an entry.
    behind: BTreeMap<[u8; 16], BTreeSet<EntryKey>>,
    epochs: BTreeMap<(RoomId, u64), OwnLog>,
    /// Of these authors nothing of this epoch or an older one is kept.
    begins: BTreeMap<(RoomId, PeerId), u64>,
    received: BTreeMap<MessageId, (PeerId, PrivateRow)>,
    sent: BTreeMap<MessageId, Sent>,
    pins: BTreeMap<String, PublicKey>,
    neighbors: BTreeMap<(NetworkId, PeerId), Neighbor>,
    rooms: BTreeMap<RoomId, RoomRow>,
    people: BTreeMap<PeerId, PersonRow>,
    forks: BTreeMap<LogKey, ForkRow>,
    /// What nobody can give any more: the last numbers of runs by the first.
    gone: BTreeMap<LogKey, BTreeMap<u32, u32>>,
    /// How to take back what a power cut may lose, in the order it was written.
    unsynced: Vec<Undo>,
}

/// A private message that this node wrote.
#[derive(Clone, Debug)]
struct Sent {
    to: PublicKey,
    message: PrivateRow,
    state: PrivateState,
    /// The order of writing.
    number: usize,
}

#[derive(Clone, Debug)]
enum Undo {
    Entry(EntryKey),
    Received(MessageId),
    Out(MessageId),
    State(MessageId, PrivateState),
}

impl Disk {
    /// The empty disk of this node.
    #[must_use]
    pub fn new(own: PeerId) -> Disk {
        Disk {
            incarnation: 0,
            own,
            entries: BTreeMap::new(),
            logs: BTreeMap::new(),
            ids: BTreeMap::new(),
            behind: BTreeMap::new(),
            epochs: BTreeMap::new(),
            begins: BTreeMap::new(),
            received: BTreeMap::new(),
            sent: BTreeMap::new(),
            pins: BTreeMap::new(),
            neighbors: BTreeMap::new(),
            rooms: BTreeMap::new(),
            people: BTreeMap::new(),
            forks: BTreeMap::new(),
            gone: BTreeMap::new(),
            unsynced: Vec::new(),
        }
    }

    /// Keeps a batch.
    ///
    /// # Errors
    /// None: this disk has room.
    pub fn apply(&mut self, batch: &Batch) -> Stored {
        let kept = batch.writes.iter().map(|write| self.write(write)).collect();
        if batch.durability == Durability::Power {
            self.unsynced.clear();
        }
        Ok(kept)
    }

    fn write(&mut self, write: &Write) -> Kept {
        let is_new = match write {
            Write::Incarnation(value) => {
                let grows = *value > self.incarnation;
                self.incarnation = self.incarnation.max(*value);
                grows
            }
            Write::Epoch {
                room,
                network,
                epoch,
            } => self.begin_own(*room, *network, *epoch),
            Write::Entry {
                room,
                author,
                epoch,
                seq,
                hash,
                bytes,
                came_ms,
            } => {
                let log = LogKey {
                    room: *room,
                    author: *author,
                    epoch: *epoch,
                };
                return self.put_entry(log, *seq, hash, (bytes, *came_ms));
            }
            Write::PrivateIn { .. } | Write::PrivateOut { .. } | Write::PrivateState { .. } => {
                self.put_private(write)
            }
            Write::Pin { skeleton, key } => self.pins.insert(skeleton.clone(), *key) != Some(*key),
            Write::Neighbor(neighbor) => {
                let of = (neighbor.network, neighbor.id);
                self.neighbors.insert(of, *neighbor) != Some(*neighbor)
            }
            Write::Floor {
                log,
                network,
                floor,
            } => self.open_log(log, *network) && self.raise_floor(log, *floor),
            Write::Retire { room, epoch } => self.retire_epoch(*room, *epoch),
            Write::Room(room) => self.rooms.insert(room.id, room.clone()).as_ref() != Some(room),
            Write::Person(person) => self.put_person(person),
            Write::Fork(fork) => self.put_fork(fork),
            Write::Stub { log, seq, bytes } => self.stub(log, *seq, bytes),
            Write::Gone { log, first, last } => self.put_gone(log, (*first, *last)),
            Write::Retain {
                room,
                entries,
                before_ms,
            } => self.retain(room, *entries, *before_ms),
            Write::Wipe(talk) => self.wipe(talk),
        };
        Kept::new_if(is_new)
    }

    fn put_private(&mut self, write: &Write) -> bool {
        match write {
            Write::PrivateIn { id, from, message } => {
                if self.received.contains_key(id) {
                    return false;
                }
                self.received.insert(*id, (*from, message.clone()));
                self.unsynced.push(Undo::Received(*id));
                true
            }
            Write::PrivateOut { id, to, message } => {
                if self.sent.contains_key(id) {
                    return false;
                }
                let last = self.sent.values().map(|sent| sent.number).max();
                let out = Sent {
                    to: *to,
                    message: message.clone(),
                    state: PrivateState::Queued,
                    number: last.map_or(0, |last| last + 1),
                };
                self.sent.insert(*id, out);
                self.unsynced.push(Undo::Out(*id));
                true
            }
            Write::PrivateState { id, state } => {
                let Some(sent) = self.sent.get_mut(id).filter(|sent| sent.state != *state) else {
                    return false;
                };
                self.unsynced.push(Undo::State(*id, sent.state));
                sent.state = *state;
                true
            }
            _ => false,
        }
    }

    fn put_person(&mut self, person: &PersonRow) -> bool {
        let order = |person: &PersonRow| (person.incarnation, person.record_seq);
        let held = self.people.get(&person.id).map(order);
        let is_new = held < Some(order(person));
        if is_new {
            self.people.insert(person.id, person.clone());
        }
        is_new
    }

    fn wipe(&mut self, talk: &Talk) -> bool {
        let peer = match talk {
            Talk::Room(room) => return self.wipe_room(room),
            Talk::Peer(peer) => peer,
        };
        let mut any = false;
        let empty = |row: &mut PrivateRow| {
            (row.kind, row.body) = (0, Vec::new());
        };
        for (from, row) in self.received.values_mut() {
            if from == peer && row.kind != 0 {
                empty(row);
                any = true;
            }
        }
        for sent in self.sent.values_mut() {
            let waits = sent.state == PrivateState::Queued;
            if sent.to.id() == *peer && !waits && sent.message.kind != 0 {
                empty(&mut sent.message);
                any = true;
            }
        }
        any
    }

    /// The power goes: of what was not synced only the first `kept` writes stay. The own logs
    /// are not continued after it, as the store has it.
    pub fn power_cut(&mut self, kept: usize) {
        let lost = self.unsynced.split_off(kept.min(self.unsynced.len()));
        let any_entry = lost.iter().any(|undo| matches!(undo, Undo::Entry(_)));
        for undo in lost.into_iter().rev() {
            match undo {
                Undo::Entry(key) => {
                    self.entries.remove(&key);
                }
                Undo::Received(id) => {
                    self.received.remove(&id);
                }
                Undo::Out(id) => {
                    self.sent.remove(&id);
                }
                Undo::State(id, state) => {
                    if let Some(sent) = self.sent.get_mut(&id) {
                        sent.state = state;
                    }
                }
            }
        }
        if any_entry {
            self.rebuild();
        }
        self.unsynced.clear();
        self.retire();
    }

    /// How many writes a power cut may lose.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// The own logs are not to be continued: the file is a copy, or older than it says.
    pub fn retire(&mut self) {
        for log in self.epochs.values_mut() {
            log.retired = true;
        }
    }

    /// The epoch of the own log of a room on a network that is continued.
    #[must_use]
    pub fn own_epoch(&self, room: &RoomId, network: NetworkId) -> Option<u64> {
        let goes_on = self
            .epochs
            .iter()
            .filter(|((of, _), log)| of == room && log.network == network && !log.retired);
        goes_on.map(|((_, epoch), _)| *epoch).max()
    }

    /// The lines of this node's own that are kept.
    #[must_use]
    pub fn own_lines(&self) -> BTreeSet<EntryKey> {
        let of = |key: &&EntryKey| key.1 == self.own;
        self.entries.keys().filter(of).copied().collect()
    }

    /// Whether this entry is kept, or was until it got old.
    #[must_use]
    pub fn has(&self, key: &EntryKey) -> bool {
        self.entries.contains_key(key) || self.is_old(key)
    }

    /// Whether entries of this number are not kept any more.
    #[must_use]
    pub fn is_old(&self, key: &EntryKey) -> bool {
        let log = LogKey {
            room: RoomId(key.0),
            author: key.1,
            epoch: key.2,
        };
        self.logs.get(&log).is_some_and(|log| key.3 <= log.floor)
    }

    /// Keeps no more than so many entries of a room, the ones that came last, as the store does by
    /// itself.
    pub fn tidy(&mut self, room: RoomId, entries: u32) {
        self.retain(&room, entries, 0);
    }

    /// The place of an entry in the order people see.
    #[must_use]
    pub fn place_of_id(&self, id: &[u8; 16]) -> Option<u64> {
        let held = self.entries.get(self.ids.get(id)?)?;
        Some(held.key)
    }

    /// Author, epoch and number of all entries of a room on a network.
    pub fn numbers(
        &self,
        room: RoomId,
        network: NetworkId,
    ) -> impl Iterator<Item = (PeerId, u64, u32)> {
        let of = self.entries.keys().filter(move |key| key.0 == room.0);
        let is_on = move |key: &&EntryKey| self.network_of(key) == Some(network);
        of.filter(is_on)
            .map(|&(_, author, epoch, seq)| (author, epoch, seq))
    }

    /// The number of a line that is held next to this one and does not join on to it, and its id.
    #[must_use]
    pub fn broken_by(
        &self,
        key: &EntryKey,
        (prev, hash): (&[u8; 32], &[u8; 32]),
    ) -> Option<(u32, MessageId)> {
        let held = |seq: u32| self.entries.get(&(key.0, key.1, key.2, seq));
        let found = |seq: u32| Some((seq, MessageId::of_entry(&held(seq)?.hash)));
        let (before, after) = (key.3.checked_sub(1)?, key.3.checked_add(1)?);
        if held(before).is_some_and(|held| held.hash != *prev) {
            return found(before);
        }
        let named = held(after).and_then(|held| EntryHead::of(&held.bytes));
        let is_broken = named.is_some_and(|head| head.prev != *hash);
        is_broken.then(|| found(after))?
    }

    /// Whether an entry that is held has its body still.
    #[must_use]
    pub fn has_body(&self, id: &MessageId) -> Option<bool> {
        let held = self.entries.get(self.ids.get(&id.0)?)?;
        let head = EntryHead::of(&held.bytes)?;
        Some(head.body.is_some())
    }

    /// The entries of a room in the order people see.
    #[must_use]
    pub fn order(&self, room: &RoomId) -> Vec<MessageId> {
        let lines = self.lines(room).into_iter();
        lines
            .map(|(_, held)| MessageId::of_entry(&held.hash))
            .collect()
    }

    /// Whether these bytes are part of a proof against this log.
    #[must_use]
    pub fn proves(&self, log: &LogKey, bytes: &[u8]) -> bool {
        let fork = self.forks.get(log);
        fork.is_some_and(|fork| fork.first == bytes || fork.second == bytes)
    }

    /// Whether there is a proof against this log.
    #[must_use]
    pub fn is_forked(&self, log: &LogKey) -> bool {
        self.forks.contains_key(log)
    }

    /// The numbers kept of one log.
    pub fn log(
        &self,
        room: [u8; 32],
        author: PeerId,
        epoch: u64,
    ) -> impl DoubleEndedIterator<Item = (u32, &[u8; 32])> {
        let (from, to) = ((room, author, epoch, 0), (room, author, epoch, u32::MAX));
        let of = self.entries.range(from..=to);
        of.map(|((.., seq), held)| (*seq, &held.hash))
    }

    /// Whether this private message came in.
    #[must_use]
    pub fn received(&self, id: &MessageId) -> bool {
        self.received.contains_key(id)
    }

    /// Whether this private message waits to be delivered.
    #[must_use]
    pub fn is_waiting(&self, id: &MessageId) -> bool {
        let sent = self.sent.get(id);
        sent.is_some_and(|sent| sent.state == PrivateState::Queued)
    }
}
