//! Repairs and acknowledgements in larger rooms, and for members that no group reaches.

use std::time::Duration;

use lanchat::api::{Event, ReceiptState};
use lanchat::datagram::Destination;

use crate::world::{World, lobby, seconds};

const REPAIR: u8 = 17;
const HEADS: u8 = 18;
const ACK: u8 = 20;

/// So many people who know each other.
fn room(count: usize, seed: u64) -> World {
    let mut world = World::new(0.0, seed);
    for _ in 0..count {
        world.add("node");
        world.run(Duration::from_millis(50));
    }
    world.run(seconds(4));
    assert!(world.all_listed());
    world.forget();
    world
}

/// How many packets of this type went out, by group or by unicast.
fn sent(world: &World, kind: u8, by_group: bool) -> usize {
    let sent = world.sent.iter().zip(&world.out);
    let is_it = |((_, bytes), (to, _)): &(&(usize, Vec<u8>), &(Destination, usize))| {
        bytes[2] == kind && matches!(to, Destination::Group(..)) == by_group
    };
    sent.filter(is_it).count()
}

#[test]
fn what_many_miss_goes_to_the_group_once() {
    let mut world = room(24, 61);
    world.group_loss = Some(1.0);
    world.send(0, "#lobby", "hello");
    world.run(Duration::from_millis(45));
    world.group_loss = None;
    world.run(Duration::from_millis(60));
    let (group, unicast) = (sent(&world, REPAIR, true), sent(&world, REPAIR, false));
    println!("repairs: {group} by group, {unicast} by unicast");
    assert!(group >= 1);
    world.run(seconds(2));
    for at in 1..24 {
        assert_eq!(world.texts(at, &lobby()), ["hello"], "{at}");
    }
}

#[test]
fn in_a_large_room_a_sample_acknowledges_and_the_receipt_says_so() {
    let mut world = room(70, 62);
    for round in 0..2 {
        world.nodes[0].events.clear();
        world.forget();
        world.send(0, "#lobby", &format!("line {round}"));
        world.run(seconds(2));
        let receipt = world.nodes[0]
            .events
            .iter()
            .rev()
            .find_map(|(_, event)| match event {
                Event::Receipt {
                    state, of, sampled, ..
                } => Some((*state, *of, *sampled)),
                _ => None,
            });
        assert_eq!(receipt, Some((ReceiptState::Delivered, 64, true)));
        assert_eq!(sent(&world, ACK, false), 64);
    }
    for at in 1..70 {
        assert_eq!(world.texts(at, &lobby()).len(), 2, "{at}");
    }
}

#[test]
fn whom_no_group_reaches_is_told_by_unicast_how_far_a_log_goes() {
    let mut world = World::new(0.0, 63);
    for name in ["ana", "ben", "eva"] {
        world.add(name);
    }
    // Nothing of a group passes to or from ben.
    world.group_passes = |from, to| from != 1 && to != 1;
    let (ana, ben) = (world.nodes[0].address, world.nodes[1].address);
    world.name_peer(1, ana);
    world.name_peer(0, ben);
    world.run(seconds(120));
    world.forget();
    world.cut.insert((0, 1));
    world.send(0, "#lobby", "hello");
    world.run(Duration::from_millis(30));
    world.cut.clear();
    world.run(seconds(1));
    assert_eq!(world.texts(1, &lobby()), ["hello"]);
    assert!(sent(&world, HEADS, false) >= 2);
}
