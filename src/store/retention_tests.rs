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
    // Who was away for a month forgets a day later than who was not.
    for hour in 0..24 {
        tidy(&mut store, wrong_ms + hour * HOUR_MS, 100);
        assert_eq!(texts(&store), ["1 of 2", "2 of 2"], "{hour}");
    }
    tidy(&mut store, wrong_ms + 24 * HOUR_MS, 100);
    assert_eq!(texts(&store), ["2 of 2"]);
}

#[test]
fn a_clock_that_is_wrong_for_hours_forgets_nothing_and_is_forgotten() {
    let mut store = store(vec![line(author(2), 1, (START_MS, START_MS))]);
    for hour in 0..10 {
        tidy(&mut store, START_MS + hour * HOUR_MS, 100);
    }
    let year_ms = 365 * DAY_MS;
    for _ in 0..3 {
        for hour in 0..20 {
            tidy(&mut store, START_MS + year_ms + hour * HOUR_MS, 100);
        }
        // Each time it is right again the wrong hours count for nothing.
        tidy(&mut store, START_MS + 20 * HOUR_MS, 100);
    }
    assert_eq!(texts(&store), ["1 of 2"]);
}

#[test]
fn a_clock_that_stands_in_1970_until_it_is_set_is_believed_once_it_is() {
    let days = |days: u64| START_MS + days * DAY_MS;
    let mut store = store(vec![line(author(2), 1, (START_MS, START_MS))]);
    tidy(&mut store, days(0), 100);
    tidy(&mut store, days(0) + HOUR_MS, 100);
    // Switched on each morning, for two hours.
    for day in 1..=31 {
        tidy(&mut store, 1000, 100);
        tidy(&mut store, days(day), 100);
        tidy(&mut store, days(day) + 2 * HOUR_MS, 100);
    }
    assert_eq!(texts(&store), Vec::<String>::new());
}

#[test]
fn who_was_away_for_long_and_comes_for_an_hour_a_day_forgets_after_some_weeks() {
    let mut store = store(vec![line(author(2), 1, (START_MS, START_MS))]);
    tidy(&mut store, START_MS, 100);
    tidy(&mut store, START_MS + HOUR_MS, 100);
    for day in 100..130 {
        tidy(&mut store, START_MS + day * DAY_MS, 100);
    }
    assert_eq!(texts(&store), Vec::<String>::new());
}

#[test]
fn a_low_number_now_and_then_makes_nothing_above_it_last() {
    let days = |days: u64| START_MS + days * DAY_MS;
    let above = (1000..2000).map(|seq| line(author(3), seq, (days(0), days(0))));
    let mut store = store(above.collect());
    for day in 0..45_u32 {
        // Each is the lowest number held, and came today.
        let writes = vec![line(author(3), 999 - day, (days(0), days(day.into())))];
        let durability = Durability::Process;
        store.apply(&Batch { durability, writes }).unwrap();
        tidy(&mut store, days(day.into()), 5000);
    }
    let kept = texts(&store);
    assert!(kept.is_empty(), "{} lines are kept", kept.len());
}

#[test]
fn what_is_one_too_many_goes_also_where_a_lower_number_came_later() {
    let at = |ms: u64| (START_MS, START_MS + ms);
    let above = (10..20).map(|seq| line(author(3), seq, at(1)));
    let low = line(author(3), 9, at(3));
    let others = (1..=10).map(|seq| line(author(2), seq, at(2)));
    let mut store = store(above.chain(others).chain([low]).collect());
    tidy(&mut store, START_MS + HOUR_MS, 10);
    let kept = texts(&store);
    assert!(kept.iter().all(|text| text.ends_with("of 2")), "{kept:?}");
    assert!(kept.len() >= 9, "{kept:?}");
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
