//! Networks that carry no groups: remembered peers, named addresses, nodes that hear no group.

use std::net::SocketAddr;
use std::time::Duration;

use lanchat::datagram::Destination;
use lanchat::durable::Neighbor;
use lanchat::id::PeerId;

use crate::world::{Disk, World, lobby, seconds};

const HELLO: u8 = 1;

/// Ana and ben, who met while groups passed and are down now that they do not.
fn two_that_met(seed: u64) -> World {
    let mut world = World::new(0.0, seed);
    world.add("ana");
    world.add("ben");
    world.run_until(seconds(2), World::all_listed);
    world.run(seconds(2));
    world.kill(0);
    world.kill(1);
    world.run(seconds(1));
    world.group_passes = |_, _| false;
    for node in &mut world.nodes {
        node.events.clear();
    }
    world
}

/// When a HELLO to this address left the node, in order.
fn hellos_to(world: &World, from: usize, at: SocketAddr) -> usize {
    let is_hello = |bytes: &[u8]| bytes.get(2) == Some(&HELLO);
    let sent = world.sent.iter().zip(&world.out);
    sent.filter(|((sender, bytes), (to, _))| {
        *sender == from && is_hello(bytes) && *to == Destination::Unicast(at)
    })
    .count()
}

#[test]
fn who_was_reached_is_found_again_where_no_group_passes() {
    for seed in 1..=10 {
        let mut world = two_that_met(seed);
        assert_eq!(world.nodes[0].disk.neighbors.len(), 1);
        world.boot(0);
        world.run(seconds(1));
        // Ben remembers nobody, so that it is ana who finds him, and knows of no other way.
        world.nodes[1].disk.neighbors.clear();
        world.boot(1);
        let took = world.run_until(seconds(3), World::all_listed);
        assert!(took < seconds(2), "{took:?}");
        world.send(0, "#lobby", "found you");
        world.run(seconds(1));
        assert_eq!(world.texts(1, &lobby()), ["found you"]);
    }
}

#[test]
fn both_that_remember_each_other_meet_in_a_few_round_trips() {
    let mut world = two_that_met(11);
    world.boot(0);
    world.run(seconds(1));
    world.boot(1);
    let took = world.run_until(seconds(1), World::all_listed);
    assert!(took < Duration::from_millis(20), "{took:?}");
}

#[test]
fn another_network_is_not_asked_for_those_of_this_one() {
    let mut world = two_that_met(12);
    let ben = world.nodes[1].address;
    world.nodes[0].address = SocketAddr::from(([10, 9, 9, 1], 5263));
    world.sent.clear();
    world.out.clear();
    world.boot(0);
    world.run(seconds(60));
    assert_eq!(hellos_to(&world, 0, ben), 0);
}

#[test]
fn the_latest_32_are_asked_20_a_second_and_later_a_few_with_each_heartbeat() {
    let mut world = World::new(0.0, 13);
    let network = {
        // What a first run learns tells the id of this network.
        let (ana, ben) = (world.add("ana"), world.add("ben"));
        world.run_until(seconds(2), World::all_listed);
        world.run(seconds(2));
        world.kill(ana);
        world.kill(ben);
        world.nodes[ana].disk.neighbors[0].network
    };
    let at = |host: u8| SocketAddr::from(([10, 0, 0, 100 + host], 5263));
    let neighbor = |host: u8| Neighbor {
        network,
        id: PeerId([host; 32]),
        address: at(host),
        heard_ms: world.now.wall_ms - u64::from(host),
    };
    let kept: Vec<Neighbor> = (0..40).map(neighbor).collect();
    world.nodes[0].disk = Disk::default();
    world.nodes[0].disk.neighbors = kept;
    world.sent.clear();
    world.out.clear();
    world.boot(0);
    let asked = |world: &World| (0..40).map(|host| hellos_to(world, 0, at(host))).sum();
    world.run(Duration::from_millis(10));
    assert_eq!(hellos_to(&world, 0, at(0)), 1, "from the first moment");
    world.run(Duration::from_millis(990));
    let total: usize = asked(&world);
    assert!((19..=21).contains(&total), "{total} in the first second");
    world.run(seconds(29));
    for host in 0..40 {
        let count = hellos_to(&world, 0, at(host));
        let (least, most) = if host < 32 { (5, 8) } else { (0, 0) };
        assert!((least..=most).contains(&count), "{host}: {count}");
    }
    let before: usize = asked(&world);
    world.run(seconds(600));
    let total = asked(&world) - before;
    assert!((4 * 45..=4 * 80).contains(&total), "{total} in ten minutes");
}

#[test]
fn nobody_is_remembered_for_more_than_90_days() {
    for (days, found) in [(89, true), (91, false)] {
        let mut world = two_that_met(14);
        for node in &mut world.nodes {
            for neighbor in &mut node.disk.neighbors {
                neighbor.heard_ms = world.now.wall_ms - days * 24 * 60 * 60 * 1000;
            }
        }
        world.boot(0);
        world.boot(1);
        world.run(seconds(5));
        assert_eq!(world.all_listed(), found, "{days} days");
    }
}

#[test]
fn a_peer_is_kept_once_and_then_once_an_hour() {
    let mut world = World::new(0.0, 15);
    world.add("ana");
    world.add("ben");
    world.run_until(seconds(2), World::all_listed);
    world.run(seconds(2));
    let kept = |world: &World| world.nodes[0].disk.neighbors[0].heard_ms;
    let first = kept(&world);
    world.run(seconds(58 * 60));
    assert_eq!(kept(&world), first);
    world.run(seconds(20 * 60));
    assert!(kept(&world) > first);
    assert_eq!(world.nodes[0].disk.neighbors.len(), 1);
}
