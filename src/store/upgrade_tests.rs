//! A database of the schema before becomes one of today, with nothing lost.

use tempfile::TempDir;

use super::Store;
use super::open::{APPLICATION_ID, FILE, MIGRATIONS, Step};
use crate::durable::{HistoryQuery, Query, Row, Talk};
use crate::id::{MessageId, NetworkId, PublicKey, RoomId};
use crate::wire::group::EntryFields;
use crate::wire::{Entry, EntryKind};

const OWN: PublicKey = PublicKey([1; 32]);
const BEN: PublicKey = PublicKey([2; 32]);

fn entry(author: PublicKey, seq: u32, hlc: u64, deps: &[&Entry]) -> Entry {
    let room = RoomId::public("lobby");
    let id = |entry: &&Entry| MessageId::of_entry(&entry.hash(&room)).0;
    let fields = EntryFields {
        author,
        network: NetworkId([6; 8]),
        epoch: 5,
        seq,
        hlc: hlc << 16,
        prev: [0; 32],
        kind: EntryKind::TEXT,
        deps: deps.iter().map(id).collect(),
        body: format!("{seq} at {hlc}").into_bytes(),
    };
    Entry::build(fields, &room, &mut |_| [8; 64]).unwrap()
}

/// A database as version 2 wrote it.
fn old_database(dir: &TempDir, entries: &[Entry]) {
    let conn = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    conn.pragma_update(None, "application_id", APPLICATION_ID)
        .unwrap();
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        .unwrap();
    for step in &MIGRATIONS[..2] {
        let Step::Sql(sql) = step else {
            panic!("versions 1 and 2 are SQL alone")
        };
        conn.execute_batch(sql).unwrap();
    }
    conn.pragma_update(None, "user_version", 2).unwrap();
    let room = RoomId::public("lobby");
    for (log, author) in [(1, OWN), (2, BEN)] {
        let of = entries.iter().filter(|entry| entry.author == author);
        let last = of.clone().max_by_key(|entry| entry.seq).unwrap();
        conn.execute(
            "INSERT INTO log VALUES (?, ?, ?, 5, 1, ?, ?)",
            rusqlite::params![log, room.0, author.id().0, last.seq, last.hash(&room)],
        )
        .unwrap();
        for entry in of {
            conn.execute(
                "INSERT INTO entry VALUES (?, ?, ?, ?)",
                rusqlite::params![log, entry.seq, entry.hash(&room), entry.bytes],
            )
            .unwrap();
        }
    }
    conn.execute(
        "INSERT INTO own_log VALUES (?, ?, 5, zeroblob(8), 1, zeroblob(32), 0)",
        rusqlite::params![OWN.id().0, room.0],
    )
    .unwrap();
    let private = "INSERT INTO private_out VALUES (1, zeroblob(16), ?, ?, 1, x'6869', 1)";
    conn.execute(private, rusqlite::params![BEN.0, (3_i64 << 16)])
        .unwrap();
    let private =
        "INSERT INTO private_in VALUES (1, x'01010101010101010101010101010101', ?, ?, 1, x'6f68')";
    conn.execute(private, rusqlite::params![BEN.id().0, (4_i64 << 16)])
        .unwrap();
}

fn lines(store: &Store, talk: Talk) -> Vec<String> {
    let query = Query::History(HistoryQuery::last(talk, 100));
    let text = |row: Row| match row {
        Row::Line(line) => String::from_utf8(line.body.unwrap()).unwrap(),
        row => panic!("{row:?}"),
    };
    store.query(&query).unwrap().into_iter().map(text).collect()
}

#[test]
fn a_database_of_version_2_gets_order_networks_and_clocks() {
    let dir = TempDir::new().unwrap();
    // Ben's clock is an hour ahead; what was said after his first line names it.
    let ahead = entry(BEN, 1, 3_600_000, &[]);
    let answer = entry(OWN, 1, 1000, &[&ahead]);
    let entries = [answer, ahead, entry(BEN, 2, 3_600_500, &[])];
    old_database(&dir, &entries);

    let store = Store::open(Some(dir.path()), &OWN.id()).unwrap();
    let room = Talk::Room(RoomId::public("lobby"));
    let order = ["1 at 3600000", "1 at 1000", "2 at 3600500"];
    assert_eq!(lines(&store, room), order);
    let talk = Talk::Peer(BEN.id());
    assert_eq!(lines(&store, talk), ["hi", "oh"]);
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.hlc_max, 1000 << 16);
    let [head] = &snapshot.heads[..] else {
        panic!("{:?}", snapshot.heads)
    };
    assert_eq!((head.author, head.seq, head.low), (BEN.id(), 2, 1));
    assert_eq!((head.network, head.floor), (NetworkId([6; 8]), 0));
    // Their clocks stand in 1970: they came now, for all that is known.
    let sql = "SELECT min(line.came), min(entry.came), count(*) FROM line
               JOIN entry ON entry.log = line.log AND entry.seq = line.seq
               WHERE line.came = entry.came";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let came: (i64, i64, u32) = store.conn.query_row(sql, [], read).unwrap();
    assert!(
        came.0 == came.1 && came.0 > 1_700_000_000_000 && came.2 == 3,
        "{came:?}"
    );
    drop(store);
    let again = Store::open(Some(dir.path()), &OWN.id()).unwrap();
    assert_eq!(lines(&again, room), order);
}
