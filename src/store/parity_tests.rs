//! The store and the simulator's disk answer alike: both get the same random batches and are
//! asked the same. `LANCHAT_TEST_SEED` repeats a run.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{Retention, Store};
use crate::durable::{
    Batch, Durability, ForkRow, Head, HistoryQuery, Kept, LogKey, PersonRow, PrivateRow,
    PrivateState, Query, RUNS_TOLD_MAX, RoomRow, Row, Talk, Write,
};
use crate::id::{MessageId, NetworkId, PublicKey, RoomId};
use crate::limits::STORED_EPOCHS_MAX;
use crate::sim::disk::Disk;
use crate::wire::group::EntryFields;
use crate::wire::{Entry, EntryKind};

const AUTHORS: u64 = 4;
const ROOMS: u64 = 2;
const NETWORKS: u64 = 2;
const BATCHES: usize = 60;

/// An entry of the world, whether anybody holds it or not.
#[derive(Clone)]
struct Said {
    log: LogKey,
    seq: u32,
    hash: [u8; 32],
    bytes: Vec<u8>,
    stub: Vec<u8>,
}

struct World {
    rng: ChaCha8Rng,
    said: Vec<Said>,
    store: Store,
    disk: Disk,
}

fn key_of(author: u64) -> PublicKey {
    PublicKey([u8::try_from(author + 1).unwrap(); 32])
}

fn room(number: u64) -> RoomId {
    RoomId::public(["lobby", "games"][usize::try_from(number).unwrap()])
}

fn network(number: u64) -> NetworkId {
    NetworkId([u8::try_from(number + 1).unwrap(); 8])
}

impl World {
    fn new(seed: u64) -> World {
        let own = key_of(0).id();
        let mut world = World {
            rng: ChaCha8Rng::seed_from_u64(seed),
            said: Vec::new(),
            store: Store::open(None, &own).unwrap(),
            disk: Disk::new(own),
        };
        world.speak();
        world
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound
    }

    /// Everybody says something everywhere: clocks that go wrong, dependencies on what was said
    /// before, now and then two entries of one number.
    fn speak(&mut self) {
        for step in 0..250_u64 {
            let (author, room_of) = (self.below(AUTHORS), self.below(ROOMS));
            let network_of = self.below(NETWORKS);
            // An epoch belongs to one network.
            let epoch = 5 + network_of + if self.below(20) == 0 { 1 << 63 } else { 0 };
            let id = key_of(author).id();
            let log = LogKey {
                room: room(room_of),
                author: id,
                epoch,
            };
            let of_log = self.said.iter().filter(|said| said.log == log);
            let seq = u32::try_from(of_log.count()).unwrap() + 1;
            let ahead = if author == 1 { 300 } else { 0 };
            let hlc = (1000 + step + ahead) << 16 | author;
            let said = self.said.iter().filter(|said| said.log.room == log.room);
            let ids: Vec<[u8; 16]> = said.map(|said| MessageId::of_entry(&said.hash).0).collect();
            let mut deps = Vec::new();
            while !ids.is_empty() && deps.len() < 3 && self.below(3) == 0 {
                let dep = self.below(ids.len() as u64);
                deps.push(ids[usize::try_from(dep).unwrap()]);
            }
            let of_log = self.said.iter().rfind(|said| said.log == log);
            let before = of_log.map_or([0; 32], |said| said.hash);
            // Somebody lies about what stood before.
            let prev = if self.below(10) == 0 { [9; 32] } else { before };
            let forks = if self.below(25) == 0 { 2 } else { 1 };
            for fork in 0..forks {
                let fields = EntryFields {
                    author: key_of(author),
                    network: network(network_of),
                    epoch,
                    seq,
                    hlc,
                    prev,
                    kind: EntryKind(match self.below(20) {
                        0 => 3,
                        1..4 => 0x81,
                        4..7 => 0xc1,
                        7..10 => 0x41,
                        _ => 1,
                    }),
                    deps: deps.clone(),
                    body: format!("Line {step} {fork} of {author}").into_bytes(),
                };
                self.said.push(said_by(fields, log));
            }
        }
    }

    fn any_said(&mut self) -> Said {
        let at = self.below(self.said.len() as u64);
        self.said[usize::try_from(at).unwrap()].clone()
    }

    fn is_said_once(&self, said: &Said) -> bool {
        let same = |other: &&Said| other.log == said.log && other.seq == said.seq;
        self.said.iter().filter(same).count() == 1
    }

