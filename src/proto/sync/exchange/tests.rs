//! Tests of one side of an exchange.

use super::*;
use crate::durable::{Head, PersonRow};
use crate::id::PublicKey;

/// Else a screen that reads the lines at once shows them of nobody.
#[test]
fn a_newcomer_is_told_the_names_before_the_lines() {
    let author = PeerId([1; 32]);
    let subject = Subject {
        room: RoomId([3; 32]),
        network: NetworkId([4; 8]),
        why: Why::Join,
        entries: 200,
        since_ms: 0,
    };
    let mut helper = Exchange::new(Role::Helper, subject, [0; 32]);
    let vector = Frame::Vector {
        proof: [0; 32],
        more: false,
        logs: Vec::new(),
    };
    helper.handle(vector).expect("nothing held");
    let mut said = Vec::new();
    while let Some(query) = helper.next_query(true) {
        let rows = match query {
            Query::Vector { room, network } => vec![Row::Log(Head {
                room,
                author,
                epoch: 1,
                seq: 1,
                hash: [5; 32],
                network,
                low: 1,
                floor: 0,
                forked: false,
            })],
            Query::People { .. } => vec![Row::Person(PersonRow {
                id: author,
                key: PublicKey([1; 32]),
                incarnation: 1,
                record_seq: 1,
                record: vec![6; 200],
            })],
            _ => vec![Row::Entry {
                seq: 1,
                bytes: vec![7; 200],
            }],
        };
        said.extend(helper.loaded(&rows));
    }
    let kinds = said.iter().filter_map(|act| match act {
        Act::Send(frame) => Some(frame.kind()),
        _ => None,
    });
    let kinds: Vec<u8> = kinds.collect();
    let of = |frame: &Frame| frame.kind();
    let people = of(&Frame::People(Vec::new()));
    let entries = of(&Frame::Entries(Vec::new()));
    let done = of(&Frame::Done { more: false });
    let places = [people, entries, done].map(|kind| kinds.iter().position(|k| *k == kind));
    assert!(places[0].is_some() && places.is_sorted(), "{kinds:?}");
}
