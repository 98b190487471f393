//! Clocks that are wrong, of authors and the own one: what is forgotten is not for them to say.

use super::{DAY_MS, Retention, Store};
use crate::durable::{Batch, Durability, HistoryQuery, Query, Row, Talk, Write};
use crate::id::{NetworkId, PublicKey, RoomId};
use crate::wire::group::EntryFields;
use crate::wire::{Entry, EntryKind};

/// In 2026.
const START_MS: u64 = 1_790_000_000_000;
const HOUR_MS: u64 = 60 * 60 * 1000;
const YEAR_2099_MS: u64 = 4_070_908_800_000;

fn author(number: u8) -> PublicKey {
    PublicKey([number; 32])
}

/// One more line of this author, said and come at these milliseconds.
fn line(author: PublicKey, seq: u32, (said_ms, came_ms): (u64, u64)) -> Write {
    let room = RoomId::public("lobby");
    let fields = EntryFields {
        author,
        network: NetworkId([6; 8]),
        epoch: 5,
        seq,
        hlc: said_ms << 16,
        prev: [0; 32],
        kind: EntryKind::TEXT,
        deps: Vec::new(),
        body: format!("{seq} of {}", author.0[0]).into_bytes(),
    };
    let entry = Entry::build(fields, &room, &mut |_| [8; 64]).unwrap();
    Write::Entry {
        room,
        author: author.id(),
        epoch: 5,
        seq,
        hash: entry.hash(&room),
        bytes: entry.bytes,
        came_ms,
    }
}

fn store(writes: Vec<Write>) -> Store {
    let mut store = Store::open(None, &author(1).id()).unwrap();
    let durability = Durability::Process;
    store.apply(&Batch { durability, writes }).unwrap();
    store
}

fn texts(store: &Store) -> Vec<String> {
    let talk = Talk::Room(RoomId::public("lobby"));
    let rows = store.query(&Query::History(HistoryQuery::last(talk, 500)));
    let text = |row: Row| match row {
        Row::Line(line) => String::from_utf8(line.body.unwrap()).unwrap(),
        row => panic!("{row:?}"),
    };
    rows.unwrap().into_iter().map(text).collect()
}

fn tidy(store: &mut Store, now_ms: u64, entries: u32) {
    let days = 30;
    while store.tidy(now_ms, Retention { entries, days }).unwrap() {}
}

#[test]
fn an_author_whose_clock_stands_in_1970_is_forgotten_in_its_turn() {
    let days = |days: u64| START_MS + days * DAY_MS;
    let writes = vec![
        line(author(2), 1, (START_MS, days(0))),
        line(author(3), 1, (1000, days(1))),
        line(author(2), 2, (days(2), days(2))),
    ];
    let mut store = store(writes);
    tidy(&mut store, days(2), 100);
    tidy(&mut store, days(2) + 2 * HOUR_MS, 100);
    assert_eq!(texts(&store), ["1 of 3", "1 of 2", "2 of 2"]);
    tidy(&mut store, days(2) + 3 * HOUR_MS, 2);
    assert_eq!(texts(&store), ["1 of 3", "2 of 2"], "the first that came");
    for day in 3..=32 {
        tidy(&mut store, days(day), 100);
    }
    assert_eq!(texts(&store), ["2 of 2"]);
}

#[test]
fn a_clock_in_2099_pushes_nobody_out_and_makes_nothing_last() {
    let ahead = (1..=10).map(|seq| line(author(3), seq, (YEAR_2099_MS, START_MS)));
    let honest = (1..=10).map(|seq| {
        let at = START_MS + u64::from(seq);
        line(author(2), seq, (at, at))
    });
    let mut store = store(ahead.chain(honest).collect());
    tidy(&mut store, START_MS + HOUR_MS, 10);
    let wanted: Vec<String> = (1..=10).map(|seq| format!("{seq} of 2")).collect();
    assert_eq!(texts(&store), wanted);

    let writes = vec![line(author(3), 11, (YEAR_2099_MS, START_MS))];
    let durability = Durability::Process;
    store.apply(&Batch { durability, writes }).unwrap();
    for day in 0..=31 {
        tidy(&mut store, START_MS + day * DAY_MS, 100);
    }
    assert_eq!(texts(&store), Vec::<String>::new());
}

#[test]
fn a_clock_that_jumps_forgets_nothing() {
    let writes = vec![line(author(2), 1, (START_MS, START_MS))];
    let mut store = store(writes);
    tidy(&mut store, START_MS, 100);
    tidy(&mut store, START_MS + HOUR_MS, 100);
    // Something comes meanwhile, too.
    let wrong_ms = START_MS + 31 * DAY_MS;
    tidy(&mut store, wrong_ms, 100);
    let writes = vec![line(author(2), 2, (START_MS, wrong_ms))];
    let durability = Durability::Process;
    store.apply(&Batch { durability, writes }).unwrap();
    tidy(&mut store, wrong_ms + HOUR_MS / 2, 100);
    assert_eq!(texts(&store), ["1 of 2", "2 of 2"]);
    // Back to what it was.
    tidy(&mut store, START_MS + 2 * HOUR_MS, 100);
    tidy(&mut store, START_MS + 4 * HOUR_MS, 100);
    assert_eq!(texts(&store), ["1 of 2", "2 of 2"]);
    // Who was away for a month forgets an hour later than who was not.
    tidy(&mut store, wrong_ms, 100);
    assert_eq!(texts(&store), ["1 of 2", "2 of 2"]);
    tidy(&mut store, wrong_ms + HOUR_MS, 100);
    assert_eq!(texts(&store), ["2 of 2"]);
}

#[test]
fn finding_what_came_first_walks_an_index() {
    let store = store(Vec::new());
    let sql = "EXPLAIN QUERY PLAN SELECT came, author, epoch, seq FROM line WHERE room = ?
               ORDER BY came DESC, author DESC, epoch DESC, seq DESC LIMIT 1 OFFSET ?";
    let mut statement = store.conn.prepare(sql).unwrap();
    let read = |row: &rusqlite::Row<'_>| row.get::<_, String>(3);
    let plan: Vec<String> = statement
        .query_map((0, 0), read)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(
        plan.iter().all(|step| step.contains("line_came")),
        "{plan:?}"
    );
}