    fn write(&mut self) -> Write {
        let said = self.any_said();
        let (of_room, author) = (room(self.below(ROOMS)), key_of(self.below(AUTHORS)));
        let Said { log, seq, .. } = said;
        match self.below(100) {
            0 => Write::Floor {
                log,
                network: network(log.epoch % 2 + 1),
                floor: seq / 2,
            },
            1 => Write::Retire {
                room: of_room,
                epoch: 5 + self.below(4),
            },
            2 => Write::Room(RoomRow {
                id: of_room,
                name: format!("room{}", self.below(2)),
                key: (self.below(2) == 0).then_some([7; 32]),
                joined: self.below(2) == 0,
            }),
            3..6 => Write::Person(PersonRow {
                id: author.id(),
                key: author,
                incarnation: self.below(3),
                record_seq: u32::try_from(self.below(3)).unwrap(),
                record: vec![1, 2, 3],
            }),
            6 => Write::Fork(ForkRow {
                log,
                seq,
                first: said.bytes,
                second: vec![5],
            }),
            // The node writes none but the stub of what is held.
            7 if self.is_said_once(&said) => Write::Stub {
                log,
                seq,
                bytes: said.stub,
            },
            8 => Write::Retain {
                room: of_room,
                entries: 20 + u32::try_from(self.below(80)).unwrap(),
                before_ms: 900 + self.below(200),
            },
            9 if self.below(10) == 0 => Write::Wipe(match self.below(2) {
                0 => Talk::Room(of_room),
                _ => Talk::Peer(author.id()),
            }),
            10 => Write::Incarnation(self.below(50)),
            11 => Write::Epoch {
                room: of_room,
                network: network(self.below(NETWORKS)),
                epoch: 5 + self.below(4),
            },
            12 => Write::Pin {
                skeleton: format!("name{}", self.below(3)),
                key: author,
            },
            13..15 => Write::Gone {
                log,
                first: seq,
                last: seq + u32::try_from(self.below(3)).unwrap(),
            },
            15..22 => self.private(author),
            _ => Write::Entry {
                room: log.room,
                author: log.author,
                epoch: log.epoch,
                seq,
                hash: said.hash,
                bytes: said.bytes,
                came_ms: 1000 + self.below(300),
            },
        }
    }

    fn private(&mut self, with: PublicKey) -> Write {
        let number = self.below(20);
        let id = MessageId([u8::try_from(number).unwrap(); 16]);
        let message = PrivateRow {
            hlc: (number % 7) << 16 | if number == 3 { 1 << 63 } else { 0 },
            kind: 1,
            body: format!("private {number}").into_bytes(),
        };
        match self.below(3) {
            0 if number.is_multiple_of(2) => Write::PrivateIn {
                id,
                from: with.id(),
                message,
            },
            1 if !number.is_multiple_of(2) => Write::PrivateOut {
                id,
                to: with,
                message,
            },
            _ => Write::PrivateState {
                id,
                state: [PrivateState::Delivered, PrivateState::Failed]
                    [usize::try_from(self.below(2)).unwrap()],
            },
        }
    }

    fn queries(&mut self) -> Vec<Query> {
        let said = self.any_said();
        let (of_room, of_network) = (room(self.below(ROOMS)), network(self.below(NETWORKS)));
        let peer = key_of(self.below(AUTHORS));
        let entries = |network| Query::Entries {
            room: said.log.room,
            author: said.log.author,
            epoch: said.log.epoch,
            seqs: (1..40).collect(),
            network,
        };
        let first = u32::try_from(self.below(20)).unwrap();
        let id = MessageId::of_entry(&self.any_said().hash);
        let other = MessageId::of_entry(&self.any_said().hash);
        let private = MessageId([u8::try_from(self.below(20)).unwrap(); 16]);
        let limit = usize::try_from(self.below(30)).unwrap();
        let since_ms = 900 + self.below(300);
        let mut all = vec![
            entries(None),
            entries(Some(of_network)),
            Query::Outbox { to: peer },
            Query::Vector {
                room: of_room,
                network: of_network,
            },
            Query::Range {
                log: said.log,
                first,
                last: first + 9,
                bytes_max: 1000,
            },
            Query::Latest {
                room: of_room,
                network: of_network,
                entries: first,
                since_ms,
            },
            Query::Message { id },
            Query::Topic { room: of_room },
            Query::Behind {
                room: of_room,
                author: said.log.author,
                id: id.0,
            },
            Query::Message { id: private },
            Query::People {
                ids: vec![peer.id(), key_of(0).id()],
            },
        ];
        for talk in [Talk::Room(of_room), Talk::Peer(peer.id())] {
            let last = HistoryQuery::last(talk, limit);
            let (before, after) = match talk {
                Talk::Room(_) => (id, other),
                Talk::Peer(_) => (private, private),
            };
            let with = |change: &dyn Fn(&mut HistoryQuery)| {
                let mut query = last.clone();
                change(&mut query);
                Query::History(query)
            };
            all.extend([
                with(&|_| {}),
                with(&|query| query.limit = 512),
                with(&|query| query.before = Some(before)),
                with(&|query| query.after = Some(after)),
                with(&|query| (query.before, query.after) = (Some(before), Some(after))),
                with(&|query| query.since_ms = since_ms),
                with(&|query| query.search = vec!["LINE".into(), "1".into()]),
            ]);
        }
        all
    }

