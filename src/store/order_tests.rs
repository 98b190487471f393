//! Entries that lie about what stood before them.

use super::{Retention, Store};
use crate::durable::{Batch, Durability, Kept, Write};
use crate::id::{MessageId, NetworkId, PublicKey, RoomId};
use crate::wire::group::EntryFields;
use crate::wire::{Entry, EntryKind};

const BEN: PublicKey = PublicKey([2; 32]);

fn entry(seq: u32, prev: [u8; 32], deps: &[&Entry]) -> Entry {
    let room = RoomId::public("lobby");
    let id = |entry: &&Entry| MessageId::of_entry(&entry.hash(&room)).0;
    let fields = EntryFields {
        author: BEN,
        network: NetworkId([6; 8]),
        epoch: 5,
        seq,
        hlc: u64::from(seq) << 16,
        prev,
        kind: EntryKind::TEXT,
        deps: deps.iter().map(id).collect(),
        body: format!("{seq}").into_bytes(),
    };
    Entry::build(fields, &room, &mut |_| [8; 64]).unwrap()
}

#[test]
fn who_names_a_later_line_of_its_own_does_not_send_the_order_round_in_circles() {
    let room = RoomId::public("lobby");
    let mut store = Store::open(None, &PublicKey([1; 32]).id()).unwrap();
    let first = entry(1, [0; 32], &[]);
    let third = entry(3, [9; 32], &[]);
    let second = entry(2, first.hash(&room), &[&third]);
    for entry in [first, third, second] {
        let write = Write::Entry {
            room,
            author: BEN.id(),
            epoch: 5,
            seq: entry.seq,
            hash: entry.hash(&room),
            bytes: entry.bytes,
            came_ms: 0,
        };
        let durability = Durability::Process;
        let writes = vec![write];
        let kept = store.apply(&Batch { durability, writes }).unwrap();
        assert!(matches!(kept[..], [Kept::New { .. }]), "{kept:?}");
    }
    let (entries, days) = (100, 30);
    let retention = Retention { entries, days };
    assert!(!store.tidy(0, retention).unwrap(), "something is left");
}
