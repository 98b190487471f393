//! What an author said on several networks at once is one line, and finding that out costs little.

use rusqlite::StatementStatus;

use super::{Store, history};
use crate::durable::{Batch, Durability, HistoryQuery, Query, Row, Talk, Write};
use crate::id::{NetworkId, PublicKey, RoomId};
use crate::wire::group::EntryFields;
use crate::wire::{Entry, EntryKind};

const BEN: PublicKey = PublicKey([2; 32]);

/// An entry of a log of this network, of an author who names one clock for all of them.
fn write(network: u8, seq: u32, hlc: u64) -> Write {
    let room = RoomId::public("lobby");
    let epoch = u64::from(network);
    let fields = EntryFields {
        author: BEN,
        network: NetworkId([network; 8]),
        epoch,
        seq,
        hlc,
        prev: [0; 32],
        kind: EntryKind::TEXT,
        deps: Vec::new(),
        body: format!("{seq} on {network}").into_bytes(),
    };
    let entry = Entry::build(fields, &room, &mut |_| [8; 64]).unwrap();
    Write::Entry {
        room,
        author: BEN.id(),
        epoch,
        seq,
        hash: entry.hash(&room),
        bytes: entry.bytes,
        came_ms: 0,
    }
}

fn store(writes: Vec<Write>) -> Store {
    let mut store = Store::open(None, &PublicKey([1; 32]).id()).unwrap();
    let durability = Durability::Process;
    store.apply(&Batch { durability, writes }).unwrap();
    store
}

fn page(store: &Store) -> Vec<String> {
    let talk = Talk::Room(RoomId::public("lobby"));
    let rows = store.query(&Query::History(HistoryQuery::last(talk, 100)));
    let text = |row: Row| match row {
        Row::Line(line) => String::from_utf8(line.body.unwrap()).unwrap(),
        row => panic!("{row:?}"),
    };
    rows.unwrap().into_iter().map(text).collect()
}

#[test]
fn of_what_was_said_on_several_networks_that_of_the_lowest_is_shown() {
    let all = [
        write(7, 1, 5),
        write(6, 1, 5),
        write(8, 1, 5),
        write(8, 2, 6),
    ];
    assert_eq!(page(&store(all.to_vec())), ["1 on 6", "2 on 8"]);
}

/// Steps of the database for the twins of one page, where so many lines name one clock.
fn steps(lines: u32) -> i32 {
    let others = (1..6).map(|network| write(network, 1, u64::from(network)));
    let all = (1..=lines).map(|seq| write(9, seq, 1000));
    let store = store(others.chain(all).collect());
    let statement = store.conn.prepare_cached(history::TWIN).unwrap();
    statement.reset_status(StatementStatus::VmStep);
    drop(statement);
    assert_eq!(page(&store).len(), 100);
    let statement = store.conn.prepare_cached(history::TWIN).unwrap();
    statement.get_status(StatementStatus::VmStep)
}

#[test]
fn a_page_of_lines_that_all_name_one_clock_costs_as_much_as_any_other() {
    let (some, more) = (steps(500), steps(2000));
    println!("{some} steps of 500 lines, {more} of 2000");
    assert!(some >= 100, "the statement is the one that was counted");
    assert!(more < 2 * some, "{some} steps of 500 lines, {more} of 2000");
}
