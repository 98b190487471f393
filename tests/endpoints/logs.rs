//! What a disk of the world answers of logs, as the store does.

use std::collections::BTreeMap;

use lanchat::durable::{EntryHead, Head, Holes, LogKey, Query, Row, runs};
use lanchat::id::{NetworkId, PeerId, RoomId};

use crate::world::{Disk, EntryKey};

impl Disk {
    /// How far all logs are held without a gap, from wherever they begin.
    pub fn heads(&self) -> Vec<Head> {
        let mut heads: BTreeMap<([u8; 32], PeerId, u64), Head> = BTreeMap::new();
        for (&(room, author, epoch, seq), (hash, bytes)) in &self.entries {
            let head = heads.entry((room, author, epoch)).or_insert_with(|| Head {
                room: RoomId(room),
                author,
                epoch,
                seq: seq - 1,
                hash: [0; 32],
                network: EntryHead::of(bytes).map_or(NetworkId([0; 8]), |head| head.network),
                low: seq,
                floor: 0,
                forked: false,
            });
            if seq == head.seq + 1 {
                (head.seq, head.hash) = (seq, *hash);
            }
        }
        heads.into_values().collect()
    }

    /// What is held beyond the heads of logs, and what is gone of them.
    pub fn holes(&self) -> Vec<Holes> {
        let of = |head: Head| {
            let log = LogKey {
                room: head.room,
                author: head.author,
                epoch: head.epoch,
            };
            let first = (log.room.0, log.author, log.epoch, head.seq + 1);
            let last = (log.room.0, log.author, log.epoch, u32::MAX);
            let held = runs(self.entries.range(first..=last).map(|(key, _)| key.3));
            let gone = self.gone.iter().filter(|(of, _)| *of == log);
            let gone = gone.map(|(_, run)| *run).collect();
            Holes { log, held, gone }
        };
        self.heads().into_iter().map(of).collect()
    }

    /// What is held of a log beyond its head, a run each.
    fn beyond(&self, head: &Head) -> Vec<Head> {
        let key = |seq| (head.room.0, head.author, head.epoch, seq);
        let held = self.entries.range(key(head.seq + 1)..=key(u32::MAX));
        let of = |(low, seq): (u32, u32)| Head {
            low,
            seq,
            hash: self.entries[&key(seq)].0,
            ..head.clone()
        };
        runs(held.map(|(key, _)| key.3))
            .into_iter()
            .map(of)
            .collect()
    }

    /// The numbers held of a log.
    pub fn numbers(&self, author: PeerId) -> Vec<u32> {
        let of = self.entries.keys().filter(|key| key.1 == author);
        of.map(|key| key.3).collect()
    }

    /// Answers a query about logs.
    pub fn of_logs(&self, query: &Query) -> Vec<Row> {
        match query {
            Query::Vector { room, network } => {
                let heads = self.heads().into_iter();
                let here = heads.filter(|head| head.room == *room && head.network == *network);
                let mut here: Vec<Head> = here.collect();
                let beyond = here.iter().flat_map(|head| self.beyond(head));
                let beyond: Vec<Head> = beyond.collect();
                here.extend(beyond);
                here.into_iter().map(Row::Log).collect()
            }
            Query::Range {
                log,
                first,
                last,
                bytes_max,
            } => self.range(log, (*first, *last), *bytes_max),
            Query::Latest {
                room,
                network,
                entries,
                since_ms,
            } => {
                let held = self.entries.iter().filter(|(key, (_, bytes))| {
                    let head = EntryHead::of(bytes).expect("an entry");
                    let late = head.hlc >> 16 >= *since_ms;
                    key.0 == room.0 && head.network == *network && late
                });
                let mut held: Vec<(&EntryKey, &Vec<u8>)> =
                    held.map(|(key, (_, bytes))| (key, bytes)).collect();
                held.sort_by_key(|(_, bytes)| EntryHead::of(bytes).map(|head| head.hlc));
                let from = held.len().saturating_sub(*entries as usize);
                let row = |(key, bytes): &(&EntryKey, &Vec<u8>)| Row::Held {
                    log: LogKey {
                        room: *room,
                        author: key.1,
                        epoch: key.2,
                    },
                    seq: key.3,
                    bytes: (*bytes).clone(),
                };
                held[from..].iter().map(row).collect()
            }
            _ => Vec::new(),
        }
    }

    fn range(&self, log: &LogKey, (first, last): (u32, u32), bytes_max: usize) -> Vec<Row> {
        let key = |seq| (log.room.0, log.author, log.epoch, seq);
        let (mut rows, mut len) = (Vec::new(), 0);
        for ((.., seq), (_, bytes)) in self.entries.range(key(first)..=key(last)) {
            len += bytes.len();
            if len > bytes_max && !rows.is_empty() {
                break;
            }
            let (seq, bytes) = (*seq, bytes.clone());
            rows.push(Row::Entry { seq, bytes });
        }
        rows
    }
}
