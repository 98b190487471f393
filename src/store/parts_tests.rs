//! Messages of several parts: one line of a history, or none.

use super::Store;
use crate::durable::{
    Batch, Durability, HistoryQuery, KIND_CONTINUES, KIND_MORE, LogKey, Query, Row, Talk, Write,
};
use crate::id::{MessageId, NetworkId, PublicKey, RoomId};
use crate::wire::group::EntryFields;
use crate::wire::{Entry, EntryKind};

const BEN: PublicKey = PublicKey([2; 32]);

fn entry(seq: u32, kind: u8, text: &str) -> Entry {
    let fields = EntryFields {
        author: BEN,
        network: NetworkId([6; 8]),
        epoch: 5,
        seq,
        hlc: u64::from(seq) << 16,
        prev: [0; 32],
        kind: EntryKind(kind),
        deps: Vec::new(),
        body: text.as_bytes().to_vec(),
    };
    Entry::build(fields, &RoomId::public("lobby"), &mut |_| [8; 64]).unwrap()
}

fn keep(store: &mut Store, entries: &[&Entry]) {
    let room = RoomId::public("lobby");
    let write = |entry: &&Entry| Write::Entry {
        room,
        author: BEN.id(),
        epoch: 5,
        seq: entry.seq,
        hash: entry.hash(&room),
        bytes: entry.bytes.clone(),
        came_ms: 0,
    };
    let durability = Durability::Process;
    let writes = entries.iter().map(write).collect();
    store.apply(&Batch { durability, writes }).unwrap();
}

fn lines(store: &Store, change: impl Fn(&mut HistoryQuery)) -> Vec<(u8, Option<String>)> {
    let mut query = HistoryQuery::last(Talk::Room(RoomId::public("lobby")), 2);
    change(&mut query);
    let line = |row: Row| match row {
        Row::Line(line) => {
            let text = line.body.map(|body| String::from_utf8(body).unwrap());
            (line.kind, text)
        }
        row => panic!("{row:?}"),
    };
    let rows = store.query(&Query::History(query)).unwrap();
    rows.into_iter().map(line).collect()
}

fn line(text: &str) -> (u8, Option<String>) {
    (1, Some(text.to_owned()))
}

#[test]
fn parts_are_one_line_to_read_to_search_and_to_go_on_from() {
    let room = RoomId::public("lobby");
    let (first, inner, last) = (
        1 | KIND_MORE,
        1 | KIND_MORE | KIND_CONTINUES,
        1 | KIND_CONTINUES,
    );
    let all = [
        entry(1, 1, "before"),
        entry(2, first, "one of "),
        entry(3, inner, "three"),
        entry(4, last, " parts"),
        entry(5, 1, "after"),
    ];
    let mut store = Store::open(None, &PublicKey([1; 32]).id()).unwrap();
    keep(&mut store, &[&all[0], &all[1], &all[3], &all[4]]);
    assert_eq!(lines(&store, |_| {}), [line("before"), line("after")]);
    keep(&mut store, &[&all[2]]);
    let whole = line("one of three parts");
    assert_eq!(lines(&store, |_| {}), [whole.clone(), line("after")]);
    let id = |entry: &Entry| MessageId::of_entry(&entry.hash(&room));
    let found = lines(&store, |query| query.after = Some(id(&all[1])));
    assert_eq!(found, [line("after")]);
    let found = lines(&store, |query| query.before = Some(id(&all[4])));
    assert_eq!(found, [line("before"), whole.clone()]);
    let words = vec!["one".to_owned(), "three p".to_owned()];
    let found = lines(&store, |query| query.search.clone_from(&words));
    assert_eq!(found, [whole]);

    // Any part that is taken back takes the whole with it.
    let log = LogKey {
        room,
        author: BEN.id(),
        epoch: 5,
    };
    let (seq, bytes) = (3, all[2].stub().bytes);
    let durability = Durability::Process;
    let writes = vec![Write::Stub { log, seq, bytes }];
    store.apply(&Batch { durability, writes }).unwrap();
    assert_eq!(lines(&store, |_| {}), [(1, None), line("after")]);
}
