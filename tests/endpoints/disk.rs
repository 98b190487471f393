//! Disks that survive their nodes, as far as these scenarios look at them.

use std::collections::{BTreeMap, BTreeSet};

use lanchat::durable::{EntryHead, KIND_TOPIC, LogKey, OwnHead, Query, Row, Snapshot, Write};
use lanchat::id::{MessageId, PeerId};

/// Room, author, epoch, number.
pub type EntryKey = ([u8; 32], PeerId, u64, u32);

/// What a node's disk holds; outlives the node.
#[derive(Default, Clone)]
pub struct Disk {
    pub incarnation: u64,
    pub entries: BTreeMap<EntryKey, ([u8; 32], Vec<u8>)>,
    pub epochs: Vec<OwnHead>,
    pub received: BTreeSet<MessageId>,
    pub outbox: Vec<(
        lanchat::id::PublicKey,
        MessageId,
        lanchat::durable::PrivateRow,
    )>,
    pub pins: Vec<(String, lanchat::id::PublicKey)>,
    pub neighbors: Vec<lanchat::durable::Neighbor>,
    pub rooms: BTreeMap<[u8; 32], lanchat::durable::RoomRow>,
    /// The places of entries in the order, by their ids.
    keys: BTreeMap<[u8; 16], u64>,
    pub people: BTreeMap<PeerId, lanchat::durable::PersonRow>,
    /// What nobody can give any more.
    pub gone: Vec<(LogKey, (u32, u32))>,
}

impl Disk {
    pub fn apply(&mut self, write: &Write) -> bool {
        match write {
            Write::Incarnation(value) => self.incarnation = *value,
            Write::Person(person) => {
                self.people.insert(person.id, person.clone());
            }
            Write::Epoch {
                room,
                network,
                epoch,
            } => {
                let (room, network, epoch) = (*room, *network, *epoch);
                let head = OwnHead {
                    room,
                    network,
                    epoch,
                    seq: 0,
                    hash: [0; 32],
                };
                self.epochs.push(head);
            }
            Write::Entry {
                room,
                author,
                epoch,
                seq,
                hash,
                bytes,
                ..
            } => {
                let key = (room.0, *author, *epoch, *seq);
                if self.entries.contains_key(&key) {
                    return false;
                }
                self.entries.insert(key, (*hash, bytes.clone()));
            }
            Write::PrivateIn { id, .. } => return self.received.insert(*id),
            Write::PrivateOut { id, to, message } => self.outbox.push((*to, *id, message.clone())),
            Write::PrivateState { id, .. } => self.outbox.retain(|(_, other, _)| other != id),
            Write::Pin { skeleton, key } => self.pins.push((skeleton.clone(), *key)),
            Write::Neighbor(neighbor) => {
                let of = (neighbor.network, neighbor.id);
                self.neighbors.retain(|kept| (kept.network, kept.id) != of);
                self.neighbors.insert(0, *neighbor);
            }
            Write::Retire { room, epoch } => {
                let is_it = |head: &OwnHead| head.room == *room && head.epoch == *epoch;
                self.epochs.retain(|head| !is_it(head));
            }
            Write::Room(row) => {
                self.rooms.insert(row.id.0, row.clone());
            }
            Write::Stub { log, seq, bytes } => {
                let key = (log.room.0, log.author, log.epoch, *seq);
                if let Some((_, held)) = self.entries.get_mut(&key) {
                    held.clone_from(bytes);
                }
            }
            Write::Gone { log, first, last } => self.gone.push((*log, (*first, *last))),
            // Nothing that these scenarios look at.
            _ => {}
        }
        true
    }

    /// The place of a new entry in the order, behind what it names.
    pub fn place(&mut self, hash: &[u8; 32], bytes: &[u8]) -> u64 {
        let Some(head) = EntryHead::of(bytes) else {
            return 0;
        };
        let deps = head.deps.iter().filter_map(|dep| self.keys.get(dep));
        let deps: Vec<u64> = deps.copied().collect();
        let key = lanchat::durable::order_key(head.hlc, None, &deps);
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        self.keys.insert(id, key);
        key
    }

