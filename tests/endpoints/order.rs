//! The order that people see, whatever the clocks.

use std::time::Duration;

use lanchat::api::Event;
use lanchat::id::{MessageId, NetworkId, RoomId};
use lanchat::wire::{self, Body, Entry, EntryFields, EntryKind, Parsed};

use crate::actor::Actor;
use crate::world::{World, lobby, seconds, three};

/// The entry with this text that a node sent.
fn sent(world: &World, by: usize, text: &str) -> Entry {
    let mut entries = world.sent.iter().filter_map(|(from, bytes)| {
        let Ok(Parsed::Packet(packet)) = wire::parse(bytes) else {
            return None;
        };
        match packet.body {
            Body::Data(entry) if *from == by => Some(entry),
            _ => None,
        }
    });
    let found = entries.find(|entry| entry.body == text.as_bytes());
    found.expect("it was sent")
}

#[test]
fn an_answer_stands_behind_all_that_was_seen_and_not_only_behind_the_last() {
    let mut world = three(0.0, 81);
    world.run(seconds(1));
    let mut actor = Actor::new(77, 66);
    actor.hello(&mut world, 0);
    actor.run(&mut world, seconds(1), |_| None);
    let fields = EntryFields {
        author: actor.identity.public(),
        network: NetworkId([9; 8]),
        epoch: world.now.wall_ms,
        seq: 1,
        hlc: (world.now.wall_ms + 3_600_000) << 16,
        prev: [0; 32],
        kind: EntryKind::TEXT,
        deps: Vec::new(),
        body: b"an hour ahead".to_vec(),
    };
    let room = RoomId::public("lobby");
    let identity = actor.identity.clone();
    let ahead = Entry::build(fields, &room, &mut |bytes| identity.sign(bytes)).unwrap();
    actor.say(&mut world, 0, &Body::Data(ahead.clone()));
    world.run(seconds(1));
    world.send(1, "#lobby", "right on time");
    world.run(seconds(1));
    world.send(0, "#lobby", "an answer");
    world.run(seconds(1));
    assert_eq!(world.texts(0, &lobby()), ["an hour ahead", "right on time"]);
    let id = MessageId::of_entry(&ahead.hash(&room));
    assert_eq!(sent(&world, 0, "an answer").deps, [id.0]);
}

#[test]
fn a_line_that_was_missed_goes_to_its_place_while_what_follows_is_fresh() {
    for (late, delayed) in [(Duration::from_millis(900), false), (seconds(7), true)] {
        let mut world = three(0.0, 82);
        world.send(0, "#lobby", "first");
        world.run(seconds(10));
        // What ana says reaches nobody for a while, then ben speaks.
        world.cut.extend([(0, 1), (0, 2)]);
        world.send(0, "#lobby", "missed");
        world.run(Duration::from_millis(100));
        world.send(2, "#lobby", "after it");
        world.run(late);
        world.cut.clear();
        world.run(seconds(8));
        let told = world.nodes[1].events.iter().rev();
        let missed = told.filter_map(|(_, event)| match event {
            Event::Message {
                text,
                delayed,
                after,
                ..
            } if text == "missed" => Some((*delayed, *after)),
            _ => None,
        });
        let missed: Vec<_> = missed.collect();
        let first = sent(&world, 0, "first");
        let first = MessageId::of_entry(&first.hash(&RoomId::public("lobby")));
        let wanted = (delayed, (!delayed).then_some(first));
        assert_eq!(missed, [wanted], "{late:?} late");
    }
}
