//! A disk: what a node kept, and what of it a power cut takes away again.

use std::collections::{BTreeMap, BTreeSet};

use crate::durable::{
    Batch, Durability, Head, Neighbor, OwnHead, PrivateRow, Query, Row, Snapshot, Stored, Write,
};
use crate::id::{MessageId, NetworkId, PeerId, PublicKey};

/// Room, author, epoch, number.
pub type EntryKey = ([u8; 32], PeerId, u64, u32);
/// To whom, which, what.
type Out = (PublicKey, MessageId, PrivateRow);

/// What a node's disk holds; outlives the node.
#[derive(Clone, Default, Debug)]
pub struct Disk {
    /// Of the last run that was saved.
    pub incarnation: u64,
    entries: BTreeMap<EntryKey, ([u8; 32], Vec<u8>)>,
    epochs: Vec<OwnHead>,
    received: BTreeSet<MessageId>,
    outbox: Vec<Out>,
    pins: Vec<(String, PublicKey)>,
    neighbors: BTreeMap<(NetworkId, PeerId), Neighbor>,
    /// How to take back what a power cut may lose, in the order it was written.
    unsynced: Vec<Undo>,
}

#[derive(Clone, Debug)]
enum Undo {
    Entry(EntryKey),
    Received(MessageId),
    Out(MessageId),
    Sent(Out),
}

impl Disk {
    /// Keeps a batch.
    pub fn apply(&mut self, batch: &Batch) -> Stored {
        let new = batch.writes.iter().map(|write| self.write(write)).collect();
        if batch.durability == Durability::Power {
            self.unsynced.clear();
        }
        Ok(new)
    }

    fn write(&mut self, write: &Write) -> bool {
        match write {
            Write::Incarnation(value) => self.incarnation = *value,
            Write::Epoch {
                room,
                network,
                epoch,
            } => self.epochs.push(OwnHead {
                room: *room,
                network: *network,
                epoch: *epoch,
                seq: 0,
                hash: [0; 32],
            }),
            Write::Entry {
                room,
                author,
                epoch,
                seq,
                hash,
                bytes,
            } => {
                let key = (room.0, *author, *epoch, *seq);
                if self.entries.contains_key(&key) {
                    return false;
                }
                self.entries.insert(key, (*hash, bytes.clone()));
                self.unsynced.push(Undo::Entry(key));
            }
            Write::PrivateIn { id, .. } => {
                self.unsynced.push(Undo::Received(*id));
                return self.received.insert(*id);
            }
            Write::PrivateOut { id, to, message } => {
                self.outbox.push((*to, *id, message.clone()));
                self.unsynced.push(Undo::Out(*id));
            }
            Write::PrivateState { id, .. } => {
                if let Some(at) = self.outbox.iter().position(|(_, other, _)| other == id) {
                    let out = self.outbox.remove(at);
                    self.unsynced.push(Undo::Sent(out));
                }
            }
            Write::Pin { skeleton, key } => self.pins.push((skeleton.clone(), *key)),
            Write::Neighbor(neighbor) => {
                let of = (neighbor.network, neighbor.id);
                self.neighbors.insert(of, *neighbor);
            }
        }
        true
    }

    /// The power goes: of what was not synced only the first `kept` writes stay. The own logs
    /// are not continued after it, as the store has it.
    pub fn power_cut(&mut self, kept: usize) {
        let lost = self.unsynced.split_off(kept.min(self.unsynced.len()));
        for undo in lost.into_iter().rev() {
            match undo {
                Undo::Entry(key) => {
                    self.entries.remove(&key);
                }
                Undo::Received(id) => {
                    self.received.remove(&id);
                }
                Undo::Out(id) => self.outbox.retain(|(_, other, _)| *other != id),
                Undo::Sent(out) => self.outbox.push(out),
            }
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
        self.epochs.clear();
    }

    /// The epoch of the own log that is continued.
    #[must_use]
    pub fn own_epoch(&self) -> Option<u64> {
        self.epochs.iter().map(|head| head.epoch).max()
    }

    /// Whether this entry is kept.
    #[must_use]
    pub fn has(&self, key: &EntryKey) -> bool {
        self.entries.contains_key(key)
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
        of.map(|((.., seq), (hash, _))| (*seq, hash))
    }

    /// Whether this private message came in.
    #[must_use]
    pub fn received(&self, id: &MessageId) -> bool {
        self.received.contains(id)
    }

    /// Whether this private message waits to be delivered.
    #[must_use]
    pub fn is_waiting(&self, id: &MessageId) -> bool {
        self.outbox.iter().any(|(_, of, _)| of == id)
    }

    /// Answers a query.
    #[must_use]
    pub fn query(&self, query: &Query) -> Vec<Row> {
        match query {
            Query::Entries {
                room,
                author,
                epoch,
                seqs,
            } => {
                let row = |&seq: &u32| {
                    let (_, bytes) = self.entries.get(&(room.0, *author, *epoch, seq))?;
                    let bytes = bytes.clone();
                    Some(Row::Entry { seq, bytes })
                };
                seqs.iter().filter_map(row).collect()
            }
            Query::Outbox { to } => {
                let waiting = self.outbox.iter().filter(|(key, ..)| key == to);
                let row = |(_, id, message): &Out| Row::Outbox {
                    id: *id,
                    message: message.clone(),
                };
                waiting.map(row).collect()
            }
        }
    }

    /// What a node is told at its start.
    #[must_use]
    pub fn snapshot(&self, own: PeerId) -> Snapshot {
        let mut own_heads = self.epochs.clone();
        for head in &mut own_heads {
            if let Some((seq, hash)) = self.log(head.room.0, own, head.epoch).next_back() {
                (head.seq, head.hash) = (seq, *hash);
            }
        }
        let outbox: BTreeSet<PublicKey> = self.outbox.iter().map(|(key, ..)| *key).collect();
        Snapshot {
            incarnation: self.incarnation,
            own_heads,
            heads: self.heads(own),
            pins: self.pins.clone(),
            outbox: outbox.into_iter().collect(),
            neighbors: self.neighbors.values().copied().collect(),
        }
    }

    /// How far the logs of others are held without a gap, from wherever they begin.
    fn heads(&self, own: PeerId) -> Vec<Head> {
        let mut heads: BTreeMap<([u8; 32], PeerId, u64), Head> = BTreeMap::new();
        for (&(room, author, epoch, seq), (hash, _)) in &self.entries {
            let last = heads.get(&(room, author, epoch)).map(|head| head.seq);
            if author != own && last.is_none_or(|last| seq == last + 1) {
                let head = Head {
                    room: crate::id::RoomId(room),
                    author,
                    epoch,
                    seq,
                    hash: *hash,
                };
                heads.insert((room, author, epoch), head);
            }
        }
        heads.into_values().collect()
    }
}