    pub fn query(&self, query: &Query) -> Vec<Row> {
        match query {
            Query::Entries {
                room,
                author,
                epoch,
                seqs,
                network,
            } => seqs
                .iter()
                .filter_map(|&seq| {
                    let (_, bytes) = self.entries.get(&(room.0, *author, *epoch, seq))?;
                    let of = EntryHead::of(bytes)?.network;
                    if network.is_some_and(|network| network != of) {
                        return None;
                    }
                    Some(Row::Entry {
                        seq,
                        bytes: bytes.clone(),
                    })
                })
                .collect(),
            Query::Outbox { to } => self
                .outbox
                .iter()
                .filter(|(key, ..)| key == to)
                .map(|(_, id, message)| Row::Outbox {
                    id: *id,
                    message: message.clone(),
                })
                .collect(),
            Query::Message { id } => {
                let mut entries = self.entries.iter();
                let found = entries.find(|(_, (hash, _))| hash[..16] == id.0);
                found
                    .map(|(key, (_, bytes))| self.line(*id, key, bytes))
                    .into_iter()
                    .collect()
            }
            Query::History(query) => {
                let all = self.entries.iter();
                let line = |(key, (hash, bytes)): (&EntryKey, &([u8; 32], Vec<u8>))| {
                    self.line(MessageId::of_entry(hash), key, bytes)
                };
                let wanted = |row: &Row| matches!(row, Row::Line(line) if line.talk == query.talk);
                all.map(line).filter(wanted).collect()
            }
            Query::Topic { room } => {
                let of_room = self.entries.iter().filter(|(key, _)| key.0 == room.0);
                let rows = of_room.filter_map(|(key, (hash, bytes))| {
                    let head = EntryHead::of(bytes).filter(|head| head.kind == KIND_TOPIC)?;
                    let mut id = [0; 16];
                    id.copy_from_slice(&hash[..16]);
                    Some((head.hlc, self.line(MessageId(id), key, bytes)))
                });
                let mut rows: Vec<(u64, Row)> = rows.collect();
                rows.sort_by_key(|(hlc, _)| std::cmp::Reverse(*hlc));
                rows.into_iter().map(|(_, row)| row).collect()
            }
            Query::Behind { room, author, id } => {
                let entries = self.entries.iter();
                let of = entries.filter(|(key, _)| key.0 == room.0 && key.1 == *author);
                let names = |bytes: &[u8]| EntryHead::of(bytes).unwrap().deps.contains(id);
                let row = |(key, (_, bytes)): (&EntryKey, &([u8; 32], Vec<u8>))| Row::Held {
                    log: LogKey {
                        room: *room,
                        author: *author,
                        epoch: key.2,
                    },
                    seq: key.3,
                    bytes: bytes.clone(),
                };
                of.filter(|(_, (_, bytes))| names(bytes)).map(row).collect()
            }
            Query::People { ids } => {
                let known = ids.iter().filter_map(|id| self.people.get(id));
                known.cloned().map(Row::Person).collect()
            }
            other => self.of_logs(other),
        }
    }

    fn line(&self, id: MessageId, key: &EntryKey, bytes: &[u8]) -> Row {
        let (room, author, epoch, seq) = *key;
        let entry = lanchat::wire::Entry::parse(bytes).unwrap();
        Row::Line(Box::new(lanchat::durable::LineRow {
            id,
            talk: lanchat::durable::Talk::Room(lanchat::id::RoomId(room)),
            author,
            own: false,
            hlc: entry.hlc,
            key: entry.hlc,
            kind: entry.kind.0,
            deps: entry.deps.clone(),
            body: (!entry.redacted).then_some(entry.body),
            at: Some((epoch, seq)),
            state: None,
        }))
    }

    pub fn snapshot(&self, own: PeerId) -> Snapshot {
        let mut own_heads = self.epochs.clone();
        for head in &mut own_heads {
            let mine = self.entries.range((head.room.0, own, head.epoch, 0)..);
            let mine = mine.take_while(|((room, author, epoch, _), _)| {
                (*room, *author, *epoch) == (head.room.0, own, head.epoch)
            });
            if let Some(((.., seq), (hash, _))) = mine.last() {
                (head.seq, head.hash) = (*seq, *hash);
            }
        }
        let outbox: BTreeSet<_> = self.outbox.iter().map(|(key, ..)| *key).collect();
        Snapshot {
            incarnation: self.incarnation,
            own_heads,
            own_logs: {
                let heads = self.heads().into_iter();
                heads.filter(|head| head.author == own).collect()
            },
            heads: {
                let heads = self.heads().into_iter();
                heads.filter(|head| head.author != own).collect()
            },
            holes: self.holes(),
            pins: self.pins.clone(),
            outbox: outbox.into_iter().collect(),
            neighbors: self.neighbors.clone(),
            rooms: self.rooms.values().cloned().collect(),
            ..Snapshot::default()
        }
    }
}
