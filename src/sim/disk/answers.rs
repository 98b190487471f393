//! What a disk answers.

use std::collections::{BTreeMap, BTreeSet};

use super::{Disk, EntryKey};
use crate::durable::{
    EntryHead, Head, HistoryQuery, KIND_CONTINUES, KIND_TOPIC, LineRow, LogKey, OwnHead, Parts,
    PrivateState, Query, RUNS_TOLD_MAX, Row, Snapshot, Talk, runs,
};
use crate::id::{MessageId, NetworkId, PeerId, PublicKey, RoomId};
use crate::limits::{SYNC_LOGS_MAX, TOPIC_ROWS_MAX};

/// Most rows of an answer, as the store has it.
const ROWS_MAX: usize = 512;

impl Disk {
    /// Answers a query.
    #[must_use]
    pub fn query(&self, query: &Query) -> Vec<Row> {
        match query {
            Query::Entries {
                room,
                author,
                epoch,
                seqs,
                network,
            } => {
                let log = LogKey {
                    room: *room,
                    author: *author,
                    epoch: *epoch,
                };
                let of = self.logs.get(&log).map(|row| row.network);
                if network.is_some() && of != *network {
                    return Vec::new();
                }
                let row = |&seq: &u32| {
                    let held = self.entries.get(&(room.0, *author, *epoch, seq))?;
                    let bytes = held.bytes.clone();
                    Some(Row::Entry { seq, bytes })
                };
                seqs.iter().take(ROWS_MAX).filter_map(row).collect()
            }
            Query::Outbox { to } => self.outbox(to),
            Query::Vector { room, network } => self
                .vector(room, network)
                .into_iter()
                .map(Row::Log)
                .collect(),
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
            } => self.latest(room, network, (*entries, *since_ms)),
            Query::History(query) => self.history(query),
            Query::Message { id } => self.message(id).into_iter().collect(),
            Query::Topic { room } => {
                let lines = self.lines(room).into_iter().rev();
                let is_topic = |held: &super::Held| {
                    EntryHead::of(&held.bytes).is_some_and(|head| head.kind == KIND_TOPIC)
                };
                let topics = lines.filter(|(_, held)| is_topic(held));
                let row = |(key, held): (EntryKey, &super::Held)| self.line_of(&key, held);
                let rows = topics.map(row).filter(|line| line.body.is_some());
                let rows = rows.map(Box::new).map(Row::Line);
                rows.take(TOPIC_ROWS_MAX).collect()
            }
            Query::Behind { room, author, id } => {
                let behind = self.behind.get(id).into_iter().flatten();
                let of = behind.filter(|key| key.0 == room.0 && key.1 == *author);
                let row = |key: &EntryKey| {
                    let bytes = self.entries.get(key)?.bytes.clone();
                    let (log, seq) = (log_of(key), key.3);
                    Some(Row::Held { log, seq, bytes })
                };
                of.filter_map(row).take(16).collect()
            }
            Query::People { ids } => {
                let known = ids.iter().filter_map(|id| self.people.get(id));
                known.cloned().map(Row::Person).collect()
            }
        }
    }

    fn outbox(&self, to: &PublicKey) -> Vec<Row> {
        let waits = |sent: &super::Sent| sent.to == *to && sent.state == PrivateState::Queued;
        let waiting = self.sent.iter().filter(|(_, sent)| waits(sent));
        let in_order: BTreeMap<usize, Row> = waiting
            .map(|(id, sent)| {
                let message = sent.message.clone();
                (sent.number, Row::Outbox { id: *id, message })
            })
            .collect();
        in_order.into_values().collect()
    }

    fn range(&self, log: &LogKey, (first, last): (u32, u32), bytes_max: usize) -> Vec<Row> {
        let key = |seq| (log.room.0, log.author, log.epoch, seq);
        let (mut found, mut len) = (Vec::new(), 0);
        if first > last {
            return found;
        }
        for (key, held) in self.entries.range(key(first)..=key(last)) {
            len += held.bytes.len();
            if found.len() == ROWS_MAX || (len > bytes_max && !found.is_empty()) {
                break;
            }
            let (seq, bytes) = (key.3, held.bytes.clone());
            found.push(Row::Entry { seq, bytes });
        }
        found
    }

    pub(super) fn network_of(&self, key: &EntryKey) -> Option<NetworkId> {
        self.logs.get(&log_of(key)).map(|row| row.network)
    }

    fn latest(
        &self,
        room: &RoomId,
        network: &NetworkId,
        (entries, since_ms): (u32, u64),
    ) -> Vec<Row> {
        let most = usize::try_from(entries).map_or(ROWS_MAX, |most| most.min(ROWS_MAX));
        let newest = self.lines(room).into_iter().rev();
        let wanted = newest.filter(|(key, held)| {
            held.hlc >> 16 >= since_ms && self.network_of(key) == Some(*network)
        });
        let row = |(key, held): (EntryKey, &super::Held)| Row::Held {
            log: log_of(&key),
            seq: key.3,
            bytes: held.bytes.clone(),
        };
        let mut found: Vec<Row> = wanted.take(most).map(row).collect();
        found.reverse();
        found
    }

    fn history(&self, query: &HistoryQuery) -> Vec<Row> {
        let lines = match &query.talk {
            Talk::Room(room) => self.room_lines(room),
            Talk::Peer(peer) => self.private_lines(peer),
        };
        let at = |id: &MessageId| lines.iter().position(|(line, _)| line.id == *id);
        let bound = |id: Option<MessageId>, none: usize| match id {
            Some(id) => at(&id),
            None => Some(none),
        };
        let first = query.after.map_or(Some(0), |id| at(&id).map(|at| at + 1));
        let (Some(first), Some(end)) = (first, bound(query.before, lines.len())) else {
            return Vec::new();
        };
        let between = lines.get(first..end).unwrap_or_default().iter();
        let whole = between.filter_map(|(line, twin)| {
            let line = self.whole(line.clone())?;
            Some((line, *twin))
        });
        let whole: Vec<(LineRow, bool)> = whole.collect();
        let wanted = whole
            .iter()
            .filter(|(line, twin)| !twin && query.wants(line.hlc, line.body.as_deref()));
        let row = |(line, _): &(LineRow, bool)| Row::Line(Box::new(line.clone()));
        let limit = query.limit.min(ROWS_MAX);
        if query.after.is_some() {
            return wanted.take(limit).map(row).collect();
        }
        let mut found: Vec<Row> = wanted.rev().take(limit).map(row).collect();
        found.reverse();
        found
    }

    /// A message with all of its parts; none where one is missing, or it is a later part itself.
    fn whole(&self, mut line: LineRow) -> Option<LineRow> {
        let Some(((epoch, mut seq), Talk::Room(room))) = line.at.zip(Some(line.talk)) else {
            return Some(line);
        };
        if line.kind & KIND_CONTINUES != 0 {
            return None;
        }
        let mut parts = Parts::new(line.kind, line.body.take());
        while parts.is_open() {
            seq = seq.checked_add(1)?;
            let held = self.entries.get(&(room.0, line.author, epoch, seq))?;
            if !parts.push(EntryHead::of(&held.bytes)?) {
                return None;
            }
        }
        (line.kind, line.body) = parts.whole();
        Some(line)
    }

    /// The lines of a room, and whether each has a twin on a network of a lower id.
    fn room_lines(&self, room: &RoomId) -> Vec<(LineRow, bool)> {
        let all = self.lines(room);
        let mut first: BTreeMap<(PeerId, u64), NetworkId> = BTreeMap::new();
        for (key, held) in &all {
            if let Some(network) = self.network_of(key) {
                let lowest = first.entry((key.1, held.hlc)).or_insert(network);
                *lowest = network.min(*lowest);
            }
        }
        let line = |(key, held): &(EntryKey, &super::Held)| {
            let lowest = first.get(&(key.1, held.hlc)).copied();
            (self.line_of(key, held), self.network_of(key) > lowest)
        };
        all.iter().map(line).collect()
    }

    fn line_of(&self, key: &EntryKey, held: &super::Held) -> LineRow {
        let head = EntryHead::of(&held.bytes);
        let (kind, deps, body) = match head {
            Some(head) => (head.kind, head.deps, head.body),
            None => (0, Vec::new(), None),
        };
        LineRow {
            id: MessageId::of_entry(&held.hash),
            talk: Talk::Room(RoomId(key.0)),
            author: key.1,
            own: key.1 == self.own,
            hlc: held.hlc,
            key: held.key,
            kind,
            deps,
            body,
            at: Some((key.2, key.3)),
            state: None,
        }
    }

    fn private_lines(&self, peer: &PeerId) -> Vec<(LineRow, bool)> {
        let received = self.received.iter().filter(|(_, (from, _))| from == peer);
        let received = received.map(|(id, (_, row))| (id, row, None));
        let sent = self.sent.iter().filter(|(_, sent)| sent.to.id() == *peer);
        let sent = sent.map(|(id, sent)| (id, &sent.message, Some(sent.state)));
        let line = |(id, row, state): (&MessageId, &crate::durable::PrivateRow, _)| LineRow {
            id: *id,
            talk: Talk::Peer(*peer),
            author: if state_is_own(state) { self.own } else { *peer },
            own: state_is_own(state),
            hlc: row.hlc,
            key: row.hlc,
            kind: row.kind,
            deps: Vec::new(),
            body: Some(row.body.clone()),
            at: None,
            state,
        };
        let mut lines: Vec<LineRow> = received.chain(sent).map(line).collect();
        lines.retain(|line| line.kind != 0);
        lines.sort_by_key(|line| (line.hlc, line.id));
        lines.into_iter().map(|line| (line, false)).collect()
    }

    fn message(&self, id: &MessageId) -> Option<Row> {
        if let Some(key) = self.ids.get(&id.0) {
            let held = self.entries.get(key)?;
            return Some(Row::Line(Box::new(self.line_of(key, held))));
        }
        let received = self.received.get(id).map(|(from, _)| *from);
        let peer = received.or_else(|| self.sent.get(id).map(|sent| sent.to.id()))?;
        let lines = self.private_lines(&peer).into_iter();
        let mut found = lines.filter(|(line, _)| line.id == *id);
        found.next().map(|(line, _)| Row::Line(Box::new(line)))
    }

    /// What a node is told at its start.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut own_heads: BTreeMap<(RoomId, NetworkId), OwnHead> = BTreeMap::new();
        let mut epochs: BTreeMap<RoomId, u64> = BTreeMap::new();
        for (&(room, epoch), log) in &self.epochs {
            epochs.insert(room, epoch);
            let head = OwnHead {
                room,
                network: log.network,
                epoch,
                seq: log.seq,
                hash: log.hash,
            };
            if !log.retired {
                own_heads.insert((room, log.network), head);
            }
        }
        let waits = |sent: &&super::Sent| sent.state == PrivateState::Queued;
        let outbox: BTreeSet<PublicKey> = self
            .sent
            .values()
            .filter(waits)
            .map(|sent| sent.to)
            .collect();
        let authors: BTreeSet<PeerId> = self.logs.keys().map(|log| log.author).collect();
        let people = self.people.values();
        let mut rooms: Vec<_> = self.rooms.values().cloned().collect();
        rooms.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Snapshot {
            incarnation: self.incarnation,
            own_heads: own_heads.into_values().collect(),
            epochs: epochs.into_iter().collect(),
            hlc_max: self.epochs.values().map(|log| log.hlc).max().unwrap_or(0),
            heads: self
                .heads()
                .filter(|head| head.author != self.own)
                .collect(),
            own_logs: self
                .heads()
                .filter(|head| head.author == self.own)
                .collect(),
            holes: self.holes(),
            rooms,
            people: people
                .filter(|person| authors.contains(&person.id))
                .cloned()
                .collect(),
            forks: self.forks.values().cloned().collect(),
            pins: self.pins.clone().into_iter().collect(),
            outbox: outbox.into_iter().collect(),
            neighbors: self.neighbors.values().copied().collect(),
        }
    }

    /// Where all logs of a room on a network stand, and what is held of them beyond holes.
    fn vector(&self, room: &RoomId, network: &NetworkId) -> Vec<Head> {
        let of = |head: &Head| head.room == *room && head.network == *network;
        let firsts: Vec<Head> = self.heads().filter(of).collect();
        let mut heads = firsts.clone();
        for head in firsts {
            if heads.len() >= SYNC_LOGS_MAX {
                break;
            }
            let key = |seq| (head.room.0, head.author, head.epoch, seq);
            let Some(next) = head.seq.checked_add(1) else {
                continue;
            };
            let beyond = self.entries.range(key(next)..=key(u32::MAX));
            let beyond = runs(beyond.map(|(key, _)| key.3));
            let newest = beyond.len().saturating_sub(RUNS_TOLD_MAX);
            heads.extend(beyond[newest..].iter().filter_map(|&(low, seq)| {
                let hash = self.entries.get(&key(seq))?.hash;
                Some(Head {
                    low,
                    seq,
                    hash,
                    ..head.clone()
                })
            }));
        }
        heads
    }

    /// How far the logs are held without a gap.
    fn heads(&self) -> impl Iterator<Item = Head> {
        self.logs.iter().map(|(log, row)| Head {
            room: log.room,
            author: log.author,
            epoch: log.epoch,
            seq: row.head,
            hash: row.hash,
            network: row.network,
            low: self.low(log).unwrap_or(row.head + 1),
            floor: row.floor,
            forked: self.forks.contains_key(log),
        })
    }
}

fn log_of(key: &EntryKey) -> LogKey {
    LogKey {
        room: RoomId(key.0),
        author: key.1,
        epoch: key.2,
    }
}

fn state_is_own(state: Option<PrivateState>) -> bool {
    state.is_some()
}