    fn compare(&mut self, seed: u64) {
        let retention = Retention {
            entries: u32::MAX,
            days: u32::MAX,
        };
        while self.store.tidy(0, retention).unwrap() {}
        for query in self.queries() {
            let (store, disk) = (self.store.query(&query).unwrap(), self.disk.query(&query));
            assert_eq!(store, disk, "seed {seed}: {query:?}");
        }
        let (store, disk) = (self.store.snapshot().unwrap(), self.disk.snapshot());
        assert_eq!(store, disk, "seed {seed}");
    }
}

fn said_by(fields: EntryFields, log: LogKey) -> Said {
    let entry = Entry::build(fields, &log.room, &mut |_| [8; 64]).unwrap();
    let unsigned = entry.bytes.len() - 64;
    let mut stub = entry.bytes[..unsigned - entry.body.len() - 2].to_vec();
    stub.extend(crate::durable::BODY_REDACTED.to_be_bytes());
    stub.extend(&entry.bytes[unsigned..]);
    Said {
        log,
        seq: entry.seq,
        hash: entry.hash(&log.room),
        bytes: entry.bytes,
        stub,
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..BATCHES {
        let len = 1 + world.below(12);
        let writes: Vec<Write> = (0..len).map(|_| world.write()).collect();
        let batch = Batch {
            durability: Durability::Process,
            writes,
        };
        let kept = world.store.apply(&batch).unwrap();
        let on_disk = world.disk.apply(&batch).unwrap();
        assert_eq!(kept, on_disk, "seed {seed}: {batch:?}");
        world.compare(seed);
    }
}

#[test]
fn the_store_and_the_disk_of_the_simulator_answer_alike() {
    let given = std::env::var("LANCHAT_TEST_SEED").ok();
    if let Some(seed) = given.and_then(|seed| seed.parse().ok()) {
        return run(seed);
    }
    let mut start = [0; 8];
    getrandom::fill(&mut start).unwrap();
    let start = u64::from_le_bytes(start) >> 16;
    eprintln!("seeds {start} to {}", start + 7);
    (start..start + 8).for_each(run);
}

/// Whoever holds the same has the same order, however it came.
#[test]
fn the_order_does_not_depend_on_the_order_of_arrival() {
    let mut orders = Vec::new();
    for seed in [1, 2] {
        let mut world = World::new(7);
        let mut said = world.said.clone();
        // Of two of one number the first, or the sets would differ.
        said.dedup_by_key(|said| (said.log, said.seq));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for left in (1..said.len()).rev() {
            let other = rng.next_u64() % (left as u64 + 1);
            said.swap(left, usize::try_from(other).unwrap());
        }
        let writes = said.into_iter().map(|said| Write::Entry {
            room: said.log.room,
            author: said.log.author,
            epoch: said.log.epoch,
            seq: said.seq,
            hash: said.hash,
            bytes: said.bytes,
            came_ms: 0,
        });
        for writes in writes.collect::<Vec<_>>().chunks(10) {
            let batch = Batch {
                durability: Durability::Process,
                writes: writes.to_vec(),
            };
            let kept = world.store.apply(&batch).unwrap();
            assert!(kept.iter().all(|kept| matches!(kept, Kept::New { .. })));
        }
        let query = Query::History(HistoryQuery::last(Talk::Room(room(0)), 500));
        orders.push(world.store.query(&query).unwrap());
    }
    assert!(orders[0].len() > 50);
    assert!(orders[0] == orders[1]);
}

/// Who begins a thousand logs of one line each leaves a bounded number of them behind.
#[test]
fn of_an_author_that_begins_many_logs_the_oldest_make_way() {
    let mut world = World::new(7);
    let said = world.said[0].clone();
    let author = key_of(3);
    let write = |epoch: u64| {
        let fields = EntryFields {
            author,
            network: network(0),
            epoch,
            seq: 1,
            hlc: epoch << 16,
            prev: [0; 32],
            kind: EntryKind(1),
            deps: Vec::new(),
            body: format!("begun at {epoch}").into_bytes(),
        };
        let log = LogKey {
            author: author.id(),
            epoch,
            ..said.log
        };
        let said = said_by(fields, log);
        Write::Entry {
            room: log.room,
            author: log.author,
            epoch,
            seq: 1,
            hash: said.hash,
            bytes: said.bytes,
            came_ms: epoch,
        }
    };
    let again = [
        (1500, Kept::BelowFloor),
        (1871, Kept::BelowFloor),
        (1872, Kept::Old),
        (1, Kept::BelowFloor),
    ];
    let new = (1000..2000).map(|epoch| (epoch, Kept::New { key: epoch << 16 }));
    for (epoch, expected) in new.chain(again) {
        let batch = Batch {
            durability: Durability::Process,
            writes: vec![write(epoch)],
        };
        let kept = world.store.apply(&batch).unwrap();
        assert_eq!(kept, [expected], "{epoch}");
        assert_eq!(kept, world.disk.apply(&batch).unwrap(), "{epoch}");
    }
    let snapshot = world.store.snapshot().unwrap();
    assert_eq!(snapshot.heads.len(), STORED_EPOCHS_MAX);
    assert_eq!(snapshot.heads[0].epoch, 1872);
    world.compare(7);
}

/// The log that an author goes on with stays, however many it begins meanwhile, and of the own ones
/// none goes.
#[test]
fn the_log_that_is_in_use_makes_way_for_none() {
    for (author, kept) in [(3, STORED_EPOCHS_MAX), (0, 501)] {
        let mut world = World::new(7);
        let log = world.said[0].log;
        let author = key_of(author);
        let mut put = |epoch: u64, seq: u32, came_ms: u64| {
            let fields = EntryFields {
                author,
                network: network(epoch % 2),
                epoch,
                seq,
                hlc: came_ms << 16,
                prev: [0; 32],
                kind: EntryKind(1),
                deps: Vec::new(),
                body: format!("{seq} of {epoch}").into_bytes(),
            };
            let (id, room) = (author.id(), log.room);
            let said = said_by(
                fields,
                LogKey {
                    author: id,
                    epoch,
                    room,
                },
            );
            let write = Write::Entry {
                room,
                author: id,
                epoch,
                seq,
                hash: said.hash,
                bytes: said.bytes,
                came_ms,
            };
            let batch = Batch {
                durability: Durability::Process,
                writes: vec![write],
            };
            let kept = world.store.apply(&batch).unwrap();
            assert_eq!(kept, world.disk.apply(&batch).unwrap(), "{seq} of {epoch}");
            assert!(kept[0].is_new(), "{seq} of {epoch}");
        };
        for step in 1..=500_u32 {
            put(100, step, 2 * u64::from(step));
            put(1000 + u64::from(step), 1, 2 * u64::from(step) + 1);
        }
        let sql = "SELECT count(*) FROM log WHERE author = ?";
        let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let logs = world.store.conn.query_row(sql, [author.id().0], count);
        assert_eq!(usize::try_from(logs.unwrap()).unwrap(), kept);
        world.compare(7);
    }
}

#[test]
fn of_a_log_with_holes_each_run_is_told_and_of_too_many_the_newest() {
    let mut world = World::new(7);
    let (author, room) = (key_of(3), room(0));
    let (id, epoch) = (author.id(), 99);
    let log = LogKey {
        author: id,
        epoch,
        room,
    };
    let mut hashes = BTreeMap::new();
    let mut put = |world: &mut World, seq: u32| {
        let fields = EntryFields {
            author,
            network: network(0),
            epoch,
            seq,
            hlc: 5 << 16,
            prev: [0; 32],
            kind: EntryKind(1),
            deps: Vec::new(),
            body: format!("line {seq}").into_bytes(),
        };
        let said = said_by(fields, log);
        hashes.insert(seq, said.hash);
        let write = Write::Entry {
            room,
            author: id,
            epoch,
            seq,
            hash: said.hash,
            bytes: said.bytes,
            came_ms: 0,
        };
        let batch = Batch {
            durability: Durability::Process,
            writes: vec![write],
        };
        world.store.apply(&batch).unwrap();
        world.disk.apply(&batch).unwrap();
        let network = network(0);
        let query = Query::Vector { room, network };
        let rows = world.store.query(&query).unwrap();
        assert_eq!(rows, world.disk.query(&query), "with {seq}");
        let runs = rows.into_iter().filter_map(|row| match row {
            Row::Log(head) => Some(head),
            _ => None,
        });
        let runs: Vec<Head> = runs.filter(|head| head.epoch == epoch).collect();
        assert!(runs.iter().all(|head| head.hash == hashes[&head.seq]));
        runs.iter().map(|head| (head.low, head.seq)).collect()
    };
    let mut told: Vec<(u32, u32)> = Vec::new();
    for seq in [2, 1, 6, 4, 7] {
        told = put(&mut world, seq);
    }
    assert_eq!(told, [(1, 2), (4, 4), (6, 7)]);
    assert_eq!(put(&mut world, 3), [(1, 4), (6, 7)]);
    for run in 1..=70 {
        told = put(&mut world, 10 * run);
    }
    assert_eq!((told.len(), told[0]), (1 + RUNS_TOLD_MAX, (1, 4)));
    let newest: Vec<(u32, u32)> = (7..=70).map(|run| (10 * run, 10 * run)).collect();
    assert_eq!(told[1..], newest);
}
